"""Load: makes the index equal to the registry's storage, difference by difference.

What is indexed already costs no write. So a load continues the work of one that was killed, and a
later load is a sync. Until one load is complete, loads write while the storage is still being
listed, because some processes do not live long enough to list all of it."""

from __future__ import unicode_literals

import collections
import logging
import time

from .. import errors
from .._compat import monotonic, sleep, text_type
from ..concurrency import Stopwatch, Workers
from ..store.client import request_timeout, settle_timeout
from ..store.records import NOTHING, PLACE_KEY, TOMBSTONE, marker_key, removal_of
from ..store.retries import FOREVER
from ..write.bulk import LONGEST, BulkWriter, Window, WindowClient, intents
from ..write.writer import Writer
from .description_queue import DescriptionQueue
from .listing import STORAGE_SECONDS, Progress
from .reconcile import TimedSource
from .snapshot import SnapshotReader
from .verification import Repairer, Verification

logger = logging.getLogger(__name__)

#: The outcomes that a load counts.
_KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged', 'repaired', 'failed')
_NOT_DONE = 'the entry of %.80r in the search index could not be %s; a later load retries it: %s'
#: The number of entries that are compared before other greenlets run, which takes about ten
#: milliseconds, and before the progress is reported.
_YIELD_EVERY, _REPORT_EVERY = 10, 100
#: While the storage is being listed, entries are written in groups of this size; after this many
#: seconds, a group contains those that were listed by then.
_WRITTEN_AT_ONCE, _WRITE_SECONDS = 33, 1
#: The seconds from the start of a load, or since a place was stored, until another one is. The
#: number of threads that write, and so the most requests at a time.
_PLACE_SECONDS, _THREADS = 10, 8


class LoadReport(collections.namedtuple('LoadReport', ('found',) + _KINDS + (
        'unreadable', 'seconds'))):
    """The results of a load, as numbers of repositories.

    :param found: repositories in the registry's storage; of a load that resumes, only those that
        were listed after the interruption.
    :param added: repositories that were not in the index.
    :param adopted: rows that had no postings or outdated ones, such as those of release 0.1.0.
    :param cleaned: names whose postings were deleted because they had no row, or because their
        removal had been interrupted.
    :param removed: repositories removed because the storage no longer has them.
    :param recent: repositories that the storage does not have, but that are kept for now, because
        they were pushed or changed within the last hour.
    :param unchanged: repositories that were correct already, or are kept because the storage could
        not be read completely.
    :param repaired: names whose postings were not as they should be, although the row and the list
        of names agreed; they are also counted as above, most of them as unchanged.
    :param failed: repositories that could not be written or removed; the log contains the reasons.
    :param unreadable: a tuple of the names of the namespaces that could not be listed.
    :param seconds: the duration of the load."""
    __slots__ = ()

    @property
    def complete(self):
        """True if nothing failed, and all of the storage was read: the index equals the storage,
        except for recent repositories."""
        return not (self.failed or self.unreadable)

    @property
    def summary(self):
        """The numbers in one line of text."""
        counts = '%d repositories in the storage: %s' % (self.found, ', '.join(
            '%d %s' % (getattr(self, kind), kind) for kind in _KINDS))
        if self.complete:
            return counts
        return '%s; %d parts of the storage unreadable; NOT COMPLETE' % (
            counts, len(self.unreadable))


