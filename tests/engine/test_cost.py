"""What each operation costs: exact requests and read units, at any size.

Units are asserted on DynamoDB Local, which bills reads as AWS does, with two differences: an empty
Query and a missing item are reported as 0, where AWS bills 0.5 and 1. What it reports for
transactions is not used: the number of their actions is counted, of two write units each."""
from __future__ import unicode_literals

import contextlib
import time

import pytest

from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import SLICES
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
    yield index
    index.delete_tables()


@pytest.fixture(autouse=True)
def bills(request, monkeypatch):
    """Whether the engine bills reads as AWS does; only the name of a test contains its engine."""
    is_local = 'dynamodb_local' in request.node.name
    monkeypatch.setattr(RequestsMade, 'are_billed', is_local)


@contextlib.contextmanager
def costing(index, operations, units=None):
    """Assert that the block makes these requests, of so many read units."""
    with index.requests.counted() as made:
        yield made
    assert made.operations == operations
    if made.are_billed and units is not None:
        assert made.units == units


def test_whether_the_index_has_a_repository_costs_one_read_unit(loaded):
    with costing(loaded, ['GetItem'], [1.0]):
        assert loaded.engine.has('library/unique')
    with costing(loaded, ['GetItem']):
        assert not loaded.engine.has('library/absent')


@pytest.mark.parametrize('term, found, units', [
    # term, results at most, units of each Query
    ('proxy', 25, [0.5]), ('PROXY', 25, [0.5]), ('team-0', 25, [0.5]), ('p', 25, [0.5]),
    ('', 25, [0.5]), ('roxy', 25, [0.5]), ('library/unique', 1, [0.5]), ('nique', 1, [0.5]),
    ('nothing', 0, [0]), ('u' * 1000, 0, []), ('\x00', 0, []),
    # Of several words, the longest decides if it is rare.
    ('unique web', 0, [0.5]), ('library unique', 1, [0.5]), ('team-05 0005', 1, [0.5])],
    ids=lambda value: None)
def test_a_search_is_one_query_of_half_a_unit_at_every_size(loaded, term, found, units):
    with costing(loaded, ['Query'] * len(units), units):
        results = loaded.search(term, loaded.limit)
    assert (len(results), results.is_incomplete) == (min(found, loaded.limit), False)


def test_a_hundred_results_are_one_query_of_one_unit(loaded):
    for term in 'proxy', 'roxy', 'e', '':
        with costing(loaded, ['Query']) as made:
            results = loaded.search(term, 100)
        assert len(results) == (100 if loaded.limit == 25 else len(loaded.search(term)))
        assert not made.are_billed or made.units[0] <= 1


def test_two_common_words_are_two_queries_and_a_rare_one_decides(loaded):
    if loaded.limit == 10:
        with costing(loaded, ['Query'], [0.5]):
            assert len(loaded.search('team-0 api')) == 4
        return
    with costing(loaded, ['Query'] * 2, [1.5, 1.5]):
        results = loaded.search('proxy api', 25)
    assert (len(results), results.is_incomplete) == (25, True)
    with costing(loaded, ['Query'] * 2, [1.5, 0.5]):
        results = loaded.search('team 0005', 25)
    assert (len(results), results.is_incomplete) == (1, False)


def postings_of(endpoint, repositories):
    """Yield an index with the postings of two words of these repositories; delete its tables."""
    index = EngineIndex(endpoint).ready()
    wanted = [postings.range_of(word) for word in ('proxy', 'api')]
    index.store.batch_write(index.settings.search_table, [
        {'PutRequest': {'Item': postings.to_item(posting)}} for name, description in repositories
        for posting in postings.postings(name, description)
        if any(posting[0] == each.gram and posting[1].startswith(each.prefix) for each in wanted)])
    index.requests = RequestsMade(index.engine)
    yield index
    index.delete_tables()


@pytest.fixture(scope='module')
def long_names(real_dynamodb_endpoint):
    """An index of 600 names of 50 characters, with descriptions of 100, ten of them capitals."""
    for index in postings_of(real_dynamodb_endpoint, [
            (('team/proxy-api-%03d-' % number).ljust(50, 'x'),
             'The Front End.' * 3 + 'A' + 'x' * 57) for number in range(600)]):
        yield index


@pytest.fixture(scope='module')
def longest(real_dynamodb_endpoint):
    """An index whose postings of "proxy" are the longest ones, and those of "api", but the first
    200, too."""
    longest = 'proxy' + 'x' * 95
    for index in postings_of(real_dynamodb_endpoint, [
            (('team/x-%03d-' % number).ljust(251, 'x') + '-api', longest)
            for number in range(400)] + [('t%03d/api' % number, '') for number in range(200)]):
        yield index


