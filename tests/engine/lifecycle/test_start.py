"""From whatever tables exist to a complete index, by any number of processes."""
from __future__ import unicode_literals

import functools

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.lifecycle.start import Startup
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.clock import Clock
from tests.helpers.faults import KillAfter, Killed, Meanwhile, killed_at_each
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import FakeStorage, refuse_to_list
from tests.helpers.waiting import in_threads

STORE = [('a/one', None), ('a/two', None), ('b/one', None)]
NAMES = [name for name, _ in STORE]


@pytest.fixture
def ready(first):
    return first.ready(STORE)


@pytest.fixture
def not_ready(ready):
    """An index that lost its ready marker only."""
    ready.store.call('delete_item', TableName=ready.settings.search_table, Key=READY_KEY)
    return ready


def version_row(index):
    [row] = index.items(index.settings.version_table)
    return row


def test_a_start_creates_the_tables_and_loads_the_storage(first, second):
    assert first.ensure_ready(lambda: STORE) is True
    assert first.names() == NAMES
    # Release 0.1.0 accepts this row only.
    assert version_row(first) == {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}
    assert second.ensure_ready(refuse_to_list) is True


def requested(index):
    """Return the request for a sync that a process reads in the table, or None."""
    startup = Startup(index.store, None)
    startup.is_ready()
    return startup.request


def test_a_load_serves_the_requests_for_a_sync_that_were_made_before_it(ready, second):
    assert requested(second) is None
    startup = Startup(ready.store, None)
    for _ in range(2):
        startup.request_sync()
        assert startup.request == requested(second)
    second.engine.sync(lambda: STORE)
    assert requested(ready) is None
    # One of them may need a change that this load has not seen.
    second.engine.sync(lambda: startup.request_sync() or STORE)
    assert startup.request == requested(second)
    # Release 0.1.0 accepts this row, too.
    assert version_row(ready)['version'] == {'N': '1'}


def test_a_load_that_fails_serves_no_request(ready, second):
    startup = Startup(ready.store, None)
    startup.request_sync()
    with pytest.raises(errors.StorageUnreadable):
        second.engine.sync(refuse_to_list)
    assert startup.request == requested(second)


def test_a_start_killed_at_any_request_is_completed_by_the_next(processes):
    first, second, third = processes
    for count in killed_at_each(first, lambda: first.ready(STORE), every=8):
        assert second.take_over(lambda: STORE) is True
        assert second.names() == NAMES
        assert second.search('one') == [('a/one', ''), ('b/one', '')]
        assert third.ensure_ready(refuse_to_list) is True
        second.delete_tables()
    assert count > 10


def test_a_killed_start_that_made_the_repository_table_again_does_not_leave_it_empty(ready, second):
    ready.store.call('delete_table', TableName=ready.settings.repository_table)
    KillAfter(second.engine, 1, 'CreateTable')
    with pytest.raises(Killed):
        second.ready(STORE)
    assert ready.take_over(lambda: STORE) is True
    assert sorted(ready.rows()) == NAMES


def test_processes_of_two_threads_that_start_at_once_load_once(processes):
    loads = []

    def source():
        loads.append(1)
        return STORE

    starts = [functools.partial(each.ensure_ready, source) for each in processes for _ in 'ab']
    assert in_threads(starts)() == [True] * 6 and len(loads) == 1


def test_a_process_that_takes_the_lease_just_after_a_load_has_ended_does_not_load(first, second):
    Meanwhile(second.engine, 'UpdateItem', lambda: first.ready(STORE))
    assert second.ensure_ready(refuse_to_list) is True


def test_of_two_processes_that_find_a_sync_due_the_first_with_the_lease_makes_it(ready, second):
    starts = [index.starter(lambda: STORE) for index in (ready, second)]
    assert starts[0].is_ready() and starts[1].is_ready()
    before = starts[0].marker
    reports = [start.sync(lambda marker: marker == before) for start in starts]
    assert reports[0].unchanged == len(STORE) and reports[1] is None
    assert 'lease' not in version_row(ready)


def test_a_process_that_waited_for_startup_wait_serves_what_is_there(not_ready):
    assert Lease(not_ready.store).acquire()
    clock, waiting = Clock(), not_ready.another(startup_wait=2)
    assert waiting.ensure_ready(refuse_to_list, clock=clock, sleep=clock.sleep) is False
    assert 2 < sum(clock.slept) < 3
    assert waiting.search('one') == [('a/one', ''), ('b/one', '')]
    assert waiting.engine.add('a/new') is True


