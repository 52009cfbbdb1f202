"""SearchIndex, the public interface of the engine, which assembles the other modules."""

from __future__ import unicode_literals

import functools

from .concurrency import Precedence
from .lifecycle.lease import Lease
from .lifecycle.maintenance import Maintenance
from .lifecycle.start import Startup
from .search.search import Search
from .store import text
from .store.client import Client
from .store.records import Row, repository_key
from .store.store import Store
from .sync.description_queue import DescriptionQueue
from .sync.loader import Loader
from .sync.reconcile import TimedSource, reconcile
from .sync.source import as_source
from .verify.check import Checker
from .verify.status import Status
from .write.change_queue import ChangeQueue
from .write.writer import Writer

#: Seconds for the queued changes, and then for a load under way, when a process ends.
_CLOSE_SECONDS = 5
#: Seconds within which the storage must report whether it has a repository, and how many of these
#: calls may time out.
ANSWER_SECONDS, UNANSWERED = 10, 8
#: The most seconds for which a request of a load waits while a repository is added or removed.
_GIVE_WAY_SECONDS = 0.5


class SearchIndex(object):
    """The search index of one registry, kept in three DynamoDB tables.

    Creating one costs no request. Several threads may use it, and any number of processes may use
    the same tables. A process that is forked later needs a SearchIndex of its own.

    A program that keeps running calls ``start`` once, ``apply_change`` after every push and delete,
    and ``close`` at its end. The other methods do one thing each, and raise their errors.

    :param settings: a Settings.
    :param connect_now: True to find credentials now; see Client.
    :param registry, is_adopting: as for Startup."""

    def __init__(self, settings, connect_now=True, registry=None, is_adopting=False):
        self.settings = settings
        self.client = Client(settings, connect_now)
        self._store = Store(settings, self.client)
        store = self._store.handling_missing_tables(self._check_soon)
        self._search = Search(store)
        self._precedence = Precedence(_GIVE_WAY_SECONDS)
        self._writer = Writer(store, precedence=self._precedence)
        #: The repositories whose descriptions the service has yet to read.
        self.description_queue = DescriptionQueue(self._store)
        self._maintenance = self._queue = None
        # True if is_ready has found that no load was ever complete.
        self._is_partial = False
        self._startup = functools.partial(Startup, registry=registry, is_adopting=is_adopting)

    def start(self, source, wait=None, progress=None):
        """Make the index ready; continue in the background if that takes long.

        :param source: a Source, or a function that returns (name, description or None) pairs.
        :param wait: the most seconds to wait for a load; by default the setting startup_wait. The
            method also waits for the first check of the index, as long as one request may take.
            With 0, it does not wait at all, and the first searches wait for a load instead.
        :param progress: called now and then during loads with (done, total).
        :returns: True if the index is ready. If not, searches find what is loaded already, and a
            background thread continues to make the index ready.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.

        Costs one BatchGetItem if the index is ready, and one a minute."""
        maintenance = Maintenance(self._store, self._load_function(source, progress),
                                  startup=self._startup)
        timed_source = TimedSource(as_source(source), ANSWER_SECONDS, UNANSWERED)
        self._queue = ChangeQueue(
            self._writer.set, lambda name: reconcile(name, timed_source, self._writer),
            self.settings.push_wait, maintenance.sync_soon)
        self._maintenance = maintenance
        availability = self.client.availability
        availability.on_outage, availability.on_recovery = (
            maintenance.note_loss, self._note_recovery)
        return maintenance.start_and_wait(self.settings.startup_wait if wait is None else wait)

    def apply_change(self, name, is_there):
        """Add or remove a repository after a push or a delete in the storage.

        Returns after ``push_wait`` seconds at most. If the change does not finish in time or fails,
        it is queued. Before it is retried, the storage is asked for the current state.

        :returns: True if the change was made in time.
        :raises InvalidName: the index cannot hold such a name."""
        self._maintenance.start()
        with self._precedence:
            is_made = self._queue.apply_change(text.check_name(name), is_there)
        if not is_made:
            self._maintenance.note_loss()
        return is_made

    def sync_soon(self):
        """Request a sync of the started index in the background, because changes may have been
        missed. A process makes it about a minute later. See Maintenance.sync_soon."""
        if self._maintenance:
            self._maintenance.sync_soon()

    def close(self):
        """Make the queued changes, and stop the background threads; a load releases its lease.
        Takes ten seconds at most, unless a request under way takes longer. Does nothing the second
        time, nor in a forked process."""
        if self._maintenance and not self._maintenance.is_stopped:
            if not self._queue.close(_CLOSE_SECONDS):
                self._maintenance.note_loss()
                if not self.client.availability.is_outage:
                    self._maintenance.request_sync()
            self._maintenance.stop(_CLOSE_SECONDS)

    @property
    def ready(self):
        """True if the started index was ready at the last check. Costs no request."""
        return self._maintenance is not None and self._maintenance.is_ready

    @property
    def complete(self):
        """True if the started index is ready, and a load of it has written everything that it could
        read of the storage. Costs no request."""
        # The marker is None while a sync finds that the search table is missing.
        marker = self._maintenance.marker if self.ready else None
        return marker is not None and marker.synced is not None

    @property
    def unreadable(self):
        """The names of the namespaces that the last load of any process could not read, at most 20.
        Costs no request."""
        marker = self._maintenance and self._maintenance.marker
        return marker.unreadable if marker else []

    def search(self, term, limit=None, skip=0):
        """Return the repositories that match ``term``, best first. See Search.search. Until a first
        load is complete, and while a part of the storage is unreadable, the Results are incomplete.

        :raises NewerDatabase, ForeignDatabase: after a start; no partial result is returned."""
        if self._maintenance:
            self._maintenance.wait_until_usable()
        results = self._search.search(term, limit, skip)
        is_partial = not self.complete or bool(self.unreadable)
        results.is_incomplete |= is_partial if self._maintenance else self._is_partial
        return results

    def catalog(self, after=None, limit=None, is_bounded=True):
        """Return names in the order of a registry's catalog. See Search.catalog."""
        if self._maintenance:
            self._maintenance.wait_until_usable()
        return self._search.catalog(after, limit, is_bounded)

    def browse(self, inside='', after=None, limit=100):
        """Return the repositories and namespaces directly inside a namespace. See Search.browse."""
        if self._maintenance:
            self._maintenance.wait_until_usable()
        return self._search.browse(inside, after, limit)

    def add(self, name, description=None, origin=None, may_replace=None):
        """Add ``name``, or change its description; return True if anything changed. See
        Writer.add.

        :raises NewerDatabase, ForeignDatabase: the tables are now those of another program."""
        self._check_usable()
        return self._writer.add(name, description, origin, may_replace)

    def has(self, name):
        """Return True if the index has a repository. Costs a GetItem, a read unit."""
        row = Row.of(self._store.get(self._store.repository_table, repository_key(name)))
        return row is not None and row.is_indexed

    def remove(self, name):
        """Remove ``name``; return True if the index had it. See Writer.remove.

        :raises: as add."""
        self._check_usable()
        return self._writer.remove(name)

    def lease(self, kind):
        """Return a Lease of another kind than that of loads. It is not held yet."""
        return Lease(self._store, kind=kind)

    def is_ready(self):
        """Return True if the index is ready. Costs one BatchGetItem. See Startup.is_ready."""
        startup = self._startup(self._store, None)
        is_ready = startup.is_ready()
        marker = startup.marker
        self._is_partial = not (marker and marker.synced and not marker.unreadable)
        return is_ready

    def sync(self, source, progress=None):
        """Make the index equal to the storage now, under the lease.

        :param progress: called now and then with (done, total).
        :returns: a LoadReport.
        :raises LeaseTaken: another process is loading.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises StorageUnreadable: no part of the storage can be read.
        :raises TableError, RequestFailed: the load has not ended; call again."""
        return self._startup(self._store, self._load_function(source, progress)).sync()

    def difference(self, source):
        """Return what a load would change; a missing table counts as empty. See
        Loader.difference."""
        store = self._store.handling_missing_tables(lambda error: {'Items': []})
        return Loader(store, as_source(source)).difference()

    def checker(self, source=None, progress=None):
        """Return a Checker of this index, whose check() yields each Problem.

        :param source: as for start; None to check without the storage.
        :param progress: called now and then with (done, total); total is 0 until it is counted."""
        return Checker(self._store, source and as_source(source), progress)

    def status(self, source=None):
        """Return a Status of this index; ``source`` as for checker."""
        return Status(self._store, source and as_source(source), self._startup)

    def _check_usable(self):
        if self._maintenance:
            self._maintenance.check_usable()

    def _load_function(self, source, progress):
        """Return a function that loads, as Startup needs it; see Loader.load."""
        store, source, give_way = self._store, as_source(source), self._precedence.give_way
        return lambda heartbeat, slices, on_listed: Loader(
            store, source, heartbeat, progress, give_way=give_way, slices=slices,
            on_listed=on_listed).load()

    def _note_recovery(self):
        self._queue.note_recovery()
        # Other processes may have lost changes during the outage, even if this one has not.
        self._maintenance.sync_soon()

    def _check_soon(self, error):
        """Check the index in the background, because a request found a table missing."""
        if self._maintenance:
            self._maintenance.check_soon()
        raise error
