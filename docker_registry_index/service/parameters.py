"""The parameters of an address, as Go reads them. Pure.

Which pairs count, and which do not, is seen in the catalog's answers:
https://pkg.go.dev/net/url#ParseQuery
"""

from __future__ import unicode_literals

import re
from urllib.parse import unquote_to_bytes

__all__ = ['first_of']

_BROKEN = re.compile(b'%(?![0-9A-Fa-f]{2})')


def first_of(query, name, errors='replace'):
    """The first value of a parameter, as text; '' when there is none.

    :param query: what stands behind the question mark: bytes.
    :param name: bytes.
    :param errors: what becomes of bytes that are no UTF-8, as of
        bytes.decode.
    """
    for pair in query.split(b'&'):
        key, _, value = pair.partition(b'=')
        # Go leaves out a pair that it cannot decode, or has a semicolon.
        if (b';' in pair or _BROKEN.search(pair) or
                _decoded(key) != name):
            continue
        return _decoded(value).decode('utf-8', errors)
    return ''


def _decoded(text):
    return unquote_to_bytes(text.replace(b'+', b' '))
