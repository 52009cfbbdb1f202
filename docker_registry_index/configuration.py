"""From docker-registry's configuration file and environment to Settings.

Reads the file as docker-registry 0.9.1 does, with two differences that the
index needs. It sees the top level too, where 0.1.0 documented the block and
which the registry drops when it takes a flavour. And it keeps every value as
the text that was written: to YAML a secret key of digits is a number.

Needs PyYAML, and never docker_registry: a command line can use it alone.
"""

from __future__ import unicode_literals

import difflib
import io
import os

from . import yaml_text
from .engine.errors import SettingError
from .engine.settings.checks import printable
from .engine.settings.resolution import (
    BLOCK, KEY_PAIR, Layer, OPTIONS, resolve)

__all__ = ['evaluate', 'flavour_of', 'load', 'path_of', 'read_file',
           'settings_from']

_FILE = 'DOCKER_REGISTRY_CONFIG'
_FLAVOUR = 'SETTINGS_FLAVOR'
_PREFIX = '_env:'
_PATH_SHOWN = 400
_EXTENSIONS, _OURS = BLOCK.split('.')


def load(path, environ, arguments=None):
    """Return the Settings for a configuration file, and a list of warnings.

    :param path: of the file, see :func:`path_of`; None for the environment
        alone.
    :param environ: mapping of environment variables, such as os.environ.
    :param arguments: mapping of argument name to value; names are those of
        the options, with or without ``dynamodb_`` in front.
    :raises SettingError: for a file or value that cannot work.
    """
    if path is None:
        return settings_from({}, {}, environ, arguments)
    where = printable(path, _PATH_SHOWN)
    top_level = read_file(path)
    name = flavour_of(environ)
    if not name:
        return settings_from(top_level, {}, environ, arguments,
                             'the top level of %s' % where)
    if name not in top_level:
        known = sorted(printable(key) for key in top_level
                       if key != _EXTENSIONS)
        raise SettingError(
            _FLAVOUR, None, "is '%s', a flavour that %s does not have"
            % (printable(name), where),
            'set the environment variable to one of: %s' % ', '.join(known))
    source = "flavour '%s' of %s" % (printable(name), where)
    flavour = _mapping(top_level[name], name, source, environ)
    return settings_from(flavour, top_level, environ, arguments, source,
                         'the top level of %s' % where)


def settings_from(flavour, top_level, environ, arguments=None,
                  flavour_source='the flavour',
                  top_level_source='the top level of the file'):
    """Return the Settings for a loaded configuration, and the warnings.

    Strongest first: arguments, the flavour's block, the top level's block,
    environment variables DYNAMODB_*, the flavour's S3 settings, defaults.

    :param flavour: the chosen flavour: a mapping, or docker-registry's own
        Config object.
    :param top_level: the whole file, likewise.
    """
    flavour, top_level = _plain(flavour) or {}, _plain(top_level) or {}
    warnings = (_misplaced(flavour, flavour_source)
                + _misplaced(top_level, top_level_source))
    settings, more = resolve([
        _arguments(arguments or {}),
        _block(flavour, flavour_source, environ),
        _block(top_level, top_level_source, environ),
        _environment(environ),
        _s3(flavour, flavour_source, environ)])
    return settings, warnings + more


def path_of(environ, config_module):
    """Return the path of the file that docker-registry would read.

    :param config_module: path of docker_registry/lib/config.py; relative
        names start from the folder "config" beside the package.
    """
    name = environ.get(_FILE, 'config.yml')
    # join() leaves an absolute name as it is.
    return os.path.join(os.path.dirname(config_module), '..', '..', 'config',
                        name)


def flavour_of(environ):
    """Return the chosen flavour; '' means the top level itself."""
    return environ.get(_FLAVOUR, 'dev')


def read_file(path):
    """Return the file's top level as a mapping, every scalar as text.

    :raises SettingError: when it cannot be read, or holds no mapping.
    :raises MissingDependency: without PyYAML.
    """
    try:
        with io.open(path, 'rb') as stream:
            return yaml_text.parse_mapping(stream.read())
    except EnvironmentError as error:
        problem = 'cannot be read: %s' % (error.strerror or 'no reason given')
    except yaml_text.InvalidYAML as error:
        problem = str(error)
    raise SettingError(
        _FILE, None,
        'names %s, which %s' % (printable(path, _PATH_SHOWN), problem),
        'correct the file, or set the environment variable to another')


