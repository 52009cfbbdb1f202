"""Waiting for what other threads and processes do."""
import threading
import time

from docker_registry_index.engine._compat import monotonic

__all__ = ['lines_of', 'more_threads', 'wait_until']

_TRUE = object()


def wait_until(condition, otherwise='it is not so', seconds=20, server=None, expected=_TRUE):
    """Return the seconds until a condition is `expected`, or is true by default; a failure shows
    what it was instead, and the end of a server's log."""
    started, pause = monotonic(), 0.01
    while True:
        last = condition()
        passed = monotonic() - started
        if last == expected or expected is _TRUE and last:
            return passed
        if passed > seconds:
            raise AssertionError('%s within %g seconds: %r\n%s'
                                 % (otherwise, seconds, last, lines_of(server) if server else ''))
        time.sleep(pause)
        pause = min(1.2 * pause, 0.3)  # at first a figure is measured, later a processor spared


def lines_of(server):
    """Return the end of a service's log, without searches: tests search all the time."""
    return '\n'.join([line for line in server.log_text().splitlines()
                      if 'GET /v1/search' not in line][-40:])


def more_threads():
    """Return a function that counts the threads that were started since."""
    before = set(threading.enumerate())
    return lambda: len(set(threading.enumerate()) - before)
