"""Search: a term in, the repositories it finds out, in at most two waits.

The first wait is one Query of the names with a word starting with the term.
Only while these are fewer than asked for, the second asks for the names with
it inside a word and for the descriptions, side by side.
"""

from __future__ import unicode_literals

import collections

from . import errors, postings, query, text
from .client import side_by_side

__all__ = ['Search']

#: Eventually consistent, half a unit for 4 KB: the 29 postings of a page,
#: also with descriptions.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-consistency.html
_CONSISTENT = False
#: The most items a page is asked to have; DynamoDB ends it at 1 MB anyway.
_PAGE = 1000


class Search(object):
    """Searches of one index.

    :param client: a Client.
    :param tables: what schema.tables gives.
    """

    def __init__(self, client, tables):
        self._client = client
        self._rows = tables['repository'].name
        self._table = tables['search'].name

    def search(self, term, limit=None):
        """The repositories matching ``term``: a list of query.Result.

        Sorted by rank, then by name. docs/search.md says what a term means
        and what a limit leaves out.

        :param term: text, bytes of UTF-8, or None for everything.
        :param limit: at most so many results, 1 or more; None for all.

        Costs one Query when the limit is reached by word starts, else three
        in two waits; each of half a read unit for up to 4 KB of postings.
        Without a limit, as many pages as the result fills.

        :raises InvalidArgument: the limit is not a whole number from 1 on.
        :raises RequestFailed: nothing is returned rather than a part.
        """
        limit = check_limit(limit)
        words = query.parse(term)
        if words is None:
            return []
        if not words:
            return self._listed(None, limit)
        found = _Found(words, limit)
        streams = [_Stream(self, kind, query.driver(words), limit)
                   for kind in query.CLASSES]
        wanted = streams if limit is None else streams[:1]
        while wanted:
            self._read(wanted, found)
            wanted = found.still_needed(streams)
        return found.best()

    def names(self, after=None, limit=None):
        """Names in lexical order, those after ``after``: a list.

        One Query for each page of 1 MB.
        """
        return [result.name
                for result in self._listed(after, check_limit(limit))]

    def _listed(self, after, limit):
        condition, values = 'gram = :gram', {
            ':gram': {'S': postings.LISTED}}
        if after:
            condition += ' AND suffix > :after'
            values[':after'] = {'S': text.cut_to_key(after)}
        found, arguments = [], {}
        while True:
            if limit is not None:
                arguments['Limit'] = min(limit - len(found), _PAGE)
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

    def _read(self, streams, found):
        """Read a page of each stream, all in one wait."""
        pages = side_by_side([stream.next_page for stream in streams])
        for result, kind in self._whole(
                (item, stream.kind) for stream, page in zip(streams, pages)
                for item in page):
            found.take(kind, result)

    def _whole(self, items):
        """The results of (item, anything) pairs, without those of names too
        long for one transaction that are not indexed whole."""
        results = [(_result(item), label, 'v' in item)
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
                'Keys': keys, 'ProjectionExpression': '#name, #postings',
                'ExpressionAttributeNames': {'#name': 'name',
                                             '#postings': 'postings'}}})
            indexed.update(item['name']['S']
                           for item in found.get(self._rows, ())
                           if 'postings' in item)
        return indexed

    def query(self, wanted, size, start):
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


class _Stream(object):
    """The postings of one class that answer a word, page by page."""

    def __init__(self, search, kind, word, limit):
        self._search = search
        self._range = query.range_of(kind, word)
        self._start = None
        # A little more than asked for, because a name that has the term
        # twice has two postings; still within half a read unit. From the
        # second page on, repeats are what there is most of.
        self._sizes = iter([limit + 4, 2 * limit + 8] if limit else [])
        self.kind = kind
        self.exhausted = False

    def next_page(self):
        size = next(self._sizes, None)
        page = self._search.query(
            self._range, size and min(size, _PAGE), self._start)
        self._start = page.get('LastEvaluatedKey')
        self.exhausted = self._start is None
        return page['Items']


class _Found(object):
    """The repositories found so far, each once, in its best class."""

    def __init__(self, words, limit):
        self._words = words
        self._limit = limit
        self._kept = collections.OrderedDict()

    def take(self, kind, result):
        """Keep a result that matches and was not found in a better class."""
        rank = query.rank(self._words, *result)
        if rank is None:
            return
        place = query.CLASSES.index(kind)
        if result.name in self._kept:
            if self._kept[result.name][0] <= place:
                return
            del self._kept[result.name]
        self._kept[result.name] = (place, rank, result)

    def still_needed(self, streams):
        """The streams that may hold a better result than those kept."""
        needed = []
        for place, stream in enumerate(streams):
            count = sum(kept[0] <= place for kept in self._kept.values())
            if self._limit is not None and count >= self._limit:
                break
            if not stream.exhausted:
                needed.append(stream)
        return needed

    def best(self):
        """The kept results, best class first up to the limit, in order."""
        best = sorted(self._kept.values(), key=lambda kept: kept[0])
        best = best[:self._limit]
        best.sort(key=lambda kept: (kept[1], kept[2].name))
        return [kept[2] for kept in best]


def check_limit(limit):
    """``limit`` itself, if it is None or a whole number from 1 on."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not hasattr(limit, '__index__') or limit < 1:
        raise errors.InvalidArgument(
            'limit', limit, 'give a whole number from 1 on, or None for all')
    return limit


def _result(item):
    name = postings.name_of(item['gram']['S'], item['suffix']['S'],
                            item.get('n', {}).get('S'))
    return query.Result(name, item.get('d', {}).get('S', ''))
