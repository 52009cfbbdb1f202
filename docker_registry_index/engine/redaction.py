"""Redaction: what may be shown of an error that another library raised, or of any text. Pure.

Libraries put whole requests and responses into their errors: of a refused signature botocore quotes
the request, token and all, and boto keeps the page of S3, which names the access key ID.
"""

from __future__ import unicode_literals

import re

from ._compat import text_type

__all__ = ['first_line', 'named', 'safe']

_LONGEST = 300
# Characters that would steer a terminal, or turn its text around.
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]')
#: An access key ID of AWS or of another S3; and whatever is called one.
_KEY_ID = re.compile(r'(?<![A-Za-z0-9])([A-Z0-9]{4})[A-Z0-9]{12,}(?![A-Za-z0-9])')
_NAMED_KEY = re.compile(r'(?i)(access_?key_?(?:id)?\W{1,4}\w{4})\w+')
#: The part of an address that may hold a signature.
_QUERY = re.compile(r'\?\S+')

# Python imports a codec when it is first used, and in a thread that may hang:
# https://docs.python.org/2.7/library/threading.html
''.encode('unicode_escape')


def first_line(error):
    """Return the first line of an error, in ASCII: Python 2.7 can log no other.

    Of anything like an access key ID it has the first four characters.
    """
    lines = _text(error).splitlines() or ['']
    return _escaped(_redacted(lines[0]))[:_LONGEST]


def named(error):
    """Return the name of an error's class and its first line, which may have it already.

    And, if it has one, the code that a service gave it.
    """
    name, line = type(error).__name__, first_line(error)
    if not line.startswith(name):
        line = '%s: %s' % (name, line) if line else name
    code = getattr(error, 'error_code', None)
    if code and re.match(r'[A-Za-z.]{3,60}\Z', '%s' % code):
        line = '%s (%s)' % (line, code)
    return line


def safe(text):
    """Return ``text`` with a question mark for what would steer a terminal."""
    return _UNSAFE.sub('?', text)


def _text(error):
    for read in text_type, _decoded:
        try:
            return read(error)
        except UnicodeError:
            # Python 2.7, and text or bytes in it that are not ASCII.
            continue
    return ''


def _decoded(error):
    return bytes(error).decode('utf-8', 'replace')


def _redacted(line):
    for pattern in _KEY_ID, _NAMED_KEY:
        line = pattern.sub(r'\1...', line)
    return _QUERY.sub('?...', line)


def _escaped(line):
    return line.encode('unicode_escape').decode('ascii')
