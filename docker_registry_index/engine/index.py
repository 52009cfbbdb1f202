"""SearchIndex: the one door to the engine, and the one place where its parts are put together."""

from __future__ import unicode_literals

import contextlib

from . import errors
from .lifecycle.lease import lease_of
from .lifecycle.maintenance import Maintenance
from .lifecycle.start import Start
from .search.search import Search
from .store import text
from .store.client import Client
from .store.store import Store
from .sync.description_queue import DescriptionQueue
from .sync.loader import Loader
from .sync.reconcile import StorageReconciler, TimedSource
from .sync.source import as_source
from .verify.check import Checker
from .verify.status import Status
from .write.change_queue import ChangeQueue
from .write.writer import Writer

__all__ = ['SearchIndex']

#: Seconds for the changes that wait when a process ends, and for a load.
_CLOSE_SECONDS = 5
#: Seconds in which the storage must report whether it has a repository, and how many such questions
#: may be left without an answer.
ANSWER_SECONDS, UNANSWERED = 10, 8


class SearchIndex(object):
    """The search index of one registry, kept in three DynamoDB tables.

    Making one costs no request. It may be used by several threads, and any number of processes may
    use the same tables. A process that is forked later needs its own.

    A program that lives on calls ``start`` once, ``follow`` for every push and delete, and
    ``close``. The other methods do one thing and raise.

    :param settings: a Settings.
    :param at_once: as of Client: whether to search for credentials now."""

    def __init__(self, settings, at_once=True):
        self.settings = settings
        self.client = Client(settings, at_once)
        self._store = store = Store(settings, self.client)
        self._search = Search(store)
        self._writer = Writer(store)
        #: The repositories whose descriptions are still to be read.
        self.description_queue = DescriptionQueue(store)
        self._maintenance = self._queue = None

    def start(self, source, wait=None, progress=None):
        """Make the index ready, in the background if that takes long.

        :param source: a Source, or a function that returns (name, description or None) pairs.
        :param wait: seconds to wait for a load at most; by default the setting startup_wait. The
            method also waits for the check whether a load is needed, as long as a request may
            take, at most; with 0, it does not wait, and the first searches wait for a load instead.
        :param progress: of loads, called now and then with (done, total).
        :returns: whether the index is ready. If not, searches find what is there already, and the
            background goes on to make it ready.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.

        Costs one BatchGetItem when it is ready, and one in a minute."""
        maintenance = Maintenance(self._store, self._loading(source, progress))
        timed_source = TimedSource(as_source(source), ANSWER_SECONDS, UNANSWERED)
        self._queue = ChangeQueue(
            self._writer.set, StorageReconciler(timed_source, self._writer).reconcile,
            self.settings.push_wait, maintenance.check_soon, maintenance.sync_soon)
        self._maintenance = maintenance
        return maintenance.begin_and_wait(self.settings.startup_wait if wait is None else wait)

    def follow(self, name, is_there):
        """Have the index follow a push or a delete in the storage.

        Returns after ``push_wait`` seconds at most. If the change does not finish in time or fails,
        it is queued. Before it is retried, the storage is asked for the current state.

        :returns: whether it is done.
        :raises InvalidName: the index cannot hold such a name."""
        self._maintenance.begin()
        return self._queue.follow(text.check_name(name), is_there)

    def sync_soon(self):
        """Have the started index synced with the storage soon, in the background: something may
        have been missed. Costs a load; several calls while it waits cost one."""
        if self._maintenance:
            self._maintenance.sync_soon()

    def close(self):
        """End what goes on in the background: changes that wait are made, a load under way gives
        its lease back. Takes some seconds at most. Does nothing a second time, nor in a process
        that was forked."""
        if self._maintenance and not self._maintenance.is_over:
            self._queue.close(_CLOSE_SECONDS)
            self._maintenance.stop(_CLOSE_SECONDS)

    @property
    def ready(self):
        """Whether the started index was ready at the last check; costs nothing."""
        return self._maintenance is not None and self._maintenance.is_ready

    @property
    def complete(self):
        """The same, and whether any load of it was complete."""
        # It is None while a sync finds that the search table is missing.
        marker = self._maintenance.marker if self.ready else None
        return marker is not None and marker.synced is not None

    def search(self, term, limit=None, skip=0):
        """Return the repositories matching ``term``, best first. See Search.search.

        :raises NewerDatabase, ForeignDatabase: after a start; no partial result is returned."""
        self._check_usable()
        with self._missing_tables_noticed():
            return self._search.search(term, limit, skip)

    def catalog(self, after=None, limit=None):
        """Return names in the order of a registry's catalog. See Search.catalog."""
        self._check_usable()
        with self._missing_tables_noticed():
            return self._search.catalog(after, limit)

    def add(self, name, description=None):
        """Have ``name`` in the index; return whether anything changed. See Writer.add."""
        with self._missing_tables_noticed():
            return self._writer.add(name, description)

    def remove(self, name):
        """Have ``name`` not in the index; return whether it was there. See Writer.remove."""
        with self._missing_tables_noticed():
            return self._writer.remove(name)

    def lease(self, kind):
        """Return a Lease of another kind than that on loading, not held."""
        return lease_of(self._store, kind=kind)

    def is_ready(self):
        """Return whether tables, marker and format are there. One BatchGetItem."""
        return Start(self._store, None).is_ready()

    def sync(self, source, progress=None):
        """Make the index equal to the storage, now, under the lease.

        :param progress: called now and then with (done, total).
        :returns: a LoadReport.
        :raises LeaseTaken: another process is loading.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises StorageUnreadable: nothing of the storage can be read.
        :raises TableError, RequestFailed: call again."""
        return Start(self._store, self._loading(source, progress)).sync()

    def difference(self, source):
        """Return what a load would do. See Loader.difference; a missing table counts as empty."""
        return Loader(self._store.with_missing_tables_empty(), as_source(source)).difference()

    def checker(self, source=None, progress=None):
        """Return a Checker of this index: its check() yields what is wrong.

        :param source: as for start; None to leave the storage out.
        :param progress: called now and then with (done, total), the latter 0 while it is unknown.
        """
        return Checker(self._store, source and as_source(source), progress)

    def status(self, source=None):
        """Return a Status of this index; ``source`` as for checker."""
        return Status(self._store, source and as_source(source))

    def _loading(self, source, progress):
        """Return a function of a heartbeat that loads; see Loader.load."""
        store, source = self._store, as_source(source)
        return lambda heartbeat: Loader(store, source, heartbeat, progress).load()

    def _check_usable(self):
        if self._maintenance:
            self._maintenance.check_usable()

    @contextlib.contextmanager
    def _missing_tables_noticed(self):
        """Have the maintenance make tables anew that turn out to be missing."""
        try:
            yield
        except errors.MissingTable:
            if self._maintenance:
                self._maintenance.check_soon()
            raise
