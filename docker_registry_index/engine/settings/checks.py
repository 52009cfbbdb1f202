"""Checks of settings: functions that return the value of a text. Pure.

A check takes text and returns the value, or raises Refused with one problem and one way out.
A function with parameters, such as ``seconds(0, 60)``, returns a check. A check that only one table
of options needs is defined beside that table."""

from __future__ import unicode_literals

import numbers
import re

from .._compat import text_type

_SHOWN = 80

# Matches every text, and splits it into the components of an address.
_ADDRESS = re.compile(
    r'(?P<scheme>https?://)?(?P<host>\[[^/\]]*\]?|[^:/]*)(?::(?P<port>[^/]*))?(?P<path>/.*)?\Z',
    re.IGNORECASE | re.DOTALL)
_LABEL = r'[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?'
_HOST = re.compile(r'(?:%s(?:\.%s)*\.?|\[[0-9A-Fa-f:.]+\])\Z' % (_LABEL, _LABEL))
_PATH = re.compile(r'/[A-Za-z0-9._~/-]*\Z')
_SECRET = re.compile(r'[!-~]+\Z')


class Refused(Exception):
    """Raised if a value is unusable; ``problem`` never contains a secret."""

    def __init__(self, problem, way_out):
        self.problem = problem
        self.way_out = way_out
        super(Refused, self).__init__('%s; %s' % (problem, way_out))


def printable(value, limit=_SHOWN):
    """Return the text of a value for a message: in ASCII, on one line, cut to the limit."""
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    shown = text_type(value).encode('unicode_escape').decode('ascii')
    if len(shown) > limit:
        shown = shown[:limit] + '...'
    return str(shown)


def as_text(value, exact=False):
    """Return a value as stripped text, or None for None, empty text and white space.

    :param exact: True to refuse numbers, too, because YAML may have changed the text (0123 becomes
        83)."""
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not isinstance(value, text_type) and (exact or not is_number):
        raise Refused('is of type %s, but must be text' % type(value).__name__,
                      'write it as text, in quotes')
    return text_type(value).strip() or None


def matching(pattern, problem, way_out):
    """Return a check that accepts text which matches a regular expression as a whole."""
    compiled = re.compile(r'(?:%s)\Z' % pattern, re.DOTALL)

    def check(text):
        if not compiled.match(text):
            raise _refused(text, 'which ' + problem, way_out)
        return text
    return check


def _refused(text, problem, way_out):
    return Refused("is '%s', %s" % (printable(text), problem), way_out)


#: A region name that botocore accepts, also of other providers than AWS.
region = matching(
    r'(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?',
    "is not a region's name", 'write an AWS region such as us-east-1')

path = matching(r'/.*', 'is not an absolute path', 'write the full path, beginning with /')


def whole(least, most):
    """Return a check that converts a whole number to int."""
    return _number(int, r'[0-9]{1,9}\Z', 'whole number', least, most)


def seconds(least, most):
    """Return a check that converts seconds with up to three decimals to float."""
    return _number(float, r'[0-9]{1,9}(?:\.[0-9]{1,3})?\Z', 'number of seconds', least, most)


def _number(convert, pattern, kind, least, most):
    def check(text):
        if not re.match(pattern, text) or not least <= convert(text) <= most:
            raise _refused(text, 'which is not a %s from %s to %s' % (kind, least, most),
                           'write a value such as %s' % max(1, least))
        return convert(text)
    return check


def switch(text):
    """Return True or False for a text such as "yes" or "off"."""
    if text.lower() in ('true', 'yes', 'on', '1'):
        return True
    if text.lower() in ('false', 'no', 'off', '0'):
        return False
    raise _refused(text, 'which is neither true nor false', 'write true or false')


def secret(shortest=1):
    """Return a check that accepts a key or password for an HTTP header, and never shows it."""
    def check(text):
        if not _SECRET.match(text):
            raise Refused('contains a space, a control character or a character beyond ASCII (not '
                          'shown, it is secret)', 'copy it again, without quotes and line breaks')
        if len(text) < shortest:
            raise Refused('has fewer than %d characters' % shortest,
                          'use a random value, such as the output of: openssl rand -hex 32')
        return text
    return check


def url(text):
    """Return the text if it is the base address of an HTTP service; otherwise raise Refused."""
    refuse_secrets(text)
    scheme, host, port, path_ = _ADDRESS.match(text).groups()
    if scheme is None:
        raise _refused(text, 'which begins with neither http:// nor https://',
                       'write it like http://127.0.0.1:8000')
    if port is not None and not is_port(port):
        raise _refused(text, 'whose port is not a number from 1 to 65535',
                       'write the port after the host, as in http://127.0.0.1:8000')
    if not _HOST.match(host):
        raise _refused(text, 'whose host is not a host name',
                       'write a name such as registry.example.com, or an IP address')
    if path_ is not None and not _PATH.match(path_):
        raise _refused(text, 'whose path has a character that is not allowed there',
                       'leave the path out, or use only the characters A-Z a-z 0-9 . _ ~ / -')
    return text


def endpoint(text):
    """Return the text if it is an address that botocore accepts; otherwise raise Refused."""
    refuse_secrets(text)
    _, host, port, _ = _ADDRESS.match(text).groups()
    if host.startswith('[') or ':' in (port or ''):
        raise _refused(text, 'whose host is an IPv6 address, which botocore on Python 2.7 '
                       'refuses', 'use a host name')
    if '_' in host:
        raise _refused(text, 'whose host name has an underscore, which botocore refuses',
                       'give the host another name, such as a network alias of the container, or '
                       'write its IP address')
    return url(text)


def is_port(text):
    """Return True if the text is the number of a TCP port."""
    return bool(re.match(r'[0-9]{1,5}\Z', text)) and 1 <= int(text) <= 65535


def refuse_secrets(text):
    """Raise Refused for an address that may contain a secret, without showing it."""
    if '@' in text or '?' in text or '#' in text:
        raise Refused('is an address with a user, a query or a fragment in it (not shown, it may '
                      'be secret)', 'write it without these; user, password and keys have settings '
                      'of their own')
