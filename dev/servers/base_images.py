"""Loads the base images that dev/bootstrap base-images has made into a Docker daemon.

    load_base_image(dockerd, 'trixie')  # debian:trixie-slim

A build with them reaches the package registries as this machine does: they get its settings of apt
and pip and its CA certificates, which are read when an image is loaded. Runs on Python 3; standard
library only.
"""
import glob
import io
import os
import shutil
import ssl
import subprocess
import sys
import tarfile

from dev.servers.process import LOCAL, installed

__all__ = ['load_base_image']

BASE_IMAGES = os.path.join(LOCAL, 'base-images')
_CERTIFICATES = 'etc/ssl/certs/ca-certificates.crt'
_PIP = ('index-url', 'extra-index-url', 'trusted-host', 'proxy')
_APT = ('Acquire::http', 'Acquire::Check')


def load_base_image(dockerd, suite):
    """Load debian:SUITE-slim, and return this name. Without the image, raise ServerError, which
    names the component of dev/bootstrap."""
    source = installed(os.path.join(BASE_IMAGES, suite + '.tar'), 'base-images')
    path, name = dockerd.path('base.tar'), 'debian:%s-slim' % suite
    shutil.copyfile(source, path)
    with tarfile.open(path, 'a') as archive:
        for target, content in _files_of_this_machine().items():
            member = tarfile.TarInfo('./' + target)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    dockerd.expect('import', '--change', 'CMD ["bash"]', path, name, timeout=300)
    os.remove(path)
    return name


def _files_of_this_machine():
    """Return {path: content} of what apt and pip need to reach their package registries."""
    files = {'etc/apt/apt.conf.d/99machine': _lines('apt-config', 'dump', begin=_APT),
             'etc/pip.conf': '[global]\ncert = /%s\n%s' % (_CERTIFICATES, _pip_settings())}
    files = {path: text.encode() for path, text in files.items()}
    bundle = ssl.get_default_verify_paths().cafile
    for path in glob.glob('/usr/local/share/ca-certificates/*.crt') + ([bundle] if bundle else []):
        with open(path, 'rb') as source:
            files[_CERTIFICATES if path == bundle else path.lstrip('/')] = source.read()
    return files


def _pip_settings():
    """Return the lines of pip.conf for the settings that `pip config list` prints."""
    settings = {}
    for line in _lines(sys.executable, '-m', 'pip', 'config', 'list').splitlines():
        name, _, value = line.partition('=')
        settings[name.rpartition('.')[2]] = value.strip("'")
    return ''.join('%s = %s\n' % (name, settings[name]) for name in _PIP if name in settings)


def _lines(*command, begin=('',)):
    """Return the lines of a command's output that begin with one of these."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return ''.join(line for line in done.stdout.splitlines(True) if line.startswith(begin))
