"""Describer: reads in the background the descriptions that are missing.

Those of repositories that a load has added, and those that a notification
had no time for. One process of all copies of the service does it at a time;
but each looks by itself for the tags that its own notifications announced.
"""

from __future__ import unicode_literals

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from ...engine import errors
from ..registry.errors import ChangeUnderWay, RegistryUnavailable
from .tag_wait_list import Looks

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
        self._has_failed = False
        self._looks = Looks()
        #: How many notes were worked off, and how many were there at the
        #: last look: 100 for more.
        self.done = self.waiting = 0

    def start(self):
        """Go on in the background."""
        self._thread.start()

    def call(self, note):
        """Ask for a look now: this was noted, as one that is expected."""
        self._looks.add(note)
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
        self.waiting = len(self._index.description_queue.notes(_BATCH))
        if not self.waiting or not self._lease.acquire():
            return False
        before = self.done
        self._has_failed = False
        try:
            with ThreadPoolExecutor(_THREADS) as pool:
                self._work_off(pool)
        except errors.LeaseLost:
            logger.info('another copy of the service reads the descriptions')
        finally:
            self._lease.release()
            if self.done > before:
                logger.info('read %d descriptions', self.done - before)
        self.waiting = len(self._index.description_queue.notes(_BATCH))
        return self._has_failed and self.done == before

    def look(self):
        """Look at what is expected and due, without DynamoDB being asked for
        more."""
        with ThreadPoolExecutor(_THREADS) as pool:
            self._look(pool)

    def _work_off(self, pool):
        while True:
            notes = self._index.description_queue.notes(_BATCH, self._after)
            # In small groups: between two, the lease is renewed.
            for first in range(0, len(notes), _THREADS):
                group = notes[first:first + _THREADS]
                self._lease.renew()
                self._after = group[-1].name
                for note in group:
                    if note.is_expected:
                        self._looks.add(note)
                list(pool.map(self._describe, [
                    note for note in group if not note.is_expected]))
                self._look(pool)
                if self._stopping.is_set() or self._failures >= _FAILURES:
                    return
            if len(notes) < _BATCH:
                self._after = None
                return

    def _look(self, pool):
        list(pool.map(lambda due: self._describe(*due), self._looks.take()))

    def _describe(self, note, is_again=False):
        """Have it in the index as the registry has it, and take the note
        away; not where the repository is expected and not there yet.

        :param is_again: whether that was so before: then it only matters
            whether it is there now.
        """
        try:
            is_there = (
                not is_again or self._looks.is_over(note) or
                self._follower.has_tag(note.name, _SECONDS)) and (
                self._follower.describe(note.name, _SECONDS))
            if note.is_expected and not (
                    is_there or self._looks.is_over(note)):
                return
        except (RegistryUnavailable, ChangeUnderWay,
                errors.ChangeConflict) as error:
            self._failures += 1
            self._has_failed = True
            # The next turn comes to it, and later ones after longer pauses.
            self._looks.forget(note)
            if self._failures in (1, _FAILURES):
                logger.warning('the description of %.80r is read later: %s',
                               note.name, error)
            return
        except errors.InvalidName as error:
            logger.warning('no description is read: %s', error)
        self._failures = 0
        self._looks.forget(note)
        self._index.description_queue.done(note)
        self.done += 1

    def _run(self):
        pause = self._pause
        end = time.monotonic() + pause
        while not self._stopping.is_set():
            if self._wait(end - time.monotonic()):
                pause = self._pause
                end = min(end, time.monotonic() + pause)
            is_turn = time.monotonic() >= end
            has_failed = self._safely(self.turn if is_turn else self.look)
            if is_turn:
                pause = min(2 * pause, LONGEST_PAUSE) if (
                    has_failed) else self._pause
                end = time.monotonic() + pause

    def _wait(self, seconds):
        """Wait so long, or until something is expected and due; whether
        there was a call meanwhile."""
        due = self._looks.seconds()
        if due is not None:
            seconds = min(seconds, due)
        is_called = self._called.wait(max(0, seconds))
        self._called.clear()
        return is_called

    def _safely(self, act):
        """Do it and raise nothing; whether nothing could be done."""
        if self._stopping.is_set():
            return False
        try:
            return act()
        except errors.MissingTable:
            # They are being made, or soon will be.
            return False
        except errors.DynamoDBIndexError as error:
            logger.warning('descriptions are read later: %s', error)
        except Exception:
            logger.exception('descriptions are read later')
        return True
