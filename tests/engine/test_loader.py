# -*- coding: utf-8 -*-
"""Load: the difference between the registry's store and the index."""

from __future__ import unicode_literals

import itertools
import logging

import pytest

from docker_registry_index.engine import errors, schema
from docker_registry_index.engine.loader import Loader
from tests.engine.faults import KillAfter, Killed, Meanwhile, Throttle
from tests.engine.requests_made import RequestsMade
from tests.engine_index import EngineIndex

STORE = [('team-%d/application-%02d' % (number % 3, number), None)
         for number in range(20)]
NAMES = sorted(name for name, _ in STORE)


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


def rows(index):
    return {row['name']['S']: row for row in
            index.items(index.settings.repository_table)}


def test_a_load_tells_what_it_did_and_a_second_one_writes_nothing(index):
    report = index.engine.load(lambda: STORE)
    assert report[:5] == (20, 20, 0, 0, 0)
    made = RequestsMade(index.engine)
    report = index.engine.load(lambda: STORE)
    assert report[:5] == (20, 0, 0, 0, 20)
    assert set(made.operations) == {'Query', 'Scan'}


def test_several_repositories_share_a_transaction(index):
    made = RequestsMade(index.engine)
    index.engine.load(lambda: STORE)
    transactions = made.operations.count('TransactWriteItems')
    assert transactions == len(made.actions) <= len(STORE) / 3
    assert max(made.actions) <= 100


def test_a_load_killed_at_any_transaction_goes_on_where_it_stopped(
        dynamodb_endpoint):
    written = []
    for count in itertools.count():
        index = EngineIndex(dynamodb_endpoint).ready()
        KillAfter(index.engine, count, 'TransactWriteItems')
        try:
            index.engine.load(lambda: STORE)
        except Killed:
            pass
        else:
            index.another().delete_tables()
            break
        other = index.another()
        report = other.engine.load(lambda: STORE)
        assert report.added + report.unchanged == len(STORE)
        written.append(report.unchanged)
        assert other.engine.names() == NAMES
        assert len(rows(other)) == len(STORE)
        other.delete_tables()
    assert written[0] == 0 and written == sorted(set(written))


def test_what_is_removed_while_a_load_runs_is_not_brought_back(index):
    other = index.another()

    def store():
        for name, _ in STORE:
            yield name, None
        # Listed, and then removed from the store, which tells the index.
        other.engine.remove(NAMES[3])

    index.engine.load(store)
    assert index.engine.names() == [
        name for name in NAMES if name != NAMES[3]]
    assert NAMES[3] not in rows(index)


def test_what_is_removed_just_before_it_is_written_is_not_brought_back(
        index):
    other = index.another()
    Meanwhile(index.engine, 'TransactWriteItems',
              lambda: other.engine.remove(NAMES[0]))
    report = index.engine.load(lambda: STORE)
    assert report.added == len(STORE) - 1
    assert index.engine.names() == NAMES[1:]


def test_what_was_removed_before_a_load_and_is_in_the_store_is_added(index):
    index.engine.load(lambda: STORE)
    index.engine.remove(NAMES[0])
    index.engine.load(lambda: STORE)
    assert index.engine.names() == NAMES


def test_what_is_pushed_while_a_load_runs_stays(index):
    other = index.another()
    Meanwhile(index.engine, 'TransactWriteItems',
              lambda: other.engine.add(NAMES[0], 'described'))
    index.engine.load(lambda: STORE)
    assert index.engine.names() == NAMES
    assert index.search('described') == [(NAMES[0], 'described')]


def test_rows_without_postings_are_indexed_with_their_description(index):
    client, table = index.engine.client, index.settings.repository_table
    client.call('put_item', TableName=table, Item={
        'name': {'S': 'old/one'}, 'description': {'S': 'From long ago'}})
    client.call('put_item', TableName=table, Item={'name': {'S': 'old/two'}})
    report = index.engine.load(lambda: STORE + [('old/one', None)])
    assert (report.added, report.adopted) == (20, 2)
    assert index.search('long') == [('old/one', 'From long ago')]
    assert index.search('old/t') == [('old/two', '')]
    assert rows(index)['old/one']['description'] == {'S': 'From long ago'}


