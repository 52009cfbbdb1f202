"""SearchIndex: the one door through which both hosts use the engine."""

from __future__ import unicode_literals

import logging

from .store import formats, text
from ._compat import sleep
from .store.absent import EmptyWhereMissing
from .access import Access
from .lifecycle.background import Background
from .verify.check import Checker
from .sync.loader import Loader
from .sync.storage import as_source
from .lifecycle.start import Startup
from .verify.status import Status

__all__ = ['SearchIndex']

logger = logging.getLogger(__name__)


class SearchIndex(Access):
    """The search index of one registry, kept in three DynamoDB tables.

    Making one costs no request. It may be used by several threads, and any
    number of processes may use the same tables.

    A host that lives on calls ``start`` once, ``follow`` for every push and
    delete, and ``close``. The other methods do one thing and raise.

    It is of no use in a process that is forked later, which needs its own.

    :param settings: a Settings.
    :param at_once: as of Client: whether to look for credentials now.
    """

    def __init__(self, settings, at_once=True):
        super(SearchIndex, self).__init__(settings, at_once)
        self._background = self._mark = None

    def start(self, source, wait=None, progress=None):
        """Make the index ready, in the background if that takes long.

        :param source: a Source, or a function that returns (name,
            description or None) pairs.
        :param wait: seconds to wait for a load at most; by default the
            setting startup_wait. Whether one is needed is waited for as long
            as a request may take, at most; with 0, nothing is, and the
            first searches wait for a load instead.
        :param progress: of loads, called now and then with (done, total).
        :returns: whether it is known to be ready. If not, searches find what
            is there already, and it will be.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.

        Costs one BatchGetItem when it is ready, and one in a minute.
        """
        self._background = Background(self, as_source(source), self._startup,
                                      progress)
        return self._background.begin(
            self.settings.startup_wait if wait is None else wait)

    def follow(self, name, is_there):
        """Have the index follow a push or a delete in the storage.

        Returns after ``push_wait`` seconds at most. What is not done by then,
        or fails, is done later; it is made sure with the storage then.

        :returns: whether it is done.
        :raises InvalidName: the index cannot hold such a name.
        """
        return self._background.follow(text.check_name(name), is_there)

    def sync_soon(self):
        """Have the started index synced with the storage soon, in the
        background: something may have been missed. Costs a load; those that
        are asked for meanwhile are one."""
        if self._background:
            self._background.upkeep.sync_soon()

    def close(self):
        """End what goes on in the background: changes that wait are made, a
        load under way gives its lease back. Takes some seconds at most."""
        if self._background:
            self._background.close()

    @property
    def ready(self):
        """Whether the started index was ready when last looked at; costs
        nothing."""
        return (self._background is not None and
                self._background.upkeep.is_ready)

    @property
    def complete(self):
        """The same, and whether any load of it was complete."""
        return self.ready and self._mark is not None and (
            self._mark.synced is not None)

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
        """See Loader.difference; tables that are missing count as empty."""
        return Loader(EmptyWhereMissing(self.client), self._tables,
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

    def _startup(self, load, sleep=sleep):
        return Startup(self.client, self._tables, self.settings, load, sleep,
                       note=self._note)

    def _note(self, mark):
        self._mark = mark
        self._read(formats.read_by(mark and mark.format))

    def _look(self):
        if self._background:
            self._background.upkeep.look()

    def _check_usable(self):
        if self._background:
            self._background.check_usable()
