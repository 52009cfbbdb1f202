"""Progress: how far a load is, in the log now and then."""

from __future__ import unicode_literals

import logging

__all__ = ['Listing', 'Progress']

logger = logging.getLogger(__name__)

#: Seconds between two lines in the log.
_PAUSE = 10


class Listing(object):
    """The progress of listing a storage, of which nobody knows the end.

    :param clock: seconds that only go forward.
    """

    def __init__(self, clock):
        self._clock = clock
        self._began = clock()
        self._next = self._began + _PAUSE
        #: Repositories that were listed.
        self.count = 0

    def tell(self, done):
        """Say it, when it is time.

        :param done: how many were looked at already.
        """
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _PAUSE
        logger.info(
            'listing the storage for the search index: %d repositories so '
            'far, %.0f a second; %d of them done', self.count,
            self.count / max(now - self._began, 0.001), done)


class Progress(object):
    """The progress of one load.

    :param total: repositories to look at.
    :param clock: seconds that only go forward.
    :param tell: a function of (done, total), called too; None for none.
    :param before: of them, those that were looked at before.
    """

    def __init__(self, total, clock, tell=None, before=0):
        self._total = total
        self._before = before
        self._clock = clock
        self._tell = tell
        self._began = clock()
        self._next = self._began + _PAUSE

    def reach(self, done):
        """Note that so many more repositories have been looked at."""
        if self._tell:
            self._tell(self._before + done, self._total)
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _PAUSE
        rate = done / max(now - self._began, 0.001)
        left = self._total - self._before - done
        logger.info(
            'loading the search index: %d of %d done, %.0f a second, about '
            '%d s left', self._before + done, self._total, rate,
            left / max(rate, 0.001))
