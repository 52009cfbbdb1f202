"""Reads missing descriptions in the background: those of repositories that a load has added, and
those that a notification had no time for. Of all copies of the service, one does this at a time;
but each waits for the tags that its own notifications announced."""

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

__all__ = ['DescriptionWorker', 'TAG_SECONDS', 'TagWaitList']

logger = logging.getLogger(__name__)

#: Seconds between two reads of the notes; longer while all of them fail.
PAUSE, LONGEST_PAUSE = 10, 600
#: Notes read at a time, and repositories asked for side by side.
_BATCH, _THREADS = 100, 4
#: Seconds for one repository: less than the time of a lease.
_SECONDS = 10
#: After so many unreadable repositories in a row the registry itself may be unavailable.
_FAILURES = 12

#: Seconds for which "no tags" is not final: a registry reports a push before it writes the tag.
TAG_SECONDS = 300
#: Seconds between two requests for a tag: at first, and as a share of the time that has passed.
_FIRST_PAUSE, _PAUSE_SHARE = 0.25, 0.125
#: Notes in the wait list; all others are read from DynamoDB again.
_MOST_AWAITED = 1000


@dataclass
class _Wait:
    since: float
    due: float


class TagWaitList:
    """The notes whose tag this process awaits; safe to use from several threads. Another process
    counts from the moment when it reads a note."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._waits: dict[Note, _Wait] = {}

    def add(self, note: Note) -> None:
        """Make a note due now, unless it is in the list already."""
        if len(self._waits) < _MOST_AWAITED:
            now = self._clock()
            self._waits.setdefault(note, _Wait(now, now))

    def take_due(self) -> list[tuple[Note, bool]]:
        """The notes that are due, and whether each was due before. They stay in the list."""
        now, taken = self._clock(), []
        for note, wait in list(self._waits.items()):
            if wait.due <= now:
                taken.append((note, wait.due > wait.since))
                wait.due = now + max(_FIRST_PAUSE, _PAUSE_SHARE * (now - wait.since))
        return taken

    def is_over(self, note: Note) -> bool:
        """Whether "no tags" is final by now."""
        wait = self._waits.get(note)
        return wait is not None and self._clock() - wait.since >= TAG_SECONDS

    def remove(self, note: Note) -> None:
        """Do not wait for the tag of this note any more."""
        self._waits.pop(note, None)

    def seconds(self) -> float:
        """Seconds until the next note is due; infinity if there is none."""
        due = min((wait.due for wait in list(self._waits.values())), default=math.inf)
        return max(0, due - self._clock())


class DescriptionWorker:
    """Reads the descriptions that the notes of one index are about.

    :param clock: seconds that never go back."""

    def __init__(self, index: SearchIndex, reconciler: Reconciler,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._queue = index.description_queue
        self._reconciler = reconciler
        self._clock = clock
        self._lease = index.lease('describing')
        self._awaited = TagWaitList(clock)
        self._backoff = Backoff(2 * PAUSE, LONGEST_PAUSE)
        self._next_read = clock() + PAUSE
        self._was_called = False
        # Where the next read goes on: unreadable repositories do not delay the others.
        self._after: str | None = None
        self._failures = 0
        self._loop = Loop(self.run_once, clock)
        #: How many notes are done, and how many there were at the last read: 100 means 100 or more.
        self.done = self.waiting = 0

    def start(self) -> None:
        """Start the background thread; raise RuntimeError if the system has none left."""
        if not self._loop.begin():
            raise RuntimeError('no thread is left for reading descriptions')

    def call(self, note: Note) -> None:
        """Ask for the tag of a new note now, and read all notes soon."""
        self._awaited.add(note)
        self._was_called = True
        self._loop.wake()

    def stop(self, seconds: float) -> None:
        """Stop the background thread, and wait so many seconds for what is under way."""
        self._loop.stop(seconds)

    def run_once(self, now: float) -> float:
        """Do what is due; return the seconds until something is due again. Never raises."""
        if self._was_called:
            self._was_called = False
            self._backoff.reset()
            self._next_read = min(self._next_read, now + PAUSE)
        if now < self._next_read:
            self._fails(self._describe_all)
        elif self._fails(self.work_off):
            self._next_read = self._clock() + self._backoff.next()
        else:
            self._backoff.reset()
            self._next_read = self._clock() + PAUSE
        return max(0, min(self._next_read - self._clock(), self._awaited.seconds()))

    def work_off(self) -> bool:
        """Read all notes and their descriptions; what fails stays noted.

        Costs one Query if nothing is noted.

        :returns: whether something failed and nothing succeeded.
        :raises RequestFailed: DynamoDB does not answer."""
        self.waiting = len(self._queue.notes(_BATCH))
        if not self.waiting or not self._lease.acquire():
            return False
        done, failures = self.done, self._failures
        try:
            self._read_notes()
        except errors.LeaseLost:
            logger.info('another copy of the service reads the descriptions')
        finally:
            self._lease.release()
            if self.done > done:
                logger.info('read %d descriptions', self.done - done)
        self.waiting = len(self._queue.notes(_BATCH))
        return self.done == done and self._failures > failures

    def _read_notes(self) -> None:
        while True:
            notes = self._queue.notes(_BATCH, self._after)
            # In small groups, between which the lease is renewed.
            for first in range(0, len(notes), _THREADS):
                group = notes[first:first + _THREADS]
                self._lease.renew()
                self._after = group[-1].name
                for note in group:
                    if note.is_expected:
                        self._awaited.add(note)
                self._describe_all([(note, False) for note in group if not note.is_expected])
                if self._loop.is_over or self._failures >= _FAILURES:
                    return
            if len(notes) < _BATCH:
                self._after = None
                return

    def _describe_all(self, notes: Iterable[tuple[Note, bool]] = ()) -> None:
        """Describe these and those whose tag is due; no request to DynamoDB if no tag has come."""
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(lambda each: self._describe(*each), [*notes, *self._awaited.take_due()]))

    def _describe(self, note: Note, was_due: bool = False) -> None:
        """Reconcile a repository and remove its note, unless its tag is still awaited.

        :param was_due: whether the tag was awaited before: then only a tag makes a difference."""
        is_over = self._awaited.is_over(note)
        try:
            is_there = (not was_due or is_over or self._reconciler.has_tag(note.name, _SECONDS)
                        ) and self._reconciler.describe(note.name, _SECONDS)
        except (RegistryUnavailable, errors.ChangeConflict) as error:
            self._note_failure(note, error)
            return
        except errors.InvalidName as error:
            logger.warning('no description is read: %s', error)
        else:
            if note.is_expected and not is_there and not is_over:
                return
        self._failures = 0
        self._awaited.remove(note)
        self._queue.done(note)
        self.done += 1

    def _note_failure(self, note: Note, error: Exception) -> None:
        self._failures += 1
        # The next read comes to it, and later ones after longer pauses.
        self._awaited.remove(note)
        if self._failures in (1, _FAILURES):
            logger.warning('the description of %.80r is read later: %s', note.name, error)

    def _fails(self, act: Callable[[], bool | None]) -> bool:
        """Call a function, unless stopping; return whether it raises or returns true."""
        try:
            return not self._loop.is_over and bool(act())
        except errors.MissingTable:
            # The tables are being created, or soon will be.
            return False
        except Exception as error:
            logger.warning('descriptions are read later: %s', error,
                           exc_info=not isinstance(error, errors.DynamoDBIndexError))
            return True
