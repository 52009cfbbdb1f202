"""Evidence: what is wrong with one repository, read consistently."""

from __future__ import unicode_literals

import collections

from ..store import formats, text
from ..write.actions import posting_item
from ..store.repository_state import Row

__all__ = ['Evidence', 'Finding']

_ATTEMPTS = 5
#: Keys that a BatchGetItem may have.
_BATCH = 100


class Finding(collections.namedtuple(
        'Finding', 'row kind detail missing surplus')):
    """What was found of a repository.

    :param row: its Row; None when there is none.
    :param kind: row or postings.
    :param detail: what is wrong, for people; '' for nothing.
    :param missing: how many postings are missing, or say something else.
    :param surplus: the keys of those that are too many.
    """

    __slots__ = ()


class Evidence(object):
    """Looks at repositories one by one.

    :param client: a Client, or a PatientClient.
    :param format: the Format to look at; the current one by default.
    :param tables: what schema.tables gives.
    """

    def __init__(self, client, tables, format=None):
        self._client = client
        self._format = format or formats.CURRENT
        self._rows = tables['repository'].name
        self._search = tables['search'].name

    def of(self, name, keys):
        """A Finding; None when it is changed again and again.

        :param keys: of postings that it was seen to have.

        Costs two GetItem of the row and a BatchGetItem for each 100 postings.
        """
        before = self._row(name)
        for _ in range(_ATTEMPTS):
            finding = self._finding(name, before, keys)
            after = self._row(name)
            if after == before:
                return finding
            before = after
        return None

    def wanted(self, name, row):
        """The items that a repository should have, by its row."""
        description = text.clean_description(row.description)
        listed = self._format.postings(name, description)
        listed.append(self._format.witness(name, description))
        return [posting_item(posting, self._format) for posting in listed]

    def _finding(self, name, item, keys):
        row = Row.of(item, self._format)
        items = {} if row is None else {
            (each['gram']['S'], each['suffix']['S']): each
            for each in self.wanted(name, row)}
        there = self._get(set(items) | set(map(tuple, keys)) |
                          {(self._format.listed, name)})
        missing = sum(there.get(key) != each for key, each in items.items())
        surplus = sorted(set(there) - set(items))
        kind, detail = _judge(row, missing, surplus)
        return Finding(row, kind, detail, missing, surplus)

    def _row(self, name):
        return self._client.call(
            'get_item', TableName=self._rows, Key={'name': {'S': name}},
            ConsistentRead=True).get('Item')

    def _get(self, keys):
        """Those of the items that are there, by key."""
        found, keys = {}, sorted(keys)
        for first in range(0, len(keys), _BATCH):
            page = self._client.batch_get({self._search: {
                'Keys': [{'gram': {'S': gram}, 'suffix': {'S': suffix}}
                         for gram, suffix in keys[first:first + _BATCH]],
                'ConsistentRead': True}})
            for item in page.get(self._search, ()):
                item.pop('v', None)
                found[item['gram']['S'], item['suffix']['S']] = item
        return found


def _judge(row, missing, surplus):
    """(kind, detail) of what is wrong, or detail ''."""
    counts = '%d postings missing or wrong, %d too many' % (
        missing, len(surplus))
    if row is None:
        if not surplus:
            return 'row', ''
        return 'postings', '%d postings and no row' % len(surplus)
    if row.writing is not None:
        return 'row', 'a change was broken off; ' + counts
    if row.format is None:
        return 'row', 'was never indexed; ' + counts
    if row.indexed != text.clean_description(row.description):
        return 'row', 'its description was changed past the index; ' + counts
    return 'postings', counts if missing or surplus else ''
