"""The web application: its parts put together, who gets in, how errors are answered, and a log.
"""

import logging
import threading
import time
from typing import Callable, Optional, Tuple, Union

import flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from ...engine import SearchIndex, errors
from ...engine.errors import safe
from ..registry.dialect import Dialect
from ..settings import ServiceSettings
from ..sync.notification_pool import NotificationPool
from . import catalog, monitoring, notifications, search
from .auth import Anybody, Busy, Users, basic_credentials
from .responses import refusal

__all__ = ['Gate', 'ConcurrencyLimit', 'access_log', 'make_app']

logger = logging.getLogger(__name__)
#: A line for each request.
access_log = logging.getLogger('docker_registry_index.access')

_UNAVAILABLE = 'search is not available now, try again later'
#: What clients ask for.
_READING = ('search.search', 'catalog.catalog')
#: What is answered until the process ends.
_MONITORING = ('monitoring.live', 'monitoring.metrics')
#: Seconds to wait for another one to leave; and without anybody leaving, after which nobody waits.
_WAIT, _STILL = 0.2, 0.5

DialectProbe = Callable[[], Dialect]


class Gate:
    """Counts the requests under way; once it is closed, it lets no more in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._under_way = 0
        self._is_closed = False

    def enter(self) -> bool:
        """Return whether a request may begin; if so, it must leave."""
        with self._changed:
            if not self._is_closed:
                self._under_way += 1
            return not self._is_closed

    def leave(self) -> None:
        """Note that a request has been answered."""
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def close(self, seconds: float) -> bool:
        """Let no more in, and wait for those under way.

        :returns: whether all were answered in time.
        """
        with self._changed:
            self._is_closed = True
            return self._changed.wait_for(lambda: not self._under_way, seconds)


class ConcurrencyLimit:
    """Lets some in at once.

    While they come and go, one more waits a moment. If nobody leaves, as when DynamoDB does not
    answer, it is refused at once.

    :param size: how many.
    """

    def __init__(self, size: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = threading.BoundedSemaphore(size)
        self._clock = clock
        self._left_at = clock()

    def enter(self) -> bool:
        """Return whether a request may begin; if so, it must leave."""
        if self._free.acquire(blocking=False):
            return True
        if self._clock() - self._left_at > _STILL:
            return False
        return self._free.acquire(timeout=_WAIT)

    def leave(self) -> None:
        """Note that a request has been answered."""
        self._left_at = self._clock()
        self._free.release()


def make_app(settings: ServiceSettings, index: SearchIndex, users: Union[Anybody, Users],
             dialect: DialectProbe, pool: NotificationPool, metrics: monitoring.Metrics,
             gate: Gate) -> flask.Flask:
    """Return the Flask application.

    :param index: a SearchIndex, started.
    :param dialect: returns the registry's Dialect.
    """
    app = flask.Flask('docker-registry-index', static_folder=None)
    # An attribute of Flask 2.2 and later; its stubs know only the provider's base class.
    app.json.sort_keys = False  # type: ignore[attr-defined]
    _note_requests(app, metrics)
    # Some threads stay free for notifications and monitoring when DynamoDB hangs.
    _limit_requests(app, gate, ConcurrencyLimit(max(1, settings.threads * 3 // 4)), dialect)
    _ask_for_credentials(app, users, dialect)
    _answer_errors(app, dialect)
    for part in (search.routes(index),
                 catalog.routes(index, dialect, settings.catalog_limit),
                 notifications.routes(pool, settings.events_secret, metrics.note_notification,
                                      index.sync_soon),
                 monitoring.routes(index, metrics)):
        app.register_blueprint(part)
    return app


def _note_requests(app: flask.Flask, metrics: monitoring.Metrics) -> None:
    """Count, time and log each request."""
    @app.before_request
    def begin() -> None:
        flask.g.began = time.monotonic()

    @app.after_request
    def end(answer: flask.Response) -> flask.Response:
        seconds, rule = time.monotonic() - flask.g.began, flask.request.url_rule
        metrics.note_request(rule.rule if rule else None, answer.status_code, seconds)
        access_log.info('%s "%s" %d %s %dms', flask.request.remote_addr, _request_line(),
                        answer.status_code, answer.calculate_content_length(), 1000 * seconds)
        return answer


def _request_line() -> str:
    """Return what was asked as printable ASCII without quotes: it must neither control a terminal
    nor forge a line."""
    environ = flask.request.environ
    line = ' '.join([environ['REQUEST_METHOD'], environ['REQUEST_URI'],
                     environ['SERVER_PROTOCOL']])
    return line.encode('unicode_escape').decode('ascii').replace('"', '\\x22')


def _limit_requests(app: flask.Flask, gate: Gate, limit: ConcurrencyLimit,
                    dialect: DialectProbe) -> None:
    @app.before_request
    def enter() -> Optional[flask.Response]:
        flask.g.entered = []
        if flask.request.endpoint in _MONITORING:
            return None
        if not _enter(gate):
            return _unavailable(dialect, 'the service is stopping, try again later')
        if flask.request.endpoint in _READING and not _enter(limit):
            return _unavailable(dialect, _UNAVAILABLE)
        return None

    @app.teardown_request
    def leave(error: Optional[BaseException]) -> None:
        for each in flask.g.pop('entered', ()):
            each.leave()


def _enter(where: Union[Gate, ConcurrencyLimit]) -> bool:
    if not where.enter():
        return False
    flask.g.entered.append(where)
    return True


def _ask_for_credentials(app: flask.Flask, users: Union[Anybody, Users],
                         dialect: DialectProbe) -> None:
    """Before searches and the catalog; the other addresses are for no client, or have a secret of
    their own."""
    @app.before_request
    def check() -> Optional[flask.Response]:
        if flask.request.endpoint not in _READING:
            return None
        given = flask.request.headers.get('Authorization', '')
        if users.may_read(*basic_credentials(given)):
            return None
        spoken = dialect()
        challenge = [('WWW-Authenticate', f'Basic realm="{spoken.realm}"')]
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unauthorized(spoken, challenge)
        return refusal(401, 'this registry wants a user name and a password', challenge)


def _unavailable(dialect: DialectProbe, sentence: str,
                 *headers: Tuple[str, str]) -> flask.Response:
    if flask.request.endpoint == 'catalog.catalog':
        return catalog.unavailable(dialect())
    return refusal(503, sentence, headers)


def _answer_errors(app: flask.Flask, dialect: DialectProbe) -> None:
    @app.errorhandler(errors.DynamoDBIndexError)
    def failed(error: Exception) -> flask.Response:
        logger.error('%s failed: %s', flask.request.path, error)
        return _unavailable(dialect, _UNAVAILABLE)

    @app.errorhandler(Busy)
    def busy(error: Busy) -> flask.Response:
        return _unavailable(dialect, 'too many log in at once, try again later',
                            ('Retry-After', '1'))

    @app.errorhandler(404)
    def unknown(error: HTTPException) -> flask.Response:
        return refusal(404, 'there is nothing here')

    @app.errorhandler(405)
    def other_method(error: MethodNotAllowed) -> flask.Response:
        if flask.request.path == catalog.PATH:
            return catalog.other_method(flask.request.method)
        return refusal(405, f'this address takes no {safe(flask.request.method):.20s}',
                       [('Allow', ', '.join(sorted(error.valid_methods or ())))])

    @app.errorhandler(413)
    def too_large(error: HTTPException) -> flask.Response:
        return refusal(413, 'the body is too large')

    @app.errorhandler(500)
    def wrong(error: Exception) -> flask.Response:
        return refusal(500, 'something went wrong; the log says what')
