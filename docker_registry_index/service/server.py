"""The service as a process: its parts put together, waitress in front of them, and its end.

Copies of it, behind a balancer, need to know nothing of each other.
"""

import logging
import os
import queue
import resource
import signal
import socket
import sys
import time
from typing import Any, NoReturn, Optional, Union

import waitress

from ..engine import SearchIndex, errors
from ..engine.concurrency import SingleFlight, run_side_by_side, start_thread
from ..engine.errors import safe
from .registry.dialect import DialectProbe
from .settings import ServiceSettings
from .sources.selection import registry_of, source_of
from .sync.description_worker import DescriptionWorker
from .sync.notification_pool import NotificationPool
from .sync.reconcile import Reconciler
from .web.app import Gate, access_log, make_app
from .web.auth import Anybody, Users
from .web.monitoring import Metrics
from .web.notifications import LARGEST

__all__ = ['CONNECTIONS', 'SILENCE', 'Service', 'listen', 'log_to_stderr', 'make_server', 'serve']

logger = logging.getLogger(__name__)

#: Seconds for requests under way at the end: less than Kubernetes gives, and with what follows less
#: than 25.
_GRACE = 20
#: Seconds at the end for descriptions that are being read, for all that goes on in the background
#: (less than docker stop gives), and for the last answers to be written.
_STOP, _STOP_ALL, _WRITE = 4, 8, 1
#: Seconds to ask DynamoDB before anything starts.
_ASK = 3
#: Seconds without a byte after which a connection is closed, whether it is idle, or has sent part
#: of a request, or does not take its answer. More than nginx keeps an idle one: it must not use one
#: that is just being closed.
SILENCE = 15
#: Connections at once. Each may hold a body, which is in a file from 64 KB on.
CONNECTIONS = 1000
_IN_MEMORY = 64 * 1024
#: Bytes of the head of a request: more than the proxies before it let pass.
_HEAD_BYTES = 64 * 1024
_LINE = '%(asctime)s %(levelname)s: %(message)s'


