"""Startup: creates the missing tables of an index, and loads it until it is ready.

The lease decides which process loads. The ready marker shows that an index is ready. At the end of
a load, one transaction releases the lease and writes the marker."""

from __future__ import unicode_literals

import logging
import os
import random
import threading
import time
import uuid

from .. import errors
from .._compat import monotonic, sleep
from ..store import postings
from ..store.records import (
    MARKERS, READY_KEY, VERSION_KEY, ReadyMarker, SyncRequest, repository_key)
from ..store.tables import are_restored, check_version, create_missing, identity
from .lease import Lease

logger = logging.getLogger(__name__)

#: Seconds after which an incomplete load is repeated.
RETRY = 600
#: The attribute of the version row that contains the newest format of postings in this database.
_FORMAT = 'format'
#: The attributes of the version row that contain the last SyncRequest, and the one that a sync has
#: served.
_REQUESTED, _SERVED = 'sync_requested', 'sync_served'
#: The attribute of the version row that contains the registry to which the index belongs.
_REGISTRY = 'registry'

#: A lock for each process and search table, so that only one thread of a process loads an index.
_loading = {}


class Startup(object):
    """Makes one index ready, and runs its loads.

    :param store: a Store.
    :param load: a function that takes a heartbeat function, the numbers of the slices to verify and
        the function on_listed of a Loader, loads, and returns a LoadReport.
    :param sleep: takes seconds; may raise to stop.
    :param locks: a dictionary of the locks of this process.
    :param registry: the registry of the index, a text; None to accept the tables of any registry.
    :param is_adopting: True to make the tables of another registry those of this one."""

    def __init__(self, store, load, sleep=sleep, clock=monotonic, wall_clock=time.time,
                 locks=_loading, registry=None, is_adopting=False):
        self._store = store
        self._load = load
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock
        self._registry = registry
        self._is_adopting = is_adopting
        self._lock = locks.setdefault((os.getpid(), store.search_table), threading.Lock())
        # One for all calls, because the lease time is longer than a call waits.
        self._lease = Lease(store, clock=clock)
        self._has_tables = False
        # The identity of the tables.
        self._tables = None
        #: The ReadyMarker that was read or written last; None if there was none.
        self.marker = None
        #: The SyncRequest that no sync has served, as it was read last; None if there is none.
        self.request = None
        #: The registry that the tables record; None if they record none.
        self.recorded_registry = None

    def is_ready(self):
        """Return True if all tables and the ready marker exist, in the format of this release.

        Costs one consistent BatchGetItem of three read units, which also reads the lease.

        :raises NewerDatabase, ForeignDatabase, RequestFailed: nothing was changed."""
        store = self._store
        wanted = {store.repository_table: repository_key(MARKERS),
                  store.version_table: VERSION_KEY, store.search_table: READY_KEY}
        try:
            # A throttled table of 0.1.0 leaves its key unprocessed, which proves that the table
            # exists. Only the marker must be read; the next check sees a newer format.
            found = store.batch_get(
                {table: {'Keys': [key], 'ConsistentRead': True} for table, key in wanted.items()},
                enough=lambda left: store.search_table not in left)
        except errors.MissingTable:
            self._has_tables = False
            self._check_database()
            return False
        self._has_tables = True
        for row in found.get(store.version_table, ()):
            self._check_row(row)
            self._lease.note(row)
            self._note_request(row)
        self._keep_marker((found.get(store.search_table) or [None])[0])
        return self.marker is not None

    def ensure_ready(self):
        """Make the index ready; return True once it is. Return False if another process still loads
        it after ``startup_wait`` seconds, or has been loading for longer than that already.

        While another process loads, each check costs one BatchGetItem, also in ``sync``.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: the index is not ready; call again."""
        with self._lock:
            lease, seconds = self._lease, self._store.settings.startup_wait
            deadline = self._clock() + seconds
            while not self.is_ready():
                try:
                    if self._take_lease():
                        # Another process may have completed its load just before.
                        return self.is_ready() or bool(self._load_under(lease))
                except errors.LeaseLost as error:
                    logger.warning('%s', error)
                finally:
                    lease.release()
                # docker-registry often replaces its workers, and each new worker would wait again.
                is_old = lease.is_alive and lease.age > seconds
                if is_old or self._clock() > deadline:
                    return False
                self._pause()
            return True

    def sync(self, is_due=lambda marker: True):
        """Make one load now, and return its LoadReport.

        :param is_due: a function of the ReadyMarker, called once the lease is held. If it returns
            False, the method does nothing and returns None.
        :raises LeaseTaken: another process is loading.
        :raises: as ensure_ready."""
        with self._lock:
            lease = self._lease
            try:
                self.is_ready()
                while not self._take_lease():
                    if lease.is_alive:
                        raise errors.LeaseTaken(self._store.version_table, lease.age)
                    self._pause()
                    self.is_ready()
                self.is_ready()
                if is_due(self.marker):
                    return self._load_under(lease)
            finally:
                lease.release()

    def are_tables_restored(self):
        """Return True if the tables are not those of the last load, because they were restored from
        a backup. Replicas in another region do not count: otherwise, the loads of two regions would
        follow each other without end. Costs a DescribeTable for each table, which AWS does not
        bill."""
        return are_restored(self.marker and self.marker.tables, identity(self._store))

    def request_sync(self):
        """Request that any process makes a sync, because changes may be lost. Replaces earlier
        requests.

        Costs an UpdateItem.

        :raises RequestFailed: no sync is requested."""
        now = int(self._wall_clock())
        request = SyncRequest(self.request.since if self.request else now, now, uuid.uuid4().hex)
        self._store.call(
            'update_item', TableName=self._store.version_table, Key=VERSION_KEY,
            UpdateExpression='SET %s = :request' % _REQUESTED,
            ExpressionAttributeValues={':request': request.value})
        self.request = request

    def _note_request(self, row):
        requested, served = (SyncRequest.of(row.get(name)) for name in (_REQUESTED, _SERVED))
        self.request = None if requested == served else requested

    def _take_lease(self):
        """Create the missing tables and take the lease, unless ``is_ready`` has just found that all
        tables exist and another process loads; return True if the lease is held."""
        if self._has_tables and self._lease.is_taken:
            return False
        self._create_tables()
        return self._lease.acquire()

    def _load_under(self, lease):
        before, request = self.marker or ReadyMarker.none(), self.request
        slices = before.due_slices(self._tables)
        report = self._load(lease.renew, slices, self._record_registry)
        after = before.after(report, uuid.uuid4().hex, int(self._wall_clock()), slices,
                             self._tables)
        attributes = {_FORMAT: {'N': str(postings.FORMAT)}}
        if self._registry is not None:
            attributes[_REGISTRY] = {'S': self._registry}
        if request is not None:
            # A later request has another number, so it is not served.
            attributes[_SERVED] = request.value
        self._end_load(lease, after, attributes)
        self.marker, self.request = after, None
        if after.resync and report.adopted:
            logger.info('the search index is now in table %s; once no worker of an older release '
                        'runs, delete the search table of that release if it has one',
                        self._store.search_table)
        return report

    def _record_registry(self):
        """Record the registry in tables that record none, so that any other one is refused from now
        on. Called once the storage has answered: the settings may name a registry that does not
        exist. Costs an UpdateItem once; if it is throttled, the end of the load records it."""
        if self._registry is None or self.recorded_registry is not None:
            return
        try:
            self._store.call(
                'update_item', TableName=self._store.version_table, Key=VERSION_KEY,
                UpdateExpression='SET %s = :registry' % _REGISTRY,
                ConditionExpression='attribute_not_exists(%s)' % _REGISTRY,
                ExpressionAttributeValues={':registry': {'S': self._registry}})
            self.recorded_registry = self._registry
        except errors.ConditionFailed:
            # Another process has taken the lease over.
            self._check_database()
        except errors.RequestFailed as error:
            if not error.throttled:
                raise

    def _end_load(self, lease, marker, attributes):
        """Write the marker and release the lease; a load does not fail because of throttling."""
        while True:
            try:
                return lease.release_with(marker.put(self._store.search_table), **attributes)
            except errors.RequestFailed as error:
                if not error.throttled:
                    raise
            self._pause()
            lease.renew()

    def _pause(self):
        self._sleep(random.uniform(0.3, 0.7))

    def _check_database(self):
        for row in check_version(self._store):
            self._check_row(row)

    def _check_row(self, row):
        recorded = self.recorded_registry = row.get(_REGISTRY, {}).get('S')
        if not self._is_adopting and None not in (recorded, self._registry) and (
                recorded != self._registry):
            raise errors.OtherRegistry(self._store.version_table, recorded, self._registry)
        found = int(row.get(_FORMAT, {}).get('N', 0))
        if found > postings.FORMAT:
            raise errors.NewerDatabase(self._store.version_table, found, postings.FORMAT)

    def _keep_marker(self, item):
        """Keep the marker of an item, or None; refuse one of another format. Each format has a
        search table of its own, but a setting may name the table of another format."""
        marker, table = ReadyMarker.of(item), self._store.search_table
        if marker and marker.format > postings.FORMAT:
            raise errors.NewerDatabase(table, marker.format, postings.FORMAT)
        if marker and marker.format < postings.FORMAT:
            raise errors.ForeignDatabase(table, 'holds an index of format %d, of an older release'
                                         % marker.format)
        self.marker = marker

    def _create_tables(self):
        self._read_marker()
        self._check_database()
        seen = []
        _, self._tables = create_missing(
            self._store, lambda: self._stop_older_load(seen), self._sleep)

    def _stop_older_load(self, seen):
        """Stop a load that began before a table was lost, and delete the ready marker, so that
        neither declares the index ready.

        :param seen: [the record number of the lease] before the tables were described. If it has
            changed, a later load has created the tables.
        :returns: True if the caller must describe the tables again and call this method again."""
        lease = Lease(self._store, clock=self._clock)
        try:
            holder = [lease.read()]
            is_stopped = holder == seen and lease.revoke(*holder)
        except errors.MissingTable:
            # The lease is lost with the version table.
            is_stopped, holder = True, []
        seen[:] = holder
        if is_stopped:
            marker = self._read_marker()
            if marker is not None:
                # Unless another process has replaced it.
                self._store.delete_numbered(READY_KEY, marker.number)
        return not is_stopped

    def _read_marker(self):
        try:
            self._keep_marker(self._store.get(self._store.search_table, READY_KEY))
        except errors.MissingTable:
            self.marker = None
        return self.marker
