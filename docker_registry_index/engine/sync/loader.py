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
from ..store.records import NOTHING, tombstone_key
from ..write.plan import LONGEST
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
#: The number of entries that are compared before other greenlets run.
_YIELD_EVERY = 100
#: The number of entries that are written between two batches of the listing.
_WRITTEN_AT_ONCE = 20


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
    :param progress: called with (done, total) after each hundred repositories."""

    def __init__(self, store, source, heartbeat=lambda: None, progress=None, sleep=sleep,
                 clock=monotonic, wall_clock=time.time):
        self._store = store.retrying(heartbeat, sleep)
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
        snapshot = self._reader.take(lambda snapshot: self._write_listed(snapshot, counts))
        try:
            found = snapshot.count()
            logger.info('loading the search index: %d repositories in the storage', found)
            self._write_all(snapshot, counts)
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
        batch, size, done = [], 0, -1
        for done, entry in enumerate(entries):
            self._heartbeat()
            if done % _YIELD_EVERY == 0:
                self._sleep(0)
                note_progress(done)
            kind, change = self._plan(entry)
            if change is None:
                if kind == 'unlisted':
                    kind = self._remove_if_allowed(entry, is_trusted, self._remove)
                counts[kind] += 1
                continue
            if size + len(change.actions) > LONGEST:
                self._flush(batch, counts)
                batch, size = [], 0
            batch.append((kind, entry, change))
            size += len(change.actions)
        self._flush(batch, counts)
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

    def _flush(self, batch, counts):
        """Write a batch in one transaction, or each change by itself if that is refused."""
        self._heartbeat()
        if self._source.describes_later:
            # Adopted ones, too: notes of another release are in a search table of its own.
            self._description_queue.note(
                entry.name for kind, entry, change in batch
                if kind in ('added', 'adopted') and not change.target)
        if len(batch) > 1 and self._writer.change_together([change for _, _, change in batch]):
            counts.update(kind for kind, _, _ in batch)
            return
        for kind, entry, _ in batch:
            counts[self._write(kind, entry)] += 1

    def _write(self, kind, entry):
        """Plan one repository again and write it; return the outcome. If it cannot be written, the
        load continues with the others."""
        try:
            if kind == 'added' and self._was_removed(entry):
                return 'unchanged'
            self._writer.change(
                entry.name, lambda state: self._plan(self._with_state(entry, state))[1],
                read_witness=True)
            return kind
        except errors.ChangeConflict as error:
            if self._was_removed(entry):
                return 'unchanged'
            problem = error
        except (errors.StorageUnreadable, errors.RequestFailed) as error:
            if _would_fail_for_all(error):
                raise
            problem = error
        logger.error(_NOT_DONE, entry.name, 'updated', problem)
        return 'failed'

    def _with_state(self, entry, state):
        """Return the entry with the current state of its repository."""
        if state.row is None and entry.state.row is not None and entry.is_listed:
            # Another process deleted the row, perhaps release 0.1.0, which writes no tombstone.
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
