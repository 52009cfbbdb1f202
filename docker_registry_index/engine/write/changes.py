"""Changes: what makes a repository be in the index, or not.

What a push, a delete and a sync want; how it is written is writer.py's.
"""

from __future__ import unicode_literals

import time
import uuid

from .. import errors
from ..store import text
from .._compat import sleep
from .writer import Writer

__all__ = ['Changes']

#: Seconds a tombstone is kept: longer than any load takes.
TOMBSTONE_SECONDS = 7 * 24 * 3600

#: Seconds after which a push of what is there is noted again.
TOUCH_SECONDS = 1800
#: Seconds after a push in which no sync removes the repository: longer than
#: it can take from its announcement to the storage.
REST_SECONDS = 3600


class Changes(object):
    """The changes of one index.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param read: the Format that searches read; the current one by default.
        Changes are made in that one too, so that searches stay right until a
        load has brought the index into the current format. That costs two
        GetItem and, where something changes, a TransactWriteItems more.
    """

    def __init__(self, client, tables, sleep=sleep, clock=time.time,
                 read=None):
        self._client = client
        self._clock = clock
        self.writer = Writer(client, tables, sleep, clock)
        self.planner = self.writer.planner
        self._read = None
        if read not in (None, self.writer.format):
            self._read = Writer(client, tables, sleep, clock, read)

    def add(self, name, description=None):
        """Have ``name`` in the index; return whether anything changed.

        One GetItem (a read unit) when it is there already, and an UpdateItem
        (a write unit) when that was not noted for half an hour; else one
        TransactWriteItems more, of two write units a posting.

        :param description: None keeps the one there is, '' takes it out.
        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.
        """
        name = text.check_name(name)
        if description is not None:
            description = text.clean_description(description)

        def plan(known):
            if known.is_current and description in (None, known.witness) and (
                    self._touch(name, known.row)):
                return None
            return self.planner.put(name, description, known)

        changed = self.writer.change(name, plan)
        self._follow(name)
        return changed

    def remove(self, name):
        """Have ``name`` not in the index; return whether it was there.

        One GetItem and one TransactWriteItems. A tombstone is left in any
        case, so that a load under way cannot bring the name back.

        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed.
        """
        name = text.check_name(name)
        tombstone = self._tombstone(name)
        was_there = []

        def plan(known):
            was_there[:] = [known.row is not None]
            return self.planner.delete(name, known, tombstone)

        self.writer.change(name, plan)
        self._follow(name)
        return was_there[0]

    def remove_if(self, name, is_gone):
        """Remove a repository that the storage has no more.

        Nothing is removed that is touched meanwhile, or was within the last
        hour: a push is announced before the storage has it.

        :param is_gone: a function that asks the storage; called after the
            row was read.
        :returns: removed, recent or unchanged.
        :raises ChangeConflict, RequestFailed: nothing changed.
        :raises: what is_gone raises.

        Two GetItem and one TransactWriteItems.
        """
        outcome = []

        def plan(known):
            outcome[:] = ['unchanged']
            if known.row is None:
                return None
            if self.is_recent(known.row):
                outcome[:] = ['recent']
                return None
            if not is_gone():
                return None
            outcome[:] = ['removed']
            return self.planner.delete(name, known, self._tombstone(name))

        self.writer.change(name, plan, sure=True)
        return outcome[0]

    def is_recent(self, row):
        """Whether a row was touched within the last hour; what is to come is
        no more to be believed than what is long ago."""
        return abs(self._clock() - row.touched) < REST_SECONDS

    def _follow(self, name):
        """Have the postings that searches read follow the row."""
        if self._read:
            self._read.match(name)

    def _tombstone(self, name):
        return self.planner.tombstone(
            name, uuid.uuid4().hex, int(self._clock()) + TOMBSTONE_SECONDS)

    def _touch(self, name, row):
        """Note that a repository that is there was pushed, unless that was
        noted lately; False when the row has changed meanwhile."""
        if abs(self._clock() - row.touched) < TOUCH_SECONDS:
            return True
        try:
            self._client.call('update_item', **self.planner.touch(name, row))
        except errors.RequestFailed as error:
            # Another's transaction on the row may be under way, too.
            if error.code not in ('ConditionalCheckFailedException',
                                  'TransactionConflictException'):
                raise
            return False
        return True
