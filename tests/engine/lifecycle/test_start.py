# -*- coding: utf-8 -*-
"""From whatever tables exist to a complete index, by any number of processes."""

from __future__ import unicode_literals

import itertools
import subprocess
import sys
import threading

import pytest

from dev.servers.process import ROOT
from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import READY_KEY, VERSION_KEY
from tests.helpers.clock import Clock
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import KillAfter, Killed, Throttle, killed_at_each
from tests.helpers.requests_made import RequestsMade

STORE = [('a/one', None), ('a/two', None), ('b/one', None)]
NAMES = [name for name, _ in STORE]


@pytest.fixture
def index(processes):
    return processes[0]


@pytest.fixture
def other(processes):
    return processes[1]


@pytest.fixture
def ready(index):
    return index.ready(STORE)


@pytest.fixture
def not_ready(ready):
    """An index that lost its ready marker only."""
    ready.store.call('delete_item', TableName=ready.settings.search_table, Key=READY_KEY)
    return ready


def refuse_to_list():
    raise AssertionError('the storage is listed')


def broken():
    yield STORE[0]
    raise IOError('no such bucket')


def delete_table(index, place):
    index.engine.client.call('delete_table', TableName=index.tables()[place])


def everything(index, tables=None):
    return [index.items(table) for table in tables or index.tables()]


def version_row(index):
    [row] = index.items(index.settings.version_table)
    return row


