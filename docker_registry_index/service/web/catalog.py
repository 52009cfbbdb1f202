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

from ...engine import SearchIndex
from ...engine.concurrency import SingleFlight
from ...engine.search.search import Results
from ..registry.catalog import MARK
from ..registry.connection import Answer, Connection, RegistryUnavailable
from .responses import first_value

logger = logging.getLogger(__name__)

PATH = '/v2/_catalog'

#: The number of names on a page if a request has no ``n``.
_DEFAULT = 100
#: If the limit is not raised above this one, which is that of the registry, a page has a bounded
#: cost.
_BOUNDED = 1000
_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
_HEADERS = [('Docker-Distribution-Api-Version', 'registry/2.0'), MARK]
# What Go's strconv.Atoi accepts, on 64 bits.
_WHOLE = re.compile(r'[+-]?0*([0-9]{1,19})\Z', re.ASCII)
_GREATEST = 2 ** 63 - 1
# Go's encoder escapes these, so that JSON is safe in HTML.
_ESCAPED = re.compile('[&<>\u2028\u2029]')
# Go's encoder replaces a byte that is not UTF-8, which is a lone surrogate here.
_NO_TEXT, _REPLACED = re.compile('[\ud800-\udfff]'), '\\ufffd'
#: Seconds until the registry's dialect is read again, because the registry may be upgraded; until a
#: failed read is retried; and until a read times out.
_REMEMBERED, _RETRY, _TIMEOUT = 600, 30, 2
#: The headers that belong to one message or connection. A registry adds the others, which its
#: setting http.headers names, to each of its answers.
_OF_MESSAGE = re.compile(
    r'(Content-(?!Security-Policy)|Docker-|Proxy-|Set-Cookie|Accept-Ranges|Age|Allow|Alt-Svc|'
    r'Connection|Date|ETag|Expires|Keep-Alive|Last-Modified|Link|Location|Retry-After|Server|'
    r'Trailer|Transfer-Encoding|Upgrade|Vary|Via|WWW-Authenticate).*\Z', re.IGNORECASE)


class Dialect(NamedTuple):
    """The form in which a registry answers. The defaults are those of 3.0.0.

    :param is_strict: True if the registry refuses an ``n`` that is not a number.
    :param headers: what it adds to each answer."""

    content_type: str = 'application/json'
    is_strict: bool = True
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
            logger.info('the registry does not report its version; the catalog keeps its present '
                        'form: %s', error)
            return
        if answer.status in (200, 401):
            self._dialect = _dialect(answer)
            self._until = time.monotonic() + _REMEMBERED


def _dialect(answer: Answer) -> Dialect:
    is_old = 'charset' in answer.headers.get('Content-Type', '')
    return Dialect('application/json; charset=utf-8' if is_old else Dialect().content_type,
                   not is_old,
                   tuple((name, value) for name, value in answer.lines
                         if not _OF_MESSAGE.match(name) and not re.search('[\r\n]', value)))


class InvalidPageSize(ValueError):
    """Raised if the service refuses ``n``; the argument is the value that the answer shows."""


def routes(index: SearchIndex, dialect: Callable[[], Dialect], limit: int,
           prefix: str) -> flask.Blueprint:
    """Return the Blueprint of the catalog.

    :param limit: the most names on a page.
    :param prefix: of the registry's addresses, such as ``/images``; or ''."""
    made = flask.Blueprint('catalog', __name__)

    @made.route(prefix + PATH, methods=_METHODS, provide_automatic_options=False)
    @made.route(PATH, methods=_METHODS, provide_automatic_options=False)
    def catalog() -> flask.Response:
        if flask.request.method != 'GET':
            return method_not_allowed(flask.request.method)
        form = dialect()
        if not index.complete:
            # Clients would take a partial catalog for all of it.
            return unavailable(form)
        query = flask.request.query_string
        try:
            number = first_value(query, b'n', 'surrogateescape', in_go=True)
            size = page_size(number, limit, form.is_strict)
        except InvalidPageSize as error:
            return _error(form, 400, 'PAGINATION_NUMBER_INVALID',
                          'invalid number of results requested', {'n': error.args[0]})
        # Go compares names with NUL in place of "/"; the index uses U+0001.
        last = first_value(query, b'last', in_go=True).replace('\0', '/').replace('\x01', '\x02')
        # One name more than requested shows whether there is a next page.
        found = index.catalog(last or None, size + 1, limit <= _BOUNDED) if size else Results()
        names = found[:size]
        answer = _answer(form, 200, {'repositories': names})
        # A page of long names may have fewer than requested.
        if names and (found.is_incomplete or len(found) > size):
            answer.headers['Link'] = (
                f'<{flask.request.path}?last={quote_plus(names[-1])}&n={size}>; rel="next"')
        return answer

    return made


def unauthorized(form: Dialect, headers: Iterable[tuple[str, str]]) -> flask.Response:
    """Return the registry's answer to a client that may not read the catalog."""
    answer = _error(form, 401, 'UNAUTHORIZED', 'authentication required', [
        {'Type': 'registry', 'Class': '', 'Name': 'catalog', 'Action': '*'}])
    answer.headers.extend(list(headers))
    return answer


def unavailable(form: Dialect, status: int = 503) -> flask.Response:
    """Return an answer in the registry's form for an index that cannot be read; with status 429,
    for a request that comes with too many others."""
    if status == 429:
        return _error(form, status, 'TOOMANYREQUESTS', 'too many requests', None)
    return _error(form, status, 'UNAVAILABLE', 'service unavailable', None)


def page_size(text: str, limit: int, is_strict: bool) -> int:
    """Return the number of names on a page.

    :param text: the parameter ``n``, or ''.
    :param is_strict: True to refuse text that is not a number, as 3.0.0 does; 2.8.2 ignores it.
    :raises InvalidPageSize: the text is not a number, or the number is above the limit."""
    default = min(_DEFAULT, limit)
    if not text:
        return default
    number = int(text) if _WHOLE.match(text) else -1
    if number < 0 or number > _GREATEST:
        if is_strict:
            raise InvalidPageSize(text)
        return default
    if number > limit:
        raise InvalidPageSize(number)
    return number


def as_json(document: Any) -> bytes:
    """Return the bytes that Go's encoder writes for a document."""
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':'))
    text = _ESCAPED.sub(lambda found: f'\\u{ord(found.group()):04x}', text)
    return (_NO_TEXT.sub(lambda _: _REPLACED, text) + '\n').encode('utf-8')


def method_not_allowed(method: str) -> flask.Response:
    """Return the registry's answer to a method other than GET."""
    if method == 'OPTIONS':
        answer = flask.Response(status=200)
        del answer.headers['Content-Type']
    else:
        answer = flask.Response('Method not allowed\n', 405,
                                content_type='text/plain; charset=utf-8')
        answer.headers['X-Content-Type-Options'] = 'nosniff'
    answer.headers['Allow'] = 'GET'
    answer.headers.extend(_HEADERS)
    return answer


def _error(form: Dialect, status: int, code: str, message: str, detail: Any) -> flask.Response:
    return _answer(form, status, {'errors': [{'code': code, 'message': message, 'detail': detail}]})


def _answer(form: Dialect, status: int, document: Any) -> flask.Response:
    answer = flask.Response(as_json(document), status, content_type=form.content_type)
    answer.headers.extend(_HEADERS)
    return answer
