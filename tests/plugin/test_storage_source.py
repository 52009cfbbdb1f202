# -*- coding: utf-8 -*-
"""The registry's storage as the index reads it: names, and local files with their driver itself (Python 2.7, in this process)."""
from __future__ import unicode_literals

import os
import shutil
import subprocess
import sys
import threading

import pytest

docker_registry = pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make test-py27` has these tests')

from docker_registry.core import compat  # noqa: E402
from docker_registry.drivers import file as file_driver  # noqa: E402
from docker_registry_index.storage import RegistrySource  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The namespace and repository of a request's path, as docker-registry reads them: names that it accepts.
NAMES = ['library/nginx', 'team/c++', 't+m/x', 'team/with space', 'te am/x', 'team/100%', 'team/%41', 'team/%252B', 'team/a%2Fb', 'a/b/c', 'a//b',
         'team/..', '../x', './x', 'team/.', 'team/*', 'team/.hidden', 'team/_x', '_catalog/x', 'MixedCase/Name',
         'library/library',
         'repositories/repositories', 'team/' + 'x' * 100]
NEVER_THERE = ['library/ngin', 'library/nginx2', 'Library/nginx', 'nginx', '', '/', 'library/', 'library/nginx/', 'ünï/cöde', 'team/c  ',
               'team/c%2B%2B', '../../etc', 'x' * 300 + '/y', 'team/' + 'ü' * 100, 'library/..', 'library/.']


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
    return sorted(name for namespace in source.namespaces() for name, description in source.repositories(namespace) if description is None)


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
    assert names(source) == ['library/nginx'] and source.has('library/nginx') and not source.has('library/x')


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


@pytest.mark.parametrize('path', ['library/c++', 'library/%25FF', 'library/c%252b', b'library/\xff', '@eaDir/x', '%2E/x'])
def test_a_directory_that_no_name_leads_to_is_left_out_and_said(source, place, caplog, path):
    folder = os.path.join(place('repositories'), path if isinstance(path, bytes) else str(path))
    os.makedirs(folder)
    open(os.path.join(folder, str('tag_latest')), 'w').close()
    assert names(source) == sorted(NAMES)
    said = [record.getMessage() for record in caplog.records if 'left out of the search index: 1 in repositories' in record.getMessage()]
    assert len(said) == 1


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
    """Make a directory that is there and cannot be listed, by root neither: a link that leads to itself."""
    shutil.rmtree(path)
    os.symlink(path, path)


def unmount(path):
    """Make a directory that was on a disk which is not there: a link that leads nowhere."""
    os.rename(path, path + '-away')
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


def test_a_file_where_the_repositories_should_be_is_an_error_and_not_empty(source, place):
    shutil.rmtree(place('repositories'))
    open(place('repositories'), 'w').close()
    with pytest.raises(OSError):
        list(source.namespaces())


def test_a_repository_that_cannot_be_looked_into_does_not_hide_the_others(source, place):
    break_directory(place('repositories/library/nginx'))
    assert names(source) == sorted(NAMES)
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_disk_that_is_gone_does_not_say_that_a_repository_is(source, store):
    shutil.rmtree(store._root_path)
    with pytest.raises(OSError):
        source.has('library/nginx')


def test_a_disk_that_comes_back_while_a_repository_is_asked_for_has_it(source, place, monkeypatch):
    os.rename(place('repositories'), place('away'))
    real = os.listdir

    def mounted_after_the_first(path, turns=[]):
        turns.append(path)
        if len(turns) == 2:
            os.rename(place('away'), place('repositories'))
        return real(path)

    monkeypatch.setattr(os, 'listdir', mounted_after_the_first)
    assert source.has('library/nginx') is True


# A whole storage that another user may not read: what its own rights are is no matter.
AS_NOBODY = '''
import os, sys
from docker_registry.drivers import file
from docker_registry_index.storage import RegistrySource
source = RegistrySource(file.Storage('images'))
assert source.has(u'library/nginx'), 'all that it takes is imported now'
os.setuid(65534)
for ask in (lambda: list(source.namespaces()), lambda: list(source.repositories(u'library')), lambda: source.has(u'library/nginx')):
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
    said = subprocess.check_output([sys.executable, '-B', '-c', AS_NOBODY], cwd=folder, env=environment)
    return said.decode('ascii').splitlines()


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


def test_a_store_that_could_not_be_made_is_tried_again(monkeypatch, store):
    from docker_registry import storage
    put(store, 'library/nginx')
    answers = [IOError('away'), store]

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
