"""From a configuration to an index, its storage, and the service."""
import logging
import os

import click

from . import configuration
from .cli_output import safe, say
from .engine import SearchIndex, Source
from .service import settings as service_settings

__all__ = ['EXTRA', 'index_of', 'service_of', 'source_of']

_FILE, _FLAVOUR = 'DOCKER_REGISTRY_CONFIG', 'SETTINGS_FLAVOR'
_DATABASE = 'DYNAMODB_DATABASE'
#: Of the service, by default.
DATABASE = 'registry'
EXTRA = ('the service needs Python 3.9 or later and more packages (%s); '
         'install them with: pip install '
         'docker-registry-index-dynamodb[service]')


class NamesSource(Source):
    """A Source of given names.

    :param names: an iterable of them.
    """

    def __init__(self, names):
        self._names = frozenset(names)

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return ((name, None) for name in self._names)

    def has(self, name):
        return name in self._names


def index_of(config):
    """A SearchIndex with the settings of the registry or the service.

    :param config: path of a configuration file; None for the registry's own.
    :raises SettingError: they cannot work.
    """
    logging.basicConfig(level=logging.WARNING, format='%(message)s')
    return SearchIndex(_engine_settings(config))


def service_of(config):
    """The Settings and the ServiceSettings of the service.

    :param config: as for index_of.
    :raises SettingError: they cannot work.
    """
    return _engine_settings(config), _service_settings(
        config, ('registry_url', 'events_secret'))


def source_of(config, names=None, optional=False):
    """The storage of the registry as a Source: that of the service, where
    its settings are given, else that of docker-registry.

    :param names: a file of names in place of it.
    :param optional: return None where docker-registry is not installed.
    """
    if names is not None:
        return NamesSource(line.strip() for line in names if line.strip())
    if _is_of_service(config):
        return _source_of_service(config)
    if config:
        os.environ[_FILE] = os.path.abspath(config)
    try:
        from .storage import RegistrySource
    except ImportError as error:
        if optional:
            return None
        raise click.UsageError(
            "the storage is read by docker-registry, and this Python cannot "
            "import it (%s); use the registry's own Python, or give the names "
            "of the repositories with --names" % error)
    return RegistrySource()


def _source_of_service(config):
    settings = _service_settings(config)
    try:
        from .service.sources import source_of as found
    except (ImportError, SyntaxError) as error:
        raise click.UsageError(EXTRA % error)
    return found(settings)


def _engine_settings(config):
    environ = os.environ
    if _is_of_service(config):
        # Its file has no flavours; and a plugin beside it, of another
        # registry, has other tables.
        environ = dict(environ)
        environ[_DATABASE] = environ.get(_DATABASE) or DATABASE
        environ[_FLAVOUR] = environ.get(_FLAVOUR, '')
    settings, warnings = configuration.load(_path(config), environ)
    _warn(warnings)
    return settings


def _service_settings(config, required=()):
    path = _path(config)
    settings, warnings = service_settings.resolve(
        os.environ, _top_level(path), path, required)
    _warn(warnings)
    return settings


def _is_of_service(config):
    return service_settings.is_given(os.environ, _top_level(_path(config)))


def _top_level(path):
    return {} if path is None else configuration.read_file(path)


def _warn(warnings):
    for warning in warnings:
        say('warning: %s' % safe(u'%s' % warning), err=True)


def _path(config):
    """The path of the configuration file; None for the environment alone."""
    if config:
        return config
    try:
        from docker_registry.lib import config as registry_config
    except ImportError:
        return os.environ.get(_FILE)
    path = configuration.path_of(os.environ, registry_config.__file__)
    if _FILE in os.environ or os.path.exists(path):
        return path
    return None