def test_neither_a_second_start_nor_a_sync_waits_for_a_long_load_of_another_process(not_ready):
    clock, waits = Clock(), []
    holder, waiting = Lease(not_ready.store, 5, clock, 1), not_ready.another(startup_wait=4)
    made = RequestsMade(waiting.engine)
    assert holder.acquire()

    def sleep(seconds):
        clock.sleep(seconds)
        holder.renew()

    for _ in range(2):
        began = clock()
        start = waiting.starter(refuse_to_list, clock=clock, sleep=sleep)
        assert start.ensure_ready() is False
        waits.append(clock() - began)
    # The second start, as of another worker, returns after one heartbeat.
    assert waits[0] >= 4 and waits[1] < 1.5
    # Each look costs one request, which also reads the marker. The tables are not described.
    assert made.operations == ['BatchGetItem'] * (len(clock.slept) + 2)
    with made.counted():
        assert start.ensure_ready() is False
        with pytest.raises(errors.LeaseTaken):
            start.sync()
    assert made.operations == ['BatchGetItem'] * 2
    # Once the lease time has passed without a heartbeat, the process loads.
    clock.advance(5.1)
    with made.counted(), pytest.raises(errors.StorageUnreadable):
        start.ensure_ready()
    assert made.operations[:9] == ['BatchGetItem', 'GetItem', 'Scan'] + ['DescribeTable'] * 3 + [
        'GetItem', 'UpdateItem', 'BatchGetItem']


def test_a_sync_waits_for_another_load_with_one_request_at_a_time(ready):
    clock, holder = Clock(), Lease(ready.store)
    assert holder.acquire()
    waiting = ready.another()
    made = RequestsMade(waiting.engine)

    def sleep(seconds):
        clock.sleep(seconds)
        if len(clock.slept) == 3:
            holder.release()

    assert waiting.starter(lambda: STORE, clock=clock, sleep=sleep).sync().unchanged == len(STORE)
    assert made.operations.count('BatchGetItem') == 5
    # Of the version table, of the rows, and of a slice of the search table.
    assert made.operations.count('Scan') == 3


def test_a_load_whose_table_was_lost_is_stopped_at_once(not_ready, second):
    holder, clock = Lease(not_ready.store), Clock()
    start = second.starter(lambda: STORE, clock=clock, sleep=clock.sleep)
    assert holder.acquire() and start.is_ready() is False
    not_ready.store.call('delete_table', TableName=not_ready.settings.repository_table)
    assert start.ensure_ready() is True
    assert clock.slept == []
    with pytest.raises(errors.LeaseLost):
        holder.release_with()


def test_a_dead_load_is_taken_over_by_a_process_that_does_not_wait(first, second):
    KillAfter(second.engine, 1, 'TransactWriteItems')
    with pytest.raises(Killed):
        second.ensure_ready(lambda: STORE)
    lease_seconds = float(version_row(first)['lease_seconds']['N'])
    # As the maintenance tries: again and again, each time for a moment.
    clock, waiting = Clock(), first.another(startup_wait=0)
    start = waiting.starter(lambda: STORE, clock=clock, sleep=clock.sleep)
    began = clock()
    while not start.ensure_ready():
        clock.advance(5)
    assert 20 <= lease_seconds <= clock() - began < 60
    waiting.assert_whole()
    assert waiting.names() == NAMES


def test_a_storage_that_cannot_be_listed_leaves_the_lease_free_and_no_format(first, second):
    with pytest.raises(errors.StorageUnreadable):
        first.ensure_ready(FakeStorage(NAMES, broken='ab'))
    assert all('format' not in row for row in first.items(first.settings.version_table))
    made = RequestsMade(second.engine)
    assert second.ensure_ready(lambda: STORE) is True
    assert made.operations.count('UpdateItem') == 1
    assert second.names() == NAMES


@pytest.mark.parametrize('begin', ['ensure_ready', 'sync'])
def test_a_start_interrupted_while_it_takes_the_lease_gives_it_back(not_ready, second, begin):
    def interrupt():
        raise KeyboardInterrupt()

    Meanwhile(not_ready.engine, 'UpdateItem', interrupt, 'after-call')
    with pytest.raises(KeyboardInterrupt):
        getattr(not_ready if begin == 'ensure_ready' else not_ready.engine, begin)(refuse_to_list)
    # So the next process does not wait for the end of the lease time.
    clock = Clock()
    assert second.ensure_ready(lambda: STORE, clock=clock, sleep=clock.sleep) is True
    assert clock.slept == []


@pytest.mark.parametrize('throttled', ['repository_table', 'version_table'])
def test_a_throttled_table_of_0_1_0_does_not_delay_the_first_check(
        ready, second, monkeypatch, throttled):
    name, client = getattr(ready.settings, throttled), second.engine.client
    call, asked = client.call, []

    def leave_out(operation, **arguments):
        asked.append(operation)
        found = call(operation, **arguments)
        found['Responses'].pop(name, None)
        return dict(found, UnprocessedKeys={name: arguments['RequestItems'][name]})

    monkeypatch.setattr(client, 'call', leave_out)
    assert second.engine.is_ready() is True
    assert asked == ['batch_get_item']


@pytest.mark.parametrize('lost', [2, 0])
def test_another_version_number_stops_the_start_before_any_change(ready, second, lost):
    assert Lease(ready.store).acquire()
    ready.store.call('put_item', Item={'version': {'N': '2'}},
                     TableName=ready.settings.version_table)
    ready.store.call('delete_table', TableName=ready.tables()[lost])
    left = [table for table in ready.tables() if table != ready.tables()[lost]]
    before = [ready.items(table) for table in left]
    with pytest.raises(errors.NewerDatabase, match=ready.settings.version_table):
        second.ensure_ready(refuse_to_list)
    assert [ready.items(table) for table in left] == before
    with pytest.raises(errors.MissingTable):
        ready.items(ready.tables()[lost])
