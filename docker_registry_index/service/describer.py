"""Describer: reads in the background the descriptions that are missing.

Those of repositories that a load has added, and those that a notification
had no time for. One process of all copies of the service does it at a time.
"""

from __future__ import unicode_literals

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from ..engine import errors
from .errors import ChangeUnderWay, RegistryUnavailable

__all__ = ['Describer']

logger = logging.getLogger(__name__)

#: Seconds between two looks for notes; longer while nothing can be done.
PAUSE, LONGEST_PAUSE = 10, 600
#: Notes taken at a time, and repositories asked for side by side.
_BATCH, _THREADS = 100, 4
#: Seconds for one repository: less than a lease lasts.
_SECONDS = 10
#: Repositories in a row that cannot be read, after which it is the registry.
_FAILURES = 12
#: The attribute of the version row that has its lease.
_LEASE = 'describing'


class Describer(object):
    """Works off the notes of one index.

    :param index: a SearchIndex.
    :param follower: a Follower.
    :param pause: seconds between two looks.
    """

    def __init__(self, index, follower, pause=PAUSE):
        self._index = index
        self._follower = follower
        self._pause = pause
        self._lease = index.lease(_LEASE)
        self._stopping = threading.Event()
        self._called = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        # Where the next turn goes on, so that those that cannot be read do
        # not keep the others waiting.
        self._after = None
        self._failures = 0
        #: How many notes were worked off, and how many were there at the
        #: last look: 100 for more.
        self.done = self.waiting = 0

    def start(self):
        """Go on in the background."""
        self._thread.start()

    def call(self):
        """Ask for a look now: something was noted."""
        self._called.set()

    def stop(self, seconds):
        """End, after the repositories that are being read at most."""
        self._stopping.set()
        self._called.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def turn(self):
        """Work off what is noted; what cannot be, stays noted.

        Costs one Query when nothing is noted.

        :returns: whether anything is left that could not be done.
        :raises RequestFailed: DynamoDB does not take it.
        """
        self.waiting = len(self._index.undescribed.notes(_BATCH))
        if not self.waiting or not self._lease.acquire():
            return False
        before = self.done
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                self._work_off(pool)
        except errors.LeaseLost:
            logger.info('another copy of the service reads the descriptions')
        finally:
            self._lease.release()
            if self.done > before:
                logger.info('read %d descriptions', self.done - before)
        self.waiting = len(self._index.undescribed.notes(_BATCH))
        return self.waiting > 0 and self.done == before

    def _work_off(self, pool):
        while True:
            notes = self._index.undescribed.notes(_BATCH, self._after)
            # In small groups: between two, the lease is renewed.
            for first in range(0, len(notes), _THREADS):
                group = notes[first:first + _THREADS]
                self._lease.renew()
                self._after = group[-1].name
                list(pool.map(self._describe, group))
                if self._stopping.is_set() or self._failures >= _FAILURES:
                    return
            if len(notes) < _BATCH:
                self._after = None
                return

    def _describe(self, note):
        try:
            self._follower.describe(note.name, _SECONDS)
        except (RegistryUnavailable, ChangeUnderWay,
                errors.ChangeConflict) as error:
            self._failures += 1
            if self._failures in (1, _FAILURES):
                logger.warning('the description of %.80r is read later: %s',
                               note.name, error)
            return
        except errors.InvalidName as error:
            logger.warning('no description is read: %s', error)
        self._failures = 0
        self._index.undescribed.done(note)
        self.done += 1

    def _run(self):
        pause = self._pause
        while not self._stopping.is_set():
            is_called = self._called.wait(pause)
            self._called.clear()
            if is_called:
                pause = self._pause
            pause = min(2 * pause, LONGEST_PAUSE) if (
                self._turn()) else self._pause

    def _turn(self):
        """A turn that raises nothing; whether nothing could be done."""
        if self._stopping.is_set():
            return False
        try:
            return self.turn()
        except errors.MissingTable:
            # They are being made, or soon will be.
            return False
        except errors.DynamoDBIndexError as error:
            logger.warning('descriptions are read later: %s', error)
        except Exception:
            logger.exception('descriptions are read later')
        return True
