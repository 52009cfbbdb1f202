"""The class Index as release 0.1.0 documented it, used by a program of Python 2.7 instead of by the
registry."""
import json
import os
import subprocess

import pytest

from dev.servers.process import local_environment
from dev.servers.registry_v1 import CONFIGURATION, PY27_BIN
from tests.end_to_end.plugin.registry_place import Place, seed_folder


@pytest.fixture
def run(place, tmp_path):
    """A function that runs a program where an index of one local repository is set up, and returns
    what it prints as JSON."""
    seed_folder(tmp_path, 'acme/local')

    def run_program(program):
        settings = place.settings(DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='dev',
                                  STORAGE_PATH=str(tmp_path), PYTHONDONTWRITEBYTECODE='1')
        done = subprocess.run([os.path.join(PY27_BIN, 'python'), '-c',
                               'import json; from docker_registry_index.dynamodb import Index\n'
                               + program], env=local_environment(settings), cwd=str(tmp_path),
                              timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run_program


def test_it_needs_no_arguments_and_no_request_and_a_second_one_loads_nothing(run):
    assert run('''
import docker_registry_index.dynamodb as plugin
loads = []
first, plugin.RegistrySource = Index(), lambda: lambda: loads.append(True) or []
print(json.dumps([first.results("loc"), first.results(), Index().results("local"), loads]))''') == [
        [{'name': 'acme/local', 'description': ''}]] * 3 + [[]]


def test_its_arguments_of_0_1_0_beat_every_setting(run, place):
    # ministack takes a key of twelve digits for the account whose tables these are
    account = '345678901234'
    found = run('''
index = Index("argument-of-0-1-0", "%(account)s", "its-secret")
by_name = Index(database="argument-of-0-1-0", dynamodb_access_key="%(account)s",
                dynamodb_secret_access_key="its-secret")
print(json.dumps([index.results("local"), by_name.results("local"), by_name.version]))
''' % {'account': account})
    assert found == [[{'name': 'acme/local', 'description': ''}]] * 2 + [1]
    other = Place(place.s3_url, place.dynamodb_url, keys=(account, 'its-secret'))
    assert sorted(other.dynamodb.list_tables()['TableNames']) == [
        'argument-of-0-1-0-' + kind for kind in ['repository', 'search-3', 'version']]
    assert place.tables() == []


FORKS = '''
import os, sys
index = Index()
children = []
for child in range(3):
    pid = os.fork()
    if not pid:
        for number in range(10):
            name = "child-%d-%d" % (child, number)
            index._handle_repository_created(None, "team", name, None)
            found = [each["name"] for each in index.results(name)]
            local = index.results("acme/local")[0]["name"]
            if "team/" + name not in found or local != "acme/local":
                sys.stderr.write("%r %r\\n" % (name, found))
                os._exit(1)
        sys.exit(0)
    children.append(pid)
ends = [os.waitpid(pid, 0)[1] for pid in children]
print(json.dumps([ends, len(index.results("child"))]))'''


def test_processes_forked_from_it_have_threads_and_connections_of_their_own(run):
    assert run(FORKS) == [[0, 0, 0], 30]


def test_a_storage_that_cannot_be_listed_stops_nothing_and_is_listed_by_the_next(run):
    assert run('''
import os
listdir = os.listdir
def refused(path):
    if "repositories" in path:
        raise OSError(13, "Permission denied")
    return listdir(path)
os.listdir = refused
found = [Index().results("local")]
os.listdir = listdir
found.append(Index().results("local"))
print(json.dumps(found))''') == [[], [{'name': 'acme/local', 'description': ''}]]
