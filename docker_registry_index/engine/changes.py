"""Changes: what makes a repository be in the index, or not.

Each is planned from what was read, written on the condition that it still
stands, and planned again when it does not. So any number of writers, those
of release 0.1.0 among them, leave the postings equal to the row.
"""

from __future__ import unicode_literals

import random
import time
import uuid

from . import errors, parts, postings, text
from .known import Known, Row
from .plan import Planner

__all__ = ['Changes']

#: How often a change is planned anew when others change the same repository.
ATTEMPTS = 8

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
    """

    def __init__(self, client, tables, sleep=time.sleep, clock=time.time):
        self._client = client
        self._tables = tables
        self._sleep = sleep
        self._clock = clock
        self.planner = Planner(tables, clock)

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

        return self.change(name, plan)

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

        self.change(name, plan)
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

        self.change(name, plan, sure=True)
        return outcome[0]

    def is_recent(self, row):
        """Whether a row was touched within the last hour; what is to come is
        no more to be believed than what is long ago."""
        return abs(self._clock() - row.touched) < REST_SECONDS

    def change(self, name, plan, sure=False):
        """Plan and write until nobody is in the way, eight times at most.

        :param plan: a function of a Known that returns a Change, or None
            when there is nothing to do.
        :param sure: read the witness at once instead of guessing it.
        :returns: whether anything changed.
        :raises ChangeConflict, RequestFailed: nothing changed.
        """
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(random.uniform(0, 0.01 * 2 ** attempt))
            planned = plan(self._read(name, sure or attempt > 0))
            if planned is None:
                return False
            refusal = self._write(planned)
            if refusal is None:
                return True
        if refusal.lost_race:
            raise errors.ChangeConflict(name, ATTEMPTS)
        raise refusal

    def write_together(self, changes):
        """Make several small changes in one transaction; False if refused.

        One TransactWriteItems.
        """
        try:
            return None is self._transact(
                [action for change in changes for action in change.actions])
        except errors.RequestFailed as error:
            if error.invalid:
                return False
            raise

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

    def _read(self, name, sure):
        """Read the row; the witness only when asked to be sure, because
        the conditions of the change find out a wrong guess."""
        row = Row.of(self._get('repository', {'name': {'S': name}}))
        if sure or (row is not None and row.writing):
            item = self._get('search', {'gram': {'S': postings.LISTED},
                                        'suffix': {'S': name}})
            witness = None if item is None else item.get('d', {}).get('S', '')
        elif row is None or row.format is None:
            witness = None
        else:
            witness = row.indexed
        return Known(row, witness)

    def _get(self, table, key):
        return self._client.call(
            'get_item', TableName=self._tables[table].name, Key=key,
            ConsistentRead=True).get('Item')

    def _write(self, change):
        """Make ``change``; return the refusal, or None when it is made."""
        if parts.is_short(change):
            return self._transact(change.actions)
        for actions in parts.transactions(self.planner, change,
                                          uuid.uuid4().hex):
            refusal = self._transact(actions)
            if refusal is not None:
                return refusal
        return None

    def _transact(self, actions):
        try:
            self._client.call('transact_write_items', TransactItems=actions)
        except errors.TransactionCancelled as error:
            if error.invalid:
                raise
            return error
        return None
