# -*- coding: utf-8 -*-
"""The registry's storage as the index reads it: local files and S3 with the drivers themselves, and
drivers that list and fail as others do (Python 2.7)."""
from __future__ import unicode_literals

import os
import shutil
import subprocess
import sys
import threading

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make '
                    'test-py27` has these tests')

from docker_registry.core import compat, driver, exceptions  # noqa: E402
from docker_registry.drivers import file as file_driver  # noqa: E402
from dev.servers.process import ROOT  # noqa: E402
from docker_registry_index.engine import Source, errors  # noqa: E402
from docker_registry_index.engine.sync.listing import Listing  # noqa: E402
from docker_registry_index.plugin.storage import RegistrySource  # noqa: E402
from tests.helpers.names import ABSENT, ACCEPTED  # noqa: E402


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
    for name in ACCEPTED:
        put(store, name)
    return RegistrySource(store)


@pytest.fixture
def place(tmpdir):
    """Return a function from a path of the storage to the file."""
    return lambda path='': os.path.join(str(tmpdir), str('images'), str(path))


def test_names_are_returned_as_they_were_pushed(source, store):
    assert names(source) == sorted(ACCEPTED)
    assert [name for name in ABSENT if source.has(name)] == []
    assert [name for name in ACCEPTED if not source.has(name)] == []
    for name in ACCEPTED:
        delete(store, name)
        assert source.has(name) is False and name not in names(source)
    assert names(source) == []


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


def test_files_and_empty_directories_are_no_repositories(source, place):
    for path in ('.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes', 'library/file'):
        with open(place('repositories/' + path), 'w') as stream:
            stream.write('x')
    os.mkdir(place('repositories/library/empty'))
    assert names(source) == sorted(ACCEPTED)
    assert source.has('library/file') is source.has('library/empty') is False


@pytest.mark.parametrize('path', ['library/c++', 'library/%25FF', 'library/c%252b', b'library/\xff',
                                  '@eaDir/x', '%2E/x'])
def test_a_directory_that_no_name_leads_to_is_left_out_and_logged(source, place, caplog, path):
    folder = os.path.join(place('repositories'), path if isinstance(path, bytes) else str(path))
    os.makedirs(folder)
    open(os.path.join(folder, str('tag_latest')), 'w').close()
    assert names(source) == sorted(ACCEPTED)
    logged = [record.getMessage() for record in caplog.records
              if 'left out of the search index: 1 in repositories' in record.getMessage()]
    assert len(logged) == 1


def test_a_namespace_emptied_by_deletes_is_no_error(source, store, place):
    store.remove('repositories/library/nginx')
    store.remove('repositories/library/library')
    assert os.listdir(place('repositories/library')) == []
    assert names(source) == sorted(set(ACCEPTED) - {'library/nginx', 'library/library'})


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
    assert names(source) == sorted(ACCEPTED)
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_disk_that_is_gone_is_an_error_and_no_absent_repository(source, place):
    shutil.rmtree(place())
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


def as_nobody(place):
    environment = dict(os.environ, PYTHONPATH=ROOT)
    folder = place('..')
    os.chmod(folder, 0o755)
    # Its path is relative: the folders above, which are the tests', are no matter.
    output = subprocess.check_output([sys.executable, '-B', '-c', AS_NOBODY], cwd=folder,
                                     env=environment)
    return output.decode('ascii').splitlines()


@pytest.mark.skipif(os.getuid() != 0, reason='only root can be somebody else')
def test_missing_rights_are_an_error(source, place):
    os.chmod(place('repositories/library'), 0o700)
    listed, library, has = as_nobody(place)
    assert 'library' in listed and library == has == 'Permission denied'
    os.chmod(place('repositories'), 0o700)
    assert as_nobody(place) == ['Permission denied'] * 3


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
    objects.names = sorted(name for name in ACCEPTED if not (
        isinstance(objects, Names) and name.startswith('repositories/')))
    for name in objects.names:
        put(objects, name)
    objects.put_content(objects.tag_path('library', 'nginx', 'latest'), 'x')
    return RegistrySource(objects)


def test_names_are_right_in_whatever_way_a_driver_lists_them(read, objects):
    assert names(read) == objects.names
    assert [name for name in ABSENT if read.has(name)] == []
    for name in objects.names:
        assert read.has(name) is True
        delete(objects, name)
        if objects.keys:
            assert read.has(name) is False
    assert names(read) == []


def test_a_new_registry_of_objects_has_nothing(objects):
    assert names(RegistrySource(objects)) == []


def test_objects_among_the_directories_are_no_repositories(read, objects):
    for path in ('.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes'):
        objects.put_content('repositories/' + path, 'x')
    assert names(read) == objects.names


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
        assert 'that of another path: repositories/team/other' in str(caught.value)


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


@pytest.mark.parametrize('code', ['InvalidAccessKeyId', 'SignatureDoesNotMatch'])
def test_an_error_of_boto_is_shown_in_one_line_without_the_access_key(caplog, code):
    exception = pytest.importorskip('boto.exception')
    page = ('<?xml version="1.0"?>\n<Error><Code>%s</Code><Message>no</Message>'
            '<AWSAccessKeyId>%s</AWSAccessKeyId></Error>' % (code, 'AKIAIOSFODNN7EXAMPLE'))
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
