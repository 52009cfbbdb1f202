"""DescriptionWorker: reads the missing descriptions in the background.

Those of repositories that a load has added, and those that a notification had no time for. Of all
copies of the service, one does this at a time; but each waits for the tags that its own
notifications announced.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ...engine import SearchIndex, errors
from ...engine.sync.description_queue import Note
from ..registry.errors import RegistryUnavailable
from .reconcile import Reconciler

__all__ = ['DescriptionWorker', 'TAG_SECONDS', 'TagWaitList']

logger = logging.getLogger(__name__)

#: Seconds between two reads of the notes; longer while all of them fail.
PAUSE, LONGEST_PAUSE = 10, 600
#: Notes read at a time, and repositories asked for side by side.
_BATCH, _THREADS = 100, 4
#: Seconds for one repository: less than a lease lasts.
_SECONDS = 10
#: After so many unreadable repositories in a row the registry itself may be unavailable.
_FAILURES = 12
#: The attribute of the version row that contains the lease.
_LEASE = 'describing'

#: Seconds for which "no tags" is not final: a registry reports a push before it writes the tag, and
#: some storages are slow.
TAG_SECONDS = 300
#: Seconds between two looks for a tag: at first, and as a part of the time that has passed.
_FIRST_LOOK, _LOOK_PART = 0.25, 0.125
#: Notes in the wait list; any others are read again from DynamoDB.
_MOST_AWAITED = 1000


@dataclass
class _Wait:
    since: float
    due: float
    was_due: bool = False


class TagWaitList:
    """The notes whose tag is awaited by this process; safe to use from several threads.

    Another process counts anew from when it reads a note.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waits: dict[Note, _Wait] = {}

    def add(self, note: Note) -> None:
        """Make a note due now, unless it is in the list already."""
        with self._lock:
            if note not in self._waits and len(self._waits) < _MOST_AWAITED:
                now = self._clock()
                self._waits[note] = _Wait(now, now)

    def take_due(self) -> list[tuple[Note, bool]]:
        """The notes that are due, and whether each was due before. They stay in the list."""
        with self._lock:
            now, taken = self._clock(), []
            for note, wait in self._waits.items():
                if wait.due <= now:
                    taken.append((note, wait.was_due))
                    wait.due = now + max(_FIRST_LOOK, _LOOK_PART * (now - wait.since))
                    wait.was_due = True
            return taken

    def is_over(self, note: Note) -> bool:
        """Whether "no tags" is final by now."""
        with self._lock:
            wait = self._waits.get(note)
            return wait is not None and self._clock() - wait.since >= TAG_SECONDS

    def remove(self, note: Note) -> None:
        """Wait for the tag of this note no longer."""
        with self._lock:
            self._waits.pop(note, None)

    def seconds(self) -> float:
        """Seconds until the next note is due; infinity if there is none."""
        with self._lock:
            due = min((wait.due for wait in self._waits.values()), default=math.inf)
            return max(0, due - self._clock())


class DescriptionWorker:
    """Works off the notes of one index.

    :param clock: seconds that never go back.
    """

    def __init__(self, index: SearchIndex, reconciler: Reconciler,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._index = index
        self._reconciler = reconciler
        self._clock = clock
        self._lease = index.lease(_LEASE)
        self._awaited = TagWaitList(clock)
        self._pause: float = PAUSE
        self._next_read = clock() + PAUSE
        self._was_called = False
        # Where the next read goes on, so that unreadable repositories do not delay the others.
        self._after: str | None = None
        self._failures = 0
        self._has_failed = False
        self._stopping = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        #: How many notes were worked off, and how many there were at the last read: 100 means 100
        #: or more.
        self.done = self.waiting = 0

    def start(self) -> None:
        """Go on in the background."""
        self._thread.start()

    def call(self, note: Note) -> None:
        """Look for the tag of a new note now, and read all notes soon."""
        self._awaited.add(note)
        self._was_called = True
        self._wake.set()

    def stop(self, seconds: float) -> None:
        """End after the repositories that are being read.

        :param seconds: to wait for that at most.
        """
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def turn(self) -> float:
        """Do what is due; return the seconds until something is due again. Never raises."""
        if self._was_called:
            self._was_called = False
            self._pause = PAUSE
            self._next_read = min(self._next_read, self._clock() + PAUSE)
        if self._clock() >= self._next_read:
            has_failed = self._safely(self.work_off)
            self._pause = min(2 * self._pause, LONGEST_PAUSE) if has_failed else PAUSE
            self._next_read = self._clock() + self._pause
        else:
            self._safely(self.look)
        return min(self._next_read - self._clock(), self._awaited.seconds())

    def work_off(self) -> bool:
        """Read all notes and the descriptions that they are about; what fails stays noted.

        Costs one Query if nothing is noted.

        :returns: whether something failed and nothing succeeded.
        :raises RequestFailed: DynamoDB does not answer.
        """
        self.waiting = len(self._index.description_queue.notes(_BATCH))
        if not self.waiting or not self._lease.acquire():
            return False
        before = self.done
        self._has_failed = False
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                self._read_notes(pool)
        except errors.LeaseLost:
            logger.info('another copy of the service reads the descriptions')
        finally:
            self._lease.release()
            if self.done > before:
                logger.info('read %d descriptions', self.done - before)
        self.waiting = len(self._index.description_queue.notes(_BATCH))
        return self._has_failed and self.done == before

    def look(self) -> None:
        """Look for the awaited tags that are due; no request to DynamoDB if none has come."""
        with ThreadPoolExecutor(_THREADS) as pool:
            self._look(pool)

    def _read_notes(self, pool: ThreadPoolExecutor) -> None:
        while True:
            notes = self._index.description_queue.notes(_BATCH, self._after)
            # In small groups, between which the lease is renewed.
            for first in range(0, len(notes), _THREADS):
                group = notes[first:first + _THREADS]
                self._lease.renew()
                self._after = group[-1].name
                for note in group:
                    if note.is_expected:
                        self._awaited.add(note)
                list(pool.map(self._describe, [note for note in group if not note.is_expected]))
                self._look(pool)
                if self._stopping.is_set() or self._failures >= _FAILURES:
                    return
            if len(notes) < _BATCH:
                self._after = None
                return

    def _look(self, pool: ThreadPoolExecutor) -> None:
        list(pool.map(lambda due: self._describe(*due), self._awaited.take_due()))

    def _describe(self, note: Note, was_due: bool = False) -> None:
        """Reconcile a repository and remove its note, unless its tag is still awaited.

        :param was_due: whether the tag was looked for before: then only a tag that has come since
            makes a difference.
        """
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
        self._index.description_queue.done(note)
        self.done += 1

    def _note_failure(self, note: Note, error: Exception) -> None:
        self._failures += 1
        self._has_failed = True
        # The next read comes to it, and later ones after longer pauses.
        self._awaited.remove(note)
        if self._failures in (1, _FAILURES):
            logger.warning('the description of %.80r is read later: %s', note.name, error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(max(0, self.turn()))
            self._wake.clear()

    def _safely(self, act: Callable[[], bool | None]) -> bool:
        """Call a function, unless the worker is stopping; return whether it failed or says so."""
        if self._stopping.is_set():
            return False
        try:
            return bool(act())
        except errors.MissingTable:
            # The tables are being created, or soon will be.
            return False
        except errors.DynamoDBIndexError as error:
            logger.warning('descriptions are read later: %s', error)
        except Exception:
            logger.exception('descriptions are read later')
        return True
