"""The program of the service: how it starts, where it listens, and the commands beside it."""
import re
import signal
import socket
import threading

import pytest
from werkzeug.wrappers import Response

from dev.servers.process import free_port
from docker_registry_index.cli import settings
from docker_registry_index.service import server
from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import SECRET, InProcessService
from tests.helpers.waiting import wait_until

PASSWORD = 'never-show-this-word'


@pytest.fixture
def command_of(index, capsys, monkeypatch):
    """Return a function that returns the command, with variables of the service."""
    # Logging and signals are those of the test process.
    monkeypatch.setattr(settings, 'configure_logging', lambda service: None)
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
    ({'EVENTS_SECRET': SECRET[:9]}, r'events_secret \(from environment variable EVENTS_SECRET\)'),
    ({'REGISTRY_PASSWORD': PASSWORD}, 'registry_username .* is missing or empty'),
    ({'AUTH': 'htpasswd'}, 'htpasswd is missing, while auth is htpasswd; set HTPASSWD'),
    ({'AUTH': 'htpasswd', 'HTPASSWD': '/nowhere/htpasswd'},
     'htpasswd names /nowhere/htpasswd, which cannot be read: No such file'),
    ({'REGISTRY_CA': '/dev/null'}, 'registry_ca names /dev/null'),
    ({'DOCKER_REGISTRY_CONFIG': '/nowhere/x.yml'}, 'names /nowhere/x.yml, which cannot be read')])
def test_a_setting_that_cannot_work_is_status_2_and_one_sentence(command_of, variables, problem):
    assert re.search(problem, refused(command_of(**variables), 'serve'))


def test_an_address_where_it_cannot_listen_is_status_2_and_one_sentence(command_of):
    with socket.create_server(('127.0.0.1', 0)) as other:
        taken = '127.0.0.1:%d' % other.getsockname()[1]
        for name in 'listen', 'monitoring_listen':
            for address in taken, '203.0.113.1:5080', 'no-such-host.invalid:5080':
                assert refused(command_of(**{name.upper(): address}), 'serve').startswith(
                    'docker-registry-index: setting %s is %s, ' % (name, address))


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason='there is no IPv6')
@pytest.mark.parametrize('host', ['[::1]', '[::]', 'localhost', '0.0.0.0'])
def test_it_listens_on_any_kind_of_address(host):
    def is_answered(own):
        try:
            with socket.create_connection((own, port), timeout=5) as connection:
                connection.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
                return connection.recv(12) == b'HTTP/1.1 204'
        except OSError:
            return False
    port = free_port()
    made = server.make_server(Response(status=204), server.listen(
        'listen', '%s:%d' % (host, port)), 1)
    threading.Thread(target=made.run, daemon=True).start()
    assert is_answered({'[::1]': '::1', '[::]': '::1'}.get(host, '127.0.0.1'))
    assert is_answered('127.0.0.1') is (host != '[::1]')


def test_serving_on_tables_of_a_newer_release_is_status_5_and_changes_nothing(command_of, index):
    index.ready()
    index.write_format(99)
    before = {table: index.items(table) for table in index.tables()}
    status, out, err = command_of()('serve')
    assert (status, out) == (5, '') and 'newer release' in err
    assert {table: index.items(table) for table in index.tables()} == before


def test_serving_begins_without_dynamodb_and_without_a_registry():
    service = InProcessService(EngineIndex('http://127.0.0.1:%d' % free_port(), attempts=1),
                               REGISTRY_URL='http://127.0.0.1:1')
    service.service.start()
    assert [service.get(path).status_code for path in (
        '/healthz', '/readyz', '/v1/search', '/v2/_catalog')] == [200, 503, 503, 503]
    service.service.stop()


def test_a_repository_whose_tag_is_late_is_found_at_once_and_verified_later(start):
    with start(EVENTS_WAIT='0.8') as service:
        service.registry.late.add('late/tag')
        service.push({'late/tag': 'Words'})
        assert service.search('late')['results'][0]['description'] == 'Words'
        [note] = service.index.engine.description_queue.notes(9)
        assert note.name == 'late/tag' and note.is_expected
        service.registry.late.clear()
        wait_until(lambda: service.index.engine.description_queue.notes(1), 'a note', expected=[])
        assert service.found('late') == ['late/tag']


def test_the_other_commands_read_the_catalog_of_the_registry(command_of, tmp_path):
    path = tmp_path / 'service.yml'
    with FakeRegistry({'team/web': 'The front end', 'team/api': None, 'nginx': None}) as registry:
        path.write_text('service:\n    registry_url: %s\n' % registry.url)
        by_variable, by_file = command_of(REGISTRY_URL=registry.url), command_of(REGISTRY_URL=None)
        load, status = by_variable.json('load')[1], by_variable.json('status')[1]
        check, search = [by_file.json('--config', str(path), *arguments)[1]
                         for arguments in (['check'], ['search', 'team'])]
    assert [load[key] for key in ('found', 'complete', 'added')] == [3, True, 3]
    assert [status[key] for key in ('ready', 'storage', 'names', 'wrong')] == [True, True, 3, {}]
    assert [check[key] for key in ('rows', 'left', 'storage')] == [3, 0, True]
    assert [result['name'] for result in search['results']] == ['team/api', 'team/web']


@pytest.mark.parametrize('storage, problem', [
    (None, 'the registry cannot be read'), ('/nowhere', 'No such file or directory')])
def test_a_storage_that_cannot_be_read_is_status_3(command_of, storage, problem):
    command = command_of(STORAGE=storage, REGISTRY_URL='http://127.0.0.1:%d' % free_port(),
                         REGISTRY_USERNAME='u', REGISTRY_PASSWORD=PASSWORD)
    status, out, err = command('load')
    assert (status, out) == (3, '') and problem in err and PASSWORD not in err
    assert err.startswith('docker-registry-index: the storage of the registry failed to report')
