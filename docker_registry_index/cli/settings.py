"""From a configuration to an index, its storage, and the service."""
import logging
import os

import click

from .. import configuration
from . import service_settings
from ..engine import SearchIndex, Source

__all__ = ['index_of', 'service_of', 'source_of']

_FILE = 'DOCKER_REGISTRY_CONFIG'


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
    settings = service_settings.settings_of(
        _path(config), ('registry_url', 'events_secret'))
    return _engine_settings(config), settings


def source_of(config, names=None, optional=False):
    """The storage of the registry as a Source: that of the service, where
    its settings are given, else that of docker-registry.

    :param names: a file of names in place of it, of bytes.
    :param optional: return None where docker-registry is not installed.
    """
    if names is not None:
        return NamesSource(_lines(names))
    if service_settings.is_given(_path(config)):
        return service_settings.source_of(_path(config))
    if config:
        os.environ[_FILE] = os.path.abspath(config)
    try:
        from ..plugin.storage import RegistrySource
    except ImportError as error:
        if optional:
            return None
        raise click.UsageError(
            "the storage is read by docker-registry, and this Python cannot "
            "import it (%s); use the registry's own Python, or give the names "
            "of the repositories with --names" % error)
    return RegistrySource()


def _engine_settings(config):
    path = _path(config)
    environ = os.environ
    if service_settings.is_given(path):
        environ = service_settings.environment()
    settings, warnings = configuration.load(path, environ)
    service_settings.warn(warnings)
    return settings


def _lines(names):
    """The lines of a file of bytes, as text; blank ones left out."""
    for number, line in enumerate(names, 1):
        try:
            name = line.decode('utf-8').strip()
        except UnicodeDecodeError:
            raise click.BadParameter(
                'line %d is not in UTF-8: %r' % (number, line[:80]),
                param_hint='--names')
        if name:
            yield name


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
