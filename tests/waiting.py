"""Waiting for what other processes do."""
import time

__all__ = ['lines_of', 'wait_until']


def wait_until(condition, otherwise, seconds=10, server=None, expected=True):
    """Return the seconds until a condition is `expected`; a failure tells what it was instead, and
    the end of a server's log."""
    started, pause = time.monotonic(), 0.02
    while True:
        last = condition()
        passed = time.monotonic() - started
        if last == expected:
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
