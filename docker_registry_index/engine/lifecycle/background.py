"""Background: an index kept right as long as a process lives."""

from __future__ import unicode_literals

import logging
import os

from .. import errors
from .._compat import monotonic, sleep
from ..write.change_queue import Backlog
from ..store.client import one_attempt, slowest
from ..sync.storage import has
from .maintenance import Upkeep
from ..waiting import Silence, in_time

__all__ = ['Background']

logger = logging.getLogger(__name__)

#: Seconds for the changes that wait when a process ends, and for a load.
_FLUSH = 5
#: Seconds in which the storage must say whether it has a repository, and how
#: many such questions may be left without an answer.
_ANSWER, _UNANSWERED = 10, 8


class Background(object):
    """The upkeep of an index, and the changes that it follows.

    :param index: a SearchIndex.
    :param source: a Source.
    :param startup: a function of a load and a sleep, as of Startup, that
        returns a Startup.
    :param tell: of loads, called now and then with (done, total).
    """

    def __init__(self, index, source, startup, tell=None):
        self._index = index
        self._source = source
        self._tell = tell
        self._process = os.getpid()
        settings = index.settings
        # The answer of a request that fails, and says why, is waited for.
        self._longest_look = slowest(settings) + 1
        self._attempt = one_attempt(settings)
        self._patience = settings.startup_wait
        self._patient_until = None
        # When each question was asked that has no answer yet.
        self._asked = {}
        self.upkeep = Upkeep(startup(self._load, self._sleep),
                             settings.sync_interval)
        self.backlog = Backlog(
            self._change, self._settle, settings.push_wait,
            self.upkeep.look, self.upkeep.sync_soon)

    def begin(self, seconds):
        """See SearchIndex.start."""
        if not seconds:
            # Searches wait instead, rather than find a part.
            self._patient_until = monotonic() + self._patience
        try:
            self.upkeep.begin()
            is_ready = self.upkeep.wait(
                seconds, min(seconds, self._longest_look))
        except Exception:
            self.upkeep.stop(0)
            raise
        if seconds and self.upkeep.is_loading:
            logger.warning('the search index is still being loaded after %d '
                           'seconds; serving what is there already', seconds)
        return is_ready

    def follow(self, name, is_there):
        """See SearchIndex.follow."""
        self.upkeep.begin()
        return self.backlog.follow(name, is_there)

    def check_usable(self):
        """Have searches read what is there, in the format that is whole.

        Waits for the first look at the index, for one attempt at most; and
        for a load as a start does, where that has not waited.

        :raises NewerDatabase, ForeignDatabase: an answer could be wrong.
        """
        self.upkeep.begin()
        seconds = 0
        if self._patient_until is not None:
            seconds = max(0, self._patient_until - monotonic())
        self.upkeep.wait(seconds, self._attempt)

    def close(self):
        """See SearchIndex.close."""
        if self._process == os.getpid():
            self.backlog.close(_FLUSH)
            self.upkeep.stop(_FLUSH)

    def _load(self, beat, forget):
        def check_and_beat():
            self.upkeep.check()
            beat()

        return self._index.load(self._source, check_and_beat, self._tell,
                                forget)

    def _sleep(self, seconds):
        self.upkeep.check()
        sleep(seconds)

    def _change(self, name, is_there):
        (self._index.add if is_there else self._index.remove)(name)

    def _settle(self, name):
        """Have the index say what the storage says, also when that changes
        meanwhile. Who changes it later, tells later."""
        for _ in range(3):
            is_there = self._has(name)
            self._change(name, is_there)
            if self._has(name) == is_there:
                return

    def _has(self, name):
        """Whether the storage has a repository; one that hangs keeps only
        so many threads."""
        question, now = object(), monotonic()
        if sum(now - since > _ANSWER for since in list(
                self._asked.values())) >= _UNANSWERED:
            raise errors.StorageUnreadable('whether it has %.80r' % name,
                                           Silence(_ANSWER))

        def ask():
            try:
                return has(self._source, name)
            finally:
                del self._asked[question]

        self._asked[question] = now
        try:
            return in_time(ask, lambda: None, _ANSWER)
        except Silence as silence:
            raise errors.StorageUnreadable('whether it has %.80r' % name,
                                           silence)
