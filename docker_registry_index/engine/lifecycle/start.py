"""From whatever is there to an index that is ready, one load at a time.

The lease decides which process loads; the ready marker shows that an index is ready. Both are
changed in one transaction at the end of a load."""

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
from ..store.records import MARKERS, READY_KEY, VERSION_KEY, ReadyMarker, repository_key
from ..store.tables import check_version, create_missing
from .lease import lease_of

__all__ = ['RETRY', 'Start']

logger = logging.getLogger(__name__)

#: Seconds after which a load that was not complete is made again.
RETRY = 600
#: The attribute of the version row that has the newest format of postings in this database.
_FORMAT = 'format'

#: For each process and search table, so that a process loads an index once.
_loading = {}


class Start(object):
    """The start of one index, and its loads later.

    :param store: a Store.
    :param load: a function of a heartbeat function that loads and returns a LoadReport.
    :param sleep: takes seconds; may raise to stop."""

    def __init__(self, store, load, sleep=sleep, clock=monotonic, wall_clock=time.time,
                 locks=_loading):
        self._store = store
        self._load = load
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = locks.setdefault((os.getpid(), store.search_table), threading.Lock())
        # One for all calls: a lease lasts longer than a call may wait.
        self._lease = lease_of(store, clock)
        #: The ReadyMarker that was read or written last; None if there was none.
        self.marker = None

    def is_ready(self):
        """Return whether the index is ready: tables, marker, format of postings.

        Costs one consistent BatchGetItem of three read units.

        :raises NewerDatabase, ForeignDatabase, RequestFailed: nothing was changed."""
        store = self._store
        wanted = {store.repository_table: repository_key(MARKERS),
                  store.version_table: VERSION_KEY, store.search_table: READY_KEY}
        try:
            # Keys left out, as of 0.1.0's small tables when they are throttled, show that the table
            # is there. Only the marker must be read; a newer format is seen at the next check.
            found = store.batch_get(
                {table: {'Keys': [key], 'ConsistentRead': True} for table, key in wanted.items()},
                enough=lambda left: store.search_table not in left)
        except errors.MissingTable:
            self._check_database()
            return False
        self._check_format((found.get(store.version_table) or [{}])[0])
        self._note((found.get(store.search_table) or [None])[0])
        return self.marker is not None

    def ensure_ready(self):
        """Return True when the index is ready; False while another process loads it, after
        ``startup_wait`` seconds, or at once when that load is older.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: not ready; call again."""
        with self._lock:
            return self.is_ready() or self._prepare()

    def sync(self, is_due=lambda marker: True):
        """Load once, now; return the LoadReport.

        :param is_due: a function of the ReadyMarker, called once the lease is held; when it returns
            False, nothing is done and None is returned.
        :raises LeaseTaken: another process is loading.
        :raises: as ensure_ready."""
        with self._lock:
            self._create_tables()
            lease = self._lease
            lease.is_alive = False
            try:
                while not lease.acquire():
                    if lease.is_alive:
                        raise errors.LeaseTaken(self._store.version_table, lease.age)
                    self._pause()
                self.is_ready()
                if is_due(self.marker):
                    return self._load_under(lease)
            finally:
                lease.release()

    def _prepare(self):
        self._create_tables()
        lease, seconds = self._lease, self._store.settings.startup_wait
        lease.is_alive = False
        deadline = self._clock() + seconds
        while True:
            if self.is_ready():
                return True
            try:
                if lease.acquire():
                    # Another process may have ended its load just before.
                    return self.is_ready() or bool(self._load_under(lease))
            except errors.LeaseLost as error:
                logger.warning('%s', error)
            finally:
                lease.release()
            # Workers are made anew all the time; each need not wait for nothing.
            is_old = lease.is_alive and lease.age > seconds
            if is_old or self._clock() > deadline:
                return False
            self._pause()

    def _load_under(self, lease):
        before = self.marker or ReadyMarker.none()
        report = self._load(lease.renew)
        after = before.after(report, uuid.uuid4().hex, int(self._wall_clock()))
        lease.release_with(after.put(self._store.search_table),
                           **{_FORMAT: {'N': str(postings.FORMAT)}})
        self.marker = after
        if after.resync and report.adopted:
            logger.info('the search index is in table %s; when no worker of an older release runs '
                        'any more, the search table of that release can be deleted',
                        self._store.search_table)
        return report

    def _pause(self):
        self._sleep(random.uniform(0.3, 0.7))

    def _check_database(self):
        for row in check_version(self._store):
            self._check_format(row)

    def _check_format(self, row):
        found = int(row.get(_FORMAT, {}).get('N', 0))
        if found > postings.FORMAT:
            raise errors.NewerDatabase(self._store.version_table, found, postings.FORMAT)

    def _note(self, item):
        """Note the marker. Each format has a search table of its own; a setting may lead to that of
        another."""
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
        create_missing(self._store, lambda: self._is_in_the_way(seen), self._sleep)

    def _is_in_the_way(self, seen):
        """Keep an index that lost a table from being called ready: by a load that began before, or
        by the marker.

        :param seen: [the record number of the lease], from before the tables were described: a load
            that began later is another's, who has created them.
        :returns: whether to describe the tables anew, and call it again."""
        lease = lease_of(self._store, self._clock)
        try:
            holder = [lease.read()]
            is_over = holder == seen and lease.take_from(*holder)
        except errors.MissingTable:
            # And the lease with it.
            is_over, holder = True, []
        seen[:] = holder
        if is_over:
            self._void(self._read_marker())
        return not is_over

    def _read_marker(self):
        try:
            self._note(self._store.get(self._store.search_table, READY_KEY))
        except errors.MissingTable:
            self.marker = None
        return self.marker

    def _void(self, marker):
        """Delete the marker that was seen; a newer one is not ours."""
        if marker is not None:
            self._store.delete_numbered(READY_KEY, marker.number)
