"""Outages of DynamoDB that outlive the workers of real registries. gunicorn rebuilds these every
few requests, and somebody kills some. Minutes later, the index equals the storage after one sync.

A sync begins 60 to 75 seconds after the last request for it, which these tests wait for."""
import contextlib
import itertools
import os
import signal
import time

import pytest

from tests.end_to_end.faults.conftest import assert_right
from tests.end_to_end.plugin.registry_place import (
    LOADED, Place, gunicorn, wait_for_workers, workers_of)
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import in_threads, wait_until

BEFORE = ['acme/before-%d' % number for number in range(3)]
#: Seconds after an outage within which the index equals the storage. docs/faults.md states when the
#: sync begins.
RECOVERY = 180
#: Workers that are rebuilt every few requests, not all at the same request.
REBUILT = {'GUNICORN_OPTS': gunicorn('--max-requests', '8', '--max-requests-jitter', '6')}


@pytest.fixture
def place(ministack, proxy):
    """A place with repositories, whose DynamoDB is behind a proxy."""
    made = Place(ministack.url, proxy.url)
    made.put(*BEFORE)
    return made


@pytest.fixture
def seen(place, dynamodb_local):
    """The index itself, without a proxy before it."""
    return EngineIndex(dynamodb_local.url, place.name)


@contextlib.contextmanager
def registries(place, count, **settings):
    """Run registries on several hosts that share a place; give a V1Client of each."""
    with contextlib.ExitStack() as running:
        clients = [running.enter_context(place.launched(**dict(REBUILT, **settings)))
                   for _ in range(count)]
        for client in clients:
            client.registry.wait_until_ready()
            wait_for_workers(client.registry)
        assert loads(clients) == 1
        yield clients


def loads(clients):
    """Return how many loads the workers of all registries have ended."""
    return sum(client.registry.log_text().count(LOADED) for client in clients)


def push_and_kill(clients, count, prefix='pushed', every=8):
    """Push to the registries by turns, four at once, and kill a worker after so many pushes. Return
    the names, and the number of workers that ended."""
    names = ['%s/during-%03d' % (prefix, number) for number in range(count)]
    seen = set()
    for first in range(0, count, 4):
        some = names[first:first + 4]
        in_threads([lambda client=client, name=name: client.begin_push(name)
                    for client, name in zip(itertools.cycle(clients), some)])()
        for client in clients:
            seen.update(workers_of(client.registry))
        if first % every == 4:
            with contextlib.suppress(ProcessLookupError):
                os.kill(workers_of(clients[first % len(clients)].registry)[0], signal.SIGKILL)
    running = [pid for client in clients for pid in workers_of(client.registry)]
    return names, len(seen.difference(running))


def wait_until_equal(seen, names, clients, expected_loads=2):
    """Wait until the index has exactly these names, after one sync, while requests go on and
    workers are rebuilt; print the seconds.

    :param expected_loads: of these registries: the sync, and perhaps the load of their start."""
    def found():
        for client in clients:
            client.request('GET', '/v1/_ping')
        return seen.names(), loads(clients)

    first = len(set(names).intersection(seen.names()))
    took = wait_until(found, 'the index does not equal the storage', RECOVERY, clients[0].registry,
                      (sorted(names), expected_loads), pause=0.2)
    print('\nat the end of the fault %d of %d; equal %.0f s later' % (first, len(names), took))
    assert_right(seen, [(name, None) for name in names])
    startup = seen.starter(None)
    assert startup.is_ready() and startup.request is None, 'one more sync would follow'


def test_after_two_outages_one_sync_finds_the_pushes_of_all_workers_that_ended_in_them(
        place, proxy, seen, is_long):
    # Requested syncs are made all the same.
    with registries(place, 2, DYNAMODB_SYNC_INTERVAL='0') as clients:
        with proxy.refusing():
            first, ended = push_and_kill(clients, 160 if is_long else 28, 'first')
        assert ended >= 3
        # So that some workers find DynamoDB available, and request a sync, before the next outage.
        time.sleep(3)
        with proxy.refusing():
            second, _ = push_and_kill(clients, 12, 'second')
        wait_until_equal(seen, BEFORE + first + second, clients)


def test_a_registry_that_ends_in_an_outage_and_is_started_after_it_finds_its_pushes(
        place, proxy, seen, is_long):
    """No process that has noticed the outage is left at its end."""
    names = list(BEFORE)
    for number in [signal.SIGKILL] + [signal.SIGTERM] * is_long:
        with place.launched(**REBUILT) as client:
            client.registry.wait_until_ready()
            wait_for_workers(client.registry)
            with proxy.refusing():
                pushed, _ = push_and_kill([client], 4, 'signal-%d' % number)
                os.killpg(client.registry.pid, number)
                wait_until(lambda: not client.registry.running, 'the registry runs', 40)
        names += pushed
        with place.launched(**REBUILT) as client:
            client.registry.wait_until_ready()
            wait_for_workers(client.registry)
            assert not set(pushed) & set(seen.names())
            wait_until_equal(seen, names, [client], 1)


def test_after_a_throttling_one_sync_finds_the_pushes_of_all_workers_that_ended_in_it(
        place, proxy, seen, is_long):
    with registries(place, 1, DYNAMODB_PUSH_WAIT='1') as clients:
        with proxy.throttling(place.table('repository')), proxy.throttling(place.table('search')):
            # A change counts as late when it has failed twice, which takes some seconds.
            pushed, ended = push_and_kill(clients, 200 if is_long else 40, every=12)
        assert ended >= 3
        wait_until_equal(seen, BEFORE + pushed, clients)
        assert 'DynamoDB is unavailable' not in clients[0].registry.log_text()
