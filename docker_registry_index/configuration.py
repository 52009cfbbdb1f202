"""Reads the settings of the engine or the service from a configuration file and the environment.

The file is read as docker-registry 0.9.1 reads it, with two differences. The block may also be at
the top level, where release 0.1.0 documented it. Each value remains the text of the file, because
YAML reads a secret key of digits as a number; only null and the merge key (``<<: *common``) keep
their YAML meaning. The command line needs PyYAML for this, but not docker_registry."""

from __future__ import unicode_literals

import difflib
import io
import os
import re

from .engine.errors import MissingDependency, SettingError
from .engine.settings.checks import printable
from .engine.settings.options import KEY_PAIR, Settings
from .engine.settings.resolution import Layer, resolve

_FILE = 'DOCKER_REGISTRY_CONFIG'
_FLAVOUR = 'SETTINGS_FLAVOR'
_PREFIX = '_env:'
_PATH_SHOWN = 400
_EXTENSIONS, _OURS = Settings.BLOCK.split('.')
_MAPPING = 'write "name: value" pairs below it, indented, each on its own line'
_KEPT = ('tag:yaml.org,2002:null', 'tag:yaml.org,2002:merge')
#: The most bytes that are read of the file of a secret.
_LARGEST_SECRET = 64 * 1024
# Variables that resemble ours: the addresses of a service in Kubernetes, those of linked
# containers, and the settings of CNCF Distribution.
_FOREIGN = re.compile(
    r'_(SERVICE_HOST|SERVICE_PORT|PORT|ENV)(_|\Z)|\A[^_]+_NAME\Z|\AREGISTRY_(AUTH|CATALOG|'
    r'COMPATIBILITY|CONFIGURATION|HEALTH|HTTP|LOG|LOGLEVEL|MIDDLEWARE|NOTIFICATIONS|POLICY|PROXY|'
    r'REDIS|REPORTING|STORAGE|VALIDATION|VERSION)(_|\Z)')
_NULLS = ('', '~', 'null', 'Null', 'NULL')


def load(path, environ, arguments=None, is_service=False):
    """Return the engine's Settings for a configuration file, and a list of warnings.

    The layers are, the strongest first: arguments, the block of the flavour, the block of the top
    level, environment variables DYNAMODB_*, the S3 settings of the flavour, environment variables
    of the AWS SDKs, defaults.

    :param path: path of the file, see :func:`path_of`; None for the environment alone.
    :param environ: mapping of environment variables, such as os.environ.
    :param arguments: mapping of argument name to value; names are those of the options, with or
        without ``dynamodb_`` in front.
    :param is_service: True for the service. Otherwise, the region variables of the AWS SDKs are
        ignored: the plugin's tables must not depend on who starts the registry.
    :raises SettingError: the file or a value is unusable."""
    parents = [] if path is None else _block_parents(path, environ)
    layers = [_argument_layer(arguments or {})]
    layers += [block_of(Settings, parent, source, environ) for parent, source in parents]
    layers += [environment_of(Settings, environ)]
    layers += [_s3_layer(parent, source, environ) for parent, source in parents[:1]]
    layers += [aws_of(Settings, environ)]
    if not is_service:
        layers[-1].values.pop('region', None)
    settings, warnings = resolve(Settings, layers)
    top_level = parents[-1][0] if parents else {}
    return settings, [warning for parent, source in parents
                      for warning in _misplaced_blocks(parent, source)] + warnings + misspelled(
                          Settings, environ, top_level)


def _block_parents(path, environ):
    """Return the mappings that may contain the block, each with its name for messages."""
    where = printable(path, _PATH_SHOWN)
    top_level = read_file(path)
    found = [(top_level, 'the top level of %s' % where)]
    # An empty flavour is the top level itself.
    name = environ.get(_FLAVOUR, 'dev')
    if name:
        if name not in top_level:
            flavours = sorted(printable(key) for key in top_level if key != _EXTENSIONS)
            raise SettingError(
                _FLAVOUR, None, "is '%s', a flavour that %s does not have"
                % (printable(name), where),
                'set the environment variable to one of these: %s' % ', '.join(flavours))
        source = "flavour '%s' of %s" % (printable(name), where)
        found.insert(0, (_mapping(top_level[name], name, source, environ), source))
    return found


def path_of(environ, config_module):
    """Return the path of the file that docker-registry would read.

    :param config_module: path of docker_registry/lib/config.py; relative names start from the
        folder "config" beside the package."""
    name = environ.get(_FILE, 'config.yml')
    # join() leaves an absolute name as it is.
    return os.path.join(os.path.dirname(config_module), '..', '..', 'config', name)


