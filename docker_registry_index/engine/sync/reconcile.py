"""Reconcile: makes one repository of the index equal to the storage."""

from __future__ import unicode_literals

from .. import errors
from .._compat import monotonic
from ..concurrency import TimedOut, call_with_timeout
from .source import has

__all__ = ['StorageReconciler', 'TimedSource']

#: How often a repository is written while the storage changes.
_ATTEMPTS = 3


class TimedSource(object):
    """Asks a Source if it has a repository, and waits for the answer only so long.

    A storage that hangs raises nothing, and each question keeps a thread. So once too many
    questions have timed out, no further one is asked until one of them is answered.

    :param source: a Source.
    :param seconds: the time limit of a question.
    :param unanswered: how many questions may time out.
    :param heartbeat: called at least once a second meanwhile; raises to stop."""

    def __init__(self, source, seconds, unanswered=1, heartbeat=lambda: None):
        self._source = source
        self._seconds = seconds
        self._unanswered = unanswered
        self._heartbeat = heartbeat
        # The questions without an answer: when each was asked.
        self._asked = {}

    def has(self, name):
        """Return True if the storage has a repository now.

        :raises StorageUnreadable: the storage failed, or the question timed out."""
        question, now = object(), monotonic()
        # Not the whole time: the clock of Python 2.7 ticks only a hundred times a second.
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
    """Makes the index contain a repository exactly if the storage has it.

    :param source: a TimedSource.
    :param writer: a Writer."""

    def __init__(self, source, writer):
        self._source = source
        self._writer = writer

    def reconcile(self, name):
        """Make the index agree with the storage, also if the storage changes meanwhile. After three
        changes it stops: the registry announces later ones.

        Costs two questions to the storage, and a Writer.add or Writer.remove.

        :raises StorageUnreadable: the storage failed, or a question timed out.
        :raises: as Writer.add."""
        for _ in range(_ATTEMPTS):
            is_there = self._source.has(name)
            self._writer.set(name, is_there)
            if self._source.has(name) == is_there:
                return
