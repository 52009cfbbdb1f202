"""Reading postings: page by page, until no better result can follow.

The bookkeeping of a search; the requests are search.py's.
"""

from __future__ import unicode_literals

import collections

from . import ranking

__all__ = ['Reading']

#: The most postings a page is asked to have, before whole megabytes.
_PAGE = 1000


class Stream(object):
    """The postings of one class that answer a word, page by page."""

    def __init__(self, query_page, reading, place, wanted, sizes):
        self._query_page = query_page
        self._reading = reading
        self._range = wanted
        self._start = None
        self._sizes = iter(sizes)
        self.place = place
        self.is_exhausted = False

    def next_page(self):
        """Read one page more and return its items."""
        size = next(self._sizes, None)
        page = self._query_page(self._range, size, self._start)
        self._start = page.get('LastEvaluatedKey')
        self.is_exhausted = self._start is None
        return page['Items']

    def take(self, result):
        """Keep what was found in a page of this stream."""
        self._reading.take(self.place, result)


class Reading(object):
    """What the postings of one word tell: the repositories found by them
    that match all words, each once, in its best class.

    :param query_page: a function of a Range, a size and a start that returns
        a page; no size is a page of 1 MB.
    :param format: the Format to read.
    :param word: the one word.
    :param words: all words of the term.
    :param limit: of the search.
    """

    def __init__(self, query_page, format, word, words, limit):
        self.word = word
        self._format = format
        self._words = words
        self._limit = limit
        self._kept = collections.OrderedDict()
        self.streams = [
            Stream(query_page, self, place, format.range_of(kind, word),
                   _page_sizes(words, limit))
            for place, kind in enumerate(format.classes)]

    @property
    def is_exhausted(self):
        """Whether it has told all there are."""
        return all(stream.is_exhausted for stream in self.streams)

    def take(self, place, result):
        """Keep a result that matches and was not found in a better class."""
        rank = ranking.rank(self._words, *result)
        if rank is None:
            return
        if result.name in self._kept:
            if self._kept[result.name][0] <= place:
                return
            del self._kept[result.name]
        self._kept[result.name] = (place, rank, result)

    def still_needed(self):
        """The streams that may hold a better result than those kept."""
        needed = []
        for stream in self.streams:
            count = sum(kept[0] <= stream.place
                        for kept in self._kept.values())
            if self._limit is not None and count >= self._limit:
                break
            if not stream.is_exhausted:
                needed.append(stream)
        return needed

    def _order(self, kept):
        """Where a result stands among all, whatever was read, so that pages
        neither repeat nor lose one: as the postings of the first word do,
        whole words before others."""
        place, _, result = kept
        group = ranking.group(self._words, result.name)
        first = ranking.drivers(self._words)[0]
        if self.word == first:
            # In the order in which they were read.
            return place, group, ''
        place, suffixes = self._format.suffixes(first, *result)
        return place, group, min(suffixes)

    def best(self, skip=0):
        """The kept results, best group first, between what is skipped and
        the limit; in order."""
        best = list(self._kept.values())
        if skip or (self._limit is not None and len(best) > self._limit):
            best.sort(key=self._order)
            best = best[skip:self._limit]
        best.sort(key=lambda kept: (kept[1], kept[2].name))
        return [kept[2] for kept in best]


def _page_sizes(words, limit):
    """The sizes of a stream's first pages; those after are of 1 MB."""
    if limit is None:
        # Of several words, one that is rare makes all others needless.
        return [100] if len(words) > 1 else []
    # A little more than asked for, because a name that has the term twice has
    # two postings; still within half a read unit. From the second page on,
    # repeats are what there is most of.
    return [min(limit + 4, _PAGE), min(2 * limit + 8, _PAGE)]
