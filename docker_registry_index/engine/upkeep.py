"""Upkeep: what happens to an index in the background of a process.

It is made ready, if it is not, as soon as that can be done; and synced with
the storage now and then, by one process of all.
"""

from __future__ import unicode_literals

import logging
import os
import random
import threading
import time

from . import errors
from .startup import RETRY

__all__ = ['Upkeep']

logger = logging.getLogger(__name__)

#: Seconds between two tries while DynamoDB or the storage is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 1, 60
#: Seconds after which a process that waits for another's load looks again.
_LOOK_AGAIN = 5
#: Seconds of sleep at a time, so that a call for it is heard.
_NAP = 0.5

_NOT_READY = ('the search index is not ready, the registry goes on without; '
              'it is tried again until it is: %s')
_NOT_SYNCED = ('the sync of the search index with the storage failed; it is '
               'tried again until it does not: %s')

_FATAL = (errors.NewerDatabase, errors.ForeignDatabase, errors.SettingError)


class Upkeep(object):
    """The upkeep of one index by one process: one thread.

    Nothing that happens in it is raised; the log has it, an outage in one
    line however long it lasts.

    :param startup: a Startup, whose sleep should be ``sleep``.
    :param interval: seconds between two syncs; 0 for none.
    """

    def __init__(self, startup, interval, wall_clock=time.time):
        self._startup = startup
        self._interval = interval
        self._wall_clock = wall_clock
        self._is_stopping = False
        self._process = os.getpid()
        self._is_called = False
        self._sync_now = False
        self._pause = 0
        self._first_turn = threading.Event()
        self._at_rest = threading.Event()
        #: Whether the index was ready when last looked at.
        self.is_ready = False
        #: What makes it useless to go on, or None.
        self.fatal = None

    def begin(self):
        """Look once in this thread, then go on in another.

        Costs one BatchGetItem.

        :returns: whether DynamoDB could be asked.
        :raises NewerDatabase: nothing was changed.
        """
        try:
            self.is_ready = self._startup.is_ready()
        except _FATAL:
            raise
        except errors.DynamoDBIndexError as error:
            self._fail(error)
        thread = threading.Thread(target=self._run)
        thread.daemon = True
        thread.start()
        return not self._pause

    def wait(self, seconds):
        """Wait until the index is ready, or cannot be now.

        :returns: whether it is ready.
        :raises NewerDatabase, ForeignDatabase, SettingError: it never will.
        """
        if not self.is_ready:
            self._first_turn.wait(seconds)
        if self.fatal:
            raise self.fatal
        return self.is_ready

    def look(self):
        """Ask to have it looked at: something is missing."""
        self.is_ready = False
        self._is_called = True

    def sync_soon(self):
        """Ask for a sync, because a change was given up."""
        self._sync_now = self._is_called = True

    def stop(self, seconds):
        """Have it end; a load under way gives its lease back.

        :param seconds: to wait for that at most.
        """
        self._is_stopping = True
        self._at_rest.wait(seconds)

    def check(self):
        """Go on, or not.

        :raises Stopped: this process is ending.
        """
        if self._is_over():
            raise errors.Stopped()

    def _is_over(self):
        # Greenlets live on in a process that was forked; but it has not its
        # connections for itself.
        return self._is_stopping or self._process != os.getpid()

    def _run(self):
        self._rest(self._pause)
        while not self._is_over():
            self._rest(self._turn())
        self._at_rest.set()

    def _rest(self, seconds):
        """Sleep, until called or stopped."""
        self._at_rest.set()
        while seconds > 0 and not (self._is_called or self._is_stopping):
            time.sleep(min(seconds, _NAP))
            seconds -= _NAP
        self._is_called = False
        self._at_rest.clear()

    def _turn(self):
        """Do what is to be done; return the seconds until the next turn."""
        try:
            pause = self._sync() if self.is_ready else self._make_ready()
            self._pause = 0
            return pause
        except errors.Stopped:
            return 0
        except _FATAL as error:
            self.fatal = error
            self._is_stopping = True
            logger.error('the search index cannot be used: %s', error)
            return 0
        except errors.LeaseLost as error:
            logger.warning('%s', error)
            return _LOOK_AGAIN
        except Exception as error:
            return self._fail(error)
        finally:
            self._first_turn.set()

    def _make_ready(self):
        self.is_ready = self._startup.ensure_ready()
        if self.is_ready:
            logger.info('the search index is ready')
        return 0 if self.is_ready else _LOOK_AGAIN

    def _sync(self):
        if not self._interval and not self._sync_now:
            return _LONGEST_PAUSE
        seconds = self._seconds_left(self._startup.mark)
        if seconds > 0:
            # Not all processes at the same moment.
            return min(seconds, self._interval) + random.uniform(0, 5)
        # Another process may have done it, or tables may be gone.
        self.is_ready = self._startup.is_ready()
        if not self.is_ready or not self._is_due(self._startup.mark):
            return 0
        try:
            self._startup.sync(self._is_due)
        except errors.LeaseTaken:
            return _LOOK_AGAIN + random.uniform(0, _LONGEST_PAUSE)
        self._sync_now = False
        return 0

    def _is_due(self, mark):
        return self._seconds_left(mark) <= 0

    def _seconds_left(self, mark):
        """Until the next sync; by the wall clock, since a process rarely
        lives as long as the interval. A wrong clock makes it early or late,
        and never wrong."""
        if mark is None or self._sync_now:
            return 0
        return mark.due(self._interval, RETRY) - self._wall_clock()

    def _fail(self, error):
        """Note a failure; return the seconds until the next try."""
        if not self._pause:
            log = (logger.error if isinstance(
                error, errors.DynamoDBIndexError) else logger.exception)
            log(_NOT_SYNCED if self.is_ready else _NOT_READY, error)
        longest = RETRY if self.is_ready else _LONGEST_PAUSE
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE), longest)
        return self._pause * random.uniform(0.7, 1.3)
