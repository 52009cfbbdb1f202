"""The command docker-registry-index as a process, on both Pythons: what only a process shows."""
import contextlib
import os
import resource
import signal

import pytest

from dev.servers.process import ROOT
from dev.servers.registry_v1 import CONFIGURATION
from tests.end_to_end.plugin.registry_place import Place
from tests.helpers.command_line import PYTHONS, CommandProcess
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

NAMES = 'team/web\nteam/api\n\n  library/nginx  \nteam/\u00fc\n'


@pytest.fixture
def index(dynamodb_local):
    made = EngineIndex(dynamodb_local.url).ready([(name, None) for name in NAMES.split()])
    yield made
    made.delete_tables()


@pytest.mark.parametrize('python', sorted(PYTHONS))
def test_each_command_works_as_a_process(python, index):
    command, given = CommandProcess(python, index), NAMES + 'team/new\n'
    assert command('load', '--names', '-', '--dry-run', given=given) == (
        0, 'added    team/new\n', '')
    assert command.json('load', '--names', '-', given=given)[1]['added'] == 1
    index.engine.client.call('put_item', TableName=index.settings.search_table, Item={
        'gram': {'S': 'sx'}, 'suffix': {'S': 'xyz\x01team/'},
        't': {'S': 'team/xyz\na \x1b[31m and \u00fc'}})
    assert command('search', '\u00fc') == (0, 'team/\u00fc  \n', '')
    assert command('search', 'xyz') == (0, 'team/xyz  a ?[31m and \u00fc\n', '')
    status, out, err = command('check', '--no-storage', '--repair')
    assert status == 0 and out.endswith('1 problems, 1 repaired\n') and err == ''
    assert 'ready, format 4, synced at 20' in command('status', '--no-storage')[1]
    index.assert_whole()


@contextlib.contextmanager
def long_load(command, index, folder):
    """A load that is under way, and ended with the block at the latest."""
    names = folder / 'names'
    names.write_text(''.join('many/repository-%05d\n' % number for number in range(2000)))
    process = command.launch('load', '--names', str(names))
    try:
        wait_until(lambda: 'lease' in version_of(index), 'no load begins', 60)
        yield process
    finally:
        process.kill()
        process.communicate()


def version_of(index):
    return index.items(index.settings.version_table)[0]


def test_a_load_excludes_others_and_gives_its_lease_back_when_it_is_ended(index, tmp_path):
    command = CommandProcess('3', index)
    with long_load(command, index, tmp_path) as holder:
        assert command.json('status', '--no-storage')[1]['lease']['alive'] is True
        status, out, err = command('load', '--names', '-', given=NAMES)
        assert (status, out) == (4, '') and 'another process holds the lease' in err
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(timeout=30) == 143
        assert 'lease' not in version_of(index)
    with long_load(CommandProcess('2.7', index), index, tmp_path) as interrupted:
        interrupted.send_signal(signal.SIGINT)
        out, err = interrupted.communicate(timeout=30)
        assert (interrupted.returncode, out, err) == (130, b'', b'')
        assert 'lease' not in version_of(index)


@pytest.mark.parametrize('python', sorted(PYTHONS))
def test_an_output_that_is_closed_or_full_is_an_exit_status(python, index):
    command = CommandProcess(python, index)
    process = command.launch('search', '')
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, b'')
    with open('/dev/full', 'w') as full:
        status, _, err = command('search', '', stdout=full)
    assert status == 3 and err.startswith('docker-registry-index: cannot write output')
    assert 'No space left' in err


def test_a_full_disk_for_temporary_files_is_status_3(index, tmp_path):
    many = tmp_path / 'names'  # more than is kept in memory
    many.write_text(''.join('%s/%06d\n' % ('x' * 200, number) for number in range(40000)))
    for name in 'check', 'load':
        status, message = CommandProcess('3', index).fails(
            name, '--names', str(many),
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)))
        assert status == 3 and 'temporary file cannot be used' in message and 'TMPDIR' in message
    assert 'lease' not in version_of(index)


def test_the_registrys_own_file_environment_and_storage_are_used(ministack, dynamodb_local):
    place = Place(ministack.url, dynamodb_local.url)
    place.put('team/web', 'library/nginx', 'team/api')
    command = CommandProcess('2.7', EngineIndex(place.dynamodb_url, place.name))
    command.variables.update(place.settings(DOCKER_REGISTRY_CONFIG=CONFIGURATION,
                                            SETTINGS_FLAVOR='prod'))
    assert command('load')[0] == 0
    assert command('search', '')[1].split() == ['library/nginx', 'team/api', 'team/web']
    place.put('team/late')
    status, shown = command.json('status')
    assert (status, shown['storage'],
            shown['wrong']) == (1, True, {'team/late': 'is in the storage but not in the index'})
    status, out, _ = command('check')
    assert status == 1 and out.startswith(
        'wrong  team/late: is in the storage but not in the index; a load adds it\n3 rows and ')
    assert out.endswith(' postings and the storage: 1 problems, 0 repaired\n')
    del command.variables['DOCKER_REGISTRY_CONFIG']
    given = '--config', os.path.relpath(CONFIGURATION, ROOT)
    assert command(*given + ('load', '--dry-run'))[:2] == (0, 'added    team/late\n')
    command.variables['AWS_BUCKET'] = 'no-such-bucket'
    assert command('load', '--names', os.devnull)[0] == 0
    for name in 'load', 'check':
        status, message = command.fails(name)
        assert status == 3 and 'the storage of the registry failed to report' in message
