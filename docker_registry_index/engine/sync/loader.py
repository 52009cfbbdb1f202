"""Load: makes the index equal to the registry's storage, difference by difference.

What is indexed already costs no write. So a load continues the work of one that was killed, and a
later load is a sync. Until one load is complete, loads write while the storage is still being
listed, because some processes do not live long enough to list all of it."""

from __future__ import unicode_literals

import collections
import logging
import time

from .. import errors
from .._compat import monotonic, sleep
from ..concurrency import Workers
from ..store.client import request_timeout
from ..store.records import NOTHING, tombstone_key
from ..write.bulk import (
    LONGEST, BulkWriter, Window, WindowClient, delete_intent, finish_interrupted)
from ..write.plan import possible_descriptions
from ..write.writer import Writer
from .description_queue import DescriptionQueue
from .listing import STORAGE_SECONDS, Progress
from .reconcile import TimedSource
from .snapshot import SnapshotReader

__all__ = ['LoadReport', 'Loader']

logger = logging.getLogger(__name__)

#: The outcomes that a load counts.
_KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged', 'failed')
_NOT_DONE = 'the entry of %.80r in the search index could not be %s; a later load retries it: %s'
#: The number of entries that are compared before other greenlets run, for about ten milliseconds,
#: and of those after which the progress is reported.
_YIELD_EVERY, _REPORT_EVERY = 10, 100
#: The number of entries that are written between two batches of the listing.
_WRITTEN_AT_ONCE = 20
#: The number of threads that write, and so the most requests at a time.
_THREADS = 8


class LoadReport(collections.namedtuple('LoadReport', ('found',) + _KINDS + (
        'unreadable', 'seconds'))):
    """The results of a load, as numbers of repositories.

    :param found: repositories in the registry's storage.
    :param added: repositories that were not in the index.
    :param adopted: rows that had no postings or outdated ones, such as those of release 0.1.0.
    :param cleaned: names whose postings were deleted because they had no row, or because their
        removal had been interrupted.
    :param removed: repositories removed because the storage no longer has them.
    :param recent: repositories that the storage does not have, but that are kept for now, because
        they were pushed or changed within the last hour.
    :param unchanged: repositories that were correct already.
    :param failed: repositories that could not be written or removed; the log contains the reasons.
    :param unreadable: a tuple of the namespaces that could not be listed.
    :param seconds: the duration of the load."""
    __slots__ = ()

    @property
    def complete(self):
        """True if nothing failed: the index equals the storage, except for recent repositories."""
        return not (self.failed or self.unreadable)

    @property
    def summary(self):
        """The numbers in one line of text."""
        counts = '%d repositories in the storage: %s' % (self.found, ', '.join(
            '%d %s' % (getattr(self, kind), kind) for kind in _KINDS))
        if self.complete:
            return counts
        return '%s; %d namespaces unreadable; NOT COMPLETE' % (counts, len(self.unreadable))


