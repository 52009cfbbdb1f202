"""Progress: how far a load is, in the log now and then."""

from __future__ import unicode_literals

import logging

__all__ = ['Progress']

logger = logging.getLogger(__name__)

#: Seconds between two lines in the log.
_PAUSE = 10


class Progress(object):
    """The progress of one load.

    :param total: repositories to look at.
    :param clock: seconds that only go forward.
    :param tell: a function of (done, total), called too; None for none.
    """

    def __init__(self, total, clock, tell=None):
        self._total = total
        self._clock = clock
        self._tell = tell
        self._began = clock()
        self._next = self._began + _PAUSE

    def reach(self, done):
        """Note that ``done`` repositories have been looked at."""
        if self._tell:
            self._tell(done, self._total)
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _PAUSE
        rate = done / max(now - self._began, 0.001)
        logger.info(
            'loading the search index: %d of %d done, %.0f a second, about '
            '%d s left', done, self._total, rate,
            (self._total - done) / max(rate, 0.001))
