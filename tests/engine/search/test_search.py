# -*- coding: utf-8 -*-
"""Searches that the contract does not cover: pages, repeats, left out keys, and the catalog."""
from __future__ import unicode_literals

import random

import pytest

from docker_registry_index.engine import errors
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
#: It needs several transactions, and has such words, too.
LONG = name_with_postings(100)


@pytest.fixture(scope='module')
def shared(dynamodb_endpoint):
    for made in loaded(dynamodb_endpoint, dict.fromkeys(REPEATS + [LONG])):
        yield made


@pytest.fixture
def index(shared):
    with taken_back(shared.engine):
        yield shared


def test_names_that_repeat_the_term_fill_the_limit(index):
    made = RequestsMade(index.engine)
    for limit in range(1, 10):
        assert len(index.search('a', limit)) == min(limit, 8)
    # Nine postings of the first two names, then 18 more of the others and the other two classes.
    with made.counted():
        assert len(index.search('a', 5)) == 5
    assert made.operations == ['Query'] * 4


def test_a_search_whose_check_of_long_names_fails_returns_no_partial_result(index):
    assert index.search('b-cd') == [(LONG, '')]
    Throttle(index.engine, 'BatchGetItem', 1)
    with pytest.raises(errors.RequestFailed) as failed:
        index.search('b-cd')
    assert failed.value.retryable and index.settings.repository_table in str(failed.value)


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
    """An index of which more than a page of 25 contains "proxy", in each class."""
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
def test_pages_have_each_repository_once(paged, term):
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


def test_a_page_of_the_catalog_is_one_query_and_one_read_of_its_long_names(listed):
    with taken_back(listed.engine):
        made = RequestsMade(listed.engine)
        listed.engine.catalog('a', 3)
        assert made.operations == ['Query']
        with made.counted():
            assert listed.engine.catalog(LISTED[-2], 3) == LISTED[-1:]
        assert made.operations == ['Query', 'BatchGetItem']


def test_an_empty_search_lists_the_catalog_with_descriptions(listed):
    described = [(name, 'described' if name == 'foo' else '') for name in LISTED]
    assert listed.search('') == described and listed.search('', 5) == described[:5]
    listed.engine.add('new/one', 'words')
    assert ('new/one', 'words') in listed.search('') and 'new/one' in listed.engine.catalog()
    listed.engine.remove('new/one')
    assert listed.search('') == described and listed.assert_whole()
