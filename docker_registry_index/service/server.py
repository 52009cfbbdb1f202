"""The process of the service: assembles its objects, serves requests with waitress, and stops.

Any number of copies may run behind a load balancer."""

from __future__ import annotations

import logging
import os
import queue
import resource
import signal
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any, NoReturn

import waitress

from ..engine import SearchIndex, errors
from ..engine.concurrency import TimedOut, call_with_timeout, start_thread
from .registry.client import RegistryClient
from .settings import ServiceSettings
from .sources.selection import registry_of, source_of
from .sync.description_worker import DescriptionWorker
from .sync.reconcile import NotificationPool, Reconciler
from .web.app import MONITORING, Gate, make_app
from .web.auth import Guard, HtpasswdUsers, RegistryUsers
from .web.monitoring import Metrics
from .web.notifications import LARGEST

logger = logging.getLogger(__name__)

#: The most seconds of a stop for requests under way (Kubernetes allows more), for all background
#: threads (docker stop allows more), for the description worker, and for writing the last answers.
_GRACE, _STOP_ALL, _STOP, _WRITE = 20, 8, 4, 1
#: Seconds without a byte after which a connection is closed, whether it is idle, has sent half a
#: request, or does not read its answer. nginx closes idle connections earlier, so that it never
#: uses one that is being closed.
IDLE_SECONDS = 15
#: The most connections at once.
CONNECTIONS = 1000


class Service:
    """All objects of one process of the service. Raises SettingError if a setting is unusable."""

    def __init__(self, settings: Any, service: ServiceSettings) -> None:
        self.index = SearchIndex(settings, registry=service.registry)
        self._source = source_of(service)
        self._metrics = Metrics()
        self.index.client.connection.watch(self._metrics.watch_dynamodb)
        self._metrics.watch_storage(lambda: self.index.unreadable)
        registry = registry_of(service)
        reconciler = Reconciler(self.index, registry)
        self._description_worker = DescriptionWorker(self.index, reconciler)
        reconciler.on_note = self._description_worker.notify
        pool = NotificationPool(reconciler, service.events_wait)
        self._add_gauges(pool)
        self.gate = Gate()
        self.app = make_app(service, self.index, _guard_of(service, registry),
                            registry, pool, self._metrics, self.gate)

    def start(self, load_wait: float = 1) -> None:
        """Start the background threads, after waiting up to three seconds for DynamoDB.

        :param load_wait: the most seconds to wait for a load; with 0, the first searches wait.
        :raises NewerDatabase, ForeignDatabase: the tables are not changed."""
        try:
            call_with_timeout(self.index.is_ready, 3)
        except (errors.RequestFailed, TimedOut) as error:
            logger.warning('the first check of the search index failed; it is retried: %s', error)
        self.index.start(self._source, load_wait, self._metrics.note_load)
        self._description_worker.start()

    def stop(self) -> None:
        """Stop the background threads, which takes seconds; a load under way releases its lease."""
        closing = start_thread(self.index.close)
        self._description_worker.stop(_STOP)
        if closing is not None:
            closing.join()

    def _add_gauges(self, pool: NotificationPool) -> None:
        add_gauge = self._metrics.add_gauge
        add_gauge('ready', '1 if the index is ready, otherwise 0.', lambda: self.index.ready)
        add_gauge('notifications_under_way', 'Changes from notifications that are being made.',
                  lambda: pool.under_way)
        worker = self._description_worker
        add_gauge('descriptions_waiting', 'Repositories whose descriptions still have to be '
                  'read, at the last count; 100 means 100 or more.', lambda: worker.waiting)
        add_gauge('descriptions_read', 'Repositories whose descriptions this process has read.',
                  lambda: worker.done)


def _guard_of(service: ServiceSettings, registry: RegistryClient) -> Guard | None:
    """Return the guard that the setting ``auth`` names, None for none; and log the choice."""
    limit = service.threads // 2
    if service.auth == 'htpasswd':
        logger.info('AUTH=htpasswd: the users in %s may search and read the catalog',
                    service.htpasswd)
        return HtpasswdUsers(service.htpasswd, limit).user
    if service.auth == 'registry':
        logger.info('AUTH=registry: users whom the registry at %s accepts may search and read the '
                    'catalog', service.registry_url)
        return RegistryUsers(registry, service.auth_scope, limit,
                             service.registry_cert is not None).user
    logger.warning('AUTH=none: everybody may search and read the catalog')
    return None


