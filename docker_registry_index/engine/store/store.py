"""Store: the three tables of one index, and the requests that the engine makes to them."""

from __future__ import unicode_literals

from .. import errors
from .._compat import sleep
from ..concurrency import Backoff
from . import text
from .retries import RetryingClient, left_out, without_progress
from .tables import tables

#: Keys of a BatchGetItem, and items of a BatchWriteItem:
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
GET_BATCH, WRITE_BATCH = 100, 25
#: Attempts to send the keys or items that DynamoDB leaves out, if it processes none of them, and
#: the seconds between two. A RetryingClient has time limits of its own.
_ATTEMPTS = 6
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2


class Store(object):
    """The tables of one index and a client for them.

    :param settings: a Settings.
    :param client: a Client or a RetryingClient."""

    def __init__(self, settings, client, sleep=sleep):
        self.settings = settings
        self.client = client
        self.tables = tables(settings)
        self.repository_table, self.version_table, self.search_table = [
            table.name for table in self.tables.values()]
        self._sleep = sleep

    def retrying(self, heartbeat=lambda: None, sleep=sleep, wrap=lambda client: client, **more):
        """Return a Store of the same tables that retries throttled and failed requests.

        :param heartbeat: called before each attempt and while it waits; raises to stop.
        :param wrap: returns a client that makes each attempt with the client that it is given.
        :param more: further arguments of RetryingClient."""
        return Store(self.settings, RetryingClient(wrap(self.client), heartbeat, sleep, **more),
                     sleep)

    def handling_missing_tables(self, handle):
        """Return a Store of the same tables. If a table is missing, a request of this Store returns
        or raises what ``handle`` does, a function of the MissingTable."""
        return Store(self.settings, _MissingTableClient(self.client, handle), self._sleep)

    def call(self, operation, **arguments):
        """Make one request; see Client.call."""
        return self.client.call(operation, **arguments)

    def get(self, table, key):
        """Return an item, read consistently; None if there is none. Costs a GetItem."""
        return self.call('get_item', TableName=table, Key=key, ConsistentRead=True).get('Item')

    def query(self, gram, prefix=None, after=None, limit=None, start=None, consistent=False,
              words=(), attributes=None):
        """Return a page of the items of one gram in the search table, in the order of their keys.

        :param prefix: only items whose suffix begins with this text.
        :param after: only items whose suffix is greater than this text.
        :param limit: the most items; None for as many as fit into a megabyte.
        :param attributes: return only these attributes: names separated by commas.
        :param words: only items whose text ``t`` contains these; the others also count as read.
        :param start: the LastEvaluatedKey of the page before.

        Costs one Query: half a read unit for each 4 KB, twice that if ``consistent``. The page
        contains the units, as ConsumedCapacity."""
        condition, values = 'gram = :gram', {':gram': {'S': gram}}
        if prefix:
            # With begins_with, DynamoDB Local reads to the end of the gram. No item has exactly the
            # key :end, because each key goes on after a prefix.
            end = text.first_after(prefix)
            condition += (' AND suffix BETWEEN :prefix AND :end' if end else
                          ' AND begins_with(suffix, :prefix)')
            values.update({':prefix': {'S': prefix}}, **({':end': {'S': end}} if end else {}))
        if after:
            condition += ' AND suffix > :after'
            values[':after'] = {'S': after}
        arguments = {'Limit': limit} if limit else {}
        if words:
            arguments['FilterExpression'] = ' AND '.join(
                'contains(t, :word%d)' % number for number in range(len(words)))
            values.update((':word%d' % number, {'S': word}) for number, word in enumerate(words))
        if attributes:
            arguments['ProjectionExpression'] = attributes
        if start:
            arguments['ExclusiveStartKey'] = start
        return self.call('query', TableName=self.search_table, KeyConditionExpression=condition,
                         ExpressionAttributeValues=values, ConsistentRead=consistent,
                         ReturnConsumedCapacity='TOTAL', **arguments)

    def query_all(self, gram, prefix=None, limit=None):
        """Yield the items of one gram, read consistently, page after page of ``limit`` items.

        :param prefix: as for query."""
        return self._pages(lambda start: self.query(
            gram, prefix, limit=limit, start=start, consistent=True))

    def delete_numbered(self, key, number):
        """Delete the item of a key in the search table, if it has this number.

        Costs a DeleteItem: a write unit.

        :raises ConditionFailed: another write of the item is under way."""
        try:
            self.call('delete_item', TableName=self.search_table, Key=key,
                      ConditionExpression='#number = :number',
                      ExpressionAttributeNames={'#number': 'number'},
                      ExpressionAttributeValues={':number': {'S': number}})
        except errors.ConditionFailed as error:
            if error.reasons != ['ConditionalCheckFailed']:
                raise

    def scan_all(self, table, limit=None, **more):
        """Yield the items of a table, read consistently, page after page of ``limit`` items.

        :param more: further arguments of Scan."""
        def page_from(start):
            page = {'Limit': limit, 'ExclusiveStartKey': start}
            more.update((name, value) for name, value in page.items() if value)
            return self.call('scan', TableName=table, ConsistentRead=True, **more)

        return self._pages(page_from)

    def batch_get(self, wanted, enough=lambda left: not left):
        """Return the items of these keys: a dictionary of table to a list, for each table with any.

        :param wanted: a dictionary of table to {'Keys': [...], ...}; at most 100 keys.
        :param enough: a function of the keys that DynamoDB left out, in the same form; it returns
            True to do without them.
        :raises RequestFailed: DynamoDB processed no key at several attempts."""
        found = {}
        for page in self._until_processed('batch_get_item', wanted, enough):
            for table, items in page['Responses'].items():
                found.setdefault(table, []).extend(items)
        return found

    def batch_write(self, table, requests):
        """Put and delete items of a table, with a BatchWriteItem for each 25.

        :param requests: a list of {'PutRequest': ...} and {'DeleteRequest': ...}.
        :raises RequestFailed: DynamoDB processed no item at several attempts; some are written."""
        for first in range(0, len(requests), WRITE_BATCH):
            wanted = {table: requests[first:first + WRITE_BATCH]}
            for _ in self._until_processed('batch_write_item', wanted):
                pass

    def _until_processed(self, operation, wanted, enough=lambda left: not left):
        """Yield each response, and retry the keys or items that a throttled DynamoDB leaves out, as
        long as it processes any."""
        backoff, attempts = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), 0
        while True:
            page = self.call(operation, RequestItems=wanted)
            yield page
            left = left_out(operation, page)
            if enough(left):
                return
            stuck = without_progress(operation, wanted, page)
            attempts = attempts + 1 if stuck else 0
            if attempts == _ATTEMPTS:
                raise stuck
            if not stuck:
                backoff.reset()
            self._sleep(backoff.next())
            wanted = left

    def _pages(self, page_from):
        page = page_from(None)
        while True:
            for item in page['Items']:
                yield item
            if 'LastEvaluatedKey' not in page:
                return
            page = page_from(page['LastEvaluatedKey'])


class _MissingTableClient(object):
    """The client of Store.handling_missing_tables."""

    def __init__(self, client, handle):
        self._client = client
        self._handle = handle
        self.thread = client.thread

    def call(self, operation, **arguments):
        try:
            return self._client.call(operation, **arguments)
        except errors.MissingTable as error:
            return self._handle(error)
