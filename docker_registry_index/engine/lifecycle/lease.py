"""A lease, as on loading: one process of all hosts at a time.

The protocol of the Amazon DynamoDB Lock Client: the holder's record number stands in the version
row and changes with every heartbeat. Whoever saw the same number for the holder's whole lease time,
on its own monotonic clock, may take over. No two hosts' clocks are ever compared.
https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/

A record number is the holder's own id and a counter. So the holder recognizes its lease by the id,
also when the answer to a heartbeat was lost."""

from __future__ import unicode_literals

import uuid

from .. import errors
from .._compat import monotonic
from ..store.client import slowest
from ..store.records import VERSION_KEY

__all__ = ['Lease', 'lease_of']

#: Seconds of a lease, unless three requests may take longer than that: one that is under way when a
#: heartbeat is due, the heartbeat, and the next.
LEASE_SECONDS = 20
#: How often a heartbeat is tried when another's transaction is in the way.
_ATTEMPTS = 3


class Lease(object):
    """A lease, held or not.

    It watches the holder as long as it lives: a process that tries now and then takes over as soon
    as one that waits all the time.

    :param store: a Store.
    :param seconds: how long others wait for a sign of life; 20 by default.
    :param clock: seconds that only go forward.
    :param request: seconds that one request of the holder may take; 0 by default.
    :param kind: the attribute of the version row that has it, and what the names of two more begin
        with; each kind is a lease of its own."""

    def __init__(self, store, seconds=LEASE_SECONDS, clock=monotonic, request=0, kind='lease'):
        self._store = store
        self._table = store.version_table
        self._seconds = seconds
        self._clock = clock
        self._request = request
        self._kind = kind
        self._owner = uuid.uuid4().hex
        self._counter = 0
        # Whether we may hold it: a request to take it was sent.
        self._is_held = False
        self._since = self._renewed = None
        self._seen = self._seen_since = None
        self._seen_row = {}
        #: Whether the holder showed a sign of life since this was last set.
        self.is_alive = False

    @property
    def age(self):
        """For how many seconds the holder has had it, at its last sign of life, by its own
        clock."""
        return float(self._seen_row.get(self._kind + '_age', {}).get('N', 0))

    @property
    def seconds_seen(self):
        """For how long the holder need show no sign of life."""
        seconds = self._seen_row.get(self._kind + '_seconds', {}).get('N')
        return float(seconds or self._seconds)

    def acquire(self):
        """Try once; return True when the lease is held now. Costs one consistent GetItem, and one
        UpdateItem when it seems free."""
        number = self.read()
        if number is None:
            condition, values = 'attribute_not_exists(%s)' % self._kind, {}
        elif number.startswith(self._owner):
            condition, values = self._ours()
        elif self._clock() - self._seen_since > self.seconds_seen:
            condition, values = '%s = :seen' % self._kind, {':seen': {'S': number}}
        else:
            return False
        self._since = self._renewed = self._clock()
        try:
            # A repeated request may have met its own first success.
            self._is_held = self._write(condition, values) or self._is_seen_ours()
        except errors.RequestFailed:
            # If it was made all the same, the next attempt finds our own lease.
            self._is_held = False
            raise
        return self._is_held

    def renew(self):
        """Show a sign of life when a twentieth of the lease time has passed.

        After it, a request that begins at once ends within the lease, however slow it is. Costs one
        UpdateItem when it is due.

        :raises LeaseLost: another process took the lease over.
        :raises RequestFailed: it could not be renewed, and what is left of it is shorter than one
            request can be."""
        if self._clock() - self._renewed < self._seconds / 20.0:
            return
        for _ in range(_ATTEMPTS):
            if self._is_renewed() or not self._is_short():
                return
        raise errors.RequestFailed(
            'update_item', [self._table], 'TransactionConflictException',
            'the lease could not be renewed in time', retryable=True)

    def release_with(self, *actions, **attributes):
        """Give the lease back together with ``actions``, or not at all.

        Costs one TransactWriteItems.

        :param attributes: typed values that the version row gets.
        :raises LeaseLost: another process took the lease over; none of the actions was made."""
        condition, values = self._ours()
        update = self._give_back
        if attributes:
            update = 'SET %s %s' % (', '.join('#%s = :%s' % (name, name) for name in attributes),
                                    update)
            values.update({':' + name: value for name, value in attributes.items()})
        give_back = {'TableName': self._table, 'Key': VERSION_KEY, 'UpdateExpression': update,
                     'ConditionExpression': condition, 'ExpressionAttributeValues': values}
        if attributes:
            give_back['ExpressionAttributeNames'] = {'#' + name: name for name in attributes}
        try:
            self._store.call('transact_write_items',
                             TransactItems=[{'Update': give_back}] + list(actions))
        except errors.ConditionFailed as error:
            if error.reasons[:1] != ['ConditionalCheckFailed']:
                raise
            self._is_held = False
            raise errors.LeaseLost(self._table)
        self._is_held = False

    def release(self):
        """Give the lease back if we may hold it, and it can be given back: otherwise others take it
        over after its time, and we at our next attempt."""
        if not self._is_held:
            return
        try:
            self.release_with()
        except (errors.LeaseLost, errors.RequestFailed):
            pass
        finally:
            self._is_held = False

    def take_from(self, number):
        """Take the lease from the holder of this record number, or None. Whatever it does to end
        its load fails.

        Costs one UpdateItem when there is one.

        :returns: False when that was not its number any more."""
        if number is None:
            return True
        try:
            self._store.call(
                'update_item', TableName=self._table, Key=VERSION_KEY,
                UpdateExpression=self._give_back, ConditionExpression=self._kind + ' = :seen',
                ExpressionAttributeValues={':seen': {'S': number}})
        except errors.ConditionFailed:
            return False
        return True

    def read(self):
        """Note and return the record number, and since when it stands; None when nobody holds the
        lease. Costs one consistent GetItem."""
        row = self._store.get(self._table, VERSION_KEY) or {}
        number = row.get(self._kind, {}).get('S')
        if number != self._seen:
            self.is_alive = self._seen is not None and number is not None
            self._seen, self._seen_row = number, row
            self._seen_since = self._clock()
        return number

    @property
    def _give_back(self):
        return 'REMOVE {0}, {0}_seconds, {0}_age'.format(self._kind)

    def _ours(self):
        """Return the condition that we hold the lease, and its values."""
        return 'begins_with(%s, :owner)' % self._kind, {':owner': {'S': self._owner}}

    def _is_seen_ours(self):
        """Read, and return whether we hold the lease."""
        return (self.read() or '').startswith(self._owner)

    def _is_renewed(self):
        try:
            if self._write(*self._ours()):
                return True
            is_lost = not self._is_seen_ours()
        except errors.RequestFailed as error:
            if not error.retryable or self._is_short():
                raise
            return False
        if is_lost:
            self._is_held = False
            raise errors.LeaseLost(self._table)
        return False

    def _is_short(self):
        """Return whether the lease may end before a request does that begins now."""
        left = self._renewed + self._seconds - self._clock()
        return left < self._request

    def _write(self, condition, values):
        """Put a new record number where the condition holds; return whether it does."""
        # Measured from before the request: a lease must never seem younger to its holder than to
        # others.
        now = self._clock()
        self._counter += 1
        # Set before the request: interrupted, as by Ctrl-C, it may be made all the same.
        self._is_held = True
        values = dict(values, **{':new': {'S': '%s.%d' % (self._owner, self._counter)},
                                 ':time': {'N': str(self._seconds)},
                                 ':age': {'N': '%.1f' % (now - self._since)}})
        try:
            self._store.call(
                'update_item', TableName=self._table, Key=VERSION_KEY,
                UpdateExpression='SET {0} = :new, {0}_seconds = :time, {0}_age = :age'.format(
                    self._kind),
                ConditionExpression=condition, ExpressionAttributeValues=values)
        except errors.ConditionFailed:
            return False
        self._renewed = now
        self._seen = None
        return True


def lease_of(store, clock=monotonic, kind='lease'):
    """Return a Lease, not held, that lasts long enough for the slowest requests."""
    request = slowest(store.settings)
    return Lease(store, max(LEASE_SECONDS, 3 * request), clock, request, kind)
