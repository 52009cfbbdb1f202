"""Resolves settings: each option gets its value from the strongest layer that has one. Pure.

A program reads files and the environment, and passes their values as layers, the strongest first.
The engine (options.py) and the service each have a table of options."""

from __future__ import unicode_literals

import difflib
import re

from . import checks
from .._compat import text_type
from ..errors import SettingError

#: Shorter than any secret access key, which has 40 characters.
_LONGEST_KEY_SHOWN = 32
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKey.html
_ACCESS_KEY_ID = re.compile('([A-Z][A-Z0-9]{3})[A-Z0-9]{12,}')


class Layer(object):
    """The values from one place, such as a block of a file.

    :param source: the name of the place in messages, such as ``flavour 'prod' of c.yml``.
    :param values: mapping of option name to value; None, empty text and white space count as
        absent.
    :param origins: mapping of option name to a more exact place.
    :param ways_out: mapping of option name to what to do about an unusable value, if the remedy is
        not to correct it: the value may be right for the setting of another program."""

    def __init__(self, source, values, origins=None, ways_out=None):
        self.source = source
        self.values = values
        self.origins = origins or {}
        self.ways_out = ways_out or {}

    def origin(self, name):
        """Return the place of the option's value, for messages."""
        return self.origins.get(name, self.source)

    def get(self, option):
        """Return the text of an option, or None if this layer has none."""
        return self.checked(lambda value: checks.as_text(value, exact=option.secret),
                            option.name, self.values.get(option.name))

    def checked(self, check, name, value):
        """Return check(value).

        :raises SettingError: the check raised Refused."""
        try:
            return check(value)
        except checks.Refused as refused:
            error = SettingError(name, self.origin(name), refused.problem,
                                 self.ways_out.get(name, refused.way_out))
        raise error


_DEFAULTS = Layer('the default', {})


class BaseSettings(object):
    """Resolved and checked settings, with a read-only attribute for each option.

    A subclass has these constants, and may override check_together and warnings:

    - BLOCK: the block of the options in a configuration file;
    - OPTIONS: a tuple of Option; a default may name options above it;
    - PAIRS: a tuple of pairs of option names; one layer gives both, or neither;
    - MIXES_LAYERS: True if two layers may give the two options of a pair.

    :param layers: the strongest first. Each option comes from the first layer that has it; if none
        has it, the default is used.
    :param given: options by their names, stronger than all layers.
    :raises SettingError: a value is unusable; the error names the first such value."""

    MIXES_LAYERS = False

    def __init__(self, *layers, **given):
        names = [option.name for option in self.OPTIONS]
        for name in sorted(set(given) - set(names)):
            raise TypeError('%s has no argument %s%s' % (
                type(self).__name__, name, _hint(name, names)))
        origins = dict((name, 'argument %s' % name) for name in given)
        layers = (Layer('arguments', given, origins),) + layers + (_DEFAULTS,)
        used = {}
        for option in self.OPTIONS:
            self.__dict__[option.name], used[option.name] = self._find(option, layers)
        self._check_pairs(used, layers)
        self.check_together(used)

    def check_together(self, layers):
        """Raise SettingError for values that are unusable together.

        :param layers: mapping of each option's name to the layer of its value."""

    def warnings(self):
        """Return a list of warnings about values that may be unusable."""
        return []

    def _find(self, option, layers):
        """Return the value of an option, and the first layer that has it."""
        for layer in layers:
            text = layer.get(option)
            if text is not None:
                break
        else:
            text = option.default and option.default.format(**self.__dict__)
        value = text and layer.checked(option.check, option.name, text)
        # A native string: gevent of Python 2 may deadlock on a host name in unicode:
        # https://github.com/gevent/gevent/issues/349
        return str(value) if isinstance(value, text_type) else value, layer

    def _check_pairs(self, used, layers):
        for pair in self.PAIRS:
            given, missing = sorted(pair, key=lambda name: layers.index(used[name]))
            layer, other = used[given], used[missing]
            if layer is not other and (other is _DEFAULTS or not self.MIXES_LAYERS):
                raise SettingError(
                    missing, layer.origin(missing), 'is missing or empty, while %s is given by %s'
                    % (given, layer.origin(given)), 'give both in that one place, or neither')

    def __setattr__(self, name, value):
        raise AttributeError('settings cannot be changed: create new ones')

    def __delattr__(self, name):
        raise AttributeError('settings cannot be changed: create new ones')

    def __repr__(self):
        return str('%s(%s)' % (type(self).__name__, ', '.join(
            '%s=%s' % (option.name, option.shown(getattr(self, option.name)))
            for option in self.OPTIONS)))


def resolve(kind, layers):
    """Return the settings of a class, resolved from the layers, and a list of warnings."""
    layers = list(layers)
    settings = kind(*layers)
    return settings, settings.warnings() + [
        warning for layer in layers for warning in _unknown(kind, layer)]


def _unknown(kind, layer):
    """Yield a warning for each key of the layer that is not an option."""
    names = [option.name for option in kind.OPTIONS]
    for key in sorted(checks.printable(key) for key in layer.values):
        if key in names:
            continue
        # Without the space after a colon, the value is part of the name.
        name = key.replace('=', ':').split(':')[0]
        hint = _hint(name, names) if name == key else '; write a colon and a space after the name'
        if len(name) > _LONGEST_KEY_SHOWN:
            name = '(not shown, it may be a secret)'
        name = _ACCESS_KEY_ID.sub(r'\1...', name)
        yield str('unknown key %s in %s is ignored%s; valid keys are: %s' % (
            name, layer.source, hint, ', '.join(names)))


def _hint(word, names):
    """Return a suggestion of the option that is probably meant, or ''."""
    word = word.lower().replace('-', '_').replace('dynamodb_', '')
    near = difflib.get_close_matches(word, names, 1)
    return ' (did you mean %s?)' % near[0] if near else ''
