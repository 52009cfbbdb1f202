"""Makes the entry of a repository in the index equal to its state in the registry.

A notification may arrive late, twice, or after a newer one. So only its repository's name counts,
and the registry is asked for the current state."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from ...engine import SearchIndex, errors
from ...engine.concurrency import Backoff, TimedOut, call_with_timeout
from ...engine.sync.description_queue import Note
from ...engine.write.change_queue import FailureLog
from ..registry import image
from ..registry.client import RegistryClient
from ..registry.connection import RegistryUnavailable

logger = logging.getLogger(__name__)

#: The most changes that are made at once; the registry retries further ones.
LIMIT = 32
#: Attempts if the registry changes in the meantime.
_ATTEMPTS = 3
#: Shares of the time of a notification that remain after the description is read, for the change;
#: after the last answer of the registry, for a note; and after the wait for the change, for one.
_FOR_CHANGE, _FOR_NOTE, _FOR_LATE_NOTE = 0.4, 0.25, 0.2
#: Seconds to wait for the tag of a push; and between two requests for it, at first and at most. The
#: registry sends no other notification until it gets an answer.
_TAG_WAIT, _PAUSE, _LONGEST_PAUSE = 0.5, 0.04, 0.11
#: The most tags in one answer of a registry of version 3: the repository may have more.
_ALL_TAGS = 100
#: Errors after which the registry should retry its notification.
_TEMPORARY = (errors.RequestFailed, errors.ChangeConflict, errors.Stopped)


class Change(NamedTuple):
    """A push or delete of a repository, as a notification reports it.

    :param reference: digest of the manifest that was pushed last; None for a delete.
    :param tag: the tag of the push, or None."""

    name: str
    reference: str | None
    tag: str | None


class RetryLater(Exception):
    """Raised if a change was not made, so that the registry should retry its notification."""


class NotificationPool:
    """Makes the changes of notifications in several threads.

    :param seconds: the time after which a caller times out. Changes that take longer continue in
        the background.
    :ivar under_way: the number of changes being made."""

    def __init__(self, reconciler: Reconciler, seconds: float) -> None:
        self._reconciler, self._seconds = reconciler, seconds
        self._pool = ThreadPoolExecutor(LIMIT)
        self._free = threading.BoundedSemaphore(LIMIT)
        self._lock = threading.Lock()
        self.under_way = 0

    def apply(self, changes: Sequence[Change]) -> None:
        """Make these changes, and wait until all are in the index, or noted.

        A change that DynamoDB throttles takes seconds, and each retry of its notification would
        take as long. So the repository of a change that takes longer is noted, and read later.

        :raises RetryLater: a change failed, or is neither made nor noted yet."""
        end = time.monotonic() + self._seconds
        futures = {self._submit(change, end): change.name for change in changes}
        made, late = wait(
            futures, max(0, end - _FOR_LATE_NOTE * self._seconds - time.monotonic()))
        if late:
            self._note_late([futures[future] for future in late], end)
        for future in made:
            try:
                future.result()
            except _TEMPORARY as error:
                raise RetryLater(str(error))

    def _note_late(self, names: list[str], end: float) -> None:
        try:
            call_with_timeout(lambda: self._reconciler.note('its change takes long', *names),
                              max(0, end - time.monotonic()))
        except (TimedOut, errors.RequestFailed) as error:
            raise RetryLater(f'the change takes longer than {self._seconds:g} seconds, and it '
                             f'could not be noted: {error}')

    def _submit(self, change: Change, end: float) -> Future[None]:
        # One notification may have more changes than may be made at once.
        if not self._free.acquire(timeout=max(0, end - time.monotonic())):
            raise RetryLater(f'{LIMIT} other changes are being made')
        return self._pool.submit(self._run, change)

    def _run(self, change: Change) -> None:
        with self._lock:
            self.under_way += 1
        try:
            self._reconciler.reconcile(change, self._seconds)
        except errors.InvalidName as error:
            # A retry would not make the name valid.
            logger.warning('a repository is left out of the search index: %s', error)
        except errors.RequestFailed as error:
            if not error.invalid:
                raise
            logger.error('the change of %.80r is dropped: %s', change.name, error)
        finally:
            with self._lock:
                self.under_way -= 1
            self._free.release()


class _KeyedLock:
    """A lock for each key, so that callers with different keys do not wait for each other."""

    def __init__(self) -> None:
        self._released = threading.Condition()
        self._held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, key: str, seconds: float) -> Iterator[None]:
        """Hold the lock of a key in the block; raise RetryLater if another holds it too long."""
        with self._released:
            if not self._released.wait_for(lambda: key not in self._held, max(0, seconds)):
                raise RetryLater(f'an earlier change of {key!r:.82} is still being made')
            self._held.add(key)
        try:
            yield
        finally:
            with self._released:
                self._held.discard(key)
                self._released.notify_all()


class Reconciler:
    """Reconciles an index with one registry; several threads may use it.

    :param clock, sleep: the functions that measure time and pause during a call.
    :ivar on_note: called with each Note that is written, for a repository to be read later."""

    def __init__(self, index: SearchIndex, registry: RegistryClient,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._index, self._registry = index, registry
        self._clock, self._sleep, self._lock = clock, sleep, _KeyedLock()
        self._failures = FailureLog(clock)
        self.on_note: Callable[[Note], object] = lambda note: None
        #: Returns True if the registry has a tag of a repository; see RegistryClient.has.
        self.has_tag = registry.has

    def reconcile(self, change: Change, seconds: float) -> None:
        """Make the index contain the current state of a changed repository.

        If the registry does not answer in time, the repository is noted in DynamoDB and read later.
        Registries send notifications in order, so one unreadable repository must not delay others.
        For the same reason, the repository is noted if DynamoDB throttles or refuses the change. It
        is also noted if DynamoDB makes the change after the caller has timed out: another process
        may already have made a later change.

        A registry reports a push before it writes the tag. So this method awaits the tag for half a
        second, then notes the repository. The description worker awaits the tag for five minutes.

        :param seconds: the time until the caller times out. The requests to the registry end by
            then; those to DynamoDB have timeouts of their own.
        :raises RetryLater: an earlier change of this repository takes that long, and might undo it.
        :raises RequestFailed: DynamoDB is unavailable, lacks a table, or refuses the values.
        :raises InvalidName: the index cannot contain such a repository.

        Costs two requests to the registry, up to 4 for a description, up to 7 to await a tag."""
        end = self._clock() + seconds
        with self._lock.hold(change.name, seconds):
            try:
                self._reconcile(change, end, seconds)
            except RegistryUnavailable as error:
                self.note(error, change.name)
            except (errors.RequestFailed, errors.ChangeConflict) as error:
                if not _concerns_one_change(error):
                    raise
                self._failures.note_failure(change.name, error)
                self._note_or_request_sync(change.name, error)

    def describe(self, name: str, seconds: float) -> bool:
        """Reconcile a repository of the description queue; return True if it exists.

        :raises RegistryUnavailable: the registry does not answer in time.
        :raises: as reconcile, without RetryLater."""
        end = self._clock() + seconds
        return self._update(name, lambda tags: self._text(name, None, tags, end), end, end)

    def _reconcile(self, change: Change, end: float, seconds: float) -> None:
        reference = None if image.is_secondary(change.tag) else change.reference
        text_end, registry_end = end - _FOR_CHANGE * seconds, end - _FOR_NOTE * seconds
        tags = self._pushed_tags(change, min(text_end, self._clock() + _TAG_WAIT), registry_end)

        def text_or_note(tags: list[str]) -> str | None:
            try:
                return self._text(change.name, reference, tags, text_end)
            except RegistryUnavailable as error:
                self.note(error, change.name)
                return None

        self._update(change.name, text_or_note, end, registry_end, tags)

    def _pushed_tags(self, change: Change, wait_end: float, registry_end: float) -> list[str]:
        """Return the tags of a changed repository; after a push, wait for one until ``wait_end``.

        :param registry_end: the time by which the registry must answer."""
        backoff = Backoff(_PAUSE, _LONGEST_PAUSE)
        tags = self._registry.tags(change.name, self._seconds_left(registry_end))
        while change.tag and not tags and self._clock() + _LONGEST_PAUSE < wait_end:
            self._sleep(backoff.next())
            tags = self._registry.tags(change.name, self._seconds_left(registry_end))
        if change.tag and not tags:
            self.note('it was pushed and has no tag yet', change.name)
        return tags

    def _update(self, name: str, text_of: Callable[[list[str]], str | None], end: float,
                registry_end: float, tags: list[str] | None = None) -> bool:
        """Add or remove a repository until index and registry agree; return True if it exists.

        :param text_of: a function of the tags that returns the description.
        :param end: the time after which a change is late.
        :param registry_end: the time by which the registry must answer all requests.
        :param tags: the tags that the registry has already returned, or None."""
        for _ in range(_ATTEMPTS):
            if tags is None:
                tags = self._registry.tags(name, self._seconds_left(registry_end))
            is_there = bool(tags)
            self._write(name, is_there, text_of(tags) if tags else None, end)
            # Check even if nothing changed: the first response to a change may have been lost.
            if is_there == self._registry.has(name, self._seconds_left(registry_end)):
                return is_there
            tags = None
        self.note('it changed during each attempt', name)
        return True

    def _write(self, name: str, is_there: bool, text: str | None, end: float) -> None:
        try:
            if is_there:
                self._index.add(name, text)
            else:
                self._index.remove(name)
        finally:
            if self._clock() >= end:
                self.note('DynamoDB answered after the timeout', name)

    def note(self, why: object, *names: str) -> None:
        """Note repositories for later. Tags are expected: a note may replace that of a push."""
        for name in names:
            logger.info('repository %.80r cannot be read now; the read is retried: %s', name, why)
        for note in self._index.description_queue.note(names, is_expected=True):
            self.on_note(note)

    def _note_or_request_sync(self, name: str, why: errors.DynamoDBIndexError) -> None:
        """Note a repository for later; if DynamoDB refuses that, too, a sync finds the change."""
        try:
            self.note(why, name)
        except errors.RequestFailed as error:
            if not _concerns_one_change(error):
                raise
            self._failures.note_failure(name, error)
            self._index.sync_soon()

    def _text(self, name: str, reference: str | None, tags: list[str], end: float) -> str | None:
        reference = reference or self._best_tag(name, tags, end)
        return image.description(self._registry, name, reference, self._seconds_left(end),
                                 self._clock)

    def _best_tag(self, name: str, tags: list[str], end: float) -> str | None:
        best = next(iter(image.best_tags(tags, 1)), None)
        if len(tags) < _ALL_TAGS or best == image.LATEST:
            return best
        latest = self._registry.manifest(name, image.LATEST, self._seconds_left(end))
        return best if latest is None else image.LATEST

    def _seconds_left(self, end: float) -> float:
        return max(0.01, end - self._clock())


def _concerns_one_change(error: errors.DynamoDBIndexError) -> bool:
    """Return True if other changes may succeed, although DynamoDB did not make this one."""
    return isinstance(error, errors.ChangeConflict) or isinstance(
        error, errors.RequestFailed) and (error.throttled or error.refused)
