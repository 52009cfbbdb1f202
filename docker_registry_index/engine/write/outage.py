"""Outage: whether DynamoDB can be written to, and when to try again.

A line of the log when it begins and one when it is over, however many
changes wait meanwhile.
"""

from __future__ import unicode_literals

import logging
import random

from .. import errors

__all__ = ['Outage']

logger = logging.getLogger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 1, 30
#: Seconds between two lines on changes that fail for other reasons.
_SILENCE = 60


class Outage(object):
    """The outages that one process sees, one after the other.

    :param clock: seconds that only go forward.
    """

    def __init__(self, clock):
        self._clock = clock
        self._pause = 0
        self._retry_at = 0
        self._late = 0
        self._overflow = 0
        self._silent_until = None
        self._untold = 0

    @property
    def is_on(self):
        """Whether the last change failed because DynamoDB is away."""
        return self._pause > 0

    def is_time_to_try(self):
        """Whether to see now if it is over."""
        return self._clock() >= self._retry_at

    def note_failure(self, name, error):
        """Note that a change failed; whether DynamoDB is to blame."""
        if not isinstance(error, errors.RequestFailed) or (
                error.invalid or getattr(error, 'lost_race', False)):
            self._log_other(name, error)
            return False
        if not self._pause:
            logger.error('the search index cannot be written to: changes are '
                         'kept and tried again until they are made: %s',
                         error)
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), _LONGEST_PAUSE)
        self._retry_at = self._clock() + self._pause * random.uniform(0.7, 1)
        return True

    def note_overflow(self, limit):
        """Note that a change found no room."""
        if not self._overflow:
            logger.error('%d changes of the search index are waiting, and no '
                         'more are kept: a sync with the storage makes the '
                         'others', limit)
        self._overflow += 1

    def note_success(self, is_late, is_last):
        """Note that a change was made.

        :param is_late: not when it was announced, but later.
        :param is_last: whether nothing waits any more.
        :returns: whether a sync must make changes that found no room.
        """
        self._pause = 0
        self._late += is_late
        if not is_last or not self._late:
            return False
        logger.info('the search index has caught up: %d changes were made '
                    'late', self._late)
        lacks, self._late, self._overflow = self._overflow > 0, 0, 0
        return lacks

    def _log_other(self, name, error):
        if isinstance(error, errors.ChangeConflict):
            logger.info('%s', error)
            return
        # One that is not tried again is always told.
        if not getattr(error, 'invalid', False) and self._is_silent():
            self._untold += 1
            return
        before, self._untold = self._untold, 0
        said = 'a change of %.80r in the search index has to wait%s: %s'
        more = before and ', as %d others had to before' % before or ''
        log = (logger.error if isinstance(error, errors.DynamoDBIndexError)
               else logger.exception)
        log(said, name, more, error)

    def _is_silent(self):
        """Whether a line of the last minute is enough."""
        now = self._clock()
        if self._silent_until is not None and now < self._silent_until:
            return True
        self._silent_until = now + _SILENCE
        return False
