"""docker-registry without gunicorn and gevent: Python 2.7 holds its import lock while the index
starts, and threads run beside it."""
import json
import os
import subprocess

import pytest

from dev.servers.process import local_environment
from dev.servers.registry_v1 import CONFIGURATION, PY27_BIN
from tests.end_to_end.plugin.registry_place import seed_folder

# It takes well under ten seconds; a deadlock would take for ever.
SECONDS = 90

PROGRAM = '''
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
answers.append(found)
print(json.dumps(answers))
'''

# The same inside an import, so that even the searches run while the import lock is held.
INSIDE_AN_IMPORT = 'import sys; sys.path.insert(0, sys.argv[1]); import under_the_import_lock'


@pytest.mark.parametrize('inside_an_import', [False, True],
                         ids=['as a program', 'while it is being imported'])
def test_start_load_push_and_searches_end_with_plain_threads(place, tmp_path, inside_an_import):
    images = tmp_path / 'images'
    seed_folder(images, 'library/nginx', 'ops/nginx-proxy')
    program = PROGRAM
    if inside_an_import:
        # A thread that imports anything would wait for this module's end here, by the rules of
        # Python 2.7; so these searches have one thread.
        (tmp_path / 'under_the_import_lock.py').write_text(PROGRAM.replace('range(8)', 'range(0)'))
        program = INSIDE_AN_IMPORT
    settings = dict(place.settings(), DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='dev',
                    STORAGE_PATH=str(images), SEARCH_BACKEND='docker_registry_index.dynamodb',
                    PYTHONDONTWRITEBYTECODE='1')
    done = subprocess.run([os.path.join(PY27_BIN, 'python'), '-c', program, str(tmp_path)],
                          env=local_environment(settings), cwd=str(tmp_path), timeout=SECONDS,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
    assert done.returncode == 0, done.stderr
    both = ['library/nginx', 'ops/nginx-proxy']
    assert json.loads(done.stdout) == [both, both, both, ['team/pushed'], [] if inside_an_import
                                       else [both] * 8]
