"""docker-registry-index serve as a process, and its other commands with the settings of the
service: exit statuses, what is shown, how it ends."""
import concurrent.futures
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from dev.servers.process import ROOT, free_port, http_status, local_environment
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.scripted_server import late, page
from tests.end_to_end.service.test_catalog import make_repositories

SECRET, PASSWORD, KEY = 'never-show-this-secret', 'never-show-this-word', 'never/ShowThisKey+5'
STORED = {'team/web': 'The front end', 'team/api': None, 'library/nginx': None}


def settings_of(dynamodb, database='test-none', **more):
    return dict({'REGISTRY_URL': 'http://127.0.0.1:1', 'EVENTS_SECRET': SECRET,
                 'LISTEN': '127.0.0.1:%d' % free_port(), 'DYNAMODB_ENDPOINT_URL': dynamodb,
                 'DYNAMODB_DATABASE': database, 'DYNAMODB_ACCESS_KEY': 'AKIADUMMY',
                 'DYNAMODB_SECRET_ACCESS_KEY': KEY, 'LC_ALL': 'C.UTF-8'}, **more)


def launch(arguments, settings):
    environment = local_environment({name: value for name, value in settings.items()
                                     if value is not None})
    return subprocess.Popen([sys.executable, '-B', '-m', 'docker_registry_index'] + list(arguments),
                            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def ended(process, seconds=60):
    """(status, standard output, standard error) of a process; none of it is a secret or a
    traceback."""
    try:
        out, err = [text.decode() for text in process.communicate(timeout=seconds)]
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    assert not any(secret in out + err for secret in (SECRET, PASSWORD, KEY)), 'a secret is shown'
    assert 'Traceback' not in out + err, err
    return process.returncode, out, err


def run(arguments, settings):
    return ended(launch(arguments, settings))


BAD = [
    ({'REGISTRY_URL': None, 'STORAGE': '/nowhere'}, 'registry_url is missing'),
    ({'EVENTS_SECRET': None}, 'events_secret is missing'),
    ({'EVENTS_SECRET': SECRET[:9]},
     r'events_secret \(from environment variable EVENTS_SECRET\) has fewer'),
    ({'REGISTRY_URL': 'http://u:%s@x' % PASSWORD},
     r'registry_url \(from environment variable REGISTRY_URL\) is an address with a user'),
    ({'REGISTRY_PASSWORD': PASSWORD},
     r'registry_username \(from environment variable REGISTRY_USERNAME\) is missing or empty'),
    ({'HTPASSWD': '/nowhere/htpasswd'},
     'htpasswd names /nowhere/htpasswd, which cannot be read: No such file'),
    ({'REGISTRY_CA': '/nowhere/ca.pem'},
     'registry_ca names /nowhere/ca.pem, which cannot be used: No such file'),
    ({'REGISTRY_CA': '/dev/null'}, 'registry_ca names /dev/null'),
    ({'DYNAMODB_REGION': 'Region Nine'}, r'region \(from environment variable DYNAMODB_REGION\)'),
    ({'DOCKER_REGISTRY_CONFIG': '/nowhere/x.yml'}, 'names /nowhere/x.yml, which cannot be read'),
    ({'LISTEN': 'localhost'}, r'listen \(from environment variable LISTEN\)'),]


def test_a_setting_that_cannot_work_is_status_2_and_one_sentence(dynamodb_local):
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        ends = pool.map(
            lambda each: run(['serve'], settings_of(dynamodb_local.url, **each[0])), BAD)
        for (more, problem), (status, out, err) in zip(BAD, ends):
            assert status == 2 and out == '' and len(err.splitlines()) == 1, (more, err)
            assert re.search(problem, err), (more, err)
            assert err.startswith('docker-registry-index: ')


def test_a_broken_file_is_status_2_and_one_sentence(dynamodb_local, tmp_path):
    path = tmp_path / 'service.yml'
    for text, problem in (('service: [', 'not valid YAML|which'), ('service: text', 'service'),
                          ('service:\n  threads: many\n', 'threads')):
        path.write_text(text)
        status, out, err = run(['--config', str(path), 'serve'], settings_of(dynamodb_local.url))
        assert status == 2 and out == '' and len(err.splitlines()) == 1, err
        assert re.search(problem, err) and 'service.yml' in err, err


class Served:
    """docker-registry-index serve without anything around it, as a container starts it."""

    def __init__(self, settings, options=(), port=None):
        self.port = port or int(settings['LISTEN'].rpartition(':')[2])
        self.process = launch(list(options) + ['serve'], settings)
        self._text = []
        self._output = threading.Thread(
            target=lambda: self._text.extend(self.process.communicate()))
        self._output.start()

    def wait(self, path='/readyz', seconds=30):
        deadline = time.monotonic() + seconds
        while http_status(self.port, path) != 200:
            assert self.process.poll() is None and time.monotonic() < deadline, 'not there'
            time.sleep(0.05)
        return self

    def end(self, number=signal.SIGTERM, seconds=25):
        """(status, seconds it took, standard output, standard error)"""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self._output.join(seconds)
            assert self.process.poll() is not None, 'it does not end'
        finally:
            if self.process.poll() is None:
                self.process.kill()
            self._output.join(10)
        out, err = [text.decode() for text in self._text]
        assert not any(secret in out + err
                       for secret in (SECRET, PASSWORD, KEY)), 'a secret is shown'
        return self.process.returncode, time.monotonic() - began, out, err


@pytest.fixture(scope='module')
def registry():
    with FakeRegistry(STORED) as server:
        yield server


@pytest.fixture(scope='module')
def loaded(dynamodb_local, registry):
    """The settings of a service whose index is loaded."""
    settings = settings_of(dynamodb_local.url, 'test-serve-%d' % os.getpid(),
                           REGISTRY_URL=registry.url, EVENTS_WAIT='20')
    assert run(['load'], settings)[0] == 0
    return settings


def post(port, event):
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request('POST', '/events', json.dumps({'events': [event]}),
                       {'Authorization': 'Bearer ' + SECRET})
    return connection.getresponse().status


@pytest.mark.parametrize('number, name', [(signal.SIGTERM, 'SIGTERM'), (signal.SIGINT, 'SIGINT')])
def test_a_stop_answers_what_is_under_way_and_a_restart_goes_on(loaded, registry, number, name):
    served = Served(loaded).wait()
    registry.repositories['team/slow'] = None
    registry.trouble = late(1, lambda handler: registry_answer(registry, handler))
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, served.port, pushed('team/slow'))
        time.sleep(0.4)
        status, seconds, out, err = served.end(number)
        registry.trouble = None
        assert answer.result() == 200, err
    assert (status, 'Traceback' in err) == (0, False) and seconds < 12, (seconds, err)
    assert '"POST /events HTTP/1.1" 200 ' in out and 'stopping: ' + name in err
    assert http_status(served.port, '/healthz') is None
    again = Served(loaded).wait()
    try:
        assert http_status(again.port, '/v1/search?q=slow') == 200
    finally:
        status, seconds, out, err = again.end(signal.SIGINT)
    assert status == 0 and seconds < 8 and 'Traceback' not in err, (seconds, err)
    assert json.loads(run(['search', 'slow', '--json'], loaded)[1])['results'] == [
        {'name': 'team/slow', 'description': ''}]


