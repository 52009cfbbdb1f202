"""The class Index as release 0.1.0 documented it, used by a program of Python 2.7 instead of by the
registry; and docker-registry without gunicorn and gevent, whose threads are plain ones."""
import json
import os
import subprocess

import pytest

from dev.servers.process import local_environment
from dev.servers.registry_v1 import CONFIGURATION, PY27_BIN
from tests.end_to_end.plugin.registry_place import BACKEND, Place, seed_folder

NGINX, PROXY = 'library/nginx', 'ops/nginx-proxy'


@pytest.fixture
def run(place, tmp_path):
    """A function that runs a program where the storage has two local repositories, and returns what
    it prints as JSON."""
    seed_folder(tmp_path, NGINX, PROXY)

    def run_program(program):
        settings = place.settings(DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='dev',
                                  STORAGE_PATH=str(tmp_path), PYTHONDONTWRITEBYTECODE='1',
                                  SEARCH_BACKEND=BACKEND)
        done = subprocess.run([os.path.join(PY27_BIN, 'python'), '-c', program],
                              env=local_environment(settings), cwd=str(tmp_path), timeout=90,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)
    return run_program


INDEX = '''
import json, os
import docker_registry_index.dynamodb as plugin
listdir, loads = os.listdir, []
def refused(path):
    if 'repositories' in path:
        raise OSError(13, 'Permission denied')
    return listdir(path)
names = lambda index, *term: [result['name'] for result in index.results(*term)]

os.listdir = refused
found = [names(plugin.Index(), 'nginx')]
os.listdir = listdir
first, plugin.RegistrySource = plugin.Index(), lambda: lambda: loads.append(True) or []
found += [names(first, 'nginx'), names(first), names(plugin.Index(), 'proxy'), loads]
print(json.dumps(found))
'''


def test_it_needs_no_arguments_and_loads_once_when_the_storage_can_be_listed(run):
    assert run(INDEX) == [[], [NGINX, PROXY], [NGINX, PROXY], [PROXY], []]


def test_its_arguments_of_0_1_0_beat_every_setting(run, place):
    # ministack takes a key of twelve digits for the account whose tables these are
    account = '345678901234'
    found = run('''
import json
from docker_registry_index.dynamodb import Index
index = Index("argument-of-0-1-0", "%(account)s", "its-secret")
by_name = Index(database="argument-of-0-1-0", dynamodb_access_key="%(account)s",
                dynamodb_secret_access_key="its-secret")
print(json.dumps([index.results("proxy"), by_name.results("proxy"), by_name.version]))
''' % {'account': account})
    assert found == [[{'name': PROXY, 'description': ''}]] * 2 + [1]
    other = Place(place.s3_url, place.dynamodb_url, keys=(account, 'its-secret'))
    assert sorted(other.dynamodb.list_tables()['TableNames']) == [
        'argument-of-0-1-0-' + kind for kind in ['repository', 'search-4', 'version']]
    assert place.tables() == []


PLAIN_THREADS = '''
import json, sys, threading
from docker_registry.wsgi import application
if 'gevent.monkey' in sys.modules:
    assert not sys.modules['gevent.monkey'].saved, 'the threads are greenlets'
client = application.test_client()

def ask(query):
    results = json.loads(client.get('/v1/search?' + query).data)['results']
    return [result['name'] for result in results]

answers = [ask('q=nginx'), ask('q=ginx&n=25'), ask('q=')]
assert client.put('/v1/repositories/team/pushed/', data='[]').status_code == 200
answers.append(ask('q=ushe&n=25'))
found = []
threads = [threading.Thread(target=lambda: found.append(ask('q=ginx&n=25'))) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps(answers + found))
'''


def test_start_load_push_and_searches_end_with_plain_threads(run):
    """Python 2.7 holds its lock of imports while the index starts, and threads run beside it."""
    both = [NGINX, PROXY]
    assert run(PLAIN_THREADS) == [both] * 3 + [['team/pushed']] + [both] * 8
