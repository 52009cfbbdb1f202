"""SearchIndex: what it reports, what its callers wait for, and how it ends."""
from __future__ import unicode_literals

import threading

import pytest

from docker_registry_index.engine import concurrency, errors, index as index_module
from docker_registry_index.engine.lifecycle import maintenance
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import Throttle
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import Hanging, wait_until

STORED = [('a/web', 'The front end'), ('b/worker', None)]


def half_readable():
    """Return a storage of two namespaces, one of which cannot be listed."""
    return FakeStorage(['a/web', 'broken/x'], broken=['broken'])


@pytest.fixture
def index(first):
    return first


@pytest.mark.parametrize('code, status, is_requested', [
    ('AccessDeniedException', 400, True), ('InternalServerError', 500, False)])
def test_a_process_that_ends_with_changes_requests_a_sync_unless_dynamodb_is_unavailable(
        index, second, caplog, code, status, is_requested):
    assert index.engine.start(lambda: STORED) is True
    operation = 'TransactWriteItems' if is_requested else '*'
    Throttle(index.engine, operation, 10 ** 6, code=code, status=status)
    assert index.engine.apply_change('a/new', True) is False
    # After an outage, the processes that are still running request a sync.
    index.engine.close()
    assert '1 changes of the search index are lost' in caplog.text
    [row] = second.items(second.settings.version_table)
    assert ('sync_requested' in row) is is_requested


@pytest.mark.parametrize('end', ['kill', 'close'])
def test_a_change_that_hangs_when_its_process_ends_is_found_by_the_sync_of_the_next_process(
        processes, end, monkeypatch):
    """Before the request has timed out, the process knows of no outage."""
    monkeypatch.setattr(index_module, '_CLOSE_SECONDS', 0.1)
    monkeypatch.setattr(maintenance, '_LAST_SECONDS', 0.1)
    index, other, watching = processes
    assert index.engine.start(lambda: STORED) is True
    monkeypatch.setattr(index.engine._queue, '_wait', 0.1)
    hanging = Hanging(lambda: None)
    index.dynamodb.meta.events.register('before-call.dynamodb', lambda **_: hanging())
    with hanging:
        assert index.engine.apply_change('a/new', True) is False
        if end == 'close':
            index.engine.close()
        assert other.engine.start(lambda: STORED) is True
        wait_until(lambda: 'sync_requested' in watching.items(index.settings.version_table)[0])


def test_a_change_that_is_made_in_time_leads_to_no_sync(processes):
    index, other, watching = processes
    assert index.engine.start(lambda: STORED) is True
    assert index.engine.apply_change('a/new', True) is True
    startup = other.starter(None)
    maintained = maintenance.Maintenance(other.store, None, startup=lambda *_: startup)
    for _ in range(2):
        maintained.run_once(0)
    assert 'sync_requested' not in watching.items(index.settings.version_table)[0]


def test_a_process_requests_a_sync_when_dynamodb_has_recovered(index, second):
    assert index.engine.start(lambda: STORED) is True
    Throttle(index.engine, 'Query', 1, code='InternalServerError', status=500)
    with pytest.raises(errors.RequestFailed):
        index.search('a')
    index.search('a')
    wait_until(lambda: 'sync_requested' in index.items(index.settings.version_table)[0])


def test_an_index_is_ready_and_complete_only_after_its_start(index, monkeypatch):
    index.ready(STORED)
    unused = EngineIndex(index.settings.endpoint_url, index.settings.database).engine
    assert (unused.ready, unused.complete) == (False, False)
    # To end it, or to ask for a sync, does nothing.
    unused.sync_soon()
    unused.close()
    made = RequestsMade(index.engine)
    assert index.engine.start(lambda: STORED) is True
    assert (index.engine.ready, index.engine.complete) == (True, True)
    # A warm start is one batch of reads and nothing after it.
    assert made.operations == ['BatchGetItem']
    # As while a sync finds that the search table is missing, before the next check.
    monkeypatch.setattr(index_module.Maintenance, 'marker', None)
    assert (index.engine.ready, index.engine.complete) == (True, False)


def test_an_index_is_complete_without_the_part_of_the_storage_that_cannot_be_read(index):
    assert index.engine.start(half_readable()) is True
    assert (index.engine.ready, index.engine.complete) == (True, True)
    assert index.engine.unreadable == ['broken']
    results = index.engine.search('web')
    assert [result.name for result in results] == ['a/web'] and results.is_incomplete