class Service:
    """All parts of one process of the service.

    :param settings: the engine's Settings.
    :raises SettingError: they cannot work.
    """

    def __init__(self, settings: Any, service: ServiceSettings) -> None:
        self.index = SearchIndex(settings)
        self._source = source_of(service)
        self._metrics = Metrics()
        self._metrics.watch_dynamodb(self.index.client.dynamodb)
        reconciler = Reconciler(self.index, registry_of(service))
        self._description_worker = DescriptionWorker(self.index, reconciler)
        reconciler.on_note = self._description_worker.call
        pool = NotificationPool(reconciler, service.events_wait)
        self._show(pool)
        users = Anybody() if service.htpasswd is None else Users(
            service.htpasswd, service.anonymous_read, service.threads // 2)
        self.gate = Gate()
        self.app = make_app(service, self.index, users,
                            DialectProbe(service.registry_url, service.registry_ca), pool,
                            self._metrics, self.gate)

    def start(self) -> None:
        """Begin what goes on in the background.

        If DynamoDB is unavailable, it is waited for some seconds, and asked again later.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        """
        try:
            SingleFlight(self.index.is_ready).wait(_ASK)
        except errors.RequestFailed as error:
            logger.warning('%s', error)
        # Not 0: searches would wait for the first load.
        self.index.start(self._source, 1, self._metrics.note_load)
        self._description_worker.start()

    def stop(self) -> None:
        """End it: a load under way gives its lease back. Takes some seconds at most."""
        run_side_by_side([self.index.close, lambda: self._description_worker.stop(_STOP)])

    def _show(self, pool: NotificationPool) -> None:
        watch = self._metrics.watch
        watch('ready', 'Whether the index is ready.', lambda: self.index.ready)
        watch('notifications_under_way', 'Notifications that are being followed.',
              lambda: pool.under_way)
        watch('descriptions_waiting', 'Repositories that were noted to be looked at later, as of '
              'the last look; 100 means 100 or more.', lambda: self._description_worker.waiting)
        watch('descriptions_read', 'Of these, those that this process has done.',
              lambda: self._description_worker.done)


def serve(settings: Any, service: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT ends the process, with status 0 and within 25 seconds.

    :param settings: the engine's Settings.
    :raises SettingError, NewerDatabase, ForeignDatabase: it cannot start.
    """
    _Process(settings, service).run()


class _Process:
    """Serves in a thread of its own; the main thread waits for a signal.

    So a signal is heard at any moment, whatever the start waits for, and interrupts nothing.
    """

    def __init__(self, settings: Any, service: ServiceSettings) -> None:
        self._settings = settings
        self._service_settings = service
        # Unlike an event's or a condition's, its put may interrupt its get in the same thread.
        self._ends: queue.SimpleQueue[Union[int, Exception]] = queue.SimpleQueue()
        self._service: Optional[Service] = None
        self._server: Any = None

    def run(self) -> None:
        for number in signal.SIGTERM, signal.SIGINT:
            signal.signal(number, lambda number, _: self._ends.put(number))
        start_thread(self._serve)
        end = self._ends.get()
        if isinstance(end, errors.DynamoDBIndexError):
            raise end
        if isinstance(end, Exception):
            logger.error('the web server has ended', exc_info=end)
            self._stop(1)
        logger.info('stopping: %s', signal.Signals(end).name)
        self._stop(0)

    def _serve(self) -> None:
        try:
            listener = listen(self._service_settings.listen)
            self._service = Service(self._settings, self._service_settings)
            self._service.start()
            self._server = make_server(self._service.app, listener, self._service_settings.threads)
            logger.info('listening on %s', self._service_settings.listen)
            self._server.run()
            raise RuntimeError('its loop has ended')
        except Exception as error:
            self._ends.put(error)

    def _stop(self, status: int) -> NoReturn:
        """Answer what is under way, stop the background beside that, and end the process.

        The loop of the server goes on meanwhile: it writes answers, and new requests are refused.
        """
        try:
            if self._service is not None:
                began = time.monotonic()
                background = start_thread(self._service.stop)
                self._service.gate.close(_GRACE)
                if background is not None:
                    background.join(max(0, began + _STOP_ALL - time.monotonic()))
            if self._server is not None:
                self._server.task_dispatcher.shutdown(timeout=_WRITE)
            logging.shutdown()
        finally:
            # Python would wait for the threads of pools, which may hang at DynamoDB or a registry.
            os._exit(status)


def listen(address: str) -> socket.socket:
    """Return a socket that listens.

    :raises SettingError: it cannot, as when another program does.
    """
    host, _, port = address.rpartition(':')
    host = host.strip('[]')
    try:
        if ':' in host:
            listener = socket.create_server((host, int(port)), family=socket.AF_INET6,
                                            dualstack_ipv6=socket.has_dualstack_ipv6())
        else:
            listener = socket.create_server((host, int(port)))
    except OSError as error:
        # Python adds the address in brackets.
        problem = str(error.strerror or error).partition(' (')[0]
        raise errors.SettingError('listen', None,
                                  f'is {address}, where this cannot listen: {problem}',
                                  'end the program that listens there, or choose another address')
    if hasattr(socket, 'TCP_USER_TIMEOUT'):
        # Connections inherit it: a thread that writes to a client which reads nothing is freed.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE * 1000)
    return listener


def make_server(app: Any, listener: socket.socket, threads: int) -> Any:
    """Return a server of waitress that has not been run.

    https://docs.pylonsproject.org/projects/waitress/en/stable/arguments.html
    """
    return waitress.create_server(
        app, sockets=[listener], threads=threads, ident='',
        # No proxy is trusted: no header changes the scheme, the address or the path.
        clear_untrusted_proxy_headers=True,
        connection_limit=_connections(threads), asyncore_use_poll=True,
        channel_timeout=SILENCE, cleanup_interval=1,
        max_request_header_size=_HEAD_BYTES,
        # It refuses bodies of this size, too.
        max_request_body_size=LARGEST + 1, inbuf_overflow=_IN_MEMORY,
        log_socket_errors=False)


def _connections(threads: int) -> int:
    """Return how many connections to take, having raised the process's limit of open files.

    Each may need two: for itself, and for a body. The rest is for what the threads, the load and
    the background open.
    """
    reserve = 200 + 3 * threads
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CONNECTIONS + reserve
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(20, (files - reserve) // 2)


class _Line(logging.Formatter):
    """What clients say must neither control a terminal nor forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        return str(safe(super().formatMessage(record)))


def log_to_stderr() -> None:
    """Write the access log to the standard output, and all else to the standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Line(_LINE))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    access_log.addHandler(logging.StreamHandler(sys.stdout))
    access_log.propagate = False
    for chatty in 'boto3', 'botocore', 'urllib3', 'passlib', 'waitress':
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # A line for each request that waits for a thread.
    logging.getLogger('waitress.queue').setLevel(logging.ERROR)
