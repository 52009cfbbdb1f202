"""Load: make the index follow the registry's storage, as a difference.

What is there already costs no write, so a load that was killed goes on
where it stopped, and one that runs later is a sync. Until one was complete,
it writes while the storage is still being listed: some processes live
shorter than that takes.
"""

from __future__ import unicode_literals

import collections
import logging
import time

from .. import errors
from ..write import transaction_batches
from .._compat import monotonic, sleep
from ..write.changes import Changes
from ..store.repository_state import NOTHING
from ..store.retrying import PatientClient
from .progress import Progress
from .removal import Removal
from .report import LoadReport
from .survey import Survey
from .description_queue import Undescribed

__all__ = ['Loader']

logger = logging.getLogger(__name__)

#: Entries after which other greenlets get their turn.
_TURN = 100
#: Entries that are written between two batches of the listing.
_FEW = 20
_KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged',
          'failed')


class Loader(object):
    """Loads one index, once.

    :param client: a Client; throttling slows this load down only.
    :param tables: what schema.tables gives.
    :param source: a Source.
    :param beat: called often while working; raises to stop the load.
    :param tell: called now and then with (done, total).
    :param forget: older Formats that nobody reads any more.
    """

    def __init__(self, client, tables, source, beat=lambda: None, tell=None,
                 sleep=sleep, clock=monotonic, wall_clock=time.time,
                 forget=()):
        client = PatientClient(client, beat, sleep)
        self._changes = Changes(client, tables, clock=wall_clock)
        self._writer = self._changes.writer
        self._planner = self._changes.planner
        self._survey = Survey(client, tables, source, beat, sleep,
                              clock=clock)
        self._removal = Removal(self._changes, source, beat)
        self._beat = beat
        self._tell = tell
        self._undescribed = Undescribed(client, tables, sleep)
        self._source = source
        self._notes = source.describes_later
        self._old = [self._writer.beside(format) for format in forget]
        self._sleep = sleep
        self._clock = clock

    def load(self):
        """Make every repository of the storage, and no other, be indexed.

        Rows that the storage lists not are removed when it says so again,
        asked for this one, and when they were not touched within the last
        hour. A storage that lists nothing at all removes nothing.

        :returns: a LoadReport.
        :raises RequestFailed, LeaseLost: what was written until then stays;
            load again.
        :raises StorageUnreadable: nothing of the storage can be read.

        Costs a Scan of the rows, a Query of all names and one of the
        tombstones, and a TransactWriteItems for what is missing, several
        repositories in each; three requests for each that is gone.
        """
        started = self._clock()
        counts = collections.Counter()
        ledger = self._survey.take(
            lambda ledger: self._write_few(ledger, counts))
        try:
            found = ledger.count()
            logger.info('loading the search index: %d repositories in the '
                        'storage', found)
            self._write_all(ledger, counts)
            if self._notes:
                self._undescribed.note(self._source.doubtful())
            self._forget_old()
        finally:
            ledger.close()
        return LoadReport(
            found, unreadable=self._survey.unreadable,
            seconds=self._clock() - started,
            **{kind: counts[kind] for kind in _KINDS})

    def difference(self):
        """Yield (what load would do, name) where it would do anything.

        The first is added, adopted, cleaned, removed, recent or failed. Costs
        what load costs, without the writes.
        """
        ledger = self._survey.take()
        try:
            is_trusted = self._removal.is_allowed(
                ledger, self._survey.unreadable)
            for entry in ledger.entries():
                self._beat()
                kind, _ = self._plan(entry)
                if kind == 'gone':
                    kind = self._removal.judge(entry, is_trusted)
                if kind != 'unchanged':
                    yield kind, entry.name
        finally:
            ledger.close()

    def _write_few(self, ledger, counts):
        """Write some of what was listed; return whether there was any."""
        entries = ledger.take_listed(_FEW)
        self._write_entries(entries, counts)
        self._sleep(0)
        return bool(entries)

    def _write_all(self, ledger, counts):
        is_trusted = self._removal.is_allowed(ledger, self._survey.unreadable)
        progress = Progress(ledger.count_all(self._beat), self._clock,
                            self._tell, before=ledger.taken)
        self._write_entries(ledger.entries(), counts, is_trusted,
                            progress.reach)

    def _write_entries(self, entries, counts, is_trusted=False,
                       reach=lambda done: None):
        batch, size, done = [], 0, -1
        for done, entry in enumerate(entries):
            self._beat()
            if done % _TURN == 0:
                self._sleep(0)
                reach(done)
            self._withdraw_old(entry)
            kind, change = self._plan(entry)
            if change is None:
                if kind == 'gone':
                    kind = self._removal.remove(entry, is_trusted)
                counts[kind] += 1
                continue
            if size + len(change.actions) > transaction_batches.LONGEST:
                self._flush(batch, counts)
                batch, size = [], 0
            batch.append((kind, entry, change))
            size += len(change.actions)
        self._flush(batch, counts)
        reach(done + 1)

    def _plan(self, entry):
        """What to do about a repository, as (what it counts as, Change)."""
        known = entry.known
        if known.is_current:
            return 'unchanged' if entry.is_listed else 'gone', None
        if not entry.is_listed and known == NOTHING:
            return 'unchanged', None
        if known.row is not None and not known.is_half:
            return 'adopted', self._planner.put(entry.name, None, known)
        if entry.is_listed:
            guard = self._planner.not_removed_since(entry.name, entry.removal)
            return 'added', self._planner.put(
                entry.name, entry.description or None, known, [guard])
        return 'cleaned', self._planner.delete(entry.name, known)

    def _withdraw_old(self, entry):
        for old in self._old:
            if entry.known.row is not None and (
                    entry.known.row.has_any(old.format)):
                old.withdraw(entry.name)

    def _forget_old(self):
        """Also of names without a row."""
        for old in self._old:
            for name, _ in self._survey.listed(old.format):
                self._beat()
                old.withdraw(name)

    def _flush(self, batch, counts):
        """Write a batch at once, or one by one where others interfere."""
        self._beat()
        if self._notes:
            self._undescribed.note(entry.name for kind, entry, _ in batch
                                   if kind == 'added')
        if len(batch) > 1 and self._writer.write_together(
                [change for _, _, change in batch]):
            counts.update(kind for kind, _, _ in batch)
            return
        for kind, entry, _ in batch:
            counts[self._write(kind, entry)] += 1

    def _write(self, kind, entry):
        """Write one repository, planned anew; return what it counts as.

        One that cannot be written does not keep the others out.
        """
        try:
            if kind == 'added' and self._was_removed(entry):
                return 'unchanged'
            self._writer.change(
                entry.name, lambda known: self._plan(
                    self._now(entry, known))[1], sure=True)
            return kind
        except errors.ChangeConflict as error:
            if self._was_removed(entry):
                return 'unchanged'
            problem = error
        except errors.StorageUnreadable as error:
            problem = error
        except errors.RequestFailed as error:
            if not error.invalid:
                raise
            problem = error
        logger.error('left out of the search index: %.80r: %s', entry.name,
                     problem)
        return 'failed'

    def _now(self, entry, known):
        """The same repository, as it is known now."""
        if known.row is None and entry.known.row is not None and (
                entry.is_listed):
            # Somebody took its row away, and need not have left a tombstone:
            # release 0.1.0 knows none.
            is_listed = self._removal.is_there(entry.name)
            entry = entry._replace(is_listed=is_listed)
        return entry._replace(known=known)

    def _was_removed(self, entry):
        """Whether it was removed since the load began."""
        found = dict(self._survey.tombstones(entry.name))
        return found.get(entry.name) != entry.removal
