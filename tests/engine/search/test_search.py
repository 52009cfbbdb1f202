# -*- coding: utf-8 -*-
"""Searches that the contract does not cover: pages, repeats, left out keys, and the catalog."""

from __future__ import unicode_literals

import random

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.search.search import Search
from docker_registry_index.engine.store.store import Store
from tests.helpers.clock import Clock
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import Answer
from tests.helpers.hooks import taken_back
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
LONG = 'z/' + ''.join('%03d.' % number for number in range(60))


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
    for limit in range(1, 9):
        assert len(index.search('a', limit)) == min(limit, 7)
    # Nine postings of the first two names, then 18 more of the others and the other two classes.
    with made.counted():
        assert len(index.search('a', 5)) == 5
    assert made.operations == ['Query'] * 4


class LeaveOut(object):
    """Leave all keys out of the responses to so many BatchGetItems."""

    def __init__(self, engine, count):
        self.left = count
        events = engine.client.dynamodb.meta.events
        events.register('provide-client-params.dynamodb.BatchGetItem', self._note)
        events.register('before-call.dynamodb.BatchGetItem', self._answer)

    def _note(self, params, **_):
        self._wanted = params['RequestItems']

    def _answer(self, **_):
        if self.left == 0:
            return None
        self.left -= 1
        return Answer(200), {'Responses': {}, 'UnprocessedKeys': self._wanted}


def search_with(index, clock):
    return Search(Store(index.settings, index.engine.client, clock.sleep))


def test_keys_left_out_of_a_batch_are_retried(index):
    fault, clock = LeaveOut(index.engine, 2), Clock()
    assert search_with(index, clock).search(LONG[10:100]) == [(LONG, '')]
    assert fault.left == 0 and len(clock.slept) == 2


def test_keys_that_are_always_left_out_are_an_error_and_no_partial_result(index):
    LeaveOut(index.engine, 100)
    clock = Clock()
    with pytest.raises(errors.RequestFailed) as failed:
        search_with(index, clock).search(LONG[10:100])
    assert failed.value.throttled and failed.value.retryable
    assert index.settings.repository_table in str(failed.value)
    assert sum(clock.slept) < 8


# Pages

NAMES = (['t%d/proxy-%d' % (number % 5, number) for number in range(12)] +
         ['r-proxy/app%d' % number for number in range(6)] +
         ['a/myproxy%d' % number for number in range(8)] +
         ['a/web%d' % number for number in range(4)])
#: More than a page of 25 contains "proxy".
PAGED = dict(dict.fromkeys(NAMES), **dict.fromkeys(NAMES[-4:], 'proxy of all'))


def odd_names(count):
    """Return names that have the words of a term in many places; the same at every run."""
    dice = random.Random(2026)
    words = ['api', 'web', 'sql', 'a', 'aa', 'proxy', '1', 'x', 'db']

    def part():
        return dice.choice(['', '-', '_', '.']).join(
            dice.choice(words) for _ in range(dice.randint(1, 4)))

    names = set()
    while len(names) < count:
        names.add('%s/%s' % (part(), part()))
    return sorted(names)


@pytest.fixture(scope='module')
def paged(dynamodb_endpoint):
    for made in loaded(dynamodb_endpoint, PAGED):
        yield made


@pytest.fixture(scope='module')
def odd(dynamodb_endpoint):
    count = 24 if EngineIndex(dynamodb_endpoint).is_in_process else 400
    for made in loaded(dynamodb_endpoint, dict.fromkeys(odd_names(count))):
        yield made


@pytest.mark.parametrize('names, term', [
    ('paged', term) for term in ('', 'proxy', 'roxy', 'p', 'web', 'nothing')
] + [('odd', term) for term in ('a proxy', 'web sql', 'api web a', 'a')])
@pytest.mark.parametrize('size', [7, 25])
def test_pages_have_each_repository_once(paged, odd, names, term, size):
    index = {'paged': paged, 'odd': odd}[names]
    whole, found = index.search(term), []
    for skip in range(0, len(whole) + size, size):
        page = [tuple(result) for result in index.engine.search(term, size, skip)]
        assert len(page) == max(0, min(size, len(whole) - skip))
        found += page
    assert sorted(found) == sorted(whole)


def test_pages_of_one_result_have_each_repository_once(paged):
    found = [paged.engine.search('myproxy', 1, skip) for skip in range(9)]
    assert sorted(sum(found, [])) == paged.engine.search('myproxy') and found[8] == []


def test_the_first_page_is_the_result_with_a_limit(paged):
    assert paged.engine.search('proxy', 25, 0) == paged.engine.search('proxy', 25)


# The catalog

#: In the order of a registry:
#: https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go
LISTED = ['9/x', 'a', 'a/b', 'a/b/c', 'a/c', 'a-b/c', 'a.b/c', 'a0/x', 'a_b/c', 'ab', 'foo',
          'foo/bar', 'foo-bar', 'foo.bar', 'foo__bar/x',
          'team/%s' % name_with_postings(120).replace('/', '-')]


@pytest.fixture(scope='module')
def listed(dynamodb_endpoint):
    for made in loaded(dynamodb_endpoint, dict(dict.fromkeys(LISTED), foo='described')):
        yield made


@pytest.mark.parametrize('size', [None, 1, 2, 5, len(LISTED), 1000])
def test_pages_of_the_catalog_are_in_the_order_of_a_registry(listed, size):
    found, last = [], None
    while True:
        page = listed.engine.catalog(last, size)
        assert size is None or len(page) <= size
        if not page:
            break
        found, last = found + page, page[-1]
    assert found == LISTED == listed.engine.catalog()


@pytest.mark.parametrize('after', LISTED + [
    '', '0', 'A', 'a-', 'a/', 'a/bb', 'fo', 'foo.', 'zzz', 'é', '\x00', 'a' * 3000,
    LISTED[3] + '\x00', LISTED[3] * 500, '\U0001f433', '\U0010ffff' * 1000, 'é' * 5000, '\ud800'],
    ids=lambda value: None)
def test_a_page_of_the_catalog_begins_after_any_text(listed, after):
    key = after.replace('/', '\x00')
    expected = [name for name in LISTED if name.replace('/', '\x00') > key]
    assert listed.engine.catalog(after) == expected
    assert listed.engine.catalog(after, limit=2) == expected[:2]


def test_a_page_of_the_catalog_is_one_query_and_one_read_of_its_long_names(listed):
    requests = RequestsMade(listed.engine)
    with requests.counted() as made:
        listed.engine.catalog('a', 3)
    assert made.operations == ['Query']
    with requests.counted() as made:
        assert listed.engine.catalog(LISTED[-2], 3) == LISTED[-1:]
    assert made.operations == ['Query', 'BatchGetItem']


def test_a_removed_repository_is_not_in_the_catalog(listed):
    listed.engine.add('new/one', 'words')
    assert 'new/one' in listed.engine.catalog()
    listed.engine.remove('new/one')
    assert listed.engine.catalog() == LISTED
    listed.assert_whole()


def test_an_empty_search_lists_the_catalog_with_descriptions(listed):
    described = [(name, 'described' if name == 'foo' else '') for name in LISTED]
    assert listed.search('') == described and listed.search('', 5) == described[:5]
