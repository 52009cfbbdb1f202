"""What each command prints, and its exit status."""
import os
import re
import time

import pytest

from docker_registry_index.cli import commands
from docker_registry_index.engine.search import search
from docker_registry_index.engine.store import retries
from docker_registry_index.engine.store.records import READY_KEY
from tests.docs import pages
from tests.helpers.registry import FakeRegistry
from tests.helpers.storage import FakeStorage

NAMES = 'team/web\nteam/api\n\n  library/nginx  \nteam/\u00fc\n'
SORTED = sorted(NAMES.split())


INCOMPLETE = ('More repositories may match: the word is too common, or the index is not '
              'complete.\n')


# search

def test_a_search_prints_the_names_with_the_term_and_returns_1_without_any(shared):
    assert shared('search', 'i') == (0, 'library/nginx  \nteam/api       \n', '')
    assert shared('search', 'i', '-n', '1')[1].count('\n') == 1
    assert shared('search', 'nowhere') == (1, '', '')
    assert shared.json('search', '\u00dc') == (
        0, {'query': '\u00dc', 'incomplete_results': False,
            'results': [{'name': 'team/\u00fc', 'description': ''}]})
    assert shared.json('search', 'nowhere') == (
        1, {'query': 'nowhere', 'incomplete_results': False, 'results': []})


def test_a_search_that_may_not_read_everything_says_so(shared, monkeypatch):
    monkeypatch.setattr(search, 'MOST', 2)
    assert shared('search', 'team') == (
        0, 'team/api  \nteam/web  \n', INCOMPLETE)
    assert shared('search', 'team', '-n', '2')[2] == ''
    status, shown = shared.json('search', 'team')
    assert (status, shown['incomplete_results'], len(shown['results'])) == (0, True, 2)


def test_a_search_warns_until_the_first_load_is_complete(loaded, index):
    index.store.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
    assert loaded('search', 'web') == (0, 'team/web  \n', INCOMPLETE)
    assert loaded.json('search', 'web')[1]['incomplete_results'] is True


def test_a_search_for_all_ends_at_the_setting_and_not_at_the_limit(loaded, command_of, monkeypatch):
    monkeypatch.setattr(search, 'MOST', 2)
    assert loaded('search', 'team', '--all', '-n', '1') == (
        0, 'team/api  \nteam/web  \nteam/\u00fc    \n', '')
    status, out, err = command_of(DYNAMODB_MAX_RESULTS='2')('search', 'team', '--all')
    assert (status, out.count('\n'), err[:22]) == (0, 2, 'More repositories may ')


def test_a_search_prints_no_control_characters(loaded, index):
    index.engine.client.call('put_item', TableName=index.settings.search_table, Item={
        'gram': {'S': 'sx'}, 'suffix': {'S': 'xyz\x01team/'},
        't': {'S': 'team/xyz\nred \x1b[31m and \u202e back'}})
    assert loaded('search', 'xyz') == (0, 'team/xyz  red ?[31m and ? back\n', '')


# load

def test_a_load_reports_what_it_did(command_of, index):
    command = command_of()
    status, shown = command.json('load', '--names', '-', given=NAMES)
    assert status == 0 and (shown['found'], shown['added'], shown['complete'],
                            shown['unreadable']) == (4, 4, True, [])
    status, out, err = command('load', '--names', '-', given=NAMES)
    assert re.match(r'4 repositories in the storage: 0 added.* 4 unchanged.*, in [0-9.]+ s\n\Z',
                    out)
    assert (status, err) == (0, '') and index.names() == SORTED


def test_only_the_tables_of_a_registry_can_be_adopted(command_of):
    status, out, err = command_of()('load', '--adopt', '--names', '-', given=NAMES)
    assert (status, out) == (2, '') and 'registry_url is missing' in err and '--adopt' in err


def test_a_dry_run_shows_the_difference_and_writes_nothing(shared, shared_index):
    given = 'team/web\nteam/new\nlibrary/nginx\nteam/api\n'
    assert shared('load', '--names', '-', '--dry-run',
                  given=given) == (0, 'added    team/new\nrecent   team/\u00fc\n', '')
    assert shared.json('load', '--names', '-', '--dry-run', given=given) == (
        0, [{'name': 'team/new', 'change': 'added'}, {'name': 'team/\u00fc', 'change': 'recent'}])
    assert shared.json('load', '--dry-run', '--names', '-', given=NAMES) == (0, [])
    assert shared_index.names() == SORTED