def test_postings_whose_row_is_gone_are_taken_away(index):
    index.engine.add('old/one', 'some words')
    index.engine.client.call(
        'delete_item', TableName=index.settings.repository_table,
        Key={'name': {'S': 'old/one'}})
    assert index.search('some') == [('old/one', 'some words')]
    assert index.engine.load(lambda: []).removed == 1
    assert index.postings() == []


def test_postings_of_a_row_that_is_still_in_the_store_stay(index):
    index.engine.add('old/one', 'some words')
    index.engine.client.call(
        'delete_item', TableName=index.settings.repository_table,
        Key={'name': {'S': 'old/one'}})
    index.engine.load(lambda: [('old/one', None)])
    assert index.search('old') == [('old/one', '')]
    assert index.search('some') == []


def test_a_repository_that_is_not_in_the_store_is_kept(index):
    index.engine.add('only/here')
    index.engine.load(lambda: STORE)
    assert index.engine.names() == ['only/here'] + NAMES


def test_names_that_the_index_cannot_hold_are_logged_and_left_out(
        index, caplog):
    caplog.set_level(logging.WARNING)
    names = ['good/one', '', 'bad/\x07bell', 'x' * 256]
    report = index.engine.load(lambda: [(name, None) for name in names])
    assert report.added == 1
    assert index.engine.names() == ['good/one']
    assert len(caplog.records) == 3
    assert '\x07' not in caplog.text


def test_a_name_listed_twice_is_one_repository(index):
    report = index.engine.load(lambda: STORE + STORE)
    assert report.added == len(STORE)


@pytest.mark.parametrize('operation, reasons', [
    ('Scan', None), ('Query', None),
    ('TransactWriteItems', ['None', 'ThrottlingError']),
    ('TransactWriteItems', ['ProvisionedThroughputExceeded', 'None'])])
def test_throttling_slows_a_load_down_and_does_not_stop_it(
        index, caplog, operation, reasons):
    pauses = []
    fault = Throttle(index.engine, operation, 20, reasons)
    loader = Loader(index.engine.client, schema.tables(index.settings),
                    sleep=pauses.append)
    assert loader.load(lambda: STORE).added == len(STORE)
    assert fault.left == 0
    assert len(pauses) == 20 and max(pauses) <= 4
    assert index.engine.names() == NAMES
    assert caplog.text.count('throttles') == 1


def test_a_load_that_is_only_throttled_gives_up(index, monkeypatch):
    monkeypatch.setattr('docker_registry_index.engine.patience.LIMIT', -1)
    Throttle(index.engine, 'Scan', 20)
    with pytest.raises(errors.RequestFailed) as failed:
        index.engine.load(lambda: STORE)
    assert failed.value.throttled and failed.value.retryable


@pytest.mark.parametrize('listed', [False, True])
def test_a_long_removal_that_was_killed_is_ended_by_a_load(index, listed):
    long = 'z/' + ''.join('%03d.' % number for number in range(60))
    index.engine.load(lambda: [(long, 'some words')])
    killed = index.another()
    KillAfter(killed.engine, 2, 'TransactWriteItems')
    with pytest.raises(Killed):
        killed.engine.remove(long)
    # It is in the storage again, or still, if the storage says so.
    index.engine.load(lambda: [(long, None)] if listed else [])
    assert index.engine.names() == [long] * listed
    assert index.search('017') == [(long, 'some words')] * listed
    index.assert_whole()


def test_one_that_cannot_be_written_keeps_no_other_out(index, caplog):
    # The transaction of several is refused, then the first of them alone.
    Throttle(index.engine, 'TransactWriteItems', 2,
             ['None', 'ValidationError'])
    report = index.engine.load(lambda: STORE)
    assert report.failed == 1
    assert index.engine.names() == NAMES[1:]
    assert 'left out of the search index: %r' % NAMES[0] in caplog.text
    # Not for ever.
    assert index.engine.load(lambda: STORE).added == 1