def registry_answer(registry, handler):
    """Answer as the registry does when `trouble` is None."""
    kept, registry.trouble = registry.trouble, None
    try:
        registry._answer(handler)
    finally:
        registry.trouble = kept


def test_a_stop_during_the_first_load_leaves_it_to_the_next_at_once(dynamodb_local):
    with FakeRegistry({'team/load-%03d' % number: None for number in range(60)}) as registry:
        settings = settings_of(dynamodb_local.url, 'test-stop-%d' % os.getpid(),
                               REGISTRY_URL=registry.url)
        tags = page({'tags': ['x']})
        registry.trouble = late(0.3, lambda handler: tags(handler) if 'tags' in handler.path
                                else page({'repositories': sorted(registry.repositories)})(handler))
        served = Served(settings).wait('/healthz')
        deadline = time.monotonic() + 20
        while not any('tags' in path for path in registry.paths):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert http_status(served.port, '/readyz') == 503
        assert http_status(served.port, '/v2/_catalog') == 503
        assert http_status(served.port, '/v1/search?q=x') in (200, 503)
        status, seconds, out, err = served.end()
        assert status == 0 and seconds < 15 and 'Traceback' not in err, (seconds, err)
        registry.trouble = None
        began = time.monotonic()
        again = Served(settings)
        try:
            again.wait()
            # A lease that was not given back would last for twenty.
            assert time.monotonic() - began < 15
        finally:
            assert again.end()[0] == 0
        assert run(['search', 'load-059'], settings)[0] == 0


