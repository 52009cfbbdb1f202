"""Writer: makes a change of one repository, whatever others do meanwhile.

Each change is planned from what was read, written on the condition that it
still stands, and planned again when it does not. So any number of writers,
those of release 0.1.0 among them, leave the postings equal to the row.
"""

from __future__ import unicode_literals

import random
import time
import uuid

from .. import errors
from . import transaction_batches
from ..store import formats
from .._compat import sleep
from ..store.repository_state import Known, NOTHING, Row
from .plan import Planner

__all__ = ['Writer']

#: How often a change is planned anew when others change the same repository.
ATTEMPTS = 8


class Writer(object):
    """Writes one index, in one format.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param clock: gives Unix seconds, for the planner.
    :param format: a Format; the current one by default.
    """

    def __init__(self, client, tables, sleep=sleep, clock=time.time,
                 format=None):
        self._client = client
        self._tables = tables
        self._sleep = sleep
        self._clock = clock
        self.format = format or formats.CURRENT
        self.planner = Planner(tables, clock, self.format)

    def change(self, name, plan, sure=False):
        """Plan and write until nobody is in the way, eight times at most.

        :param plan: a function of a Known that returns a Change, or None
            when there is nothing to do.
        :param sure: read the witness at once instead of guessing it.
        :returns: whether anything changed.
        :raises ChangeConflict, RequestFailed: nothing changed.
        """
        begun, refusal = frozenset(), None
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(random.uniform(0, 0.01 * 2 ** attempt))
            known = self._read(name, sure or attempt > 0)
            planned = plan(known._replace(begun=begun))
            if planned is None:
                return False
            others = _others_of(planned)
            if others:
                # With the row would go what it says of these.
                for other in others:
                    self.beside(other).withdraw(name)
                continue
            refusal = self._write(planned)
            if refusal is None:
                return True
            # Who takes the row away, takes our note of them with it.
            begun |= transaction_batches.descriptions(planned)
        if refusal is None or refusal.lost_race:
            raise errors.ChangeConflict(name, ATTEMPTS)
        raise refusal

    def beside(self, format):
        """The Writer of another format."""
        return Writer(self._client, self._tables, self._sleep, self._clock,
                      format)

    def match(self, name):
        """Have postings as the row says, or none without a row; return
        whether anything changed.

        Two GetItem, and one TransactWriteItems when something changes.

        :raises ChangeConflict, RequestFailed: nothing changed.
        """
        def plan(known):
            if known.is_current or known == NOTHING:
                return None
            if known.row is None:
                return self.planner.delete(name, known)
            return self.planner.put(name, None, known)

        return self.change(name, plan, sure=True)

    def withdraw(self, name):
        """Have nothing of this format left of ``name``, whose row stays;
        return whether anything was.

        For a format that no search reads any more. Costs what match costs.

        :raises ChangeConflict, RequestFailed: nothing changed.
        """
        def plan(known):
            if known.witness is None and not (
                    known.row and known.row.has_any(self.format)):
                return None
            return self.planner.withdraw(name, known)

        return self.change(name, plan, sure=True)

    def write_together(self, changes):
        """Make several small changes in one transaction; False if refused.

        One TransactWriteItems.
        """
        if any(_others_of(change) for change in changes):
            return False
        try:
            return None is self._transact(
                [action for change in changes for action in change.actions])
        except errors.RequestFailed as error:
            if error.invalid:
                return False
            raise

    def _read(self, name, sure):
        """Read the row; the witness only when asked to be sure, because
        the conditions of the change find out a wrong guess."""
        row = Row.of(self._get('repository', {'name': {'S': name}}),
                     self.format)
        if sure or (row is not None and row.writing):
            item = self._get('search', {'gram': {'S': self.format.listed},
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
        if transaction_batches.is_short(change):
            return self._transact(change.actions)
        for actions in transaction_batches.transactions(
                self.planner, change, uuid.uuid4().hex):
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


def _others_of(change):
    """The other formats that are in a row which the change takes away."""
    row = change.known.row
    if row is None or not change.takes_row:
        return []
    return [other for other in formats.others(change.format)
            if row.has_any(other)]
