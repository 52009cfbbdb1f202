# -*- coding: utf-8 -*-
"""The registry's storage as the index reads it: local files with docker-registry's own driver, and
drivers that list and fail as others do (Python 2.7)."""
from __future__ import unicode_literals

import os
import shutil

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make '
                    'test-py27` has these tests')

from docker_registry import storage  # noqa: E402
from docker_registry.core import compat, driver, exceptions  # noqa: E402
from docker_registry.drivers import file as file_driver  # noqa: E402
from docker_registry_index.engine import errors  # noqa: E402
from docker_registry_index.plugin.storage import RegistrySource  # noqa: E402
from tests.helpers.names import ABSENT, ACCEPTED  # noqa: E402
from tests.helpers.waiting import in_threads  # noqa: E402


def quoted(name):
    """The namespace and the repository of a name as a request hands them to the storage."""
    namespace, repository = name.split('/', 1)
    return namespace, compat.quote_plus(str(repository))


def put(store, name):
    """Have a repository as the registry would: by its own paths."""
    store.put_content(store.index_images_path(*quoted(name)), '[]')


def delete(store, name):
    """Delete it as the registry would."""
    store.remove(store.repository_path(*quoted(name)))


def names(source):
    return sorted(name for namespace in source.namespaces()
                  for name, description in source.repositories(namespace) if description is None)


def asks(source):
    """Return functions that ask a source for each thing that it knows."""
    return [lambda: list(source.namespaces()), lambda: list(source.repositories('library')),
            lambda: source.has('library/nginx')]


class Objects(driver.Base):
    """An object storage in memory.

    :param found: a function of its keys and a path, which returns what a driver lists there.
    :ivar failures: how many of the next listings fail.
    :ivar breaks_after: how many entries of a listing come before it fails."""

    hides_errors = True

    def __init__(self, found):
        self.keys, self.found = {}, found
        self.failures, self.breaks_after = 0, None

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
        found = self.found(self.keys, path)
        for number, entry in enumerate(found):
            if number == self.breaks_after:
                raise exceptions.FileNotFoundError(path)
            yield entry
        if not found:
            raise exceptions.FileNotFoundError(path)


def paths(keys, path):
    """Full paths of what is directly below, those of directories once, with a slash."""
    below = [key[len(path) + 1:].split('/') for key in all_below(keys, path)]
    return sorted(set('%s/%s%s' % (path, parts[0], '/' if parts[1:] else '') for parts in below))


def all_below(keys, path):
    """As of Azure: all keys further down."""
    return sorted(key for key in keys if key.startswith(path + '/'))


def all_that_begin_alike(keys, path):
    """As of Qiniu: all keys that begin so, without regard to directories."""
    return sorted(key for key in keys if key.startswith(path))


def only_names(keys, path):
    return [each[len(path) + 1:] for each in paths(keys, path)]


def cut(keys, path):
    """As of S3 when storage_path ends with a slash: the first character is lost."""
    return [each[1:] for each in paths(keys, path)]


def paths_from_the_top(keys, path):
    return ['/' + each for each in paths(keys, path)]


WAYS = [paths, all_below, all_that_begin_alike, only_names, cut, paths_from_the_top]


@pytest.fixture
def local(tmpdir):
    return file_driver.Storage(str(tmpdir.join('images')))


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def objects(request):
    return Objects(request.param)


@pytest.fixture(params=WAYS + [None], ids=lambda way: way.__name__ if way else 'local files')
def store(request, local):
    """A storage of each kind."""
    return Objects(request.param) if request.param else local


def filled(store):
    """Return the source of a storage with all names that it can have."""
    # A driver that returns only names cannot tell a namespace `repositories` from the directory of
    # all repositories.
    store.names = sorted(name for name in ACCEPTED if not (
        getattr(store, 'found', None) is only_names and name.startswith('repositories/')))
    for name in store.names:
        put(store, name)
    store.put_content(store.tag_path('library', 'nginx', 'latest'), 'x')
    return RegistrySource(store)


@pytest.fixture
def source(local):
    return filled(local)


@pytest.fixture
def place(tmpdir):
    """A function from a path of the local storage to the file."""
    return lambda path='': os.path.join(str(tmpdir), str('images'), str(path))


def test_names_are_right_in_whatever_way_a_driver_lists_them(store):
    assert names(RegistrySource(store)) == []
    source = filled(store)
    # one of which only a tag is left
    store.put_content(store.tag_path('team', 'tagged', 'latest'), 'x')
    left = sorted(store.names + ['team/tagged'])
    assert [name for name in ABSENT if source.has(name)] == []
    while left:
        assert names(source) == left
        name = left.pop()
        assert source.has(name) is True
        delete(store, name)
        assert not left or source.has(name) is False
    assert names(source) == []


def test_files_and_empty_directories_are_no_repositories(store, local, place):
    source = filled(store)
    for path in '.DS_Store', '_inodes', 'library/.DS_Store', 'library/_inodes':
        store.put_content('repositories/' + path, 'x')
    if store is local:
        local.put_content('repositories/library/file', 'x')
        os.mkdir(place('repositories/library/empty'))
        assert source.has('library/file') is source.has('library/empty') is False
    assert names(source) == store.names


def test_a_namespace_that_goes_while_it_is_listed_is_no_error(store, local, place):
    source = filled(store)
    namespaces = list(source.namespaces())
    delete(store, 't+m/x')
    assert 't%2Bm' in namespaces and list(source.repositories('t%2Bm')) == []
    if store is local:
        shutil.rmtree(place('repositories/t%2Bm'))
        assert list(source.repositories('t%2Bm')) == []


