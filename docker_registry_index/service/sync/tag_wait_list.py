"""Looks: when to look again for a tag that a push has announced.

A registry tells of a push before it writes the tag, and some storages take
their time: that there is no tag yet is no answer for some minutes.
"""

from __future__ import unicode_literals

import threading
import time

__all__ = ['Looks']

#: Seconds for which "no tags" is not believed.
SECONDS = 300
#: Seconds between two looks: at first, and as a part of what has passed.
_FIRST, _PART = 0.25, 0.125
#: Notes kept here; those beyond stand in DynamoDB, and are read from there.
_MOST = 1000


class Looks(object):
    """The notes whose tag is awaited; safe from several threads.

    Those of one process: another counts anew from when it sees a note.

    :param clock: seconds that never go back.
    """

    def __init__(self, clock=time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        # Note to [when it came, when it is due, whether it was looked at].
        self._awaited = {}

    def add(self, note):
        """Have a note looked at as soon as possible, unless it is kept."""
        with self._lock:
            if note not in self._awaited and len(self._awaited) < _MOST:
                now = self._clock()
                self._awaited[note] = [now, now, False]

    def take(self):
        """The notes that are due, as (note, whether it was looked at)."""
        with self._lock:
            now, taken = self._clock(), []
            for note, times in self._awaited.items():
                if times[1] <= now:
                    taken.append((note, times[2]))
                    times[1:] = [now + max(
                        _FIRST, _PART * (now - times[0])), True]
            return taken

    def is_over(self, note):
        """Whether "no tags" is to be believed by now."""
        with self._lock:
            times = self._awaited.get(note)
            return times is not None and self._clock() - times[0] >= SECONDS

    def forget(self, note):
        """Look no more at a note."""
        with self._lock:
            self._awaited.pop(note, None)

    def seconds(self):
        """Until the next one is due; None where there is none."""
        with self._lock:
            if not self._awaited:
                return None
            due = min(times[1] for times in self._awaited.values())
            return max(0, due - self._clock())
