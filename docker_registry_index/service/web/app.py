"""The web application: its routes, limits, credentials, answers to errors, and access log."""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import flask
from werkzeug.datastructures import Headers
from werkzeug.exceptions import HTTPException

from ...engine import SearchIndex, errors
from ..registry.client import RegistryClient
from ..registry.connection import LOOP_DETECTED, USER_AGENT
from ..settings import ServiceSettings
from ..sync.reconcile import NotificationPool
from . import catalog, monitoring, notifications, page, repository, search
from .auth import Guard, credentials_in, one_of
from .catalog import Dialect, DialectProbe
from .log import log_access
from .responses import RETRY, Refusal

logger = logging.getLogger(__name__)

_SENTENCES = {404: 'this address does not exist',
              500: 'the service failed; its log contains the error'}
#: The endpoints that return names, and so may require credentials, apart from those of the page.
_PROTECTED = ('search', 'catalog')
#: The key in the environ of requests to the separate address for monitoring.
MONITORING = 'registry_index.monitoring'
#: The most seconds that a search waits for a place.
_WAIT = 0.1


class Gate:
    """Counts the requests under way, each in a ``with``. Once closed, it refuses them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._is_closed:
                raise Refusal(503, 'the service is stopping, try again later', RETRY)
            self._under_way += 1

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Let no request begin, and wait for those under way; return True if they end in time."""
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._under_way, seconds)


def make_app(settings: ServiceSettings, index: SearchIndex, guard: Guard | None,
             registry: RegistryClient, pool: NotificationPool, metrics: monitoring.Metrics,
             gate: Gate) -> flask.Flask:
    """Return the Flask application of the service.

    :param guard: None if everybody may read."""
    app = flask.Flask('docker-registry-index', static_folder=None)
    # An attribute of Flask 2.2 and later; its stubs declare only the provider's base class.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    dialect = DialectProbe(registry)
    _admit_requests(app, settings, guard, gate)
    _answer_errors(app, dialect)
    _finish_requests(app, metrics, settings, dialect)
    prefix = urlsplit(settings.registry_url).path.rstrip('/')
    search.add_routes(app, index, metrics.note_incomplete_search)
    catalog.add_routes(app, index, dialect, settings.catalog_limit, prefix)
    if settings.page:
        page.add_routes(app, index, metrics.note_incomplete_search, prefix, functools.partial(
            repository.add_routes, client=registry, threads=settings.threads,
            has_cert=settings.registry_cert is not None, is_open=guard is None))
    notifications.add_routes(app, pool, settings.events_secret, metrics.note_notification,
                             index.sync_soon, settings.pull_through_cache)
    monitoring.add_routes(app, index, metrics)
    return app


def _admit_requests(app: flask.Flask, settings: ServiceSettings, guard: Guard | None,
                    gate: Gate) -> None:
    # So some threads stay free for notifications and monitoring if DynamoDB hangs.
    places = threading.BoundedSemaphore(max(1, settings.threads * 3 // 4))
    has_own_address = settings.monitoring_listen is not None

    @app.before_request
    def enter() -> None:
        flask.g.began, flask.g.under_way = time.monotonic(), contextlib.ExitStack()
        endpoint = flask.request.endpoint
        # These answer until the process ends.
        if endpoint not in ('live', 'metrics'):
            flask.g.under_way.enter_context(gate)
        # Health checks of containers request /healthz at either address.
        is_at_own = MONITORING in flask.request.environ
        if has_own_address and endpoint != 'live' and is_at_own != (
                endpoint in ('ready', 'metrics')):
            flask.abort(404)
        if endpoint in _PROTECTED or page.is_protected():
            flask.g.under_way.enter_context(one_of(places, _WAIT))
            if guard is not None:
                flask.g.user = _user(guard)

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        flask.g.under_way.close()


def _user(guard: Guard) -> str | None:
    if flask.request.headers.get('User-Agent') == USER_AGENT:
        raise Refusal(LOOP_DETECTED, 'REGISTRY_URL is the address of this service', RETRY)
    return guard(credentials_in(flask.request.headers.get('Authorization')))


def _finish_requests(app: flask.Flask, metrics: monitoring.Metrics, settings: ServiceSettings,
                     dialect: Callable[[], Dialect]) -> None:
    """Add the registry's own headers to what is answered in its place. Count, time and log all."""
    @app.after_request
    def end(answer: flask.Response) -> flask.Response:
        if flask.request.path.startswith('/v1/') or flask.request.path.endswith(catalog.PATH):
            answer.headers.extend([(name, value) for name, value in dialect().headers
                                   if name not in answer.headers])
        seconds, rule = time.monotonic() - flask.g.began, flask.request.url_rule
        metrics.note_request(rule.rule if rule else 'other', answer.status_code, seconds)
        log_access(answer, seconds, settings.trusted_proxies or ())
        return answer


def _answer_errors(app: flask.Flask, dialect: Callable[[], Dialect]) -> None:
    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> flask.typing.ResponseReturnValue:
        status, sentence = error.code or 500, error.description
        headers = Headers(error.get_headers())
        if not isinstance(error, Refusal):
            sentence = _SENTENCES.get(status, error.name)
        elif flask.request.endpoint == 'catalog':
            return catalog.refused(dialect(), status, headers)
        headers.pop('Content-Type', None)
        if flask.request.blueprint:
            return page.refused(status, headers)
        return flask.jsonify(error=sentence), status, headers

    @app.errorhandler(errors.DynamoDBIndexError)
    def failed(error: Exception) -> flask.typing.ResponseReturnValue:
        logger.error('a request for %s is answered with 503: %s', flask.request.path, error)
        return refused(Refusal(503, 'search is not available now, try again later', RETRY))
