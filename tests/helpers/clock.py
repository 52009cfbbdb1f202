"""A clock that a test sets."""


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
