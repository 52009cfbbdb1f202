"""What a load did, and how far it is: as it is returned, logged and kept."""

from __future__ import unicode_literals

import collections
import logging

__all__ = ['KINDS', 'LoadReport', 'Progress']

logger = logging.getLogger(__name__)

#: What a load counts repositories as.
KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged', 'failed')
#: Seconds between two lines in the log.
_PAUSE = 10


class LoadReport(collections.namedtuple('LoadReport', ('found',) + KINDS + (
        'unreadable', 'seconds'))):
    """What a load did.

    :param found: repositories in the registry's storage.
    :param added: those that were not in the index.
    :param adopted: rows that had no postings, or others, such as those of release 0.1.0.
    :param cleaned: names whose postings went because their row was gone, or whose removal had been
        broken off.
    :param removed: repositories removed, because the storage does not have them any more.
    :param recent: repositories that the storage does not have, and that stay for now, because they
        were pushed or changed within the last hour.
    :param unchanged: repositories that were right already.
    :param failed: those that could not be written, or not be removed; the log says why.
    :param unreadable: a tuple of the namespaces that could not be listed.
    :param seconds: how long it took.
    """

    __slots__ = ()

    @property
    def complete(self):
        """Whether the index equals the storage now, as far as it must."""
        return not (self.failed or self.unreadable)

    @property
    def summary(self):
        """The counts in a line, for people."""
        counts = '%d repositories in the storage: %s' % (self.found, ', '.join(
            '%d %s' % (getattr(self, kind), kind) for kind in KINDS))
        if self.complete:
            return counts
        return '%s; NOT COMPLETE: %d namespaces could not be read' % (
            counts, len(self.unreadable))


class Progress(object):
    """The progress of a listing of a storage, or of a load.

    :param clock: seconds that only go forward.
    :param total: repositories that the load looks at.
    :param before: of them, those that were looked at during the listing.
    :param report: a function of (done, total), called too; None for none.
    """

    def __init__(self, clock, total=0, before=0, report=None):
        self._clock = clock
        self._total = total
        self._before = before
        self._report = report
        self._began = clock()
        self._next = self._began + _PAUSE

    def list(self, listed, done):
        """Note how many repositories were listed, and done; log it when it is time."""
        rate = self._rate(listed)
        if rate is not None:
            logger.info('listing the storage for the search index: %d repositories so far, '
                        '%.0f a second; %d of them done', listed, rate, done)

    def reach(self, done):
        """Note that so many more are done; log it when it is time."""
        if self._report:
            self._report(self._before + done, self._total)
        rate = self._rate(done)
        if rate is not None:
            left = self._total - self._before - done
            logger.info('loading the search index: %d of %d done, %.0f a second, about %d s left',
                        self._before + done, self._total, rate, left / max(rate, 0.001))

    def _rate(self, done):
        """Return how many were done a second, when it is time for a line; else None."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + _PAUSE
        return done / max(now - self._began, 0.001)
