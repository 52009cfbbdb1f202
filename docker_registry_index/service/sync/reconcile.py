"""Makes the entry of a repository in the index equal to its state in the registry.

A notification may arrive late, twice, or after a newer one. So the registry is always asked for the
current state. A push also counts by itself, if the registry cannot be read."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from ...engine import SearchIndex, errors
from ...engine.concurrency import TimedOut, call_with_timeout
from ...engine.sync.description_queue import Note
from ...engine.write.change_queue import FailureLog
from ..registry import image
from ..registry.client import RegistryClient, Tags
from ..registry.connection import RegistryUnavailable

logger = logging.getLogger(__name__)

#: The most changes that are made at once; the registry retries further ones.
LIMIT = 32
#: The most tags whose images are read for a description.
_BEST_TAGS = 3
#: Attempts if the registry changes in the meantime.
_ATTEMPTS = 3
#: Shares of the time of a notification that remain after the description is read, for the change;
#: after the last answer of the registry, for a note; and after the wait for the change, for one.
_FOR_CHANGE, _FOR_NOTE, _FOR_LATE_NOTE = 0.4, 0.25, 0.2
#: The number of locks. The changes of one repository have the same one, those of two rarely do.
_LOCKS = 16384
#: Errors after which the registry should retry its notification.
_TEMPORARY = (errors.RequestFailed, errors.ChangeConflict, errors.Stopped)


class Change(NamedTuple):
    """A push or delete of a repository, as a notification reports it.

    :param reference: digest of the manifest that was pushed last; None for a delete.
    :param tag: the tag of the push, or None."""

    name: str
    reference: str | None
    tag: str | None


class _Found(NamedTuple):
    """A description in the registry: None if there was nothing to read, '' if no image has one; the
    tag that has it; and all tags, if they were listed to find it."""

    text: str | None = None
    tag: str = ''
    tags: Tags | None = None

    def compare(self, origin: str | None) -> tuple[bool, bool]:
        """Return whether it replaces a description from the tag ``origin``, None if unknown; and
        whether the tags must be listed later. They must if a push does not know the origin, or if
        it was not listed: it was deleted, or another process has handled a later push."""
        is_better = origin is not None and image.rank(self.tag) >= image.rank(origin)
        if self.tags is None:
            return is_better, origin is None
        if origin is None:
            return bool(self.text), False
        is_gone = self.tags.is_complete and origin not in self.tags
        return is_better or is_gone, is_gone


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
        futures = {self._submit(change, end): change for change in changes}
        made, late = wait(
            futures, max(0, end - _FOR_LATE_NOTE * self._seconds - time.monotonic()))
        if late:
            self._note_late([futures[future] for future in late], end)
        for future in made:
            try:
                future.result()
            except _TEMPORARY as error:
                raise RetryLater(str(error))

    def _note_late(self, changes: list[Change], end: float) -> None:
        try:
            call_with_timeout(lambda: self._reconciler.note('its change takes long', *changes),
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


class _Ends(NamedTuple):
    """The times by which a change must have: its description; all answers of the registry; and the
    answer of DynamoDB."""

    text: float
    registry: float
    change: float


class Reconciler:
    """Reconciles an index with one registry; several threads may use it.

    :param clock: returns seconds that never decrease.
    :ivar on_note: called with each Note that is written, for a repository to be read later."""

    def __init__(self, index: SearchIndex, registry: RegistryClient,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._index, self._registry, self._clock = index, registry, clock
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        self._failures = FailureLog(clock)
        self.on_note: Callable[[Note], object] = lambda note: None

    def reconcile(self, change: Change, seconds: float) -> None:
        """Make the index contain the current state of a changed repository.

        A push adds its repository, even if the registry cannot be read in time. The repository is
        then noted in DynamoDB and read later. Registries send notifications in order, so one
        unreadable repository must not delay others. For the same reason, the repository is noted
        if DynamoDB throttles or refuses the change. It is also noted if DynamoDB makes the change
        after the caller has timed out: another process may already have made a later change.

        :param seconds: the time until the caller times out. The requests to the registry end by
            then; those to DynamoDB have timeouts of their own.
        :raises RetryLater: an earlier change of this repository takes that long, and might undo it.
        :raises RequestFailed: DynamoDB is unavailable, lacks a table, or refuses the values.
        :raises InvalidName: the index cannot contain such a repository.

        Costs two requests to the registry, and up to 5 for a description."""
        ends = self._ends(seconds)
        lock = self._locks[zlib.crc32(change.name.encode()) % _LOCKS]
        if not lock.acquire(timeout=seconds):
            raise RetryLater(f'an earlier change of {change.name!r:.82} is still being made')
        try:
            self._reconcile(change, ends)
        except RegistryUnavailable as error:
            self.note(error, change)
        except (errors.RequestFailed, errors.ChangeConflict) as error:
            if not _concerns_one_change(error):
                raise
            self._failures.note_failure(change.name, error)
            self._note_or_request_sync(change, error)
        finally:
            lock.release()

    def describe(self, name: str, seconds: float, removes: bool = True) -> bool:
        """Reconcile a repository of the description queue; return True if it exists.

        :param removes: False to keep a repository without tags.
        :raises RegistryUnavailable: the registry does not answer in time. If it has the repository,
            the index has it, too.
        :raises: as reconcile, without RetryLater."""
        return self._update(Change(name, None, None), self._ends(seconds), removes)

    def _reconcile(self, change: Change, ends: _Ends) -> None:
        if self._registry.is_cache and change.reference:
            self._add_pulled(change, ends)
        elif change.tag:
            self._add_pushed(change, ends)
        else:
            self._update(change, ends)

    def _add_pulled(self, change: Change, ends: _Ends) -> None:
        """Add the repository of a pull-through cache from which a manifest was pulled."""
        if self._index.has(change.name):
            return
        text = None
        with contextlib.suppress(RegistryUnavailable):
            text = image.text_in([image.annotations_of(self._registry.manifest(
                change.name, change.reference, self._seconds_left(ends.text)))])
        self._write(change, True, _Found(text), ends)

    def _add_pushed(self, change: Change, ends: _Ends) -> None:
        """Add a repository with a pushed tag, then verify that the registry has the tag."""
        found, problem = _Found(), None
        try:
            if self._is_gone(change, ends.text):
                self._update(change, ends)
                return
            found = self._found(change, ends)
        except RegistryUnavailable as error:
            problem = error
        self._write(change, True, found, ends)
        # Verified after the write, because it may undo a later change of another process.
        if not self._registry.has_manifest(
                change.name, change.tag, self._seconds_left(ends.registry)):
            if self._is_gone(change, ends.registry):
                self._update(change, ends)
            else:
                # A registry reports a push before it writes the tag.
                self.note('it was pushed and has no tag yet', change)
        elif problem:
            raise problem

    def _is_gone(self, change: Change, end: float) -> bool:
        return self._registry.manifest(
            change.name, change.reference, self._seconds_left(end)) is None

    def _update(self, change: Change, ends: _Ends, removes: bool = True) -> bool:
        """Add or remove a repository until index and registry agree; return True if it exists.

        :param removes: see describe."""
        for _ in range(_ATTEMPTS):
            is_there = self._registry.has(change.name, self._seconds_left(ends.registry))
            if not is_there and not removes:
                return False
            found, problem = _Found(), None
            try:
                # A manifest that is pushed without a tag is a part of another image.
                if is_there and change.reference is None:
                    found = self._found(change, ends)
            except RegistryUnavailable as error:
                problem = error
            self._write(change, is_there, found, ends)
            # Check even if nothing changed: the first response to a change may have been lost.
            if is_there == self._registry.has(change.name, self._seconds_left(ends.registry)):
                if problem:
                    raise problem
                return is_there
        self.note('it changed during each attempt', change)
        return True

    def _write(self, change: Change, is_there: bool, found: _Found, ends: _Ends) -> None:
        try:
            if is_there:
                self._add(change.name, found)
            else:
                self._index.remove(change.name)
        finally:
            if self._clock() >= ends.change:
                self.note('DynamoDB answered after the timeout', change)

    def _add(self, name: str, found: _Found) -> None:
        must_list = [False]

        def may_replace(_: str, origin: str | None) -> bool:
            is_better, must_list[0] = found.compare(origin)
            return is_better

        self._index.add(name, found.text, found.tag, may_replace)
        if must_list[0]:
            self.note('its tags are listed to choose its description', Change(name, None, None))

    def note(self, why: object, *changes: Change) -> None:
        """Note the repositories of changes, to be read later. After a push, a tag is expected."""
        for change in changes:
            logger.info('repository %.80r cannot be read now; the read is retried: %s',
                        change.name, why)
        for is_expected in True, False:
            for note in self._index.description_queue.note(
                    [each.name for each in changes if bool(each.tag) == is_expected], is_expected):
                self.on_note(note)

    def _note_or_request_sync(self, change: Change, why: errors.DynamoDBIndexError) -> None:
        """Note a repository for later; if DynamoDB refuses that, too, a sync finds the change."""
        try:
            self.note(why, change)
        except errors.RequestFailed as error:
            if not _concerns_one_change(error):
                raise
            self._failures.note_failure(change.name, error)
            self._index.sync_soon()

    def _found(self, change: Change, ends: _Ends) -> _Found:
        """Return the description of a pushed image, or else that of the best tag that has one."""
        if image.is_secondary(change.tag) or self._registry.is_cache:
            return _Found()
        tags = None if change.tag else self._registry.tags(
            change.name, self._seconds_left(ends.text))
        for tag in [change.tag] if change.tag else image.best_tags(tags or (), _BEST_TAGS):
            text = image.description(self._registry, change.name, change.reference or tag,
                                     self._seconds_left(ends.text), self._clock)
            if text:
                return _Found(text, tag, tags)
        return _Found(None if change.tag else '', '', tags)

    def _ends(self, seconds: float) -> _Ends:
        now = self._clock()
        return _Ends(now + (1 - _FOR_CHANGE) * seconds, now + (1 - _FOR_NOTE) * seconds,
                     now + seconds)

    def _seconds_left(self, end: float) -> float:
        return max(0.01, end - self._clock())


def _concerns_one_change(error: errors.DynamoDBIndexError) -> bool:
    """Return True if other changes may succeed, although DynamoDB did not make this one."""
    return isinstance(error, errors.ChangeConflict) or isinstance(
        error, errors.RequestFailed) and (error.throttled or error.refused)
