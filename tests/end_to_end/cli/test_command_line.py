"""The command docker-registry-index on both Pythons, as a process: what it prints, and its exit
status."""
import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from dev.servers.process import LOCAL, ROOT, free_port, local_environment
from dev.servers.registry_v1 import CONFIGURATION
from tests.docs import pages
from tests.helpers.engine import EngineIndex
from tests.end_to_end.plugin.registry_place import Place

PYTHONS = {'3': sys.executable, '2.7': os.path.join(LOCAL, 'py27', 'bin', 'python')}
NAMES = 'team/web\nteam/api\n\n  library/nginx  \nteam/\u00fc\n'
SECRET = 'never/ShowThisKey+5'


class Command(object):
    """The command on one Python, with the settings of one index."""

    def __init__(self, python, index, **more):
        self._python = PYTHONS[python]
        self.settings = dict({'DYNAMODB_DATABASE': index.settings.database,
                              'DYNAMODB_ENDPOINT_URL': index.settings.endpoint_url,
                              'DYNAMODB_ACCESS_KEY': 'AKIADUMMY',
                              'DYNAMODB_SECRET_ACCESS_KEY': SECRET, 'LC_ALL': 'C.UTF-8'}, **more)

    def launch(self, *arguments, **pipes):
        # Whoever runs the tests in the background has them ignore SIGINT, and so would this.
        pipes = dict(dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)), **pipes)
        return subprocess.Popen([self._python, '-B', '-m', 'docker_registry_index']
                                + list(arguments), cwd=ROOT, env=local_environment(self.settings),
                                **pipes)

    def __call__(self, *arguments, **more):
        """Run it; return exit status, standard output and standard error, none of which ever has a
        secret or a traceback."""
        given = more.pop('given', '')
        process = self.launch(*arguments, **more)
        out, err = process.communicate(given if isinstance(given, bytes) else given.encode('utf-8'),
                                       timeout=90)
        out, err = (out or b'').decode('utf-8'), err.decode('utf-8')
        assert SECRET not in out + err and 'Traceback' not in err, err
        return process.returncode, out, err

    def json(self, *arguments, **more):
        status, out, err = self(*arguments + ('--json',), **more)
        return status, json.loads(out)

    def fails(self, *arguments, **more):
        """Run it with --json; return exit status and error, which is the one document and the last
        line, too."""
        status, out, err = self(*arguments + ('--json',), **more)
        shown = json.loads(out)
        assert list(shown) == ['error'] and shown['error'] in err and err.endswith('\n')
        return status, shown['error']


@pytest.fixture(scope='module', params=sorted(PYTHONS))
def python(request):
    return request.param


@pytest.fixture
def index(dynamodb_local):
    made = EngineIndex(dynamodb_local.url)
    yield made
    for table in made.tables():
        try:
            made.engine.client.call('delete_table', TableName=table)
        except Exception as error:
            assert 'ResourceNotFound' in str(error)


@pytest.fixture
def command(python, index):
    return Command(python, index)


@pytest.fixture
def loaded(command):
    assert command('load', '--names', '-', given=NAMES)[0] == 0
    return command


def test_before_anything_is_there(command):
    status, out, err = command('status', '--no-storage')
    assert status == 1 and out.count('MISSING') == 3 and 'NOT READY' in out and err == ''
    status, out, err = command('search', 'web')
    assert (status, out) == (3, '') and re.match(r'docker-registry-index: .*ResourceNotFound.*\n\Z',
                                                 err)


def test_a_load_from_names_and_a_search(loaded):
    assert loaded('search', 'i') == (0, 'team/api       \nlibrary/nginx  \n', '')
    assert loaded('search', 'i', '-n', '1')[1].count('\n') == 1
    assert loaded('search', 'nowhere') == (1, '', '')
    assert loaded.json('search', 'WEB') == (
        0, {'query': 'WEB', 'results': [{'name': 'team/web', 'description': ''}]})
    assert loaded.json('search', '\u00fc')[1]['results'][0]['name'] == 'team/\u00fc'


