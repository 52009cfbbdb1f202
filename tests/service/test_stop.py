"""A service is stopped while requests hang at DynamoDB and a load is under way: what is ours ends at once, and the process in time."""
import concurrent.futures
import os
import signal
import time

import pytest

from dev.servers.process import http_status
from dev.servers.proxy import Proxy
from tests.engine_index import EngineIndex
from tests.service.beside import ToldRegistry
from tests.service.odd_server import late, page
from tests.service.place import wait_until
from tests.service.test_serve_command import Served, settings_of

#: Seconds that docs/service.md states, and what a busy machine adds.
BACKGROUND, ALL, BUSY = 8, 25, 4


@pytest.fixture
def loading(dynamodb_local):
    """(service, proxy, index) of a first load that takes a minute: each repository is asked for slowly."""
    proxy = Proxy(dynamodb_local.url)
    with ToldRegistry({'team/load-%03d' % number: None for number in range(400)}) as registry:
        tags, names = page({'tags': ['x']}), page({'repositories': sorted(registry.repositories)})
        registry.trouble = late(1, lambda handler: (tags if 'tags' in handler.path else names)(handler))
        # One attempt that waits for longer than a stop may take.
        settings = settings_of(proxy.url, 'test-stop-%d-%d' % (os.getpid(), proxy.port), REGISTRY_URL=registry.url, DYNAMODB_READ_TIMEOUT='60',
                               DYNAMODB_ATTEMPTS='1')
        served = Served(settings)
        try:
            served.wait('/healthz')
            wait_until(lambda: sum('tags' in path for path in registry.paths) > 4, 'no load begins', 30)
            index = EngineIndex(dynamodb_local.url, settings['DYNAMODB_DATABASE'])
            wait_until(lambda: lease(index) is not None, 'it has no lease', 5)
            yield served, proxy, index
        finally:
            if served.process.poll() is None:
                served.end(signal.SIGKILL)
            proxy.close()


def lease(index):
    """Who loads, or None."""
    return index.engine.client.call('get_item', TableName=index.settings.version_table, Key={'version': {'N': '1'}},
                                    ConsistentRead=True).get('Item', {}).get('lease')


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_the_lease_is_given_back_at_once_and_the_process_ends_in_time(loading, number):
    served, proxy, index = loading
    with proxy.black_hole('Query'), concurrent.futures.ThreadPoolExecutor(4) as pool:
        searches = [pool.submit(http_status, served.port, '/v1/search?q=load', 60) for _ in range(4)]
        wait_until(lambda: proxy.outcomes['black hole'] >= 4, 'no search hangs', 10)
        began = time.monotonic()
        served.process.send_signal(number)
        wait_until(lambda: lease(index), 'the lease is kept', BACKGROUND + BUSY, expected=None)
        given_back, is_running = time.monotonic() - began, served.process.poll() is None
        status, _, out, err = served.end(0, ALL + BUSY)  # it only waits
        took = time.monotonic() - began
        print('\nthe lease is given back after %.1f s, the process ends after %.1f s' % (given_back, took))
        assert status == 0 and took < ALL + BUSY and 'Traceback' not in err, err
        assert is_running and [search.result() for search in searches] == [None] * 4, 'they were cut off, and waited for before'


def test_without_requests_under_way_it_ends_soon(loading):
    served, proxy, index = loading
    status, seconds, out, err = served.end()
    assert status == 0 and seconds < BACKGROUND + BUSY and 'Traceback' not in err, (seconds, err)
    assert lease(index) is None
