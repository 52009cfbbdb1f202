"""Repositories in S3, read through docker-registry's own driver: in a process of Python 2.7, which
the driver patches for gevent."""
import http.server
import json
import os
import subprocess
import threading

import pytest

from dev.servers.process import ROOT, free_port
from dev.servers.registry_v1 import CONFIGURATION, PY27_BIN, s3_settings
from dev.storage.s3 import Bucket
from tests.helpers.names import ABSENT, ACCEPTED

HEADER = '''
import json, sys, threading, urllib
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


def test_names_come_back_page_by_page_and_are_there_when_asked_for(s3):
    # A page of S3 has 1 000 keys; the driver asks for pages of 7 here.
    listed, pages, there, never = s3('''
bucket = store._boto_bucket
real, pages = bucket.get_all_keys, []
def page(headers=None, **parameters):
    pages.append(1)
    return real(headers=headers, **dict(parameters, max_keys=7))
bucket.get_all_keys = page
found = [names(source), len(pages)]
answer(found + [[name for name in each if source.has(name)] for each in (accepted, absent)])''')
    assert listed == sorted(ACCEPTED)
    namespaces = len(set(name.split('/')[0] for name in ACCEPTED))
    assert pages > namespaces + 1
    assert (there, never) == (ACCEPTED, [])


@pytest.mark.parametrize('path', ['below', '/below/', 'deep/er'])
def test_S3_is_read_below_any_storage_path(s3, path):
    # Folders that the AWS console made, and files.
    for key in ('', 'library/', '.DS_Store', 'library/.DS_Store', '_inodes'):
        s3.bucket.put('%s/repositories/%s' % (path.strip('/'), key), b'')
    assert s3('put("library/nginx")\nanswer([names(source), source.has(u"library/nginx"), '
              'source.has(u"library/x"), source.has(u"library/library")])', path) == [
        ['library/nginx'], True, False, False]


def test_an_empty_path_is_a_new_registry_and_a_deleted_repository_is_gone(s3):
    assert s3('''
found = [names(source), source.has('library/nginx')]
put('library/nginx'), put('team/web')
for tag in ('latest', '1.0'):
    store.put_content(store.tag_path('library', 'nginx', tag), 'x')
    store.put_content(store.repository_tag_json_path('library', 'nginx', tag), '{}')
found.append(source.has('library/nginx'))
store.remove(store.repository_path('library', 'nginx'))
answer(found + [source.has('library/nginx'), names(source)])
''', '/new') == [[], False, True, False, ['team/web']]


AT_ONCE = '''
expected, wrong = names(source), []
def work():
    for number in range(2):
        listed = names(source)
        is_right = source.has(expected[number]) and not source.has('library/never%d' % number)
        if listed != expected or not is_right:
            wrong.append(listed)
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
answer(['gevent' in threading._get_ident.__module__, expected, wrong])
'''
# So that the threads, sockets and locks below boto are plain ones.
UNPATCHED = 'import gevent.monkey\ngevent.monkey.patch_all = lambda *_, **__: None\n'


@pytest.mark.parametrize('are_greenlets', [True, False], ids=['greenlets', 'plain threads'])
def test_many_threads_read_one_store_at_once(s3, are_greenlets):
    assert s3(AT_ONCE, before='' if are_greenlets
              else UNPATCHED) == [are_greenlets, sorted(ACCEPTED), []]


POINT_AT = '''
connection = store._boto_conn
connection.num_retries = 0
connection.http_connection_kwargs['timeout'] = 0.5
connection.host = '127.0.0.1'

def point_at(port):
    connection._pool.host_to_pool.clear()
    connection.port = port
'''
ASK_ALL = '''
found = []
for port in %s:
    point_at(port)
    for ask in (lambda: names(source), lambda: list(source.repositories('library')),
                lambda: source.has('library/nginx')):
        try:
            found.append(ask())
        except Exception as error:
            found.append(type(error).__name__)
answer(found)
'''


class Refusal(http.server.BaseHTTPRequestHandler):
    """Answers every request with the server's status, or never."""

    def do_GET(self):
        if self.server.status is None:
            return self.server.is_over.wait(30)
        body = (b'<?xml version="1.0"?><Error><Code>Code</Code><Message>no</Message>\n'
                b'<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId></Error>')
        self.send_response(self.server.status)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing():
    """A function from a status to the port of an S3 that answers it to all requests."""
    running = []

    def start(status):
        server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Refusal)
        server.status, server.is_over = status, threading.Event()
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        running.append(server)
        return server.server_address[1]

    yield start
    for server in running:
        server.is_over.set()
        server.shutdown()
        server.server_close()


def test_what_S3_refuses_or_never_answers_is_an_error_and_not_empty(s3, refusing):
    ports = [refusing(status) for status in (403, 404, 500, 503, None)] + [free_port()]
    found = s3(POINT_AT + ASK_ALL % ports)
    assert found[:3] == found[3:6] == ['S3ResponseError'] * 3
    assert len(found) == 18 and set(found[6:12]) <= {'S3ResponseError', 'BotoServerError'}
    assert found[12:] == ['timeout'] * 3 + ['error'] * 3


# An error of boto contains the page of S3, and that contains the access key ID.
LOG_OF_THE_PLUGIN = '''
import io, logging, os, time
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.engine import EngineIndex
log = io.StringIO()
handler = logging.StreamHandler(log)
handler.stream.write = lambda text, write=log.write: write(u'%%s' %% text)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
# A sync of it is due.
made = EngineIndex(os.environ['DYNAMODB_ENDPOINT_URL']).ready()
made.engine.client.call('update_item', TableName=made.settings.search_table, Key=READY_KEY,
                        UpdateExpression='SET synced = :long_ago, tried = :long_ago',
                        ExpressionAttributeValues={':long_ago': {'N': '1'}})
point_at(%d)
from docker_registry_index.dynamodb import Index
Index(made.settings.database, 'AKIADUMMY', 'dummy')
deadline = time.time() + 30
while 'failed to report' not in log.getvalue() and time.time() < deadline:
    time.sleep(0.1)
answer(log.getvalue())
'''


def test_the_log_names_the_refusal_of_S3_and_no_access_key(s3, refusing):
    log = s3(POINT_AT + LOG_OF_THE_PLUGIN % refusing(403))
    assert ('the storage of the registry failed to report its namespaces: '
            'S3ResponseError: 403 Forbidden') in log
    assert 'AKIAIOSF' not in log and 'AWSAccessKeyId' not in log
