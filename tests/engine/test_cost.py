# -*- coding: utf-8 -*-
"""What each operation costs: exact requests and read units, at any size.

Units are asserted on DynamoDB Local, which bills reads as AWS does, with two differences: an empty
Query and a missing item are reported as 0, where AWS bills 0.5 and 1. What it reports for
transactions is not used: the number of their actions is counted, of two write units each."""
from __future__ import unicode_literals

import contextlib
import time

import pytest

from docker_registry_index.engine.search import search as search_module
from docker_registry_index.engine.write.writer import Writer
from tests.helpers.engine import EngineIndex
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import refuse_to_list

#: "proxy" begins a word in 40 % of the names, "roxy" is inside those, and "unique" is in one.
KINDS = ['proxy', 'api', 'proxy-api', 'web', 'worker']


@pytest.fixture(scope='module', params=[30, 1000])
def loaded(request, dynamodb_endpoint):
    """An index of two sizes; on moto, only of the small one."""
    if request.param > 30:
        request.getfixturevalue('real_dynamodb_endpoint')
    index = EngineIndex(dynamodb_endpoint).ready([
        ('team-%02d/%s-%04d' % (number % 40, KINDS[number % 5], number), None)
        for number in range(request.param - 1)] + [('library/unique', None)])
    #: The limit of a search; fewer repositories contain "proxy" in the small index.
    index.limit = 10 if request.param == 30 else 25
    index.requests = RequestsMade(index.engine)
    index.bills = 'local' in request.node.name
    yield index
    index.delete_tables()


@contextlib.contextmanager
def costing(index, operations, units=None):
    """Assert that the block makes these requests, of so many read units."""
    with index.requests.counted() as made:
        yield made
    assert made.operations == operations
    if index.bills and units is not None:
        # Queries that are sent side by side may be answered in any order.
        assert made.units[:1] == units[:1] and sorted(made.units) == sorted(units)


SEARCHES = [
    # term, results at most, requests, units of each
    ('proxy', 25, 1, [0.5]), ('PROXY', 25, 1, [0.5]), ('team-0', 25, 1, [0.5]),
    ('p', 25, 1, [0.5]), ('', 25, 1, [0.5]), ('u' * 1000, 0, 0, []), ('\x00', 0, 0, []),
    ('roxy', 25, 3, [0, 0.5, 0]), ('library/unique', 1, 3, [0.5, 0, 0]),
    ('nique', 1, 3, [0, 0.5, 0]), ('nothing', 0, 3, [0, 0, 0]),
    # Of several words, a rare one decides.
    ('unique library', 1, 6, [0.5, 0, 0, 0.5, 0, 0]), ('team 0005', 1, 6, [0.5, 0, 0, 0.5, 0, 0]),
    ('team zz', 0, 6, [0.5, 0, 0, 0, 0, 0])]


@pytest.mark.parametrize('term, found, requests, units', SEARCHES, ids=lambda value: None)
def test_a_search_costs_the_same_at_every_size_and_waits_twice_at_most(
        loaded, monkeypatch, term, found, requests, units):
    waits, plain = [], search_module.run_side_by_side

    def counting(calls):
        waits.append(len(calls))
        return plain(calls)

    monkeypatch.setattr(search_module, 'run_side_by_side', counting)
    with costing(loaded, ['Query'] * requests, units):
        assert len(loaded.search(term, loaded.limit)) == min(found, loaded.limit)
    assert waits in ([], [1], [1, 2], [6])


def test_two_words_that_are_both_common_read_on_in_pages(loaded):
    # Postings of "proxy" are sorted by what follows it: all numbers before "api".
    limit, requests = (5, 7) if loaded.limit == 10 else (25, 8)
    with costing(loaded, ['Query'] * requests):
        assert len(loaded.search('proxy api', limit)) == limit


def test_a_page_of_the_catalog_is_one_query(loaded):
    with costing(loaded, ['Query'], [0.5]):
        assert len(loaded.engine.catalog(after='team-00', limit=25)) == 25


def test_a_push_without_a_change_is_one_read_and_after_half_an_hour_one_write(loaded):
    later = time.time() + 1801
    writer = Writer(loaded.store, clock=lambda: later)
    with costing(loaded, ['GetItem'], [1]):
        assert loaded.engine.add('library/unique') is False
    with costing(loaded, ['GetItem', 'UpdateItem'], [1, 1]):
        assert writer.add('library/unique') is False
    with costing(loaded, ['GetItem']):
        assert writer.add('library/unique') is False


def test_a_change_is_one_read_and_one_transaction(loaded):
    def suffixes_with_a_posting(name):
        """Return the suffixes of a name that begin none of those at its words."""
        words = [name, name.split('/')[1]]
        suffixes = [name[start:] for start in range(len(name))]
        return [suffix for suffix in suffixes if not any(
            word.startswith(suffix) and word != suffix for word in words)]

    name = 'library/another'
    # A row, a witness, and the postings. Those of two words are added, and removed again.
    actions = 2 + len(suffixes_with_a_posting(name))
    for description, expected in (None, actions), ('two words', actions + 2), ('', actions + 2):
        with costing(loaded, ['GetItem', 'TransactWriteItems']) as made:
            assert loaded.engine.add(name, description) is True
        assert made.actions == [expected]
        with costing(loaded, ['GetItem']):
            assert loaded.engine.add(name, description) is False
    with costing(loaded, ['GetItem', 'TransactWriteItems']) as made:
        assert loaded.engine.remove(name) is True
    # One more for the tombstone.
    assert made.actions == [actions + 1]


def test_a_warm_start_is_one_batch_of_reads(loaded):
    # The ready marker and the version row; AWS bills a third unit for the key of the repository
    # table, which has no such row.
    with costing(loaded, ['BatchGetItem'], [2]):
        assert loaded.ensure_ready(refuse_to_list) is True