def test_a_load_reports_what_it_did(command):
    status, shown = command.json('load', '--names', '-', given=NAMES)
    assert status == 0 and (shown['found'], shown['added'], shown['complete'],
                            shown['unreadable']) == (4, 4, True, [])
    status, out, _ = command('load', '--names', '-', given=NAMES)
    assert status == 0 and out.startswith(
        '4 repositories in the storage: 0 added') and '4 unchanged' in out


def test_a_dry_run_shows_the_difference_and_writes_nothing(loaded):
    given = 'team/web\nteam/new\nlibrary/nginx\nteam/api\n'
    assert loaded('load', '--names', '-', '--dry-run',
                  given=given)[:2] == (0, 'added    team/new\nrecent   team/\u00fc\n')
    assert loaded.json('load', '--names', '-', '--dry-run', given=given) == (
        0, [{'name': 'team/new', 'change': 'added'}, {'name': 'team/\u00fc', 'change': 'recent'}])
    assert loaded('search', 'new')[0] == 1


def test_the_status_of_an_index(loaded, index):
    status, shown = loaded.json('status', '--no-storage')
    assert status == 0
    assert (shown['ready'], shown['format'], shown['names'], shown['rows'], shown['sampled'],
            shown['wrong'], shown['lease']) == (True, 3, 4, 4, 4, {}, None)
    assert abs(shown['synced'] - time.time()) < 60 and shown['last_load']['added'] == 4
    assert [table['status'] for table in shown['tables']] == ['ACTIVE'] * 3
    assert shown['postings_per_repository'] == len(index.postings()) / 4.0
    assert 'ready, format 3, synced at 20' in loaded('status', '--no-storage')[1]


def test_what_is_wrong_is_seen_checked_and_repaired(loaded, index):
    index.engine.client.call('delete_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': 'team/web'}})
    status, shown = loaded.json('status', '--no-storage')
    assert status == 1 and list(shown['wrong']) == ['team/web']
    assert (shown['names'], shown['rows']) == (4, 3)
    status, shown = loaded.json('check', '--no-storage')
    assert (status, shown['left'], shown['storage']) == (1, 1, False)
    assert [(problem['name'], problem['kind'], problem['repaired'])
            for problem in shown['problems']] == [('team/web', 'postings', False)]
    status, out, _ = loaded('check', '--no-storage', '--repair')
    assert status == 0 and out.startswith('repaired team/web: ')
    assert out.endswith('1 problems, 1 repaired\n')
    assert loaded('check', '--no-storage')[0] == 0
    index.assert_whole()


def test_a_check_with_names_finds_what_a_load_would_add(loaded):
    status, shown = loaded.json('check', '--names', '-', given='team/web\nteam/missing\n')
    assert (status, shown['storage']) == (1, True)
    assert [(problem['name'], problem['kind']) for problem in shown['problems']] == [
        ('team/missing', 'storage')]


def test_another_process_that_loads_is_not_disturbed(loaded, index, tmp_path):
    with _long_load(loaded, index, tmp_path) as holder:
        status, out, err = loaded('load', '--names', '-', given=NAMES)
        assert (status, out) == (4, '') and 'another process holds the lease' in err
        assert loaded.fails('load', '--names', os.devnull)[0] == 4
        status, shown = loaded.json('status', '--no-storage')
        assert shown['lease']['alive'] is True
        # Ended politely, it gives the lease back.
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(timeout=30) == 143
        assert 'lease' not in index.items(index.settings.version_table)[0]


@contextlib.contextmanager
def _long_load(loaded, index, folder):
    """A load that is under way, and ended with the block at the latest."""
    many = ''.join('many/repository-%05d\n' % number for number in range(5000))
    process = loaded.launch('load', '--names', str(_file(folder, many)))
    try:
        deadline = time.time() + 60
        while not index.items(index.settings.version_table)[0].get('lease'):
            assert time.time() < deadline and process.poll() is None
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()


