"""docker-registry-index serve is stopped: during a start, or while requests hang at DynamoDB and a
load is under way. It releases its lease at once, and the process ends within a limit."""
import concurrent.futures
import contextlib
import os
import signal
import socket
import time

import pytest

from dev.servers.process import http_status, is_taken
from dev.servers.proxy import Proxy
from tests.end_to_end.service.place import ServiceProcess
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.scripted_server import late, page
from tests.helpers.service import SECRET
from tests.helpers.waiting import wait_until

#: Seconds that docs/service.md states, and those that a busy machine adds.
BACKGROUND, ALL, BUSY = 8, 25, 4


@contextlib.contextmanager
def silent_connections(port):
    """Connections that are idle, or have sent half a head or half a body."""
    with contextlib.ExitStack() as opened:
        for content in (b'', b'GET /healthz HT',
                        b'POST /events HTTP/1.1\r\nContent-Length: 9\r\n\r\n{') * 20:
            opened.enter_context(socket.create_connection(('127.0.0.1', port))).sendall(content)
        yield


def lease(index):
    """Return the holder of the lease on loading, or None."""
    return index.items(index.settings.version_table)[0].get('lease')


def seconds_until_end(service, *numbers, limit=BACKGROUND + BUSY):
    """Send signals to a service; return the seconds until it has ended well."""
    began = time.monotonic()
    for number in numbers:
        os.kill(service.pid, number)
        time.sleep(0.3)
    wait_until(lambda: not service.running, 'it does not end', limit, service)
    took, log = time.monotonic() - began, service.log_text()
    assert service.status == 0 and 'Traceback' not in log and SECRET not in log, log
    return took


def test_a_stop_releases_the_lease_and_answers_requests_but_those_that_hang(dynamodb_local):
    with FakeRegistry(dict.fromkeys('team/%03d' % number for number in range(80))) as registry, \
            Proxy(dynamodb_local.url) as proxy, concurrent.futures.ThreadPoolExecutor(9) as pool:
        # So the load takes at least ten seconds.
        tags, names = page({'tags': ['x']}), page({'repositories': sorted(registry.repositories)})
        registry.trouble = late(1, lambda handler: (tags if 'tags' in handler.path
                                                    else names)(handler))
        # One attempt that waits for longer than a stop may take.
        place = ServiceProcess(proxy.url, registry, DYNAMODB_READ_TIMEOUT='60',
                               DYNAMODB_ATTEMPTS='1')
        index, service = EngineIndex(dynamodb_local.url, place.database), place.service
        with contextlib.ExitStack() as running:
            running.callback(service.stop)
            service.launch()
            wait_until(lambda: sum('tags' in path for path in registry.paths) > 4,
                       'no load begins', 30)
            wait_until(lambda: lease(index), 'it has no lease', 5)
            running.enter_context(silent_connections(service.port))
            posts = [pool.submit(place.post, [pushed('slow/%d' % number)]) for number in range(4)]
            wait_until(lambda: sum('slow' in path for path in registry.paths) >= 4)
            running.enter_context(proxy.black_hole('Query'))
            searches = [pool.submit(http_status, service.port, '/v1/search?q=load', 60)
                        for _ in range(4)]
            wait_until(lambda: proxy.outcomes['black hole'] >= 4, 'no search hangs', 10)
            end = pool.submit(seconds_until_end, service, signal.SIGTERM, signal.SIGINT,
                              limit=ALL + BUSY)
            began = time.monotonic()
            time.sleep(0.5)
            assert [http_status(service.port, path, 60) for path in (
                '/v1/search?q=load', '/readyz', '/healthz')] == [503, 503, 200]
            assert time.monotonic() - began < BUSY
            wait_until(lambda: lease(index), 'the lease is kept', BACKGROUND + BUSY, expected=None)
            assert service.running and [post.result().status_code for post in posts] == [200] * 4
            assert end.result() > BACKGROUND and [search.result() for search in searches] == [
                None] * 4, 'they were waited for, and then cut off'
            assert 'stopping: SIGTERM' in service.log_text()
        registry.trouble = None
        again = ServiceProcess(dynamodb_local.url, registry, place.database)
        serve = again.service.command
        # The access log alone is the standard output.
        again.service.command = lambda: ['sh', '-c', 'exec "$@" 2>/dev/null', 'sh'] + serve()
        with again, silent_connections(again.service.port):
            assert again.found('slow') == ['slow/%d' % number for number in range(4)]
            seconds_until_end(again.service, signal.SIGINT)
            assert '"GET /v1/search?q=slow HTTP/1.1" 200' in again.service.log_text()
            assert 'stopping' not in again.service.log_text()


@pytest.mark.parametrize('number, seconds', [(signal.SIGINT, 0), (signal.SIGTERM, 3.5)])
def test_a_start_that_waits_for_dynamodb_ends_soon(dynamodb_local, number, seconds):
    with Proxy(dynamodb_local.url) as proxy, proxy.black_hole(), contextlib.ExitStack() as running:
        service = ServiceProcess(proxy.url, DYNAMODB_READ_TIMEOUT='60').service
        running.callback(service.stop)
        service.launch()
        wait_until(lambda: is_taken(service.port), 'it does not listen', 20)
        time.sleep(seconds)
        seconds_until_end(service, number)
