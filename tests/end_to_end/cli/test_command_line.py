"""The command docker-registry-index as a process, on both Pythons: what only a process shows."""
import contextlib
import os
import resource
import signal
import subprocess
import sys

import pytest

from dev.servers.process import LOCAL, ROOT, local_environment
from dev.servers.registry_v1 import CONFIGURATION
from tests.end_to_end.plugin.registry_place import Place
from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

PYTHONS = {'3': sys.executable, '2.7': os.path.join(LOCAL, 'py27', 'bin', 'python')}
NAMES = 'team/web\nteam/api\n\n  library/nginx  \nteam/\u00fc\n'


class CommandProcess(CommandLine):
    """The command on one Python, as a process."""

    def __init__(self, python, index, **variables):
        super().__init__(index, LC_ALL='C.UTF-8', **variables)
        self._python = PYTHONS[python]

    def launch(self, *arguments, **pipes):
        """Start it, and return the process."""
        # A shell that runs the tests in the background has them ignore SIGINT, and so would this.
        pipes = dict(dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)), **pipes)
        return subprocess.Popen([self._python, '-B', '-m', 'docker_registry_index', *arguments],
                                cwd=ROOT, env=local_environment(self.variables), **pipes)

    def run(self, arguments, given, **pipes):
        process = self.launch(*arguments, **pipes)
        out, err = process.communicate(given, timeout=90)
        return process.returncode, (out or b'').decode(), err.decode()


@pytest.fixture
def index(dynamodb_local):
    made = EngineIndex(dynamodb_local.url)
    yield made
    made.delete_what_is_left()


@pytest.fixture(params=sorted(PYTHONS))
def loaded(request, index):
    """The command of each Python, on an index of NAMES."""
    index.ready([(name, None) for name in NAMES.split()])
    return CommandProcess(request.param, index)


def test_each_command_works_as_a_process(loaded, index):
    given = NAMES + 'team/new\n'
    assert loaded('load', '--names', '-', '--dry-run', given=given) == (
        0, 'added    team/new\n', '')
    assert loaded.json('load', '--names', '-', given=given)[1]['added'] == 1
    index.engine.client.call('put_item', TableName=index.settings.search_table, Item={
        'gram': {'S': 'sx'}, 'suffix': {'S': 'xyz\x01team/'}, 'd': {'S': 'a \x1b[31m and \u00fc'}})
    assert loaded('search', '\u00fc') == (0, 'team/\u00fc  \n', '')
    assert loaded('search', 'xyz') == (0, 'team/xyz  a ?[31m and \u00fc\n', '')
    assert loaded.json('check', '--no-storage')[0] == 1
    status, out, err = loaded('check', '--no-storage', '--repair')
    assert status == 0 and out.endswith('1 problems, 1 repaired\n') and err == ''
    assert 'ready, format 3, synced at 20' in loaded('status', '--no-storage')[1]
    assert loaded('load', '--names', '-', given=b'\xe9')[0] == 2
    index.assert_whole()


@contextlib.contextmanager
def long_load(loaded, index, folder):
    """A load that is under way, and ended with the block at the latest."""
    names = folder / 'names'
    names.write_text(''.join('many/repository-%05d\n' % number for number in range(2000)))
    process = loaded.launch('load', '--names', str(names))
    try:
        wait_until(lambda: 'lease' in version_of(index), 'no load begins', 60)
        yield process
    finally:
        process.kill()
        process.communicate()


def version_of(index):
    return index.items(index.settings.version_table)[0]


def test_a_load_excludes_others_and_gives_the_lease_back_when_it_is_ended(loaded, index, tmp_path):
    with long_load(loaded, index, tmp_path) as holder:
        status, shown = loaded.json('status', '--no-storage')
        assert shown['lease']['alive'] is True
        status, out, err = loaded('load', '--names', '-', given=NAMES)
        assert (status, out) == (4, '') and 'another process holds the lease' in err
        holder.send_signal(signal.SIGTERM)
        assert holder.wait(timeout=30) == 143
        assert 'lease' not in version_of(index)
    with long_load(loaded, index, tmp_path) as interrupted:
        interrupted.send_signal(signal.SIGINT)
        out, err = interrupted.communicate(timeout=30)
        assert (interrupted.returncode, out, err) == (130, b'', b'')
        assert 'lease' not in version_of(index)


def test_an_output_that_nobody_reads_or_that_is_full_is_an_exit_status(loaded):
    for arguments in ('search', ''), ('status', '--no-storage', '--json'):
        process = loaded.launch(*arguments)
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (141, b'')
    with open('/dev/full', 'w') as full:
        status, _, err = loaded('search', '', stdout=full)
    assert status == 3 and err.startswith(
        'docker-registry-index: cannot write output') and 'No space left' in err


def no_space_for_files():
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def test_a_full_disk_for_temporary_files_is_status_3(index, tmp_path):
    index.ready()
    many = tmp_path / 'names'  # more than is kept in memory
    many.write_text(''.join('%s/%06d\n' % ('x' * 200, number) for number in range(40000)))
    command = CommandProcess('3', index)
    for arguments in ('check',), ('load',):
        status, message = command.fails(*arguments + ('--names', str(many)),
                                        preexec_fn=no_space_for_files)
        assert status == 3 and 'temporary file cannot be used' in message and 'TMPDIR' in message
    assert 'lease' not in version_of(index)


def test_python_2_has_no_service(index):
    command = CommandProcess('2.7', index, STORAGE='/nowhere')
    for arguments in ('serve',), ('load',):
        status, out, err = command(*arguments)
        assert (status, out) == (2, '') and 'pip install' in err, err
        assert 'the service needs Python 3.9 or later' in err


# The storage of the registry

@pytest.fixture
def seeded(ministack, dynamodb_local):
    place = Place(ministack.url, dynamodb_local.url)
    place.seed('team/web', 'library/nginx', 'team/api')
    yield place
    for kind in place.tables():
        place.dynamodb.delete_table(TableName=place.table(kind))


def test_the_registrys_own_file_environment_and_storage_are_used(seeded):
    command = CommandProcess('2.7', EngineIndex(seeded.dynamodb_url, seeded.name))
    command.variables.update(seeded.settings(DOCKER_REGISTRY_CONFIG=CONFIGURATION,
                                             SETTINGS_FLAVOR='prod'))
    assert command('load')[0] == 0
    assert command('search', '')[1].split() == ['library/nginx', 'team/api', 'team/web']
    status, shown = command.json('check')
    assert (status, shown['storage'], shown['rows'], shown['problems']) == (0, True, 3, [])
    seeded.seed('team/late')
    assert command('load', '--dry-run')[:2] == (0, 'added    team/late\n')
    status, shown = command.json('status')
    assert (status, shown['storage'],
            shown['wrong']) == (1, True, {'team/late': 'is in the storage but not in the index'})
    status, out, _ = command('check')
    assert status == 1 and out.startswith(
        'wrong  team/late: is in the storage but not in the index; a load adds it\n3 rows and ')
    assert out.endswith(' postings and the storage: 1 problems, 0 repaired\n')
    del command.variables['DOCKER_REGISTRY_CONFIG']
    assert command('--config', os.path.relpath(CONFIGURATION, ROOT), 'load')[0] == 0
    command.variables['AWS_BUCKET'] = 'no-such-bucket'
    assert command('load', '--names', os.devnull)[0] == 0
    for arguments in ('load',), ('load', '--dry-run'), ('check',), ('status',):
        status, message = command.fails(*arguments)
        assert status == 3 and 'the storage of the registry failed to report' in message
