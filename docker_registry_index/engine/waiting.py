"""Waiting for what may never come: a storage that hangs raises nothing."""

from __future__ import unicode_literals

from ._compat import monotonic, queue
from .concurrency import start_thread

__all__ = ['PATIENCE', 'Silence', 'Watch', 'in_time']

#: Seconds of silence after which a storage counts as unreadable.
PATIENCE = 600


class Silence(Exception):
    """Nothing came for too long."""

    def __init__(self, seconds):
        super(Silence, self).__init__('nothing came for %d seconds' % seconds)


class Watch(object):
    """Says since when somebody has been waiting for something.

    :param seconds: after which it is too long.
    :param clock: seconds that only go forward.
    """

    def __init__(self, seconds=PATIENCE, clock=monotonic):
        self.seconds = seconds
        self._clock = clock
        self._since = None

    def start(self):
        """The wait begins, or begins anew, because something came."""
        self._since = self._clock()

    def stop(self):
        """Nothing is waited for."""
        self._since = None

    @property
    def is_over(self):
        """Whether it has been too long."""
        since = self._since
        return since is not None and self._clock() - since > self.seconds


def in_time(function, beat, seconds=PATIENCE, clock=monotonic):
    """What a function returns, called in a thread of its own; where none is
    left, in this one, as long as it takes.

    :param beat: called at least once a second meanwhile; raises to stop.
    :raises Silence: after so many seconds; the thread is left alone.
    :raises: what the function raises, or the beat.
    """
    answers = queue.Queue()

    def run():
        try:
            answers.put((function(), None))
        except Exception as error:
            answers.put((None, error))

    watch = Watch(seconds, clock)
    watch.start()
    if start_thread(run) is None:
        run()
    while not watch.is_over:
        beat()
        try:
            answer, error = answers.get(timeout=1)
        except queue.Empty:
            continue
        if error is not None:
            raise error
        return answer
    raise Silence(seconds)
