# -*- coding: utf-8 -*-
"""What each operation costs: exact requests and read units, at any size.

Units are asserted on DynamoDB Local, which bills reads as AWS does, with two
differences: an empty Query and a missing item are reported as 0, where AWS
bills 0.5 and 1. What it reports for transactions is not used: the number of
their actions is counted, of two write units each.
"""

from __future__ import unicode_literals

import time

import pytest

from docker_registry_index.engine.search import search as search_module
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex

SIZES = [100, 3000]

#: "proxy" begins a word in 40 % of the names, "roxy" is inside those, and
#: "unique" is in one.
KINDS = ['proxy', 'api', 'proxy-api', 'web', 'worker']


def names(size):
    made = ['team-%02d/%s-%04d' % (number % 40, KINDS[number % 5], number)
            for number in range(size - 1)]
    return made + ['library/unique']


@pytest.fixture(scope='module', params=SIZES)
def loaded(request, dynamodb_endpoint):
    index = EngineIndex(dynamodb_endpoint)
    index.ready([(name, None) for name in names(request.param)])
    index.size = request.param
    index.requests = RequestsMade(index.engine)
    index.bills = 'local' in request.node.name
    yield index
    index.delete_tables()


SEARCHES = [
    # term, limit, results, requests, units of each
    ('proxy', 25, 25, 1, [0.5]),
    ('PROXY', 25, 25, 1, [0.5]),
    ('team-0', 25, 25, 1, [0.5]),
    ('p', 25, 25, 1, [0.5]),
    ('', 25, 25, 1, [0.5]),
    ('roxy', 25, 25, 3, [0, 0.5, 0]),
    ('unique', 25, 1, 3, [0.5, 0, 0]),
    ('nique', 25, 1, 3, [0, 0.5, 0]),
    ('library/unique', 25, 1, 3, [0.5, 0, 0]),
    ('/unique', 25, 1, 3, [0, 0.5, 0]),
    ('nothing', 25, 0, 3, [0, 0, 0]),
    # Of several words, a rare one decides.
    ('unique library', 25, 1, 6, [0.5, 0, 0, 0.5, 0, 0]),
    ('team 0005', 25, 1, 6, [0.5, 0, 0, 0.5, 0, 0]),
    ('team zz', 25, 0, 6, [0.5, 0, 0, 0, 0, 0]),
    ('u' * 1000, 25, 0, 0, []),
    ('\x00', 25, 0, 0, []),
]


@pytest.mark.parametrize('term, limit, found, requests, units', SEARCHES, ids=lambda value: None)
def test_a_search_costs_the_same_at_every_size(loaded, term, limit, found, requests, units):
    with loaded.requests.counted() as made:
        assert len(loaded.search(term, limit)) == found
    assert made.operations == ['Query'] * requests
    if loaded.bills:
        # The last two are asked side by side, and may answer in any order.
        assert made.units[:1] == units[:1]
        assert sorted(made.units) == sorted(units)


@pytest.mark.parametrize('term', [case[0] for case in SEARCHES], ids=lambda value: None)
def test_a_search_waits_at_most_twice(loaded, term, monkeypatch):
    waits = []
    plain = search_module.run_side_by_side

    def counting(calls):
        waits.append(len(calls))
        return plain(calls)

    monkeypatch.setattr(search_module, 'run_side_by_side', counting)
    loaded.search(term, 25)
    assert waits in ([], [1], [1, 2], [6])


def test_two_words_that_are_both_common_read_on_in_pages(loaded):
    # Postings of "proxy" come by what follows it: all numbers before "api".
    with loaded.requests.counted() as made:
        found = loaded.search('proxy api', 25)
    assert len(found) == (20 if loaded.size == 100 else 25)
    assert len(made.operations) == (7 if loaded.size == 100 else 8)


def test_a_page_of_the_catalog_is_one_query(loaded):
    with loaded.requests.counted() as made:
        page = loaded.engine.catalog(after='team-00', limit=25)
    assert len(page) == 25
    assert made.operations == ['Query']
    if loaded.bills:
        assert made.units == [0.5]


def test_a_push_of_what_is_there_is_one_read_and_no_write(loaded):
    with loaded.requests.counted() as made:
        assert loaded.engine.add('library/unique') is False
    assert made.operations == ['GetItem']
    if loaded.bills:
        assert made.units == [1]


def test_after_half_an_hour_a_push_of_what_is_there_is_one_unit_of_writing(loaded, monkeypatch):
    later = time.time() + 1801
    monkeypatch.setattr(loaded.engine._writer, '_clock', lambda: later)
    monkeypatch.setattr(loaded.engine._writer.planner, '_clock', lambda: later)
    with loaded.requests.counted() as made:
        assert loaded.engine.add('library/unique') is False
    assert made.operations == ['GetItem', 'UpdateItem']
    if loaded.bills:
        assert made.units == [1, 1]
    with loaded.requests.counted() as made:
        assert loaded.engine.add('library/unique') is False
    assert made.operations == ['GetItem']


def test_a_new_repository_is_one_read_and_one_transaction(loaded):
    with loaded.requests.counted() as made:
        assert loaded.engine.add('library/another') is True
    assert made.operations == ['GetItem', 'TransactWriteItems']
    # A row, a witness, and the suffixes of "library/another".
    expected = 2 + len(worth_a_posting('library/another'))
    assert made.actions == [expected]
    with loaded.requests.counted() as made:
        assert loaded.engine.remove('library/another') is True
    assert made.operations == ['GetItem', 'TransactWriteItems']
    # One more for the tombstone.
    assert made.actions == [expected + 1]


def test_a_new_description_is_one_read_and_one_transaction(loaded):
    name = 'library/unique'
    for description in 'two words', '':
        with loaded.requests.counted() as made:
            assert loaded.engine.add(name, description) is True
        assert made.operations == ['GetItem', 'TransactWriteItems']
        # All that carries it is written, and its two words come or go.
        assert made.actions == [2 + len(worth_a_posting(name)) + 2]
        with loaded.requests.counted() as made:
            assert loaded.engine.add(name, description) is False
        assert made.operations == ['GetItem']


def worth_a_posting(name):
    """The suffixes of a name that begin none of those at its words."""
    words = [name, name.split('/')[1]]
    suffixes = [name[start:] for start in range(len(name))]
    return [suffix for suffix in suffixes if not any(
        word.startswith(suffix) and word != suffix for word in words)]


def test_a_warm_start_is_one_batch_of_reads(loaded):
    def refuse():
        raise AssertionError('the store is listed')

    with loaded.requests.counted() as made:
        assert loaded.ensure_ready(refuse) is True
    assert made.operations == ['BatchGetItem']
    if loaded.bills:
        # The ready marker and the version row; AWS bills a third unit for the key
        # of the repository table, which holds nothing.
        assert made.units == [2]
