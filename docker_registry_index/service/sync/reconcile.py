"""Reconciler: makes the index contain of a repository what its registry contains.

A notification only names a repository. It may be late, come twice, or after a newer one, so the
registry is asked for what it has now.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from ...engine import SearchIndex
from ...engine.sync.description_queue import Note
from ..registry import image
from ..registry.client import RegistryClient
from ..registry.errors import ChangeUnderWay, RegistryUnavailable
from ..registry.events import Change

__all__ = ['KeyedLock', 'Reconciler']

logger = logging.getLogger(__name__)

#: How often the registry is asked again if it changes meanwhile.
_ATTEMPTS = 3
#: Parts of the time of a notification. The first is left for the change and a last look at the
#: registry when a description must have been read; the second for a note when the registry must
#: have answered everything.
_FOR_CHANGE, _FOR_NOTE = 0.4, 0.25
#: Seconds to wait for the tag of a push before the answer, and between two looks for it, at first
#: and at most. The registry's queue of notifications stands still meanwhile.
_TAG_WAIT, _PAUSE, _LONGEST_PAUSE = 0.5, 0.03, 0.08
#: A registry of version 3 returns so many tags at once: there may be more.
_ALL_TAGS = 100


class KeyedLock:
    """A lock for each key; holders of different keys do not wait for each other."""

    def __init__(self) -> None:
        self._released = threading.Condition()
        self._held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, key: str, seconds: float) -> Iterator[bool]:
        """Hold the lock of a key inside the block.

        :param seconds: to wait for it at most.
        :returns: whether it is held; if not, another holder has it still.
        """
        with self._released:
            is_held = self._released.wait_for(lambda: key not in self._held, max(0, seconds))
            if is_held:
                self._held.add(key)
        try:
            yield is_held
        finally:
            if is_held:
                with self._released:
                    self._held.discard(key)
                    self._released.notify_all()


class Reconciler:
    """Reconciles an index with one registry; safe to use from several threads.

    :param clock: seconds that never go back.
    :ivar on_note: called with each Note of what is left for later.
    """

    def __init__(self, index: SearchIndex, registry: RegistryClient,
                 clock: Callable[[], float] = time.monotonic,
                 sleep: Callable[[float], None] = time.sleep) -> None:
        self._index = index
        self._registry = registry
        self._clock = clock
        self._sleep = sleep
        self.on_note: Callable[[Note], object] = lambda note: None
        self._lock = KeyedLock()

    def reconcile(self, change: Change, seconds: float) -> None:
        """Make what a notification is about true in the index.

        What the registry does not answer in time, the tags or only the description, is noted in
        DynamoDB and asked later: a registry sends in order, so one repository that cannot be read
        must not delay all others. A change that DynamoDB makes after its caller has timed out is
        noted, too: another process may already have made a later one.

        A registry reports a push before it writes the tag. So a push with a tag to a repository
        that has none is noted; the tag is waited for half a second here, and some minutes in the
        background.

        :param seconds: until the caller times out. The requests to the registry end by then; those
            to DynamoDB have timeouts of their own.
        :raises ChangeUnderWay: an earlier change of this repository takes that long. It might
            otherwise end after this one and undo it.
        :raises RequestFailed, ChangeConflict: DynamoDB does not take the change.
        :raises InvalidName: no such repository can be in the index.

        Costs two requests to the registry, and up to four for a description; up to six more while
        a tag is waited for, and then a note.
        """
        end = self._clock() + seconds
        with self._lock.hold(change.name, seconds) as is_held:
            if not is_held:
                raise ChangeUnderWay(change.name)
            try:
                self._reconcile(change, end, seconds)
            except RegistryUnavailable as error:
                self._note(change.name, error)

    def describe(self, name: str, seconds: float) -> bool:
        """The same for a repository whose description is still to be read.

        :returns: whether the repository exists.
        :raises RegistryUnavailable: the registry does not answer in time.
        :raises: as reconcile, without ChangeUnderWay.
        """
        end = self._clock() + seconds
        return self._settle(name, lambda tags: self._text(name, None, tags, end), end, end)

    def has_tag(self, name: str, seconds: float) -> bool:
        """Whether the registry shows a tag of this repository; one request to it.

        :raises RegistryUnavailable: it does not answer in time.
        """
        return self._registry.has(name, seconds)

    def _reconcile(self, change: Change, end: float, seconds: float) -> None:
        reference = None if image.is_secondary(change.tag) else change.reference
        text_end, registry_end = end - _FOR_CHANGE * seconds, end - _FOR_NOTE * seconds
        tags = self._pushed_tags(change, min(text_end, self._clock() + _TAG_WAIT), registry_end)

        def text_or_note(tags: list[str]) -> str | None:
            try:
                return self._text(change.name, reference, tags, text_end)
            except RegistryUnavailable as error:
                self._note(change.name, error)
                return None

        self._settle(change.name, text_or_note, end, registry_end, tags)

    def _pushed_tags(self, change: Change, wait_end: float, registry_end: float) -> list[str]:
        """The tags that exist, once the pushed one may be among them.

        :param wait_end: when the registry is not asked again.
        :param registry_end: when the registry must have answered.
        """
        pause = _PAUSE
        tags = self._registry.tags(change.name, self._left(registry_end))
        while change.tag and not tags and self._clock() + pause < wait_end:
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            tags = self._registry.tags(change.name, self._left(registry_end))
        if change.tag and not tags:
            self._note(change.name, 'it was pushed, and has no tag yet')
        return tags

    def _settle(self, name: str, text_of: Callable[[list[str]], str | None], end: float,
                registry_end: float, tags: list[str] | None = None) -> bool:
        """Add or remove a repository, until the registry still agrees afterwards.

        :param text_of: returns its description, given its tags.
        :param end: after which a change counts as late.
        :param registry_end: when the registry must have answered everything.
        :param tags: if the registry has returned them already.
        :returns: whether the repository exists.
        """
        for _ in range(_ATTEMPTS):
            if tags is None:
                tags = self._registry.tags(name, self._left(registry_end))
            is_there = bool(tags)
            self._change(name, is_there, text_of(tags) if tags else None, end)
            # Also if nothing changed: a change whose first answer was lost may report that.
            if is_there == self._registry.has(name, self._left(registry_end)):
                return is_there
            tags = None
        self._note(name, 'it comes and goes')
        return True

    def _change(self, name: str, is_there: bool, text: str | None, end: float) -> None:
        try:
            if is_there:
                self._index.add(name, text)
            else:
                self._index.remove(name)
        finally:
            if self._clock() >= end:
                self._note(name, 'DynamoDB took long')

    def _note(self, name: str, why: object) -> None:
        """Note a repository for later, as an expected one whatever the reason: the note may replace
        that of a push."""
        logger.info('%.80r is read again later: %s', name, why)
        for note in self._index.description_queue.note([name], is_expected=True):
            self.on_note(note)

    def _text(self, name: str, reference: str | None, tags: list[str], end: float) -> str | None:
        reference = reference or self._best_tag(name, tags, end)
        return image.description(self._registry, name, reference, self._left(end))

    def _best_tag(self, name: str, tags: list[str], end: float) -> str | None:
        best = image.best_tag(tags)
        if len(tags) < _ALL_TAGS or best == image.LATEST:
            return best
        latest = self._registry.manifest(name, image.LATEST, self._left(end))
        return best if latest is None else image.LATEST

    def _left(self, end: float) -> float:
        return max(0.01, end - self._clock())
