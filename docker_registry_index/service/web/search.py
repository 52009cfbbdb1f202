"""GET /v1/search and /v1/_ping, as docker search and podman search ask.

https://docs.docker.com/v1.6/reference/api/docker-io_api/#search
"""

from __future__ import unicode_literals

import re

import flask

from ...engine.redaction import safe
from .responses import refusal, whole_number
from .parameters import first_of

__all__ = ['routes']

#: What docker and podman ask for at most, and by default.
LIMIT, DEFAULT = 100, 25
#: So that a page far behind does not read a whole index.
PAGES = 100

# No name has these: what follows is a tag or a digest.
_REFERENCE = re.compile('[:@].*', re.DOTALL)


def routes(index):
    """The Blueprint of these addresses.

    :param index: a SearchIndex.
    """
    made = flask.Blueprint('search', __name__)

    @made.route('/v1/_ping')
    def ping():
        return flask.jsonify(True)

    @made.route('/v1/search')
    def search():
        query = flask.request.query_string
        limit = whole_number(first_of(query, b'n') or str(DEFAULT), 1, LIMIT)
        page = whole_number(first_of(query, b'page') or '1', 1, PAGES)
        if limit is None:
            return refusal(400, 'parameter n must be a whole number from 1 '
                                'to %d' % LIMIT)
        if page is None:
            return refusal(400, 'parameter page must be a whole number from '
                                '1 to %d' % PAGES)
        term = first_of(query, b'q')
        found = _found(index, term, limit, limit * (page - 1))
        return flask.jsonify(_answer(term, found, limit, page))

    return made


def _found(index, term, limit, skip):
    wanted = _REFERENCE.sub('', term)
    if term.strip() and not wanted.strip():
        return []
    return index.search(wanted, limit, skip)


def _answer(term, found, limit, page):
    """How many there are in all would take a search without a limit: so
    num_results tells those up to this page, and num_pages one page more
    where this one is full."""
    return {
        'query': safe(term), 'page': page, 'page_size': limit,
        'num_pages': page + (len(found) == limit),
        'num_results': limit * (page - 1) + len(found),
        'results': [_result(result) for result in found]}


def _result(result):
    return {'name': safe(result.name), 'description': safe(
        result.description), 'star_count': 0, 'is_official': False,
        'is_automated': False, 'is_trusted': False}
