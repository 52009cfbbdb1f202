"""A worker of gunicorn writes its last changes before it ends: at a SIGTERM, and after its
requests."""
import json
import os
import re
import signal
import time

import pytest

from dev.servers.proxy import Proxy
from tests.end_to_end.plugin.registry_place import LOG_PROCESS, Place
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import wait_until

NAMES = ['team/late-%d' % number for number in range(3)]
LATER = ['team/later-%d' % number for number in range(3)]


@pytest.fixture
def proxy(ministack):
    with Proxy(ministack.url) as made:
        yield made


@pytest.fixture
def behind(ministack, proxy):
    """A place whose DynamoDB can be made unavailable, and the registry there: one worker, time to
    end, and no second one that would make the changes."""
    place = Place(ministack.url, proxy.url)
    place.one = lambda *options: place.registry(GUNICORN_WORKERS='1',
                                                GUNICORN_GRACEFUL_TIMEOUT='30',
                                                DYNAMODB_PUSH_WAIT='1', GUNICORN_OPTS=json.dumps(
                                                    LOG_PROCESS + list(options)))
    return place


def push_while_unavailable(proxy, client, names):
    client.names()
    with proxy.black_hole():
        for name in names:
            client.begin_push(name)


def names_in(place):
    return sorted(row['name']['S'] for row in place.rows() if 'name' in row)


@pytest.mark.parametrize('options', [(), ('--preload',)], ids=['', 'preload'])
def test_a_worker_writes_its_last_changes_after_its_requests_and_at_a_sigterm(
        behind, proxy, options):
    with behind.one('--max-requests', '20', *options) as registry:
        client, log = V1Client(registry.url), registry.log_text
        push_while_unavailable(proxy, client, NAMES)
        assert names_in(behind) == []
        [first] = set(re.findall('process <?([0-9]+)>? answers', log()))
        for _ in range(21):
            client.request('GET', '/v1/_ping')
        wait_until(lambda: os.path.exists('/proc/' + first), 'it does not end', 40, expected=False)
        assert names_in(behind) == NAMES
        push_while_unavailable(proxy, client, LATER)
        assert names_in(behind) == NAMES
        os.kill(registry.pid, signal.SIGTERM)
        wait_until(lambda: registry.running, 'it does not end', 40, registry, False)
        assert names_in(behind) == sorted(NAMES + LATER)
        assert 'are lost' not in log() and 'Traceback' not in log()


def test_a_load_longer_than_startup_wait_goes_on_while_the_registry_serves(behind, proxy):
    names = ['team/application-%03d' % number for number in range(40)]
    behind.seed(*names)
    proxy.delay(0.4, only='Write')
    started = time.monotonic()
    with behind.registry(DYNAMODB_STARTUP_WAIT='1', GUNICORN_WORKERS='1') as registry:
        client = V1Client(registry.url)
        assert client.request('GET', '/v1/_ping').status_code == 200
        log = registry.log_text()
        assert 'still being loaded after 1 seconds' in log
        assert 'loaded the search index in' not in log
        # It answers at once, and follows pushes, while the load goes on.
        first = time.monotonic()
        assert client.request('GET', '/v1/search?q=application').status_code == 200
        client.begin_push('team/pushed')
        assert time.monotonic() - first < 5 + 3
        wait_until(client.names, 'not all are found', 60, registry, sorted(names + ['team/pushed']))
        assert 'Traceback' not in registry.log_text()
    print('served after %.1f s' % (first - started))