def _file(folder, text):
    path = folder / 'names'
    path.write_text(text, encoding='utf-8')
    return path


@pytest.mark.parametrize('arguments', [('search',), ('nothing',), ('search', 'x', '-n', '0'),
                                       ('search', 'x', '-n', 'many'),
                                       ('load', '--names', '/no/such/file'),
                                       ('status', '--no-such')])
def test_wrong_usage_is_status_2(loaded, arguments):
    status, out, err = loaded(*arguments)
    assert (status, out) == (2, '') and 'Usage: ' in err


def test_a_wrong_setting_is_status_2_and_one_line(python, index):
    status, out, err = Command(python, index, DYNAMODB_ATTEMPTS='many')('status')
    assert (status, out) == (2, '') and err.count(
        '\n') == 1 and 'setting attempts' in err and 'DYNAMODB_ATTEMPTS' in err


def test_on_python_2_a_command_that_needs_the_service_says_so(index):
    command = Command('2.7', index, STORAGE='/nowhere')
    for arguments in ('serve',), ('load',):
        status, out, err = command(*arguments)
        assert (status, out) == (2, '') and 'pip install' in err, err
        assert 'the service needs Python 3.9 or later' in err


def test_dynamodb_unavailable_is_status_3_and_one_line(python, index):
    unavailable = Command(python, index, DYNAMODB_ATTEMPTS='1',
                          DYNAMODB_ENDPOINT_URL='http://127.0.0.1:%d' % free_port())
    for arguments in ('search', 'x'), ('check', '--no-storage'), ('status', '--no-storage'):
        status, out, err = unavailable(*arguments)
        assert (status, out) == (3, '') and err.count('\n') == 1, err


def test_tables_of_a_newer_release_are_status_5(loaded, index):
    marker = {'gram': {'S': '!'}, 'suffix': {'S': 'ready'}}
    index.engine.client.call('update_item', TableName=index.settings.search_table, Key=marker,
                             UpdateExpression='SET #format = :newer',
                             ExpressionAttributeNames={'#format': 'format'},
                             ExpressionAttributeValues={':newer': {'N': '99'}})
    for arguments in ('load', '--names', os.devnull), ('status', '--no-storage'):
        status, out, err = loaded(*arguments)
        assert (status, out) == (5, '') and 'newer release' in err


def test_what_a_terminal_would_obey_is_not_printed(loaded, index):
    index.engine.client.call('put_item',
                             TableName=index.settings.search_table,
                             Item={'gram': {'S': 'sx'}, 'suffix': {'S': 'xyz\x01team/'},
                                   'd': {'S': 'red \x1b[31m and \u202e back'}})
    assert loaded('search', 'xyz') == (0, 'team/xyz  red ?[31m and ? back\n', '')


# What goes wrong

def test_a_dry_run_before_the_first_load_adds_everything_and_makes_no_table(command, index):
    expected = ''.join('added    %s\n' % name
                       for name in ('library/nginx', 'team/api', 'team/web', 'team/\u00fc'))
    assert command('load', '--dry-run', '--names', '-', given=NAMES)[:2] == (0, expected)
    assert {change['change'] for change in command.json('load', '--dry-run', '--names', '-',
                                                        given=NAMES)[1]} == {'added'}
    assert {table['status'] for table in command.json('status', '--no-storage')[1]['tables']} == {
        'MISSING'}


@pytest.mark.parametrize('kind, change', [('search', 'adopted'), ('repository', 'added'),
                                          ('version', None)])
