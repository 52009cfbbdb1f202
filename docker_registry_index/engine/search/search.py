"""Search: a term in, the repositories it finds out, in at most two waits.

The first wait is one Query of the names with a word starting with the term.
Only while these are fewer than asked for, the second asks for the names with
it inside a word and for the descriptions, side by side.
"""

from __future__ import unicode_literals

from .. import errors
from . import ranking
from ..store import formats, text
from .reading import Reading
from ..concurrency import side_by_side

__all__ = ['Search']

#: Eventually consistent, half a unit for 4 KB: the 29 postings of a page,
#: also with descriptions.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-consistency.html
_CONSISTENT = False
#: Items of a page that are asked for at most; a megabyte has fewer.
_LONGEST_PAGE = 20000


class Search(object):
    """Searches of one index.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param format: the Format to read; the current one by default.
    """

    def __init__(self, client, tables, format=None):
        self._client = client
        self._format = format or formats.CURRENT
        self._rows = tables['repository'].name
        self._table = tables['search'].name

    def search(self, term, limit=None, skip=0):
        """The repositories matching ``term``: a list of ranking.Result.

        Sorted by rank, then by name. docs/search.md says what a term means
        and what a limit leaves out.

        :param term: text, bytes of UTF-8, or None for everything.
        :param limit: at most so many results, 1 or more; None for all.
        :param skip: leave out so many that a limit of as many would keep:
            the next page after it.

        Costs one Query when the limit is reached by word starts, else three
        in two waits; each of half a read unit for up to 4 KB of postings.
        Several words cost three for each of the four longest, in one wait,
        when one of them is rare; else pages of the longest follow. Without a
        limit, as many pages as the result fills.

        :raises InvalidArgument: the limit is not a whole number from 1 on.
        :raises RequestFailed: nothing is returned rather than a part.
        """
        limit = _checked_limit(limit)
        words = ranking.parse(term)
        if words is None:
            return []
        if limit is not None:
            limit += skip
        if not words:
            return self._listed(None, limit)[skip:]
        readings = [Reading(self._query, self._format, word, words, limit)
                    for word in ranking.drivers(words)]
        return self._read_until_found(readings, limit).best(skip)

    def _read_until_found(self, readings, limit):
        """Read until one of several words has told all that match, or the
        first has told enough; return its Reading."""
        first = readings[0]
        if limit is None or len(readings) > 1:
            wanted = [stream for reading in readings
                      for stream in reading.streams]
        else:
            wanted = first.streams[:1]
        while True:
            self._read(wanted)
            for reading in readings:
                if reading.is_exhausted:
                    return reading
            wanted = first.still_needed()
            if not wanted:
                return first

    def names(self, after=None, limit=None):
        """Names in lexical order, those after ``after``: a list.

        One Query for each page of 1 MB, and one BatchGetItem for each 100
        names in it that are too long for one transaction.
        """
        return [result.name
                for result in self._listed(after, _checked_limit(limit))]

    def catalog(self, after=None, limit=None):
        """Names in the order of a registry's catalog, those after ``after``,
        which need be none: a list.

        Costs as names().
        """
        after = after and self._format.catalog_key(text.to_text(after))
        return [result.name for result in self._listed(
            after, _checked_limit(limit), self._format.catalog)]

    def _listed(self, after, limit, gram=None):
        condition, values = 'gram = :gram', {
            ':gram': {'S': gram or self._format.listed}}
        if after:
            condition += ' AND suffix > :after'
            values[':after'] = {'S': text.cut_to_key(after)}
        found, arguments = [], {}
        while True:
            if limit is not None:
                arguments['Limit'] = min(limit - len(found), _LONGEST_PAGE)
            page = self._client.call(
                'query', TableName=self._table,
                KeyConditionExpression=condition,
                ExpressionAttributeValues=values,
                ConsistentRead=_CONSISTENT, **arguments)
            found.extend(result for result, _ in self._whole(
                (item, None) for item in page['Items']))
            last = page.get('LastEvaluatedKey')
            if last is None or len(found) == limit:
                return found
            arguments['ExclusiveStartKey'] = last

    def _read(self, streams):
        """Read a page of each stream, all in one wait."""
        pages = side_by_side([stream.next_page for stream in streams])
        for result, stream in self._whole(
                (item, stream) for stream, page in zip(streams, pages)
                for item in page):
            stream.take(result)

    def _whole(self, items):
        """The results of (item, anything) pairs, without those of names too
        long for one transaction that are not indexed whole."""
        results = [(self._result(item), label, 'v' in item)
                   for item, label in items]
        asked = set(result.name for result, _, doubtful in results
                    if doubtful)
        indexed = self._indexed(sorted(asked))
        return [(result, label) for result, label, doubtful in results
                if not doubtful or result.name in indexed]

    def _indexed(self, names):
        """Those of ``names`` whose rows say that all postings are there.

        One BatchGetItem for each 100 names, half a read unit a name.
        """
        indexed = set()
        for first in range(0, len(names), 100):
            keys = [{'name': {'S': name}}
                    for name in names[first:first + 100]]
            found = self._client.batch_get({self._rows: {
                'Keys': keys, 'ProjectionExpression': '#name, #mark',
                'ExpressionAttributeNames': {
                    '#name': 'name', '#mark': self._format.mark}}})
            indexed.update(item['name']['S']
                           for item in found.get(self._rows, ())
                           if self._format.mark in item)
        return indexed

    def _query(self, wanted, size, start):
        """One page of the postings in a range."""
        arguments = {'Limit': size} if size else {}
        if start:
            arguments['ExclusiveStartKey'] = start
        return self._client.call(
            'query', TableName=self._table, ConsistentRead=_CONSISTENT,
            KeyConditionExpression=(
                'gram = :gram AND begins_with(suffix, :prefix)'),
            ExpressionAttributeValues={
                ':gram': {'S': wanted.gram},
                ':prefix': {'S': wanted.prefix}},
            **arguments)

    def _result(self, item):
        name = self._format.name_of(item['gram']['S'], item['suffix']['S'],
                                    item.get('n', {}).get('S'))
        return ranking.Result(name, item.get('d', {}).get('S', ''))


def _checked_limit(limit):
    """``limit`` itself, if it is None or a whole number from 1 on."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not hasattr(limit, '__index__') or limit < 1:
        raise errors.InvalidArgument(
            'limit', limit, 'give a whole number from 1 on, or None for all')
    return limit
