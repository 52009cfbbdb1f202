"""SearchIndex: the one door through which both hosts use the engine."""

from __future__ import unicode_literals

import logging

from . import errors, formats, schema, text
from ._compat import sleep
from .absent import EmptyWhereMissing
from .background import Background
from .changes import Changes
from .check import Checker
from .client import Client
from .loader import Loader
from .search import Search
from .source import as_source
from .startup import Startup
from .status import Status

__all__ = ['SearchIndex']

logger = logging.getLogger(__name__)


class SearchIndex(object):
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
        self.settings = settings
        self.client = Client(settings, at_once)
        self._tables = schema.tables(settings)
        self._format = None
        self._read(formats.CURRENT)
        self._background = None

    def start(self, source, wait=None):
        """Make the index ready, in the background if that takes long.

        :param source: a Source, or a function that returns (name,
            description or None) pairs.
        :param wait: seconds to wait for a load at most; by default the
            setting startup_wait. Whether one is needed is waited for as long
            as a request may take, at most; with 0, nothing is, and the
            first searches wait for a load instead.
        :returns: whether it is known to be ready. If not, searches find what
            is there already, and it will be.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.

        Costs one BatchGetItem when it is ready, and one in a minute.
        """
        self._background = Background(self, as_source(source), self._startup)
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

    def close(self):
        """End what goes on in the background: changes that wait are made, a
        load under way gives its lease back. Takes some seconds at most."""
        if self._background:
            self._background.close()

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

    def search(self, term, limit=None):
        """The repositories matching ``term``, best first.

        :param term: text; docs/search.md says what it means.
        :param limit: at most so many, 1 or more; None (the default) for all.
        :returns: a list of Result(name, description).
        :raises InvalidArgument: a limit that is none.
        :raises RequestFailed: nothing is returned rather than a part.
        :raises NewerDatabase, ForeignDatabase: likewise, after a start.

        Costs one Query of half a read unit when enough words start with
        the term, else three in two waits.
        """
        self._check_usable()
        try:
            return self._search.search(term, limit)
        except errors.MissingTable:
            if self._background:
                self._background.upkeep.look()
            raise

    def names(self, after=None, limit=None):
        """A list of names in lexical order, those after ``after``."""
        self._check_usable()
        return self._search.names(after, limit)

    def add(self, name, description=None):
        """Have ``name`` in the index; return whether anything changed.

        :param description: None keeps the one there is, '' takes it out.
        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.
            (Of a name too long for one transaction something may have been
            begun, which the next change or load of it ends.)

        See Changes.add for what it costs.
        """
        return self._changes.add(name, description)

    def remove(self, name):
        """Have ``name`` not in the index; return whether it was there.

        :raises: as add. See Changes.remove for what it costs.
        """
        return self._changes.remove(name)

    def _startup(self, load, sleep=sleep):
        return Startup(self.client, self._tables, self.settings, load, sleep,
                       note=self._note)

    def _note(self, mark):
        self._read(formats.read_by(mark and mark.format))

    def _read(self, format):
        """Read a format from now on, and keep its postings right."""
        if format != self._format:
            self._changes = Changes(self.client, self._tables, read=format)
            self._search = Search(self.client, self._tables, format)
            self._format = format

    def _check_usable(self):
        if self._background:
            self._background.check_usable()
