"""The service as a process: gunicorn, one worker, its threads.

Copies of it, behind a balancer, need to know nothing of each other.
"""

from __future__ import unicode_literals

import logging

from gunicorn.app.base import BaseApplication

from ..engine import SearchIndex, errors
from ..engine.concurrency import SingleFlight, run_side_by_side, start_thread
from .web.access_log import AccessLog, FORMAT
from .web.app import make_app
from .web.auth import Anybody, Users
from .sync.description_worker import DescriptionWorker
from .registry.dialect import DialectProbe
from .sync.reconcile import Reconciler
from .web.metrics import Metrics
from .web.notifications import Notifications
from .sources import registry_of, source_of
from .worker import CONNECTIONS, Worker

__all__ = ['Service', 'check', 'log_to_stderr', 'serve']

logger = logging.getLogger(__name__)

#: Seconds for requests under way at the end, after which gunicorn kills:
#: less than those that Kubernetes gives, and more than nginx waits for.
_GRACE = 25
#: Seconds for descriptions that are being read then, and for all that goes
#: on in the background: less than those that docker stop gives.
_STOP, _STOP_ALL = 4, 8
#: Seconds for a look at DynamoDB before anything starts.
_LOOK = 3
#: More than nginx keeps an idle connection open: it must not meet one that
#: is just being closed.
_KEEP_ALIVE = 75
_LINE = '%(asctime)s %(levelname)s: %(message)s'


class Service(object):
    """All parts of one process of the service.

    :param settings: the engine's Settings.
    :param service: a ServiceSettings.
    :raises SettingError: they cannot work.
    """

    def __init__(self, settings, service):
        self.measured = Metrics()
        self.index = SearchIndex(settings)
        self.measured.watch_dynamodb(self.index.client.dynamodb)
        reconciler = Reconciler(self.index, registry_of(service))
        self.describer = DescriptionWorker(self.index, reconciler)
        reconciler.on_note = self.describer.call
        self._source = source_of(service)
        notifications = Notifications(reconciler, service.events_wait)
        self.measured.watch_index(self.index, notifications, self.describer)
        users = Anybody() if service.htpasswd is None else Users(
            service.htpasswd, service.anonymous_read, service.threads // 2)
        self.app = make_app(
            service, self.index, users,
            DialectProbe(service.registry_url, service.registry_ca),
            notifications, self.measured)

    def start(self):
        """Begin what goes on in the background.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        """
        # Not 0: searches would wait for the first load.
        self.index.start(self._source, 1, self.measured.note_load)
        self.describer.start()

    def stop(self):
        """End it: a load under way gives its lease back. Takes some seconds
        at most."""
        run_side_by_side([self.index.close,
                      lambda: self.describer.stop(_STOP)])


def check(settings, service):
    """Find out before anything starts what no restart would change.

    DynamoDB being away is none of that: it is waited for three seconds.

    :raises NewerDatabase, SettingError: it cannot start.
    """
    try:
        SingleFlight(Service(settings, service).index.is_ready).wait(_LOOK)
    except errors.RequestFailed as error:
        logger.warning('%s', error)


def serve(settings, service):
    """Serve until a signal ends it.

    :param settings: the engine's Settings.
    :param service: a ServiceSettings.
    """
    _Server(settings, service).run()


class _Server(BaseApplication):
    """https://docs.gunicorn.org/en/stable/custom.html"""

    def __init__(self, settings, service):
        self._settings = settings
        self._service = service
        self._running = self._stopping = None
        super(_Server, self).__init__()

    def load_config(self):
        for name, value in {
                'bind': self._service.listen, 'workers': 1,
                'worker_class': Worker, 'threads': self._service.threads,
                'worker_connections': CONNECTIONS,
                'graceful_timeout': _GRACE, 'keepalive': _KEEP_ALIVE,
                'accesslog': '-', 'access_log_format': FORMAT,
                'logger_class': AccessLog,
                'proc_name': 'docker-registry-index',
                # No header may say where this is mounted, and by which
                # scheme it is asked: gunicorn would believe its own host's.
                'forwarded_allow_ips': '', 'forwarder_headers': '',
                'worker_exit': _stop}.items():
            self.cfg.set(name, value)

    def load(self):
        # In the worker: threads and connections do not survive a fork.
        made = Service(self._settings, self._service)
        made.start()
        self._running = made
        return made.app

    def begin_to_stop(self):
        """Stop in the background, once; for a signal's handler, too."""
        if self._running is not None and self._stopping is None:
            self._stopping = start_thread(self._running.stop)

    def stop(self):
        """Wait until it has stopped; some seconds at most."""
        self.begin_to_stop()
        if self._stopping is not None:
            self._stopping.join(_STOP_ALL)


def _stop(arbiter, worker):
    worker.app.stop()


def log_to_stderr():
    """Have the engine's and the service's lines on the standard error."""
    logging.basicConfig(level=logging.INFO, format=_LINE)
    for chatty in 'boto3', 'botocore', 'urllib3', 'passlib':
        logging.getLogger(chatty).setLevel(logging.WARNING)
