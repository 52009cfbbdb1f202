"""Waiting for what other threads and processes do."""
import threading
import time

from docker_registry_index.engine._compat import monotonic

_TRUE = object()


def wait_until(condition, otherwise='it does not hold', seconds=20, server=None, expected=_TRUE,
               pause=0.01):
    """Return the seconds until a condition is `expected`, or is true by default; a failure shows
    what it was instead, and the end of a server's log. Pauses grow from `pause` to 30 times it."""
    started, longest = monotonic(), 30 * pause
    while True:
        last = condition()
        passed = monotonic() - started
        if last == expected or expected is _TRUE and last:
            return passed
        if passed > seconds:
            raise AssertionError('%s within %g seconds: %r\n%s'
                                 % (otherwise, seconds, last, lines_of(server) if server else ''))
        time.sleep(pause)
        # At first a figure is measured, later a processor spared.
        pause = min(1.2 * pause, longest)


def lines_of(server):
    """Return the end of a service's log, without searches: tests search all the time."""
    return '\n'.join([line for line in server.log_text().splitlines()
                      if 'GET /v1/search' not in line][-40:])


def more_threads():
    """Return a function that counts the threads that were started since."""
    before = set(threading.enumerate())
    return lambda: len(set(threading.enumerate()) - before)


def in_threads(functions):
    """Start functions side by side; return a function that waits for them, and returns what they
    returned, in order, or raises what one of them raised."""
    answers, failures = [None] * len(functions), []

    def call(place):
        try:
            answers[place] = functions[place]()
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(functions))]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        for failure in failures:
            raise failure
        return answers

    return join


class Hanging(object):
    """A function whose calls hang until the block ends or `go_on` is set.

    :ivar calls: the arguments of each call."""

    def __init__(self, function):
        self._function, self.calls, self.go_on = function, [], threading.Event()

    def __call__(self, *arguments):
        self.calls.append(arguments)
        assert self.go_on.wait(20)
        return self._function(*arguments)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.go_on.set()
