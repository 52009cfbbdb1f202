# -*- coding: utf-8 -*-
"""Searches that the contract does not cover: pages, repeats, bounds, and the catalog."""
from __future__ import unicode_literals

import random

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.search import search
from docker_registry_index.engine.store.store import Store
from tests.contract import oracle
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import Throttle, taken_back
from tests.helpers.names import name_with_postings
from tests.helpers.requests_made import RequestsMade


def loaded(endpoint, repositories):
    """Yield an index of these repositories, a dictionary of descriptions by name."""
    made = EngineIndex(endpoint).ready(repositories.items())
    yield made
    made.delete_tables()


#: Seven names with six words each that start with "a".
REPEATS = ['r%d/%s' % (number, '-'.join('a%d%d' % (number, word) for word in range(6)))
           for number in range(7)]
#: It needs several transactions.
LONG = name_with_postings(100)
REPOSITORIES = dict.fromkeys(REPEATS + [LONG], 'Shop')


@pytest.fixture(scope='module')
def shared(dynamodb_endpoint):
    for made in loaded(dynamodb_endpoint, REPOSITORIES):
        yield made


@pytest.fixture
def index(shared):
    with taken_back(shared.engine):
        yield shared


@pytest.fixture
def made(index):
    return RequestsMade(index.engine)


@pytest.fixture
def reads_at_most(monkeypatch):
    def set_limits(count):
        monkeypatch.setattr(search, 'MOST', count)
        monkeypatch.setattr(search, 'MOST_UNITS', 1000)

    return set_limits


def test_names_that_repeat_the_term_fill_the_limit(index, made):
    for limit in range(1, 10):
        found = index.search('a', limit)
        assert (len(found), found.is_incomplete) == (min(limit, 8), False)
    # 19 postings have four names, 21 have no more.
    for limit, queries in (4, 1), (5, 2):
        with made.counted():
            assert len(index.search('a', limit)) == limit
        assert made.operations == ['Query'] * queries


def test_a_search_is_incomplete_if_what_it_may_read_does_not_fill_the_limit(
        index, made, reads_at_most):
    reads_at_most(30)
    # 30 postings have five names; the first Query has 22 of them.
    for limit, count, is_incomplete in (5, 5, False), (6, 5, True), (10 ** 40, 5, True):
        with made.counted():
            found = index.search('a', limit)
        assert (len(found), found.is_incomplete) == (count, is_incomplete)
        assert made.operations == ['Query'] * (1 if limit > 30 else 2)
    found = index.engine.search('a', 4, 4)
    assert (len(found), found.is_incomplete) == (1, True)
    assert not index.search('a').is_incomplete and not index.search('a3', 7).is_incomplete
    # No page is beyond what may be read, not even of the empty term.
    reads_at_most(6)
    for term in '', 'shop':
        pages = [index.engine.search(term, limit, skip)
                 for limit, skip in [(3, 0), (3, 3), (3, 6), (7, 0), (8, 1)]]
        assert [(len(found), found.is_incomplete) for found in pages] == [
            (3, False), (3, False), (0, True), (6, True), (5, True)]


def test_of_several_words_the_two_longest_are_read_until_one_is_whole(
        index, made, reads_at_most):
    def count_of(term, limit=9, **more):
        with made.counted():
            found = index.search(term, limit, **more)
        assert set(map(tuple, found)) <= set(oracle.answer(REPOSITORIES, term))
        return len(found), found.is_incomplete, len(made.operations)

    reads_at_most(6)
    # Six postings of each word: "r3/" has one, "shop" has eight, "a" has 42 and that of LONG.
    assert count_of('r3/ shop a') == (1, False, 2)
    assert count_of('r3/a shop') == (1, False, 1)
    assert count_of('nothing shop') == (0, False, 1)
    # Each posting of "shop" matches, so the second Query would have no posting left. The page
    # itself does not matter.
    assert count_of('shop a') == (6, True, 1)
    assert count_of('shop a', 2) == (2, True, 1)
    reads_at_most(7)
    # "a5" and "a6" have six postings, with r5 and r6. The first Query has found only r5.
    assert count_of('shop a6') == (1, False, 2)
    assert count_of('shop a5') == (1, True, 2)
    reads_at_most(100)
    assert count_of('shop a') == (8, False, 1)
    # Postings that the filter leaves out count, too.
    reads_at_most(9)
    assert count_of('shop a62 a61') == (1, False, 1)
    reads_at_most(2)
    assert count_of('hop a62 a') == (0, False, 1)
    assert count_of('shop r') == (1, True, 2)


