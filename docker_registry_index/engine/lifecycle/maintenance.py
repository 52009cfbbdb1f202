"""Upkeep: an index is made ready, looked at, and synced now and then."""

from __future__ import unicode_literals

import logging
import os
import random
import threading
import time

from .. import errors
from .._compat import monotonic, sleep
from .start import RETRY
from ..concurrency import start_thread

__all__ = ['Upkeep']

logger = logging.getLogger(__name__)

#: Seconds between two tries while DynamoDB or the storage is away.
_FIRST_PAUSE, _LONGEST_PAUSE = 1, 60
#: Seconds after which a process that waits for another's load looks again.
_LOOK_AGAIN = 5
#: Seconds until an index that is ready is looked at again: sooner than a
#: newer release takes away the postings that this one reads.
_LOOK_EVERY = 60
#: Seconds of sleep at a time, so that a call for it is heard.
_NAP = 0.5

_NOT_READY = ('the search index is not ready, the registry goes on without; '
              'it is tried again until it is: %s')
_NOT_SEEN = ('the search index cannot be looked at; it is tried again until '
             'it can: %s')
_NOT_SYNCED = ('the sync of the search index with the storage failed; it is '
               'tried again until it does not: %s')

_FATAL = (errors.NewerDatabase, errors.ForeignDatabase, errors.SettingError)


class Upkeep(object):
    """The upkeep of one index by one process: one thread.

    The log has what happens in it, an outage in one line.

    :param startup: a Startup, whose sleep should be ``sleep``.
    :param interval: seconds between two syncs; 0 for none.
    """

    def __init__(self, startup, interval, wall_clock=time.time):
        self._startup = startup
        self._interval = interval
        self._wall_clock = wall_clock
        self._is_stopping = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._thread = None
        self._is_called = False
        self._sync_now = False
        self._sync_at = 0
        self._pauses = {}
        self._message = _NOT_READY
        self._looked = threading.Event()
        self._first_turn = threading.Event()
        self._at_rest = threading.Event()
        self._at_rest.set()
        #: Whether the index was ready when last looked at.
        self.is_ready = False
        #: Whether it was seen that a load is needed, or under way.
        self.is_loading = False
        #: Why the index cannot be used now, or None.
        self.unusable = None

    def begin(self):
        """Begin in another thread, unless it has. Never waits."""
        if self._thread is not None:
            return
        with self._lock:
            if self._thread is None and not self._is_over():
                self._thread = start_thread(self._run)
            if self._thread is None:
                logger.error('no thread is left for the search index; that '
                             'is tried again at each push and search')

    def wait(self, seconds, for_look):
        """Wait until the index is ready, or cannot be now.

        :param seconds: for a load, all in all.
        :param for_look: to hear whether one is needed, at most.
        :returns: whether it is ready.
        :raises NewerDatabase, ForeignDatabase, SettingError: it cannot be
            used until somebody changes that.
        """
        if self._thread is not None:
            deadline = monotonic() + seconds
            self._looked.wait(for_look)
            if self.is_loading:
                self._first_turn.wait(max(0, deadline - monotonic()))
        if self.unusable is not None:
            # Else it would grow with each search.
            self.unusable.__traceback__ = None
            raise self.unusable
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
        pause = self._try(self._look)
        self._looked.set()
        while True:
            self._rest(pause)
            if self._is_over():
                break
            pause = self._try(
                self._keep if self.is_ready else self._make_ready)
            self._first_turn.set()
        self._at_rest.set()

    def _rest(self, seconds):
        """Sleep, until called or stopped."""
        self._at_rest.set()
        while seconds > 0 and not (self._is_called or self._is_over()):
            sleep(min(seconds, _NAP))
            seconds -= _NAP
        self._is_called = False
        self._at_rest.clear()

    def _try(self, act):
        """Do something; return the seconds until the next turn."""
        try:
            pause = act()
        except errors.Stopped:
            return 0
        except _FATAL as error:
            return self._give_up(error)
        except errors.LeaseLost as error:
            logger.warning('%s', error)
            return _LOOK_AGAIN
        except Exception as error:
            return self._fail(error)
        if self.is_ready and self.unusable:
            logger.info('the search index can be used again')
        if self.is_ready:
            self.unusable = None
        self._pauses.pop(self._message, None)
        return pause

    def _look(self):
        self._message = _NOT_SEEN if self.is_ready else _NOT_READY
        self.is_ready = self._startup.is_ready()
        self.is_loading = not self.is_ready
        return self._until_next() if self.is_ready else 0

    def _make_ready(self):
        self._message = _NOT_READY
        self.is_ready = self._startup.ensure_ready()
        self.is_loading = not self.is_ready
        if self.is_loading:
            return _LOOK_AGAIN
        logger.info('the search index is ready')
        return self._until_next()

    def _keep(self):
        """Look whether all is as it was, and sync when that is due."""
        pause = self._look()
        if not self.is_ready or not self._is_due(self._startup.mark):
            return pause
        self._message = _NOT_SYNCED
        # A change that is given up from now on needs another one.
        is_asked, self._sync_now = self._sync_now, False
        try:
            self._startup.sync(lambda mark: is_asked or self._is_due(mark))
        except BaseException as error:
            self._sync_now = self._sync_now or is_asked
            if not isinstance(error, errors.LeaseTaken):
                raise
            return _LOOK_AGAIN + random.uniform(0, _LONGEST_PAUSE)
        return self._until_next()

    def _until_next(self):
        """Seconds until the next look; not all processes at once."""
        left = min(self._seconds_left(self._startup.mark), _LOOK_EVERY)
        return max(0, left) * random.uniform(1, 1.1)

    def _is_due(self, mark):
        return self._seconds_left(mark) <= 0

    def _seconds_left(self, mark):
        """Until the next sync; by the wall clock, since a process rarely
        lives as long as the interval. A wrong clock makes it early or late,
        and never wrong."""
        failed = self._sync_at - monotonic()
        if self._sync_now or mark is None:
            return failed
        if not self._interval:
            return _LOOK_EVERY
        return max(failed,
                   mark.due(self._interval, RETRY) - self._wall_clock())

    def _give_up(self, error):
        """Note what only a person can change; look again now and then."""
        if self.unusable is None:
            logger.error('the search index cannot be used until that is '
                         'corrected: %s', error)
        self.unusable = error
        self.is_ready = self.is_loading = False
        return _LOOK_EVERY

    def _fail(self, error):
        """Note a failure; return the seconds until the next try."""
        self.is_loading = False
        pause = 2 * self._pauses.get(self._message, 0)
        if not pause:
            log = (logger.error if isinstance(
                error, errors.DynamoDBIndexError) else logger.exception)
            log(self._message, error)
        is_sync = self._message is _NOT_SYNCED
        pause = self._pauses[self._message] = min(
            max(pause, _FIRST_PAUSE), RETRY if is_sync else _LONGEST_PAUSE)
        pause *= random.uniform(0.7, 1.3)
        if is_sync:
            self._sync_at = monotonic() + pause
        return min(pause, _LOOK_EVERY)
