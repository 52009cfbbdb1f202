"""Loads of real registries with default settings, whose lease lasts longer than a start waits."""
import os
import re
import signal
import time

import pytest

from docker_registry_index.engine.store.records import READY_KEY
from tests.end_to_end.faults.conftest import assert_right
from tests.end_to_end.plugin.registry_place import (
    LOADED, Place, wait_for_load, wait_for_workers, workers_of)
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import in_threads, wait_until

NAMES = ['team-%d/application-%03d' % (number % 3, number) for number in range(100)]
#: The most repositories that a load writes side by side: 33 in each of eight threads.
AT_ONCE = 8 * 33
#: A load writes these in two rounds.
MANY = NAMES + ['team-3/application-%03d' % number for number in range(300)]
#: Seconds of a lease, by default: three slowest requests.
LEASE = 45
#: Seconds that a load may take after that, on a busy machine.
LOAD = 60
#: Seconds after which a worker checks the index again, and then syncs.
CHECK = 66
LONG_AGO = {'N': '1000000000'}


@pytest.fixture
def place(ministack, proxy):
    """A place whose DynamoDB is behind a proxy."""
    made = Place(ministack.url, proxy.url)
    put(made, NAMES)
    return made


@pytest.fixture
def large_place(place):
    """The same place, with many more repositories."""
    put(place, MANY[len(NAMES):])
    return place


def put(place, names):
    in_threads([lambda start=start: place.put(*names[start::4]) for start in range(4)])()


@pytest.fixture
def seen(place, dynamodb_local):
    """The index itself, without a proxy before it."""
    return EngineIndex(dynamodb_local.url, place.name)


def pairs(names):
    return [(name, None) for name in names]


def wait_for_rows_of_a_load(seen):
    """Wait until a load has written some rows of its first round, seconds before its end."""
    def rows():
        try:
            return len(seen.rows())
        except Exception as error:
            assert 'ResourceNotFound' in str(error), error
            return 0

    wait_until(lambda: rows() > 10, 'nothing is loaded', 60)
    [version] = seen.items(seen.settings.version_table)
    assert rows() <= AT_ONCE and 'lease' in version and not seen.engine.is_ready()


@pytest.mark.parametrize('fault', ['killed', 'black hole'])
def test_a_load_ends_after_all_workers_were_killed_or_dynamodb_was_unavailable(
        large_place, seen, proxy, fault):
    # So that a round of the load takes eight seconds.
    proxy.delay(0.2, only='Write')
    with large_place.launched() as client:
        wait_for_rows_of_a_load(seen)
        workers = workers_of(client.registry)
        assert len(workers) == 2
        if fault == 'killed':
            for pid in workers:
                os.kill(pid, signal.SIGKILL)
        else:
            with proxy.black_hole():
                time.sleep(30)  # for longer than the load retries
        proxy.delay(0)
        began = time.monotonic()
        # The load that takes over waits as long again for requests of the killed one.
        wait_for_load(client.registry, 2 * LEASE + LOAD)
        took = time.monotonic() - began
        wait_for_workers(client.registry)
        assert_right(seen, pairs(MANY))
        if fault == 'killed':
            assert took >= LEASE and not set(workers) & set(workers_of(client.registry))
        assert client.names() == sorted(MANY)
        assert client.registry.log_text().count(LOADED) == 1
    print('loaded %.1f s after the fault' % took)


def test_a_load_gives_way_to_a_push_of_its_worker(large_place, seen, proxy):
    proxy.delay(0.4, only='Write')  # so that the load takes seconds
    with large_place.launched(GUNICORN_WORKERS='1', DYNAMODB_STARTUP_WAIT='0.1') as client:
        client.registry.wait_until_ready()
        wait_until(lambda: proxy.counts['BatchWriteItem'] > 20, 'nothing is loaded', 60)
        gets = proxy.counts['GetItem']
        # Writes are fast from now on, and the first request of the push takes 2.5 seconds.
        proxy.delay(2.5, only='GetItem')
        push = in_threads([lambda: client.begin_push('team-9/pushed')])
        wait_until(lambda: proxy.counts['GetItem'] > gets, 'the push makes no request', 60)
        before, began = proxy.counts['BatchWriteItem'], time.monotonic()
        time.sleep(1.5)
        written, took = proxy.counts['BatchWriteItem'] - before, time.monotonic() - began
        assert LOADED not in client.registry.log_text()
        # Each of the eight threads ends its request, and then makes one each half second.
        assert written <= 8 * (1 + took / 0.5), '%d requests in %.1f s' % (written, took)
        push()
        assert time.monotonic() - began > 2
        proxy.delay(0)
        wait_for_load(client.registry)
    assert_right(seen, pairs(MANY + ['team-9/pushed']))
    print('%d requests of the load in %.1f s of a push' % (written, took))


def test_deleted_tables_are_loaded_again_and_a_due_sync_is_made_while_a_registry_runs(place, seen):
    with place.running() as client:
        log = client.registry.log_text
        wait_for_load(client.registry)
        before = workers_of(client.registry)
        place.drop('repository', 'search')

        def found_and_loads():
            found = client.found()
            # Until then, a search answers 503 or finds a part of the names.
            assert found == 503 or set(found) <= set(NAMES), found
            return found, log().count(LOADED)

        wait_until(found_and_loads, 'it is not loaded again', LEASE + LOAD, client.registry,
                   (sorted(NAMES), 2))
        assert_right(seen, pairs(NAMES))
        assert workers_of(client.registry) == before, 'a worker was made anew'
        # The storage changes without a signal; and all of it was long ago.
        gone, pushed = NAMES[0], 'team-9/put-into-s3'
        place.bucket.delete(place.key(gone))
        place.put(pushed)
        seen.change_item(seen.settings.repository_table, {'name': {'S': gone}}, touched=LONG_AGO)
        seen.change_item(seen.settings.search_table, READY_KEY, synced=LONG_AGO, tried=LONG_AGO)
        expected = sorted(set(NAMES) - {gone} | {pushed})
        wait_until(client.names, 'no sync is made', CHECK + LOAD, client.registry, expected)
        wait_until(lambda: log().count(LOADED), 'the sync does not end', LOAD, client.registry, 3)
        assert_right(seen, pairs(expected))
        assert re.search('1 added.*1 removed', log())
