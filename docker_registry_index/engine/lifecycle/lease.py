"""Lease: lets one process at a time, on any machine, load the index or read descriptions.

The protocol is that of the Amazon DynamoDB Lock Client. The version row contains the holder's
record number, which changes with every heartbeat. A process that reads the same number for the
holder's whole lease time, on its own monotonic clock, may take over. Clocks are never compared.
https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/

A record number is the holder's id and a counter. If the response to a heartbeat is lost, the
holder recognizes its lease by the id."""

from __future__ import unicode_literals

import uuid

from .. import errors
from .._compat import monotonic
from ..store.client import request_timeout
from ..store.records import VERSION_KEY

#: Seconds of a lease, unless three requests may take longer: the one that is under way when a
#: heartbeat is due, the heartbeat, and the next request.
LEASE_SECONDS = 20
#: Attempts of a heartbeat while a transaction of another process prevents it.
_ATTEMPTS = 3


class Lease(object):
    """A lease that this object holds or tries to acquire.

    The object remembers when it first read the current record number. So a process that tries now
    and then takes over as soon as one that tries all the time.

    :param store: a Store.
    :param seconds: for which other processes wait for a heartbeat; by default 20, or enough for
        three of the slowest requests.
    :param clock: returns seconds that never go back.
    :param request: the most seconds that one request of the holder takes; by default as the
        settings allow.
    :param kind: the attribute of the version row that contains the lease. The names of two more
        attributes begin with it. Each kind is a separate lease."""

    def __init__(self, store, seconds=None, clock=monotonic, request=None, kind='lease'):
        self._store = store
        self._table = store.version_table
        self._clock = clock
        self._request = request_timeout(store.settings) if request is None else request
        self._seconds = max(LEASE_SECONDS, 3 * self._request) if seconds is None else seconds
        self._kind = kind
        self._owner = uuid.uuid4().hex
        self._counter = 0
        # True once a request to take the lease was sent: it may be held.
        self._is_held = False
        self._since = self._renewed = None
        self._seen = self._seen_since = None
        self._seen_row = {}
        self._is_renewed = False

    @property
    def is_taken(self):
        """True if another process held the lease at the last read, and its time has not passed.
        Costs no request."""
        number = self._seen
        return (number is not None and not number.startswith(self._owner) and
                self._clock() - self._seen_since <= self.holder_seconds)

    @property
    def is_alive(self):
        """True if a heartbeat of the holder was seen within its lease time. Costs no request."""
        return self._is_renewed and self.is_taken

    @property
    def age(self):
        """The seconds for which the holder has held the lease, as written at its last heartbeat."""
        return float(self._seen_row.get(self._kind + '_age', {}).get('N', 0))

    @property
    def holder_seconds(self):
        """The lease time that the holder wrote, in seconds."""
        seconds = self._seen_row.get(self._kind + '_seconds', {}).get('N')
        return float(seconds or self._seconds)

    def acquire(self):
        """Try once to take the lease; return True if this object holds it now. Costs one consistent
        GetItem, and one UpdateItem if the lease seems free."""
        number = self.read()
        if number is None:
            condition, values = 'attribute_not_exists(%s)' % self._kind, {}
        elif number.startswith(self._owner):
            condition, values = self._held_condition()
        elif self._clock() - self._seen_since > self.holder_seconds:
            condition, values = '%s = :seen' % self._kind, {':seen': {'S': number}}
        else:
            return False
        self._since = self._renewed = self._clock()
        try:
            # The condition of a retried request fails if its first attempt succeeded.
            self._is_held = self._write(condition, values) or self._is_still_held()
        except errors.RequestFailed:
            # If DynamoDB made the change, the next attempt finds the lease held by this object.
            self._is_held = False
            raise
        return self._is_held

    def renew(self):
        """Send a heartbeat if a twentieth of the lease time has passed since the last one.

        A request that begins right after this method ends within the lease time, even if it is
        slow. Costs one UpdateItem if a heartbeat is due.

        :raises LeaseLost: another process took the lease over.
        :raises RequestFailed: the heartbeat failed, and the slowest request would not end within
            the rest of the lease time."""
        if self._clock() - self._renewed < self._seconds / 20.0:
            return
        for _ in range(_ATTEMPTS):
            self._try_to_renew()
            # The answer itself may be late: a time limit of boto3 does not include the resolution
            # of a name, nor a body that comes byte by byte.
            if not self._ends_soon():
                return
        raise errors.RequestFailed(
            'update_item', [self._table], 'TransactionConflictException',
            'the lease could not be renewed before its end', retryable=True)

    def release_with(self, *actions, **attributes):
        """Release the lease and write ``actions``, in one transaction.

        Costs one TransactWriteItems.

        :param attributes: typed values to write into the version row.
        :raises LeaseLost: another process took the lease over; nothing was written."""
        condition, values = self._held_condition()
        update = self._release_expression
        if attributes:
            update = 'SET %s %s' % (', '.join('#%s = :%s' % (name, name) for name in attributes),
                                    update)
            values.update({':' + name: value for name, value in attributes.items()})
        release = {'TableName': self._table, 'Key': VERSION_KEY, 'UpdateExpression': update,
                   'ConditionExpression': condition, 'ExpressionAttributeValues': values}
        if attributes:
            release['ExpressionAttributeNames'] = {'#' + name: name for name in attributes}
        try:
            self._store.call('transact_write_items',
                             TransactItems=[{'Update': release}] + list(actions))
        except errors.ConditionFailed as error:
            if error.reasons[:1] != ['ConditionalCheckFailed']:
                raise
            self._is_held = False
            raise errors.LeaseLost(self._table)
        self._is_held = False

    def release(self):
        """Release the lease if this object may hold it. If the request fails, other processes can
        take the lease over after its time, and this object can take it at once."""
        if not self._is_held:
            return
        try:
            self.release_with()
        except (errors.LeaseLost, errors.RequestFailed):
            pass
        finally:
            self._is_held = False

    def revoke(self, number):
        """Take the lease from the holder with this record number, so that its load cannot end.

        Costs one UpdateItem.

        :param number: None if no process holds the lease; then nothing is done.
        :returns: False if the record number has changed."""
        if number is None:
            return True
        try:
            self._store.call(
                'update_item', TableName=self._table, Key=VERSION_KEY,
                UpdateExpression=self._release_expression,
                ConditionExpression=self._kind + ' = :seen',
                ExpressionAttributeValues={':seen': {'S': number}})
        except errors.ConditionFailed:
            return False
        return True

    def read(self):
        """Return the record number, and remember when it was first read; None if no process holds
        the lease. Costs one consistent GetItem."""
        return self.note(self._store.get(self._table, VERSION_KEY) or {})

    def note(self, row):
        """Do what ``read`` does with a version row that the caller has just read."""
        number = row.get(self._kind, {}).get('S')
        if number != self._seen:
            self._is_renewed = self._seen is not None and number is not None
            self._seen, self._seen_row = number, row
            self._seen_since = self._clock()
        return number

    @property
    def _release_expression(self):
        return 'REMOVE {0}, {0}_seconds, {0}_age'.format(self._kind)

    def _held_condition(self):
        """Return the condition that this object holds the lease, and the values in it."""
        return 'begins_with(%s, :owner)' % self._kind, {':owner': {'S': self._owner}}

    def _is_still_held(self):
        """Return True if this object holds the lease, after reading the row."""
        return (self.read() or '').startswith(self._owner)

    def _try_to_renew(self):
        try:
            is_lost = not self._write(*self._held_condition()) and not self._is_still_held()
        except errors.RequestFailed as error:
            if not error.retryable or self._ends_soon():
                raise
            return
        if is_lost:
            self._is_held = False
            raise errors.LeaseLost(self._table)

    def _ends_soon(self):
        """Return True if the lease may end before a request that begins now ends."""
        left = self._renewed + self._seconds - self._clock()
        return left < self._request

    def _write(self, condition, values):
        """Write a new record number; return False if the condition does not hold."""
        # Taken before the request: the lease must not end later for its holder than for others.
        now = self._clock()
        self._counter += 1
        # Set before the request: if Ctrl-C interrupts it, DynamoDB may still make the change.
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
