# -*- coding: utf-8 -*-
"""The registry's storage as the index reads it: local files and S3 with the drivers themselves, and
drivers that list and fail as others do (Python 2.7)."""
from __future__ import unicode_literals

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import uuid

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make '
                    'test-py27` has these tests')

import BaseHTTPServer  # noqa: E402
from dev.servers.registry_v1 import CONFIGURATION, s3_settings  # noqa: E402
from dev.storage.s3 import Bucket  # noqa: E402
from docker_registry.core import compat, driver, exceptions  # noqa: E402
from docker_registry.drivers import file as file_driver  # noqa: E402
from dev.servers.process import ROOT  # noqa: E402
from docker_registry_index.engine import Source, errors  # noqa: E402
from docker_registry_index.engine.sync.listing import Listing  # noqa: E402
from docker_registry_index.plugin.storage import RegistrySource  # noqa: E402

# The namespace and repository of a request's path, as docker-registry reads them: names that it
# accepts.
NAMES = ['library/nginx', 'team/c++', 't+m/x', 'team/with space', 'te am/x', 'team/100%',
         'team/%41', 'team/%252B', 'team/a%2Fb', 'a/b/c', 'a//b', 'team/..', '../x', './x',
         'team/.', 'team/*', 'team/.hidden', 'team/_x', '_catalog/x', 'MixedCase/Name',
         'library/library', 'repositories/repositories', 'team/' + 'x' * 100]
NEVER_THERE = ['library/ngin', 'library/nginx2', 'Library/nginx', 'nginx', '', '/', 'library/',
               'library/nginx/', 'ünï/cöde', 'team/c  ', 'team/c%2B%2B', '../../etc',
               'x' * 300 + '/y', 'team/' + 'ü' * 100, 'library/..', 'library/.']


def quoted(name):
    """The namespace and the repository of a name as a request hands them to the storage."""
    namespace, repository = name.split('/', 1)
    return namespace, compat.quote_plus(str(repository))


def put(store, name, content='[]'):
    """Have a repository as the registry would: by its own paths."""
    store.put_content(store.index_images_path(*quoted(name)), content)


def delete(store, name):
    """Delete it as the registry would."""
    store.remove(store.repository_path(*quoted(name)))


def names(source):
    return sorted(name for namespace in source.namespaces() for name,
                  description in source.repositories(namespace) if description is None)


@pytest.fixture
def store(tmpdir):
    return file_driver.Storage(str(tmpdir.join('images')))


@pytest.fixture
def source(store):
    for name in NAMES:
        put(store, name)
    return RegistrySource(store)


@pytest.fixture
def place(store):
    """Return a function from a path of the storage to the file."""
    return lambda path='': os.path.join(store._root_path, str(path))


def test_names_come_back_as_they_were_pushed(source):
    assert names(source) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_each_is_there_when_asked_for_and_gone_when_deleted(source, store, name):
    assert source.has(name) is True
    delete(store, name)
    assert source.has(name) is False
    assert names(source) == sorted(set(NAMES) - {name})


@pytest.mark.parametrize('name', NEVER_THERE)
def test_what_was_never_there_is_not_there(source, name):
    assert source.has(name) is False


def test_a_repository_counts_as_long_as_any_tag_is_left_of_it(source, store):
    store.put_content(store.tag_path('team', 'tagged', 'latest'), 'x')
    assert source.has('team/tagged') is True and 'team/tagged' in names(source)
    delete(store, 'team/tagged')
    assert source.has('team/tagged') is False and 'team/tagged' not in names(source)


def test_a_new_registry_has_nothing(store):
    assert names(RegistrySource(store)) == []


def test_a_path_beyond_ascii_is_read(tmpdir):
    store = file_driver.Storage(tmpdir.join('bücher').strpath.encode('utf-8'))
    put(store, 'library/nginx')
    source = RegistrySource(store)
    assert names(source) == ['library/nginx'] and source.has('library/nginx') and not source.has(
        'library/x')


def test_files_among_the_directories_are_no_repositories(source, place):
    for path in ('.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes', 'library/file'):
        with open(place('repositories/' + path), 'w') as stream:
            stream.write('x')
    assert names(source) == sorted(NAMES)
    assert source.has('library/file') is False


def test_a_directory_with_nothing_in_it_is_no_repository(source, place):
    os.mkdir(place('repositories/library/empty'))
    assert names(source) == sorted(NAMES)
    assert source.has('library/empty') is False


@pytest.mark.parametrize('path', ['library/c++', 'library/%25FF', 'library/c%252b', b'library/\xff',
                                  '@eaDir/x', '%2E/x'])
