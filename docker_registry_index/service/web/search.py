"""Answers GET /v1/search and /v1/_ping, which docker search and podman search send.

https://docs.docker.com/v1.6/reference/api/docker-io_api/#search"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask

from ...engine import Results, SearchIndex
from ...engine.errors import safe
from ...engine.search.search import MOST
from .responses import Refusal, first_value, whole_number

#: The most results of a page, and the default. docker requests no more; podman may.
LIMIT, DEFAULT = 100, 25

# A tag or a digest follows these characters, which no name has.
_REFERENCE = re.compile('[:@].*', re.DOTALL)


def add_routes(app: flask.Flask, index: SearchIndex, note_incomplete: Callable[[], None]) -> None:
    """Add the search and the ping.

    :param note_incomplete: called for each incomplete answer."""
    @app.route('/v1/_ping')
    def ping() -> flask.Response:
        return flask.jsonify(True)

    @app.route('/v1/search')
    def search() -> flask.Response:
        query = flask.request.query_string
        number = whole_number(first_value(query, 'n') or str(DEFAULT))
        if number is None:
            raise Refusal(400, 'parameter n must be a whole number, 1 or more')
        limit = min(number, LIMIT)
        # The engine reads no further.
        pages = MOST // limit
        page = whole_number(first_value(query, 'page') or '1')
        if page is None or page > pages:
            raise Refusal(400, f'parameter page must be a whole number, from 1 to {pages}')
        term = first_value(query, 'q')
        found = find(index, term, limit, page)
        if found.is_incomplete:
            note_incomplete()
        return flask.jsonify(_document(term, found, limit, page, pages))


def find(index: SearchIndex, term: str, limit: int, page: int) -> Results:
    """Return the results on a page of a search. A tag or a digest in the term is ignored."""
    name = without_reference(term)
    is_tag_alone = term.strip() and not name.strip()
    return Results() if is_tag_alone else index.search(name, limit, limit * (page - 1))


def without_reference(term: str) -> str:
    """Return a term without a tag or a digest."""
    return _REFERENCE.sub('', term)


def _document(term: str, found: Results, limit: int, page: int, pages: int) -> dict[str, Any]:
    """Return the answer that docker reads. A total would need a search without a limit, so
    num_results counts the results up to this page. If the page is full, num_pages is one more, up
    to the last page.

    :param pages: the number of the last page."""
    return {
        'query': safe(term), 'page': page, 'page_size': limit,
        'num_pages': min(page + (len(found) == limit), pages),
        'num_results': limit * (page - 1) + len(found),
        'incomplete_results': found.is_incomplete,
        'results': [{
            'name': safe(result.name), 'description': safe(result.description), 'star_count': 0,
            'is_official': False, 'is_automated': False, 'is_trusted': False}
            for result in found]}