def test_without_a_limit_all_pages_are_read_up_to_the_setting(index, made, monkeypatch):
    few = index.another(max_results=7)
    found = few.search('a')
    assert (len(found), found.is_incomplete) == (7, True)
    # A megabyte has seven postings.
    query = Store.query
    monkeypatch.setattr(Store, 'query', lambda store, gram, prefix=None, limit=None, **more: query(
        store, gram, prefix, limit=min(limit or 7, 7), **more))
    for term in '', 'a', 'shop a', 'a r':
        found = index.search(term)
        assert (found, found.is_incomplete) == (oracle.answer(REPOSITORIES, term), False)
    with made.counted():
        assert len(index.search('a shop')) == 8
    assert made.operations == ['Query'] * 2
    for term, count in ('', 7), ('a', 7), ('shop', 7):
        found = few.search(term)
        assert (len(found), found.is_incomplete) == (count, True)
    found = few.search('shop a')
    assert found.is_incomplete and 0 < len(found) <= 8
    for term in 'a3', 'r3/ shop', 'shop a33':
        found = few.search(term)
        assert (found, found.is_incomplete) == (oracle.answer(REPOSITORIES, term), False)
    assert index.another(max_results=8).search('a') == oracle.answer(REPOSITORIES, 'a')


def test_a_term_of_any_number_of_words_is_compared_with_all_of_them(index):
    parts = [REPEATS[3][start:start + length] for length in (4, 3, 2) for start in range(20)]
    assert index.search(' '.join(parts), 5) == [(REPEATS[3], 'Shop')]
    assert index.search(' '.join(parts + ['zz'])) == []
    assert index.search(' '.join('%x' % number for number in range(2000))) == []


def test_a_search_that_fails_returns_no_partial_result(index):
    for term in 'a', 'shop a', '':
        Throttle(index.engine, 'Query', index.settings.attempts)
        with pytest.raises(errors.RequestFailed) as failed:
            index.search(term, 5)
        assert failed.value.retryable and index.settings.search_table in str(failed.value)


def test_a_posting_whose_text_another_program_has_removed_is_found_by_a_check_alone(index):
    try:
        for suffix in 'ghost\x01a/', 'ghost\x01\x02' + 'a' * 16, 'ghost', 'ghost\x7fa/b':
            index.store.call('put_item', TableName=index.settings.search_table, Item={
                'gram': {'S': 'sg'}, 'suffix': {'S': suffix}})
        for term in 'ghost', 'ghost a', 'g', 'host':
            assert index.search(term) == index.search(term, 5) == []
        assert index.search('') == oracle.answer(REPOSITORIES, '')
    finally:
        assert len(list(index.engine.checker().check(repair=True))) == 3
    assert index.assert_whole()


def odd_names(count):
    """Return names that have the words of a term in many places; the same at every run."""
    dice = random.Random(2026)
    words = ['api', 'web', 'sql', 'a', 'aa', 'proxy', '1', 'x', 'db']

    def part():
        return dice.choice(['', '-', '_', '.']).join(
            dice.choice(words) for _ in range(dice.randint(1, 4)))

    return sorted('%s/%s' % (part(), part()) for _ in range(count))


@pytest.fixture(scope='module')
def paged(dynamodb_endpoint):
    """An index of which more than a page of 25 contains "proxy", in names and descriptions."""
    is_in_process = EngineIndex(dynamodb_endpoint).is_in_process
    names = (['t%d/proxy-%d' % (number % 5, number) for number in range(9)] +
             ['p-proxy/%d' % number for number in range(6)] +
             ['a/roproxy%d' % number for number in range(8)] +
             ['a/web%d' % number for number in range(4)])
    described = dict(dict.fromkeys(names), **dict.fromkeys(names[-4:], 'proxy of all'))
    described.update(dict.fromkeys(odd_names(12 if is_in_process else 400)))
    for made in loaded(dynamodb_endpoint, described):
        yield made


@pytest.mark.parametrize('term', ['', 'proxy', 'roproxy', 'p', 'web', 'nothing', 'a proxy',
                                  'web sql', 'api web a', 'a'])
def test_pages_have_each_repository_once(paged, reads_at_most, term):
    # Of most names, "a" is more than once a part.
    reads_at_most(1500)
    whole = paged.search(term)
    assert whole == oracle.answer(dict(paged.search('')), term)
    for size in (10, 25) if term != 'roproxy' else (1, 3):
        found = []
        for skip in range(0, len(whole) + size, size):
            page = [tuple(result) for result in paged.engine.search(term, size, skip)]
            assert len(page) == max(0, min(size, len(whole) - skip))
            found += page
        assert sorted(found) == sorted(whole)
        # The first page is the result with a limit.
        assert found[:size] == paged.search(term, size)
        oracle.check_limited(dict(paged.search('')), term, size, paged.search(term, size))


#: In the order of a registry:
#: https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go
LISTED = ['9/x', 'a', 'a/b', 'a/b/c', 'a/c', 'a-b/c', 'a.b/c', 'a0/x', 'a_b/c', 'ab', 'foo',
          'foo/bar', 'foo-bar', 'foo.bar', 'foo__bar/x',
          'team/%s' % name_with_postings(100).replace('/', '-')]


@pytest.fixture(scope='module')
def listed(dynamodb_endpoint):
    for made in loaded(dynamodb_endpoint, dict(dict.fromkeys(LISTED), foo='described')):
        yield made


