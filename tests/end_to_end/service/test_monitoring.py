"""The addresses for monitoring, on a port of their own."""
import os
import signal

import pytest

from dev.servers.process import free_port, http_status
from dev.servers.proxy import Proxy
from dev.servers.service import Service
from tests.docs import pages
from tests.end_to_end.service.place import ServiceProcess
from tests.helpers.registry import pushed
from tests.helpers.waiting import in_threads, wait_until


class LiveService(Service):
    """The service, ready when it listens."""

    ready_path = '/healthz'


@pytest.fixture
def own(dynamodb_local):
    """A service with an address for monitoring, the port of that, and a proxy of DynamoDB."""
    port = free_port()
    with Proxy(dynamodb_local.url) as proxy, ServiceProcess(
            proxy.url, service_class=LiveService, THREADS='2',
            MONITORING_LISTEN='127.0.0.1:%d' % port) as place:
        wait_until(lambda: http_status(port, '/readyz') == 200, 'it is not ready', 20)
        yield place, port, proxy


def test_monitoring_listens_at_its_own_address_alone(own):
    place, port, _ = own
    assert [http_status(place.service.port, path) for path in (
        '/metrics', '/readyz', '/healthz', '/v1/search')] == [404, 404, 200, 200]
    assert [http_status(port, path) for path in (
        '/metrics', '/readyz', '/healthz', '/v1/search', '/v2/_catalog')] == [
        200, 200, 200, 404, 404]
    os.kill(place.service.pid, signal.SIGTERM)
    wait_until(lambda: not place.service.running, 'it does not end', 12)
    assert place.service.status == 0 and 'Traceback' not in place.service.log_text()


def test_a_copy_takes_the_memory_that_the_page_on_operations_states(dynamodb_local):
    with ServiceProcess(dynamodb_local.url) as place:
        for _ in range(100):
            assert place.search('web')['results'] == []
        [megabytes] = [value / 1e6 for (name, _), value in place.metrics().items()
                       if name == 'process_resident_memory_bytes']
    print('%.0f MB after a start and 100 searches' % megabytes)
    assert 40 < megabytes < 100
    assert 'takes less than 100 MB after its start' in pages.prose('docs/operations.md')


def test_monitoring_answers_while_all_threads_for_clients_are_busy(own):
    place, port, proxy = own
    with proxy.black_hole():
        busy = in_threads([lambda: place.post([pushed('a/b')]) for _ in range(4)])
        wait_until(lambda: http_status(place.service.port, '/healthz', 0.3) is None,
                   'threads are free', 10)
        assert http_status(port, '/metrics') == http_status(port, '/healthz') == 200
    busy()