def test_a_start_that_must_not_wait_makes_no_request_and_the_first_searches_wait(index, waits_of):
    threads, waits = [], waits_of(maintenance, real=1)

    def source():
        wait_until(lambda: [seconds for seconds in waits if 29 < seconds <= 30])
        return STORED

    index.dynamodb.meta.events.register(
        'before-call.dynamodb', lambda **_: threads.append(threading.current_thread()))
    assert index.engine.start(source, 0) is False
    assert threading.current_thread() not in threads
    assert sorted(index.search('')) == [('a/web', 'The front end'), ('b/worker', '')]


def test_a_forked_process_sends_nothing_over_the_connections_of_its_parent(index, fork):
    fork()
    with pytest.raises(errors.Stopped):
        index.engine.client.call('list_tables')


@pytest.mark.parametrize('act', [
    lambda engine: engine.search('web'), lambda engine: engine.catalog(),
    lambda engine: engine.add('a/new'), lambda engine: engine.remove('a/web'),
    lambda engine: engine.apply_change('a/new', True)],
    ids=['search', 'catalog', 'add', 'remove', 'apply_change'])
def test_a_request_that_finds_a_table_missing_lets_the_index_be_checked(index, monkeypatch, act):
    missing = errors.MissingTable('query', ['t'], 'ResourceNotFoundException', 'none', False)

    def call(operation, **arguments):
        raise missing

    checks, source = [], FakeStorage(['a/web'])
    assert index.engine.start(source) is True
    monkeypatch.setattr(index.engine._maintenance, 'check_soon', lambda: checks.append(1))
    with monkeypatch.context() as patch:
        patch.setattr(index.engine.client, 'call', call)
        try:
            assert act(index.engine) is False
        except errors.MissingTable as error:
            assert error is missing
        assert checks


def test_a_start_limits_how_long_and_how_often_changes_wait_for_the_storage(index, monkeypatch):
    source, reconciled = half_readable(), []
    monkeypatch.setattr(index_module, 'TimedSource', lambda *arguments: arguments)
    monkeypatch.setattr(index_module, 'reconcile', lambda *arguments: reconciled.append(arguments))
    index.engine.start(source)
    index.engine._queue._reconcile('a/web')
    assert reconciled == [('a/web', (source, 10, 8), index.engine._writer)]


def test_a_load_gives_way_to_each_push_and_delete_of_its_process_until_it_is_made(
        index, monkeypatch, waits_of):
    class Loader(object):
        """A Loader that keeps what each of its requests calls first; see test_loader.py."""

        def __init__(self, store, source, heartbeat, progress, give_way, slices, on_listed):
            ways.append(give_way)

        def load(self):
            pass

    # The background makes no request: its next check is in a minute, which is a real wait.
    monkeypatch.setattr(maintenance, '_COMPARE_EVERY', 10 ** 9)
    ways, waits = [], waits_of(concurrency, real=60)
    index.ready(STORED)
    monkeypatch.setattr(index_module, 'Loader', Loader)
    index.engine.start(lambda: STORED)
    index.engine._load_function(lambda: STORED, None)(None, (), None)
    [give_way] = ways
    made = RequestsMade(index.engine)
    index.dynamodb.meta.events.register('before-call.dynamodb', lambda **_: give_way())

    def waits_at(change):
        """Return how often a load waits that makes a request before each one of this change."""
        del made.operations[:], waits[:]
        change()
        give_way()
        return waits.count(0.5)

    assert waits_at(lambda: index.engine.search('web')) == 0
    for change in (lambda: index.engine.apply_change('a/new', True),
                   lambda: index.engine.apply_change('a/new', False),
                   lambda: index.engine.add('a/new'), lambda: index.engine.remove('a/new')):
        assert waits_at(change) == len(made.operations) >= 2
    # From its first moment, while it waits for a thread.
    with monkeypatch.context() as patched:
        patched.setattr(index.engine._queue, 'apply_change', lambda *_: give_way())
        assert waits_at(lambda: index.engine.apply_change('a/new', True)) == 1
    # It also gives way to a push that is throttled.
    Throttle(index.engine, 'TransactWriteItems', 3, ['ThrottlingError', None])
    assert waits_at(lambda: index.engine.add('a/new')) == 2
