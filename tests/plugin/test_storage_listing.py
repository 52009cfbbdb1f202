"""Storages other than local files: S3 with the registry's own driver, and drivers that list and fail in the ways that those for docker-registry do."""
from __future__ import unicode_literals

import BaseHTTPServer
import json
import os
import subprocess
import sys
import threading
import uuid

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make test-py27` has these tests')

from dev import seed, servers  # noqa: E402
from docker_registry.core import driver, exceptions  # noqa: E402
from docker_registry_index.storage import RegistrySource  # noqa: E402
from tests.plugin.test_storage_source import NAMES, NEVER_THERE, ROOT, delete, names, put  # noqa: E402


class Objects(driver.Base):
    """An object storage in memory. Each class below it is one way in which drivers list; `away` makes it fail as they do."""

    hides_errors = True

    def __init__(self):
        self.keys = {}
        self.away = 0  # how many of the next listings fail
        self.breaks_after = None  # how many entries of a listing come before it fails

    def put_content(self, path, content):
        self.keys[path] = content

    def exists(self, path):
        return path in self.keys

    def remove(self, path):
        for key in [key for key in self.keys if key.startswith(path + '/')]:
            del self.keys[key]

    def list_directory(self, path=None):
        if self.away:
            self.away -= 1
            raise exceptions.FileNotFoundError(path) if self.hides_errors else exceptions.ConnectionError('away')
        found = self.found(path)
        for number, entry in enumerate(found):
            if number == self.breaks_after:
                raise exceptions.FileNotFoundError(path)
            yield entry
        if not found:
            raise exceptions.FileNotFoundError(path)

    def found(self, path):
        """Full paths of what is directly below, those of directories once."""
        below = [key[len(path) + 1:].split('/') for key in self.keys if key.startswith(path + '/')]
        return sorted(set('%s/%s%s' % (path, parts[0], '/' if parts[1:] else '') for parts in below))


class AllBelow(Objects):
    """As of Azure: all keys further down."""

    def found(self, path):
        return sorted(key for key in self.keys if key.startswith(path + '/'))


class AllThatBeginAlike(Objects):
    """As of Qiniu: all keys that begin so, without regard to directories."""

    def found(self, path):
        return sorted(key for key in self.keys if key.startswith(path))


class Names(Objects):
    """Only the last part of each path, of directories with a slash."""

    def found(self, path):
        return [each[len(path) + 1:] for each in Objects.found(self, path)]


class Cut(Objects):
    """As of S3 when storage_path ends with a slash: the first character is lost."""

    def found(self, path):
        return [each[1:] for each in Objects.found(self, path)]


class Slash(Objects):
    """Paths from the top."""

    def found(self, path):
        return ['/' + each for each in Objects.found(self, path)]


WAYS = [Objects, AllBelow, AllThatBeginAlike, Names, Cut, Slash]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def store(request):
    return request.param()


@pytest.fixture
def source(store):
    # Only names are given of a namespace `repositories`, and only the first: it is not told from the directory of all then.
    for name in NAMES:
        if not (isinstance(store, Names) and name.startswith('repositories/')):
            put(store, name)
            store.put_content(store.tag_path('library', 'nginx', 'latest'), 'x')
    return RegistrySource(store)


def test_names_come_back_as_they_were_pushed_whatever_way_a_driver_lists_them(source, store):
    assert names(source) == sorted(name for name in NAMES if not (isinstance(store, Names) and name.startswith('repositories/')))


def test_each_is_there_when_asked_for_and_gone_when_deleted(source, store):
    for name in names(source):
        assert source.has(name) is True
        delete(store, name)
        if store.keys:
            assert source.has(name) is False
    assert names(source) == []


def test_what_was_never_there_is_not_there(source):
    assert [name for name in NEVER_THERE if source.has(name)] == []


def test_a_new_registry_has_nothing(store):
    assert names(RegistrySource(store)) == []


def test_files_among_the_directories_are_no_repositories(source, store):
    before = names(source)
    for path in ('.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes'):
        store.put_content('repositories/' + path, 'x')
    assert names(source) == before


def test_a_namespace_that_goes_while_it_is_listed_is_no_error(source, store):
    namespaces = list(source.namespaces())
    delete(store, 't+m/x')
    assert 't%2Bm' in namespaces and list(source.repositories('t%2Bm')) == []


def test_a_namespace_that_could_not_be_read_is_an_error_and_not_empty(source, store):
    store.away = 1
    with pytest.raises(exceptions.UnreachableError) as caught:
        list(source.repositories('library'))
    assert 'repositories/library is there' in str(caught.value)


def test_a_listing_that_breaks_off_is_an_error_and_not_the_whole(source, store):
    store.breaks_after = 2
    with pytest.raises(exceptions.UnreachableError):
        list(source.namespaces())


@pytest.mark.parametrize('name', ['library/nginx', 'library/never'])
def test_a_storage_that_is_away_does_not_say_that_a_repository_is_gone(source, store, name):
    store.away = 3
    with pytest.raises(exceptions.UnreachableError):
        source.has(name)


def test_a_storage_that_comes_back_while_a_repository_is_asked_for_has_it(source, store):
    store.away = 1
    assert source.has('library/nginx') is True


def test_what_a_driver_raises_comes_through(source, store):
    store.hides_errors = False
    for ask in (lambda: list(source.namespaces()), lambda: list(source.repositories('library')), lambda: source.has('library/nginx')):
        store.away = 1
        with pytest.raises(exceptions.ConnectionError):
            ask()


# S3, in a process of its own: its driver patches the process for gevent as it is imported.

HEADER = '''
import json, sys, threading
from docker_registry_index.storage import RegistrySource
source = RegistrySource()
names = lambda source: sorted(name for namespace in source.namespaces() for name, _ in source.repositories(namespace))
answer = lambda found: json.dump(found, sys.stdout)
'''


class S3(object):
    """A bucket, with NAMES in it unless told otherwise, and programs that read it as a registry would."""

    path = '/prod'

    def __init__(self, url, is_seeded=True):
        self.name = 'storage-' + uuid.uuid4().hex[:12]
        self.url = url
        self.bucket = seed.Bucket(url, self.name)
        if is_seeded:
            for name in NAMES:
                put(self, name, b'[]')

    index_images_path = driver.Base().index_images_path

    def put_content(self, path, content):
        # Its paths are quoted; in a request they are once more.
        self.bucket.put((self.path.strip('/') + '/' + path).replace('%', '%25').replace('+', '%2B'), content)

    def run(self, program, url=None, **settings):
        """Run a program and return its answer."""
        variables = dict(os.environ, DOCKER_REGISTRY_CONFIG=servers.CONFIGURATION, SETTINGS_FLAVOR='prod', STORAGE_PATH=self.path, PYTHONPATH=ROOT)
        variables.update(servers.s3_settings(url or self.url, self.name))
        variables.update(settings)
        done = subprocess.Popen([sys.executable, '-B', '-c', HEADER + program], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={str(name): str(value) for name, value in variables.items()})
        out, err = done.communicate()
        assert done.returncode == 0, err.decode('utf-8', 'replace')
        return json.loads(out.decode('utf-8'))


@pytest.fixture(scope='module')
def s3(ministack):
    return S3(ministack.url)


def test_names_come_back_from_S3_and_are_there_when_asked_for(s3):
    listed, there, never = s3.run('asked = %s\nanswer([names(source)] + [[name for name in each if source.has(name)] for each in asked])'
                                  % 'json.loads(%r)' % str(json.dumps([NAMES, NEVER_THERE])))
    assert listed == sorted(NAMES)
    assert there == NAMES
    assert never == []


@pytest.mark.parametrize('path', ['prod', '/prod/', '/prod', 'deep/er'])
def test_S3_is_read_below_any_storage_path(ministack, path):
    s3 = S3(ministack.url, is_seeded=False)
    s3.path = path
    put(s3, 'library/nginx', b'[]')
    assert s3.run('answer([names(source), source.has(u"library/nginx"), source.has(u"library/x")])') == [['library/nginx'], True, False]


def test_an_empty_bucket_is_a_new_registry(ministack):
    assert S3(ministack.url, is_seeded=False).run('answer([names(source), source.has(u"library/nginx")])') == [[], False]


def test_folders_that_the_AWS_console_made_and_files_are_no_repositories(ministack):
    s3 = S3(ministack.url, is_seeded=False)
    put(s3, 'library/nginx', b'[]')
    for key in ('repositories/', 'repositories/library/', 'repositories/.DS_Store', 'repositories/library/.DS_Store', 'repositories/_inodes'):
        s3.put_content(key, b'')
    assert s3.run('answer([names(source), source.has(u"library/library")])') == [['library/nginx'], False]


def test_a_deleted_repository_is_gone_from_S3(ministack):
    s3 = S3(ministack.url)
    program = '''
from docker_registry import storage
store = storage.load()
for tag in ('latest', '1.0'):
    store.put_content(store.tag_path('library', 'nginx', tag), 'x')
    store.put_content(store.repository_tag_json_path('library', 'nginx', tag), '{}')
before = source.has('library/nginx')
store.remove(store.repository_path('library', 'nginx'))
answer([before, source.has('library/nginx'), names(source)])
'''
    assert s3.run(program) == [True, False, sorted(set(NAMES) - {'library/nginx'})]


def test_thousands_of_repositories_come_in_pages(ministack):
    s3 = S3(ministack.url, is_seeded=False)
    # A page of S3 has 1 000; the driver's bucket asks for pages of 7 here.
    for number in range(30):
        put(s3, 'library/r%d' % number, b'[]')
    program = '''
from docker_registry import storage
bucket = storage.load()._boto_bucket
real, pages = bucket.get_all_keys, []
def page(headers=None, **parameters):
    pages.append(1)
    return real(headers=headers, **dict(parameters, max_keys=7))
bucket.get_all_keys = page
answer([names(source), len(pages)])
'''
    listed, pages = s3.run(program)
    assert listed == sorted('library/r%d' % number for number in range(30))
    assert pages == 1 + 5


AT_ONCE = '''
from docker_registry import storage
assert threading.current_thread().__class__.__name__ == '_MainThread'
expected, wrong = names(source), []
def work():
    for turn in range(5):
        listed = names(source)
        if listed != expected or not source.has(expected[turn]) or source.has('library/never%d' % turn):
            wrong.append(listed)
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
answer([expected, wrong])
'''
# Plain threads have native sockets and locks under boto, too.
UNPATCHED = "import gevent.monkey\ngevent.monkey.patch_all = lambda *_, **__: None\n"


@pytest.mark.parametrize('are_plain', [False, True], ids=['greenlets', 'plain threads'])
def test_one_store_is_read_by_many_threads_at_once(s3, are_plain):
    program = AT_ONCE
    if are_plain:
        program = UNPATCHED + HEADER + "assert 'gevent' not in repr(threading._allocate_lock)\n" + AT_ONCE
    expected, wrong = s3.run(program if not are_plain else 'exec(%r)' % str(program))
    assert expected == sorted(NAMES) and wrong == []


ASK_ALL = '''
from docker_registry import storage
store = storage.load()
store._boto_conn.num_retries = 0
store._boto_conn.http_connection_kwargs['timeout'] = 0.5
{break_it}
said = []
for ask in (lambda: names(source), lambda: list(source.repositories('library')), lambda: source.has('library/nginx')):
    try:
        said.append(ask())
    except Exception as error:
        said.append(type(error).__name__)
answer(said)
'''
POINT_AT = '''
store._boto_conn._pool.host_to_pool.clear()
store._boto_conn.port = {port}
store._boto_conn.host = '127.0.0.1'
'''


class Refusal(BaseHTTPServer.BaseHTTPRequestHandler):
    """Answers every request with the server's status, or never."""

    def do_GET(self):
        if self.server.status is None:
            return self.server.is_over.wait(30)
        body = b'<?xml version="1.0"?><Error><Code>Code</Code><Message>no</Message></Error>'
        self.send_response(self.server.status)
        self.send_header(str('Content-Length'), str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def refusing():
    """Return a function from a status to the port of an S3 that answers it to all requests."""
    running = []

    def start(status):
        server = BaseHTTPServer.HTTPServer(('127.0.0.1', 0), Refusal)
        server.status, server.is_over = status, threading.Event()
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.daemon = True
        thread.start()
        running.append((server, thread))
        return server.server_address[1]

    yield start
    for server, thread in running:
        server.is_over.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


@pytest.mark.parametrize('status', [403, 404, 500, 503, None], ids=lambda status: str(status or 'never an answer'))
def test_what_S3_answers_for_an_error_is_an_error_and_not_empty(s3, refusing, status):
    said = s3.run(ASK_ALL.format(break_it=POINT_AT.format(port=refusing(status))))
    assert len(said) == 3 and set(said) <= {'S3ResponseError', 'BotoServerError', 'timeout'}, said


def test_an_S3_that_is_not_there_is_an_error_and_not_empty(s3):
    import socket
    with_nothing_behind = socket.socket()
    with_nothing_behind.bind(('127.0.0.1', 0))
    said = s3.run(ASK_ALL.format(break_it=POINT_AT.format(port=with_nothing_behind.getsockname()[1])))
    with_nothing_behind.close()
    assert said == ['error'] * 3
