"""GET /v2/_catalog, as the registry beside would answer it, without a walk.

The same bytes as CNCF Distribution 2.8.2 and 3.0.0, which differ in little:
https://github.com/distribution/distribution/blob/v3.0.0/registry/handlers/catalog.go
"""

from __future__ import unicode_literals

import json
import re
from urllib.parse import quote_plus

import flask

from .parameters import first_in_go

__all__ = ['PATH', 'WrongNumber', 'as_json', 'other_method', 'page_size',
           'routes', 'unauthorized', 'unavailable']

PATH = '/v2/_catalog'

#: Of a page without ``n``.
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
    """``n`` cannot be; ``told`` is what the answer says of it."""

    def __init__(self, told):
        super(WrongNumber, self).__init__(told)
        self.told = told


def routes(index, dialect, limit):
    """The Blueprint of this address.

    :param index: a SearchIndex.
    :param dialect: a function that gives the registry's Dialect.
    :param limit: the most names of a page.
    """
    made = flask.Blueprint('catalog', __name__)

    @made.route(PATH, methods=_METHODS,
                provide_automatic_options=False)
    def catalog():
        if flask.request.method != 'GET':
            return other_method(flask.request.method)
        spoken = dialect()
        if not index.complete:
            # A part of it would be taken for the whole.
            return unavailable(spoken)
        query = flask.request.query_string
        try:
            size = page_size(first_in_go(query, b'n', 'surrogateescape'),
                             limit, spoken.is_strict)
        except WrongNumber as error:
            return _error(spoken, 400, 'PAGINATION_NUMBER_INVALID',
                          'invalid number of results requested',
                          {'n': error.told})
        names = _names(index, first_in_go(query, b'last'), size)
        link = names[size - 1] if len(names) > size else None
        return _answer(spoken, 200, {'repositories': names[:size]},
                       link and _link(link, size))

    return made


def unauthorized(spoken, headers):
    """The registry's own answer to those who may not read its catalog."""
    answer = _error(spoken, 401, 'UNAUTHORIZED', 'authentication required', [
        {'Type': 'registry', 'Class': '', 'Name': 'catalog', 'Action': '*'}])
    answer.headers.extend(headers)
    return answer


def unavailable(spoken):
    """The registry's kind of answer when the index cannot be read."""
    return _error(spoken, 503, 'UNAVAILABLE', 'service unavailable', None)


def page_size(text, limit, is_strict):
    """How many names a page has.

    :param text: the parameter ``n``, '' without one.
    :param limit: the most names of a page.
    :param is_strict: as 3.0.0, which refuses what is no number; 2.8.2 takes
        it for none.
    :raises WrongNumber: it is none, or above the limit.
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


def as_json(document):
    """The bytes that Go's encoder writes."""
    text = json.dumps(document, ensure_ascii=False, separators=(',', ':'))
    text = _ESCAPED.sub(lambda found: '\\u%04x' % ord(found.group()), text)
    return (_NO_TEXT.sub(lambda _: _REPLACED, text) + '\n').encode('utf-8')


def _names(index, last, size):
    # Go compares names with NUL in the place of "/", the index with U+0001.
    after = last.replace('\0', '/').replace('\x01', '\x02') or None
    # One more than asked for tells whether there is a next page.
    return index.catalog(after, size + 1) if size else []


def _link(last, size):
    return '<%s?last=%s&n=%d>; rel="next"' % (PATH, quote_plus(last), size)


def _error(spoken, status, code, message, detail):
    return _answer(spoken, status, {'errors': [
        {'code': code, 'message': message, 'detail': detail}]})


def _answer(spoken, status, document, link=None):
    answer = flask.Response(as_json(document), status,
                            content_type=spoken.content_type)
    answer.headers.extend([_VERSION])
    if link:
        answer.headers['Link'] = link
    return answer


def other_method(method):
    """The registry's own answer to other methods than GET."""
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