class Loader(object):
    """Runs one load of one index.

    :param store: a Store; throttling only makes the load slower.
    :param source: a Source.
    :param heartbeat: called often during the load; raises to stop it.
    :param progress: called with (done, total) after each hundred repositories.
    :param threads: the number of threads that write; with 0, the caller's thread writes.
    :param give_way: called before each request; waits while pushes have precedence.
    :param slices: the numbers of the slices of the search table to verify; see Verification.
    :param on_listed: called each time that the storage has listed some repositories."""

    def __init__(self, store, source, heartbeat=lambda: None, progress=None, sleep=sleep,
                 clock=monotonic, wall_clock=time.time, threads=_THREADS, slices=(),
                 give_way=lambda: None, on_listed=lambda: None):
        # After a heartbeat, the lease lasts for one more request at least.
        self._since_heartbeat = Stopwatch(request_timeout(store.settings), clock)
        self._beat = heartbeat
        self._give_way = give_way
        self._store = store.retrying(self._before_request, sleep, throttled_seconds=FOREVER)
        self._writer = Writer(self._store, clock=wall_clock)
        self._planner = self._writer.planner
        self._reader = SnapshotReader(self._store, source, self._heartbeat, sleep, clock,
                                      on_listed)
        self._timed_source = TimedSource(source, STORAGE_SECONDS, 1, self._heartbeat, clock)
        self._description_queue = DescriptionQueue(self._store)
        self._source, self._progress = source, progress
        self._sleep = sleep
        self._clock, self._wall_clock = clock, wall_clock
        self._plain_store = store
        self._threads = threads
        self._written = self._place_stored = clock()
        self._slices = slices
        self._bulk = self._bulk_queue = self._workers = self._verification = None
        self._counts = collections.Counter()
        self._refusals, self._failed, self._noted = set(), set(), set()

    def load(self):
        """Index every repository of the storage, and remove all others from the index.

        The load asks the storage again for each repository that it does not list. A repository that
        it does not have is removed, unless it was touched within the last hour, or may be in a
        namespace that cannot be read. If the storage lists no repository at all, nothing is
        removed.

        :returns: a LoadReport.
        :raises RequestFailed, LeaseLost: what was written so far is kept; load again.
        :raises StorageUnreadable: no part of the storage can be read.

        Costs a Scan of the rows, and a Query each of all names, the tombstones and the intents.
        BulkWriter.write describes the cost of what is added, and Verification that of the slices. A
        repository that is removed costs three requests, and a tombstone that has expired costs a
        DeleteItem. If the source has places to resume at, the first load stores one with a PutItem,
        at most every ten seconds. A load that resumes removes nothing; another one follows soon."""
        started = self._clock()
        self._verification = Verification(self._reader, self._store, self._slices)
        # When DynamoDB has made all requests that got no answer, perhaps of an earlier load.
        self._settled = started + settle_timeout(self._store.settings)
        window = Window(max(1, self._threads), self._give_way)
        bulk_store, unthrottled = [self._plain_store.retrying(
            self._check_worker, self._sleep,
            lambda client: WindowClient(client, window, self._check_worker),
            throttled_seconds=seconds) for seconds in (FOREVER, -1)]
        self._bulk = BulkWriter(bulk_store, unthrottled)
        self._bulk_queue = DescriptionQueue(bulk_store)
        self._workers = Workers(self._write_group, self._note_written, self._threads,
                                self._heartbeat)
        try:
            return self._load(started)
        except BaseException:
            # Also after Ctrl-C. Until no request is under way, no other load may begin.
            self._workers.close()
            self._bulk.put_intents_again(self._plain_store)
            raise
        finally:
            self._workers.close()
            self._verification.close()

    def _load(self, started):
        counts = self._counts
        snapshot = self._reader.take(self._write_listed, is_scattered=True)
        try:
            self._verification.read()
            found = snapshot.count()
            logger.info('loading the search index: %d repositories in the storage', found)
            progress = Progress(self._clock, snapshot.count_all(self._heartbeat), snapshot.taken,
                                self._progress)
            self._write_entries(
                snapshot.entries(), self._is_trusted(snapshot), progress.note_loaded)
            self._workers.join()
            self._finish_intents()
            self._repair()
            self._note_doubtful()
            self._delete_expired(snapshot)
            if self._reader.place is not None:
                self._store.call('delete_item', TableName=self._store.search_table, Key=PLACE_KEY)
        finally:
            snapshot.close()
        report = LoadReport(
            found, unreadable=tuple(map(text_type, self._reader.unreadable)),
            seconds=self._clock() - started, **{kind: counts[kind] for kind in _KINDS})
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
                    kind = self._remove_if_allowed(entry, is_trusted, lambda entry: (
                        'unchanged' if self._timed_source.has(entry.name) else 'removed'))
                if kind != 'unchanged':
                    yield kind, entry.name
        finally:
            snapshot.close()

    def _write_listed(self, snapshot):
        """Write some of the repositories that were listed, if a thread is free and a write is due;
        return True if there were any."""
        if self._reader.listing.place not in (None, self._reader.place) and (
                self._clock() >= self._place_stored + _PLACE_SECONDS):
            self._store_place(snapshot)
        if self._workers.are_busy() or (snapshot.listed - snapshot.taken < _WRITTEN_AT_ONCE
                                        and self._clock() < self._written + _WRITE_SECONDS):
            return False
        entries = snapshot.take_listed(_WRITTEN_AT_ONCE)
        self._write_entries(entries)
        self._written = self._clock()
        self._sleep(0)
        return bool(entries)

    def _store_place(self, snapshot):
        """Write all that was listed, then store the place where a later load can resume."""
        place, self._place_stored = self._reader.listing.place, self._clock()
        # The second pass takes those in front of the last one of the first pass.
        for entries in [iter(lambda: snapshot.take_listed(_WRITTEN_AT_ONCE), [])] * 2:
            for group in entries:
                self._write_entries(group)
        self._workers.join()
        if not self._counts['failed']:
            self._note_doubtful()
            self._store.call('put_item', TableName=self._store.search_table,
                             Item=dict(PLACE_KEY, place={'S': place}))
            self._reader.place = place

    def _note_doubtful(self):
        names = self._source.doubtful() - self._noted if self._source.describes_later else ()
        self._description_queue.note(names)
        self._noted.update(names)

    def _write_entries(self, entries, is_trusted=False, note_progress=lambda done: None):
        """Write entries. Some may still be under way at the end; see Workers.join."""
        group, size, done = [], 0, -1
        for done, entry in enumerate(entries):
            self._heartbeat()
            if done % _YIELD_EVERY == 0:
                self._sleep(0)
            if done % _REPORT_EVERY == 0:
                note_progress(done)
            self._verification.compare(entry.name, entry.state.witness)
            kind, change = self._plan(entry)
            if kind == 'unlisted':
                self._counts[self._remove_if_allowed(entry, is_trusted, self._remove)] += 1
            elif change is None:
                self._counts[kind] += 1
            elif kind == 'cleaned':
                self._counts[self._write(kind, entry)] += 1
            else:
                if kind == 'adopted':
                    change = change._replace(head=change.head + [self._guard(entry)])
                if size + len(change.head) > LONGEST:
                    self._workers.submit(group)
                    group, size = [], 0
                group.append((kind, entry, change))
                size += len(change.head)
        if group:
            self._workers.submit(group)
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
            return 'added', self._planner.put(
                entry.name, entry.description or None, state, [self._guard(entry)])
        return 'cleaned', self._writer.clean(entry.name, state, entry.removal)

    def _guard(self, entry):
        """Return the condition that nothing deletes postings of an entry until it is written."""
        return self._planner.not_removed_since(entry.name, entry.removal)

    def _write_group(self, group):
        """Write the changes of a group, in the thread of a worker; see BulkWriter.write."""
        if self._source.describes_later:
            # Adopted ones, too: notes of another release are in a search table of its own.
            self._bulk_queue.note(entry.name for _, entry, change in group if not change.target)
        return self._bulk.write([change for _, _, change in group])

    def _note_written(self, group, written):
        """Count the repositories of a group; write them again, one by one, if it was refused."""
        is_made, is_certain, intent = written
        if not is_certain:
            # DynamoDB may still make a request that got no answer.
            self._settled = self._clock() + settle_timeout(self._store.settings)
        kinds = [kind for kind, _, _ in group]
        if not is_made:
            kinds = [self._write(kind, entry, change.descriptions) for kind, entry, change in group]
            if is_certain and 'failed' not in kinds:
                self._bulk.delete(intent, self._store)
        self._counts.update(kinds)

    def _before_request(self):
        # First, so that the lease is renewed just before the request.
        self._give_way()
        self._heartbeat()

    def _heartbeat(self):
        # The answer may come late, and other processes measure the lease from the request.
        began = self._clock()
        self._beat()
        self._since_heartbeat.start(began)

    def _check_worker(self):
        """Called before each request of a worker. Ends the worker with the load, and makes it wait
        while the lease may end before the request does. A worker does not renew the lease."""
        if not self._workers.has_threads:
            return self._heartbeat()
        while self._since_heartbeat.has_expired and not self._workers.is_closing:
            self._sleep(0.1)
        if self._workers.is_closing:
            raise errors.Stopped()

    def _finish_intents(self):
        """For each intent that is left, write its repositories again, as a whole. A repository
        without a row loses its postings. Before that, wait until DynamoDB has carried out all
        requests that got no answer, or never will.

        Costs a Query, and three requests for each repository of an intent."""
        found = intents(self._store)
        is_settled = all(intent.is_settled for intent in found)
        while not is_settled and self._clock() < self._settled:
            self._heartbeat()
            self._sleep(1)
        begun = {}
        for intent in found:
            for name, descriptions in intent.repositories:
                begun.setdefault(name, set()).update(descriptions)
        known = set(self._failed)
        failed = set(name for name in sorted(begun) if self._attempt(
            'updated', name, lambda: self._writer.rewrite(name, begun[name])) == 'failed')
        self._counts['failed'] += len(failed - known)
        kept = set()
        for intent in sorted(found, key=self._bulk.is_own):
            left = set((name, description) for name, descriptions in intent.repositories
                       if name in failed for description in descriptions)
            # One intent is enough for repositories that fail in each load.
            if left <= kept:
                self._bulk.finish(intent, self._store)
            kept |= left

    def _repair(self):
        """Repair the postings that are not as they should be, in the slices."""
        repairer, example = Repairer(self._store, self._writer), None

        def repair():
            if not repairer.repair(name, found):
                raise errors.ChangeConflict(name, 1)
            return 'repaired'

        for name, found in self._verification.problems():
            self._counts[self._attempt('repaired', name, repair)] += 1
            example = example or (name, found.detail)
        if example:
            logger.warning('%d repositories had wrong postings, which are repaired; for example '
                           '%.80r: %s', self._counts['repaired'], *example)

    def _write(self, kind, entry, begun=frozenset()):
        """Plan one repository again and write it; return the outcome.

        :param begun: descriptions whose postings may exist without a row or a witness."""
        planned = []

        def plan(state):
            planned[:] = self._plan(self._with_state(entry, state, begun))
            return planned[1]

        def write():
            self._writer.change(entry.name, plan, read_witness=True)
            return kind if (planned[0] == 'cleaned') == (kind == 'cleaned') else 'unchanged'

        return self._attempt('updated', entry.name, write)

    def _with_state(self, entry, state, begun):
        """Return the entry with the current state of its repository."""
        removal = self._writer.removal(entry.name)
        if entry.is_listed and (state.row is None or state.is_half_added):
            if removal_of(removal) not in ('', removal_of(entry.removal)):
                # Removed since the load began. A tombstone that no longer exists had expired.
                entry = entry._replace(is_listed=False)
            elif state.row is None and entry.state.row is not None:
                # Another process deleted the row, perhaps release 0.1.0, without a tombstone.
                entry = entry._replace(is_listed=self._timed_source.has(entry.name))
        return entry._replace(state=state._replace(begun=state.begun | begun), removal=removal)

    def _is_trusted(self, snapshot):
        """Return True if repositories that were not listed may be removed. A storage without any
        repository is more often the wrong storage than an empty one."""
        rows = snapshot.count('rows')
        if rows and not snapshot.count() and not self._reader.is_resumed:
            logger.error('the storage lists no repositories, but the search index has %d; nothing '
                         'is removed; check the settings of the storage, or delete the tables if '
                         'the storage is really empty', rows)
            return False
        return True

    def _remove_if_allowed(self, entry, is_trusted, remove):
        """Call ``remove`` for an unlisted repository if it may be removed; return the outcome."""
        if self._reader.is_resumed:
            return 'unchanged'
        if self._writer.is_recent(entry.state.row):
            return 'recent'
        if entry.name in self._source.doubtful() or self._reader.may_have_missed(entry.name):
            return 'unchanged'
        if not is_trusted:
            return 'failed'
        return self._attempt('removed', entry.name, lambda: remove(entry))

    def _attempt(self, what, name, act):
        """Return what ``act`` returns; 'failed' if this repository cannot be written, so that the
        load continues with the others."""
        try:
            return act()
        except (errors.StorageUnreadable, errors.ChangeConflict, errors.RequestFailed) as error:
            is_refused = getattr(error, 'refused', False)
            # Other failed requests would fail for the other repositories, too.
            if isinstance(error, errors.RequestFailed) and not (error.invalid or is_refused):
                raise
            # A refusal contains no name: it is the same for each repository.
            if not is_refused or str(error) not in self._refusals:
                logger.error(_NOT_DONE, name, what, error)
            if is_refused:
                self._refusals.add(str(error))
            self._failed.add(name)
            return 'failed'

    def _remove(self, entry):
        return self._writer.remove_if(entry.name, lambda: not self._timed_source.has(entry.name))

    def _delete_expired(self, snapshot):
        """Delete each tombstone that has expired, unless a newer one has replaced it."""
        for name, number in snapshot.expired(self._wall_clock()):
            try:
                self._store.delete_numbered(marker_key(TOMBSTONE, name), number)
            except errors.ConditionFailed:
                continue
