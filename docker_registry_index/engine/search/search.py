"""Search: reads the postings that match a word, and lists names.

Reads are eventually consistent, at half the price. A push is found within a second, usually much
sooner.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-consistency.html"""

from __future__ import unicode_literals

import collections

from .. import errors
from ..store import postings, text
from . import ranking

#: The most postings that a search with a limit reads, and so the number of its last result.
MOST = 500
#: The most read units of a search with a limit, or of a page of the catalog, and the most Queries.
MOST_UNITS, MOST_QUERIES = 16, 8
#: The bytes of the largest posting: the name has 255 characters of ASCII, and the description has
#: 100, both without capitals. Only names or descriptions in other scripts or in capitals need more.
LARGEST_POSTING = 725
#: The bytes of an eventually consistent read that cost half a unit, the least that is billed.
_HALF_UNIT_BYTES = 4096
#: A page of fewer postings is not worth another request.
_SHORTEST_PAGE = 40
_UNBOUNDED = float('inf')
#: The most words that DynamoDB compares with a posting: an expression has 4 KB at most.
_FILTERS = 50
#: The most items requested for a page of names; a megabyte has fewer.
_NAMES = 20000
#: The names of each Query that lists a namespace.
_BROWSED = 100
_CATALOG = postings.Range(postings.CATALOG, None)


class Results(list):
    """The results of a search, a list of ranking.Result; or a page of the catalog, a list of names.

    :ivar is_incomplete: True if the search has read as many postings as it may, and others may
        match. Results that only the limit leaves out do not count. For a page of the catalog, True
        if other names may follow."""

    def __init__(self, results=(), is_incomplete=False):
        super(Results, self).__init__(results)
        self.is_incomplete = is_incomplete


class _Budget(object):
    """The read units that a search may still use.

    :param units: _UNBOUNDED for a search without a limit."""

    def __init__(self, units):
        self._units, self._queries = units, 0

    @property
    def postings(self):
        """The most postings of the next page: the units pay for them, however large they are."""
        if self._units == _UNBOUNDED:
            return _UNBOUNDED
        if self._queries == MOST_QUERIES:
            return 0
        most = int(2 * self._units) * _HALF_UNIT_BYTES // LARGEST_POSTING
        return most if most >= _SHORTEST_PAGE else 0

    def use(self, page):
        """Note the units of a page. Engines that are not Amazon's may report none."""
        self._units -= page.get('ConsumedCapacity', {}).get('CapacityUnits', 0)
        self._queries += 1