def evaluate(value, environ):
    """Return what a value of the file says, and the variable it names.

    ``_env:NAME:default`` gives the variable's text, else the default, which
    may hold colons; a variable set to nothing gives None, as in the
    registry. For any other value the variable is None.
    """
    text = value
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'replace')
    if not hasattr(text, 'startswith') or not text.startswith(_PREFIX):
        return value, None
    parts = text.split(':', 2)
    default = parts[2] if len(parts) == 3 else ''
    return yaml_text.unquote(environ.get(parts[1], default)), parts[1]


def _arguments(arguments):
    """Return the layer of a constructor's or a command's arguments."""
    prefixed = [name for name in arguments if name.startswith('dynamodb_')]
    # What is not given has a name, too: the missing half of a key pair.
    names = dict((key, 'dynamodb_' + key if prefixed else key)
                 for key in KEY_PAIR)
    names.update((name.split('dynamodb_')[-1], name) for name in arguments)
    return Layer(
        'arguments',
        dict((key, arguments.get(name)) for key, name in names.items()),
        dict((key, 'argument %s' % name) for key, name in names.items()))


def _block(holder, source, environ):
    """Return the layer of the block in a flavour, or in the top level."""
    extensions = _mapping(holder.get(_EXTENSIONS), _EXTENSIONS, source,
                          environ)
    block = _mapping(extensions.get(_OURS), BLOCK, source, environ)
    return _evaluated(block, dict((name, name) for name in block), source,
                      environ)


def _environment(environ):
    """Return the layer of the environment variables DYNAMODB_*."""
    return Layer(
        'the environment',
        dict((option.name, yaml_text.unquote(environ.get(option.variable, '')))
             for option in OPTIONS),
        dict((option.name, 'environment variable %s' % option.variable)
             for option in OPTIONS))


def _s3(flavour, source, environ):
    """Return the layer of what the registry's own S3 driver is given."""
    layer = _evaluated(flavour, dict(
        (option.name, option.fallback) for option in OPTIONS
        if option.fallback), source, environ)
    # A region that is right for S3, such as minio, must stay as it is.
    layer.ways_out['region'] = (
        'set region in the block %s, or DYNAMODB_REGION' % BLOCK)
    return layer


def _evaluated(holder, keys, source, environ):
    """Return the layer of options, given as a mapping of option to key."""
    values, origins = {}, {}
    for option, key in keys.items():
        values[option], variable = evaluate(holder.get(key), environ)
        origins[option] = source if key == option else '%s of %s' % (
            key, source)
        if variable is not None:
            origins[option] = _named(variable, origins[option], environ)
    return Layer(source, values, origins)


def _named(variable, source, environ):
    """Return the origin of what ``_env:`` gave in source, for messages."""
    how = ('environment variable %s, named in %s' if variable in environ
           else '_env:%s, a variable that is not set, in %s')
    return how % (printable(variable), source)


def _mapping(value, name, source, environ):
    """Return the value as a mapping; what is absent or empty is {}."""
    value, variable = evaluate(_plain(value), environ)
    if variable is not None:
        source = _named(variable, source, environ)
    problem = 'is of type %s, where a mapping is needed' % type(value).__name__
    try:
        if variable is not None:
            value = yaml_text.parse_mapping(value or '')
    except yaml_text.InvalidYAML as error:
        problem = str(error)
    else:
        if value is None or value == '':
            return {}
        if isinstance(value, dict):
            return value
    raise SettingError(
        name, source, problem,
        'write "name: value" pairs below it, indented, each on its own line')


def _plain(config):
    """Return the mapping inside a Config object of docker-registry.

    Its own item access would evaluate ``_env:`` to YAML's types.
    """
    return getattr(config, '_config', config)


def _misplaced(holder, source):
    """Return warnings about a block that stands where nobody reads it."""
    warnings = []
    if _OURS in holder:
        warnings.append(str('%s in %s is ignored; move it below %s' % (
            _OURS, source, _EXTENSIONS)))
    for mapping, wanted in ((holder, _EXTENSIONS),
                            (_plain(holder.get(_EXTENSIONS)), _OURS)):
        if isinstance(mapping, dict) and wanted not in mapping:
            near = difflib.get_close_matches(
                wanted, [printable(key) for key in mapping], 1, 0.8)
            warnings.extend(str(
                'unknown key %s in %s is ignored, did you mean %s?'
                % (key, source, wanted)) for key in near)
    return warnings
