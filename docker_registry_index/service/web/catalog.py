"""GET /v2/_catalog, as the registry beside would answer it, without a walk.

The same bytes as CNCF Distribution 2.8.2 and 3.0.0, which differ in little:
https://github.com/distribution/distribution/blob/v3.0.0/registry/handlers/catalog.go
"""

import json
import re
from typing import Any, Callable, Iterable, List, Optional, Tuple, Union
from urllib.parse import quote_plus

import flask

from ...engine import SearchIndex
from ..registry.dialect import Dialect
from .responses import first_in_go

__all__ = ['PATH', 'WrongNumber', 'as_json', 'other_method', 'page_size', 'routes',
           'unauthorized', 'unavailable']

PATH = '/v2/_catalog'

#: Names of a page without ``n``.
_DEFAULT = 100
_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS']
_VERSION = ('Docker-Distribution-Api-Version', 'registry/2.0')
# What Go's strconv.Atoi takes, on 64 bits.
_WHOLE = re.compile(r'[+-]?0*([0-9]{1,19})\Z', re.ASCII)
_GREATEST = 2 ** 63 - 1
# Go's encoder escapes these, so that JSON may stand in HTML.
_ESCAPED = re.compile('[&<>\u2028\u2029]')
# And writes this for a byte that is no UTF-8, here a lone surrogate.
_NO_TEXT, _REPLACED = re.compile('[\ud800-\udfff]'), '\\ufffd'


class WrongNumber(ValueError):
    """``n`` cannot be used.

    :ivar detail: what the answer shows of it.
    """

    def __init__(self, detail: Union[int, str]) -> None:
        super().__init__(detail)
        self.detail = detail


def routes(index: SearchIndex, dialect: Callable[[], Dialect], limit: int) -> flask.Blueprint:
    """Return the Blueprint of this address.

    :param dialect: returns the registry's Dialect.
    :param limit: the most names of a page.
    """
    made = flask.Blueprint('catalog', __name__)

    @made.route(PATH, methods=_METHODS, provide_automatic_options=False)
    def catalog() -> flask.Response:
        if flask.request.method != 'GET':
            return other_method(flask.request.method)
        spoken = dialect()
        if not index.complete:
            # A part of it would be taken for the whole.
            return unavailable(spoken)
        query = flask.request.query_string
        try:
            size = page_size(first_in_go(query, b'n', 'surrogateescape'), limit, spoken.is_strict)
        except WrongNumber as error:
            return _error(spoken, 400, 'PAGINATION_NUMBER_INVALID',
                          'invalid number of results requested', {'n': error.detail})
        names = _names(index, first_in_go(query, b'last'), size)
        link = names[size - 1] if len(names) > size else None
        return _answer(spoken, 200, {'repositories': names[:size]}, link and _link(link, size))

    return made


def unauthorized(spoken: Dialect, headers: Iterable[Tuple[str, str]]) -> flask.Response:
    """Return the registry's own answer to those who may not read its catalog."""
    answer = _error(spoken, 401, 'UNAUTHORIZED', 'authentication required', [
        {'Type': 'registry', 'Class': '', 'Name': 'catalog', 'Action': '*'}])
    answer.headers.extend(list(headers))
    return answer


def unavailable(spoken: Dialect) -> flask.Response:
    """Return the registry's kind of answer when the index cannot be read."""
    return _error(spoken, 503, 'UNAVAILABLE', 'service unavailable', None)


def page_size(text: str, limit: int, is_strict: bool) -> int:
    """Return how many names a page has.

    :param text: the parameter ``n``, '' without one.
    :param limit: the most names of a page.
    :param is_strict: as 3.0.0, which refuses what is no number; 2.8.2 ignores that.
    :raises WrongNumber: it is no number, or above the limit.
    """
    default = min(_DEFAULT, limit)
    if not text:
        return default
    number = int(text) if _WHOLE.match(text) else -1
    if number < 0 or number > _GREATEST:
        if is_strict:
            raise WrongNumber(text)
        return default
    if number > limit:
        raise WrongNumber(number)
    return number


def as_json(document: Any) -> bytes:
    """Return the bytes that Go's encoder writes."""
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':'))
    text = _ESCAPED.sub(lambda found: f'\\u{ord(found.group()):04x}', text)
    return (_NO_TEXT.sub(lambda _: _REPLACED, text) + '\n').encode('utf-8')


def other_method(method: str) -> flask.Response:
    """Return the registry's own answer to other methods than GET."""
    if method == 'OPTIONS':
        answer = flask.Response(status=200)
        del answer.headers['Content-Type']
    else:
        answer = flask.Response('Method not allowed\n', 405,
                                content_type='text/plain; charset=utf-8')
        answer.headers['X-Content-Type-Options'] = 'nosniff'
    answer.headers['Allow'] = 'GET'
    answer.headers.extend([_VERSION])
    return answer


def _names(index: SearchIndex, last: str, size: int) -> List[str]:
    # Go compares names with NUL in the place of "/", the index with U+0001.
    after = last.replace('\0', '/').replace('\x01', '\x02') or None
    # One more than asked for shows whether there is a next page.
    return list(index.catalog(after, size + 1)) if size else []


def _link(last: str, size: int) -> str:
    return f'<{PATH}?last={quote_plus(last)}&n={size}>; rel="next"'


def _error(spoken: Dialect, status: int, code: str, message: str, detail: Any) -> flask.Response:
    return _answer(spoken, status, {'errors': [
        {'code': code, 'message': message, 'detail': detail}]})


def _answer(spoken: Dialect, status: int, document: Any,
            link: Optional[str] = None) -> flask.Response:
    answer = flask.Response(as_json(document), status, content_type=spoken.content_type)
    answer.headers.extend([_VERSION])
    if link:
        answer.headers['Link'] = link
    return answer
