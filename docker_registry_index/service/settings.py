"""The service's settings: from the environment and a file. Pure.

The engine's own settings are resolved by configuration.py, from the same
file and environment.
"""

from __future__ import unicode_literals

import difflib

from ..configuration import evaluate
from ..engine.errors import SettingError
from ..engine.settings.checks import Refused, as_text, printable
from .options import BLOCK, OPTIONS

__all__ = ['ServiceSettings', 'is_given', 'resolve']

_NAMES = tuple(option.name for option in OPTIONS)
#: Those that are given together or not at all.
_PAIRS = (('registry_username', 'registry_password'),
          ('storage_access_key', 'storage_secret_key'))


class ServiceSettings(object):
    """Resolved and checked settings of one service; one attribute for each
    of OPTIONS."""

    def __init__(self, values):
        self.__dict__.update(values)

    def __repr__(self):
        return str('ServiceSettings(%s)' % ', '.join(
            '%s=%s' % (option.name, _shown(option, getattr(self, option.name)))
            for option in OPTIONS))


def resolve(environ, top_level, source='the file', required=()):
    """Return the ServiceSettings, and a list of warnings.

    The environment is stronger than the file.

    :param environ: mapping of environment variables, such as os.environ.
    :param top_level: the file, as configuration.read_file gives it; {}
        without one.
    :param source: names the file in errors.
    :param required: names of options that must have a value.
    :raises SettingError: for the first value that cannot work.
    """
    block = top_level.get(BLOCK) or {}
    where = '%s of %s' % (BLOCK, source)
    if not isinstance(block, dict):
        raise SettingError(BLOCK, source, 'is no mapping', 'write "name: '
                           'value" pairs below it, indented, each on its own '
                           'line')
    values, origins = {}, {}
    for option in OPTIONS:
        text, origins[option.name] = _pick(option, environ, block, where)
        values[option.name] = text and _checked(
            option.check, option.name, origins[option.name], text)
    _check_together(values, origins, required)
    return ServiceSettings(values), list(_unknown(block, where))


def is_given(environ, top_level):
    """Whether anything says that there is such a service."""
    return BLOCK in top_level or any(
        environ.get(name.upper()) for name in ('registry_url', 'storage'))


def _pick(option, environ, block, where):
    """The text of an option and where it comes from."""
    origin = 'environment variable %s' % option.variable
    text = _checked(as_text, option.name, origin,
                    environ.get(option.variable))
    if text is None:
        value, variable = evaluate(block.get(option.name), environ)
        origin = where if variable is None else (
            'environment variable %s, named in %s' % (printable(variable),
                                                      where))
        text = _checked(
            lambda value: as_text(value, exact=option.secret), option.name,
            origin, value)
    if text is None:
        return option.default, 'the default'
    return text, origin


def _checked(check, name, origin, value):
    try:
        return check(value)
    except Refused as refused:
        error = SettingError(name, origin, refused.problem, refused.way_out)
    raise error


def _check_together(values, origins, required):
    for pair in _PAIRS:
        given = [name for name in pair if values[name] is not None]
        if len(given) == 1:
            [missing] = set(pair) - set(given)
            raise SettingError(
                missing, None, 'is missing or empty, while %s is given by %s'
                % (given[0], origins[given[0]]), 'give both, or neither')
    for name in required:
        if values[name] is None:
            raise SettingError(
                name, None, 'is missing', 'set %s, or %s in the block %s of '
                'the file' % (name.upper(), name, BLOCK))
    if required and values['registry_username'] is not None and (
            values['htpasswd'] is None and not values['anonymous_read']):
        raise SettingError(
            'htpasswd', None, 'is missing, while the registry wants '
            'credentials: its names would be shown to everybody',
            'set HTPASSWD to the file of the registry; or, if that is what '
            'you want, ANONYMOUS_READ to true')


def _unknown(block, where):
    for key in sorted(printable(key) for key in block):
        if key in _NAMES:
            continue
        # A colon without its space glues the value to the name.
        name = key.replace('=', ':').split(':')[0][:40]
        near = difflib.get_close_matches(name, _NAMES, 1)
        hint = ', did you mean %s?' % near[0] if near else ''
        if name != key[:40]:
            hint = '; a colon and a space belong after the name'
        yield 'unknown key %s in %s is ignored%s; known are: %s' % (
            name, where, hint, ', '.join(_NAMES))


def _shown(option, value):
    return "'...'" if option.secret and value else repr(value)
