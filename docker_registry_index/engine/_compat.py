"""All differences between Python 2.7 and 3 that concern the engine."""

import os
import sys
import time

try:
    import queue
except ImportError:  # Python 2.7
    import Queue as queue

__all__ = ['NARROW', 'PY2', 'monotonic', 'queue', 'sleep', 'text_type', 'wait']

PY2 = sys.version_info[0] == 2
#: True where the interpreter stores a character beyond U+FFFF as two.
NARROW = sys.maxunicode == 0xFFFF

text_type = type(u'')

if PY2:
    def monotonic():
        """Return seconds since some moment, whatever happens to the wall clock. Python 2.7 has no
        time.monotonic. times(2) counts ticks of 10 ms from a fixed point in the past, which is
        precise enough for a lease."""
        return os.times()[4]
else:
    monotonic = time.monotonic


def sleep(seconds):
    """Sleep, and let other threads and greenlets run. time.sleep is looked up at each call, because
    gunicorn's --preload imports this module before gevent patches time. The unpatched function
    would stop all greenlets."""
    time.sleep(seconds)


def wait(event, seconds, longest_nap=0.05):
    """Wait for an event, for so many seconds at most; return True if it is set. Python 2.7 waits
    in ever longer naps, because its Event.wait uses the time of day, and never ends if that is
    set back."""
    if not PY2:
        return event.wait(seconds)
    end, nap = monotonic() + seconds, 0.001
    while not event.is_set() and monotonic() < end:
        sleep(min(nap, max(0, end - monotonic())))
        nap = min(2 * nap, longest_nap)
    return event.is_set()
