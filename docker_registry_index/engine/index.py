"""SearchIndex: the one door through which both hosts use the engine."""

from __future__ import unicode_literals

import logging
import time

from . import formats, text
from .access import Access
from .backlog import Backlog
from .check import Checker
from .loader import Loader
from .source import as_source, has
from .startup import Startup
from .status import Status
from .upkeep import Upkeep

__all__ = ['SearchIndex']

logger = logging.getLogger(__name__)

#: Seconds for the changes that wait when a process ends.
_FLUSH = 5


class SearchIndex(Access):
    """The search index of one registry, kept in three DynamoDB tables.

    Making one costs no request. It may be used by several threads, and any
    number of processes may use the same tables.

    A host that lives on calls ``start`` once, ``follow`` for every push and
    delete, and ``close``. The other methods do one thing and raise.

    :param settings: a Settings.
    """

    def __init__(self, settings):
        super(SearchIndex, self).__init__(settings)
        self._upkeep = self._backlog = self._source = self._tell = None

    def start(self, source, wait=None, progress=None):
        """Make the index ready, in the background if that takes long.

        :param source: a Source, or a function that returns (name,
            description or None) pairs.
        :param wait: seconds to wait for a load at most; by default the
            setting startup_wait.
        :param progress: of loads, called now and then with (done, total).
        :returns: whether it is ready. If not, searches find what is there
            already, and it will be.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.

        Costs one BatchGetItem when it is ready.
        """
        self._source, self._tell = as_source(source), progress
        startup = self._startup(self._load, self._sleep)
        self._upkeep = Upkeep(startup, self.settings.sync_interval)
        self._backlog = Backlog(
            self._change, self._settle, self.settings.push_wait,
            self._upkeep.look, self._upkeep.sync_soon)
        if not self._upkeep.begin():
            return False
        wait = self.settings.startup_wait if wait is None else wait
        is_ready = self._upkeep.wait(wait)
        if not is_ready:
            logger.warning('the search index is still being loaded after %d '
                           'seconds; serving what is there already', wait)
        return is_ready

    def follow(self, name, is_there):
        """Have the index follow a push or a delete in the storage.

        Returns after ``push_wait`` seconds at most. What is not done by then,
        or fails, is done later; it is made sure with the storage then.

        :returns: whether it is done.
        :raises InvalidName: the index cannot hold such a name.
        """
        return self._backlog.follow(text.check_name(name), is_there)

    def close(self):
        """End what goes on in the background: changes that wait are made, a
        load under way gives its lease back. Takes some seconds at most."""
        if self._backlog:
            self._backlog.close(_FLUSH)
            self._upkeep.stop(_FLUSH)

    @property
    def ready(self):
        """Whether the started index was ready when last looked at; costs
        nothing."""
        return self._upkeep is not None and self._upkeep.is_ready

    def ensure_ready(self, source):
        """Create what is missing and load the repositories if that is new.

        :param source: as for start; asked only when there is need to load.
        :returns: True when the index is ready, False when another process
            was still loading it after ``startup_wait`` seconds.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: not ready; call again.
        :raises StorageUnreadable: nothing of the storage can be read.

        Costs one BatchGetItem when it is.
        """
        source = as_source(source)
        is_ready = self._startup(
            lambda beat, forget: self.load(source, beat, forget=forget)
        ).ensure_ready()
        if not is_ready:
            logger.warning('another process is still loading the search '
                           'index; serving what is there already')
        return is_ready

    def sync(self, source, progress=None):
        """Make the index equal to the storage, now, under the lease.

        :param progress: called now and then with (done, total).
        :returns: a LoadReport.
        :raises LeaseTaken: another process is loading.
        :raises: as ensure_ready.
        """
        source = as_source(source)
        return self._startup(
            lambda beat, forget: self.load(source, beat, progress, forget)
        ).sync()

    def load(self, source, beat=lambda: None, progress=None, forget=()):
        """Make the index equal to the storage, without looking at tables,
        lease and mark. See Loader.load.

        :param source: as for start.
        :param beat: called often while working; raises to stop the load.
        :param progress: called now and then with (done, total).
        :param forget: the Formats whose postings nobody reads any more.
        :returns: a LoadReport.
        """
        report = Loader(self.client, self._tables, as_source(source), beat,
                        progress, forget=forget).load()
        log = logger.info if report.complete else logger.error
        log('loaded the search index in %.1f s: %s', report.seconds,
            report.summary)
        return report

    def difference(self, source):
        """See Loader.difference."""
        return Loader(self.client, self._tables,
                      as_source(source)).difference()

    def is_ready(self):
        """Whether tables, mark and format are there. One BatchGetItem."""
        return self._startup(None).is_ready()

    def checker(self, source=None, progress=None):
        """A Checker of this index: its check() yields what is wrong.

        :param source: as for start; None to leave the storage out.
        :param progress: called now and then with (done, total), the latter 0
            while it is not known.
        """
        source = None if source is None else as_source(source)
        return Checker(self.client, self._tables, source, progress,
                       format=self._format)

    def status(self, source=None):
        """A Status of this index; ``source`` as for checker."""
        source = None if source is None else as_source(source)
        return Status(self.client, self._tables, source,
                      format=self._format)

    def _startup(self, load, sleep=time.sleep):
        return Startup(self.client, self._tables, self.settings, load, sleep,
                       note=self._note)

    def _look(self):
        if self._upkeep:
            self._upkeep.look()

    def _note(self, mark):
        self._read(formats.read_by(mark and mark.format))

    def _load(self, beat, forget):
        def check_and_beat():
            self._upkeep.check()
            beat()

        return self.load(self._source, check_and_beat, self._tell, forget)

    def _sleep(self, seconds):
        self._upkeep.check()
        time.sleep(seconds)

    def _change(self, name, is_there):
        (self.add if is_there else self.remove)(name)

    def _settle(self, name):
        """Have the index say what the storage says, also when that changes
        meanwhile. Who changes it later, tells later."""
        for _ in range(3):
            is_there = has(self._source, name)
            self._change(name, is_there)
            if has(self._source, name) == is_there:
                return