@pytest.mark.parametrize('size', [None, 1, 2, 5, len(LISTED), 1000])
def test_pages_of_the_catalog_are_in_the_order_of_a_registry(listed, size):
    pages = [listed.engine.catalog(None, size)]
    while pages[-1]:
        pages.append(listed.engine.catalog(pages[-1][-1], size))
    assert sum(pages, []) == LISTED
    assert size is None or max(map(len, pages)) <= size


def test_a_page_of_the_catalog_begins_after_any_text(listed):
    for after in LISTED + [
            '', '0', 'A', 'a-', 'a/', 'a/bb', 'fo', 'foo.', 'zzz', 'é', '\x00', 'a' * 3000,
            LISTED[3] + '\x00', LISTED[3] * 500, '\U0001f433', '\U0010ffff' * 1000, 'é' * 5000,
            '\ud800']:
        key = after.replace('/', '\x00')
        expected = [name for name in LISTED if name.replace('/', '\x00') > key]
        assert listed.engine.catalog(after) == expected, after
        assert listed.engine.catalog(after, limit=2) == expected[:2], after


def test_an_empty_search_lists_the_catalog_with_descriptions(listed):
    described = [(name, 'described' if name == 'foo' else '') for name in LISTED]
    assert listed.search('') == described and listed.search('', 5) == described[:5]
    listed.engine.add('new/one', 'words')
    assert ('new/one', 'words') in listed.search('') and 'new/one' in listed.engine.catalog()
    listed.engine.remove('new/one')
    assert listed.search('') == described and listed.assert_whole()


def inside(names, namespace):
    """Return what browse should return, by brute force."""
    found = []
    for name in names:
        if name.startswith(namespace):
            part, slash, _ = name[len(namespace):].partition('/')
            entry = namespace + part + slash
            found += [] if entry in found else [entry]
    return found


@pytest.mark.parametrize('names', [1, 2, 3, 100])
@pytest.mark.parametrize('size', [1, 2, 3, 100])
@pytest.mark.parametrize('namespace', ['', 'a/', 'a/b/', 'foo/', 'team/', 'none/', 'zz/'])
def test_pages_of_a_namespace_list_each_part_of_it_once(
        listed, monkeypatch, names, size, namespace):
    monkeypatch.setattr(search, '_BROWSED', names)
    found, page = [], None
    while page is None or page.is_incomplete:
        page = listed.engine.browse(namespace, found[-1] if found else None, size)
        assert len(page) <= size and (page or not page.is_incomplete)
        found += [name for name, _ in page]
        assert len(found) == len(set(found)), found
    assert found == inside(LISTED, namespace)


def test_a_namespace_has_the_descriptions_of_repositories(listed):
    assert ('foo', 'described') in listed.engine.browse() and ('foo/', '') in listed.engine.browse()


@pytest.mark.parametrize('after', ['', 'A', 'a', 'a/', 'a-', 'fo', 'foo/', 'zzz', 'é', '\x00',
                                   'a' * 3000, '\U0010ffff' * 1000, '\ud800', 'a/' * 2000])
def test_a_page_of_a_namespace_begins_after_any_text(listed, after):
    key = after[:-1].replace('/', '\x01') + '\x02' if after.endswith('/') else (
        after.replace('/', '\x01'))
    names = [name for name in LISTED if name.replace('/', '\x01') > key]
    assert [name for name, _ in listed.engine.browse('', after)] == inside(names, '')
    assert [name for name, _ in listed.engine.browse('a/', after)] == inside(names, 'a/')
    namespace = after.rstrip('/') + '/'
    assert [name for name, _ in listed.engine.browse(namespace)] == inside(LISTED, namespace)


def test_a_namespace_goes_on_after_a_page_without_items(listed, monkeypatch):
    """DynamoDB may return such a page, followed by others."""
    query, emptied = Store.query, []

    def first_is_empty(store, gram, **more):
        page = query(store, gram, **more)
        if not emptied:
            emptied.append(page)
            page = dict(page, Items=[], LastEvaluatedKey={
                'gram': {'S': gram}, 'suffix': {'S': more['after'] or '\x01'}})
        return page
    monkeypatch.setattr(Store, 'query', first_is_empty)
    assert [name for name, _ in listed.engine.browse('a/')] == inside(LISTED, 'a/') and emptied


def test_a_namespace_costs_eight_queries_at_most_and_is_then_incomplete(listed, monkeypatch):
    monkeypatch.setattr(search, '_BROWSED', 1)
    with RequestsMade(listed.engine).counted() as requests:
        found = listed.engine.browse()
    assert requests.operations == ['Query'] * search.MOST_QUERIES
    assert found.is_incomplete and len(found) == search.MOST_QUERIES
    # As if each page had cost all that it may.
    monkeypatch.setattr(search, '_BROWSED', 100)
    monkeypatch.setattr(search, 'MOST_UNITS', 0)
    assert listed.engine.browse() == [] and listed.engine.browse().is_incomplete