class Search(object):
    """Searches one index, and lists its names.

    :param store: a Store."""

    def __init__(self, store):
        self._store = store
        self._most = store.settings.max_results

    def search(self, term, limit=None, skip=0):
        """Return the Results for ``term``, sorted by rank, then by name.

        docs/search.md defines what a term means and what a limit leaves out.

        :param term: text, bytes of UTF-8, or None for everything.
        :param limit: the most results, 1 or more; None for as many as the setting max_results.
        :param skip: the number of results before these, for pages: the first page of 25 is (25, 0),
            the next one (25, 25). Pages end at result 500.

        Costs one Query for one word, at half a read unit for each 4 KB of postings. If many names
        contain the word several times, as with a single letter, it costs another Query. Several
        words cost a Query of 180 postings, and another one if the word has more postings. A limit
        above 150 may cost a few more. With a limit, all of them together cost at most 16 read
        units. Without a limit, a search reads all pages of the result.

        :raises InvalidArgument: the limit is not a whole number from 1 on.
        :raises RequestFailed: no partial result is returned."""
        limit = _checked_limit(limit)
        words = ranking.parse(term)
        if words is None:
            return Results()
        end = self._most if limit is None else skip + limit
        most, units = (self._most, _UNBOUNDED) if limit is None else (MOST, MOST_UNITS)
        if len(words) > 1:
            found, is_whole = self._matching(words, most, _Budget(units))
            return Results(_ranked(words, found)[skip:end], not is_whole)
        if limit is None:
            most = _UNBOUNDED
        found, is_whole = self._first(words, end, most, _Budget(units))
        is_incomplete = not is_whole and (limit is None or len(found) < end)
        return Results(_ranked(words, found[skip:]), is_incomplete)

    def catalog(self, after=None, limit=None, is_bounded=True):
        """Return the names after ``after``, any text, in the order of a registry's catalog, as
        Results.

        Costs one Query for each page of 1 MB. With a limit, costs one Query for up to 180 names and
        up to eight for more, and at most 16 read units. So it may return fewer names than the
        limit, although others follow.

        :param is_bounded: False to return as many names as the limit at any cost."""
        after = after and text.cut_to_key(postings.catalog_key(text.to_text(after)))
        limit = _checked_limit(limit)
        names, is_last = Results(), False
        most = _UNBOUNDED if limit is None else limit
        budget = _Budget(MOST_UNITS if limit is not None and is_bounded else _UNBOUNDED)
        for results, is_last in self._pages(_CATALOG, most, budget, _NAMES, after=after):
            names += [result.name for result in results]
        names.is_incomplete = not is_last
        return names

    def browse(self, inside='', after=None, limit=100):
        """Return what is directly inside a namespace, in the order of a registry's catalog, as
        Results: repositories, and further namespaces, whose names end with a slash.

        :param inside: a namespace with a slash at its end, such as ``team/``; or '' for everything.
        :param after: the last name of the Results before these, for pages.
        :param limit: the most results.

        Costs one Query for each 100 names, or for fewer names if they end in a namespace: the next
        Query jumps behind it. All of them are at most eight, and cost at most 16 read units. So
        this may return fewer results than the limit, although others follow."""
        found, budget = Results(), _Budget(MOST_UNITS)
        inside, after = text.to_text(inside), text.to_text(after)
        start = max(postings.catalog_key(inside), _key_behind(after))
        while budget.postings:
            page = self._store.query(postings.CATALOG, after=text.cut_to_key(start),
                                     limit=min(_BROWSED, budget.postings))
            budget.use(page)
            for name, description in map(postings.fields_of, page['Items']):
                if not name.startswith(inside):
                    return found
                end = name.find('/', len(inside)) + 1
                entry = ranking.Result(name[:end], '') if end else ranking.Result(name, description)
                if found and entry == found[-1]:
                    continue
                found.is_incomplete = len(found) == limit
                if found.is_incomplete:
                    return found
                found.append(entry)
            if 'LastEvaluatedKey' not in page:
                return found
            # The last item may be inside a namespace, whose other names are skipped. A page may
            # have no items, although others follow.
            start = max(page['LastEvaluatedKey']['suffix']['S'],
                        _key_behind(found[-1].name) if found else '')
        found.is_incomplete = True
        return found

    def _first(self, words, end, most, budget):
        """Return the first ``end`` repositories in the order of their postings, each once, and
        whether these are all.

        :param most: the most postings to read.
        :param budget: a _Budget."""
        wanted, first = _CATALOG, end
        if words:
            # A few more, because a name may have several postings of a word.
            wanted, first = postings.range_of(words[0]), end + max(16, end // 6)
        if most == _UNBOUNDED:
            first = most
        found = collections.OrderedDict()
        for results, is_last in self._pages(wanted, most, budget, first):
            for result in results:
                found.setdefault(result.name, result)
            if is_last or len(found) >= end:
                break
        return list(found.values())[:end], is_last and len(found) <= end

    def _matching(self, words, most, budget):
        """Return the repositories that match several words, and whether these are all. Only the
        postings of the two longest words are read: they are probably the rarest.

        :param most: the most postings to read of each word. For each repository found, one posting
            fewer of the second word is read: if many were found, both words are common.
        :param budget: a _Budget. If it has a bound, one page of each word is read."""
        found, is_whole = {}, False
        longest = sorted(words, key=len, reverse=True)
        for word in longest[:2]:
            left = min(most, budget.postings) - len(found)
            if left <= 0:
                break
            others = [other for other in longest if other != word][:_FILTERS]
            for results, is_whole in self._pages(
                    postings.range_of(word), left, budget, words=others):
                found.update((result.name, result) for result in results)
            if is_whole:
                break
        return found.values(), is_whole

    def _pages(self, wanted, most=_UNBOUNDED, budget=None, first=_UNBOUNDED, words=(), after=None):
        """Yield the results of each page of a Range, and whether it is the last one.

        :param most: the most postings to read.
        :param budget: a _Budget; None for no bound.
        :param first: the most postings of the first page, and of each one if ``most`` is not given.
        :param words: only postings whose name or description contains these.
        :param after: as for Store.query."""
        budget, size, start = budget or _Budget(_UNBOUNDED), first, None
        # boto3 spends most of the time of a search on parsing attributes, so only those that are
        # needed are read. The catalog needs the keys, too: it also lists a name whose text another
        # program has removed.
        attributes = postings.TEXT if wanted.prefix else None
        while True:
            size = min(size, most, budget.postings)
            if size == 0:
                return
            page = self._store.query(wanted.gram, wanted.prefix, after=after,
                                     limit=None if size == _UNBOUNDED else size, start=start,
                                     words=words, attributes=attributes)
            start = page.get('LastEvaluatedKey')
            budget.use(page)
            yield [ranking.Result(*postings.fields_of(item)) for item in page['Items']], not start
            if not start:
                return
            if most != _UNBOUNDED:
                size = most = most - page['ScannedCount']


def _key_behind(name):
    """Return the greatest key of a name; or, of a namespace, one that is greater than all of its
    names and less than every other one."""
    if name.endswith('/'):
        return postings.catalog_key(name[:-1]) + '\x02'
    return postings.catalog_key(name)


def _ranked(words, results):
    """Return the results that match, best first; all as they are, if there is no word."""
    if not words:
        return results
    ranks = ((ranking.rank(words, *result), result.name, result) for result in results)
    return [result for rank, _, result in sorted(each for each in ranks if each[0] is not None)]


def _checked_limit(limit):
    """Return ``limit`` if it is None or a whole number from 1 on; else raise InvalidArgument."""
    if limit is None:
        return None
    if isinstance(limit, bool) or not hasattr(limit, '__index__') or limit < 1:
        raise errors.InvalidArgument(
            'limit', limit, 'give a positive whole number, or None for all')
    return limit
