"""Answers GET /v2/_catalog from the index, with the bytes of CNCF Distribution 2.8.2 or 3.0.0.

https://github.com/distribution/distribution/blob/v3.0.0/registry/handlers/catalog.go"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote_plus

import flask
from werkzeug.routing import Rule

from ...engine import SearchIndex
from ...engine.concurrency import SingleFlight
from ...engine.search.search import Results
from ..registry.catalog import MARK
from ..registry.connection import Connection, RegistryUnavailable
from .responses import first_value

logger = logging.getLogger(__name__)

PATH = '/v2/_catalog'

#: The number of names on a page if a request has no ``n``.
_DEFAULT = 100
#: If the limit is not above this one, which is that of the registry, the cost of a page has a
#: limit.
_BOUNDED = 1000
_HEADERS = [('Docker-Distribution-Api-Version', 'registry/2.0'), MARK]
# What Go's strconv.Atoi accepts, on 64 bits.
_WHOLE = re.compile(r'[+-]?0*([0-9]{1,19})\Z', re.ASCII)
# The pairs of a query that Go's url.ParseQuery leaves out.
_BROKEN = re.compile(b';|%(?![0-9A-Fa-f]{2})')
# Go's encoder escapes some characters, so that JSON is safe in HTML. It replaces a byte that is not
# UTF-8, which is a lone surrogate here.
_ESCAPES = {**{ord(each): f'\\u{ord(each):04x}' for each in '&<>\u2028\u2029'},
            **dict.fromkeys(range(0xd800, 0xe000), '\\ufffd')}
#: Seconds until the registry's dialect is read again, because the registry may be upgraded; until a
#: failed read is retried; and until a read times out.
_REMEMBERED, _RETRY, _TIMEOUT = 600, 30, 2
#: The headers that belong to one message or connection. The others are those of the registry's
#: setting http.headers, which it adds to each of its answers.
_OF_MESSAGE = re.compile(
    r'(Content-(?!Security-Policy)|Docker-|Proxy-|Set-Cookie|Accept-Ranges|Age|Allow|Alt-Svc|'
    r'Connection|Date|ETag|Expires|Keep-Alive|Last-Modified|Link|Location|Retry-After|Server|'
    r'Trailer|Transfer-Encoding|Upgrade|Vary|Via|WWW-Authenticate).*\Z', re.IGNORECASE)


#: The code, the message and the detail of an error, by the status of its answer.
_ERRORS = {
    401: ('UNAUTHORIZED', 'authentication required', [
        {'Type': 'registry', 'Class': '', 'Name': 'catalog', 'Action': '*'}]),
    429: ('TOOMANYREQUESTS', 'too many requests', None)}
_UNAVAILABLE = ('UNAVAILABLE', 'service unavailable', None)


class Dialect(NamedTuple):
    """How a registry answers. Version 2.8 writes a charset, and ignores an ``n`` that is no number.

    :param headers: those that it adds to each answer."""

    is_version_2: bool = False
    headers: tuple[tuple[str, str], ...] = ()


class DialectProbe:
    """Returns the Dialect of a registry when called. Costs a request every 10 minutes. Only the
    first call waits for it, at most two seconds."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._reading, self._dialect, self._until = SingleFlight(self._read), Dialect(), -math.inf

    def __call__(self) -> Dialect:
        if time.monotonic() >= self._until:
            seconds = _TIMEOUT if self._until < 0 else 0
            self._until = time.monotonic() + _RETRY
            self._reading.wait(seconds)
        return self._dialect

    def _read(self) -> None:
        try:
            answer = self._connection.ask('/v2/', None, _TIMEOUT)
        except RegistryUnavailable as error:
            logger.info('the registry does not report its version; the catalog keeps its current '
                        'form: %s', error)
            return
        if answer.status in (200, 401):
            self._until = time.monotonic() + _REMEMBERED
            self._dialect = Dialect(
                'charset' in answer.headers.get('Content-Type', ''),
                tuple((name, value) for name, value in answer.headers.items()
                      if not _OF_MESSAGE.match(name) and not re.search('[\r\n]', value)))


def add_routes(app: flask.Flask, index: SearchIndex, dialect: Callable[[], Dialect], limit: int,
               prefix: str) -> None:
    """Add the catalog.

    :param limit: the most names on a page.
    :param prefix: of the registry's addresses, such as ``/images``; or ''."""
    for path in {PATH, prefix + PATH}:
        # For any method, because a registry checks the credentials before the method.
        app.url_map.add(Rule(path, endpoint='catalog'))

    @app.endpoint('catalog')
    def catalog() -> flask.Response:
        if flask.request.method != 'GET':
            return _method_not_allowed(flask.request.method)
        form = dialect()
        if not index.complete:
            # Clients would take a partial catalog for all of it.
            return refused(form, 503)
        query = b'&'.join(pair for pair in flask.request.query_string.split(b'&')
                          if not _BROKEN.search(pair))
        size = page_size(first_value(query, 'n', 'surrogateescape'), limit, form)
        # Go compares names with NUL in place of "/"; the index uses U+0001.
        last = first_value(query, 'last').replace('\0', '/').replace('\x01', '\x02')
        # One name more than requested shows whether there is a next page.
        found = index.catalog(last or None, size + 1, limit <= _BOUNDED) if size else Results()
        names = found[:size]
        answer = _answer(form, 200, {'repositories': names})
        # A page of long names may have fewer names than requested.
        if names and (found.is_incomplete or len(found) > size):
            answer.headers['Link'] = (
                f'<{flask.request.path}?last={quote_plus(names[-1])}&n={size}>; rel="next"')
        return answer


def page_size(text: str, limit: int, form: Dialect) -> int:
    """Return the number of names on a page; abort if the registry refuses the number.

    :param text: the parameter ``n``, or ''."""
    number = int(text) if _WHOLE.match(text) else -1
    if 0 <= number <= limit:
        return number
    is_number = 0 <= number < 2 ** 63
    if is_number or text and not form.is_version_2:
        flask.abort(_error(
            form, 400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested',
            {'n': number if is_number else text}))
    return min(_DEFAULT, limit)


def refused(form: Dialect, status: int, headers: Iterable[tuple[str, str]] = ()) -> flask.Response:
    """Return the registry's answer to a request that is refused with this status."""
    return _error(form, status, *_ERRORS.get(status, _UNAVAILABLE), headers)


def _error(form: Dialect, status: int, code: str, message: str, detail: Any,
           headers: Iterable[tuple[str, str]] = ()) -> flask.Response:
    return _answer(form, status, {
        'errors': [{'code': code, 'message': message, 'detail': detail}]}, headers)


def _answer(form: Dialect, status: int, document: Any, headers: Iterable[tuple[str, str]] = ()
            ) -> flask.Response:
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':')).translate(_ESCAPES)
    answer = flask.Response(text + '\n', status, content_type=(
        'application/json; charset=utf-8' if form.is_version_2 else 'application/json'))
    answer.headers.extend([*_HEADERS, *headers])
    return answer


def _method_not_allowed(method: str) -> flask.Response:
    """Return the registry's answer to a method other than GET."""
    if method == 'OPTIONS':
        answer = flask.Response(status=200)
        del answer.headers['Content-Type']
    else:
        answer = flask.Response('Method not allowed\n', 405,
                                content_type='text/plain; charset=utf-8')
        answer.headers['X-Content-Type-Options'] = 'nosniff'
    answer.headers.extend([('Allow', 'GET'), *_HEADERS])
    return answer
