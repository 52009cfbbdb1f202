"""Access: the repositories of an index, read and written one by one."""

from __future__ import unicode_literals

import contextlib

from . import errors
from .store import formats, schema
from .write.changes import Changes
from .store.client import Client
from .search.search import Search
from .lifecycle.start import lease_of
from .sync.description_queue import Undescribed

__all__ = ['Access']


class Access(object):
    """Access to one index, whoever made it.

    Making one costs no request.

    :param settings: a Settings.
    :param at_once: as of Client: whether to look for credentials now.
    """

    def __init__(self, settings, at_once=True):
        self.settings = settings
        self.client = Client(settings, at_once)
        self._tables = schema.tables(settings)
        self._format = None
        self._read(formats.CURRENT)
        #: The repositories whose descriptions are still to be read.
        self.undescribed = Undescribed(self.client, self._tables)

    def search(self, term, limit=None, skip=0):
        """The repositories matching ``term``, best first.

        :param term: text; docs/search.md says what it means.
        :param limit: at most so many, 1 or more; None (the default) for all.
        :param skip: of those that a greater limit keeps, leave out so many:
            pages, the first of 25 being (25, 0), the next (25, 25).
        :returns: a list of Result(name, description).
        :raises InvalidArgument: a limit that is none.
        :raises RequestFailed: nothing is returned rather than a part.
        :raises NewerDatabase, ForeignDatabase: likewise, after a start.

        Costs one Query of half a read unit when enough words start with
        the term, else three in two waits.
        """
        self._check_usable()
        with self._missing_tables_seen():
            return self._search.search(term, limit, skip)

    def names(self, after=None, limit=None):
        """A list of names in lexical order, those after ``after``."""
        self._check_usable()
        with self._missing_tables_seen():
            return self._search.names(after, limit)

    def catalog(self, after=None, limit=None):
        """A list of names as the catalog of a registry has them: in its
        order, those after ``after``."""
        self._check_usable()
        with self._missing_tables_seen():
            return self._search.catalog(after, limit)

    def add(self, name, description=None):
        """Have ``name`` in the index; return whether anything changed.

        :param description: None keeps the one there is, '' takes it out.
        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.
            (Of a name too long for one transaction something may have been
            begun, which the next change or load of it ends.)

        See Changes.add for what it costs.
        """
        with self._missing_tables_seen():
            return self._changes.add(name, description)

    def remove(self, name):
        """Have ``name`` not in the index; return whether it was there.

        :raises: as add. See Changes.remove for what it costs.
        """
        with self._missing_tables_seen():
            return self._changes.remove(name)

    def lease(self, kind):
        """A Lease of another kind than that on loading, not held."""
        return lease_of(self.client, self._tables, self.settings, kind=kind)

    def _check_usable(self):
        """Called before a search; raises where it could not be right."""

    def _look(self):
        """Told that a table is missing."""

    @contextlib.contextmanager
    def _missing_tables_seen(self):
        """What goes on in the background makes them anew."""
        try:
            yield
        except errors.MissingTable:
            self._look()
            raise

    def _read(self, format):
        """Read a format from now on, and keep its postings right."""
        if format != self._format:
            self._changes = Changes(self.client, self._tables, read=format)
            self._search = Search(self.client, self._tables, format)
            self._format = format
