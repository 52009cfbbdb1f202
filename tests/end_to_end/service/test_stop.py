"""A service is stopped while requests hang at DynamoDB and a load is under way: it gives its lease
back at once, and the process ends in time."""
import concurrent.futures
import contextlib
import os
import signal
import socket
import time

import pytest

from dev.servers.process import free_port, http_status
from dev.servers.proxy import Proxy
from tests.end_to_end.service.test_serve_command import Served, post, settings_of
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.scripted_server import late, page
from tests.helpers.waiting import wait_until

#: Seconds that docs/service.md states, and those that a busy machine adds.
BACKGROUND, ALL, BUSY = 8, 25, 4


@pytest.fixture
def loading(dynamodb_local):
    """(service, proxy, index) of a first load that takes a minute: the registry is slow."""
    with FakeRegistry({'team/load-%03d' % number: None for number in range(400)}) as registry, \
            Proxy(dynamodb_local.url) as proxy:
        tags, names = page({'tags': ['x']}), page({'repositories': sorted(registry.repositories)})
        registry.trouble = late(1, lambda handler: (tags if 'tags' in handler.path
                                                    else names)(handler))
        # One attempt that waits for longer than a stop may take.
        settings = settings_of(proxy.url, 'test-stop-%d-%d' % (os.getpid(), proxy.port),
                               REGISTRY_URL=registry.url, DYNAMODB_READ_TIMEOUT='60',
                               DYNAMODB_ATTEMPTS='1')
        served = Served(settings)
        try:
            served.wait('/healthz')
            wait_until(lambda: sum('tags' in path for path in registry.paths) > 4, 'no load begins',
                       30)
            index = EngineIndex(dynamodb_local.url, settings['DYNAMODB_DATABASE'])
            wait_until(lambda: lease(index) is not None, 'it has no lease', 5)
            yield served, proxy, index
        finally:
            if served.process.poll() is None:
                served.end(signal.SIGKILL)


def lease(index):
    """Return the holder of the lease on loading, or None."""
    return index.engine.client.call('get_item', TableName=index.settings.version_table,
                                    Key={'version': {'N': '1'}},
                                    ConsistentRead=True).get('Item', {}).get('lease')


def test_the_lease_is_given_back_at_once_and_the_process_ends_in_time(loading):
    served, proxy, index = loading
    with proxy.black_hole('Query'), concurrent.futures.ThreadPoolExecutor(4) as pool, silent(
            served.port):
        searches = [pool.submit(http_status, served.port, '/v1/search?q=load', 60)
                    for _ in range(4)]
        wait_until(lambda: proxy.outcomes['black hole'] >= 4, 'no search hangs', 10)
        began = time.monotonic()
        for number in signal.SIGTERM, signal.SIGINT:
            served.process.send_signal(number)
            time.sleep(0.3)
        assert http_status(served.port, '/v1/search?q=load',
                           60) == http_status(served.port, '/readyz', 60) == 503, 'it is stopping'
        assert http_status(served.port, '/healthz', 60) == 200 and time.monotonic() - began < BUSY
        wait_until(lambda: lease(index), 'the lease is kept', BACKGROUND + BUSY, expected=None)
        given_back, is_running = time.monotonic() - began, served.process.poll() is None
        status, _, out, err = served.end(0, ALL + BUSY)  # it only waits
        took = time.monotonic() - began
        print('\nthe lease is given back after %.1f s, the process ends after %.1f s'
              % (given_back, took))
        assert status == 0 and took < ALL + BUSY, err
        assert is_running and [search.result() for search in searches] == [
            None] * 4, 'they were waited for, and then cut off'


@contextlib.contextmanager
def silent(port):
    """Connections that are idle, or have sent half a head or half a body."""
    with contextlib.ExitStack() as opened:
        for content in (b'', b'GET /healthz HT',
                        b'POST /events HTTP/1.1\r\nContent-Length: 9\r\n\r\n{') * 20:
            opened.enter_context(socket.create_connection(('127.0.0.1', port))).sendall(content)
        yield


def test_without_requests_under_way_it_ends_soon(loading):
    served, proxy, index = loading
    with silent(served.port):
        status, seconds, out, err = served.end()
    assert status == 0 and seconds < BACKGROUND + BUSY, (seconds, err)
    assert lease(index) is None


@pytest.mark.parametrize('number, seconds', [(signal.SIGINT, 0), (signal.SIGTERM, 1),
                                             (signal.SIGTERM, 3.5)])
def test_a_start_that_waits_for_dynamodb_ends_soon(dynamodb_local, number, seconds):
    with Proxy(dynamodb_local.url) as proxy, proxy.black_hole():
        served = Served(settings_of(proxy.url, 'test-start-%d' % proxy.port,
                                    DYNAMODB_READ_TIMEOUT='60'))
        wait_until(lambda: is_taken(served.port), 'it does not listen', 20)
        time.sleep(seconds)
        status, took, out, err = served.end(number)
        assert status == 0 and took < BACKGROUND + BUSY, (status, took, err)


def is_taken(port):
    with socket.socket() as connection:
        return connection.connect_ex(('127.0.0.1', port)) == 0


def test_requests_that_take_long_are_answered(dynamodb_local):
    with FakeRegistry({'team/slow': None}) as registry:
        settings = settings_of(dynamodb_local.url, 'test-long-%d' % free_port(),
                               REGISTRY_URL=registry.url, EVENTS_WAIT='20')
        served = Served(settings).wait()
        registry.trouble = late(4, page({'tags': ['x']}))
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = [pool.submit(post, served.port, pushed('team/slow-%d' % number))
                       for number in range(8)]
            time.sleep(1)
            status, took, out, err = served.end(signal.SIGTERM, ALL + BUSY)
            print('\nthe process ends after %.1f s' % took)
            assert [answer.result() for answer in answers] == [200] * 8, err
        assert status == 0 and BACKGROUND < took < ALL, (took, err)
