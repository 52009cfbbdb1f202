"""Reads the repositories of notes: a load left out their descriptions, or the registry did not
return them in time.

The notes are in DynamoDB, and each process keeps in memory when it reads which note. Only one copy
of the service at a time reads the notes of others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ...engine import SearchIndex, errors
from ...engine.concurrency import Backoff, Loop
from ...engine.sync.description_queue import LONG_SECONDS, LONGEST_PAUSE, Note, Schedule
from ..registry.connection import RegistryUnavailable
from .reconcile import Reconciler

logger = logging.getLogger(__name__)

#: Seconds between two reads of the notes; the pauses grow while all of them fail.
PAUSE = 10
#: The notes that are read at a time, and the repositories that are read at once.
_BATCH, _THREADS = 100, 4
#: The most seconds for one repository at first. After a failure, the limit is LONG_SECONDS, and one
#: thread reads such repositories one by one, so that slow ones do not delay others.
SECONDS = 10
#: Consecutive unreadable repositories after which the registry itself may be unavailable.
_FAILURES = 12


class DescriptionWorker:
    """Reads the repositories in the description queue of one index.

    :param clock: returns seconds that never decrease."""

    def __init__(self, index: SearchIndex, reconciler: Reconciler,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._queue = index, index.description_queue
        self._reconciler, self._clock = reconciler, clock
        self._lease = index.lease('describing')
        self._schedule = Schedule(clock)
        self._backoff = Backoff(2 * PAUSE, LONGEST_PAUSE)
        self._next_read = clock() + PAUSE
        self._was_notified = False
        # The next read starts after this name, so that unreadable repositories do not delay others.
        self._after: str | None = None
        self._failures, self._is_down = 0, False
        self._loops = [Loop(self.run_once, clock), Loop(self.retry_failed, clock)]
        #: The numbers of notes that are done, and of notes at the last read (100: 100 or more).
        self.done = self.waiting = 0

    def start(self) -> None:
        """Start the background threads; raise RuntimeError if no thread can be started."""
        if not all(loop.start() for loop in self._loops):
            raise RuntimeError('no thread is left for reading descriptions; raise the thread limit')

    def notify(self, note: Note) -> None:
        """Read the repository of a new note now, and all notes soon."""
        self._schedule.add(note)
        self._was_notified = True
        self._loops[0].wake()

    def stop(self, seconds: float) -> None:
        """Stop the background threads; wait at most ``seconds`` for their current requests."""
        self._loops[1].stop(0)
        self._loops[0].stop(seconds)

    def run_once(self, now: float) -> float:
        """Do the work that is due; return the seconds until more is due. Never raises."""
        if self._was_notified:
            self._was_notified = False
            self._backoff.reset()
            self._next_read = min(self._next_read, now + PAUSE)
        self._fails(lambda: list(self._read_all(self._schedule.take_due(False), self._read)))
        if now >= self._next_read:
            if self._fails(self.read_notes):
                pause = self._backoff.next()
            else:
                self._backoff.reset()
                pause = PAUSE
            self._next_read = self._clock() + pause
        return max(0.0, min(self._next_read - self._clock(), float(self._schedule.seconds(False))))

    def retry_failed(self, now: float) -> float:
        """Read the repositories that have failed and are due, one by one, with a long time limit;
        return the seconds until more are due. Never raises."""
        for note in self._schedule.take_due(has_failed=True):
            self._fails(lambda: self._read(note, LONG_SECONDS))
        return float(min(PAUSE, self._schedule.seconds(True)))

    def read_notes(self) -> bool:
        """Read the repositories of all notes that are not scheduled; a note stays if that fails.

        Costs one Query if there are no notes.

        :returns: True if a repository failed and none succeeded.
        :raises RequestFailed: DynamoDB does not answer."""
        if not self._index.ready:
            # Until a first load ends, the notes may be those of another registry.
            return False
        notes = self._queue.notes(_BATCH)
        self.waiting = len(notes)
        if (self.waiting < _BATCH and all(note in self._schedule for note in notes)
                or not self._lease.acquire()):
            return False
        done, self._failures = self.done, 0
        try:
            self._read_pages()
        except errors.LeaseLost:
            logger.info('another copy of the service now reads the descriptions')
        finally:
            self._lease.release()
            if self.done > done:
                logger.info('read %d descriptions', self.done - done)
        self.waiting = len(self._queue.notes(_BATCH))
        return self.done == done and self._failures > 0

    def _read_pages(self) -> None:
        while True:
            notes = self._queue.notes(_BATCH, self._after)
            new = [note for note in notes if note not in self._schedule]
            for note in self._read_all(
                    new, lambda note: None if self._is_ended else self._read(note)):
                self._after = note.name
                if self._is_ended:
                    return
                self._lease.renew()
            if len(notes) < _BATCH:
                self._after = None
                return
            self._after = notes[-1].name

    @property
    def _is_ended(self) -> bool:
        return self._loops[0].is_stopped or self._failures >= _FAILURES

    def _read_all(self, notes: list[Note], read: Callable[[Note], None]) -> Iterator[Note]:
        """Read the repositories of notes, several at a time; yield the notes in their order."""
        pool = ThreadPoolExecutor(_THREADS)
        try:
            for note, _ in zip(notes, pool.map(read, notes)):
                yield note
        finally:
            pool.shutdown(cancel_futures=True)

    def _read(self, note: Note, seconds: float = SECONDS) -> None:
        """Reconcile a repository and remove its note, or schedule the next attempt."""
        removes = not note.is_expected or self._schedule.has_expired(note)
        try:
            if self._describe(note.name, seconds, removes) or removes:
                self._queue.done(note)
                self._schedule.pop(note, None)
                self.done += 1
            else:
                self._schedule.postpone(note, has_failed=False)
            self._failures = 0
            if self._is_down:
                self._is_down = False
                self._schedule.hasten()
        except (RegistryUnavailable, errors.ChangeConflict, errors.RequestFailed) as error:
            # If DynamoDB is unavailable or lacks a table, all other requests would fail, too.
            if getattr(error, 'unavailable', False) or isinstance(error, errors.MissingTable):
                self._schedule.pop(note, None)
                self._failures = _FAILURES
                raise
            self._failures += 1
            self._is_down |= self._failures >= _FAILURES
            self._schedule.postpone(note, has_failed=True)
            if self._failures in (1, _FAILURES):
                logger.warning('the description of %.80r cannot be read; the read is retried: %s',
                               note.name, error)

    def _describe(self, name: str, seconds: float, removes: bool) -> bool:
        """Reconcile a repository; return True if it exists or can never be in the index."""
        try:
            return self._reconciler.describe(name, seconds, removes)
        except errors.InvalidName as error:
            logger.warning('a description is not read: %s', error)
            return True

    def _fails(self, act: Callable[[], object]) -> bool:
        """Call a function unless the loop is stopped; return True if it raises or returns True."""
        try:
            return not self._loops[0].is_stopped and act() is True
        except errors.MissingTable:
            # Another thread creates the tables.
            return False
        except Exception as error:
            logger.warning('descriptions cannot be read; the read is retried: %s', error,
                           exc_info=not isinstance(error, errors.DynamoDBIndexError))
            return True