class Loader(object):
    """Runs one load of one index.

    :param store: a Store; throttling only makes the load slower.
    :param source: a Source.
    :param heartbeat: called often during the load; raises to stop it.
    :param progress: called with (done, total) after each hundred repositories.
    :param threads: the number of threads that write; with 0, the caller's thread writes.
    :param give_way: called before each request; waits while pushes have precedence."""

    def __init__(self, store, source, heartbeat=lambda: None, progress=None, sleep=sleep,
                 clock=monotonic, wall_clock=time.time, threads=_THREADS, give_way=lambda: None):
        def before_request():
            # First, so that the lease is renewed just before the request.
            give_way()
            heartbeat()

        self._store = store.retrying(before_request, sleep)
        self._writer = Writer(self._store, clock=wall_clock)
        self._planner = self._writer.planner
        self._reader = SnapshotReader(self._store, source, heartbeat, sleep, clock)
        self._timed_source = TimedSource(source, STORAGE_SECONDS, 1, heartbeat, clock)
        self._description_queue = DescriptionQueue(self._store)
        self._source = source
        self._heartbeat = heartbeat
        self._progress = progress
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock
        self._plain_store = store
        self._threads = threads
        self._give_way = give_way
        self._workers, self._is_uncertain = None, False

    def load(self):
        """Index every repository of the storage, and remove all others from the index.

        The load asks the storage again for each repository that it does not list. A repository that
        it does not have is removed, unless it was touched within the last hour. If the storage
        lists no repository at all, nothing is removed.

        :returns: a LoadReport.
        :raises RequestFailed, LeaseLost: what was written so far is kept; load again.
        :raises StorageUnreadable: no part of the storage can be read.

        Costs a Scan of the rows, a Query of all names and one of the tombstones. Each
        TransactWriteItems adds several repositories. A repository that is removed costs three
        requests, and a tombstone that has expired costs a DeleteItem."""
        started = self._clock()
        counts = collections.Counter()
        finish_interrupted(self._store, self._heartbeat)
        # The threads do not renew the lease, so their heartbeat only stops them.
        window = Window(max(1, self._threads), self._give_way)
        bulk_store = self._plain_store.retrying(
            self._check_workers, self._sleep, lambda client: WindowClient(client, window))
        self._bulk, self._bulk_queue = BulkWriter(bulk_store), DescriptionQueue(bulk_store)
        self._workers = Workers(self._write_group, lambda group, result: self._note_written(
            group, counts, *result), self._threads, self._heartbeat)
        try:
            return self._load(started, counts)
        finally:
            # Until no request is under way, no other load may begin.
            self._workers.close()

    def _load(self, started, counts):
        snapshot = self._reader.take(
            lambda snapshot: self._write_listed(snapshot, counts), is_scattered=True)
        try:
            found = snapshot.count()
            logger.info('loading the search index: %d repositories in the storage', found)
            self._write_all(snapshot, counts)
            self._finish_uncertain()
            if self._source.describes_later:
                self._description_queue.note(self._source.doubtful())
            self._delete_expired(snapshot)
        finally:
            snapshot.close()
        report = LoadReport(
            found, unreadable=self._reader.unreadable, seconds=self._clock() - started,
            **{kind: counts[kind] for kind in _KINDS})
        log = logger.info if report.complete else logger.error
        log('loaded the search index in %.1f s: %s', report.seconds, report.summary)
        return report

    def difference(self):
        """Yield (outcome, name) of each repository that a load would not count as unchanged. The
        outcome is added, adopted, cleaned, removed, recent or failed. Costs the same reads as a
        load."""
        snapshot = self._reader.take()
        try:
            is_trusted = self._is_trusted(snapshot)
            for entry in snapshot.entries():
                self._heartbeat()
                kind, _ = self._plan(entry)
                if kind == 'unlisted':
                    kind = self._remove_if_allowed(entry, is_trusted, self._check_removal)
                if kind != 'unchanged':
                    yield kind, entry.name
        finally:
            snapshot.close()

    def _write_listed(self, snapshot, counts):
        """Write a few of the repositories that were listed; return True if there were any."""
        entries = snapshot.take_listed(_WRITTEN_AT_ONCE)
        self._write_entries(entries, counts)
        self._sleep(0)
        return bool(entries)

    def _write_all(self, snapshot, counts):
        is_trusted = self._is_trusted(snapshot)
        progress = Progress(self._clock, snapshot.count_all(self._heartbeat), snapshot.taken,
                            self._progress)
        self._write_entries(snapshot.entries(), counts, is_trusted, progress.note_loaded)

    def _write_entries(self, entries, counts, is_trusted=False, note_progress=lambda done: None):
        group, size, done = [], 0, -1
        for done, entry in enumerate(entries):
            self._heartbeat()
            if done % _YIELD_EVERY == 0:
                self._sleep(0)
            if done % _REPORT_EVERY == 0:
                note_progress(done)
            kind, change = self._plan(entry)
            if kind == 'unlisted':
                counts[self._remove_if_allowed(entry, is_trusted, self._remove)] += 1
            elif change is None:
                counts[kind] += 1
            elif change.target is None:
                counts[self._write(kind, entry)] += 1
            else:
                if size + len(change.head) > LONGEST:
                    self._workers.submit(group)
                    group, size = [], 0
                group.append((kind, entry, change))
                size += len(change.head)
        if group:
            self._workers.submit(group)
        self._workers.join()
        note_progress(done + 1)

    def _plan(self, entry):
        """Return (outcome, Change or None) of a repository; 'unlisted' if it may be removed."""
        state = entry.state
        if state.is_current:
            return 'unchanged' if entry.is_listed else 'unlisted', None
        if not entry.is_listed and state == NOTHING:
            return 'unchanged', None
        if state.row is not None and not state.is_half_added:
            return 'adopted', self._planner.put(entry.name, None, state)
        if entry.is_listed:
            guard = self._planner.not_removed_since(entry.name, entry.removal)
            return 'added', self._planner.put(entry.name, entry.description or None, state, [guard])
        return 'cleaned', self._planner.delete(entry.name, state)

    def _write_group(self, group):
        """Write the changes of a group, in the thread of a worker; see BulkWriter.write."""
        if self._source.describes_later:
            # Adopted ones, too: notes of another release are in a search table of its own.
            self._bulk_queue.note(entry.name for _, entry, change in group if not change.target)
        return self._bulk.write([change for _, _, change in group])

    def _note_written(self, group, counts, is_made, intent):
        """Count the repositories of a group; write them again, one by one, if it was refused."""
        if is_made:
            counts.update(kind for kind, _, _ in group)
            self._is_uncertain = self._is_uncertain or intent is not None
            return
        kinds = [self._write(kind, entry, possible_descriptions(change))
                 for kind, entry, change in group]
        counts.update(kinds)
        if 'failed' not in kinds:
            delete_intent(self._store, intent)

    def _finish_uncertain(self):
        """If requests got no answer, wait until DynamoDB has made them or never will, and write
        their repositories again."""
        if self._is_uncertain:
            end = self._clock() + request_timeout(self._store.settings)
            while self._clock() < end:
                self._heartbeat()
                self._sleep(1)
            finish_interrupted(self._store, self._heartbeat)

    def _check_workers(self):
        if self._workers.is_closing:
            raise errors.Stopped()

    def _write(self, kind, entry, begun=frozenset()):
        """Plan one repository again and write it; return the outcome. If it cannot be written, the
        load continues with the others.

        :param begun: descriptions whose postings may exist without a row or a witness."""
        planned = []

        def plan(state):
            planned[:] = [self._plan(self._with_state(entry, state, begun))]
            return planned[0][1]

        try:
            self._writer.change(entry.name, plan, read_witness=True)
            return kind if entry.is_listed == (planned[0][0] != 'cleaned') else 'unchanged'
        except (errors.ChangeConflict, errors.StorageUnreadable, errors.RequestFailed) as error:
            if _would_fail_for_all(error):
                raise
            logger.error(_NOT_DONE, entry.name, 'updated', error)
            return 'failed'

    def _with_state(self, entry, state, begun):
        """Return the entry with the current state of its repository."""
        state = state._replace(begun=state.begun | begun)
        if state.row is None and entry.is_listed:
            if self._was_removed(entry):
                entry = entry._replace(is_listed=False)
            elif entry.state.row is not None:
                # Another process deleted the row, perhaps release 0.1.0, without a tombstone.
                entry = entry._replace(is_listed=self._timed_source.has(entry.name))
        return entry._replace(state=state)

    def _was_removed(self, entry):
        """Return True if the repository was removed since the load began. A tombstone that no
        longer exists had expired, and another load has deleted it."""
        return self._reader.removal(entry.name) not in (None, entry.removal)

    def _is_trusted(self, snapshot):
        """Return True if repositories that were not listed may be removed.

        An unreadable namespace may contain any of them, because the index does not record the
        namespace of a repository. A storage without any repository is more often the wrong storage
        than an empty one."""
        if self._reader.unreadable:
            logger.error('nothing is removed from the search index, because some namespaces of '
                         'the storage could not be read; a later load removes what is gone')
            return False
        rows = snapshot.count('rows')
        if rows and not snapshot.count():
            logger.error('the storage lists no repositories, but the search index has %d; nothing '
                         'is removed; check the settings of the storage, or delete the tables if '
                         'the storage is really empty', rows)
            return False
        return True

    def _remove_if_allowed(self, entry, is_trusted, remove):
        """Call ``remove`` for an unlisted repository if it may be removed; return the outcome."""
        if self._writer.is_recent(entry.state.row):
            return 'recent'
        if entry.name in self._source.doubtful():
            return 'unchanged'
        if not is_trusted:
            return 'failed'
        try:
            return remove(entry)
        except (errors.StorageUnreadable, errors.ChangeConflict, errors.RequestFailed) as error:
            if _would_fail_for_all(error):
                raise
            logger.error(_NOT_DONE, entry.name, 'removed', error)
            return 'failed'

    def _remove(self, entry):
        return self._writer.remove_if(entry.name, lambda: not self._timed_source.has(entry.name))

    def _check_removal(self, entry):
        return 'unchanged' if self._timed_source.has(entry.name) else 'removed'

    def _delete_expired(self, snapshot):
        """Delete each tombstone that has expired, unless a newer one has replaced it."""
        for name, number in snapshot.expired(self._wall_clock()):
            try:
                self._store.delete_numbered(tombstone_key(name), number)
            except errors.ConditionFailed:
                continue


def _would_fail_for_all(error):
    """Return True if an error would fail the other repositories, too."""
    return isinstance(error, errors.RequestFailed) and not error.invalid
