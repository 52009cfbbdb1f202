"""The page of a repository for browsers: its tags, and the details of one of them.

All of it is read from the registry with the visitor's own rights."""

from __future__ import annotations

import concurrent.futures
import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlencode

import flask
from cachetools import TLRUCache

from ..registry.client import RegistryClient, is_tag
from ..registry.connection import CredentialsRefused, RegistryUnavailable
from ..registry.details import read_details
from ..registry.image import is_secondary, rank
from ..registry.layout import is_name
from .auth import Busy, credentials_in, header_of, keyed_hash, one_of
from .responses import Refusal, parameter, whole_number

logger = logging.getLogger(__name__)

#: The tags on a page, and the most tags that are remembered of a repository.
_SIZE, _MOST_TAGS = 50, 100_000
#: Seconds for which these are remembered: what the registry has answered; that it refuses a
#: visitor; and that it does not answer.
_ANSWERED, _REFUSED, _UNAVAILABLE = 60, 5, 1
#: The most seconds that a page waits for the registry, that a read goes on for the next request of
#: the page, and that a page waits for a place.
_WAIT, _TIMEOUT, _PLACE = 3, 30, 0.2
#: The most reads at once, and the characters that are remembered of all of them together.
_READS, _REMEMBERED = 8, 5_000_000
#: The most characters of a parameter in a link.
_LONGEST = 300
_HOST = re.compile(r'(?:[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?\Z')


class Listing(NamedTuple):
    """The tags of a repository, the newest version first, without those of signatures, attestations
    and build caches, which are ``secondary``. ``is_complete`` is False if it may have others."""

    tags: list[str]
    secondary: list[str]
    is_complete: bool


