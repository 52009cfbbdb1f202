"""What requests and answers of all addresses have in common: parameters, and refusals as JSON.

Bytes of an address that are no UTF-8 are read like any others: they are no error.
"""

import re
from typing import Iterable, Optional, Tuple
from urllib.parse import unquote_to_bytes

import flask

__all__ = ['first_in_go', 'first_of', 'refusal', 'whole_number']

_BROKEN = re.compile(b'%(?![0-9A-Fa-f]{2})')


def refusal(status: int, sentence: str, headers: Iterable[Tuple[str, str]] = ()) -> flask.Response:
    """Return a JSON answer {"error": sentence}."""
    answer = flask.jsonify(error=sentence)
    answer.status_code = status
    answer.headers.extend(list(headers))
    return answer


def whole_number(text: str, least: int, most: int) -> Optional[int]:
    """Return the whole number in a text; None when it is none between the two."""
    if not text.isdigit() or not text.isascii() or len(text) > 9:
        return None
    return int(text) if least <= int(text) <= most else None


def first_of(query: bytes, name: bytes, errors: str = 'replace') -> str:
    """Return the first value of a parameter; '' when there is none.

    It is read as forms are: a semicolon, and a % that begins no escape, stand for themselves.

    :param query: what stands behind the question mark.
    :param errors: what becomes of bytes that are no UTF-8, as of bytes.decode.
    """
    return _first(query.split(b'&'), name, errors)


def first_in_go(query: bytes, name: bytes, errors: str = 'replace') -> str:
    """Return the same as Go reads it: without pairs that it cannot decode, or with a semicolon.

    The answers of a registry's catalog show this. https://pkg.go.dev/net/url#ParseQuery
    """
    return _first([pair for pair in query.split(b'&')
                   if b';' not in pair and not _BROKEN.search(pair)], name, errors)


def _first(pairs: Iterable[bytes], name: bytes, errors: str) -> str:
    for pair in pairs:
        key, _, value = pair.partition(b'=')
        if _decoded(key) == name:
            return _decoded(value).decode('utf-8', errors)
    return ''


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b'+', b' '))
