"""Inspection: what is wrong with one repository, read consistently."""

from __future__ import unicode_literals

import collections

from ..store import postings, text
from ..store.records import Row, repository_key
from ..store.store import GET_BATCH

__all__ = ['Finding', 'Inspection', 'wanted_items']

_ATTEMPTS = 5


class Finding(collections.namedtuple('Finding', 'row kind detail missing surplus')):
    """What was found of a repository.

    :param row: its Row; None when there is none.
    :param kind: row or postings.
    :param detail: what is wrong, for people; '' for nothing.
    :param missing: how many postings are missing, or have other contents.
    :param surplus: the keys of those that are too many.
    """

    __slots__ = ()


class Inspection(object):
    """Looks at repositories one by one.

    :param store: a Store.
    """

    def __init__(self, store):
        self._store = store

    def of(self, name, keys):
        """Return a Finding; None when the repository is changed again and again.

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

    def _finding(self, name, item, keys):
        row = Row.of(item)
        items = {} if row is None else {_key(each): each for each in wanted_items(name, row)}
        there = self._get(set(items) | set(map(tuple, keys)) | {
            (postings.CATALOG, postings.catalog_key(name))})
        missing = sum(there.get(key) != each for key, each in items.items())
        surplus = sorted(set(there) - set(items))
        kind, detail = _judge(row, missing, surplus)
        return Finding(row, kind, detail, missing, surplus)

    def _row(self, name):
        return self._store.get(self._store.repository_table, repository_key(name))

    def _get(self, keys):
        """Return those of the items that are there, by key."""
        found, keys, table = {}, sorted(keys), self._store.search_table
        for first in range(0, len(keys), GET_BATCH):
            page = self._store.batch_get({table: {
                'Keys': [{'gram': {'S': gram}, 'suffix': {'S': suffix}}
                         for gram, suffix in keys[first:first + GET_BATCH]],
                'ConsistentRead': True}})
            for item in page.get(table, ()):
                item.pop('v', None)
                found[_key(item)] = item
        return found


def wanted_items(name, row):
    """Return the items that a repository should have in the search table, by its row."""
    description = text.clean_description(row.description)
    return [postings.to_item(posting) for posting in
            postings.postings(name, description) + [postings.witness(name, description)]]


def _key(item):
    return item['gram']['S'], item['suffix']['S']


def _judge(row, missing, surplus):
    """Return (kind, detail) of what is wrong, or detail ''."""
    counts = '%d postings missing or wrong, %d too many' % (missing, len(surplus))
    if row is None:
        if not surplus:
            return 'row', ''
        return 'postings', '%d postings and no row' % len(surplus)
    if row.writing is not None:
        return 'row', 'a change was broken off; ' + counts
    if not row.is_indexed:
        return 'row', 'was never indexed; ' + counts
    if row.indexed != text.clean_description(row.description):
        return 'row', 'its description was changed past the index; ' + counts
    return 'postings', counts if missing or surplus else ''
