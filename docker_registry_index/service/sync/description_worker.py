"""Reads missing descriptions in the background, after a load or a notification has noted them.

Only one copy of the service reads them at a time. Each awaits the tags of its notifications."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ...engine import SearchIndex, errors
from ...engine.concurrency import Backoff, Loop
from ...engine.sync.description_queue import Note
from ..registry.connection import RegistryUnavailable
from .reconcile import Reconciler

logger = logging.getLogger(__name__)

#: Seconds between two reads of the notes; longer while all of them fail.
PAUSE, LONGEST_PAUSE = 10, 600
#: The notes that are read at a time, and the repositories that are read at once.
_BATCH, _THREADS = 100, 4
#: The most seconds for one repository; a lease lasts longer.
_SECONDS = 10
#: Consecutive unreadable repositories after which the registry itself may be unavailable.
_FAILURES = 12

#: Seconds for which a tag is awaited, because a registry reports a push before it writes the tag.
TAG_SECONDS = 300
#: The pause between two requests for a tag: seconds at first, later a share of the time passed.
_FIRST_PAUSE, _PAUSE_SHARE = 0.25, 0.125
#: The most notes in the wait list; others are read from DynamoDB again.
_MOST_AWAITED = 1000


@dataclass
class _Wait:
    since: float
    due: float


class TagWaitList:
    """The notes whose tags this process awaits; several threads may use it.

    The wait for a tag begins when this process reads the note."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[Note, _Wait] = {}

    def add(self, note: Note) -> None:
        """Add a note, due now, unless it is already in the list."""
        if len(self._waits) < _MOST_AWAITED:
            now = self._clock()
            self._waits.setdefault(note, _Wait(now, now))

    def take_due(self) -> list[tuple[Note, bool]]:
        """Return (note, True if it was due before) for each due note. All stay in the list."""
        now, taken = self._clock(), []
        for note, wait in list(self._waits.items()):
            if wait.due <= now:
                taken.append((note, wait.due > wait.since))
                wait.due = now + max(_FIRST_PAUSE, _PAUSE_SHARE * (now - wait.since))
        return taken

    def has_expired(self, note: Note) -> bool:
        """Return True if the tag of a note was awaited for TAG_SECONDS."""
        wait = self._waits.get(note)
        return wait is not None and self._clock() - wait.since >= TAG_SECONDS

    def remove(self, note: Note) -> None:
        """Stop waiting for the tag of a note."""
        self._waits.pop(note, None)

    def seconds(self) -> float:
        """Return the seconds until the next note is due; infinity if there is none."""
        due = min((wait.due for wait in list(self._waits.values())), default=math.inf)
        return max(0, due - self._clock())