def test_a_dry_run_where_a_table_is_missing_shows_what_a_load_does(loaded, index, kind, change):
    index.engine.client.call('delete_table', TableName=getattr(index.settings, kind + '_table'))
    status, shown = loaded.json('load', '--dry-run', '--names', '-', given=NAMES)
    assert status == 0 and [each['change'] for each in shown] == ([change] * 4 if change else [])
    status, shown = loaded.json('status', '--no-storage')
    assert status == 1 and [table['kind'] for table in shown['tables']
                            if table['status'] == 'MISSING'] == [kind]
    assert loaded.json('load', '--names', '-', given=NAMES)[0] == 0
    assert loaded('check', '--no-storage')[0] == 0


def test_a_search_and_a_check_without_tables_say_what_makes_them(command):
    for arguments in ('search', 'web'), ('check', '--no-storage'), ('check', '--names', os.devnull):
        status, message = command.fails(*arguments)
        assert status == 3 and 'ResourceNotFoundException' in message and message.endswith(
            'if nothing was ever loaded, load makes them')


def test_names_that_are_not_UTF_8_are_status_2_and_the_line_is_named(loaded):
    for arguments in ('load',), ('load', '--dry-run'), ('check',):
        status, out, err = loaded(*arguments + ('--names', '-'),
                                  given=b'team/web\n\nteam/caf\xe9\n')
        assert (status, out) == (2, '') and 'line 3 is not in UTF-8' in err
        status, out, err = loaded(*arguments + ('--names', '-', '--json'), given=b'team/caf\xe9\n')
        assert status == 2 and 'line 1' in err
        assert 'line 1 is not in UTF-8' in json.loads(out)['error']
    # Nothing was taken out because of it.
    assert loaded('search', 'team')[1].count('\n') == 3


def no_space_for_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_full_disk_for_temporary_files_is_status_3(loaded, index, tmp_path):
    # More than is kept in memory.
    many = _file(tmp_path, ''.join('%s/%06d\n' % ('x' * 200, number) for number in range(40000)))
    for arguments in ('load', '--dry-run'), ('check',), ('load',):
        status, message = loaded.fails(*arguments + ('--names', str(many)),
                                       preexec_fn=no_space_for_files)
        assert status == 3 and 'temporary file cannot be used' in message and 'TMPDIR' in message
    assert 'lease' not in index.items(index.settings.version_table)[0]