def read_file(path):
    """Return the file's top level as a mapping, every scalar as text.

    :raises SettingError: the file cannot be read, or contains no mapping.
    :raises MissingDependency: PyYAML is missing."""
    try:
        with io.open(path, 'rb') as stream:
            return _parse_mapping(stream.read())
    except EnvironmentError as error:
        problem = 'cannot be read: %s' % (error.strerror or 'no reason given')
    except InvalidYAML as error:
        problem = str(error)
    raise SettingError(
        _FILE, None, 'names %s, which %s' % (printable(path, _PATH_SHOWN), problem),
        'correct the file, or set the environment variable to another file')


def block_of(kind, parent, source, environ):
    """Return the Layer of the block of a class of settings, in a flavour or in the top level.

    :param kind: the class of settings.
    :param parent: the mapping that contains the block.
    :param source: names that mapping in messages."""
    name = kind.BLOCK
    for key in name.split('.'):
        parent = _mapping(parent.get(key), name if name.endswith(key) else key, source, environ)
    return _layer(parent, dict((key, key) for key in parent), '%s of %s' % (name, source), environ)


def environment_of(kind, environ):
    """Return the Layer of the environment variables of a class of settings. A secret may be in the
    file that its variable with _FILE at the end names.

    :raises SettingError: such a file cannot be read."""
    values, origins = {}, {}
    for option in kind.OPTIONS:
        values[option.name] = unquote(environ.get(option.variable, ''))
        origins[option.name] = 'environment variable %s' % option.variable
        named = option.variable + '_FILE'
        path = unquote(environ.get(named, '')) if option.secret else None
        if path is not None and values[option.name] is not None:
            raise SettingError(named, None, 'is set, and so is %s' % option.variable,
                               'unset one of them')
        if path is not None:
            values[option.name] = _read_secret(named, path)
            origins[option.name] = 'the file that environment variable %s names' % named
    return Layer('the environment', values, origins)


def _read_secret(variable, path):
    """Return the text in a file, without the line break at its end. The error does not show the
    path, because the variable may have the secret itself by mistake."""
    try:
        with io.open(path, 'rb') as stream:
            text = stream.read(_LARGEST_SECRET).decode('utf-8')
        if text.strip():
            return text.rstrip('\r\n')
        problem = 'is empty'
    except EnvironmentError as error:
        problem = 'cannot be read: %s' % (error.strerror or 'no reason given')
    except UnicodeDecodeError:
        problem = 'is not text in UTF-8'
    raise SettingError(variable, None, 'names a file that %s' % problem,
                       'write the path of a file that contains the secret alone')


def misspelled(kind, environ, top_level):
    """Return a list of warnings about variables that resemble one of a class of settings.

    :param top_level: the file; a variable that it names is no mistake."""
    known = [option.variable for option in kind.OPTIONS]
    read = known + [option.variable + '_FILE' for option in kind.OPTIONS if option.secret]
    in_file = re.findall('_env:([^:\'"]+)', repr(top_level))
    warnings = []
    for name in sorted(name for name in environ if re.match('[A-Z_]+\\Z', name)):
        if name in read or name in in_file or not environ[name].strip() or _FOREIGN.search(name):
            continue
        # No other program has variables that begin with DYNAMODB_, apart from those above.
        alike = 0.6 if name.startswith('DYNAMODB_') else 0.85
        longer = [each for each in known if each.startswith(name)]
        near = [each for each in known if each + '_FILE' == name] or difflib.get_close_matches(
            name, longer or [each for each in known if each[:4] == name[:4]], 1, alike)
        if near and near[0] not in environ:
            warnings.append(str('environment variable %s is ignored (did you mean %s?)'
                                % (name, near[0])))
    return warnings


def aws_of(kind, environ):
    """Return the Layer of the variables of the AWS SDKs for a class of settings.
    https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html"""
    ignored = environ.get('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', '').lower() == 'true'
    values, origins = {}, {}
    for option in kind.OPTIONS:
        for variable in option.aws:
            value = unquote(environ.get(variable, ''))
            is_ignored = ignored and variable.startswith('AWS_ENDPOINT_URL')
            if value is not None and not is_ignored and option.name not in values:
                values[option.name] = value
                origins[option.name] = 'environment variable %s' % variable
    return Layer('the environment', values, origins)


def _argument_layer(arguments):
    """Return the Layer of the arguments of a constructor or a command."""
    prefixed = [name for name in arguments if name.startswith('dynamodb_')]
    # Absent arguments have names, too, because an error names the missing half of a key pair.
    names = dict((key, 'dynamodb_' + key if prefixed else key) for key in KEY_PAIR)
    names.update((name.split('dynamodb_')[-1], name) for name in arguments)
    return Layer('arguments',
                 dict((key, arguments.get(name)) for key, name in names.items()),
                 dict((key, 'argument %s' % name) for key, name in names.items()))


