"""The lease on loading: one process of all hosts at a time.

The protocol of the Amazon DynamoDB Lock Client: the holder's random record
number stands in the version row and changes with every heartbeat. Whoever
saw the same number for the holder's whole lease time, on its own monotonic
clock, may take over. No two hosts' clocks are ever compared.
https://aws.amazon.com/blogs/database/building-distributed-locks-with-the-dynamodb-lock-client/
"""

from __future__ import unicode_literals

import uuid

from . import errors
from ._compat import monotonic

__all__ = ['Lease']

_ROW = {'version': {'N': '1'}}


class Lease(object):
    """A lease, held or not.

    :param client: a Client.
    :param table: the name of the version table.
    :param seconds: how long others wait for a sign of life; 20 by default.
    :param clock: seconds that only go forward.
    """

    def __init__(self, client, table, seconds=20, clock=monotonic):
        self._client = client
        self._table = table
        self._seconds = seconds
        self._clock = clock
        self._held = None
        self._renewed = None
        self._seen = None
        self._seen_since = None
        self._seen_seconds = None

    def acquire(self):
        """Try once; True when the lease is held now.

        Costs one UpdateItem, and a consistent GetItem when it was refused.
        """
        if self._stood_still():
            return self._write(
                'attribute_not_exists(lease) OR lease = :seen', self._seen)
        return self._write('attribute_not_exists(lease)')

    def renew(self):
        """Show a sign of life when a third of the lease time has passed.

        Costs one UpdateItem then, and nothing otherwise.

        :raises LeaseLost: another process took the lease over.
        """
        if self._clock() - self._renewed < self._seconds / 3.0:
            return
        if (not self._write('lease = :seen', self._held) and
                self._seen != self._held):
            self._held = None
            raise errors.LeaseLost(self._table)

    def release_with(self, *actions):
        """Give the lease back together with ``actions``, or not at all.

        Costs one TransactWriteItems.

        :raises LeaseLost: another process took the lease over; none of the
            actions was made.
        """
        give_back = {'Update': {
            'TableName': self._table, 'Key': _ROW,
            'UpdateExpression': 'REMOVE lease, lease_seconds',
            'ConditionExpression': 'lease = :held',
            'ExpressionAttributeValues': {':held': {'S': self._held}}}}
        held, self._held = self._held, None
        try:
            self._client.call('transact_write_items',
                              TransactItems=[give_back] + list(actions))
        except errors.TransactionCancelled as error:
            self._held = held
            if error.reasons[:1] == ['ConditionalCheckFailed']:
                self._held = None
                raise errors.LeaseLost(self._table)
            raise

    def release(self):
        """Give the lease back if it is still held; else do nothing."""
        if self._held is None:
            return
        try:
            self.release_with()
        except errors.LeaseLost:
            pass

    def _stood_still(self):
        return (self._seen is not None and
                self._clock() - self._seen_since > self._seen_seconds)

    def _write(self, condition, seen=None):
        """Put a new record number where the condition holds."""
        number = uuid.uuid4().hex
        values = {':new': {'S': number}, ':time': {'N': str(self._seconds)}}
        if seen is not None:
            values[':seen'] = {'S': seen}
        # Measured from before the request: a lease must never seem younger
        # to its holder than to others.
        now = self._clock()
        try:
            self._client.call(
                'update_item', TableName=self._table, Key=_ROW,
                UpdateExpression='SET lease = :new, lease_seconds = :time',
                ConditionExpression=condition,
                ExpressionAttributeValues=values)
        except errors.RequestFailed as error:
            # Another's transaction on the row may be under way, too.
            if error.code not in ('ConditionalCheckFailedException',
                                  'TransactionConflictException'):
                raise
            # A repeated request may have met its own first success.
            if self._look() != number:
                return False
        self._held, self._renewed, self._seen = number, now, None
        return True

    def _look(self):
        """Note and return the record number, and since when it stands."""
        row = self._client.call('get_item', TableName=self._table, Key=_ROW,
                                ConsistentRead=True).get('Item', {})
        number = row.get('lease', {}).get('S')
        if number != self._seen:
            self._seen = number
            self._seen_since = self._clock()
            self._seen_seconds = float(
                row.get('lease_seconds', {}).get('N', self._seconds))
        return number
