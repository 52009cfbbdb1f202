"""The settings of the service, as the command line finds them."""
import os
import sys

import click

from .. import configuration
from .output import safe, say

# The package for Python 2 has no service.
if sys.version_info >= (3,):
    from ..service import settings as service_settings
else:
    service_settings = None

__all__ = ['environment', 'is_given', 'server', 'settings_of', 'source_of',
           'warn']

_DATABASE, _FLAVOUR = 'DYNAMODB_DATABASE', 'SETTINGS_FLAVOR'
#: What the names of its tables begin with, by default. Not what those of a
#: plugin do: that is of another registry.
DATABASE = 'registry'

_EXTRA = ('the service needs Python 3.9 or later and more packages (%s); '
          'install them with: pip install '
          'docker-registry-index-dynamodb[service]')
_PYTHON2 = ('the service needs Python 3.9 or later, and this is Python %s; on '
            'Python 3: pip install docker-registry-index-dynamodb[service]'
            % sys.version.split()[0])


def is_given(path):
    """Whether the environment or a file has settings of the service."""
    return service_settings is not None and service_settings.is_given(
        os.environ, _top_level(path))


def environment():
    """The variables that the engine's settings are read from."""
    environ = dict(os.environ)
    environ[_DATABASE] = environ.get(_DATABASE) or DATABASE
    # Its file has no flavours.
    environ[_FLAVOUR] = environ.get(_FLAVOUR, '')
    return environ


def settings_of(path, required=()):
    """The ServiceSettings; their warnings are printed.

    :param path: of a configuration file, or None.
    :param required: names of options that must have a value.
    :raises SettingError: they cannot work.
    """
    if service_settings is None:
        raise click.UsageError(_PYTHON2)
    settings, warnings = service_settings.resolve(
        os.environ, _top_level(path), path, required)
    warn(warnings)
    return settings


def source_of(path):
    """The Source that the settings name."""
    settings = settings_of(path)
    try:
        from ..service.sources.selection import source_of as found
    except ImportError as error:
        raise click.UsageError(_EXTRA % error)
    return found(settings)


def server():
    """The module that serves."""
    try:
        from ..service import server as found
    except ImportError as error:
        raise click.UsageError(_EXTRA % error)
    return found


def warn(warnings):
    """Print warnings."""
    for warning in warnings:
        say('warning: %s' % safe(u'%s' % warning), err=True)


def _top_level(path):
    return {} if path is None else configuration.read_file(path)
