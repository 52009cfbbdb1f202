"""A lease, as on loading: one process of all hosts at a time.

The protocol of the Amazon DynamoDB Lock Client: the holder's random record
number stands in the version row and changes with every heartbeat. Whoever
saw the same number for the holder's whole lease time, on its own monotonic
clock, may take over. No two hosts' clocks are ever compared.
https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/
"""

from __future__ import unicode_literals

import uuid

from .. import errors
from .._compat import monotonic

__all__ = ['Lease']

_ROW = {'version': {'N': '1'}}
#: How often a heartbeat is tried when another's transaction is in the way.
_ATTEMPTS = 3
# Another's transaction on the row may be under way, too.
_IN_THE_WAY = ('ConditionalCheckFailedException',
               'TransactionConflictException')


class Lease(object):
    """A lease, held or not.

    It watches the holder as long as it lives: who tries now and then takes
    over as soon as one that waits all the time.

    :param client: a Client.
    :param table: the name of the version table.
    :param seconds: how long others wait for a sign of life; 20 by default.
    :param clock: seconds that only go forward.
    :param request: seconds that one request of the holder may take; 0 by
        default.
    :param kind: the attribute of the version row that has it, and what the
        names of two more begin with; each kind is a lease of its own.
    """

    def __init__(self, client, table, seconds=20, clock=monotonic,
                 request=0, kind='lease'):
        self._client = client
        self._table = table
        self._seconds = seconds
        self._clock = clock
        self._request = request
        self._kind = kind
        self._give_back = 'REMOVE {0}, {0}_seconds, {0}_age'.format(kind)
        self._held = None
        # Numbers of ours, one of which may stand in the row.
        self._doubtful = set()
        self._since = None
        self._renewed = None
        self._seen = None
        self._seen_since = None
        self._seen_row = {}
        #: Whether the holder showed a sign of life since this was last set.
        self.is_alive = False

    @property
    def age(self):
        """For how many seconds the holder has had it, at its last sign of
        life, by its own clock."""
        return float(self._seen_row.get(self._kind + '_age', {}).get('N', 0))

    def acquire(self):
        """Try once; True when the lease is held now.

        Costs one consistent GetItem, and one UpdateItem when it looks free.
        """
        number = self.look()
        if not (number is None or number in self._doubtful or
                self._stood_still()):
            return False
        condition = ('attribute_not_exists(%s)' if number is None
                     else '%s = :seen') % self._kind
        try:
            return self._write(condition, number)
        except Exception:
            raise
        except BaseException:
            # Interrupted, as by Ctrl-C: it may be written already.
            self._take_back()
            raise

    def renew(self):
        """Show a sign of life when a twentieth of the lease time has passed.

        After it, a request that begins at once ends within the lease, however
        slow it is. Costs one UpdateItem when it is due.

        :raises LeaseLost: another process took the lease over.
        :raises RequestFailed: it could not be renewed, and what is left of
            it is shorter than one request can be.
        """
        if self._clock() - self._renewed < self._seconds / 20.0:
            return
        for _ in range(_ATTEMPTS):
            if self._is_renewed() or not self._is_short():
                return
        raise errors.RequestFailed(
            'update_item', [self._table], 'TransactionConflictException',
            'the lease could not be renewed in time', retryable=True)

    def release_with(self, *actions):
        """Give the lease back together with ``actions``, or not at all.

        Costs one TransactWriteItems.

        :raises LeaseLost: another process took the lease over; none of the
            actions was made.
        """
        give_back = {'Update': {
            'TableName': self._table, 'Key': _ROW,
            'UpdateExpression': self._give_back,
            'ConditionExpression': self._kind + ' = :held',
            'ExpressionAttributeValues': {':held': {'S': self._held}}}}
        try:
            self._client.call('transact_write_items',
                              TransactItems=[give_back] + list(actions))
        except errors.TransactionCancelled as error:
            if error.reasons[:1] != ['ConditionalCheckFailed']:
                raise
            self._held = None
            raise errors.LeaseLost(self._table)
        self._held = None

    def release(self):
        """Give the lease back if it is still held, and can be: otherwise
        others take it over after its time, and we when we try again."""
        if self._held is None:
            return
        held = self._held
        try:
            self.release_with()
        except errors.LeaseLost:
            # A heartbeat may have been interrupted.
            self._take_back()
        except errors.RequestFailed:
            self._doubtful.add(held)
        finally:
            self._held = None

    def take_from(self, number):
        """Have the holder of this record number, or None, hold it no more:
        whatever it does to end its load fails.

        Costs one UpdateItem when there is one.

        :returns: False when that was not its number any more.
        """
        if number is None:
            return True
        try:
            self._client.call(
                'update_item', TableName=self._table, Key=_ROW,
                UpdateExpression=self._give_back,
                ConditionExpression=self._kind + ' = :seen',
                ExpressionAttributeValues={':seen': {'S': number}})
        except errors.RequestFailed as error:
            if error.code not in _IN_THE_WAY:
                raise
            return False
        return True

    def _take_back(self):
        try:
            for number in self._doubtful:
                self.take_from(number)
        except errors.RequestFailed:
            # Others wait for its time, then.
            pass

    def _is_renewed(self):
        try:
            if self._write(self._kind + ' = :seen', self._held):
                return True
        except errors.RequestFailed as error:
            if not error.retryable or self._is_short():
                raise
            return False
        if self._seen != self._held:
            if self._seen not in self._doubtful:
                self._held = None
                raise errors.LeaseLost(self._table)
            self._held = self._seen
        return False

    def _is_short(self):
        """Whether the lease may end before a request does that begins
        now."""
        left = self._renewed + self._seconds - self._clock()
        return left < self._request

    @property
    def seconds_seen(self):
        """For how long the holder need show no sign of life."""
        seconds = self._seen_row.get(self._kind + '_seconds', {}).get('N')
        return float(seconds or self._seconds)

    def _stood_still(self):
        return self._clock() - self._seen_since > self.seconds_seen

    def _write(self, condition, seen=None):
        """Put a new record number where the condition holds."""
        # Measured from before the request: a lease must never seem younger
        # to its holder than to others.
        now = self._clock()
        since = now if self._held is None else self._since
        number = uuid.uuid4().hex
        values = {':new': {'S': number}, ':time': {'N': str(self._seconds)},
                  ':age': {'N': '%.1f' % (now - since)}}
        if seen is not None:
            values[':seen'] = {'S': seen}
        self._doubtful.add(number)
        try:
            self._client.call(
                'update_item', TableName=self._table, Key=_ROW,
                UpdateExpression=(
                    'SET {0} = :new, {0}_seconds = :time, '
                    '{0}_age = :age'.format(self._kind)),
                ConditionExpression=condition,
                ExpressionAttributeValues=values)
        except errors.RequestFailed as error:
            if error.code not in _IN_THE_WAY:
                raise
            # A repeated request may have met its own first success.
            if self.look() != number:
                return False
        self._held, self._renewed, self._since = number, now, since
        self._seen = None
        self._doubtful.clear()
        return True

    def look(self):
        """Note and return the record number, and since when it stands; None
        when nobody holds the lease. Costs one consistent GetItem."""
        row = self._client.call('get_item', TableName=self._table, Key=_ROW,
                                ConsistentRead=True).get('Item', {})
        number = row.get(self._kind, {}).get('S')
        if number != self._seen:
            self.is_alive = self._seen is not None and number is not None
            self._seen, self._seen_row = number, row
            self._seen_since = self._clock()
        return number