def test_a_path_beyond_ascii_is_read(tmpdir):
    store = file_driver.Storage(tmpdir.join('bücher').strpath.encode('utf-8'))
    put(store, 'library/nginx')
    source = RegistrySource(store)
    assert names(source) == ['library/nginx']
    assert (source.has('library/nginx'), source.has('library/x')) == (True, False)


@pytest.mark.parametrize('path', ['library/c++', 'library/%25FF', 'library/c%252b', b'library/\xff',
                                  '@eaDir/x', '%2E/x'])
def test_a_directory_that_no_name_leads_to_is_left_out_and_logged(source, place, caplog, path):
    folder = os.path.join(place('repositories'), path if isinstance(path, bytes) else str(path))
    os.makedirs(folder)
    open(os.path.join(folder, str('tag_latest')), 'w').close()
    assert names(source) == sorted(ACCEPTED)
    [logged] = caplog.messages
    assert logged.startswith('1 directories in repositories') and 'are left out of' in logged


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
@pytest.mark.parametrize('path', ['repositories/library', 'repositories', ''])
def test_a_directory_that_cannot_be_listed_is_an_error_and_not_empty(source, place, end, path):
    end(place(path).rstrip('/'))
    is_namespace = path.endswith('library')
    with pytest.raises(OSError):
        list(source.repositories('library') if is_namespace else source.namespaces())
    with pytest.raises(OSError):
        source.has('library/nginx')
    if is_namespace:
        assert source.has('a/b/c') is True
        assert 'library' in list(source.namespaces())


def test_a_name_may_only_be_in_the_directory_of_its_namespace(source):
    namespaces = list(source.namespaces())
    for name in names(source):
        [namespace] = [each for each in namespaces if source.may_contain(each, name)]
        assert name in [found for found, _ in source.repositories(namespace)]
    assert not [each for each in namespaces if source.may_contain(each, 'never/there')]


def test_an_unreadable_repository_does_not_hide_the_others_and_is_not_absent(source, place):
    break_directory(place('repositories/library/nginx'))
    assert names(source) == sorted(ACCEPTED)
    with pytest.raises(OSError):
        source.has('library/nginx')
    # The disk is gone.
    shutil.rmtree(place())
    with pytest.raises(OSError):
        source.has('a/b/c')


def test_a_disk_that_recovers_while_a_repository_is_asked_for_has_it(source, place, monkeypatch):
    os.rename(place('repositories'), place('moved'))
    listed, listdir = [], os.listdir

    def mounted_after_the_first(path):
        listed.append(path)
        if len(listed) == 2:
            os.rename(place('moved'), place('repositories'))
        return listdir(path)

    monkeypatch.setattr(os, 'listdir', mounted_after_the_first)
    assert source.has('library/nginx') is True


def test_a_namespace_that_could_not_be_read_is_an_error_and_not_empty(objects):
    source, objects.failures = filled(objects), 1
    with pytest.raises(exceptions.UnreachableError) as caught:
        list(source.repositories('library'))
    assert str(caught.value) == 'repositories/library cannot be listed'


def test_a_listing_that_breaks_off_is_an_error_and_not_the_whole(objects):
    source, objects.breaks_after = filled(objects), 2
    with pytest.raises(exceptions.UnreachableError):
        list(source.namespaces())


def test_a_listing_of_another_path_is_an_error_and_not_empty():
    # Forked workers that share a connection may read each other's answers.
    source = RegistrySource(Objects(lambda *_: ['repositories/team/other/_index_images']))
    for ask in asks(source)[1:]:
        with pytest.raises(exceptions.UnreachableError) as caught:
            ask()
        assert 'that of another path: repositories/team/other' in str(caught.value)


def test_a_storage_that_is_unavailable_is_an_error_and_no_absent_repository(objects):
    source = filled(objects)
    for name in 'library/nginx', 'library/never':
        objects.failures = 3
        with pytest.raises(exceptions.UnreachableError):
            source.has(name)
    # It recovers while it is asked.
    objects.failures = 1
    assert source.has('library/nginx') is True


def test_an_error_that_a_driver_raises_is_raised(objects):
    source, objects.hides_errors = filled(objects), False
    for ask in asks(source):
        objects.failures = 1
        with pytest.raises(exceptions.ConnectionError):
            ask()


def test_an_error_of_boto_is_shown_in_one_line_without_the_access_key():
    exception = pytest.importorskip('boto.exception')
    page = ('<?xml version="1.0"?>\n<Error><Code>InvalidAccessKeyId</Code><Message>no</Message>'
            '<AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId></Error>')
    shown = str(errors.StorageUnreadable('its namespaces', exception.S3ResponseError(
        403, 'Forbidden', page)))
    assert 'S3ResponseError: 403 Forbidden (InvalidAccessKeyId)' in shown
    assert 'AKIAIOSF' not in shown and '\n' not in shown


def test_the_driver_is_created_once_by_several_threads_and_again_after_an_error(
        monkeypatch, local):
    answers = [IOError('unavailable'), local]

    def load():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(storage, 'load', load)
    put(local, 'library/nginx')
    source = RegistrySource()
    with pytest.raises(IOError):
        source.has('library/nginx')
    assert in_threads([lambda: source.has('library/nginx')] * 8)() == [True] * 8