def test_tables_of_a_newer_release_are_status_5(dynamodb_local, registry):
    index = EngineIndex(dynamodb_local.url).ready()
    index.engine.client.call('update_item', TableName=index.settings.search_table,
                             Key={'gram': {'S': '!'}, 'suffix': {'S': 'ready'}},
                             UpdateExpression='SET #format = :newer',
                             ExpressionAttributeNames={'#format': 'format'},
                             ExpressionAttributeValues={':newer': {'N': '99'}})
    before = {table: index.items(table) for table in index.tables()}
    settings = settings_of(dynamodb_local.url, index.settings.database, REGISTRY_URL=registry.url)
    for command in 'serve', 'load', 'status':
        status, out, err = run([command], settings)
        assert (status, out) == (5, '') and re.search('docker-registry-index: .*newer release',
                                                      err), err
    assert {table: index.items(table) for table in index.tables()} == before
    index.delete_tables()


def test_serving_begins_without_dynamodb_and_without_a_registry():
    served = Served(settings_of('http://127.0.0.1:%d' % free_port(), DYNAMODB_ATTEMPTS='1'))
    try:
        served.wait('/healthz')
        assert [http_status(served.port, path, 20)
                for path in ('/readyz', '/v1/search?q=x', '/v2/_catalog')] == [503] * 3
    finally:
        status, seconds, out, err = served.end()
    assert status == 0 and 'Traceback' not in err, err


def both(loaded, tmp_path):
    """The same settings by variables, and by a file with both blocks."""
    path = tmp_path / 'service.yml'
    path.write_text('extensions:\n'
                    '    dynamodb_index:\n'
                    '        database: %(DYNAMODB_DATABASE)s\n'
                    '        endpoint_url: %(DYNAMODB_ENDPOINT_URL)s\n'
                    '        access_key: AKIADUMMY\n'
                    '        secret_access_key: %(DYNAMODB_SECRET_ACCESS_KEY)s\n'
                    'service:\n'
                    '    registry_url: %(REGISTRY_URL)s\n'
                    '    events_secret: %(EVENTS_SECRET)s\n'
                    '    threads: 4\n'
                    '    listen: %(LISTEN)s\n' % loaded)
    bare = {'LC_ALL': 'C.UTF-8'}
    return [([], loaded), (['--config', str(path)], bare)]


