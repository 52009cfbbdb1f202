"""Threads, time limits, background loops and back-off.

Where gevent has patched the process, the threads are greenlets."""

from __future__ import unicode_literals

import functools
import logging
import os
import random
import threading

from ._compat import monotonic, queue, wait

logger = logging.getLogger(__name__)


class TimedOut(Exception):
    """Raised if a call does not end within its time limit.

    :param seconds: for which the caller waited."""

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


class _Call(object):
    """One call of a function, which any thread may make, and its result.

    :ivar ended: an Event, set once the function has ended."""

    def __init__(self, function):
        self._function = function
        self._answer = self._error = None
        self.ended = threading.Event()

    def run(self):
        """Call the function."""
        try:
            self._answer = self._function()
        except BaseException as error:
            # Also an exception that ends a thread or a greenlet: the caller waits for the result.
            self._error = error
        self.ended.set()

    def result(self):
        """Return what the function returned, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer


def call_with_timeout(function, seconds, heartbeat=lambda: None, clock=monotonic):
    """Call a function in a thread of its own, with a time limit; return its result.

    If the system cannot start a thread, the function runs in this one, without the limit.

    :param heartbeat: called at least once a second meanwhile; raises to stop waiting.
    :raises TimedOut: the function did not end within so many seconds; its thread continues.
    :raises: what the function or the heartbeat raises."""
    call, deadline = _Call(function), clock() + seconds
    if start_thread(call.run) is None:
        call.run()
    heartbeat()
    while not wait(call.ended, max(0, min(1, deadline - clock()))):
        if clock() >= deadline:
            raise TimedOut(seconds)
        heartbeat()
    return call.result()


class Workers(object):
    """Calls a function with each of many arguments, several at a time; one by one without threads.

    :param function: takes one argument; several threads call it.
    :param note_result: called in the caller's thread with each argument and its result.
    :param count: the number of threads.
    :param heartbeat: called several times a second while the caller waits; raises to stop."""

    def __init__(self, function, note_result, count, heartbeat):
        self._function = function
        self._note_result = note_result
        self._heartbeat = heartbeat
        self._arguments, self._ended = queue.Queue(), queue.Queue()
        self._has_ended = threading.Event()
        self._threads = [thread for thread in (
            start_thread(self._run) for _ in range(count)) if thread is not None]
        self._under_way = 0
        #: True once close was called.
        self.is_closing = False

    @property
    def has_threads(self):
        """True if threads call the function; False if the caller's thread does."""
        return bool(self._threads)

    def are_busy(self):
        """Return True if submit would have to wait. Note the results of the calls that have ended.

        :raises: as submit."""
        while not self._ended.empty():
            self._wait_for_one()
        return 0 < len(self._threads) <= self._under_way

    def submit(self, argument):
        """Have the function called soon; wait first while all threads are busy.

        :raises: what an earlier call, the heartbeat or note_result raises."""
        while self._under_way and self._under_way >= len(self._threads):
            self._wait_for_one()
        if self._threads:
            self._under_way += 1
            self._arguments.put(argument)
        else:
            self._heartbeat()
            self._note_result(argument, self._function(argument))

    def join(self):
        """Wait until all calls have ended.

        :raises: as submit."""
        while self._under_way:
            self._wait_for_one()

    def close(self):
        """Wait until the calls under way have ended, and end the threads."""
        self.is_closing = True
        for _ in self._threads:
            self._arguments.put(None)
        for thread in self._threads:
            thread.join()

    def _wait_for_one(self):
        self._heartbeat()
        # In Python 2.7, get() with a timeout depends on the time of day.
        if self._ended.empty() and not wait(self._has_ended, 0.2):
            return
        self._has_ended.clear()
        try:
            argument, call = self._ended.get_nowait()
        except queue.Empty:
            return
        self._under_way -= 1
        self._note_result(argument, call.result())

    def _run(self):
        for argument in iter(self._arguments.get, None):
            call = _Call(functools.partial(self._function, argument))
            call.run()
            self._ended.put((argument, call))
            self._has_ended.set()


class Precedence(object):
    """Gives some calls precedence over others: a call inside ``with precedence`` has precedence,
    and the others call ``give_way`` first.

    :param seconds: the longest time for which the others give way, so that they always progress."""

    def __init__(self, seconds):
        self._seconds = seconds
        self._lock = threading.Lock()
        self._under_way = 0
        self._none_under_way = threading.Event()
        self._none_under_way.set()

    def __enter__(self):
        with self._lock:
            self._under_way += 1
            self._none_under_way.clear()

    def __exit__(self, *_):
        with self._lock:
            self._under_way -= 1
            if not self._under_way:
                self._none_under_way.set()

    def give_way(self):
        """Wait until no call with precedence is under way, or the time has passed."""
        if not self._none_under_way.is_set():
            wait(self._none_under_way, self._seconds)


