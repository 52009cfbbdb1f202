"""The parameters of an address. Pure.

Bytes that are no UTF-8 are read like any others: they are no error.
"""

from __future__ import unicode_literals

import re
from urllib.parse import unquote_to_bytes

__all__ = ['first_in_go', 'first_of']

_BROKEN = re.compile(b'%(?![0-9A-Fa-f]{2})')


def first_of(query, name, errors='replace'):
    """The first value of a parameter, as text; '' when there is none.

    As forms are read: a semicolon, and a % that begins no escape, stand for
    themselves.

    :param query: what stands behind the question mark: bytes.
    :param name: bytes.
    :param errors: what becomes of bytes that are no UTF-8, as of
        bytes.decode.
    """
    return _first(query.split(b'&'), name, errors)


def first_in_go(query, name, errors='replace'):
    """The same, as Go reads it: it leaves out a pair that it cannot decode,
    or that has a semicolon. This is seen in the catalog's answers.

    https://pkg.go.dev/net/url#ParseQuery
    """
    return _first([pair for pair in query.split(b'&') if b';' not in pair
                   and not _BROKEN.search(pair)], name, errors)


def _first(pairs, name, errors):
    for pair in pairs:
        key, _, value = pair.partition(b'=')
        if _decoded(key) == name:
            return _decoded(value).decode('utf-8', errors)
    return ''


def _decoded(text):
    return unquote_to_bytes(text.replace(b'+', b' '))
