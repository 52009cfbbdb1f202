"""Threads, time limits, background loops and back-off.

Where gevent has patched the process, the threads are greenlets."""

from __future__ import unicode_literals

import logging
import os
import random
import threading

from ._compat import monotonic, queue, wait

__all__ = ['Backoff', 'Loop', 'SingleFlight', 'Stopwatch', 'TimedOut', 'call_with_timeout',
           'run_side_by_side', 'start_thread']

logger = logging.getLogger(__name__)

#: How often a pause is doubled at most.
_DOUBLED = 30


class TimedOut(Exception):
    """There was no answer in time.

    :param seconds: how long the caller waited."""

    def __init__(self, seconds):
        super(TimedOut, self).__init__('no answer for %d seconds' % seconds)


def start_thread(function, *arguments):
    """Run a function in a daemon thread.

    :returns: the thread; None if the system cannot start another one."""
    thread = threading.Thread(target=function, args=arguments)
    thread.daemon = True
    try:
        thread.start()
    except Exception:
        # RuntimeError, and thread.error on Python 2.7.
        return None
    return thread


def run_side_by_side(calls):
    """Run functions at the same time and return what they return, in order.

    If the system cannot start a thread for a function, the function runs after the others.

    :param calls: functions without arguments.
    :raises: what the first of them raised, in their order, after all have ended."""
    answers = [None] * len(calls)

    def run(place):
        try:
            answers[place] = (calls[place](), None)
        except Exception as error:
            answers[place] = (None, error)

    threads = [start_thread(run, place) for place in range(1, len(calls))]
    if calls:
        run(0)
    for place, thread in enumerate(threads, 1):
        if thread is None:
            run(place)
        else:
            thread.join()
    for _, error in answers:
        if error is not None:
            raise error
    return [answer for answer, _ in answers]


def call_with_timeout(function, seconds, heartbeat=lambda: None, clock=monotonic):
    """Return what a function returns, called in a thread of its own.

    If the system cannot start a thread, the function runs in this one, for as long as it takes.

    :param heartbeat: called at least once a second meanwhile; raises to stop waiting.
    :raises TimedOut: after so many seconds; the thread is left alone.
    :raises: what the function or the heartbeat raises."""
    answers = queue.Queue()

    def run():
        try:
            answers.put((function(), None))
        except Exception as error:
            answers.put((None, error))

    deadline = clock() + seconds
    if start_thread(run) is None:
        run()
    while True:
        heartbeat()
        left = deadline - clock()
        try:
            answer, error = answers.get(left > 0, max(0, min(1, left)))
        except queue.Empty:
            if left <= 0:
                raise TimedOut(seconds)
            continue
        if error is not None:
            raise error
        return answer


class Stopwatch(object):
    """Measures how long a caller or a thread has been waiting.

    :param seconds: after which the wait has been too long."""

    def __init__(self, seconds, clock=monotonic):
        self.seconds = seconds
        self._clock = clock
        self._since = None

    def start(self):
        """Start measuring, or start again from zero."""
        self._since = self._clock()

    def stop(self):
        """Stop measuring: nobody is waiting."""
        self._since = None

    @property
    def is_over(self):
        """Whether the wait has been too long."""
        since = self._since
        return since is not None and self._clock() - since > self.seconds


class SingleFlight(object):
    """Runs a function in a thread of its own, once for all who ask at the same time.

    :param function: a function without arguments."""

    class _Flight(object):
        def __init__(self):
            self.ended = threading.Event()
            self.error = None

    def __init__(self, function):
        self._function = function
        self._lock = threading.Lock()
        self._flight = None

    @property
    def is_under_way(self):
        """Whether the function is running."""
        return self._flight is not None

    def wait(self, seconds):
        """Wait for the function to end; start it unless it is running.

        :returns: whether it has ended within so many seconds.
        :raises: what the function raised."""
        with self._lock:
            flight = self._flight
            if flight is None:
                flight = self._flight = self._Flight()
                if start_thread(self._run, flight) is None:
                    self._flight = None
                    return False
        if not flight.ended.wait(seconds):
            return False
        if flight.error is not None:
            raise flight.error
        return True

    def _run(self, flight):
        try:
            self._function()
        except Exception as error:
            flight.error = error
        with self._lock:
            self._flight = None
        flight.ended.set()


class Backoff(object):
    """Pauses that double, each shortened at random.

    :param first: seconds of the first pause.
    :param longest: seconds of the longest.
    :param least: the fraction of a pause that is left at least.
    :param taken: how many pauses there were before, perhaps in another process."""

    # Each change that waits may have one.
    __slots__ = ('_first', '_longest', '_least', '_taken')

    def __init__(self, first, longest, least=0.7, taken=0):
        self._first = first
        self._longest = longest
        self._least = least
        self._taken = taken

    @property
    def has_begun(self):
        """Whether there was a pause since the last reset."""
        return self._taken > 0

    def next(self):
        """Return the seconds of the next pause."""
        pause = min(self._first * 2 ** min(self._taken, _DOUBLED), self._longest)
        self._taken += 1
        return pause * random.uniform(self._least, 1)

    def reset(self):
        """Begin with the first pause again."""
        self._taken = 0


class Loop(object):
    """Calls a function again and again in a background thread, until it is stopped.

    In a process that is forked later, the loop is over: greenlets live on there, but the
    connections belong to the parent.

    :param run_once: a function of the time that does what is due, and returns the seconds until
        the next call. None ends the thread; ``begin`` starts another one.
    :param clock: gives the time, in seconds that never go back."""

    def __init__(self, run_once, clock=monotonic):
        self._run_once = run_once
        self._clock = clock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._is_running = self._is_stopping = False
        self._woken = threading.Event()
        self._resting = threading.Event()
        self._resting.set()

    def begin(self):
        """Start the thread, or wake it. Never waits.

        :returns: whether there is a thread; the system may have none left."""
        with self._lock:
            if self.is_over:
                return False
            if self._is_running:
                self._woken.set()
            else:
                self._is_running = start_thread(self._run) is not None
            return self._is_running

    @property
    def is_running(self):
        """Whether there is a thread."""
        return self._is_running

    @property
    def is_over(self):
        """Whether the loop was stopped, or this is another process."""
        return self._is_stopping or self._process != os.getpid()

    def wake(self):
        """Make the next call now."""
        self._woken.set()

    def stop(self, seconds=0):
        """Make no further call.

        :param seconds: how long to wait for a call under way."""
        self._is_stopping = True
        self._woken.set()
        self._resting.wait(seconds)

    def _run(self):
        while not self.is_over:
            self._resting.clear()
            # This call may miss what wakes the loop from now on.
            self._woken.clear()
            pause = self._call()
            self._resting.set()
            if pause is None and self._has_ended():
                return
            if pause:
                wait(self._woken, pause)

    def _call(self):
        if self.is_over:
            return 0
        try:
            return self._run_once(self._clock())
        except Exception:
            logger.exception('a background task of the search index failed; it is retried')
            return 1

    def _has_ended(self):
        with self._lock:
            self._is_running = self._woken.is_set()
            return not self._is_running
