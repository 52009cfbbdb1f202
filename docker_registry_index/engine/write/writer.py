"""The writer, which changes repositories in the index although other processes do the same.

Each change is planned from the state that was read. It is written on the condition that the state
is still the same, and planned again if not. So the postings match the row, with any number of
writers, including those of release 0.1.0."""

from __future__ import unicode_literals

import time
import uuid

from .. import errors
from .._compat import sleep
from ..concurrency import Backoff, Precedence
from ..store import postings, text
from ..store.records import (
    TOMBSTONE, RepositoryState, Row, marker_key, removal_of, repository_key)
from .plan import Planner

#: The most times that a change is planned while others change the same repository.
ATTEMPTS = 8
#: The most seconds between the first two attempts, and between any two.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.28
#: Seconds after which a further push of the same repository is noted again.
TOUCH_SECONDS = 1800
#: Seconds after a push in which no sync removes the repository. The registry announces a push
#: before the storage has it, but less than this time earlier.
REST_SECONDS = 3600


class Writer(object):
    """Adds, updates and removes the repositories of one index.

    :param store: a Store.
    :param clock: returns Unix seconds.
    :param precedence: a Precedence of these changes over the requests of loads."""

    def __init__(self, store, sleep=sleep, clock=time.time, precedence=None):
        self._store = store
        self._sleep = sleep
        self._clock = clock
        self._precedence = precedence or Precedence(0)
        self.planner = Planner(store, clock)

    def set(self, name, is_there):
        """Add ``name`` to the index if ``is_there`` is True, otherwise remove it."""
        return self.add(name) if is_there else self.remove(name)

    def add(self, name, description=None, origin=None, may_replace=None):
        """Add ``name`` to the index; return True if anything changed.

        Costs a GetItem, a read unit. If the repository is indexed already, and its last push was
        noted over half an hour ago, also costs an UpdateItem, a write unit. If it is not indexed,
        also costs a TransactWriteItems, two write units for each posting.

        :param description: None keeps the existing one, '' removes it.
        :param origin: the source of the description, any text; the row stores it.
        :param may_replace: called with an existing description and its origin, None if unknown;
            returns False to keep both. If another writer changes the row, it is called again.
        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed. A change too long for
            one transaction may have begun; the next change or load of the name completes it."""
        name = text.check_name(name)
        if description is not None:
            description = text.clean_description(description)

        def plan(state):
            row, new = state.row, description
            if (may_replace and new is not None and row is not None and row.description and
                    not may_replace(row.description, row.origin)):
                new = None
            if state.is_current and new in (None, state.witness) and (
                    self._touch(name, row, new and origin)):
                return None
            return self.planner.put(name, new, state, origin=origin)

        return self.change(name, plan)

    def remove(self, name):
        """Remove ``name`` from the index; return True if the index had it.

        Costs a GetItem and a TransactWriteItems. It always writes a tombstone, so that a load under
        way cannot add the name again.

        :raises InvalidName, ChangeConflict, RequestFailed: nothing changed."""
        name = text.check_name(name)
        tombstone = self.planner.tombstone(name, uuid.uuid4().hex)
        was_there = []

        def plan(state):
            was_there[:] = [state.row is not None]
            return self.planner.delete(name, state, tombstone)

        self.change(name, plan)
        return was_there[0]

    def remove_if(self, name, is_gone):
        """Remove a repository that the storage no longer has.

        A repository that was touched within the last hour, or is touched meanwhile, is kept,
        because a push is announced before the storage has it.

        :param is_gone: asks the storage, and returns True if it lacks the repository; called after
            the row was read.
        :returns: removed, recent or unchanged.
        :raises ChangeConflict, RequestFailed: nothing changed.
        :raises: what is_gone raises.

        Costs two GetItem and a TransactWriteItems."""
        outcome = []

        def plan(state):
            is_recent = state.row is not None and self.is_recent(state.row)
            outcome[:] = ['recent' if is_recent else 'unchanged']
            if state.row is None or is_recent or not is_gone():
                return None
            outcome[:] = ['removed']
            return self.planner.delete(name, state, self.planner.tombstone(name, uuid.uuid4().hex))

        self.change(name, plan, read_witness=True)
        return outcome[0]

    def is_recent(self, row):
        """Return True if a row was touched within the last hour. A time more than an hour in the
        future does not count."""
        return abs(self._clock() - row.touched) < REST_SECONDS

    def change(self, name, plan, read_witness=False):
        """Plan and write a change until no other writer interferes, eight times at most.

        :param plan: called with a RepositoryState; returns a Change, or None if there is nothing
            to do.
        :param read_witness: True to read the witness at once, False to derive it from the row.
        :returns: True if anything changed.
        :raises ChangeConflict, RequestFailed: nothing changed."""
        with self._precedence:
            return self._change(name, plan, read_witness)

    def rewrite(self, name, begun):
        """Write all postings of a repository again, or delete them if it has no row or is only half
        added.

        :param begun: further descriptions whose postings may exist.
        :raises ChangeConflict, RequestFailed: nothing changed.

        Costs two or three GetItem and a TransactWriteItems."""
        def plan(state):
            state = state._replace(begun=state.begun.union(begun))
            if state.row is None or state.is_half_added:
                return self.clean(name, state, self.removal(name))
            return self.planner.put(name, None, state)

        self.change(name, plan, read_witness=True)

    def clean(self, name, state, removal):
        """Return the Change that deletes ``name``, because it is not in the storage or has no row.
        Loads do not count this as a removal; Planner.delete describes why it has a tombstone.

        :param removal: the number of the tombstone, or None."""
        number = '%s.%s' % (removal_of(removal), uuid.uuid4().hex)
        return self.planner.delete(
            name, state, self.planner.changed_tombstone(name, removal, number))

    def removal(self, name):
        """Return the number of the tombstone of a name, or None. Costs a GetItem."""
        item = self._store.get(self._store.search_table, marker_key(TOMBSTONE, name))
        return None if item is None else item['number']['S']

    def _change(self, name, plan, read_witness):
        begun, planned, refusal = frozenset(), None, None
        # Writers that meet once should not meet again.
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, least=0)
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(backoff.next())
            # If DynamoDB throttled the transaction, nothing has changed.
            if not (refusal and refusal.throttled):
                state = self._read(name, read_witness or attempt > 0)
                planned = plan(state._replace(begun=begun))
            if planned is None:
                return False
            refusal = self._write(planned)
            if refusal is None:
                return True
            # A writer that deletes the row also deletes its record of these descriptions.
            if not planned.is_short:
                begun |= planned.descriptions
        if isinstance(refusal, errors.ConditionFailed):
            raise errors.ChangeConflict(name, ATTEMPTS)
        raise refusal

    def _read(self, name, read_witness):
        """Return the RepositoryState. Unless ``read_witness`` is True, the witness is derived from
        the row; if it is wrong, a condition of the change fails."""
        row = Row.of(self._store.get(self._store.repository_table, repository_key(name)))
        if read_witness or (row is not None and row.writing):
            item = self._store.get(self._store.search_table, postings.witness_key(name))
            witness = None if item is None else postings.fields_of(item)[1]
        else:
            witness = row.indexed if row is not None and row.is_indexed else None
        return RepositoryState(row, witness)

    def _write(self, change):
        """Write ``change``; return None, or the error if DynamoDB refuses it."""
        if change.is_short:
            return self._transact(change.actions)
        for actions in self.planner.transactions(change, uuid.uuid4().hex):
            refusal = self._transact(actions)
            if refusal is not None:
                return refusal
        return None

    def _transact(self, actions):
        try:
            self._store.call('transact_write_items', TransactItems=actions)
        except errors.RequestFailed as error:
            # A condition, another transaction or throttling cancelled it: plan the change again.
            if error.invalid or not error.reasons:
                raise
            return error
        return None

    def _touch(self, name, row, origin):
        """Write the time of a push into the row, unless the time there is recent, and an origin,
        unless it is None; return False if the row has changed meanwhile."""
        if abs(self._clock() - row.touched) < TOUCH_SECONDS and origin in (None, '', row.origin):
            return True
        try:
            self._store.call('update_item', **self.planner.touch(name, row, origin))
        except errors.ConditionFailed:
            return False
        return True
