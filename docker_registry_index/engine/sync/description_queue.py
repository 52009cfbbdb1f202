"""Undescribed: the repositories whose description is still to be read.

For a host that reads descriptions one by one, after a load. A note for each
stands in the search table, written before the repository is: so whatever is
killed when, none is forgotten. A note that is done is taken away.
"""

from __future__ import unicode_literals

import collections
import uuid

from .. import errors
from ..store import schema
from .._compat import sleep

__all__ = ['Note', 'Undescribed']

#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
_BATCH = 25
_ROUNDS = 8


class Note(collections.namedtuple('Note', 'name number is_expected')):
    """A note.

    :param name: of the repository.
    :param number: a random text that tells it from others of this name.
    :param is_expected: whether to wait for the repository for a while, where
        it is not there: somebody has announced it.
    """

    __slots__ = ()


class Undescribed(object):
    """The notes of one index.

    :param client: a Client, or a PatientClient.
    :param tables: what schema.tables gives.
    """

    def __init__(self, client, tables, sleep=sleep):
        self._client = client
        self._table = tables['search'].name
        self._sleep = sleep

    def note(self, names, is_expected=False):
        """Note that the descriptions of these are to be read.

        :param is_expected: as of Note.
        :returns: a list of Note.

        Costs a write unit for each, and a BatchWriteItem for each 25.

        :raises RequestFailed: some are not noted.
        """
        notes = [Note(name, uuid.uuid4().hex, is_expected)
                 for name in sorted(set(names))]
        for first in range(0, len(notes), _BATCH):
            self._write([{'PutRequest': {'Item': _item(note)}}
                         for note in notes[first:first + _BATCH]])
        return notes

    def notes(self, limit, after=None):
        """A list of Note, in the order of their names.

        Costs a Query: half a read unit when there is none.

        :param limit: at most so many, 1 or more.
        :param after: a name; those after it.
        """
        arguments = {}
        if after is not None:
            arguments['ExclusiveStartKey'] = _key(after)
        page = self._client.call(
            'query', TableName=self._table, Limit=limit,
            KeyConditionExpression=(
                'gram = :gram AND begins_with(suffix, :prefix)'),
            ExpressionAttributeValues={
                ':gram': {'S': schema.MARKS},
                ':prefix': {'S': schema.UNDESCRIBED}}, **arguments)
        return [Note(item['suffix']['S'][len(schema.UNDESCRIBED):],
                     item['number']['S'],
                     item.get('expected', {}).get('BOOL', False))
                for item in page['Items']]

    def done(self, note):
        """Take a note away; one that was written anew meanwhile stays.

        Costs a DeleteItem: a write unit.
        """
        try:
            self._client.call(
                'delete_item', TableName=self._table, Key=_key(note.name),
                ConditionExpression='#number = :number',
                ExpressionAttributeNames={'#number': 'number'},
                ExpressionAttributeValues={':number': {'S': note.number}})
        except errors.RequestFailed as error:
            if error.code != 'ConditionalCheckFailedException':
                raise

    def _write(self, requests):
        """DynamoDB leaves out what is throttled; it is asked again."""
        for attempt in range(_ROUNDS):
            if attempt:
                self._sleep(0.02 * 2 ** attempt)
            page = self._client.call(
                'batch_write_item', RequestItems={self._table: requests})
            requests = page.get('UnprocessedItems', {}).get(self._table)
            if not requests:
                return
        raise errors.RequestFailed(
            'batch_write_item', [self._table],
            'ProvisionedThroughputExceededException',
            'items were left out again and again', retryable=True)


def _item(note):
    item = dict(_key(note.name), number={'S': note.number})
    if note.is_expected:
        item['expected'] = {'BOOL': True}
    return item


def _key(name):
    return {'gram': {'S': schema.MARKS},
            'suffix': {'S': schema.UNDESCRIBED + name}}
