"""Removal: what a load takes out, because the storage has it no more."""

from __future__ import unicode_literals

import logging

from .. import errors
from .storage import has
from ..waiting import PATIENCE, Silence, in_time

__all__ = ['Removal']

logger = logging.getLogger(__name__)


class Removal(object):
    """The removals of one load.

    :param changes: a Changes.
    :param source: a Source.
    :param beat: called often while working; raises to stop.
    :param patience: seconds in which the storage must answer.
    """

    def __init__(self, changes, source, beat, patience=PATIENCE):
        self._changes = changes
        self._source = source
        self._beat = beat
        self._patience = patience
        # Not asked again, once nothing came.
        self._silence = None

    def is_allowed(self, ledger, unreadable):
        """Whether to believe the listing in what it has not.

        Of an unreadable namespace one cannot tell, nor in which namespace the
        storage had what it lists no more; and a storage without any
        repository is more often the wrong one than one that was emptied.

        :param ledger: a Ledger with everything in it.
        :param unreadable: the namespaces that could not be read.
        """
        if unreadable:
            logger.error('nothing is removed from the search index, because '
                         'a part of the storage could not be read')
            return False
        rows = ledger.count('rows')
        if rows and not ledger.count():
            logger.error('the storage lists no repository at all, and the '
                         'search index has %d: nothing is removed; look at '
                         'the settings of the storage, and if they are '
                         'right, delete the tables', rows)
            return False
        return True

    def remove(self, entry, is_allowed):
        """Remove what the storage does not list, if that still stands;
        return what it counts as."""
        return self._if_allowed(entry, is_allowed, self._remove_row)

    def judge(self, entry, is_allowed):
        """What remove() would return; nothing is changed."""
        return self._if_allowed(entry, is_allowed, self._is_gone)

    def _if_allowed(self, entry, is_allowed, remove):
        if self._changes.is_recent(entry.known.row):
            return 'recent'
        if entry.name in self._source.doubtful():
            return 'unchanged'
        if not is_allowed:
            return 'failed'
        try:
            return remove(entry)
        except (errors.StorageUnreadable, errors.ChangeConflict) as error:
            problem = error
        except errors.RequestFailed as error:
            if not error.invalid:
                raise
            problem = error
        logger.error('not removed from the search index: %.80r: %s',
                     entry.name, problem)
        return 'failed'

    def _remove_row(self, entry):
        return self._changes.remove_if(
            entry.name, lambda: self._is_gone(entry) == 'removed')

    def _is_gone(self, entry):
        return 'unchanged' if self.is_there(entry.name) else 'removed'

    def is_there(self, name):
        """Ask the storage once more.

        :raises StorageUnreadable: that cannot be told, or not in time.
        """
        try:
            if self._silence:
                raise self._silence
            return in_time(lambda: has(self._source, name),
                           self._beat, self._patience)
        except Silence as silence:
            self._silence = silence
            raise errors.StorageUnreadable('whether it has %.80r' % name,
                                           silence)