def test_a_start_creates_tables_on_demand_and_loads_the_storage(index, other):
    assert index.ensure_ready(lambda: STORE) is True
    for table in index.tables():
        description = index.engine.client.call('describe_table', TableName=table)['Table']
        assert description['TableStatus'] == 'ACTIVE'
        assert description['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
        assert not description.get('GlobalSecondaryIndexes')
    assert index.names() == NAMES
    # Release 0.1.0 accepts this row only.
    assert version_row(index) == {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}
    assert other.ensure_ready(refuse_to_list) is True


def test_a_start_makes_the_index_complete_whichever_tables_are_missing(index, other):
    combinations = [gone for count in (1, 2, 3) for gone in itertools.combinations(range(3), count)]
    for gone in index.telling(combinations, every=2, first=0):
        index.ready(STORE)
        index.engine.remove(NAMES[0])
        for place in gone:
            delete_table(index, place)
        assert other.ensure_ready(lambda: STORE[1:]) is True
        assert other.names() == NAMES[1:] == sorted(other.rows())
        assert other.search('one') == [('b/one', '')]
        index.delete_tables()


def test_a_start_killed_at_any_request_is_completed_by_the_next(processes):
    index, other, third = processes
    for count in killed_at_each(index, lambda: index.ready(STORE), every=8):
        assert other.take_over(lambda: STORE) is True
        assert other.names() == NAMES
        assert other.search('one') == [('a/one', ''), ('b/one', '')]
        assert third.ensure_ready(refuse_to_list) is True
        other.delete_tables()
    assert count > 10


def test_a_killed_start_that_made_the_repository_table_anew_does_not_leave_it_empty(ready, other):
    delete_table(ready, 0)
    KillAfter(other.engine, 1, 'CreateTable')
    with pytest.raises(Killed):
        other.ready(STORE)
    assert ready.take_over(lambda: STORE) is True
    assert sorted(ready.rows()) == NAMES


def test_threads_that_start_at_once_load_once(index):
    loads, started = [], []

    def start():
        started.append(index.ensure_ready(lambda: loads.append(1) or STORE))

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert started == [True] * 4 and len(loads) == 1


PROCESS = '''
import sys
from tests.helpers.engine import EngineIndex
index = EngineIndex(sys.argv[1], sys.argv[2])
def store():
    with open(sys.argv[3], 'a') as loads:
        loads.write('load\\n')
    return [('team/app-%d' % number, None) for number in range(20)]
assert index.ensure_ready(store) is True
assert len(index.search('app')) == 20
print('served')
'''


def test_processes_that_start_at_once_load_once_and_all_serve(
        real_dynamodb_endpoint, index, tmpdir):
    loads = tmpdir.join('loads')
    processes = [subprocess.Popen(
        [sys.executable, '-c', PROCESS, real_dynamodb_endpoint, index.settings.database,
         str(loads)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(5)]
    ends = [process.communicate() for process in processes]
    assert [end[0].strip() for end in ends] == [b'served'] * 5, ends
    assert loads.read() == 'load\n'


def test_a_process_that_waited_for_startup_wait_serves_what_is_there(not_ready):
    assert Lease(not_ready.store).acquire()
    clock, waiting = Clock(), not_ready.another(startup_wait=2)
    assert waiting.ensure_ready(refuse_to_list, clock=clock, sleep=clock.sleep) is False
    assert 2 < sum(clock.slept) < 3
    assert waiting.search('one') == [('a/one', ''), ('b/one', '')]
    assert waiting.engine.add('a/new') is True


def test_a_start_does_not_wait_again_for_a_load_that_is_older_than_startup_wait(not_ready):
    clock = Clock()
    holder, waiting = Lease(not_ready.store, 5, clock), not_ready.another(startup_wait=4)
    assert holder.acquire()

    def sleep(seconds):
        clock.sleep(seconds)
        holder.renew()

    waits = []
    for _ in range(2):
        began = clock()
        assert waiting.ensure_ready(refuse_to_list, clock=clock, sleep=sleep) is False
        waits.append(clock() - began)
    # The second start returns after one heartbeat.
    assert waits[0] >= 4 and waits[1] < 1.5


@pytest.mark.parametrize('wait', [0, 0.2])
def test_a_dead_load_is_taken_over_by_a_process_that_waits_less_than_the_lease_time(
        index, other, wait):
    KillAfter(other.engine, 1, 'TransactWriteItems')
    with pytest.raises(Killed):
        other.ensure_ready(lambda: STORE)
    lease_seconds = float(version_row(index)['lease_seconds']['N'])
    # As the maintenance tries: again and again, each time for a moment.
    clock, waiting = Clock(), index.another(startup_wait=wait)
    start = waiting.starter(lambda: STORE, clock=clock, sleep=clock.sleep)
    began = clock()
    while not start.ensure_ready():
        clock.advance(5)
    assert 20 <= lease_seconds <= clock() - began < 60
    waiting.assert_whole()
    assert waiting.names() == NAMES


def test_a_load_that_lost_dynamodb_begins_again_as_soon_as_dynamodb_recovers(dynamodb_endpoint):
    index, clock, faults = EngineIndex(dynamodb_endpoint, attempts=1), Clock(), []

    def fail():
        faults.append(Throttle(index.engine, '*', 1000, code='Down', status=500))
        raise errors.RequestFailed('put_item', [], 'Down', 'unavailable', True)

    source = [fail]
    start = index.starter(lambda: source[0](), clock=clock, sleep=clock.sleep)
    with pytest.raises(errors.DynamoDBIndexError):
        start.ensure_ready()
    faults[0].left, source[0] = 0, lambda: STORE
    assert 'lease' in version_row(index)
    assert start.ensure_ready() is True
    assert clock.slept == [] and index.names() == NAMES
    index.delete_tables()


def test_a_storage_that_cannot_be_listed_leaves_the_lease_free_and_no_format(index, other):
    with pytest.raises(errors.StorageUnreadable):
        index.ensure_ready(broken)
    assert all('format' not in row for row in index.items(index.settings.version_table))
    made = RequestsMade(other.engine)
    assert other.ensure_ready(lambda: STORE) is True
    assert made.operations.count('UpdateItem') == 1
    assert other.names() == NAMES


@pytest.mark.parametrize('begin', ['ensure_ready', 'sync'])
def test_a_start_interrupted_while_it_takes_the_lease_gives_it_back(
        not_ready, other, monkeypatch, begin):
    client, call = not_ready.engine.client, not_ready.engine.client.call

    def interrupting(operation, **arguments):
        answer = call(operation, **arguments)
        if operation == 'update_item':
            monkeypatch.undo()
            raise KeyboardInterrupt()
        return answer

    monkeypatch.setattr(client, 'call', interrupting)
    with pytest.raises(KeyboardInterrupt):
        getattr(not_ready if begin == 'ensure_ready' else not_ready.engine, begin)(refuse_to_list)
    assert 'lease' not in version_row(not_ready)
    # So the next process does not wait for the end of the lease time.
    clock = Clock()
    assert other.ensure_ready(lambda: STORE, clock=clock, sleep=clock.sleep) is True
    assert clock.slept == []


def test_the_search_table_of_an_older_format_is_refused(ready, other):
    """A setting may name it; each format has a table of its own."""
    table = ready.settings.search_table
    ready.store.call('put_item', TableName=table, Item=dict(
        ready.store.get(table, READY_KEY), format={'N': str(postings.FORMAT - 1)}))
    before = everything(ready)
    with pytest.raises(errors.ForeignDatabase) as refused:
        other.ensure_ready(refuse_to_list)
    assert table in str(refused.value) and everything(ready) == before


def test_an_index_of_an_older_format_is_loaded_into_a_table_of_its_own(ready):
    row = dict(VERSION_KEY, format={'N': str(postings.FORMAT - 1)})
    ready.store.call('put_item', Item=row, TableName=ready.settings.version_table)
    newer = ready.another(search_table=ready.settings.search_table + '-next')
    assert newer.ensure_ready(lambda: STORE) is True
    assert newer.names() == NAMES
    assert version_row(newer) == dict(VERSION_KEY, format={'N': str(postings.FORMAT)})
    newer.store.call('delete_table', TableName=newer.settings.search_table)


@pytest.mark.parametrize('throttled', ['repository_table', 'version_table'])
def test_a_throttled_table_of_0_1_0_does_not_delay_the_first_check(
        ready, other, monkeypatch, throttled):
    name, client = getattr(ready.settings, throttled), other.engine.client
    call, asked = client.call, []

    def leave_out(operation, **arguments):
        asked.append(operation)
        found = call(operation, **arguments)
        found['Responses'].pop(name, None)
        return dict(found, UnprocessedKeys={name: arguments['RequestItems'][name]})

    monkeypatch.setattr(client, 'call', leave_out)
    assert other.engine.is_ready() is True
    assert asked == ['batch_get_item']


@pytest.mark.parametrize('lost', [2, 0])
def test_another_version_number_stops_the_start_before_any_change(ready, other, lost):
    assert Lease(ready.store).acquire()
    ready.store.call('put_item', Item={'version': {'N': '2'}},
                     TableName=ready.settings.version_table)
    delete_table(ready, lost)
    left = [table for table in ready.tables() if table != ready.tables()[lost]]
    before = everything(ready, left)
    with pytest.raises(errors.NewerDatabase) as refused:
        other.ensure_ready(refuse_to_list)
    assert ready.settings.version_table in str(refused.value)
    assert everything(ready, left) == before
    with pytest.raises(errors.MissingTable):
        ready.items(ready.tables()[lost])


def test_a_table_with_other_keys_stops_the_start_before_any_table_is_created(index):
    index.engine.client.call(
        'create_table', TableName=index.settings.search_table, BillingMode='PAY_PER_REQUEST',
        KeySchema=[{'AttributeName': 'id', 'KeyType': 'HASH'}],
        AttributeDefinitions=[{'AttributeName': 'id', 'AttributeType': 'S'}])
    with pytest.raises(errors.DynamoDBIndexError) as refused:
        index.ensure_ready(refuse_to_list)
    assert index.settings.search_table in str(refused.value)
    with pytest.raises(errors.MissingTable):
        index.items(index.settings.repository_table)
