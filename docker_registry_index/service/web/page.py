"""The search page for browsers: searches, and lists namespaces.

Its links are relative, so it works below any path at which a proxy serves it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import flask
from markupsafe import Markup, escape
from werkzeug.datastructures import Headers

from ...engine import Results, SearchIndex
from ...engine.errors import safe
from ...engine.search.ranking import parse
from ...engine.search.search import MOST
from ...engine.store.text import fold
from ..registry.layout import NAME_LENGTH
from .responses import parameter, whole_number
from .search import find, without_reference

#: The results of a page, and the number of the last page.
_SIZE = 25
_LAST = MOST // _SIZE
_FOLDER = Path(__file__).parent / 'static'
#: Of each static file, a checksum. Its address contains it, so browsers may keep the file.
_VERSIONS = {path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
             for path in _FOLDER.iterdir()}
_HEADERS = {
    'Content-Security-Policy': "default-src 'none'; style-src 'self'; script-src 'self'; "
                               "connect-src 'self'; img-src 'self'; form-action 'self'; "
                               "base-uri 'none'; frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'same-origin',
}
#: What the page answers instead of a result, by the status.
_SENTENCES = {
    401: 'This registry requires a user and a password.',
    404: 'This page does not exist.',
    429: 'Too many requests are under way. Try again in a moment.',
    500: 'The search has failed. The log of the service contains the error.',
    503: 'The search is not available now. Try again in a moment.'}


def is_protected() -> bool:
    """Return True if the request is for a page with names, which may require credentials."""
    return flask.request.blueprint is not None and not str(
        flask.request.endpoint).endswith('.static')


def refused(status: int, headers: Headers) -> flask.typing.ResponseReturnValue:
    """Return the page for a request that is refused with this status and these headers."""
    if status == 401 and not any(each.lower().startswith('basic')
                                 for each in headers.getlist('WWW-Authenticate')):
        # A browser knows no tokens. The service exchanges the password for one.
        headers.add('WWW-Authenticate', 'Basic realm="registry"')
    sentence = _SENTENCES.get(status, 'This request cannot be answered.')
    page = flask.render_template('error.html', sentence=sentence, term=parameter('q'))
    return page, status, headers


def add_routes(app: flask.Flask, index: SearchIndex, note_incomplete: Callable[[], None],
               prefix: str, add_others: Callable[[flask.Blueprint], None]) -> None:
    """Add the page.

    :param note_incomplete: called for each incomplete answer.
    :param prefix: of the registry's addresses, such as ``/images``; or ''.
    :param add_others: adds the other pages to the blueprint."""
    page = flask.Blueprint('page', __name__, static_folder='static', template_folder='templates',
                           static_url_path='/-/static')

    @page.route('/')
    def search() -> str:
        term = parameter('q')
        if not term.strip():
            return _namespace(index)
        number = min(whole_number(parameter('page')) or 1, _LAST)
        found = find(index, term, _SIZE, number)
        if found.is_incomplete:
            note_incomplete()
        return flask.render_template(
            'search.html', term=term, results=found, number=number, first=_SIZE * (number - 1) + 1,
            words=parse(without_reference(term)) or (),
            has_next=len(found) == _SIZE and number < _LAST,
            is_cut=len(found) == _SIZE and number == _LAST)

    @page.context_processor
    def names() -> dict[str, Any]:
        path = flask.request.path
        if prefix and path.startswith(prefix + '/'):
            path = path[len(prefix):]
        root = '../' * (path.count('/') - 1) or './'
        return {'root': root, 'host': safe(flask.request.host), 'marked': marked, 'safe': safe,
                'static': lambda name: f'{root}-/static/{name}?v={_VERSIONS[name]}'}

    add_others(page)
    page.after_request(_finish)
    for each in {'', prefix}:
        app.register_blueprint(page, url_prefix=each or None, name='page' + each.replace('/', '-'))


def _namespace(index: SearchIndex) -> str:
    # No namespace is longer. Its parents have the square of its length.
    inside, after = parameter('in')[:NAME_LENGTH], parameter('after')
    inside = inside and inside.rstrip('/') + '/'
    found = index.browse(inside, after)
    return flask.render_template('namespace.html', term='', inside=inside, after=after,
                                 parents=_parents(inside), results=found, summary=_summary(found))


def _summary(found: Results) -> str:
    """Return how many namespaces and repositories were found."""
    namespaces = sum(each.name.endswith('/') for each in found)
    counts = ((namespaces, 'namespace', 'namespaces'),
              (len(found) - namespaces, 'repository', 'repositories'))
    shown = ' and '.join(f'{count} {one if count == 1 else many}'
                         for count, one, many in counts if count) or 'No repositories'
    return f'{shown}, and more' if found.is_incomplete else shown


def _parents(inside: str) -> list[tuple[str, str]]:
    """Return the last part of each namespace on the way to one, and its name."""
    parts = inside.split('/')[:-1]
    return [(part, '/'.join(parts[:place + 1]) + '/') for place, part in enumerate(parts)]


def _finish(answer: flask.Response) -> flask.Response:
    answer.headers.update(_HEADERS)
    if is_protected():
        answer.cache_control.private = answer.cache_control.no_cache = True
    elif answer.status_code in (200, 304) and (
            parameter('v') == _VERSIONS.get(Path(flask.request.path).name)):
        # Another version's page may request a file from this one during an upgrade.
        answer.cache_control.no_cache = None
        answer.cache_control.public = answer.cache_control.immutable = True
        answer.cache_control.max_age = 365 * 24 * 3600
    return answer


def marked(text: str, words: Iterable[str], starts_only: bool = False) -> Markup:
    """Return a text as HTML in which what matches the words is marked.

    :param starts_only: True to mark only what starts a word, as in descriptions."""
    start = r'(?<![^\W_])' if starts_only else ''
    longest = sorted(map(re.escape, words), key=len, reverse=True)
    found = re.finditer(start + '(?:' + '|'.join(longest) + ')', fold(text)) if longest else ()
    parts, place = [], 0
    for match in found:
        parts += [escape(safe(text[place:match.start()])),
                  Markup('<mark>%s</mark>') % safe(text[match.start():match.end()])]
        place = match.end()
    return Markup('').join([*parts, escape(safe(text[place:]))])
