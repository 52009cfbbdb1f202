"""Load: the index is made equal to the registry's storage, difference by difference.

What is there already costs no write, so a load that was killed goes on where it stopped, and one
that runs later is a sync. Until one was complete, it writes while the storage is still being
listed: some processes live shorter than that takes."""

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
from .snapshot import Survey

__all__ = ['LoadReport', 'Loader']

logger = logging.getLogger(__name__)

#: What a load counts repositories as.
_KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged', 'failed')
#: Entries after which other greenlets run.
_YIELD_EVERY = 100
#: Entries that are written between two batches of the listing.
_FEW = 20


class LoadReport(collections.namedtuple('LoadReport', ('found',) + _KINDS + (
        'unreadable', 'seconds'))):
    """What a load did.

    :param found: repositories in the registry's storage.
    :param added: those that were not in the index.
    :param adopted: rows that had no postings, or others, such as those of release 0.1.0.
    :param cleaned: names whose postings went because their row was gone, or whose removal had been
        broken off.
    :param removed: repositories removed, because the storage does not have them any more.
    :param recent: repositories that the storage does not have, and that stay for now, because they
        were pushed or changed within the last hour.
    :param unchanged: repositories that were right already.
    :param failed: those that could not be written, or not be removed; the log contains why.
    :param unreadable: a tuple of the namespaces that could not be listed.
    :param seconds: how long it took."""
    __slots__ = ()

    @property
    def complete(self):
        """Whether the index equals the storage now, as far as it must."""
        return not (self.failed or self.unreadable)

    @property
    def summary(self):
        """The counts in a line, for people."""
        counts = '%d repositories in the storage: %s' % (self.found, ', '.join(
            '%d %s' % (getattr(self, kind), kind) for kind in _KINDS))
        if self.complete:
            return counts
        return '%s; NOT COMPLETE: %d namespaces could not be read' % (counts, len(self.unreadable))