class DescriptionWorker:
    """Reads the descriptions of the repositories in the description queue of one index.

    :param clock: returns seconds that never decrease."""

    def __init__(self, index: SearchIndex, reconciler: Reconciler,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = index.description_queue
        self._reconciler, self._clock = reconciler, clock
        self._lease = index.lease('describing')
        self._awaited = TagWaitList(clock)
        self._backoff = Backoff(2 * PAUSE, LONGEST_PAUSE)
        self._next_read = clock() + PAUSE
        self._was_notified = False
        # The next read starts after this name, so that unreadable repositories do not delay others.
        self._after: str | None = None
        self._failures = 0
        self._loop = Loop(self.run_once, clock)
        #: The numbers of notes that are done, and of notes at the last read (100: 100 or more).
        self.done = self.waiting = 0

    def start(self) -> None:
        """Start the background thread; raise RuntimeError if no thread can be started."""
        if not self._loop.start():
            raise RuntimeError('no thread is left for reading descriptions; raise the thread limit')

    def notify(self, note: Note) -> None:
        """Request the tag of a new note now, and read all notes soon."""
        self._awaited.add(note)
        self._was_notified = True
        self._loop.wake()

    def stop(self, seconds: float) -> None:
        """Stop the background thread; wait at most ``seconds`` for its current requests."""
        self._loop.stop(seconds)

    def run_once(self, now: float) -> float:
        """Do the work that is due; return the seconds until more is due. Never raises."""
        if self._was_notified:
            self._was_notified = False
            self._backoff.reset()
            self._next_read = min(self._next_read, now + PAUSE)
        if now < self._next_read:
            self._fails(self._describe_all)
        elif self._fails(self.describe_pending):
            self._next_read = self._clock() + self._backoff.next()
        else:
            self._backoff.reset()
            self._next_read = self._clock() + PAUSE
        return max(0, min(self._next_read - self._clock(), self._awaited.seconds()))

    def describe_pending(self) -> bool:
        """Read all notes and the descriptions of their repositories; a note stays if that fails.

        Costs one Query if there are no notes.

        :returns: True if a description failed and none succeeded.
        :raises RequestFailed: DynamoDB does not answer."""
        self.waiting = len(self._queue.notes(_BATCH))
        if not self.waiting or not self._lease.acquire():
            return False
        done, failures = self.done, self._failures
        try:
            self._read_notes()
        except errors.LeaseLost:
            logger.info('another copy of the service now reads the descriptions')
        finally:
            self._lease.release()
            if self.done > done:
                logger.info('read %d descriptions', self.done - done)
        self.waiting = len(self._queue.notes(_BATCH))
        return self.done == done and self._failures > failures

    def _read_notes(self) -> None:
        while True:
            notes = self._queue.notes(_BATCH, self._after)
            # In small groups, to renew the lease between them.
            for first in range(0, len(notes), _THREADS):
                group = notes[first:first + _THREADS]
                self._lease.renew()
                self._after = group[-1].name
                for note in group:
                    if note.is_expected:
                        self._awaited.add(note)
                self._describe_all([(note, False) for note in group if not note.is_expected])
                if self._loop.is_stopped or self._failures >= _FAILURES:
                    return
            if len(notes) < _BATCH:
                self._after = None
                return

    def _describe_all(self, notes: Iterable[tuple[Note, bool]] = ()) -> None:
        """Describe these notes and the due ones; without a new tag, DynamoDB gets no request."""
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda each: self._describe(*each), [*notes, *self._awaited.take_due()]))

    def _describe(self, note: Note, was_due: bool = False) -> None:
        """Reconcile a repository and remove its note, unless its tag is still awaited.

        :param was_due: True if the tag was awaited before; then nothing is done without a tag."""
        has_expired = self._awaited.has_expired(note)
        try:
            is_there = (not was_due or has_expired or self._reconciler.has_tag(note.name, _SECONDS)
                        ) and self._describe_if_valid(note.name)
            if note.is_expected and not is_there and not has_expired:
                return
            self._queue.done(note)
        except (RegistryUnavailable, errors.ChangeConflict, errors.RequestFailed) as error:
            # If DynamoDB is unavailable or lacks a table, all other requests would fail, too.
            if getattr(error, 'unavailable', False) or isinstance(error, errors.MissingTable):
                raise
            self._note_failure(note, error)
            return
        self._failures = 0
        self._awaited.remove(note)
        self.done += 1

    def _describe_if_valid(self, name: str) -> bool:
        """Reconcile a repository; return True if it exists or can never be in the index."""
        try:
            return self._reconciler.describe(name, _SECONDS)
        except errors.InvalidName as error:
            logger.warning('a description is not read: %s', error)
            return True

    def _note_failure(self, note: Note, error: Exception) -> None:
        self._failures += 1
        # The next read of the notes retries it. Pauses between the reads get longer.
        self._awaited.remove(note)
        if self._failures in (1, _FAILURES):
            logger.warning('the description of %.80r cannot be read; the read is retried: %s',
                           note.name, error)

    def _fails(self, act: Callable[[], bool | None]) -> bool:
        """Call a function unless the loop is stopped; return True if it raises or returns True."""
        try:
            return not self._loop.is_stopped and bool(act())
        except errors.MissingTable:
            # Another thread creates the tables.
            return False
        except Exception as error:
            logger.warning('descriptions cannot be read; the read is retried: %s', error,
                           exc_info=not isinstance(error, errors.DynamoDBIndexError))
            return True
