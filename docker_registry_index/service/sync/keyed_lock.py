"""Turns: of what is about one repository, one thing after the other."""

from __future__ import unicode_literals

import contextlib
import threading

__all__ = ['Turns']


class Turns(object):
    """The turns of one process; different names do not wait for each other.
    """

    def __init__(self):
        self._lock = threading.Lock()
        # By name: a lock, and how many hold or want it.
        self._wanted = {}

    @contextlib.contextmanager
    def of(self, name, seconds):
        """Have the turn of a name inside the block.

        :param seconds: to wait for it at most.
        :returns: whether it is one's turn; others go on if not.
        """
        turn = self._want(name)
        is_ours = turn.acquire(timeout=max(0, seconds))
        try:
            yield is_ours
        finally:
            if is_ours:
                turn.release()
            self._leave(name)

    def _want(self, name):
        with self._lock:
            turn, count = self._wanted.get(name, (None, 0))
            turn = turn or threading.Lock()
            self._wanted[name] = turn, count + 1
            return turn

    def _leave(self, name):
        with self._lock:
            turn, count = self._wanted.pop(name)
            if count > 1:
                self._wanted[name] = turn, count - 1