def assert_bounded(index, term, limit, queries, found):
    with index.requests.counted() as made:
        results = index.search(term, limit)
    assert len(made.operations) <= 8
    if made.are_billed:
        # The units decide how much is read.
        assert (len(results), len(made.operations)) == (found, queries)
        assert results.is_incomplete == (' ' in term or limit > found)
        assert sum(made.units) <= 16


@pytest.mark.parametrize('term, limit, queries, found', [
    ('proxy api', 100, 1, 100), ('proxy api no', 100, 2, 0), ('proxy', 150, 1, 150),
    ('proxy', 400, 4, 400), ('api', 10 ** 9, 4, 416), ('proxy', 100, 1, 100)])
def test_no_limit_costs_more_than_sixteen_units(long_names, term, limit, queries, found):
    assert_bounded(long_names, term, limit, queries, found)


@pytest.mark.parametrize('term, limit, queries, found', [
    ('proxy api', 25, 1, 25), ('proxy no', 25, 1, 0), ('api pr', 25, 2, 25),
    ('api proxyx', 25, 1, 25), ('proxy', 100, 1, 100), ('proxy', 500, 1, 180),
    ('api', 500, 2, 349)])
def test_not_even_the_longest_names_and_descriptions_cost_more_than_sixteen_units(
        longest, term, limit, queries, found):
    assert_bounded(longest, term, limit, queries, found)
    # The units are also known if nobody counts the requests.
    if RequestsMade.are_billed:
        assert len(longest.another().search(term, limit)) == found


def test_a_page_of_the_catalog_is_one_query(loaded):
    with costing(loaded, ['Query'], [0.5]):
        assert len(loaded.engine.catalog(after='team-00', limit=25)) == 25
    after, last = loaded.names()[-2:]
    with costing(loaded, ['Query'], [0.5]):
        assert loaded.engine.catalog(after, limit=25) == [last]


@pytest.mark.parametrize('width, queries, found', [(25, 8, 1000), (50, 6, 640), (255, 1, 180)])
def test_a_page_of_a_thousand_names_costs_sixteen_units_at_most(
        real_dynamodb_endpoint, width, queries, found):
    names = [('team/%04d-' % number).ljust(width, 'x') for number in range(1200)]
    index = EngineIndex(real_dynamodb_endpoint).ready()
    index.requests = RequestsMade(index.engine)
    index.store.batch_write(index.settings.search_table, [
        {'PutRequest': {'Item': postings.to_item(
            postings.witness(name, 'x' * min(width - 25, 100)))}}
        for name in names])
    with index.requests.counted() as made:
        page = index.engine.catalog(limit=1000)
    assert page == names[:len(page)] and page.is_incomplete and len(made.operations) <= 8
    if made.are_billed:
        assert (len(page), len(made.operations)) == (found, queries)
        assert sum(made.units) <= 16
    # All names are in the pages that follow each other.
    while page.is_incomplete:
        following = index.engine.catalog(page[-1], limit=1000)
        page.is_incomplete = following.is_incomplete
        page += following
    assert page == names
    index.delete_tables()


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
    name = 'library/another'
    # A row, a witness, and a posting for each suffix but "r", which "ry/another" begins with. Those
    # of two words are added, and removed again.
    actions = 2 + len(name) - 1
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


def test_a_sync_reads_all_rows_and_names_and_the_postings_once_in_sixteen_loads(loaded):
    names = [(name, None) for name in loaded.names()]
    with loaded.requests.counted() as made:
        assert loaded.load(lambda: names).unchanged == len(names)
    rest = sum(made.units)
    with loaded.requests.counted() as made:
        list(loaded.store.scan_all(loaded.settings.search_table))
    whole, units = sum(made.units), 0
    for number in range(SLICES):
        with loaded.requests.counted() as made:
            assert loaded.load(lambda: names, slices=[number]).unchanged == len(names)
        assert set(made.operations) == {'Query', 'Scan'}
        units += sum(made.units) - rest
    # At most one more unit for each slice, and a Query for each character in another slice.
    assert not made.are_billed or whole <= units <= whole + SLICES + 40


def test_a_warm_start_is_one_batch_of_reads(loaded):
    # The ready marker and the version row; AWS bills a third unit for the key of the repository
    # table, which has no such row.
    with costing(loaded, ['BatchGetItem'], [2]):
        assert loaded.ensure_ready(refuse_to_list) is True
