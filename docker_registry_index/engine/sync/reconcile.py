"""Reconcile: makes one repository of the index equal to the storage."""

from __future__ import unicode_literals

from .. import errors
from .._compat import monotonic
from ..concurrency import TimedOut, call_with_timeout
from .source import has

#: The most times that a repository is written while the storage changes.
_ATTEMPTS = 3


class TimedSource(object):
    """Asks a Source whether it has a repository, with a time limit.

    A storage that hangs raises nothing, and each call keeps a thread. So after too many calls have
    timed out, no further call is made until one of them ends.

    :param source: a Source.
    :param seconds: the time limit of a call.
    :param unanswered: the most calls that may hang at the same time.
    :param heartbeat: called at least once a second meanwhile; raises to stop.
    :param clock: returns seconds that never go back."""

    def __init__(self, source, seconds, unanswered=1, heartbeat=lambda: None, clock=monotonic):
        self._source = source
        self._seconds = seconds
        self._unanswered = unanswered
        self._heartbeat = heartbeat
        self._clock = clock
        self._calls = {}  # the start of each call under way

    def has(self, name):
        """Return True if the storage has a repository now.

        :raises StorageUnreadable: the storage failed, or the call timed out."""
        call, now = object(), self._clock()
        # Not the whole time: the clock of Python 2.7 ticks only a hundred times a second.
        late = sum(now - since > 0.9 * self._seconds for since in list(self._calls.values()))
        try:
            if late >= self._unanswered:
                raise TimedOut(self._seconds)
            self._calls[call] = now
            return call_with_timeout(lambda: self._ask(call, name), self._seconds,
                                     self._heartbeat, self._clock)
        except TimedOut as error:
            raise errors.StorageUnreadable('whether it has %.80r' % name, error)

    def _ask(self, call, name):
        try:
            return has(self._source, name)
        finally:
            del self._calls[call]


def reconcile(name, source, writer):
    """Make the index contain a repository if, and only if, the storage has it, even if the storage
    changes meanwhile. Return after three such changes, because the registry announces later ones.

    :param source: a TimedSource.
    :param writer: a Writer.

    Costs two calls of the storage, and a Writer.add or Writer.remove.

    :raises StorageUnreadable: the storage failed, or a call timed out.
    :raises: as Writer.add."""
    for _ in range(_ATTEMPTS):
        is_there = source.has(name)
        writer.set(name, is_there)
        if source.has(name) == is_there:
            return
