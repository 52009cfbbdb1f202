"""Clocks whose time a test sets."""
import time

from docker_registry_index.engine._compat import monotonic


class Clock(object):
    """A clock that stands still until a test advances it. Call it for the time in seconds.

    :param now: the time that it starts with."""

    def __init__(self, now=1500000000.0):
        self.now = now
        self.slept = []

    def __call__(self):
        return self.now

    def advance(self, seconds):
        """Let so many seconds pass."""
        self.now += seconds

    def sleep(self, seconds):
        """Take the place of time.sleep: the seconds pass at once, and are recorded in `slept`."""
        self.slept.append(seconds)
        self.advance(seconds)


class SkippingClock(object):
    """The real clock, but pauses of a second or more are over at once."""

    def __init__(self):
        self._skipped = 0

    def __call__(self):
        return monotonic() + self._skipped

    def sleep(self, seconds):
        """Take the place of time.sleep."""
        if seconds >= 1:
            self._skipped += seconds
        else:
            time.sleep(seconds)
