"""The paths of the programs that are tested with the service.

Runs on Python 3; standard library only.
"""
import os
import shutil

from dev.servers.process import LOCAL, ServerError

__all__ = ['is_missing', 'path_of', 'program']

#: The names of the registry of version 2, in Debian and elsewhere.
_REGISTRY = 'docker-registry'
_REGISTRIES = (_REGISTRY, 'registry')


def is_missing(name):
    """Return True if a program is not installed."""
    return path_of(name) is None


def program(name, package=None):
    """Return the path of an installed program. If it is missing, raise ServerError with its Debian
    package."""
    path = path_of(name)
    if path is None:
        raise ServerError('%s is not installed: run dev/bootstrap clients, or on Debian, as root: '
                          'apt-get install %s' % (name, package or name))
    return path


def path_of(name):
    """Return the path of an installed program, or None.

    The name docker-registry means the registry of version 2, not the older one in Python.
    """
    # a user's PATH on Debian does not contain the last two
    folders = os.pathsep.join([os.environ.get('PATH', os.defpath), '/usr/sbin', '/sbin',
                               os.path.join(LOCAL, name), os.path.join(LOCAL, name, 'usr/bin')])
    if name != _REGISTRY:
        return shutil.which(name, path=folders)
    found = (os.path.join(folder, each) for folder in folders.split(os.pathsep)
             for each in _REGISTRIES)
    return next((path for path in found if os.access(path, os.X_OK) and _is_elf(path)), None)


def _is_elf(path):
    with open(path, 'rb') as source:
        return source.read(4) == b'\x7fELF'
