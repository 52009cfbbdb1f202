"""From whatever is there to an index that is ready, one load at a time.

Which process loads is decided by the lease; that an index is ready, by the
mark. Both are changed in one transaction at the end of a load.
"""

from __future__ import unicode_literals

import logging
import os
import random
import threading
import time
import uuid

from .. import errors
from ..store import formats, ready_marker, schema
from .._compat import monotonic, sleep
from ..store.client import slowest
from .lease import Lease
from ..store.ready_marker import Mark
from ..store.tables import check_version, create_missing

__all__ = ['RETRY', 'Startup', 'lease_of']

logger = logging.getLogger(__name__)

#: Seconds of a lease, unless three requests may take longer than that: one
#: that is under way when a heartbeat is due, the heartbeat, and the next.
LEASE_SECONDS = 20
#: Seconds after which a load that was not complete is made again.
RETRY = 600

#: For each process and search table, so that a process loads an index once.
_loading = {}


class Startup(object):
    """The start of one index, and its loads later.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param settings: a Settings.
    :param load: a function that loads and returns a LoadReport. It is given
        a heartbeat function, and the Formats whose postings nobody reads any
        more.
    :param note: told the Mark, or None, whenever it was read or written.
    :param sleep: takes seconds; may raise to stop.
    """

    def __init__(self, client, tables, settings, load, sleep=sleep,
                 clock=monotonic, wall_clock=time.time,
                 note=lambda mark: None):
        self._client = client
        self._tables = tables
        self._settings = settings
        self._load = load
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock
        self._tell = note
        self._search = tables['search'].name
        self._version = tables['version'].name
        self._lock = _loading.setdefault(
            (os.getpid(), self._search), threading.Lock())
        # One for all calls: a lease lasts longer than a call may wait.
        self._lease = self._new_lease()
        #: The Mark that was read last; None when there was none.
        self.mark = None

    def is_ready(self):
        """Whether the index is ready: tables, mark, format of postings.

        Costs one consistent BatchGetItem of three read units.

        :raises NewerDatabase, RequestFailed: nothing was changed.
        """
        wanted = {
            self._tables['repository'].name: {'name': {'S': schema.MARKS}},
            self._version: {'version': {'N': schema.VERSION}},
            self._search: ready_marker.KEY}
        wanted = {table: {'Keys': [key], 'ConsistentRead': True}
                  for table, key in wanted.items()}
        try:
            # Keys left out, as of 0.1.0's small tables when they are
            # throttled, tell no less: only the mark must be read.
            found = self._client.batch_get(
                wanted, enough=lambda left: self._search not in left)
        except errors.MissingTable:
            return False
        self._note((found.get(self._search) or [None])[0])
        return self.mark is not None and (
            self.mark.format == formats.CURRENT.number)

    def ensure_ready(self):
        """Return True when the index is ready; False while another process
        loads it, after ``startup_wait`` seconds, or at once when that load
        is older.

        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: not ready; call again.
        """
        with self._lock:
            return self.is_ready() or self._prepare()

    def sync(self, is_due=lambda mark: True):
        """Load once, now; return the LoadReport.

        :param is_due: told the Mark once the lease is held; when it is not
            true, nothing is done and None is returned.
        :raises LeaseTaken: another process is loading.
        :raises: as ensure_ready.
        """
        with self._lock:
            self._create_tables()
            lease = self._watched_lease()
            try:
                while not lease.acquire():
                    if lease.is_alive:
                        raise errors.LeaseTaken(self._version, lease.age)
                    self._pause()
                self.is_ready()
                if is_due(self.mark):
                    return self._load_under(lease)
            finally:
                lease.release()

    def _prepare(self):
        self._create_tables()
        lease, patience = self._watched_lease(), self._settings.startup_wait
        deadline = self._clock() + patience
        while True:
            if self.is_ready():
                return True
            if lease.acquire():
                try:
                    return self._load_once(lease)
                except errors.LeaseLost as error:
                    logger.warning('%s', error)
                finally:
                    lease.release()
            # Workers are made anew all the time; each need not wait in vain.
            is_old = lease.is_alive and lease.age > patience
            if is_old or self._clock() > deadline:
                return False
            self._pause()

    def _load_once(self, lease):
        # Another process may have ended its load just before.
        if not self.is_ready():
            self._load_under(lease)
        return True

    def _load_under(self, lease):
        before, current = self.mark or Mark.none(), formats.CURRENT.number
        # What was loaded a second time in a format needs the others no more.
        is_settled = before.format == current and before.synced is not None
        report = self._load(lease.renew, formats.older() if is_settled else ())
        # Postings of an older format are read until none is missing.
        is_whole = before.format is None or not report.failed
        after = before.after(
            report, current if is_whole else before.format,
            uuid.uuid4().hex, int(self._wall_clock()))
        lease.release_with(after.put(self._search))
        self.mark = after
        self._tell(after)
        return report

    def _watched_lease(self):
        self._lease.is_alive = False
        return self._lease

    def _new_lease(self):
        return lease_of(self._client, self._tables, self._settings,
                        self._clock)

    def _pause(self):
        self._sleep(random.uniform(0.3, 0.7))

    def _note(self, item):
        self.mark = Mark.of(item)
        if self.mark and self.mark.format > formats.CURRENT.number:
            raise errors.NewerDatabase(self._search, self.mark.format,
                                       formats.CURRENT.number)
        self._tell(self.mark)

    def _create_tables(self):
        self._read_mark()
        check_version(self._client, self._version)
        seen = []
        create_missing(self._client, self._tables,
                       before_creating=lambda: self._is_in_the_way(seen),
                       sleep=self._sleep)

    def _is_in_the_way(self, seen):
        """Have nobody say that an index is ready which lost a table: no load
        that began before, nor the mark.

        :param seen: [the record number of the lease], from before the tables
            were looked at: a load that began later is another's, who has
            created them.
        :returns: whether to look at the tables anew, and call it again.
        """
        lease = self._new_lease()
        try:
            holder = [lease.look()]
            is_over = holder == seen and lease.take_from(*holder)
        except errors.MissingTable:
            # And the lease with it.
            is_over, holder = True, []
        seen[:] = holder
        if is_over:
            self._void(self._read_mark())
        return not is_over

    def _read_mark(self):
        try:
            self._note(self._client.call(
                'get_item', TableName=self._search, Key=ready_marker.KEY,
                ConsistentRead=True).get('Item'))
        except errors.MissingTable:
            self.mark = None
        return self.mark

    def _void(self, seen):
        """Take away the mark that was seen; a newer one is not ours."""
        if seen is None:
            return
        try:
            self._client.call(
                'delete_item', TableName=self._search, Key=ready_marker.KEY,
                ConditionExpression='#number = :number',
                ExpressionAttributeNames={'#number': 'number'},
                ExpressionAttributeValues={':number': {'S': seen.number}})
        except errors.RequestFailed as error:
            if error.code != 'ConditionalCheckFailedException':
                raise


def lease_of(client, tables, settings, clock=monotonic, kind='lease'):
    """A Lease, not held, that lasts long enough for the slowest requests."""
    request = slowest(settings)
    return Lease(client, tables['version'].name,
                 max(LEASE_SECONDS, 3 * request), clock, request, kind)
