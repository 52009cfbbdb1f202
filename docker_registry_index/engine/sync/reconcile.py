"""Reconcile: one repository of the index is made equal to the storage."""

from __future__ import unicode_literals

from .. import errors
from .._compat import monotonic
from ..concurrency import TimedOut, call_with_timeout
from .source import has

__all__ = ['StorageReconciler', 'TimedSource']

#: How often the storage is asked where it changes meanwhile.
_ATTEMPTS = 3


class TimedSource(object):
    """Asks a Source whether it has a repository, and waits only so long.

    A storage that hangs raises nothing, and each question keeps a thread: once so many have had no
    answer in time, no further one is asked until one of them is answered.

    :param source: a Source.
    :param seconds: to wait for an answer.
    :param unanswered: how many questions may be left without one.
    :param heartbeat: called at least once a second meanwhile; raises to stop."""

    def __init__(self, source, seconds, unanswered=1, heartbeat=lambda: None):
        self._source = source
        self._seconds = seconds
        self._unanswered = unanswered
        self._heartbeat = heartbeat
        # When each question was asked that has no answer yet.
        self._asked = {}

    def has(self, name):
        """Return whether the storage has a repository now.

        :raises StorageUnreadable: that is unknown, or there was no answer in time."""
        question, now = object(), monotonic()
        # Less than all of the time: the clock of Python 2.7 ticks a hundred times a second.
        late = sum(now - since > 0.9 * self._seconds for since in list(self._asked.values()))
        try:
            if late >= self._unanswered:
                raise TimedOut(self._seconds)
            self._asked[question] = now
            return call_with_timeout(lambda: self._ask(question, name), self._seconds,
                                     self._heartbeat)
        except TimedOut as error:
            raise errors.StorageUnreadable('whether it has %.80r' % name, error)

    def _ask(self, question, name):
        try:
            return has(self._source, name)
        finally:
            del self._asked[question]


class StorageReconciler(object):
    """Makes the index contain a repository if the storage has it, and only then.

    :param source: a TimedSource.
    :param writer: a Writer."""

    def __init__(self, source, writer):
        self._source = source
        self._writer = writer

    def reconcile(self, name):
        """Make the index agree with the storage, also when that changes meanwhile. A later change
        has its own announcement.

        Two questions to the storage; see Writer.add and Writer.remove for the rest.

        :raises StorageUnreadable: the storage does not answer, or not in time.
        :raises: as Writer.add."""
        for _ in range(_ATTEMPTS):
            is_there = self._source.has(name)
            self._writer.set(name, is_there)
            if self._source.has(name) == is_there:
                return
