"""Follower: has the index say of a repository what its registry says.

A notification only tells where to look. It may be late, come twice, or after
a newer one: what counts is what the registry has now.
"""

from __future__ import unicode_literals

import logging
import time

from ..registry import image
from ..registry.errors import ChangeUnderWay, RegistryUnavailable
from ..registry.image_reader import description
from .keyed_lock import Turns

__all__ = ['Follower']

logger = logging.getLogger(__name__)

#: How often the registry is asked anew where it changes meanwhile.
_ATTEMPTS = 3
#: The part of the time that is left when a description must be read, for the
#: change and the look after it; and when the registry must have told all, for
#: a note.
_RESERVED, _LAST = 0.4, 0.25
#: Seconds for which an announced tag is waited for at most before an answer,
#: and between two looks for it, at first and later. The registry's queue
#: stands still.
_MOMENT, _PAUSE, _LONGEST_PAUSE = 0.5, 0.03, 0.08
#: Tags that a registry of version 3 gives at once: there may be more.
_ALL_TAGS = 100


class Follower(object):
    """Follows one registry.

    :param index: a SearchIndex.
    :param registry: a RegistryClient.
    :param on_note: called with the Note when something was left for later.
    """

    def __init__(self, index, registry, clock=time.monotonic,
                 on_note=lambda note: None, sleep=time.sleep):
        self._index = index
        self._registry = registry
        self._clock = clock
        self._sleep = sleep
        self.on_note = on_note
        self._turns = Turns()

    def follow(self, change, seconds):
        """Make what a notification is about be true in the index.

        What the registry does not tell in time, whether the repository is
        there or only its description, is noted in DynamoDB, and asked later:
        a registry sends in order, so one repository that cannot be read must
        not keep all others waiting. So is what DynamoDB makes late, when
        nobody waits for it any more: what came after it may be made already,
        by another process.

        So is a push with a tag to a repository that shows none: the registry
        tells of a push before it writes the tag. It is waited for for half a
        second at most, and in the background for some minutes.

        :param change: a Change.
        :param seconds: until the answer must be there. The requests to the
            registry end by then; those to DynamoDB have time-outs of their
            own.
        :raises ChangeUnderWay: an earlier one of this repository takes that
            long. Else it might end after this one, and undo it.
        :raises RequestFailed, ChangeConflict: DynamoDB does not take it.
        :raises InvalidName: no such repository can be in the index.

        Costs two requests to the registry, and up to four for a description;
        up to six more while a tag is waited for, and then a note.
        """
        end = self._clock() + seconds
        with self._turns.of(change.name, seconds) as is_our_turn:
            if not is_our_turn:
                raise ChangeUnderWay(change.name)
            self._follow(change, end, seconds)

    def _follow(self, change, end, seconds):
        reference = change.reference
        if image.is_secondary(change.tag):
            reference = None
        soon, told = end - _RESERVED * seconds, end - _LAST * seconds
        try:
            tags = self._announced(
                change, told, min(soon, self._clock() + _MOMENT))
            self._settle(
                change.name, end, lambda tags: self._text_or_note(
                    change.name, reference, tags, soon),
                _LAST * seconds, tags)
        except RegistryUnavailable as error:
            self._note(change.name, error)

    def _announced(self, change, end, last):
        """The tags there are, once the one that was pushed may be there.

        :param end: when the registry must have told.
        :param last: when it is not asked again.
        """
        pause = _PAUSE
        tags = self._registry.tags(change.name, self._left(end))
        while change.tag and not tags and self._clock() + pause < last:
            self._sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            tags = self._registry.tags(change.name, self._left(end))
        if change.tag and not tags:
            self._note(change.name, 'it was pushed, and has no tag yet')
        return tags

    def has_tag(self, name, seconds):
        """Whether the registry shows a tag; one request to it.

        :raises RegistryUnavailable: that cannot be told.
        """
        return self._registry.has(name, seconds)

    def describe(self, name, seconds):
        """The same for a repository whose description is still to be read.

        :returns: whether it is there.
        :raises RegistryUnavailable: it cannot be asked.
        :raises: as follow.
        """
        end = self._clock() + seconds
        return self._settle(name, end, lambda tags: self._text(
            name, None, tags, end))

    def _settle(self, name, end, text_of, reserved=0, tags=None):
        """Have it in the index, or not, and see that this still stands.

        :param reserved: seconds before the end when the registry must have
            told all.
        :param tags: that it has told already.
        :returns: whether it is there.
        """
        told = end - reserved
        for _ in range(_ATTEMPTS):
            if tags is None:
                tags = self._registry.tags(name, self._left(told))
            self._change(name, bool(tags), text_of(tags) if tags else None,
                         end)
            # Also when nothing changed: that may be said of a change whose
            # first answer was lost.
            if bool(tags) == self._registry.has(name, self._left(told)):
                return bool(tags)
            tags = None
        self._note(name, 'it comes and goes')
        return True

    def _change(self, name, is_there, text, end):
        try:
            if is_there:
                self._index.add(name, text)
            else:
                self._index.remove(name)
        finally:
            if self._clock() >= end:
                self._note(name, 'DynamoDB took long')

    def _text_or_note(self, name, reference, tags, end):
        """A description, or None: there is none, or it is noted."""
        try:
            return self._text(name, reference, tags, end)
        except RegistryUnavailable as error:
            self._note(name, error)
            return None

    def _note(self, name, why):
        """As one that is expected, whatever it is for: it may take the place
        of a note of a push."""
        logger.info('%.80r is looked at later: %s', name, why)
        for note in self._index.description_queue.note([name], is_expected=True):
            self.on_note(note)

    def _text(self, name, reference, tags, end):
        reference = reference or self._best_tag(name, tags, end)
        if reference is None:
            return None
        return description(self._registry, name, reference, self._left(end))

    def _best_tag(self, name, tags, end):
        best = image.best_tag(tags)
        if len(tags) < _ALL_TAGS or best == image.LATEST:
            return best
        is_there = self._registry.manifest(name, image.LATEST,
                                           self._left(end))
        return image.LATEST if is_there else best

    def _left(self, end):
        return max(0.01, end - self._clock())
