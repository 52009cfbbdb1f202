"""Search: reads ranges of postings until no better result can follow.

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

#: The most postings on each of a range's first pages; later pages have a megabyte.
_PAGE = 1000
#: The most items requested for a page of names; a megabyte has fewer.
_LONGEST_PAGE = 20000


class Search(object):
    """Searches one index, and lists its names.

    Reads are eventually consistent, at half the price. A push is found within a second, usually
    much sooner, and never in part.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-consistency.html

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def search(self, term, limit=None, skip=0):
        """Return a list of ranking.Result: the repositories that match ``term``.

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
            return self._list(None, limit)[skip:]
        searches = [WordSearch(self._store, word, words, limit) for word in ranking.longest(words)]
        return self._read_until_found(searches, limit).best(skip)

    def catalog(self, after=None, limit=None):
        """Return a list of the names after ``after``, any text, in the order of a registry's
        catalog. Costs one Query for each page of 1 MB, and one BatchGetItem for each 100 names in
        it that are too long for one transaction."""
        after = after and text.cut_to_key(postings.catalog_key(text.to_text(after)))
        return [result.name for result in self._list(after, _checked_limit(limit))]

    def _read_until_found(self, searches, limit):
        """Read until all postings of one word are read, or enough of the first word; return the
        WordSearch of that word."""
        first = searches[0]
        if limit is None or len(searches) > 1:
            wanted = [reader for search in searches for reader in search.readers]
        else:
            wanted = first.readers[:1]
        while True:
            self._read(wanted)
            for search in searches:
                if search.is_exhausted:
                    return search
            wanted = first.needed_readers()
            if not wanted:
                return first

    def _list(self, after, limit):
        found, start = [], None
        while True:
            size = None if limit is None else min(limit - len(found), _LONGEST_PAGE)
            page = self._store.query(postings.CATALOG, after=after, limit=size, start=start)
            found.extend(result for result, _ in self._complete_results(
                (item, None) for item in page['Items']))
            start = page.get('LastEvaluatedKey')
            if start is None or len(found) == limit:
                return found

    def _read(self, readers):
        """Read the next page of each reader, side by side."""
        pages = run_side_by_side([reader.next_page for reader in readers])
        for result, reader in self._complete_results(
                (item, reader) for reader, page in zip(readers, pages) for item in page):
            reader.keep(result)

    def _complete_results(self, items):
        """Return (result, label) of (item, label) pairs. Names that are too long for one
        transaction are left out if their postings are incomplete."""
        results = [(_result(item), label, 'v' in item) for item, label in items]
        doubtful = set(result.name for result, _, is_doubtful in results if is_doubtful)
        indexed = self._indexed_names(sorted(doubtful))
        return [(result, label) for result, label, is_doubtful in results
                if not is_doubtful or result.name in indexed]

    def _indexed_names(self, names):
        """Return the set of ``names`` whose rows record that all postings exist. Costs a
        BatchGetItem for each 100 names, half a read unit a name."""
        indexed, table = set(), self._store.repository_table
        for first in range(0, len(names), GET_BATCH):
            found = self._store.batch_get({table: {
                'Keys': [repository_key(name) for name in names[first:first + GET_BATCH]],
                'ProjectionExpression': '#name, #postings',
                'ExpressionAttributeNames': {'#name': 'name', '#postings': Row.POSTINGS}}})
            indexed.update(item['name']['S'] for item in found.get(table, ())
                           if Row.of(item).is_indexed)
        return indexed


class RangeReader(object):
    """Reads the postings of one class that match a word, page by page. ``place`` is the index of
    the class in postings.CLASSES; ``sizes`` are the numbers of postings on the first pages."""

    def __init__(self, store, search, place, wanted, sizes):
        self._store = store
        self._search = search
        self._range = wanted
        self._start = None
        self._sizes = iter(sizes)
        self.place = place
        self.is_exhausted = False

    def next_page(self):
        """Read one more page and return its items."""
        page = self._store.query(self._range.gram, self._range.prefix,
                                 limit=next(self._sizes, None), start=self._start)
        self._start = page.get('LastEvaluatedKey')
        self.is_exhausted = self._start is None
        return page['Items']

    def keep(self, result):
        """Keep a result of this range."""
        self._search.keep(self.place, result)


class WordSearch(object):
    """Reads the postings of one word, and keeps the repositories that match all words of the term,
    each once, in its best class.

    :param word: the one word.
    :param words: all words of the term.
    :param limit: the limit of the search."""

    def __init__(self, store, word, words, limit):
        self.word = word
        self._words = words
        self._limit = limit
        self._kept = collections.OrderedDict()
        self.readers = [
            RangeReader(store, self, place, postings.range_of(kind, word),
                        _page_sizes(words, limit))
            for place, kind in enumerate(postings.CLASSES)]

    @property
    def is_exhausted(self):
        """True if all postings of the word were read."""
        return all(reader.is_exhausted for reader in self.readers)

    def keep(self, place, result):
        """Keep a result if it matches all words, and is not kept in a better class already."""
        rank = ranking.rank(self._words, *result)
        if rank is None:
            return
        if result.name in self._kept:
            if self._kept[result.name][0] <= place:
                return
            del self._kept[result.name]
        self._kept[result.name] = (place, rank, result)

    def needed_readers(self):
        """Return the readers whose ranges may contain a better result than those kept."""
        needed = []
        for reader in self.readers:
            count = sum(kept[0] <= reader.place for kept in self._kept.values())
            if self._limit is not None and count >= self._limit:
                break
            if not reader.is_exhausted:
                needed.append(reader)
        return needed

    def best(self, skip=0):
        """Return the best results, without the first ``skip``, in the order of a search."""
        best = list(self._kept.values())
        if skip or (self._limit is not None and len(best) > self._limit):
            best.sort(key=self._limit_order)
            best = best[skip:self._limit]
        best.sort(key=lambda kept: (kept[1], kept[2].name))
        return [kept[2] for kept in best]

    def _limit_order(self, kept):
        """Return the key by which a limit prefers a result: whole words first, as in the postings.
        It does not depend on the postings that were read, so pages neither repeat nor lose a
        result."""
        place, _, result = kept
        group = ranking.group(self._words, result.name)
        first = ranking.longest(self._words)[0]
        if self.word == first:
            # In the order in which they were read.
            return place, group, ''
        place, suffixes = postings.best_class(first, *result)
        return place, group, min(suffixes)


def _page_sizes(words, limit):
    """Return the numbers of postings on a range's first pages; later pages have 1 MB."""
    if limit is None:
        # If one of several words is rare, the others need not be read.
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