def test_before_the_first_load_no_command_creates_a_table_and_errors_name_load(command_of):
    command = command_of()
    expected = ''.join('added    %s\n' % name for name in SORTED)
    assert command('load', '--dry-run', '--names', '-', given=NAMES)[:2] == (0, expected)
    for arguments in ('search', 'web'), ('check', '--no-storage'), ('check', '--names', os.devnull):
        status, out, err = command(*arguments)
        assert (status, out) == (3, '') and err.startswith('docker-registry-index: ')
        assert 'ResourceNotFoundException' in err and err.endswith('load creates missing tables\n')
    status, out, err = command('status', '--no-storage')
    assert status == 1 and out.count('MISSING') == 3 and 'NOT READY' in out and err == ''


@pytest.mark.parametrize('kind, change', [('search', 'adopted'), ('repository', 'added'),
                                          ('version', None)])
def test_a_dry_run_without_one_table_shows_what_a_load_does(loaded, index, kind, change):
    index.engine.client.call('delete_table', TableName=getattr(index.settings, kind + '_table'))
    status, shown = loaded.json('load', '--dry-run', '--names', '-', given=NAMES)
    assert status == 0 and [each['change'] for each in shown] == ([change] * 4 if change else [])
    status, shown = loaded.json('status', '--no-storage')
    assert status == 1 and [table['kind'] for table in shown['tables']
                            if table['status'] == 'MISSING'] == [kind]
    assert loaded('load', '--names', '-', given=NAMES)[0] == 0
    index.assert_whole()


@pytest.mark.parametrize('arguments', [('load',), ('load', '--dry-run'), ('check',)])
def test_names_that_are_not_UTF_8_are_status_2_and_the_line_is_named(
        shared, shared_index, arguments):
    arguments += '--names', '-'
    status, out, err = shared(*arguments, given=b'team/web\n\nteam/caf\xe9\n')
    assert (status, out) == (2, '') and 'line 3 is not UTF-8' in err
    status, out, err = shared(*arguments + ('--json',), given=b'team/caf\xe9\n')
    assert status == 2 and 'line 1 is not UTF-8' in err and '"error"' in out
    assert shared_index.names() == SORTED


def test_a_load_that_cannot_read_a_part_of_the_storage_names_it_and_exits_with_1(
        command_of, monkeypatch):
    command, storage = command_of(), FakeStorage(['a/one', 'b/two', 'c/three'])
    monkeypatch.setattr(commands, 'source_of', lambda *_, **__: storage)
    assert command('load')[0] == 0
    storage.broken.add('b')
    status, shown = command.json('load')
    assert (status, shown['complete'], shown['unreadable'], shown['failed']) == (1, False, ['b'], 0)
    status, out, _ = command('load')
    assert status == 1 and '1 parts of the storage unreadable; NOT COMPLETE' in out
    problem = ('the storage of the registry failed to report its repositories: OSError: no rights; '
               'check the storage and its settings')
    status, shown = command.json('status')
    assert (status, shown['last_load']['unreadable'], shown['wrong']) == (1, ['b'], {'b': problem})
    status, out, _ = command('status')
    assert 'unreadable   b\nwrong        b: %s\n' % problem in out and status == 1
    # The rest is compared with the storage; what the storage cannot report is no difference.
    assert command.json('check')[1]['problems'] == []
    storage.names.append('a/new')
    storage.found.add('a/new')
    storage.problem = IOError('no answer')
    status, shown = command.json('status')
    assert status == 1 and sorted(shown['wrong']) == ['a', 'a/one', 'b', 'b/two', 'c/three']
    # If no part can be read, the storage is unavailable.
    storage.broken.update('ac')
    for arguments in ('load',), ('status',), ('check',):
        assert command(*arguments)[0] == 3


# check and status

def test_the_status_of_an_index(shared, shared_index):
    status, shown = shared.json('status', '--no-storage')
    postings = len(shared_index.postings()) / 4.0
    assert status == 0
    assert (shown['ready'], shown['format'], shown['names'], shown['rows'], shown['sampled'],
            shown['wrong'], shown['lease']) == (True, 4, 4, 4, 4, {}, None)
    assert abs(shown['synced'] - time.time()) < 60 and shown['last_load']['added'] == 4
    assert [table['status'] for table in shown['tables']] == ['ACTIVE'] * 3
    assert shown['postings_per_repository'] == postings
    out = shared('status', '--no-storage')[1]
    for part in ('ready, format 4, synced at 20', '4 names, 4 rows',
                 'none under way; the last load: 4 found, 4 added, 0 adopted',
                 'verified     nothing since the index was loaded',
                 '4 checked, 0 wrong, %.1f postings each' % postings):
        assert part in out


