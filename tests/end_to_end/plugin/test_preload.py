"""With gunicorn's --preload, the index is created before the workers are forked, and each worker
has its own threads and connections."""
import os
import re
import signal
import time

from tests.end_to_end.plugin.registry_place import (
    BACKEND, CHANGE_SECONDS, LOADED, gunicorn, workers_of)
from tests.helpers.waiting import in_threads, wait_until

PRELOAD = {'GUNICORN_OPTS': gunicorn('--preload')}

# Nothing of boto's is imported here, so gevent patches only in the worker.
LOCAL = '''
prod:
    loglevel: info
    storage: local
    storage_path: %s
    search_backend: %s
    standalone: true
    disable_token_auth: true
'''


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


def test_workers_have_connections_of_their_own(place):
    place.put('acme/before')
    names = ['team/pushed-%d' % number for number in range(8)]
    with place.running(**PRELOAD) as client:
        assert client.names() == ['acme/before']
        for name in names:
            client.begin_push(name)
        assert [client.names() for _ in range(6)] == [['acme/before'] + names] * 6
        first, second = [connections(pid, int(place.dynamodb_url.rsplit(':', 1)[1]))
                         for pid in workers_of(client.registry)]
        assert first and second and not first & second, 'they read the answers of each other'
        client.delete(names[0])
        assert [client.names('pushed') for _ in range(6)] == [names[1:]] * 6


def test_first_searches_are_answered_and_no_push_waits_longer_than_push_wait(
        behind, proxy, tmp_path):
    configuration = tmp_path / 'registry.yml'
    configuration.write_text(LOCAL % (tmp_path, BACKEND))
    (tmp_path / 'repositories').mkdir()
    with behind.launched(DOCKER_REGISTRY_CONFIG=str(configuration), GUNICORN_WORKERS='1',
                         **PRELOAD) as client:
        client.registry.wait_until_ready()
        answers = in_threads([lambda: client.found('number')] * 6)()
        # The tables may be on their way.
        assert all(answer in ([], 503) for answer in answers)
        client.begin_push('team/pushed')
        wait_until(lambda: client.found('pushed'), 'it is not found', 60, client.registry,
                   ['team/pushed'])
        assert in_threads([lambda: client.names('pushed')] * 6)() == [['team/pushed']] * 6
        assert_no_push_waits(client, proxy, ['team/pushed'])


def test_without_dynamodb_at_the_first_push_no_push_waits_longer_than_push_wait(behind, proxy):
    with behind.launched(**PRELOAD) as client:
        client.registry.wait_until_ready()
        assert_no_push_waits(client, proxy, [])


def assert_no_push_waits(client, proxy, found):
    """Push while DynamoDB is a black hole, and wait until all is found after it."""
    names, seconds = ['team/new-%d' % number for number in range(6)], []
    with proxy.black_hole():
        for name in names:
            started = time.monotonic()
            client.begin_push(name)
            seconds.append(time.monotonic() - started)
    assert max(seconds) < CHANGE_SECONDS, seconds
    wait_until(client.found, 'not all are found', 90, client.registry, names + found)


def test_a_worker_forked_during_a_load_does_not_disturb_it(behind, proxy):
    names = sorted('team-%d/application-%03d' % (number % 5, number) for number in range(40))
    proxy.delay(0.3, only='Write')  # so that the fork falls into the load
    behind.put(*names)
    with behind.launched(**PRELOAD) as client:
        registry, log = client.registry.wait_until_ready(), client.registry.log_text
        wait_until(lambda: any('Write' in operation for operation in proxy.counts),
                   'nothing is written', 30, registry)
        os.kill(registry.pid, signal.SIGTTIN)
        wait_until(lambda: len(re.findall('Booting worker', log())) >= 3, 'no worker is added', 30,
                   registry)
        assert LOADED not in log()
        wait_until(client.found, 'not all are found', 60, registry, names)
        assert [client.names('application') for _ in range(9)] == [names] * 9
        assert log().count(LOADED) == 1 and 'taken over' not in log()
