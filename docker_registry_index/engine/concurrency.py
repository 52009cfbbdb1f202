"""Threads; greenlets where gevent has patched them."""

from __future__ import unicode_literals

import threading

__all__ = ['Errand', 'side_by_side', 'start_thread']


def start_thread(run, *arguments):
    """Run a function in a thread that ends with the process at the latest.

    :returns: the thread; None when the system has none left.
    """
    thread = threading.Thread(target=run, args=arguments)
    thread.daemon = True
    try:
        thread.start()
    except Exception:
        # A RuntimeError, and thread.error on Python 2.7.
        return None
    return thread


def side_by_side(calls):
    """Run ``calls`` at the same time and return their answers in order.

    The caller waits once. Where no thread is left, they run one after the
    other.

    :param calls: functions without arguments.
    :raises: what the first of them in order raised, after all have ended.
    """
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


class _Run(object):
    def __init__(self):
        self.ended = threading.Event()
        self.error = None


class Errand(object):
    """What is done in a thread of its own, once for all who want it at the
    same time, so that nobody waits longer than he says.

    :param do: a function without arguments.
    """

    def __init__(self, do):
        self._do = do
        self._lock = threading.Lock()
        self._run = None

    @property
    def is_under_way(self):
        """Whether it has been begun, and has not ended."""
        return self._run is not None

    def wait(self, seconds):
        """Wait for it to end; begin it, unless it is under way.

        :returns: whether it has ended in time.
        :raises: what it raised.
        """
        with self._lock:
            run = self._run
            if run is None:
                run = self._run = _Run()
                if start_thread(self._go, run) is None:
                    self._run = None
                    return False
        if not run.ended.wait(seconds):
            return False
        if run.error is not None:
            raise run.error
        return True

    def _go(self, run):
        try:
            self._do()
        except Exception as error:
            run.error = error
        with self._lock:
            self._run = None
        run.ended.set()