def test_the_status_shows_how_much_is_verified_and_when(loaded, index):
    assert loaded.json('status', '--no-storage')[1]['verified'] == {
        'slices': 0, 'of': 16, 'last': None, 'all': None}
    loaded('load', '--names', '-', given=NAMES)
    shown = loaded.json('status', '--no-storage')[1]['verified']
    assert (shown['slices'], shown['all']) == (1, None) and abs(shown['last'] - time.time()) < 60
    index.change_item(index.settings.search_table, READY_KEY, slice={'N': '7'},
                      verified={'N': '1500000000'}, verified_all={'N': '1490000000'})
    line = ('verified     7 of 16 slices in this pass, the last one at 2017-07-14 02:40:00 UTC; '
            'the last pass ended at 2017-03-20 08:53:20 UTC\n')
    assert line in loaded('status', '--no-storage')[1]


def test_what_is_wrong_is_shown_checked_and_repaired(loaded, index):
    index.engine.client.call('delete_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': 'team/web'}})
    status, shown = loaded.json('status', '--no-storage')
    assert (status, list(shown['wrong']), shown['names'], shown['rows']) == (1, ['team/web'], 4, 3)
    status, shown = loaded.json('check', '--no-storage')
    assert (status, shown['left'], shown['storage']) == (1, 1, False)
    assert [(problem['name'], problem['kind'], problem['repaired'])
            for problem in shown['problems']] == [('team/web', 'postings', False)]
    status, out, _ = loaded('check', '--no-storage', '--repair')
    assert status == 0 and out.startswith('repaired team/web: ')
    assert out.endswith('1 problems, 1 repaired\n')
    status, shown = loaded.json('check', '--no-storage')
    assert (status, shown['problems']) == (0, [])
    index.assert_whole()


def test_a_check_with_names_finds_what_a_load_would_add(shared):
    status, shown = shared.json('check', '--names', '-', given='team/web\nteam/missing\n')
    assert (status, shown['storage']) == (1, True)
    assert [(problem['name'], problem['kind']) for problem in shown['problems']] == [
        ('team/missing', 'storage')]


@pytest.mark.parametrize('arguments', ['search', 'nothing', 'search x -n 0', 'search x -n many',
                                       'load --names /no/such/file', 'status --no-such'])
def test_wrong_usage_is_status_2(shared, arguments):
    status, out, err = shared(*arguments.split())
    assert (status, out) == (2, '') and 'Usage: ' in err


def test_a_wrong_setting_is_status_2_and_one_line(command_of):
    command = command_of(DYNAMODB_ATTEMPTS='many')
    status, out, err = command('status')
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert 'setting attempts' in err and 'DYNAMODB_ATTEMPTS' in err
    assert 'setting attempts' in command.fails('search', 'x')[1]


@pytest.mark.parametrize('arguments', ['search x', 'check --no-storage', 'status --no-storage'])
def test_dynamodb_unavailable_is_status_3_and_one_line(command_of, monkeypatch, arguments):
    monkeypatch.setattr(retries, 'FAULT_SECONDS', 0)
    # Discard's port: nothing listens there.
    command = command_of(DYNAMODB_ATTEMPTS='1', DYNAMODB_ENDPOINT_URL='http://127.0.0.1:9')
    status, out, err = command(*arguments.split() + ['--json'])
    assert status == 3 and err.count('\n') == 1 and 'EndpointConnectionError' in err
    assert 'EndpointConnectionError' in out


def test_tables_of_a_newer_release_are_status_5(loaded, index):
    index.write_format(99)
    for arguments in ('search x', 'check --no-storage', 'status --no-storage',
                      'load --names ' + os.devnull, 'load --dry-run --names ' + os.devnull):
        status, message = loaded.fails(*arguments.split())
        assert status == 5 and 'newer release' in message


@pytest.mark.parametrize('arguments', [[]] + [[name] for name in sorted(commands.main.commands)])
def test_the_page_shows_the_help_as_it_is(shared, arguments):
    status, out, _ = shared(*arguments + ['--help'])
    assert status == 0 and '```\n%s```\n' % out in pages.read('docs/command-line.md')


# names of a service's registry

def test_a_load_of_names_asks_the_registry_of_a_service_for_them(command_of, index):
    with FakeRegistry({'team/web': None, 'team/api': None}) as registry:
        command = command_of(REGISTRY_URL=registry.url)
        assert command.json('load', '--names', '-', given='team/web\ngone\n')[1]['added'] == 1
        assert index.names() == ['team/web']
        for name in 'team/api', 'gone':
            index.engine.add(name)
            index.change_item(index.settings.repository_table, {'name': {'S': name}},
                              touched={'N': '1'})
        assert command.json('load', '--names', '-', given='team/web\n')[1]['removed'] == 1
        assert index.names() == ['team/api', 'team/web']