class Stopwatch(object):
    """Measures a wait, and expires after a time limit.

    :param seconds: the time limit."""

    def __init__(self, seconds, clock=monotonic):
        self.seconds = seconds
        self._clock = clock
        self._since = None

    def start(self, since=None):
        """Begin to measure a wait, or begin again.

        :param since: the time on the clock when the wait began; by default now."""
        self._since = self._clock() if since is None else since

    def stop(self):
        """Stop measuring, because the wait has ended."""
        self._since = None

    @property
    def has_expired(self):
        """True if the current wait is longer than the time limit."""
        since = self._since
        return since is not None and self._clock() - since > self.seconds


class SingleFlight(object):
    """Runs a function in a thread of its own; simultaneous callers wait for the same run.

    :param function: takes no arguments."""

    def __init__(self, function):
        self._function = function
        self._lock = threading.Lock()
        self._call = None

    @property
    def is_running(self):
        """True while the function is running."""
        return self._call is not None and not self._call.ended.is_set()

    def wait(self, seconds):
        """Wait until the function ends; start it first unless it is running.

        :returns: True if the function has ended within so many seconds.
        :raises: what the function raised."""
        with self._lock:
            if not self.is_running:
                call = _Call(self._function)
                if start_thread(call.run) is None:
                    return False
                # Never None again, because is_running reads it without the lock.
                self._call = call
            call = self._call
        if not wait(call.ended, seconds):
            return False
        call.result()
        return True


class Backoff(object):
    """A series of pauses: each is twice as long as the one before, then shortened at random.

    :param first: seconds of the first pause.
    :param longest: seconds of the longest pause.
    :param least: the smallest fraction of a pause that remains.
    :param taken: the number of earlier pauses, perhaps of another process."""

    # Each change in a queue may have a Backoff.
    __slots__ = ('_first', '_longest', '_least', '_taken')

    def __init__(self, first, longest, least=0.7, taken=0):
        self._first = first
        self._longest = longest
        self._least = least
        self._taken = taken

    @property
    def has_begun(self):
        """True if there was a pause after the last reset."""
        return self._taken > 0

    def next(self):
        """Return the seconds of the next pause."""
        # Doubled 30 times at most, so that the number stays small.
        pause = min(self._first * 2 ** min(self._taken, 30), self._longest)
        self._taken += 1
        return pause * random.uniform(self._least, 1)

    def reset(self):
        """Begin again with the first pause."""
        self._taken = 0


class Loop(object):
    """Calls a function again and again in a background thread, until it is stopped.

    In a process that is forked later, the loop is stopped: its greenlet would continue there, but
    the connections belong to the parent process.

    :param run_once: takes the time, does what is due, and returns the seconds until the next call.
        If it returns None, the thread ends; ``start`` starts another one.
    :param clock: returns seconds that never go back."""

    def __init__(self, run_once, clock=monotonic):
        self._run_once = run_once
        self._clock = clock
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._is_stopping = False
        self._woken = threading.Event()
        self._ended = threading.Event()
        self._ended.set()

    def start(self):
        """Start the thread, or wake it if it is running. Never waits.

        :returns: False if the system cannot start another thread."""
        with self._lock:
            if self.is_stopped:
                return False
            if self.is_running:
                self._woken.set()
                return True
            self._ended.clear()
            if start_thread(self._run) is not None:
                return True
            self._ended.set()
            return False

    @property
    def is_running(self):
        """True while the thread exists."""
        return not self._ended.is_set()

    @property
    def is_stopped(self):
        """True after stop(), and in a forked process."""
        return self._is_stopping or self._process != os.getpid()

    def wake(self):
        """End the current pause, so that the next call is made now."""
        self._woken.set()

    def stop(self, seconds=0):
        """Stop the loop: it makes no further call.

        :param seconds: the longest wait for the end of the thread. A thread that still runs when
            Python 2.7 ends fails with a message."""
        is_of_parent, self._is_stopping = self._process != os.getpid(), True
        self._woken.set()
        if not is_of_parent:
            wait(self._ended, seconds)

    def _run(self):
        while not self.is_stopped:
            # A wake() from now on leads to another call, because this call may miss its cause.
            self._woken.clear()
            pause = self._call()
            if pause is None:
                with self._lock:
                    if not self._woken.is_set():
                        self._ended.set()
                        return
            if pause:
                wait(self._woken, pause, longest_pause=0.2)
        self._ended.set()

    def _call(self):
        if self.is_stopped:
            return 0
        try:
            return self._run_once(self._clock())
        except Exception:
            logger.exception('a background task of the search index failed; it is retried')
            return 1
