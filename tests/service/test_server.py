"""The program of the service: how it starts, where it listens, and the commands beside it."""
import json
import re
import signal
import socket
import threading

import pytest

from dev.servers.process import free_port
from docker_registry_index.engine import Settings
from docker_registry_index.service import server
from docker_registry_index.service.server import Service
from docker_registry_index.service.settings import settings_of
from tests.end_to_end.service.test_catalog import make_repositories
from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import SECRET

PASSWORD = 'never-show-this-word'


@pytest.fixture
def index(in_process_dynamodb):
    return EngineIndex(in_process_dynamodb.url)


@pytest.fixture
def command_of(index, capsys, monkeypatch):
    """Return a function that returns the command, with variables of the service."""
    # Logging and signals are those of the test process.
    monkeypatch.setattr(server, 'log_to_stderr', lambda: None)
    previous = signal.getsignal(signal.SIGINT)
    yield lambda **variables: CommandLine(index, capsys, **{
        name: value for name, value in dict({
            'REGISTRY_URL': 'http://127.0.0.1:1', 'EVENTS_SECRET': SECRET,
            'LISTEN': '127.0.0.1:%d' % free_port()}, **variables).items() if value is not None})
    signal.signal(signal.SIGINT, previous)


def refused(command, *arguments):
    """Return the one line of an error of status 2, without secrets."""
    status, out, err = command(*arguments)
    assert (status, out) == (2, '') and len(err.splitlines()) == 1, err
    assert SECRET[:9] not in err and PASSWORD not in err
    assert err.startswith('docker-registry-index: ')
    return err


@pytest.mark.parametrize('variables, problem', [
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
    ({'LISTEN': 'localhost'}, r'listen \(from environment variable LISTEN\)')])
def test_a_setting_that_cannot_work_is_status_2_and_one_sentence(command_of, variables, problem):
    assert re.search(problem, refused(command_of(**variables), 'serve'))


@pytest.mark.parametrize('text, problem', [('service: [', 'not valid YAML|which'),
                                           ('service: text', 'service'),
                                           ('service:\n  threads: many\n', 'threads')])
def test_a_broken_file_is_status_2_and_one_sentence(command_of, tmp_path, text, problem):
    path = tmp_path / 'service.yml'
    path.write_text(text)
    err = refused(command_of(), '--config', str(path), 'serve')
    assert re.search(problem, err) and 'service.yml' in err


def test_an_address_where_it_cannot_listen_is_status_2_and_one_sentence(command_of):
    with socket.create_server(('127.0.0.1', 0)) as other:
        taken = '127.0.0.1:%d' % other.getsockname()[1]
        for address in taken, '203.0.113.1:5080', 'no-such-host.invalid:5080':
            assert refused(command_of(LISTEN=address), 'serve').startswith(
                'docker-registry-index: setting listen is %s, ' % address)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason='there is no IPv6')
@pytest.mark.parametrize('host', ['[::1]', '[::]', 'localhost', '0.0.0.0'])
def test_it_listens_on_any_kind_of_address(host):
    def app(environ, start_response):
        start_response('204 No Content', [])
        return []

    def is_answered(own):
        try:
            with socket.create_connection((own, port), timeout=5) as connection:
                connection.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
                return connection.recv(12) == b'HTTP/1.1 204'
        except OSError:
            return False
    port = free_port()
    made = server.make_server(app, server.listen('%s:%d' % (host, port)), 1)
    threading.Thread(target=made.run, daemon=True).start()
    assert is_answered({'[::1]': '::1', '[::]': '::1'}.get(host, '127.0.0.1'))
    assert is_answered('127.0.0.1') is (host != '[::1]')


def test_tables_of_a_newer_release_are_status_5_and_stay_as_they_are(command_of, index):
    index.ready()
    index.engine.client.call('update_item', TableName=index.settings.search_table,
                             Key={'gram': {'S': '!'}, 'suffix': {'S': 'ready'}},
                             UpdateExpression='SET #format = :newer',
                             ExpressionAttributeNames={'#format': 'format'},
                             ExpressionAttributeValues={':newer': {'N': '99'}})
    before = {table: index.items(table) for table in index.tables()}
    for name in 'serve', 'load', 'status':
        status, out, err = command_of()(name)
        assert (status, out) == (5, '') and 'newer release' in err
    assert {table: index.items(table) for table in index.tables()} == before


def test_serving_begins_without_dynamodb_and_without_a_registry():
    service = Service(
        Settings(endpoint_url='http://127.0.0.1:%d' % free_port(), region='us-east-1', attempts=1,
                 database='none', access_key='AKIADUMMY', secret_access_key='dummy'),
        settings_of({'REGISTRY_URL': 'http://127.0.0.1:1', 'EVENTS_SECRET': SECRET}, {})[0])
    service.start()
    try:
        client = service.app.test_client()
        assert [client.get(path).status_code for path in (
            '/healthz', '/readyz', '/v1/search', '/v2/_catalog')] == [200, 503, 503, 503]
    finally:
        service.stop()


@pytest.mark.parametrize('is_in_file', [False, True])
def test_the_other_commands_read_the_settings_of_the_service(command_of, index, tmp_path,
                                                             is_in_file):
    with FakeRegistry({'team/web': 'The front end', 'team/api': None, 'nginx': None}) as registry:
        command, options = command_of(REGISTRY_URL=registry.url), []
        if is_in_file:
            path = tmp_path / 'service.yml'
            path.write_text('service:\n    registry_url: %s\n' % registry.url)
            command, options = command_of(REGISTRY_URL=None), ['--config', str(path)]
        shown = {}
        for name, *arguments in (['load'], ['status'], ['check'], ['search', 'team']):
            status, out, err = command(*options, name, *arguments, '--json')
            assert (status, err) == (0, ''), (name, err)
            shown[name] = json.loads(out)
    assert [shown['load'][key] for key in ('found', 'complete', 'added')] == [3, True, 3]
    assert shown['status']['ready'] and shown['status']['storage']
    assert shown['status']['names'] == 3 and shown['status']['wrong'] == {}
    assert [shown['check'][key] for key in ('rows', 'left', 'storage')] == [3, 0, True]
    assert [result['name'] for result in shown['search']['results']] == ['team/api', 'team/web']


def test_the_commands_read_a_storage_on_this_machine(command_of, tmp_path):
    make_repositories(tmp_path, ['team/web', 'team/api', 'one'])
    command = command_of(STORAGE=str(tmp_path), REGISTRY_URL=None, EVENTS_SECRET=None)
    assert command.json('load')[1]['added'] == 3
    make_repositories(tmp_path, ['team/new'])
    assert command('load', '--dry-run')[:2] == (0, 'added    team/new\n')
    status, out, _ = command('check')
    assert status == 1 and 'team/new' in out
    assert command.json('load')[1]['added'] == 1 and command('check')[0] == 0
    status, _, err = command_of(STORAGE=str(tmp_path / 'nowhere'))('load')
    assert status == 3 and err.startswith('docker-registry-index: the storage of the registry '
                                          'failed to report'), err


def test_a_registry_that_is_unavailable_is_status_3(command_of):
    status, out, err = command_of(REGISTRY_URL='http://127.0.0.1:%d' % free_port(),
                                  REGISTRY_USERNAME='u', REGISTRY_PASSWORD=PASSWORD)('load')
    assert (status, out) == (3, '') and 'docker-registry-index: ' in err and PASSWORD not in err
