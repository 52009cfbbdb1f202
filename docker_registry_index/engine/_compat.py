"""All differences between Python 2.7 and 3 that the engine meets."""

import os
import sys
import time

try:
    import queue
except ImportError:  # Python 2.7
    import Queue as queue

__all__ = ['NARROW', 'PY2', 'monotonic', 'queue', 'sleep', 'text_type', 'wait']

PY2 = sys.version_info[0] == 2
#: True where one character beyond U+FFFF is two of the interpreter's own.
NARROW = sys.maxunicode == 0xFFFF

text_type = type(u'')

if PY2:
    def monotonic():
        """Seconds since some moment; never set back by the wall clock. Python 2.7 has no
        time.monotonic. times(2) counts ticks from a fixed point in the past and resolves 10 ms,
        plenty for a lease."""
        return os.times()[4]
else:
    monotonic = time.monotonic


def sleep(seconds):
    """Let others run for so many seconds. time.sleep is resolved at each call: bound at the import,
    it would stay the real one, under which no greenlet runs, where gevent patches later.
    gunicorn's --preload imports before it patches."""
    time.sleep(seconds)


def wait(event, seconds, longest_nap=0.05):
    """Wait for an event, for so many seconds at most; return whether it is set. On Python 2.7 in
    ever longer naps: there Event.wait goes by the time of day, and never ends if that is set
    back."""
    if not PY2:
        return event.wait(seconds)
    end, nap = monotonic() + seconds, 0.001
    while not event.is_set() and monotonic() < end:
        sleep(min(nap, max(0, end - monotonic())))
        nap = min(2 * nap, longest_nap)
    return event.is_set()