def test_the_other_commands_take_the_settings_of_the_service(loaded, registry, tmp_path):
    registry.repositories.pop('team/slow', None)
    EngineIndex(loaded['DYNAMODB_ENDPOINT_URL'], loaded['DYNAMODB_DATABASE']).engine.remove(
        'team/slow')

    def use(options, settings):
        return {command[0]: run(options + command + ['--json'], settings)
                for command in (['load'], ['status'], ['check'], ['search', 'team'])}
    for number, (options, settings) in enumerate(both(loaded, tmp_path)[:2]):
        found = use(options, settings)
        for command, (status, out, err) in found.items():
            assert (status, err) == (0, ''), (number, command, err)
        shown = {command: json.loads(out) for command, (_, out, _) in found.items()}
        assert (shown['load']['found'], shown['load']['complete'],
                shown['load']['added']) == (3, True, 0)
        assert shown['status']['ready'] and shown['status']['storage']
        assert shown['status']['names'] == 3 and shown['status']['wrong'] == {}
        assert (shown['check']['rows'], shown['check']['left'],
                shown['check']['storage']) == (3, 0, True)
        assert [result['name'] for result in shown['search']['results']] == ['team/api', 'team/web']


def test_a_file_serves_as_variables_do(loaded, registry, tmp_path):
    options, settings = both(loaded, tmp_path)[1]
    served = Served(settings, options, int(loaded['LISTEN'].rpartition(':')[2]))
    try:
        served.wait()
        assert http_status(served.port, '/v1/search?q=web') == 200
    finally:
        assert served.end()[0] == 0


def test_the_commands_read_a_storage_on_this_machine(dynamodb_local, tmp_path):
    make_repositories(tmp_path, ['team/web', 'team/api', 'one'])
    settings = settings_of(dynamodb_local.url, 'test-files-%d' % os.getpid(), STORAGE=str(tmp_path),
                           REGISTRY_URL=None, EVENTS_SECRET=None)
    assert json.loads(run(['load', '--json'], settings)[1])['added'] == 3
    make_repositories(tmp_path, ['team/new'])
    assert run(['load', '--dry-run'], settings)[:2] == (0, 'added    team/new\n')
    status, out, err = run(['check'], settings)
    assert status == 1 and 'team/new' in out
    assert json.loads(run(['load', '--json'], settings)[1])['added'] == 1
    assert run(['check'], settings)[0] == 0
    status, out, err = run(['load'], dict(settings, STORAGE=str(tmp_path / 'nowhere')))
    assert status == 3 and err.startswith('docker-registry-index: the storage of the registry '
                                          'does not report'), err


def test_a_registry_that_is_unavailable_is_status_3(loaded):
    status, out, err = run(['load'], dict(loaded, REGISTRY_URL='http://127.0.0.1:%d' % free_port(),
                                          REGISTRY_USERNAME='u', REGISTRY_PASSWORD=PASSWORD))
    assert status == 3 and out == '' and 'docker-registry-index: ' in err


def test_an_address_where_it_cannot_listen_is_status_2_and_one_sentence(dynamodb_local):
    with socket.create_server(('127.0.0.1', 0)) as other:
        taken = '127.0.0.1:%d' % other.getsockname()[1]
        for address in taken, '203.0.113.1:5080', 'no-such-host.invalid:5080':
            status, out, err = run(['serve'], settings_of(dynamodb_local.url, LISTEN=address))
            assert status == 2 and out == '' and len(err.splitlines()) == 1, err
            assert err.startswith('docker-registry-index: setting listen is %s, where this cannot '
                                  'listen: ' % address), err


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason='there is no IPv6')
@pytest.mark.parametrize('host', ['[::1]', '[::]', 'localhost', '0.0.0.0'])
def test_it_listens_on_any_kind_of_address(loaded, host):
    settings = dict(loaded, LISTEN='%s:%d' % (host, free_port()))
    served = Served(settings)
    try:
        deadline, own = time.monotonic() + 20, {'[::1]': '::1',
                                                '[::]': '::1'}.get(host, '127.0.0.1')
        while not is_answered(own, served.port):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert is_answered('127.0.0.1', served.port) is (host != '[::1]')
    finally:
        assert served.end()[0] == 0


def is_answered(host, port):
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
            return connection.recv(15) == b'HTTP/1.1 200 OK'
    except OSError:
        return False
