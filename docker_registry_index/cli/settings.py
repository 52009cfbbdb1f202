"""Creates the index, the source and the settings of the service from a configuration."""
import contextlib
import logging
import os

import click

from .. import configuration
from ..engine import ListSource, SearchIndex
from ..engine.errors import SettingError, safe
from .output import configure_logging

_FILE = 'DOCKER_REGISTRY_CONFIG'
#: A block of the file, and environment variables, that only a service has.
_SERVICE, _SERVICE_VARIABLES = 'service', ('REGISTRY_URL', 'STORAGE')
#: The defaults of a service: its database is not that of the plugin, and its file has no flavours.
_SERVICE_DEFAULTS = {'DYNAMODB_DATABASE': 'registry', 'SETTINGS_FLAVOR': ''}


class NamesSource(ListSource):
    """A Source of given names.

    :param names: an iterable of names."""

    def __init__(self, names):
        self._names = frozenset(names)
        super(NamesSource, self).__init__(lambda: ((name, None) for name in self._names))

    def has(self, name):
        return name in self._names


def index_of(config, is_adopting=False):
    """Return a SearchIndex with the settings of the registry or the service.

    :param config: path of a configuration file; None for that of the registry.
    :param is_adopting: True to accept the tables of another registry.
    :raises SettingError: a setting is wrong."""
    logging.basicConfig(level=logging.WARNING, format='%(message)s')
    registry = None
    if _is_of_service(config):
        registry = _service_settings(config, lambda warning: None).registry
    if is_adopting and registry is None:
        raise SettingError('registry_url', None, 'is missing, so --adopt has nothing to record',
                           'set REGISTRY_URL, or leave out --adopt')
    index = SearchIndex(_engine_settings(config), registry=registry, is_adopting=is_adopting)
    # A command that fails because DynamoDB is unavailable prints the error itself.
    index.client.availability.is_silent = True
    return index


def service_of(config):
    """Configure the log of the service. Return the module service.server, and the engine's Settings
    and the ServiceSettings for it.

    :param config: as for index_of.
    :raises SettingError: a setting is wrong or missing."""
    warnings = []
    service = _service_settings(config, warnings.append)
    with _imports_of_service():
        from ..service import server
    configure_logging(service)
    for warning in warnings:
        server.logger.warning(warning)
    service.check_serving()
    return server, _engine_settings(config, server.logger.warning), service


def source_of(config, names=None, optional=False):
    """Return the Source of the registry's storage: that of the service if its settings are given,
    otherwise that of docker-registry.

    :param names: a file of names, in bytes, to use in place of the storage. If the settings of a
        service name a registry, the source asks it whether they have a tag.
    :param optional: True to return None if docker-registry is not installed."""
    names = None if names is None else list(_lines(names))
    settings = _service_settings(config) if _is_of_service(config) else None
    if names is not None and (settings is None or settings.registry_url is None):
        return NamesSource(names)
    if settings is not None:
        with _imports_of_service():
            from ..service.sources.selection import source_of as source_of_service
        return source_of_service(settings, None if names is None else lambda: names)
    if config:
        os.environ[_FILE] = os.path.abspath(config)
    try:
        from ..plugin.storage import RegistrySource
    except ImportError as error:
        if optional:
            return None
        raise click.UsageError(
            "docker-registry reads the storage, and this Python cannot import docker-registry "
            "(%s); use the registry's own Python, or name the repositories with --names" % error)
    return RegistrySource()


def _warn(warning):
    click.echo('warning: %s' % safe(u'%s' % warning), err=True)


def _engine_settings(config, warn=_warn):
    environ, is_service = dict(os.environ), _is_of_service(config)
    if is_service:
        environ.update(
            (name, environ.get(name) or default) for name, default in _SERVICE_DEFAULTS.items())
    settings, warnings = configuration.load(
        _path(config), environ, is_service=is_service)
    for warning in warnings:
        warn(warning)
    return settings


def _service_settings(config, warn=_warn):
    with _imports_of_service():
        from ..service.settings import settings_of
    settings, warnings = settings_of(os.environ, _top_level(config), _path(config))
    for warning in warnings:
        warn(warning)
    return settings


@contextlib.contextmanager
def _imports_of_service():
    """Raise a usage error if an import of the service in the block fails."""
    try:
        yield
    except (ImportError, SyntaxError) as error:
        raise click.UsageError(
            'the service needs Python 3.9 or later and more packages (%s); with such a Python: '
            'run pip install docker-registry-index-dynamodb[service]' % error)


def _is_of_service(config):
    return _SERVICE in _top_level(config) or any(
        os.environ.get(name) for name in _SERVICE_VARIABLES)


def _top_level(config):
    path = _path(config)
    return {} if path is None else configuration.read_file(path)


def _path(config):
    """Return the path of the configuration file; None for the environment alone."""
    if config:
        return config
    try:
        from docker_registry.lib import config as registry_config
    except ImportError:
        return os.environ.get(_FILE)
    path = configuration.path_of(os.environ, registry_config.__file__)
    return path if _FILE in os.environ or os.path.exists(path) else None


def _lines(names):
    """Yield each line of a file of bytes as text, without blank lines."""
    for number, line in enumerate(names, 1):
        try:
            name = line.decode('utf-8').strip()
        except UnicodeDecodeError:
            raise click.BadParameter('line %d is not UTF-8: %r' % (number, line[:80]),
                                     param_hint='--names')
        if name:
            yield name
