"""Reads the parameters of requests, and makes error answers in JSON.

A query that is not UTF-8 is no error."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import flask
from werkzeug.exceptions import HTTPException

#: The header of answers to requests that may succeed soon.
RETRY = [('Retry-After', '1')]


class Refusal(HTTPException):
    """Raised to answer with a status, the JSON {"error": sentence} and headers. The catalog answers
    as the registry instead."""

    def __init__(self, status: int, sentence: str, headers: Iterable[tuple[str, str]] = ()) -> None:
        super().__init__(sentence)
        self.code, self._headers = status, list(headers)

    def get_headers(self, *_: Any) -> list[tuple[str, str]]:
        return self._headers


def whole_number(text: str) -> int | None:
    """Return the whole number in a text, of its first nine digits; None if it is not one, or 0."""
    digits = text.lstrip('0') if text.isdigit() and text.isascii() else ''
    return int(digits[:9]) if digits else None


def first_value(query: bytes, name: str, errors: str = 'replace') -> str:
    """Return the first value of a parameter, or '' if there is none.

    As in forms, a semicolon, and a % that begins no escape, are read literally.

    :param query: the part of the address after the ``?``.
    :param errors: how to decode bytes that are not UTF-8, as in bytes.decode."""
    return _first_values(query, errors).get(name, '')


@functools.lru_cache(8)
def _first_values(query: bytes, errors: str) -> Mapping[str, str]:
    # Remembered, because a page has a hundred links, and each has the parameters of its address.
    pairs = parse_qsl(query.decode('utf-8', errors), keep_blank_values=True, errors=errors)
    return dict(reversed(pairs))


def parameter(name: str) -> str:
    """Return the first value of a parameter of the current request, or ''."""
    return first_value(flask.request.query_string, name)