def test_a_directory_that_no_name_leads_to_is_left_out_and_logged(source, place, caplog, path):
    folder = os.path.join(place('repositories'), path if isinstance(path, bytes) else str(path))
    os.makedirs(folder)
    open(os.path.join(folder, str('tag_latest')), 'w').close()
    assert names(source) == sorted(NAMES)
    logged = [record.getMessage() for record in caplog.records
              if 'left out of the search index: 1 in repositories' in record.getMessage()]
    assert len(logged) == 1


def test_a_namespace_emptied_by_deletes_is_no_error(source, store, place):
    store.remove('repositories/library/nginx')
    store.remove('repositories/library/library')
    assert os.listdir(place('repositories/library')) == []
    assert names(source) == sorted(set(NAMES) - {'library/nginx', 'library/library'})


def test_a_namespace_that_goes_while_it_is_listed_is_no_error(source, place):
    namespaces = list(source.namespaces())
    shutil.rmtree(place('repositories/library'))
    assert 'library' in namespaces and list(source.repositories('library')) == []


def break_directory(path):
    """Make a directory that is there and cannot be listed, by root neither: a link that leads to
    itself."""
    shutil.rmtree(path)
    os.symlink(path, path)


def unmount(path):
    """Make a directory that was on a disk which is not there: a link that leads nowhere."""
    os.rename(path, path + '-moved')
    os.symlink(os.path.join(path + '-mount', 'inside'), path)


@pytest.mark.parametrize('end', [break_directory, unmount])
def test_a_namespace_that_cannot_be_listed_is_an_error_and_not_empty(source, place, end):
    end(place('repositories/library'))
    with pytest.raises(OSError):
        list(source.repositories('library'))
    with pytest.raises(OSError):
        source.has('library/nginx')
    assert source.has('a/b/c') is True
    assert 'library' in list(source.namespaces())


@pytest.mark.parametrize('end', [break_directory, unmount])
@pytest.mark.parametrize('path', ['repositories', ''])
def test_a_storage_that_cannot_be_listed_is_an_error_and_not_empty(source, place, end, path):
    end(place(path).rstrip('/'))
    with pytest.raises(OSError):
        list(source.namespaces())
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_repository_that_cannot_be_listed_does_not_hide_the_others(source, place):
    break_directory(place('repositories/library/nginx'))
    assert names(source) == sorted(NAMES)
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_disk_that_is_gone_is_an_error_and_no_absent_repository(source, store):
    shutil.rmtree(store._root_path)
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_disk_that_recovers_while_a_repository_is_asked_for_has_it(source, place, monkeypatch):
    os.rename(place('repositories'), place('moved'))
    real = os.listdir

    def mounted_after_the_first(path, calls=[]):
        calls.append(path)
        if len(calls) == 2:
            os.rename(place('moved'), place('repositories'))
        return real(path)

    monkeypatch.setattr(os, 'listdir', mounted_after_the_first)
    assert source.has('library/nginx') is True


# A whole storage that another user may not read: what its own rights are is no matter.
AS_NOBODY = '''
import os, sys
from docker_registry.drivers import file
from docker_registry_index.plugin.storage import RegistrySource
source = RegistrySource(file.Storage('images'))
assert source.has(u'library/nginx'), 'all that it takes is imported now'
os.setuid(65534)
for ask in (lambda: list(source.namespaces()), lambda: list(source.repositories(u'library')),
            lambda: source.has(u'library/nginx')):
    try:
        print(ask())
    except OSError as error:
        print(error.strerror)
'''


def as_nobody(store):
    environment = dict(os.environ, PYTHONPATH=ROOT)
    folder = os.path.dirname(store._root_path)
    os.chmod(folder, 0o755)
    # Its path is relative: the folders above, which are the tests', are no matter.
    output = subprocess.check_output([sys.executable, '-B', '-c', AS_NOBODY], cwd=folder,
                                     env=environment)
    return output.decode('ascii').splitlines()


@pytest.mark.skipif(os.getuid() != 0, reason='only root can be somebody else')
def test_missing_rights_are_an_error(source, store, place):
    os.chmod(place('repositories/library'), 0o700)
    listed, library, has = as_nobody(store)
    assert 'library' in listed and library == has == 'Permission denied'
    os.chmod(place('repositories'), 0o700)
    assert as_nobody(store) == ['Permission denied'] * 3


