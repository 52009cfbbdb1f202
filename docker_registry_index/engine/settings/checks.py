"""What each kind of setting accepts: from a value given to the one used.

Every check takes text and returns a native string, or raises Refused with
one problem and one way out. Native, because Python 2's gevent may deadlock
on a host name in unicode: https://github.com/gevent/gevent/issues/349
"""

from __future__ import unicode_literals

import numbers
import re

from .._compat import text_type

__all__ = [
    'Refused', 'as_text', 'printable', 'database', 'table', 'region',
    'region_of_aws', 'endpoint', 'key', 'wait', 'interval', 'timeout',
    'attempts',
]

_SHOWN = 80

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
_TABLE = re.compile(r'[A-Za-z0-9_.-]{3,255}\Z')
# The longest ending that makes a table name of it is "-repository".
_DATABASE = re.compile(r'[A-Za-z0-9_.-]{1,244}\Z')
# What botocore takes for a region, whoever runs it.
_REGION = re.compile(r'(?![0-9]+\Z)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}'
                     r'[A-Za-z0-9])?\Z')
# us-east-1, us-gov-west-1, us-isob-east-1, eusc-de-east-1.
_REGION_OF_AWS = re.compile(r'[a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2}\Z')
_ZONE = re.compile(r'([a-z]{2,}(?:-[a-z]+)+-[0-9]{1,2})[a-z]\Z')
# Matches every text, and cuts it where an address has its parts.
_ADDRESS = re.compile(
    r'(?P<scheme>https?://)?(?P<host>\[[^/]*|[^:/]*)(?::(?P<port>[^/]*))?'
    r'(?P<path>/.*)?\Z', re.IGNORECASE | re.DOTALL)
_LABEL = r'[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?'
_HOST = re.compile(_LABEL + r'(?:\.' + _LABEL + r')*\Z')
_PATH = re.compile(r'/[A-Za-z0-9._~/-]*\Z')
_KEY = re.compile(r'[!-~]+\Z')
_NUMBER = re.compile(r'[0-9]{1,9}(?:\.[0-9]{1,3})?\Z')


class Refused(Exception):
    """A value that cannot work; `problem` never shows a secret."""

    def __init__(self, problem, way_out):
        self.problem = problem
        self.way_out = way_out
        super(Refused, self).__init__('%s; %s' % (problem, way_out))


def printable(value, limit=_SHOWN):
    """Return value for a message: ASCII, on one line, cut to the limit."""
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    shown = text_type(value).encode('unicode_escape').decode('ascii')
    if len(shown) > limit:
        shown = shown[:limit] + '...'
    return str(shown)


def as_text(value, exact=False):
    """Return a value as stripped text, or None when it says nothing.

    :param exact: refuse numbers too: one that YAML has read is no longer
        what was written (0123 has become 83).
    """
    if value is None:
        return None
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    is_number = (isinstance(value, numbers.Real)
                 and not isinstance(value, bool))
    if not isinstance(value, text_type) and (exact or not is_number):
        raise Refused('is of type %s, where text is needed'
                      % type(value).__name__,
                      'write it as text, in quotes')
    return text_type(value).strip() or None


def database(text):
    """Return the text when table names can be made of it."""
    if not _DATABASE.match(text):
        raise Refused(
            "is '%s', with which no DynamoDB table name can begin"
            % printable(text),
            'use 1 to 244 of the characters A-Z a-z 0-9 _ . -')
    return str(text)


def table(text):
    """Return the text when DynamoDB takes it as a table's name."""
    if not _TABLE.match(text):
        raise Refused(
            "is '%s', which DynamoDB refuses as a table name"
            % printable(text),
            'use 3 to 255 of the characters A-Z a-z 0-9 _ . -')
    return str(text)


def region(text):
    """Return the text when botocore takes it as a region's name."""
    if not _REGION.match(text):
        raise Refused("is '%s', which is no region's name" % printable(text),
                      'write an AWS region such as us-east-1')
    return str(text)


def region_of_aws(text):
    """Refuse what has not the form of a region's name in AWS.

    Regions are not looked up in a list: AWS opens new ones, and an installed
    botocore knows only those of its own day.
    """
    zone = _ZONE.match(text)
    if zone:
        raise Refused(
            "is '%s', which is an availability zone" % printable(text),
            'write its region, %s' % zone.group(1))
    if not _REGION_OF_AWS.match(text):
        raise Refused(
            "is '%s', which is no AWS region" % printable(text),
            'write a region such as us-east-1; any other name needs an '
            'endpoint_url beside it')


def endpoint(text):
    """Return the text when it is the base address of an HTTP service."""
    if '@' in text or '?' in text or '#' in text:
        # What stands there may be a password or a signature: not shown.
        raise Refused('is an address with a user, a query or a fragment in '
                      'it (not shown, it may be secret)',
                      'write only scheme, host and port, and give keys as '
                      'access_key and secret_access_key')
    fault = _fault(**_ADDRESS.match(text).groupdict())
    if fault:
        problem, way_out = fault
        raise Refused("is '%s', %s" % (printable(text), problem), way_out)
    return str(text)


def _fault(scheme, host, port, path):
    """Return what is wrong with an address's parts and the way out, if any."""
    if scheme is None:
        return ('which begins with neither http:// nor https://',
                'write it like http://127.0.0.1:8000')
    if host.startswith('[') or ':' in (port or ''):
        return ('whose host is an IPv6 address, and the botocore of Python '
                '2.7 refuses those', 'give the host a name, and write that')
    if port is not None and not _is_port(port):
        return ('whose port is no number from 1 to 65535',
                'write the port after the host, as in http://127.0.0.1:8000')
    if '_' in host:
        return ('whose host name has an underscore, and botocore refuses '
                'those', 'give the host another name, such as a network '
                'alias of the container, or write its IP address')
    if not _HOST.match(host):
        return ('whose host is no host name', 'write a name of the '
                'characters A-Z a-z 0-9 . -, or an IPv4 address')
    if path is not None and not _PATH.match(path):
        return ('whose path has a character that does not belong there',
                'leave the path out, or use the characters '
                'A-Z a-z 0-9 . _ ~ / - in it')
    return None


def _is_port(text):
    return bool(re.match(r'[0-9]{1,5}\Z', text)) and 1 <= int(text) <= 65535


def key(text):
    """Return the text when it can be half of a key pair; never show it."""
    if not _KEY.match(text):
        raise Refused(
            'holds a space, a control character or one outside ASCII '
            '(not shown, it is secret)',
            'copy the key again, without quotes and line ends')
    return str(text)


def wait(text):
    """Return the text as seconds of waiting."""
    return _between(text, 0, 3600, 'seconds')


def interval(text):
    """Return the text as seconds between two turns; 0 for none."""
    seconds = _between(text, 0, 31536000, 'seconds')
    if 0 < seconds < 60:
        raise Refused('is %s, which is less than a minute' % printable(text),
                      'write 60 or more, or 0 for never')
    return seconds


def timeout(text):
    """Return the text as the seconds of a time-out."""
    return _between(text, 0.1, 60, 'seconds')


def attempts(text):
    """Return the text as a number of attempts."""
    found = _between(text, 1, 10, 'attempts')
    if found != int(found):
        raise Refused("is '%s', and there is no part of an attempt"
                      % printable(text), 'write a whole number')
    return int(found)


def _between(text, least, most, unit):
    if not _NUMBER.match(text) or not least <= float(text) <= most:
        raise Refused(
            "is '%s', which is no number of %s from %s to %s" % (
                printable(text), unit, least, most),
            'write one such as %d' % max(1, least))
    return float(text)
