"""Reads the parameters of requests, and makes error answers in JSON.

A query that is not UTF-8 is no error."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

import flask

_BROKEN = re.compile(b'%(?![0-9A-Fa-f]{2})')


def refusal(status: int, sentence: str, headers: Iterable[tuple[str, str]] = ()) -> flask.Response:
    """Return the JSON answer {"error": sentence}, with these headers."""
    answer = flask.make_response(flask.jsonify(error=sentence), status)
    answer.headers.extend(list(headers))
    return answer


def whole_number(text: str) -> int | None:
    """Return the whole number in a text; None if it is not one, or 0. Above a billion, return a
    billion."""
    digits = text.lstrip('0') if text.isdigit() and text.isascii() else ''
    return int(digits) if 0 < len(digits) <= 9 else 10 ** 9 if digits else None


def first_value(query: bytes, name: bytes, errors: str = 'replace', in_go: bool = False) -> str:
    """Return the first value of a parameter, or '' if there is none.

    As in forms, a semicolon, and a % that begins no escape, are read literally.

    :param query: the part of the address after the ``?``.
    :param errors: how to decode bytes that are not UTF-8, as in bytes.decode.
    :param in_go: True to read the query as Go does, and so a registry: without pairs that have a
        semicolon or cannot be decoded. https://pkg.go.dev/net/url#ParseQuery"""
    for pair in query.split(b'&'):
        if in_go and (b';' in pair or _BROKEN.search(pair)):
            continue
        key, _, value = pair.partition(b'=')
        if _decoded(key) == name:
            return _decoded(value).decode('utf-8', errors)
    return ''


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b'+', b' '))
