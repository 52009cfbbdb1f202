"""Repositories in S3, read through docker-registry's own driver: in a process of Python 2.7, which
the driver patches for gevent."""
import contextlib
import json
import os
import subprocess

import pytest

from dev.servers.process import ROOT, free_port
from dev.servers.registry_v1 import CONFIGURATION, PY27_BIN, s3_settings
from dev.storage.s3 import Bucket
from tests.helpers.names import ABSENT, ACCEPTED
from tests.helpers.scripted_server import ScriptedServer, late, page

HEADER = '''
import json, sys, threading, urllib
from gevent import monkey
from docker_registry import storage
from docker_registry_index.plugin.storage import RegistrySource
source, store = RegistrySource(), storage.load()

def parts(name):
    namespace, repository = name.split('/', 1)
    return namespace, urllib.quote_plus(str(repository))

put = lambda name: store.put_content(store.index_images_path(*parts(name)), '[]')
names = lambda source: sorted(name for namespace in source.namespaces()
                              for name, _ in source.repositories(namespace))
answer = lambda found: json.dump(found, sys.stdout)
accepted, absent = json.loads(%r)
''' % json.dumps([ACCEPTED, ABSENT])


@pytest.fixture(scope='module')
def s3(ministack):
    """A function that runs a program on a bucket as a registry would, and returns its answer."""
    bucket = Bucket(ministack.url)

    def run(program, path='/prod', before=''):
        variables = dict(os.environ, DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='prod',
                         STORAGE_PATH=path, PYTHONPATH=ROOT,
                         **s3_settings(ministack.url, bucket.name))
        done = subprocess.run(
            [os.path.join(PY27_BIN, 'python'), '-B', '-c', before + HEADER + program],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables, timeout=90)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout.decode())

    run.bucket = bucket
    run('[put(name) for name in accepted]\nanswer(None)')
    return run


@pytest.mark.parametrize('path', ['below', '/deep/er/'])
def test_S3_is_read_below_any_storage_path_which_may_be_new(s3, path):
    before, after = s3('''
found = [names(source), source.has('library/nginx')]
put('library/nginx'), put('team/web')
for tag in ('latest', '1.0'):
    store.put_content(store.tag_path('library', 'nginx', tag), 'x')
    store.put_content(store.repository_tag_json_path('library', 'nginx', tag), '{}')
found.append(source.has(u'library/nginx'))
store.remove(store.repository_path('library', 'nginx'))
answer([found, [names(source), source.has('library/nginx'), source.has('team/team')]])''', path)
    assert (before, after) == ([[], False, True], [['team/web'], False, False])
    # Folders that the AWS console made, and files.
    for key in '', 'team/', '.DS_Store', 'team/.DS_Store', '_inodes':
        s3.bucket.put('%s/repositories/%s' % (path.strip('/'), key), b'')
    assert s3('answer(names(source))', path) == ['team/web']


# A page of S3 has 1 000 keys; the driver asks for pages of 7 here.
AT_ONCE = '''
bucket = store._boto_bucket
real, pages, found = bucket.get_all_keys, [], []
def page(headers=None, **parameters):
    pages.append(1)
    return real(headers=headers, **dict(parameters, max_keys=7))
bucket.get_all_keys = page
def work(number):
    found.append([names(source), [name for name in accepted[number::8] if not source.has(name)],
                  [name for name in absent[number::8] if source.has(name)]])
threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
answer([monkey.is_module_patched('threading'), found, len(pages)])
'''
# So that the threads, sockets and locks below boto are plain ones.
UNPATCHED = 'import gevent.monkey\ngevent.monkey.patch_all = lambda *_, **__: None\n'


@pytest.mark.parametrize('are_greenlets', [True, False], ids=['greenlets', 'plain threads'])
def test_many_threads_at_once_read_all_names_page_by_page(s3, are_greenlets):
    *found, pages = s3(AT_ONCE, before='' if are_greenlets else UNPATCHED)
    assert found == [are_greenlets, [[sorted(ACCEPTED), [], []]] * 8]
    assert pages > 8 * (len(set(name.split('/')[0] for name in ACCEPTED)) + 1)


ASK_ALL = '''
connection, found = store._boto_conn, []
connection.num_retries, connection.host = 0, '127.0.0.1'
connection.http_connection_kwargs['timeout'] = 0.5
for connection.port in %s:
    connection._pool.host_to_pool.clear()
    for ask in (lambda: names(source), lambda: list(source.repositories('library')),
                lambda: source.has('library/nginx')):
        try:
            found.append(ask())
        except Exception as error:
            found.append(type(error).__name__)
answer(found)
'''


def test_an_error_of_S3_or_no_answer_is_an_error_and_not_empty(s3):
    body = '<?xml version="1.0"?><Error><Code>Code</Code><Message>no</Message></Error>'
    answers = [page(body, status) for status in (403, 404, 500, 503)] + [late(30)]
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(ScriptedServer({'*': answer})) for answer in answers]
        found = s3(ASK_ALL % ([server.port for server in servers] + [free_port()]))
    assert found[:3] == found[3:6] == ['S3ResponseError'] * 3
    assert len(found) == 18 and set(found[6:12]) <= {'S3ResponseError', 'BotoServerError'}
    assert found[12:] == ['timeout'] * 3 + ['error'] * 3