def _s3_layer(flavour, source, environ):
    """Return the Layer of the settings of the registry's own S3 driver."""
    layer = _layer(flavour, dict((option.name, option.fallback) for option in Settings.OPTIONS
                                 if option.fallback), source, environ)
    # A region that is right for S3, such as minio, must stay as it is.
    layer.ways_out['region'] = 'set region in the block %s, or DYNAMODB_REGION' % Settings.BLOCK
    return layer


def _layer(parent, keys, source, environ):
    """Return the Layer of the options whose keys the mapping ``keys`` contains."""
    values, origins = {}, {}
    for option, key in keys.items():
        values[option], variable = evaluate(parent.get(key), environ)
        origins[option] = source if key == option else '%s of %s' % (key, source)
        if variable is not None:
            origins[option] = _origin(variable, origins[option], environ)
    return Layer(source, values, origins)


def _mapping(value, name, source, environ):
    """Return the value if it is a mapping; {} if it is absent or empty."""
    value, variable = evaluate(value, environ)
    if variable is not None:
        source = _origin(variable, source, environ)
    problem = 'is of type %s, where a mapping is needed' % type(value).__name__
    try:
        if variable is not None:
            value = _parse_mapping(value or '')
    except InvalidYAML as error:
        problem = str(error)
    else:
        if value is None or value == '':
            return {}
        if isinstance(value, dict):
            return value
    raise SettingError(name, source, problem, _MAPPING)


def _misplaced_blocks(parent, source):
    """Return a list of warnings about a block in a place that is not read."""
    warnings = []
    if _OURS in parent:
        warnings.append(str('%s in %s is ignored; move it below %s' % (_OURS, source, _EXTENSIONS)))
    for mapping, wanted in ((parent, _EXTENSIONS), (parent.get(_EXTENSIONS), _OURS)):
        if isinstance(mapping, dict) and wanted not in mapping:
            near = difflib.get_close_matches(wanted, [printable(key) for key in mapping], 1, 0.8)
            warnings.extend(str('unknown key %s in %s is ignored (did you mean %s?)'
                                % (key, source, wanted)) for key in near)
    return warnings


def evaluate(value, environ):
    """Return the value that a text of the file means, and the variable that the text names, or
    None. ``_env:NAME:default`` means the text of the variable; if that is not set, the default,
    which may contain colons. As in the registry, an empty variable means None."""
    text = value
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'replace')
    if not hasattr(text, 'startswith') or not text.startswith(_PREFIX):
        return value, None
    _, variable, default = (text.split(':', 2) + [''])[:3]
    return unquote(environ.get(variable, default)), variable


def _origin(variable, source, environ):
    """Return the origin of a value that ``_env:`` in a source names, for messages."""
    how = ('environment variable %s, named in %s' if variable in environ
           else '_env:%s, a variable that is not set, in %s')
    return how % (printable(variable), source)


def unquote(text):
    """Return the text of an environment variable without its quotes, as docker-registry does. None
    if the text is empty, blank or null."""
    if isinstance(text, bytes):
        text = text.decode('utf-8', 'replace')
    text = text.strip()
    if text in _NULLS:
        return None
    if text[0] in '"\'':
        try:
            value = parse(text)
        except InvalidYAML:
            return text
        return value if hasattr(value, 'strip') else text
    return text


class InvalidYAML(ValueError):
    """Raised if a text is not YAML. The message names only the place: the text may be secret."""


def parse(text):
    """Return the value of a YAML document: mappings, lists, text and None.

    :param text: str, or bytes in UTF-8 or UTF-16.
    :raises InvalidYAML: the text is not YAML.
    :raises MissingDependency: PyYAML is missing."""
    try:
        import yaml
    except ImportError:
        raise MissingDependency('yaml', 'pip install PyYAML')
    loader = _loader(yaml.SafeLoader)
    try:
        return yaml.load(text, Loader=loader)
    except Exception as error:
        # For invalid input, PyYAML also raises ValueError, AttributeError, RecursionError and more.
        found = getattr(error, 'problem_mark', None)
    raise InvalidYAML('is not valid YAML' + (str(' near line %d, column %d' % (
        found.line + 1, found.column + 1)) if found else ''))


def _parse_mapping(text):
    """Return the mapping in a text; {} if the text is empty. Raise InvalidYAML for other text."""
    value = parse(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidYAML('contains no mapping')
    return value


def _loader(safe):
    """Return a loader class of PyYAML that reads every scalar except null as text."""
    resolvers = dict((first, [pair for pair in pairs if pair[0] in _KEPT])
                     for first, pairs in safe.yaml_implicit_resolvers.items())
    loader = type(str('TextLoader'), (safe,), {'yaml_implicit_resolvers': resolvers})
    # The registry's file may contain tags that other programs understand.
    loader.add_constructor(None, _construct_anything)
    return loader


def _construct_anything(loader, node):
    construct = {'scalar': loader.construct_scalar, 'sequence': loader.construct_sequence,
                 'mapping': loader.construct_mapping}[node.id]
    return construct(node)
