"""A worker of gunicorn serves while its load goes on, and writes its last changes before it ends:
at a SIGTERM, and after its requests."""
import os
import signal
import time

import pytest

from tests.end_to_end.plugin.registry_place import LOADED, gunicorn, processes_of
from tests.helpers.waiting import wait_until

#: One worker, time to end, and no second worker that would make the changes.
ONE = {'GUNICORN_WORKERS': '1', 'GUNICORN_GRACEFUL_TIMEOUT': '30', 'DYNAMODB_PUSH_WAIT': '1',
       'DYNAMODB_STARTUP_WAIT': '1'}
FIRST = ['team/late-%d' % number for number in range(3)]
LATER = ['team/later-%d' % number for number in range(3)]


@pytest.mark.parametrize('options', [(), ('--preload',)], ids=['', 'preload'])
def test_a_worker_writes_its_last_changes_after_its_requests_and_at_a_sigterm(
        behind, proxy, options):
    def push_while_unavailable(names):
        client.names()
        before = behind.names()
        with proxy.black_hole():
            for name in names:
                client.begin_push(name)
        assert behind.names() == before

    with behind.launched(GUNICORN_OPTS=gunicorn('--max-requests', '20', *options), **ONE) as client:
        registry = client.registry.wait_until_ready()
        push_while_unavailable(FIRST)
        [first] = processes_of(registry)
        for _ in range(21):
            client.request('GET', '/v1/_ping')
        wait_until(lambda: not os.path.exists('/proc/' + first), 'it does not end', 40)
        assert behind.names() == FIRST
        push_while_unavailable(LATER)
        os.kill(registry.pid, signal.SIGTERM)
        wait_until(lambda: not registry.running, 'it does not end', 40, registry)
        assert behind.names() == FIRST + LATER
        assert 'are lost' not in registry.log_text()


def test_a_load_longer_than_startup_wait_goes_on_while_the_registry_serves(behind, proxy):
    names = ['team/application-%03d' % number for number in range(40)]
    behind.put(*names)
    proxy.delay(0.4, only='Write')
    with behind.launched(**ONE) as client:
        log = client.registry.wait_until_ready().log_text()
        assert 'still being loaded after 1 seconds' in log and LOADED not in log
        # It answers at once, and follows pushes, while the load goes on.
        first = time.monotonic()
        client.names('application')
        client.begin_push('team/pushed')
        assert time.monotonic() - first < 1 + 3
        wait_until(client.names, 'not all are found', 60, client.registry, names + ['team/pushed'])
