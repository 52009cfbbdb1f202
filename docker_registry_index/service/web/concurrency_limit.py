"""Room: what may hang takes only a part of the threads there are."""

from __future__ import unicode_literals

import threading
import time

__all__ = ['Room']

#: Seconds to wait for somebody to leave, and without anybody leaving after
#: which nobody waits.
_WAIT, _STILL = 0.2, 0.5


class Room(object):
    """Room for so many at once.

    Where they come and go, one more waits a moment. Where nobody leaves,
    as when DynamoDB does not answer, it is told at once that there is none.

    :param size: how many.
    """

    def __init__(self, size, clock=time.monotonic):
        self._free = threading.BoundedSemaphore(size)
        self._clock = clock
        self._left_at = clock()

    def enter(self):
        """Whether there is room; who got in must leave."""
        if self._free.acquire(blocking=False):
            return True
        if self._clock() - self._left_at > _STILL:
            return False
        return self._free.acquire(timeout=_WAIT)

    def leave(self):
        self._left_at = self._clock()
        self._free.release()