def test_interrupted_it_ends_at_once_and_gives_the_lease_back(loaded, index, tmp_path):
    with _long_load(loaded, index, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (130, b'', b'')
        assert 'lease' not in index.items(index.settings.version_table)[0]


def test_a_reader_that_closes_its_end_is_status_141_without_output(loaded):
    for arguments in ('search', ''), ('search', '', '--json'), ('status', '--no-storage'):
        process = loaded.launch(*arguments)
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (141, b'')


def test_an_output_that_takes_nothing_is_status_3(loaded):
    with open('/dev/full', 'w') as full:
        status, _, err = loaded('search', '', stdout=full)
    assert status == 3 and err.startswith(
        'docker-registry-index: cannot print') and 'No space left' in err


def test_with_json_an_error_of_each_status_is_a_document(loaded, python, index):
    status, message = Command(python, index, DYNAMODB_ATTEMPTS='many').fails('search', 'x')
    assert status == 2 and 'setting attempts' in message
    unavailable = Command(python, index, DYNAMODB_ATTEMPTS='1',
                          DYNAMODB_ENDPOINT_URL='http://127.0.0.1:%d' % free_port())
    for arguments in ('search', 'x'), ('check', '--no-storage'), ('status', '--no-storage'), (
            'load', '--names', os.devnull):
        status, message = unavailable.fails(*arguments)
        assert status == 3 and 'EndpointConnectionError' in message
    marker = {'gram': {'S': '!'}, 'suffix': {'S': 'ready'}}
    index.engine.client.call('update_item', TableName=index.settings.search_table, Key=marker,
                             UpdateExpression='SET #format = :newer',
                             ExpressionAttributeNames={'#format': 'format'},
                             ExpressionAttributeValues={':newer': {'N': '99'}})
    for arguments in ('search', 'x'), ('check', '--no-storage'), ('status', '--no-storage'), (
            'load', '--names', os.devnull, '--dry-run'):
        status, message = loaded.fails(*arguments)
        assert status == 5 and 'newer release' in message


def test_with_json_what_is_no_error_is_a_document(loaded):
    assert loaded.json('search', 'nowhere') == (1, {'query': 'nowhere', 'results': []})
    assert loaded.json('load', '--dry-run', '--names', '-', given=NAMES) == (0, [])
    assert loaded.json('load', '--names', '-', given=NAMES)[1]['complete'] is True
    assert loaded.json('check', '--no-storage')[1]['problems'] == []
    assert loaded.json('status', '--no-storage')[1]['wrong'] == {}


# The storage of the registry

@pytest.fixture
def seeded(ministack, dynamodb_local):
    place = Place(ministack.url, dynamodb_local.url)
    place.seed('team/web', 'library/nginx', 'team/api')
    yield place
    for kind in place.tables():
        place.dynamodb.delete_table(TableName=place.table(kind))


def with_storage(python, place, **more):
    command = Command(python, EngineIndex(place.dynamodb_url, place.name))
    command.settings.update(place.settings(DOCKER_REGISTRY_CONFIG=CONFIGURATION,
                                           SETTINGS_FLAVOR='prod'), **more)
    return command


def test_the_registrys_own_file_environment_and_storage_are_used(seeded):
    command = with_storage('2.7', seeded)
    assert command('load')[0] == 0
    assert command('search', '')[1].split() == ['library/nginx', 'team/api', 'team/web']
    status, shown = command.json('check')
    assert (status, shown['storage'], shown['rows'], shown['problems']) == (0, True, 3, [])
    seeded.seed('team/late')
    assert command('load', '--dry-run')[:2] == (0, 'added    team/late\n')
    status, shown = command.json('status')
    assert (status, shown['storage'],
            shown['wrong']) == (1, True, {'team/late': 'is in the storage and not in the index'})
    status, out, _ = command('check')
    assert status == 1 and out.startswith(
        'wrong  team/late: is in the storage and not in the index: a load adds it\n3 rows and ')
    assert out.endswith(' postings and the storage: 1 problems, 0 repaired\n')
    assert command('load')[0] == 0 and command('check')[0] == 0


def test_a_file_can_be_given(seeded):
    command = with_storage('2.7', seeded)
    del command.settings['DOCKER_REGISTRY_CONFIG']
    assert command('--config', os.path.relpath(CONFIGURATION, ROOT), 'load')[0] == 0


def test_a_storage_that_cannot_be_read_is_status_3(seeded):
    command = with_storage('2.7', seeded, AWS_BUCKET='no-such-bucket')
    # An index without names: only the listing of the storage can fail.
    assert command('load', '--names', os.devnull)[0] == 0
    for arguments in ('load',), ('load', '--dry-run'), ('check',), ('status',):
        status, out, err = command(*arguments)
        assert (status, out) == (3, '') and 'the storage of the registry does not report' in err
    assert command.fails('status')[0] == command.fails('load')[0] == 3


def test_where_docker_registry_is_not_installed_a_load_says_what_to_do(seeded):
    command = with_storage('3', seeded)
    status, out, err = command('load')
    assert (status, out) == (2, '') and '--names' in err
    assert command('load', '--names', '-', given=NAMES)[0] == 0
    assert command.json('check')[1]['storage'] is False


# The page

def commands():
    return [()] + [(name,) for name in ('status', 'search', 'load', 'check', 'serve')]


@pytest.mark.parametrize('arguments', commands(), ids=' '.join)
def test_the_page_shows_the_help_as_it_is(index, arguments):
    shown = Command('3', index)(*arguments + ('--help',))[1]
    assert '```\n%s```\n' % shown in pages.read('docs/command-line.md')