def serve(settings: Any, service: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT, which end the process with status 0 within 25 seconds.

    :raises SettingError, NewerDatabase, ForeignDatabase: the service cannot start."""
    _Process(settings, service).run()


@dataclass
class _Process:
    """Serves in a thread of its own, while the main thread waits for a signal. So a signal is
    handled at any time, even during the start, and interrupts nothing."""

    settings: Any
    service_settings: ServiceSettings
    # A signal handler may put while its own thread waits in get: an Event would not allow that.
    ends: queue.SimpleQueue[int | Exception] = field(default_factory=queue.SimpleQueue)
    service: Service | None = None
    server: Any = None

    def run(self) -> None:
        for number in signal.SIGTERM, signal.SIGINT:
            signal.signal(number, lambda number, _: self.ends.put(number))
        threading.Thread(target=self._serve, daemon=True).start()
        end = self.ends.get()
        if isinstance(end, errors.DynamoDBIndexError):
            raise end
        if isinstance(end, Exception):
            logger.error('the service failed and exits; please report this error', exc_info=end)
            self._stop(1)
        logger.info('stopping: %s', signal.Signals(end).name)
        self._stop(0)

    def _serve(self) -> None:
        try:
            own = self.service_settings
            listener = listen('listen', own.listen)
            monitoring = own.monitoring_listen and listen('monitoring_listen',
                                                          own.monitoring_listen)
            self.service = Service(self.settings, own)
            self.service.start()
            self.server = make_server(self.service.app, listener, own.threads)
            if monitoring:
                app = self.service.app
                start_thread(make_server(
                    lambda environ, start: app({**environ, MONITORING: True}, start), monitoring,
                    threads=2, connections=40).run)
            logger.info('listening on %s', own.listen)
            self.server.run()
            raise RuntimeError('the loop of the web server has ended')
        except Exception as error:
            self.ends.put(error)

    def _stop(self, status: int) -> NoReturn:
        """Finish the requests under way, stop the background threads, and end the process. Until
        then, the server writes answers and refuses new requests."""
        try:
            if self.service is not None:
                began = time.monotonic()
                background = start_thread(self.service.stop)
                self.service.gate.close(_GRACE)
                if background is not None:
                    background.join(max(0, began + _STOP_ALL - time.monotonic()))
            if self.server is not None:
                finish(self.server, _WRITE)
            logging.shutdown()
        finally:
            # Python would wait for the threads of pools, which DynamoDB or a registry may delay.
            os._exit(status)


def finish(server: Any, seconds: float) -> None:
    """End the threads of a server, and wait while its loop writes the remaining answers."""
    server.task_dispatcher.shutdown(timeout=seconds)
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(
            channel.total_outbufs_len for channel in list(server.active_channels.values())):
        time.sleep(0.02)


def listen(setting: str, address: str) -> socket.socket:
    """Return a socket that listens on HOST:PORT; raise SettingError if that fails."""
    host, _, port = address.rpartition(':')
    host = host.strip('[]')
    is_v6 = ':' in host
    try:
        listener = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            dualstack_ipv6=is_v6 and socket.has_dualstack_ipv6())
    except OSError as error:
        # Python adds the address in brackets.
        problem = str(error.strerror or error).partition(' (')[0]
        raise errors.SettingError(setting, None,
                                  f'is {address}, where the service cannot listen: {problem}',
                                  'end the program that listens there, or choose another address')
    if hasattr(socket, 'TCP_USER_TIMEOUT'):
        # Connections inherit this option. It frees a thread whose client does not read its answer.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, IDLE_SECONDS * 1000)
    return listener


def make_server(app: Any, listener: socket.socket, threads: int,
                connections: int = CONNECTIONS) -> Any:
    """Return a waitress server, whose method ``run`` serves.

    https://docs.pylonsproject.org/projects/waitress/en/stable/arguments.html"""
    return waitress.create_server(
        app, sockets=[listener], threads=threads, ident='',
        # The access log reads X-Forwarded-For.
        clear_untrusted_proxy_headers=False,
        connection_limit=_connection_limit(threads, connections), asyncore_use_poll=True,
        channel_timeout=IDLE_SECONDS, cleanup_interval=1, log_socket_errors=False,
        # Proxies in front of the service accept shorter heads. A longer body is in a file.
        max_request_header_size=64 * 1024, inbuf_overflow=64 * 1024,
        # waitress refuses bodies of this size and larger ones.
        max_request_body_size=LARGEST + 1)


def _connection_limit(threads: int, connections: int) -> int:
    """Raise the limit of open files, and return the most connections that it allows. A connection
    may need two files: for itself, and for a body. The rest is for threads and the load."""
    reserve = 200 + 3 * threads
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * connections + reserve
    files = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    return max(20, (files - reserve) // 2)
