# -*- coding: utf-8 -*-
"""From whatever is there to a whole index, by any number of processes."""

from __future__ import unicode_literals

import itertools
import subprocess
import sys
import threading
import time

import pytest

from dev.servers.process import ROOT
from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle import start
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import READY_KEY, VERSION_KEY
from tests.helpers.faults import KillAfter, Killed, Throttle
from tests.helpers.hooks import short_leases
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex

STORE = [('team-%d/app-%d' % (number % 3, number), None) for number in range(12)]
NAMES = sorted(name for name, _ in STORE)


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.delete_what_is_left()


@pytest.fixture
def short_lease(monkeypatch):
    short_leases(monkeypatch, 0.4)


def refuse_to_list():
    raise AssertionError('the store is listed')


def test_tables_are_created_on_demand_and_the_store_is_loaded(index):
    assert index.ensure_ready(lambda: STORE) is True
    for table in index.tables():
        description = index.engine.client.call('describe_table', TableName=table)['Table']
        assert description['TableStatus'] == 'ACTIVE'
        assert (description['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST')
        assert 'GlobalSecondaryIndexes' not in description
    assert index.names() == NAMES
    assert index.another().ensure_ready(refuse_to_list) is True


def test_the_version_row_is_what_release_0_1_0_accepts(index):
    index.ready(STORE)
    rows = index.items(index.settings.version_table)
    assert rows == [{'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}]


@pytest.mark.parametrize('gone', [gone for count in (1, 2, 3) for gone
                                  in itertools.combinations(range(3), count)], ids=str)
def test_whichever_tables_are_deleted_a_start_makes_all_whole(index, gone):
    index.ready(STORE)
    index.engine.remove(NAMES[0])
    for place in gone:
        index.engine.client.call('delete_table', TableName=index.tables()[place])
    store = STORE[1:]
    other = index.another()
    assert other.ensure_ready(lambda: store) is True
    assert other.names() == sorted(name for name, _ in store)
    assert other.search('app-3') == [('team-0/app-3', '')]
    rows = [row['name']['S'] for row in other.items(other.settings.repository_table)]
    assert sorted(rows) == other.names()


def test_a_start_killed_at_any_request_is_finished_by_the_next(dynamodb_endpoint, short_lease):
    for count in itertools.count():
        index = EngineIndex(dynamodb_endpoint)
        KillAfter(index.engine, count)
        try:
            index.ready(STORE)
        except Killed:
            pass
        else:
            # Every request of an undisturbed start has been tried.
            assert count > 10
            index.another().delete_tables()
            return
        other = index.another().ready(STORE)
        assert other.names() == NAMES
        assert other.search('app-1') == [('team-1/app-1', ''), ('team-1/app-10', ''),
                                         ('team-2/app-11', '')]
        assert index.another().ensure_ready(refuse_to_list) is True
        other.delete_tables()


def test_a_repository_table_made_anew_in_a_killed_start_is_loaded(index, short_lease):
    index.ready(STORE)
    index.engine.client.call('delete_table', TableName=index.settings.repository_table)
    killed = index.another()
    KillAfter(killed.engine, 1, 'CreateTable')
    with pytest.raises(Killed):
        killed.ready(STORE)
    other = index.another().ready(STORE)
    assert len(other.items(index.settings.repository_table)) == len(STORE)


def test_threads_starting_at_once_load_once(index):
    loads, started = [], []

    def store():
        loads.append(1)
        return STORE

    def start():
        started.append(index.another().ensure_ready(store))

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [True] * 6
    assert len(loads) == 1


PROCESS = '''
import sys
from tests.helpers.engine import EngineIndex
index = EngineIndex(sys.argv[1], sys.argv[2])
def store():
    with open(sys.argv[3], 'a') as loads:
        loads.write('load\\n')
    return [('team/app-%d' % number, None) for number in range(60)]
assert index.ensure_ready(store) is True
assert len(index.search('app')) == 60
print('served')
'''


def test_processes_starting_at_once_load_once_and_all_serve(index, tmpdir):
    loads = tmpdir.join('loads')
    processes = [subprocess.Popen(
        [sys.executable, '-c', PROCESS, index.settings.endpoint_url,
         index.settings.database, str(loads)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(8)]
    ends = [process.communicate() for process in processes]
    assert [end[0].strip() for end in ends] == [b'served'] * 8, ends
    assert loads.read() == 'load\n'


def test_a_process_that_waits_too_long_serves_meanwhile(index):
    index.ready(STORE[:1])
    index.store.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
    assert Lease(index.store).acquire()
    other = index.another(startup_wait=0.5)
    assert other.ensure_ready(refuse_to_list) is False
    assert other.search('app-0') == [('team-0/app-0', '')]
    assert other.engine.add('team-0/new') is True


def test_a_start_does_not_wait_anew_for_a_load_that_is_old(index):
    index.ready(STORE[:1])
    index.store.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
    lease = Lease(index.store, seconds=5)
    assert lease.acquire()
    ended = threading.Event()

    def hold():
        while not ended.wait(0.05):
            lease.renew()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        waits = []
        for _ in range(2):
            began = time.time()
            other = index.another(startup_wait=4)
            assert other.ensure_ready(refuse_to_list) is False
            waits.append(time.time() - began)
    finally:
        ended.set()
        holder.join()
    # The second knows after one sign of life, here every half second.
    assert waits[0] >= 4 and waits[1] < 3.5, waits


@pytest.mark.parametrize('wait', [0, 0.2])
def test_a_dead_load_is_taken_over_by_one_that_waits_less_than_its_lease(index, monkeypatch, wait):
    short_leases(monkeypatch, 2)
    dying = index.another()
    KillAfter(dying.engine, 1, 'TransactWriteItems')
    with pytest.raises(Killed):
        dying.ensure_ready(lambda: STORE)
    start._loading.clear()
    # As the maintenance tries: again and again, each time for a moment.
    other = index.another(startup_wait=wait)
    made = start.Start(other.store, lambda heartbeat: other.load(lambda: STORE, heartbeat))
    began = time.time()
    while not made.ensure_ready():
        assert time.time() - began < 10
        time.sleep(0.1)
    assert time.time() - began >= 2
    other.assert_whole()
    assert other.names() == NAMES


def test_a_load_that_lost_dynamodb_begins_again_as_soon_as_it_is_back(index, monkeypatch):
    short_leases(monkeypatch, 30)
    loads, faults = [], []
    made = start.Start(index.store, lambda heartbeat: load())

    def load():
        loads.append(1)
        if len(loads) == 1:
            faults.append(Throttle(index.engine, '*', 1000, code='Down', status=500))
            raise errors.RequestFailed('put_item', [], 'Down', 'unavailable', True)
        return index.load(lambda: STORE)

    monkeypatch.setattr('time.sleep', lambda _: None)
    with pytest.raises(errors.RequestFailed):
        made.ensure_ready()
    faults[0].left = 0
    monkeypatch.undo()
    began = time.time()
    assert made.ensure_ready() is True
    assert time.time() - began < 5
    assert index.names() == NAMES


def test_a_store_that_cannot_be_listed_leaves_the_lease_free(index):
    def broken():
        yield STORE[0]
        raise IOError('no such bucket')

    with pytest.raises(errors.StorageUnreadable):
        index.ensure_ready(broken)
    other = index.another()
    made = RequestsMade(other.engine)
    assert other.ensure_ready(lambda: STORE) is True
    assert made.operations.count('UpdateItem') == 1
    assert other.names() == NAMES


@pytest.mark.parametrize('begin', ['ensure_ready', 'sync'])
def test_interrupted_while_it_takes_the_lease_it_gives_it_back(index, monkeypatch, begin):
    index.ready(STORE)
    index.store.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
    client, call = index.engine.client, index.engine.client.call

    def interrupting(operation, **arguments):
        found = call(operation, **arguments)
        if operation == 'update_item':
            monkeypatch.undo()
            raise KeyboardInterrupt()
        return found

    monkeypatch.setattr(client, 'call', interrupting)
    with pytest.raises(KeyboardInterrupt):
        getattr(index if begin == 'ensure_ready' else index.engine, begin)(refuse_to_list)
    [row] = index.items(index.settings.version_table)
    assert 'lease' not in row
    # So the next one need not wait for its time.
    assert index.another(startup_wait=1).ensure_ready(lambda: STORE) is True


@pytest.mark.parametrize('place', ['version row', 'ready marker'])
def test_an_index_of_a_newer_format_stops_the_start_untouched(index, place):
    index.ready(STORE)
    settings = index.settings
    changed, key = ((settings.version_table, VERSION_KEY) if place == 'version row' else
                    (settings.search_table, READY_KEY))
    newer = dict(index.store.get(changed, key), format={'N': '999'})
    index.store.call('put_item', Item=newer, TableName=changed)
    before = [index.items(table) for table in index.tables()]
    for begin in (index.another().ensure_ready, index.another().engine.sync):
        with pytest.raises(errors.NewerDatabase) as refused:
            begin(refuse_to_list)
        assert '999' in str(refused.value) and changed in str(refused.value)
    with pytest.raises(errors.NewerDatabase):
        index.another().engine.is_ready()
    assert [index.items(table) for table in index.tables()] == before
    # Nor is a table created beside it.
    lost = (settings.search_table if place == 'version row' else settings.version_table)
    index.store.call('delete_table', TableName=lost)
    with pytest.raises(errors.NewerDatabase):
        index.another().ensure_ready(refuse_to_list)
    with pytest.raises(errors.RequestFailed):
        index.items(lost)


def test_the_search_table_of_an_older_format_is_not_ours(index):
    """As when a setting leads to it; each format has a table of its own."""
    index.ready(STORE)
    settings = index.settings
    older = dict(index.store.get(settings.search_table, READY_KEY),
                 format={'N': str(postings.FORMAT - 1)})
    index.store.call('put_item', Item=older, TableName=settings.search_table)
    before = [index.items(table) for table in index.tables()]
    with pytest.raises(errors.ForeignDatabase) as refused:
        index.another().ensure_ready(refuse_to_list)
    assert settings.search_table in str(refused.value)
    assert [index.items(table) for table in index.tables()] == before


def test_an_index_of_an_older_format_is_loaded_into_a_table_of_its_own(index):
    index.ready(STORE)
    settings = index.settings
    row = dict(VERSION_KEY, format={'N': str(postings.FORMAT - 1)})
    index.store.call('put_item', Item=row, TableName=settings.version_table)
    other = index.another(search_table=settings.search_table + '-next')
    try:
        assert other.ensure_ready(lambda: STORE) is True
        assert other.names() == NAMES
        [row] = other.items(settings.version_table)
        assert row == dict(VERSION_KEY, format={'N': str(postings.FORMAT)})
    finally:
        other.store.call('delete_table', TableName=other.settings.search_table)


def test_a_load_that_fails_writes_no_format(index):
    def broken():
        yield STORE[0]
        raise IOError('no such bucket')

    with pytest.raises(errors.StorageUnreadable):
        index.ensure_ready(broken)
    assert all('format' not in row for row in index.items(index.settings.version_table))


@pytest.mark.parametrize('throttled', ['repository_table', 'version_table'])
def test_a_throttled_table_of_0_1_0_does_not_delay_the_first_check(index, monkeypatch, throttled):
    index.ready(STORE)
    other, name = index.another(), getattr(index.settings, throttled)
    client = other.engine.client
    call, asked = client.call, []

    def leave_out(operation, **arguments):
        asked.append(operation)
        found = call(operation, **arguments)
        found['Responses'].pop(name, None)
        return dict(found, UnprocessedKeys={name: arguments['RequestItems'][name]})

    monkeypatch.setattr(client, 'call', leave_out)
    assert other.engine.is_ready() is True
    assert asked == ['batch_get_item']


@pytest.mark.parametrize('kind', ['search_table', 'repository_table'])
def test_another_version_number_stops_the_start_untouched(index, kind):
    index.ready(STORE)
    call, version_table = index.engine.client.call, index.settings.version_table
    assert Lease(index.store).acquire()
    call('put_item', Item={'version': {'N': '2'}}, TableName=version_table)
    lost = getattr(index.settings, kind)
    call('delete_table', TableName=lost)
    left = [table for table in index.tables() if table != lost]
    before = [index.items(table) for table in left]
    with pytest.raises(errors.NewerDatabase) as refused:
        index.another().ensure_ready(refuse_to_list)
    assert version_table in str(refused.value)
    assert [index.items(table) for table in left] == before
    with pytest.raises(errors.MissingTable):
        index.items(lost)


def test_a_table_with_other_keys_stops_the_start_and_creates_nothing(index):
    index.engine.client.call(
        'create_table', TableName=index.settings.search_table,
        KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}],
        AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': 'S'}],
        BillingMode='PAY_PER_REQUEST')
    with pytest.raises(errors.DynamoDBIndexError) as refused:
        index.ensure_ready(refuse_to_list)
    assert index.settings.search_table in str(refused.value)
    with pytest.raises(errors.RequestFailed):
        index.items(index.settings.repository_table)
