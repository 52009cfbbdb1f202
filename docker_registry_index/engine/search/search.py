"""Search: ranges of postings, read until no better result can follow.

A search never returns a partial result: it is complete or fails. Postings of names too long for one
transaction have a flag. The row of such a repository records whether all its postings exist."""

from __future__ import unicode_literals

import collections

from .. import errors
from ..concurrency import run_side_by_side
from ..store import postings, text
from ..store.records import Row, repository_key
from ..store.store import GET_BATCH
from . import ranking

__all__ = ['Search']

#: The most postings of a range's first pages; later pages have a megabyte.
_PAGE = 1000
#: The most items that a page of names is asked for; a megabyte has fewer.
_LONGEST_PAGE = 20000


class Search(object):
    """Searches of one index.

    Reads are eventually consistent, at half the price: a push is found within a second, usually
    much sooner, and never in part.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-consistency.html

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def search(self, term, limit=None, skip=0):
        """Return the repositories matching ``term``: a list of ranking.Result.

        Sorted by rank, then by name. docs/search.md defines what a term means and what a limit
        leaves out.

        :param term: text, bytes of UTF-8, or None for everything.
        :param limit: the most results, 1 or more; None for all.
        :param skip: the number of results before these, for pages: the first page of 25 is (25, 0),
            the next one (25, 25).

        Costs one Query if word starts reach the limit, otherwise three in two waits; each has half
        a read unit for up to 4 KB of postings. Several words cost three for each of the four
        longest, in one wait, if one of them is rare; otherwise pages of the longest follow. Without
        a limit, a search reads all pages of the result.

        :raises InvalidArgument: the limit is not a whole number from 1 on.
        :raises RequestFailed: no partial result is returned."""
        limit = _checked_limit(limit)
        words = ranking.parse(term)
        if words is None:
            return []
        if limit is not None:
            limit += skip
        if not words:
            return self._listed(None, limit)[skip:]
        readings = [Reading(self._store, word, words, limit) for word in ranking.longest(words)]
        return self._read_until_found(readings, limit).best(skip)

    def catalog(self, after=None, limit=None):
        """Return the names after ``after``, which may be any text, in the order of a registry's
        catalog: a list. Costs one Query for each page of 1 MB, and one BatchGetItem for each 100
        names in it that are too long for one transaction."""
        after = after and text.cut_to_key(postings.catalog_key(text.to_text(after)))
        return [result.name for result in self._listed(after, _checked_limit(limit))]

    def _read_until_found(self, readings, limit):
        """Read until all postings of one word are read, or enough of the first word; return the
        Reading of that word."""
        first = readings[0]
        if limit is None or len(readings) > 1:
            wanted = [pages for reading in readings for pages in reading.ranges]
        else:
            wanted = first.ranges[:1]
        while True:
            self._read(wanted)
            for reading in readings:
                if reading.is_exhausted:
                    return reading
            wanted = first.still_needed()
            if not wanted:
                return first

    def _listed(self, after, limit):
        found, start = [], None
        while True:
            size = None if limit is None else min(limit - len(found), _LONGEST_PAGE)
            page = self._store.query(postings.CATALOG, after=after, limit=size, start=start)
            found.extend(result for result, _ in self._whole(
                (item, None) for item in page['Items']))
            start = page.get('LastEvaluatedKey')
            if start is None or len(found) == limit:
                return found

    def _read(self, ranges):
        """Read a page of each range, side by side."""
        read = run_side_by_side([pages.next_page for pages in ranges])
        for result, pages in self._whole(
                (item, pages) for pages, page in zip(ranges, read) for item in page):
            pages.take(result)

    def _whole(self, items):
        """Return the results of (item, label) pairs, without those of names too long for one
        transaction whose postings are incomplete."""
        results = [(_result(item), label, 'v' in item) for item, label in items]
        doubtful = set(result.name for result, _, is_doubtful in results if is_doubtful)
        indexed = self._indexed(sorted(doubtful))
        return [(result, label) for result, label, is_doubtful in results
                if not is_doubtful or result.name in indexed]

    def _indexed(self, names):
        """Return those of ``names`` whose rows record that all postings exist. Costs a BatchGetItem
        for each 100 names, half a read unit a name."""
        indexed, table = set(), self._store.repository_table
        for first in range(0, len(names), GET_BATCH):
            found = self._store.batch_get({table: {
                'Keys': [repository_key(name) for name in names[first:first + GET_BATCH]],
                'ProjectionExpression': '#name, #postings',
                'ExpressionAttributeNames': {'#name': 'name', '#postings': Row.POSTINGS}}})
            indexed.update(item['name']['S'] for item in found.get(table, ())
                           if Row.of(item).is_indexed)
        return indexed


class Pages(object):
    """The postings of one class that match a word, page by page."""

    def __init__(self, store, reading, place, wanted, sizes):
        self._store = store
        self._reading = reading
        self._range = wanted
        self._start = None
        self._sizes = iter(sizes)
        self.place = place
        self.is_exhausted = False

    def next_page(self):
        """Read one page more and return its items."""
        page = self._store.query(self._range.gram, self._range.prefix,
                                 limit=next(self._sizes, None), start=self._start)
        self._start = page.get('LastEvaluatedKey')
        self.is_exhausted = self._start is None
        return page['Items']

    def take(self, result):
        """Keep a result of a page of this range."""
        self._reading.take(self.place, result)


class Reading(object):
    """The results of the postings of one word: the repositories that match all words of the term,
    each once, in its best class.

    :param word: the one word.
    :param words: all words of the term.
    :param limit: the limit of the search."""

    def __init__(self, store, word, words, limit):
        self.word = word
        self._words = words
        self._limit = limit
        self._kept = collections.OrderedDict()
        self.ranges = [
            Pages(store, self, place, postings.range_of(kind, word), _page_sizes(words, limit))
            for place, kind in enumerate(postings.CLASSES)]

    @property
    def is_exhausted(self):
        """True if all postings of the word were read."""
        return all(pages.is_exhausted for pages in self.ranges)

    def take(self, place, result):
        """Keep a result that matches all words and was not found in a better class."""
        rank = ranking.rank(self._words, *result)
        if rank is None:
            return
        if result.name in self._kept:
            if self._kept[result.name][0] <= place:
                return
            del self._kept[result.name]
        self._kept[result.name] = (place, rank, result)

    def still_needed(self):
        """Return the ranges that may contain a better result than those kept."""
        needed = []
        for pages in self.ranges:
            count = sum(kept[0] <= pages.place for kept in self._kept.values())
            if self._limit is not None and count >= self._limit:
                break
            if not pages.is_exhausted:
                needed.append(pages)
        return needed

    def best(self, skip=0):
        """Return the results from ``skip`` to the limit, in order; the best groups are kept."""
        best = list(self._kept.values())
        if skip or (self._limit is not None and len(best) > self._limit):
            best.sort(key=self._order)
            best = best[skip:self._limit]
        best.sort(key=lambda kept: (kept[1], kept[2].name))
        return [kept[2] for kept in best]

    def _order(self, kept):
        """Return the sort key of a result. It does not depend on the postings that were read, so
        pages neither repeat nor lose a result: whole words come first, as in the postings."""
        place, _, result = kept
        group = ranking.group(self._words, result.name)
        first = ranking.longest(self._words)[0]
        if self.word == first:
            # In the order in which they were read.
            return place, group, ''
        place, suffixes = postings.best_class(first, *result)
        return place, group, min(suffixes)


def _page_sizes(words, limit):
    """Return the sizes of a range's first pages; later pages have 1 MB."""
    if limit is None:
        # Of several words, a rare one makes reading the others unnecessary.
        return [100] if len(words) > 1 else []
    # A little more than the limit, because a name that has the term twice has two postings; still
    # within half a read unit. From the second page on, most postings are such repeats.
    return [min(limit + 4, _PAGE), min(2 * limit + 8, _PAGE)]


def _result(item):
    return ranking.Result(postings.name_of(item), item.get('d', {}).get('S', ''))


def _checked_limit(limit):
    """Return ``limit`` if it is None or a whole number from 1 on; else raise InvalidArgument."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not hasattr(limit, '__index__') or limit < 1:
        raise errors.InvalidArgument(
            'limit', limit, 'give a positive whole number, or None for all')
    return limit
