# -*- coding: utf-8 -*-
"""The catalog: all names in a registry's order, page by page; and an index of release 0.2.0, which has none, gets one."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.store import formats, postings
from tests.engine.requests_made import RequestsMade
from tests.engine.test_parts import name_of
from tests.engine_index import EngineIndex

#: In the order of a registry: https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go
NAMES = ['9/x', 'a', 'a/b', 'a/b/c', 'a/c', 'a-b/c', 'a.b/c', 'a0/x', 'a_b/c', 'ab', 'foo', 'foo/bar', 'foo-bar', 'foo.bar', 'foo__bar/x',
         'team/%s' % name_of(120).replace('/', '-')]
FIRST = formats.SUFFIXES._replace(
    number=1, postings=lambda name, description='': [
        each for each in postings.postings(name, description) if each.gram != postings.CATALOG])


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


@pytest.mark.parametrize('after', ['', '0', 'A', 'a-', 'a/', 'a/bb', 'fo', 'foo.', 'zzz', 'é', '\x00', 'a' * 3000] + NAMES)
def test_a_page_begins_after_any_text(index, after):
    key = after.replace('/', '\x00')
    assert index.engine.catalog(after) == [name for name in NAMES if name.replace('/', '\x00') > key]


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


@pytest.fixture
def of_0_2_0(dynamodb_endpoint, monkeypatch):
    """An index that release 0.2.0 has made, as this release finds it."""
    monkeypatch.setattr(formats, 'KNOWN', {1: FIRST})
    monkeypatch.setattr(formats, 'CURRENT', FIRST)
    made = EngineIndex(dynamodb_endpoint).ready([(name, 'described') for name in NAMES])
    monkeypatch.undo()
    yield made.another()
    made.delete_tables()


def test_an_index_of_0_2_0_is_searched_while_a_load_brings_it_up_to_date(of_0_2_0):
    index = of_0_2_0
    before = sorted(name for name, _ in index.search('b'))
    assert before == sorted(name for name in NAMES if 'b' in name) and not index.engine.is_ready()
    assert index.engine.catalog() == []
    seen = []

    def source():
        seen.append(sorted(name for name, _ in index.search('b')))
        return [(name, None) for name in NAMES]

    assert index.engine.ensure_ready(source)
    assert seen == [before]
    assert index.engine.is_ready() and index.engine.catalog() == NAMES
    index.assert_whole()
    assert dict(index.search('foo'))['foo/bar'] == 'described'


def test_changes_before_that_load_are_right_in_both(of_0_2_0):
    index = of_0_2_0
    index.engine.remove('foo')
    index.engine.add('new/one')
    index.engine.add('a/b', 'anew')
    expected = [name for name in NAMES if name != 'foo']
    assert sorted(name for name, _ in index.search('')) == sorted(expected + ['new/one'])
    index.engine.ensure_ready(lambda: [(name, None) for name in expected + ['new/one']])
    index.assert_whole()
    assert index.engine.catalog() == sorted(expected + ['new/one'], key=lambda name: name.replace('/', '\x00'))
    assert dict(index.search('a/b'))['a/b'] == 'anew'