def test_the_store_is_made_once_by_several_threads(monkeypatch, store):
    from docker_registry import storage
    made = []
    monkeypatch.setattr(storage, 'load', lambda: made.append(1) or store)
    source = RegistrySource()
    threads = [threading.Thread(target=lambda: list(source.namespaces())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]


def test_a_store_that_could_not_be_made_is_retried(monkeypatch, store):
    from docker_registry import storage
    put(store, 'library/nginx')
    answers = [IOError('unavailable'), store]

    def load():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(storage, 'load', load)
    source = RegistrySource()
    with pytest.raises(IOError):
        source.has('library/nginx')
    assert source.has('library/nginx') is True


class Objects(driver.Base):
    """An object storage in memory.

    Each class below it is one way in which drivers list; `failures` makes it fail as they do.
    """

    hides_errors = True

    def __init__(self):
        self.keys = {}
        self.failures = 0  # how many of the next listings fail
        self.breaks_after = None  # how many entries of a listing come before it fails

    def put_content(self, path, content):
        self.keys[path] = content

    def exists(self, path):
        return path in self.keys

    def remove(self, path):
        for key in [key for key in self.keys if key.startswith(path + '/')]:
            del self.keys[key]

    def list_directory(self, path=None):
        if self.failures:
            self.failures -= 1
            raise exceptions.FileNotFoundError(
                path) if self.hides_errors else exceptions.ConnectionError('unavailable')
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
        return sorted(set('%s/%s%s' % (path, parts[0], '/' if parts[1:] else '')
                          for parts in below))


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
def objects(request):
    return request.param()


@pytest.fixture
def read(objects):
    # Names returns only names, and it cannot tell a namespace `repositories` from the directory of
    # all repositories.
    for name in NAMES:
        if not (isinstance(objects, Names) and name.startswith('repositories/')):
            put(objects, name)
            objects.put_content(objects.tag_path('library', 'nginx', 'latest'), 'x')
    return RegistrySource(objects)


def test_names_come_back_whatever_way_a_driver_lists_them(read, objects):
    assert names(read) == sorted(name
                                 for name in NAMES if not (isinstance(objects, Names)
                                                           and name.startswith('repositories/')))


def test_each_is_there_and_gone_when_deleted_whatever_way_a_driver_lists_them(read, objects):
    for name in names(read):
        assert read.has(name) is True
        delete(objects, name)
        if objects.keys:
            assert read.has(name) is False
    assert names(read) == []


def test_what_was_never_there_is_not_there_whatever_way_a_driver_lists_it(read):
    assert [name for name in NEVER_THERE if read.has(name)] == []


def test_a_new_registry_of_objects_has_nothing(objects):
    assert names(RegistrySource(objects)) == []


def test_objects_among_the_directories_are_no_repositories(read, objects):
    before = names(read)
    for path in ('.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes'):
        objects.put_content('repositories/' + path, 'x')
    assert names(read) == before


def test_a_namespace_of_objects_that_goes_while_it_is_listed_is_no_error(read, objects):
    namespaces = list(read.namespaces())
    delete(objects, 't+m/x')
    assert 't%2Bm' in namespaces and list(read.repositories('t%2Bm')) == []


def test_a_namespace_that_could_not_be_read_is_an_error_and_not_empty(read, objects):
    objects.failures = 1
    with pytest.raises(exceptions.UnreachableError) as caught:
        list(read.repositories('library'))
    assert str(caught.value) == 'repositories/library cannot be listed'


def test_a_listing_that_breaks_off_is_an_error_and_not_the_whole(read, objects):
    objects.breaks_after = 2
    with pytest.raises(exceptions.UnreachableError):
        list(read.namespaces())


def test_the_answer_to_another_question_is_an_error_and_not_empty(read, objects):
    # Forked workers that share a connection may read each other's answers.
    objects.found = lambda path: ['repositories/team/other/_index_images']
    for ask in (lambda: list(read.repositories('library')), lambda: read.has('library/nginx')):
        with pytest.raises(exceptions.UnreachableError) as caught:
            ask()
        assert 'answered with repositories/team/other' in str(caught.value)


@pytest.mark.parametrize('name', ['library/nginx', 'library/never'])
def test_a_storage_that_is_unavailable_is_an_error_and_no_absent_repository(read, objects, name):
    objects.failures = 3
    with pytest.raises(exceptions.UnreachableError):
        read.has(name)


def test_a_storage_that_recovers_while_a_repository_is_asked_for_has_it(read, objects):
    objects.failures = 1
    assert read.has('library/nginx') is True


def test_what_a_driver_raises_comes_through(read, objects):
    objects.hides_errors = False
    for ask in (lambda: list(read.namespaces()), lambda: list(read.repositories('library')),
                lambda: read.has('library/nginx')):
        objects.failures = 1
        with pytest.raises(exceptions.ConnectionError):
            ask()


# S3, in a process of its own: its driver patches the process for gevent as it is imported.

HEADER = '''
import json, sys, threading
from docker_registry_index.plugin.storage import RegistrySource
source = RegistrySource()
names = lambda source: sorted(name for namespace in source.namespaces()
                              for name, _ in source.repositories(namespace))
answer = lambda found: json.dump(found, sys.stdout)
'''


class S3(object):
    """A bucket, with NAMES in it by default, and programs that read it as a registry
    would."""

    path = '/prod'

    def __init__(self, url, is_seeded=True):
        self.name = 'storage-' + uuid.uuid4().hex[:12]
        self.url = url
        self.bucket = Bucket(url, self.name)
        if is_seeded:
            for name in NAMES:
                put(self, name, b'[]')

    index_images_path = driver.Base().index_images_path

    def put_content(self, path, content):
        # Its paths are quoted; in a request they are once more.
        self.bucket.put((self.path.strip('/') + '/' + path).replace('%', '%25').replace('+', '%2B'),
                        content)

    def run(self, program, before=''):
        """Run a program, with `before` before all else, and return its answer."""
        variables = dict(os.environ, DOCKER_REGISTRY_CONFIG=CONFIGURATION, SETTINGS_FLAVOR='prod',
                         STORAGE_PATH=self.path, PYTHONPATH=ROOT)
        variables.update(s3_settings(self.url, self.name))
        done = subprocess.Popen([sys.executable, '-B', '-c', before + HEADER + program],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env={str(name): str(value) for name, value in variables.items()})
        out, err = done.communicate()
        assert done.returncode == 0, err.decode('utf-8', 'replace')
        return json.loads(out.decode('utf-8'))


@pytest.fixture(scope='module')
def s3(ministack):
    return S3(ministack.url)


def test_names_come_back_from_S3_and_are_there_when_asked_for(s3):
    listed, there, never = s3.run('asked = %s\nanswer([names(source)] + [[name for name in each if '
                                  'source.has(name)] for each in asked])' % 'json.loads(%r)'
                                  % str(json.dumps([NAMES, NEVER_THERE])))
    assert listed == sorted(NAMES)
    assert there == NAMES
    assert never == []


@pytest.mark.parametrize('path', ['prod', '/prod/', '/prod', 'deep/er'])
def test_S3_is_read_below_any_storage_path(ministack, path):
    s3 = S3(ministack.url, is_seeded=False)
    s3.path = path
    put(s3, 'library/nginx', b'[]')
    assert s3.run('answer([names(source), source.has(u"library/nginx"), '
                  'source.has(u"library/x")])') == [['library/nginx'], True, False]


def test_an_empty_bucket_is_a_new_registry(ministack):
    assert S3(ministack.url, is_seeded=False).run(
        'answer([names(source), source.has(u"library/nginx")])') == [[], False]


def test_folders_that_the_AWS_console_made_and_files_are_no_repositories(ministack):
    s3 = S3(ministack.url, is_seeded=False)
    put(s3, 'library/nginx', b'[]')
    for key in ('repositories/', 'repositories/library/', 'repositories/.DS_Store',
                'repositories/library/.DS_Store', 'repositories/_inodes'):
        s3.put_content(key, b'')
    assert s3.run('answer([names(source), source.has(u"library/library")])') == [
        ['library/nginx'], False]


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
expected, wrong = names(source), []
def work():
    for number in range(5):
        listed = names(source)
        is_right = source.has(expected[number]) and not source.has('library/never%d' % number)
        if listed != expected or not is_right:
            wrong.append(listed)
threads = [threading.Thread(target=work) for _ in range(12)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
answer(['gevent' in threading._get_ident.__module__, expected, wrong])
'''
# So that the threads, sockets and locks below boto are plain ones.
UNPATCHED = 'import gevent.monkey\ngevent.monkey.patch_all = lambda *_, **__: None\n'


@pytest.mark.parametrize('are_greenlets', [True, False], ids=['greenlets', 'plain threads'])
def test_one_store_is_read_by_many_threads_at_once(s3, are_greenlets):
    assert s3.run(AT_ONCE, before='' if are_greenlets
                  else UNPATCHED) == [are_greenlets, sorted(NAMES), []]


ASK_ALL = '''
from docker_registry import storage
store = storage.load()
store._boto_conn.num_retries = 0
store._boto_conn.http_connection_kwargs['timeout'] = 0.5
{break_it}
found = []
for ask in (lambda: names(source), lambda: list(source.repositories('library')),
            lambda: source.has('library/nginx')):
    try:
        found.append(ask())
    except Exception as error:
        found.append(type(error).__name__)
answer(found)
'''
POINT_AT = '''
store._boto_conn._pool.host_to_pool.clear()
store._boto_conn.port = {port}
store._boto_conn.host = '127.0.0.1'
'''


KEY_ID = b'AKIAIOSFODNN7EXAMPLE'


class Refusal(BaseHTTPServer.BaseHTTPRequestHandler):
    """Answers every request with the server's status, or never."""

    def do_GET(self):
        if self.server.status is None:
            return self.server.is_over.wait(30)
        body = (b'<?xml version="1.0"?><Error><Code>Code</Code><Message>no</Message>\n'
                b'<AWSAccessKeyId>%s</AWSAccessKeyId></Error>' % KEY_ID)
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


@pytest.mark.parametrize('status', [403, 404, 500, 503, None],
                         ids=lambda status: str(status or 'never an answer'))
def test_what_S3_answers_for_an_error_is_an_error_and_not_empty(s3, refusing, status):
    found = s3.run(ASK_ALL.format(break_it=POINT_AT.format(port=refusing(status))))
    assert len(found) == 3 and set(found) <= {'S3ResponseError', 'BotoServerError', 'timeout'}, (
        found)


def test_an_S3_that_is_not_there_is_an_error_and_not_empty(s3):
    with_nothing_behind = socket.socket()
    with_nothing_behind.bind(('127.0.0.1', 0))
    found = s3.run(
        ASK_ALL.format(break_it=POINT_AT.format(port=with_nothing_behind.getsockname()[1])))
    with_nothing_behind.close()
    assert found == ['error'] * 3


# An error of boto has the page of S3 in it, and that the access key ID.

LOG_OF_THE_PLUGIN = '''
import io, logging, os, time
from docker_registry import storage
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.engine import EngineIndex
log = io.StringIO()
handler = logging.StreamHandler(log)
handler.stream.write = lambda text, write=log.write: write(u'%s' % text)
logging.getLogger().addHandler(handler)
logging.getLogger().setLevel(logging.INFO)
# A sync of it is due.
made = EngineIndex(os.environ['DYNAMODB_ENDPOINT_URL']).ready()
made.engine.client.call('update_item', TableName=made.settings.search_table, Key=READY_KEY,
                        UpdateExpression='SET synced = :long_ago, tried = :long_ago',
                        ExpressionAttributeValues={{':long_ago': {{'N': '1'}}}})
store = storage.load()
store._boto_conn.num_retries = 0
{break_it}
from docker_registry_index.dynamodb import Index
Index(made.settings.database, 'AKIADUMMY', 'dummy')
deadline = time.time() + 30
while 'does not report' not in log.getvalue() and time.time() < deadline:
    time.sleep(0.1)
answer(log.getvalue())
'''


def test_the_log_names_the_refusal_of_S3_and_no_access_key(s3, refusing):
    log = s3.run(LOG_OF_THE_PLUGIN.format(break_it=POINT_AT.format(port=refusing(403))))
    assert ('the storage of the registry does not report its namespaces: '
            'S3ResponseError: 403 Forbidden') in log
    assert 'AKIAIOSF' not in log and 'AWSAccessKeyId' not in log


@pytest.mark.parametrize('code', ['InvalidAccessKeyId', 'SignatureDoesNotMatch'])
def test_an_error_of_boto_is_shown_in_one_line_without_the_access_key(caplog, code):
    exception = pytest.importorskip('boto.exception')
    page = ('<?xml version="1.0"?>\n<Error><Code>%s</Code><Message>no</Message>'
            '<AWSAccessKeyId>%s</AWSAccessKeyId></Error>' % (code, KEY_ID.decode()))
    refused = exception.S3ResponseError(403, 'Forbidden', page)

    class Refusing(Source):
        def namespaces(self):
            return ['team', 'other']

        def repositories(self, namespace):
            if namespace == 'team':
                raise refused
            return []

    list(Listing(Refusing()).batches(lambda: None))
    lines = caplog.messages + [str(errors.StorageUnreadable('its repositories', refused))]
    assert len(lines) == 2
    for line in lines:
        assert 'S3ResponseError: 403 Forbidden (%s)' % code in line
        assert 'AKIAIOSF' not in line and '\n' not in line