class Visitors:
    """Reads tags and details with the rights of visitors, and remembers them for a minute.

    A read that takes long goes on while the page is answered, so that the next request finds it.

    :param client: of the registry; its own credentials are not used.
    :param has_cert: True if the client has a certificate, which gives no visitor a right."""

    def __init__(self, client: RegistryClient, has_cert: bool = False,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._has_cert, self._lock = client, has_cert, threading.Lock()
        self._places = threading.BoundedSemaphore(_READS)
        self._pool = concurrent.futures.ThreadPoolExecutor(_READS)
        self._reads: TLRUCache[bytes, concurrent.futures.Future[Any]] = TLRUCache(
            _REMEMBERED, lambda _, read, now: now + _seconds(read), clock, _weight)

    def read(self, sent: str | None, name: str, tag: str = '') -> concurrent.futures.Future[Any]:
        """Return the future Listing of a repository, or the future Details of a tag or digest,
        which are None if it does not exist.

        :param sent: the header Authorization of the visitor, or None.
        :raises Busy: too many reads are under way."""
        key = keyed_hash(repr((sent, name, tag)))
        with self._lock:
            found = self._reads.get(key)
            if found is not None:
                return found
            if not self._places.acquire(blocking=False):
                raise Busy()
            future = self._pool.submit(self._run, self._client.of_caller(sent), sent, name, tag)
            self._reads[key] = future
        future.add_done_callback(lambda _: self._end(key, future))
        return future

    def _run(self, client: RegistryClient, sent: str | None, name: str, tag: str) -> object:
        found = read_details(client, name, tag, _TIMEOUT) if tag else _listing(client, name)
        if self._has_cert and not (sent and client.scheme):
            # Perhaps only the certificate of the service permits this.
            raise CredentialsRefused(client.url, 401 if client.scheme else 403, False)
        return found

    def _end(self, key: bytes, future: concurrent.futures.Future[Any]) -> None:
        """Remember a read from its end on, with its weight."""
        self._places.release()
        with self._lock:
            self._reads[key] = future


def _seconds(read: concurrent.futures.Future[Any]) -> float:
    error = read.exception() if read.done() else None
    if isinstance(error, CredentialsRefused):
        return _REFUSED
    is_whole = not read.done() or getattr(error or read.result(), 'is_whole', error is None)
    return _ANSWERED if is_whole else _UNAVAILABLE


def _weight(read: concurrent.futures.Future[Any]) -> int:
    """Return about how many characters a read holds in memory."""
    is_there = read.done() and read.exception() is None
    # The largest list may fill the cache.
    return min(_REMEMBERED, len(repr(read.result()))) if is_there else 100


def _listing(client: RegistryClient, name: str) -> Listing:
    found = client.all_tags(name, _TIMEOUT)
    # A text that is no tag could be a command in a line to copy.
    # Sorting costs 10 to 30 microseconds for each tag.
    tags = sorted(filter(is_tag, found[:_MOST_TAGS]), key=rank, reverse=True)
    return Listing([tag for tag in tags if not is_secondary(tag)],
                   [tag for tag in tags if is_secondary(tag)],
                   found.is_complete and len(found) <= _MOST_TAGS)


def add_routes(page: flask.Blueprint, client: RegistryClient, threads: int, has_cert: bool,
               is_open: bool) -> None:
    """Add the page to the blueprint of the search page.

    :param threads: of the service; at most a quarter of them wait for the registry, and as many
        for one of these.
    :param is_open: True if everybody may search; then this page asks for passwords."""
    visitors, share = Visitors(client, has_cert), max(1, threads // 4)
    places, queue = threading.BoundedSemaphore(share), threading.BoundedSemaphore(2 * share)

    @page.route('/-/r/<path:name>')
    def repository(name: str) -> flask.typing.ResponseReturnValue:
        if not is_name(name):
            raise Refusal(404, 'there is no such repository')
        if client.is_cache:
            return _answer(name, problem='cache')
        with one_of(queue, 0), one_of(places, _PLACE):
            try:
                return _show(visitors, name)
            except CredentialsRefused as error:
                if is_open and error.status == 401 and not error.has_token:
                    raise Refusal(401, 'this registry requires credentials') from None
                return _answer(name, 403, problem='refused')


def _show(visitors: Visitors, name: str) -> flask.typing.ResponseReturnValue:
    sent = header_of(credentials_in(flask.request.headers.get('Authorization')))
    tag, end = parameter('tag'), time.monotonic() + _WAIT
    # Both are read at the same time.
    listed, opened = visitors.read(sent, name), tag and visitors.read(sent, name, tag)
    listing, problem = _wait(listed, end, name)
    tags = [*listing.tags[:1], *listing.secondary[:1]] if listing else []
    if tags and not tag:
        tag, opened = tags[0], visitors.read(sent, name, tags[0])
    details, tag_problem = _wait(opened, end, name) if opened else (None, '')
    if details is None and not tags:
        problem = problem or tag_problem
        return _answer(name, 503 if problem else 404, problem=problem or 'absent')
    return _answer(name, 200 if details or tag_problem or problem else 404, tag=tag,
                   details=details, problem=problem, tag_problem=tag_problem,
                   **_page_of(listing) if listing else {})


def _wait(future: concurrent.futures.Future[Any], end: float, name: str) -> tuple[Any, str]:
    """Return the result of a read, and ''; or None and the problem.

    :raises CredentialsRefused: the visitor may not read the repository."""
    try:
        return future.result(max(0, end - time.monotonic())), ''
    except concurrent.futures.TimeoutError:
        return None, 'late'
    except CredentialsRefused:
        raise
    except RegistryUnavailable as error:
        logger.warning('the page of %s is incomplete: %s', name, error)
        return None, 'unavailable'


def _answer(name: str, status: int = 200, **values: Any) -> flask.typing.ResponseReturnValue:
    host = flask.request.host if _HOST.match(flask.request.host) else 'HOST'
    text = flask.render_template(
        'repository.html', name=name, term='', is_opened=bool(parameter('tag')), link=_link,
        address=f'{host}/{name}', **values)
    return text, status, {'Retry-After': '1'} if status == 503 else {}


def _link(**changes: object) -> str:
    """Return the query of this page with other parameters."""
    parameters = {key: parameter(key)[:_LONGEST] for key in ('tag', 'filter', 'all', 'page')}
    return '?' + urlencode({key: value for key, value in {**parameters, **changes}.items()
                            if value})


def _page_of(listing: Listing) -> dict[str, Any]:
    """Return what the page shows of the tags: those that contain the filter, from a page on."""
    wanted = parameter('filter')[:_LONGEST].strip()
    has_all = bool(parameter('all')) or not listing.tags
    tags = listing.tags + listing.secondary if has_all else listing.tags
    found = [tag for tag in tags if wanted.lower() in tag.lower()] if wanted else tags
    last = max(1, -(-len(found) // _SIZE))
    number = min(whole_number(parameter('page')) or 1, last)
    return {'listing': listing, 'wanted': wanted, 'has_all': has_all, 'found': len(found),
            'number': number, 'last': last, 'tags': found[_SIZE * (number - 1):_SIZE * number]}