class Loader(object):
    """Loads one index, once.

    :param store: a Store; throttling slows this load down only.
    :param source: a Source.
    :param heartbeat: called often while working; raises to stop the load.
    :param progress: called now and then with (done, total)."""

    def __init__(self, store, source, heartbeat=lambda: None, progress=None, sleep=sleep,
                 clock=monotonic, wall_clock=time.time):
        self._store = store.retrying(heartbeat, sleep)
        self._writer = Writer(self._store, clock=wall_clock)
        self._planner = self._writer.planner
        self._survey = Survey(self._store, source, heartbeat, sleep, clock)
        self._timed_source = TimedSource(source, STORAGE_SECONDS, heartbeat=heartbeat)
        self._pending = DescriptionQueue(self._store)
        self._source = source
        self._heartbeat = heartbeat
        self._progress = progress
        self._sleep = sleep
        self._clock = clock
        self._wall_clock = wall_clock

    def load(self):
        """Make every repository of the storage, and no other, be indexed.

        Rows that the storage does not list are removed when it confirms that, asked for this one,
        and when they were not touched within the last hour. A storage that lists nothing at all
        removes nothing.

        :returns: a LoadReport.
        :raises RequestFailed, LeaseLost: what was written until then stays; load again.
        :raises StorageUnreadable: nothing of the storage can be read.

        Costs a Scan of the rows, a Query of all names and one of the tombstones, and a
        TransactWriteItems for what is missing, several repositories in each; three requests for
        each that is gone, and a DeleteItem for each tombstone that has expired."""
        started = self._clock()
        counts = collections.Counter()
        snapshot = self._survey.take(lambda snapshot: self._write_few(snapshot, counts))
        try:
            found = snapshot.count()
            logger.info('loading the search index: %d repositories in the storage', found)
            self._write_all(snapshot, counts)
            if self._source.describes_later:
                self._pending.note(self._source.doubtful())
            self._delete_expired(snapshot)
        finally:
            snapshot.close()
        report = LoadReport(
            found, unreadable=self._survey.unreadable, seconds=self._clock() - started,
            **{kind: counts[kind] for kind in _KINDS})
        log = logger.info if report.complete else logger.error
        log('loaded the search index in %.1f s: %s', report.seconds, report.summary)
        return report

    def difference(self):
        """Yield (what load would do, name) where it would do anything. The first is added, adopted,
        cleaned, removed, recent or failed. Costs what load costs, without the writes."""
        snapshot = self._survey.take()
        try:
            is_trusted = self._is_trusted(snapshot)
            for entry in snapshot.entries():
                self._heartbeat()
                kind, _ = self._plan(entry)
                if kind == 'gone':
                    kind = self._if_removable(entry, is_trusted, self._is_gone)
                if kind != 'unchanged':
                    yield kind, entry.name
        finally:
            snapshot.close()

    def _write_few(self, snapshot, counts):
        """Write some of what was listed; return whether there was any."""
        entries = snapshot.take_listed(_FEW)
        self._write_entries(entries, counts)
        self._sleep(0)
        return bool(entries)

    def _write_all(self, snapshot, counts):
        is_trusted = self._is_trusted(snapshot)
        progress = Progress(self._clock, snapshot.count_all(self._heartbeat), snapshot.taken,
                            self._progress)
        self._write_entries(snapshot.entries(), counts, is_trusted, progress.reach)

    def _write_entries(self, entries, counts, is_trusted=False, reach=lambda done: None):
        batch, size, done = [], 0, -1
        for done, entry in enumerate(entries):
            self._heartbeat()
            if done % _YIELD_EVERY == 0:
                self._sleep(0)
                reach(done)
            kind, change = self._plan(entry)
            if change is None:
                if kind == 'gone':
                    kind = self._if_removable(entry, is_trusted, self._remove)
                counts[kind] += 1
                continue
            if size + len(change.actions) > LONGEST:
                self._flush(batch, counts)
                batch, size = [], 0
            batch.append((kind, entry, change))
            size += len(change.actions)
        self._flush(batch, counts)
        reach(done + 1)

    def _plan(self, entry):
        """Return what to do about a repository, as (what it counts as, Change)."""
        state = entry.state
        if state.is_current:
            return 'unchanged' if entry.is_listed else 'gone', None
        if not entry.is_listed and state == NOTHING:
            return 'unchanged', None
        if state.row is not None and not state.is_half:
            return 'adopted', self._planner.put(entry.name, None, state)
        if entry.is_listed:
            guard = self._planner.not_removed_since(entry.name, entry.removal)
            return 'added', self._planner.put(entry.name, entry.description or None, state, [guard])
        return 'cleaned', self._planner.delete(entry.name, state)

    def _flush(self, batch, counts):
        """Write a batch at once, or one by one where others interfere."""
        self._heartbeat()
        if self._source.describes_later:
            # Also what another release had noted: its notes are in its own search table.
            self._pending.note(entry.name for kind, entry, change in batch
                               if kind in ('added', 'adopted') and not change.target)
        if len(batch) > 1 and self._writer.change_together([change for _, _, change in batch]):
            counts.update(kind for kind, _, _ in batch)
            return
        for kind, entry, _ in batch:
            counts[self._write(kind, entry)] += 1

    def _write(self, kind, entry):
        """Write one repository, planned anew; return what it counts as. One that cannot be written
        does not keep the others out."""
        try:
            if kind == 'added' and self._was_removed(entry):
                return 'unchanged'
            self._writer.change(
                entry.name, lambda state: self._plan(self._now(entry, state))[1], sure=True)
            return kind
        except errors.ChangeConflict as error:
            if self._was_removed(entry):
                return 'unchanged'
            problem = error
        except (errors.StorageUnreadable, errors.RequestFailed) as error:
            if _would_fail_for_all(error):
                raise
            problem = error
        logger.error('left out of the search index: %.80r: %s', entry.name, problem)
        return 'failed'

    def _now(self, entry, state):
        """Return the same repository, in its state now."""
        if state.row is None and entry.state.row is not None and entry.is_listed:
            # Another process deleted its row, perhaps without a tombstone: release 0.1.0 writes
            # none.
            entry = entry._replace(is_listed=self._timed_source.has(entry.name))
        return entry._replace(state=state)

    def _was_removed(self, entry):
        """Return whether it was removed since the load began. A tombstone that is gone has expired:
        another load has deleted it."""
        return self._survey.removal(entry.name) not in (None, entry.removal)

    def _is_trusted(self, snapshot):
        """Return whether to believe the listing in what it does not contain.

        An unreadable namespace may contain anything, and the index does not record the namespace of
        a repository. A storage without any repository is more often the wrong one than one that was
        emptied."""
        if self._survey.unreadable:
            logger.error('nothing is removed from the search index, because some namespaces of '
                         'the storage could not be read')
            return False
        rows = snapshot.count('rows')
        if rows and not snapshot.count():
            logger.error('the storage lists no repository at all, and the search index has %d: '
                         'nothing is removed; check the settings of the storage, and if they are '
                         'right, delete the tables', rows)
            return False
        return True

    def _if_removable(self, entry, is_trusted, remove):
        """Do about a repository that the storage does not list what ``remove`` does, if the load
        may remove it; return what it counts as."""
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
            logger.error('not removed from the search index: %.80r: %s', entry.name, error)
            return 'failed'

    def _remove(self, entry):
        return self._writer.remove_if(entry.name, lambda: self._is_gone(entry) == 'removed')

    def _is_gone(self, entry):
        return 'unchanged' if self._timed_source.has(entry.name) else 'removed'

    def _delete_expired(self, snapshot):
        """Delete the tombstones that have expired, unless somebody has just written another."""
        for name, number in snapshot.expired(self._wall_clock()):
            try:
                self._store.delete_numbered(tombstone_key(name), number)
            except errors.ConditionFailed:
                continue


def _would_fail_for_all(error):
    """Return whether an error concerns more than one repository."""
    return isinstance(error, errors.RequestFailed) and not error.invalid
