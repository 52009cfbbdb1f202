# -*- coding: utf-8 -*-
"""The catalog: all names in a registry's order, page by page."""

from __future__ import unicode_literals

import pytest

from tests.helpers.requests_made import RequestsMade
from tests.helpers.names import name_with_postings
from tests.helpers.engine import EngineIndex

#: In the order of a registry:
#: https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go
NAMES = ['9/x', 'a', 'a/b', 'a/b/c', 'a/c', 'a-b/c', 'a.b/c', 'a0/x', 'a_b/c', 'ab', 'foo',
         'foo/bar', 'foo-bar', 'foo.bar', 'foo__bar/x',
         'team/%s' % name_with_postings(120).replace('/', '-')]


@pytest.fixture(scope='module')
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    made.ready([(name, 'described' if name == 'foo' else None) for name in reversed(NAMES)])
    yield made
    made.delete_tables()


def test_the_order_is_that_of_a_registry(index):
    assert index.engine.catalog() == NAMES


@pytest.mark.parametrize('size', [1, 2, 5, len(NAMES), 1000])
def test_pages_put_together_are_the_whole(index, size):
    found, last = [], None
    while True:
        page = index.engine.catalog(last, size)
        assert len(page) <= size
        if not page:
            break
        found, last = found + page, page[-1]
    assert found == NAMES


AFTER = ['', '0', 'A', 'a-', 'a/', 'a/bb', 'fo', 'foo.', 'zzz', 'é', '\x00', 'a' * 3000,
         NAMES[3] + '\x00', NAMES[3] * 500, '\U0001f433', '\U0010ffff' * 1000, 'é' * 5000, '\ud800']


@pytest.mark.parametrize('after', AFTER + NAMES, ids=lambda value: None)
def test_a_page_begins_after_any_text_however_long(index, after):
    key = after.replace('/', '\x00')
    expected = [name for name in NAMES if name.replace('/', '\x00') > key]
    assert index.engine.catalog(after) == expected
    assert index.engine.catalog(after, limit=2) == expected[:2]


def test_a_page_is_one_query(index):
    requests = RequestsMade(index.engine)
    with requests.counted() as made:
        index.engine.catalog('a', 3)
    assert made.operations == ['Query']


def test_a_page_with_long_names_is_one_request_more(index):
    requests = RequestsMade(index.engine)
    with requests.counted() as made:
        assert index.engine.catalog(NAMES[-2], 3) == NAMES[-1:]
    assert made.operations == ['Query', 'BatchGetItem']


def test_what_is_removed_is_not_in_it(index):
    index.engine.add('new/one', 'words')
    assert 'new/one' in index.engine.catalog()
    index.engine.remove('new/one')
    assert index.engine.catalog() == NAMES
    index.assert_whole()


def test_an_empty_search_lists_what_the_catalog_does_with_descriptions(index):
    described = [(name, 'described' if name == 'foo' else '') for name in NAMES]
    assert index.search('') == described
    assert index.search('', 5) == described[:5]
