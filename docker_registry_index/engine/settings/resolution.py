"""The engine's settings, and how each is found among many places.

Pure: whoever starts the engine reads files and the environment, and hands
in what it found as layers, the strongest first.
"""

from __future__ import unicode_literals

import difflib
import re

from . import checks as checks
from ..errors import SettingError
from .options import BLOCK, KEY_PAIR, OPTIONS

__all__ = ['BLOCK', 'KEY_PAIR', 'Layer', 'OPTIONS', 'Settings', 'resolve']

_NAMES = tuple(option.name for option in OPTIONS)
#: Shorter than any secret access key, which has 40 characters.
_LONGEST_KEY_SHOWN = 32
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
_ACCESS_KEY_ID = re.compile('([A-Z][A-Z0-9]{3})[A-Z0-9]{12,}')
_TABLES = ('repository_table', 'version_table', 'search_table')


class Layer(object):
    """Values from one place.

    :param source: names the place in errors: ``flavour 'prod' of c.yml``.
    :param values: mapping of option name to value; what is None, empty or
        white space counts as absent.
    :param origins: mapping of option name to a more exact place.
    :param ways_out: mapping of option name to what to do when its value
        cannot work here, where that is not to correct it: a value that
        belongs to something else may be right there.
    """

    def __init__(self, source, values, origins=None, ways_out=None):
        self.source = source
        self.values = values
        self.origins = origins or {}
        self.ways_out = ways_out or {}

    def origin(self, name):
        """Return where the option's value comes from, for messages."""
        return self.origins.get(name, self.source)

    def get(self, option):
        """Return the option's text, None when absent here."""
        return _checked(
            lambda value: checks.as_text(value, exact=option.secret),
            option.name, self.values.get(option.name), self)

    def __repr__(self):
        return str('Layer(%r)' % self.source)


_DEFAULTS = Layer('the default', {})


class Settings(object):
    """Resolved and checked settings of one engine; they do not change.

    One attribute for each of OPTIONS, given as arguments of the same names;
    what is left out, None or empty gets its default.

    :raises SettingError: for a value that cannot work.
    """

    def __init__(self, **given):
        for name in sorted(set(given) - set(_NAMES)):
            raise TypeError('Settings takes no argument %s%s'
                            % (name, _hint(name)))
        origins = dict((name, 'argument %s' % name) for name in given)
        self.__dict__.update(_values([Layer('arguments', given, origins)]))

    def __setattr__(self, name, value):
        raise AttributeError('settings do not change: make new ones')

    def __delattr__(self, name):
        raise AttributeError('settings do not change: make new ones')

    def __repr__(self):
        shown = ['%s=%s' % (name, _shown(name, getattr(self, name)))
                 for name in _NAMES]
        return str('Settings(%s)' % ', '.join(shown))


def resolve(layers):
    """Return the Settings that the layers give, and a list of warnings.

    Each option comes from the first layer that has it, else its default.
    The key pair comes as a pair from the first layer that has half of it:
    a key with another key's secret is refused by AWS with a message that
    tells nothing.

    :param layers: iterable of Layer, the strongest first.
    :raises SettingError: for the first value that cannot work.
    """
    layers = list(layers)
    settings = Settings(**_values(layers))
    warnings = [warning for layer in layers for warning in _unknown(layer)]
    if (settings.access_key or '').startswith('ASIA'):
        warnings.append(
            'access_key is a temporary one (ASIA...), which AWS accepts only '
            'with a session token; leave access_key and secret_access_key '
            'out, and give all three by the environment variables '
            'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN')
    return settings, warnings


def _values(layers):
    """Return every option's value, checked alone and against each other."""
    values, givers = {}, {}
    _check_pair(layers)
    for option in OPTIONS:
        text, giver = _pick(option, layers)
        if text is None and option.default is not None:
            text = option.default.format(**values)
        givers[option.name] = giver
        values[option.name] = text and _checked(option.check, option.name,
                                                text, giver)
    _check_tables(values, givers)
    if values['endpoint_url'] is None:
        _checked(checks.region_of_aws, 'region', values['region'],
                 givers['region'])
    return values


def _pick(option, layers):
    """Return the option's text and the first layer that has it."""
    for layer in layers:
        text = layer.get(option)
        if text is not None:
            return text, layer
    return None, _DEFAULTS


def _check_pair(layers):
    """Refuse half a key pair in the first layer that has any of it."""
    halves = [option for option in OPTIONS if option.secret]
    for layer in layers:
        given = [half.name for half in halves if layer.get(half) is not None]
        if len(given) == 1:
            _raise_half(layer, given[0])
        if given:
            return


def _raise_half(layer, given):
    """Refuse a layer that gives one half of the key pair only."""
    missing = KEY_PAIR[1 - KEY_PAIR.index(given)]
    raise SettingError(
        missing, layer.origin(missing),
        'is missing or empty, while %s is given by %s' % (
            given, layer.origin(given)),
        'give both in that one place, or neither')


def _check_tables(values, givers):
    """Refuse two tables with one name."""
    owners = {}
    for name in _TABLES:
        owner = owners.setdefault(values[name], name)
        if owner != name:
            raise SettingError(
                name, givers[name].origin(name),
                "is '%s', as is %s (from %s)" % (
                    values[name], owner, givers[owner].origin(owner)),
                'give each table a name of its own')


def _checked(check, name, value, layer):
    """Return check(value); what it refuses becomes a SettingError."""
    try:
        return check(value)
    except checks.Refused as refused:
        error = SettingError(name, layer.origin(name), refused.problem,
                             layer.ways_out.get(name, refused.way_out))
    raise error


def _unknown(layer):
    """Yield a warning for each key of the layer that is no option."""
    for key in sorted(checks.printable(key) for key in layer.values):
        if key not in _NAMES:
            # A colon without its space glues the value to the name.
            name = key.replace('=', ':').split(':')[0]
            hint = _hint(name) if name == key else (
                '; a colon and a space belong after the name')
            if len(name) > _LONGEST_KEY_SHOWN:
                name = '(not shown, it may be a secret)'
            name = _ACCESS_KEY_ID.sub(r'\1...', name)
            yield str('unknown key %s in %s (%s) is ignored%s; known are: %s'
                      % (name, BLOCK, layer.source, hint, ', '.join(_NAMES)))


def _hint(word):
    """Return a question for the option that may have been meant, or ''."""
    word = word.lower().replace('-', '_').replace('dynamodb_', '')
    near = difflib.get_close_matches(word, _NAMES, 1)
    return ', did you mean %s?' % near[0] if near else ''


def _shown(name, value):
    """Return the repr of a value, with next to nothing of a key."""
    if value is None or name not in KEY_PAIR:
        return repr(value)
    return "'%s...'" % (value[:4] if name == 'access_key'
                        and len(value) >= 16 else '')
