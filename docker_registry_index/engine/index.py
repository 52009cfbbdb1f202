"""SearchIndex: the one door through which both hosts use the engine."""

from __future__ import unicode_literals

import logging

from . import schema
from .changes import Changes
from .client import Client
from .loader import Loader
from .search import Search
from .startup import Startup

__all__ = ['SearchIndex']

logger = logging.getLogger(__name__)


class SearchIndex(object):
    """The search index of one registry, kept in three DynamoDB tables.

    Making one costs no request. It may be used by several threads, and any
    number of processes may use the same tables.

    :param settings: a Settings.
    """

    def __init__(self, settings):
        self.settings = settings
        self.client = Client(settings)
        self._tables = schema.tables(settings)
        self._changes = Changes(self.client, self._tables)
        self._search = Search(self.client, self._tables)

    def ensure_ready(self, source):
        """Create what is missing and load the repositories if that is new.

        :param source: a function that returns an iterable of (name,
            description or None); called only when there is need to load.
        :returns: True when the index is ready, False when another process
            was still loading it after 30 seconds.
        :raises NewerDatabase, ForeignDatabase: nothing was changed.
        :raises TableError, RequestFailed: not ready; call again.

        Costs one BatchGetItem of three read units when the index is ready.
        """
        return Startup(
            self.client, self._tables,
            lambda beat: self.load(source, beat)).ensure_ready()

    def load(self, source, beat=lambda: None):
        """Make every repository of ``source`` be in the index.

        Only the difference is written. See Loader.load for what it costs.

        :param source: as for ensure_ready.
        :param beat: called often while working; raises to stop the load.
        :returns: a LoadReport.
        """
        report = Loader(self.client, self._tables, beat).load(source)
        logger.info(
            'loaded the search index in %.1f s: %d repositories added, %d '
            'rows without postings taken over, %d postings without a row '
            'removed, %d repositories unchanged, %d failed', report.seconds,
            report.added, report.adopted, report.removed, report.unchanged,
            report.failed)
        return report

    def search(self, term, limit=None):
        """The repositories matching ``term``, best first.

        :param term: text; docs/search.md says what it means.
        :param limit: at most so many, 1 or more; None (the default) for all.
        :returns: a list of Result(name, description).
        :raises InvalidArgument: a limit that is none.
        :raises RequestFailed: nothing is returned rather than a part.

        Costs one Query of half a read unit when enough words start with
        the term, else three in two waits.
        """
        return self._search.search(term, limit)

    def names(self, after=None, limit=None):
        """Names in lexical order, those after ``after``: a list.

        Costs one Query for each megabyte.
        """
        return self._search.names(after, limit)

    def add(self, name, description=None):
        """Have ``name`` in the index; return whether anything changed.

        :param description: None keeps the one there is, '' takes it out.
        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.
            (Of a name too long for one transaction something may have been
            begun, which the next change or load of it ends.)

        Costs one GetItem; and one TransactWriteItems when something changes.
        """
        return self._changes.add(name, description)

    def remove(self, name):
        """Have ``name`` not in the index; return whether it was there.

        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.

        Costs one GetItem and one TransactWriteItems.
        """
        return self._changes.remove(name)
