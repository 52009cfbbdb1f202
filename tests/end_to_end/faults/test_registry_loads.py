"""Loads of real registries with default settings, whose lease lasts longer than a start waits."""
import concurrent.futures
import functools
import os
import re
import signal
import time

import pytest

from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.engine import EngineIndex
from tests.end_to_end.plugin.registry_place import (
    LOADED, Place, wait_for_load, wait_for_workers, workers_of)
from tests.end_to_end.plugin.test_contract import put
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import wait_until

NAMES = ['team-%d/application-%03d' % (number % 3, number) for number in range(100)]
#: Seconds of a lease, by default: three slowest requests.
LEASE = 45
#: Seconds that a load may take after that, on a busy machine.
LOAD = 60
#: Seconds after which a worker checks the index again, and then syncs.
CHECK = 66


@pytest.fixture
def place(ministack, proxy):
    """A place whose DynamoDB is behind a proxy, and writes slowly: its load takes seconds."""
    made = Place(ministack.url, proxy.url)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(functools.partial(put, made), NAMES))
    proxy.delay(0.3, only='Write')
    return made


@pytest.fixture
def seen(place, dynamodb_local):
    """The index itself, without a proxy before it."""
    return EngineIndex(dynamodb_local.url, place.name)


def running(place):
    registry = place.registry()
    registry.launch()
    registry.wait_until_ready()
    return registry


def wait_for_half_a_load(seen):
    """Wait until a load has written some rows, long before its end."""
    deadline = time.monotonic() + 60
    while True:
        try:
            count = len(seen.rows())
            if count > 10:
                break
        except Exception as error:
            assert 'ResourceNotFound' in str(error), error
        assert time.monotonic() < deadline, 'nothing is loaded'
        time.sleep(0.05)
    [version] = seen.items(seen.settings.version_table)
    assert count < len(NAMES) / 2 and 'lease' in version and not seen.engine.is_ready()


def assert_right(seen, names=NAMES):
    seen.assert_whole()
    assert seen.names() == sorted(names)
    assert list(seen.engine.checker(lambda: [(name, None) for name in names]).check()) == []


def test_killed_in_a_load_the_workers_that_come_after_take_over(place, seen):
    # The start waits for the load; it is not waited for.
    registry = place.registry()
    registry.launch()
    try:
        wait_for_half_a_load(seen)
        killed = workers_of(registry)
        assert len(killed) == 2
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        wait_for_load(registry, LEASE + LOAD)
        took = time.monotonic() - began
        wait_for_workers(registry)
        assert_right(seen)
        assert took >= LEASE and not set(killed) & set(workers_of(registry))
        assert V1Client(registry.url).names() == sorted(NAMES)
        assert registry.log_text().count(LOADED) == 1 and 'Traceback' not in registry.log_text()
    finally:
        registry.stop()
    print('loaded %.1f s after the workers were killed' % took)


@pytest.mark.parametrize('kind', ['black_hole', 'refusing'])
def test_dynamodb_unavailable_in_a_load_for_longer_than_the_load_tries(place, seen, proxy, kind):
    registry = place.registry()
    registry.launch()
    try:
        wait_for_half_a_load(seen)
        with getattr(proxy, kind)():
            time.sleep(30)
        began = time.monotonic()
        wait_for_load(registry, LEASE + LOAD)
        took = time.monotonic() - began
        wait_for_workers(registry)
        assert_right(seen)
        assert V1Client(registry.url).names() == sorted(NAMES)
        assert registry.log_text().count(LOADED) == 1 and 'Traceback' not in registry.log_text()
    finally:
        registry.stop()
    print('loaded %.1f s after DynamoDB recovered' % took)


def test_tables_that_are_deleted_under_a_registry_are_made_and_loaded_again(place, seen, proxy):
    with place.running() as client:
        wait_for_load(client.registry)
        before = workers_of(client.registry)
        place.drop('repository', 'search')

        def found_and_loads():
            found = client.found()
            # Nothing that is not there, and no error but the honest one.
            assert found == 503 or set(found) <= set(NAMES), found
            return found, client.registry.log_text().count(LOADED)

        wait_until(found_and_loads, 'it is not loaded again', LEASE + LOAD, client.registry,
                   (sorted(NAMES), 2))
        assert_right(seen)
        log = client.registry.log_text()
        assert len(re.findall(LOADED, log)) == 2 and 'Traceback' not in log
        assert workers_of(client.registry) == before, 'a worker was made anew'


def test_a_sync_that_is_due_is_made_by_a_registry_that_runs(place, seen):
    gone, pushed = NAMES[0], 'team-9/put-into-s3'
    with place.running() as client:
        wait_for_load(client.registry)
        namespace, name = gone.split('/')
        # Behind its back; and all of it was long ago.
        place.bucket.delete('%s/repositories/%s/%s/_index_images'
                            % (place.storage_path.strip('/'), namespace, name))
        put(place, pushed)
        call = seen.engine.client.call
        call('update_item', TableName=seen.settings.repository_table, Key={'name': {'S': gone}},
             UpdateExpression='SET touched = :then',
             ExpressionAttributeValues={':then': {'N': '1000000000'}})
        call('update_item', TableName=seen.settings.search_table, Key=READY_KEY,
             UpdateExpression='SET synced = :then, tried = :then',
             ExpressionAttributeValues={':then': {'N': '1000000000'}})
        expected = sorted(set(NAMES) - {gone} | {pushed})
        wait_until(client.names, 'no sync is made', CHECK + LOAD, client.registry, expected)
        wait_until(lambda: client.registry.log_text().count(LOADED), 'the sync does not end', LOAD,
                   client.registry, 2)
        assert_right(seen, expected)
        assert '1 added' in client.registry.log_text() and '1 removed' in client.registry.log_text()


def test_a_database_of_another_version_stops_every_worker_and_is_left_as_it_is(place, seen):
    with place.running() as client:
        wait_for_load(client.registry)
    seen.engine.client.call('put_item', TableName=seen.settings.version_table,
                            Item={'version': {'N': '2'}})
    seen.engine.client.call('delete_table', TableName=seen.settings.search_table)
    before = [seen.items(table) for table in (seen.settings.repository_table,
                                              seen.settings.version_table)]
    registry = place.registry()
    registry.launch()
    try:
        wait_until(lambda: registry.running, 'it does not end', LOAD, registry, False)
        assert registry.log_text().count('install the newer release') >= 1
    finally:
        registry.stop()
    assert place.tables() == ['repository', 'version']
    assert [seen.items(table) for table in (seen.settings.repository_table,
                                            seen.settings.version_table)] == before
