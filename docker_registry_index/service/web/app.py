"""The web application: its routes, limits, credentials, answers to errors, and access log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ...engine import SearchIndex, errors
from ...engine.errors import safe
from ..registry.connection import LOOP_DETECTED, USER_AGENT
from ..settings import ServiceSettings
from ..sync.reconcile import NotificationPool
from . import catalog, monitoring, notifications, search
from .auth import Busy, Guard, Refused, credentials_in
from .catalog import Dialect
from .log import log_access
from .responses import refusal

logger = logging.getLogger(__name__)

_UNAVAILABLE = 'search is not available now, try again later'
_SENTENCES = {404: 'this address does not exist',
              500: 'the service failed; its log contains the error'}
#: The endpoints that return names, for which credentials may be required.
_PROTECTED = ('search.search', 'catalog.catalog')
#: The endpoints that answer until the process ends.
_MONITORING = ('monitoring.live', 'monitoring.metrics')
#: The key of a request, in its environ, that came to the address for monitoring alone.
MONITORING = 'registry_index.monitoring'
#: The most seconds that a search waits for a place.
_WAIT = 0.1


class Gate:
    """Counts the requests under way. Once it is closed, no request may begin."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_closed = False

    def enter(self) -> bool:
        """Admit a request, and return True, unless closed. When the request ends, call leave."""
        with self._changed:
            self._under_way += not self._is_closed
            return not self._is_closed

    def leave(self) -> None:
        """Note that a request has ended."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Let no request begin, and wait for those under way; return True if they end in time."""
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._under_way, seconds)


def make_app(settings: ServiceSettings, index: SearchIndex, guard: Guard | None,
             dialect: Callable[[], Dialect], pool: NotificationPool, metrics: monitoring.Metrics,
             gate: Gate) -> flask.Flask:
    """Return the Flask application of the service.

    :param guard: None if everybody may read.
    :param dialect: a function that returns the registry's Dialect."""
    app = flask.Flask('docker-registry-index', static_folder=None)
    # An attribute of Flask 2.2 and later; its stubs declare only the provider's base class.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    _record_requests(app, metrics, settings)
    _limit_requests(app, gate, settings.threads, dialect)
    if settings.monitoring_listen is not None:
        _separate_monitoring(app)
    if guard is not None:
        _check_credentials(app, guard, dialect)
    _answer_errors(app, dialect)
    _add_headers_of_registry(app, dialect)
    for each in (search.routes(index, metrics.note_incomplete_search),
                 catalog.routes(index, dialect, settings.catalog_limit,
                                urlsplit(settings.registry_url).path.rstrip('/')),
                 notifications.routes(pool, settings.events_secret, metrics.note_notification,
                                      index.sync_soon, settings.pull_through_cache),
                 monitoring.routes(index, metrics)):
        app.register_blueprint(each)
    return app


def _record_requests(app: flask.Flask, metrics: monitoring.Metrics,
                     settings: ServiceSettings) -> None:
    """Count, time and log each request."""
    @app.before_request
    def begin() -> None:
        flask.g.began = time.monotonic()

    @app.after_request
    def end(answer: flask.Response) -> flask.Response:
        seconds, rule = time.monotonic() - flask.g.began, flask.request.url_rule
        metrics.note_request(rule.rule if rule else None, answer.status_code, seconds)
        log_access(answer, seconds, settings.trusted_proxies or ())
        return answer


def _limit_requests(app: flask.Flask, gate: Gate, threads: int, dialect: Callable[[], Dialect]
                    ) -> None:
    # Some threads stay free for notifications and monitoring when DynamoDB hangs.
    places = threading.BoundedSemaphore(max(1, threads * 3 // 4))

    @app.before_request
    def enter() -> flask.Response | None:
        flask.g.ends = ends = []
        if flask.request.endpoint in _MONITORING:
            return None
        if not gate.enter():
            return _unavailable(dialect, 'the service is stopping, try again later')
        ends.append(gate.leave)
        if flask.request.endpoint in _PROTECTED:
            if not places.acquire(timeout=_WAIT):
                return _overloaded(dialect)
            ends.append(places.release)
        return None

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        for end in flask.g.pop('ends', ()):
            end()


def _separate_monitoring(app: flask.Flask) -> None:
    """Answer /readyz and /metrics at their own address alone, which answers nothing else. Health
    checks of containers request /healthz at either one."""
    @app.before_request
    def check() -> None:
        endpoint = flask.request.endpoint or ''
        is_at_own = MONITORING in flask.request.environ
        if endpoint != 'monitoring.live' and endpoint.startswith('monitoring.') != is_at_own:
            flask.abort(404)


def _check_credentials(app: flask.Flask, guard: Guard, dialect: Callable[[], Dialect]) -> None:
    @app.before_request
    def check() -> flask.Response | None:
        if flask.request.endpoint in _PROTECTED:
            if flask.request.headers.get('User-Agent') == USER_AGENT:
                return _unavailable(dialect, 'REGISTRY_URL is the address of this service',
                                    LOOP_DETECTED)
            given = credentials_in(flask.request.headers.get('Authorization'))
            flask.g.user = guard(given)
        return None

    @app.errorhandler(Refused)
    def refused(error: Refused) -> flask.Response:
        challenges = [('WWW-Authenticate', each) for each in error.challenges]
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unauthorized(dialect(), challenges)
        return refusal(401, 'this registry requires credentials', challenges)

    @app.errorhandler(Busy)
    def busy(error: Busy) -> flask.Response:
        return _overloaded(dialect)


def _add_headers_of_registry(app: flask.Flask, dialect: Callable[[], Dialect]) -> None:
    """Add the registry's own headers to all that is answered in its place."""
    @app.after_request
    def add(answer: flask.Response) -> flask.Response:
        if flask.request.path.startswith('/v1/') or flask.request.path.endswith(catalog.PATH):
            answer.headers.extend([(name, value) for name, value in dialect().headers
                                   if name not in answer.headers])
        return answer


def _overloaded(dialect: Callable[[], Dialect]) -> flask.Response:
    # With 503, nginx and podman would read the catalog of the registry, which costs more.
    return _unavailable(dialect, 'too many requests are under way, try again later', 429)


def _unavailable(dialect: Callable[[], Dialect], sentence: str, status: int = 503
                 ) -> flask.Response:
    answer = (catalog.unavailable(dialect(), status)
              if flask.request.endpoint == 'catalog.catalog' else refusal(status, sentence))
    answer.headers['Retry-After'] = '1'
    return answer


def _answer_errors(app: flask.Flask, dialect: Callable[[], Dialect]) -> None:
    @app.errorhandler(errors.DynamoDBIndexError)
    def failed(error: Exception) -> flask.Response:
        logger.error('a request for %s is answered with 503: %s', flask.request.path, error)
        return _unavailable(dialect, _UNAVAILABLE)

    @app.errorhandler(405)
    def method_not_allowed(error: MethodNotAllowed) -> flask.Response:
        if flask.request.path.endswith(catalog.PATH):
            return catalog.method_not_allowed(flask.request.method)
        return refusal(405, f'{safe(flask.request.method):.20s} is not allowed here',
                       [('Allow', ', '.join(sorted(error.valid_methods or ())))])

    @app.errorhandler(HTTPException)
    def other(error: HTTPException) -> flask.Response:
        status = error.code or 500
        return refusal(status, _SENTENCES.get(status, error.name))
