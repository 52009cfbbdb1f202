"""Follower: has the index say of a repository what its registry says.

A notification only tells where to look. It may be late, come twice, or after
a newer one: what counts is what the registry has now.
"""

from __future__ import unicode_literals

import logging
import time

from . import descriptions
from .errors import RegistryUnavailable
from .reader import description

__all__ = ['Follower']

logger = logging.getLogger(__name__)

#: How often the registry is asked anew where it changes meanwhile.
_ATTEMPTS = 3
#: The part of the time that is left for the change itself.
_RESERVED = 0.4


class Follower(object):
    """Follows one registry.

    :param index: a SearchIndex.
    :param registry: a RegistryClient.
    """

    def __init__(self, index, registry, clock=time.monotonic):
        self._index = index
        self._registry = registry
        self._clock = clock

    def follow(self, change, seconds):
        """Make what a notification is about be true in the index.

        A description that cannot be read in time is noted, and read later.

        :param change: a Change.
        :param seconds: until the answer must be there. The requests to the
            registry end by then; those to DynamoDB have time-outs of their
            own.
        :raises RegistryUnavailable: it cannot be asked: nothing changed, or
            what changed may be out of date.
        :raises RequestFailed, ChangeConflict: DynamoDB does not take it.
        :raises InvalidName: no such repository can be in the index.

        Costs two requests to the registry, and up to four for a description.
        """
        end = self._clock() + seconds
        reference = change.reference
        if descriptions.is_secondary(change.tag):
            reference = None
        self._settle(change.name, end, lambda tags: self._text_or_note(
            change.name, reference or descriptions.best_tag(tags),
            end - _RESERVED * seconds))

    def describe(self, name, seconds):
        """The same for a repository whose description is still to be read.

        :raises: as follow; without its description nothing is done.
        """
        end = self._clock() + seconds
        self._settle(name, end, lambda tags: self._text(
            name, descriptions.best_tag(tags), end))

    def _settle(self, name, end, text_of):
        """Have it in the index, or not, and see that this still stands."""
        for _ in range(_ATTEMPTS):
            tags = self._registry.tags(name, self._left(end))
            if tags:
                changed = self._index.add(name, text_of(tags))
            else:
                changed = self._index.remove(name)
            if not changed or bool(tags) == self._registry.has(
                    name, self._left(end)):
                return

    def _text_or_note(self, name, reference, end):
        """A description, or None: there is none, or it is noted."""
        try:
            return self._text(name, reference, end)
        except RegistryUnavailable as error:
            logger.info('the description of %.80r is read later: %s', name,
                        error)
            self._index.undescribed.note([name])
            return None

    def _text(self, name, reference, end):
        if reference is None:
            return None
        return description(self._registry, name, reference, self._left(end))

    def _left(self, end):
        return max(0.01, end - self._clock())
