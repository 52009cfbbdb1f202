"""With gunicorn's --preload, the index is created before the workers are forked, and each worker
has its own threads and connections."""
import concurrent.futures
import json
import os
import re
import signal
import time

import pytest

from dev.servers.aws import Ministack
from dev.servers.process import free_port
from dev.servers.proxy import Proxy
from dev.servers.registry_v1 import Registry
from tests.end_to_end.plugin.registry_place import LOADED, LOG_PROCESS, Place, workers_of
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import wait_until

OPTIONS = json.dumps(LOG_PROCESS + ['--preload'])
#: push_wait, and what the registry itself does, on a machine that is busy.
CHANGE_SECONDS = 5 + 3

# Nothing of boto's is imported here, so gevent patches only in the worker.
LOCAL = '''
prod:
    loglevel: info
    storage: local
    storage_path: %s
    search_backend: docker_registry_index.dynamodb
    standalone: true
    disable_token_auth: true
    extensions:
        dynamodb_index:
            endpoint_url: %s
            region: us-east-1
            access_key: %s
            secret_access_key: dummy
            database: %s
'''


@pytest.fixture
def local(place, tmp_path):
    """A function that gives a registry of one worker whose images are local files, behind
    --preload."""
    def registry(dynamodb_url, database=place.name, access_key='local'):
        configuration = tmp_path / 'registry.yml'
        configuration.write_text(LOCAL % (tmp_path / 'images', dynamodb_url, access_key, database))
        (tmp_path / 'images' / 'repositories').mkdir(parents=True, exist_ok=True)
        return Registry({'DOCKER_REGISTRY_CONFIG': str(configuration), 'GUNICORN_OPTS': OPTIONS},
                        workers=1)
    return registry


def connections(pid, port):
    """Return the inodes of the connections of a process to a port of 127.0.0.1."""
    sockets = set()
    for number in os.listdir('/proc/%d/fd' % pid):
        try:
            sockets.add(os.readlink('/proc/%d/fd/%s' % (pid, number)))
        except OSError:  # closed meanwhile
            pass
    with open('/proc/%d/net/tcp' % pid) as table:
        lines = [line.split() for line in table]
    # https://docs.kernel.org/networking/proc_net_tcp.html
    return {line[9] for line in lines if line[2].endswith(':%04X' % port)
            and 'socket:[%s]' % line[9] in sockets}


def test_workers_have_connections_of_their_own_and_a_newer_index_stops_the_start(
        place, local, ministack):
    place.seed('acme/before')
    with place.running(GUNICORN_OPTS=OPTIONS) as client:
        registry = client.registry
        assert client.names() == ['acme/before']
        names = ['team/pushed-%d' % number for number in range(8)]
        for name in names:
            client.begin_push(name)
        assert [client.names() for _ in range(6)] == [['acme/before'] + names] * 6
        first, second = [connections(pid, int(ministack.url.rsplit(':', 1)[1]))
                         for pid in workers_of(registry)]
        assert first and second and not first & second, 'they read the answers of each other'
        client.delete(names[0])
        assert [client.names('pushed') for _ in range(6)] == [names[1:]] * 6
        assert 'Traceback' not in registry.log_text()
    mark = dict(next(row for row in place.rows('search') if 'format' in row), format={'N': '999'})
    place.dynamodb.put_item(TableName=place.table('search'), Item=mark)
    registry = local(ministack.url)
    registry.launch()
    try:
        wait_until(lambda: registry.running, 'it does not end', 60, registry, False)
        assert 'install the newer release' in registry.log_text()
        assert 'Booting worker' not in registry.log_text()
    finally:
        registry.stop()


def test_a_worker_makes_the_changes_of_an_outage_itself_after_it(ministack):
    place = Place(ministack.url, 'http://127.0.0.1:%d' % free_port())
    place.seed('acme/before')
    with place.running(GUNICORN_OPTS=OPTIONS) as client:
        for number in range(4):
            client.begin_push('team/pushed-%d' % number)
        expected = ['acme/before'] + ['team/pushed-%d' % number for number in range(4)]
        with Ministack(int(place.dynamodb_url.rsplit(':', 1)[1])):
            wait_until(client.found, 'not all are found', 90, client.registry, expected)
        assert 'Traceback' not in client.registry.log_text()


def test_first_searches_are_answered_and_no_push_waits_longer_than_push_wait(local, ministack):
    with Proxy(ministack.url) as proxy, local(proxy.url) as registry:
        client = V1Client(registry.url)
        with concurrent.futures.ThreadPoolExecutor(6) as users:
            answers = list(users.map(lambda number: client.request('GET', '/v1/search?q=number-%d'
                                                                   % number).status_code, range(6)))
        # The tables may be on their way.
        assert set(answers) <= {200, 503}
        client.begin_push('team/pushed')
        wait_until(lambda: client.found('pushed'), 'it is not found', 60, registry, ['team/pushed'])
        with concurrent.futures.ThreadPoolExecutor(6) as users:
            found = list(users.map(lambda _: client.names('pushed'), range(6)))
        assert found == [['team/pushed']] * 6
        assert_no_push_waits(client, proxy, registry, ['team/pushed'])


def test_without_dynamodb_at_the_first_push_no_push_waits_longer_than_push_wait(ministack):
    with Proxy(ministack.url) as proxy, Place(ministack.url, proxy.url).registry(
            GUNICORN_OPTS=OPTIONS) as registry:
        assert_no_push_waits(V1Client(registry.url), proxy, registry, [])


def assert_no_push_waits(client, proxy, registry, found):
    """Push while DynamoDB is a black hole, and wait until all is found after it."""
    names, seconds = ['team/new-%d' % number for number in range(6)], []
    with proxy.black_hole():
        for push in [lambda name=name: client.begin_push(name) for name in names] + [
                lambda: client.expect([200], 'GET', '/v1/_ping')]:
            started = time.monotonic()
            push()
            seconds.append(time.monotonic() - started)
    assert max(seconds) < CHANGE_SECONDS, seconds
    wait_until(client.found, 'not all are found', 90, registry, names + found)
    assert 'Traceback' not in registry.log_text()


def test_a_worker_forked_during_a_load_does_not_disturb_it(ministack):
    names = ['team-%d/application-%03d' % (number % 5, number) for number in range(40)]
    with Proxy(ministack.url) as proxy:
        proxy.delay(0.3, only='Write')  # so that the fork falls into the load
        place = Place(ministack.url, proxy.url)
        place.seed(*names)
        with place.registry(GUNICORN_OPTS=OPTIONS) as registry:
            client, log = V1Client(registry.url), registry.log_text
            wait_until(lambda: any('Write' in operation for operation in proxy.counts),
                       'nothing is written', 30, registry)
            os.kill(registry.pid, signal.SIGTTIN)
            wait_until(lambda: len(re.findall('Booting worker', log())) >= 3,
                       'no worker is added', 30, registry)
            assert LOADED not in log()
            wait_until(client.found, 'not all are found', 60, registry, sorted(names))
            assert [client.names('application') for _ in range(9)] == [sorted(names)] * 9
            assert log().count(LOADED) == 1
            assert 'taken over' not in log() and 'Traceback' not in log()
