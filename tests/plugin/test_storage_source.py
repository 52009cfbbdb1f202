# -*- coding: utf-8 -*-
"""The registry's storage as the index reads it, with the drivers themselves (Python 2.7, in this process)."""
from __future__ import unicode_literals

import os
import shutil
import subprocess
import sys

import pytest

docker_registry = pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make test-py27` has these tests')

from docker_registry.core import exceptions  # noqa: E402
from docker_registry.drivers import file as file_driver  # noqa: E402
from docker_registry_index.storage import RegistrySource  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The namespace and repository of a request's path, as docker-registry reads them: names that it accepts.
NAMES = ['library/nginx', 'team/c++', 't+m/x', 'team/with space', 'te am/x', 'team/100%', 'team/%41', 'team/a%2Fb', 'a/b/c', 'team/..', '../x', './x', 'team/*',
         'MixedCase/Name']


def put(store, name, content='[]'):
    """Have a repository as the registry would: by its own paths."""
    import urllib
    namespace, repository = name.split('/', 1)
    path = store.index_images_path(namespace, urllib.quote_plus(repository.encode('utf-8')))
    store.put_content(path, content)


@pytest.fixture
def store(tmpdir):
    return file_driver.Storage(str(tmpdir.join('images')))


@pytest.fixture
def source(store):
    for name in NAMES:
        put(store, name)
    return RegistrySource(store)


def names(source):
    return sorted(name for namespace in source.namespaces() for name, description in source.repositories(namespace) if description is None)


def test_names_come_back_as_they_were_pushed(source):
    assert names(source) == sorted(NAMES)


@pytest.mark.parametrize('name', NAMES)
def test_each_is_there_when_asked_for_and_gone_when_deleted(source, store, name):
    import urllib
    assert source.has(name) is True
    namespace, repository = name.split('/', 1)
    store.remove(store.repository_path(namespace, urllib.quote_plus(repository)))
    assert source.has(name) is False
    assert names(source) == sorted(set(NAMES) - {name})


@pytest.mark.parametrize('name', ['library/ngin', 'library/nginx2', 'Library/nginx', 'nginx', '', '/', 'library/', 'ünï/cöde', 'team/c  ',
                                  '../../etc', 'x' * 300 + '/y'])
def test_what_was_never_there_is_not_there(source, name):
    assert source.has(name) is False


def test_a_new_registry_has_nothing(store):
    assert names(RegistrySource(store)) == []


def test_files_among_the_directories_are_no_repositories(source, store):
    store.put_content('repositories/.DS_Store', 'x')
    store.put_content('repositories/library/.DS_Store', 'x')
    listed = names(source)
    assert [name for name in listed if 'DS_Store' not in name] == sorted(NAMES)


def test_a_namespace_emptied_by_deletes_is_no_error(source, store):
    store.remove('repositories/library/nginx')
    assert os.listdir(os.path.join(store._root_path, 'repositories', 'library')) == []
    assert names(source) == sorted(set(NAMES) - {'library/nginx'})


def break_directory(path):
    """Make a directory that is there and cannot be listed, by root neither: a link that leads to itself."""
    shutil.rmtree(path)
    os.symlink(path, path)


def test_a_namespace_that_cannot_be_listed_is_an_error_and_not_empty(source, store):
    break_directory(os.path.join(store._root_path, 'repositories', 'library'))
    with pytest.raises(OSError):
        list(source.repositories('library'))
    with pytest.raises(OSError):
        source.has('library/nginx')
    assert source.has('a/b/c') is True


def test_a_storage_that_cannot_be_listed_is_an_error_and_not_empty(source, store):
    break_directory(os.path.join(store._root_path, 'repositories'))
    with pytest.raises(OSError):
        list(source.namespaces())


def test_a_disk_that_is_gone_does_not_say_that_a_repository_is(source, store):
    shutil.rmtree(store._root_path)
    with pytest.raises(OSError):
        source.has('library/nginx')


AS_NOBODY = '''
import os, sys
from docker_registry.drivers import file
from docker_registry_index.storage import RegistrySource
os.setuid(65534)
source = RegistrySource(file.Storage(sys.argv[1]))
try:
    print(list(source.repositories(u'library')))
except OSError as error:
    print(error.strerror)
'''


@pytest.mark.skipif(os.getuid() != 0, reason='only root can be somebody else')
def test_missing_rights_are_an_error(source, store, tmpdir):
    for folder in [tmpdir] + [each for each in tmpdir.visit() if each.isdir()]:
        folder.chmod(0o755)
    for parent in tmpdir.parts()[1:]:
        if parent.stat().uid == 0 and 'pytest' in str(parent):
            parent.chmod(0o755)
    os.chmod(os.path.join(store._root_path, 'repositories', 'library'), 0o700)
    said = subprocess.check_output([sys.executable, '-B', '-c', AS_NOBODY, store._root_path], cwd=ROOT)
    assert said.strip() == b'Permission denied'


def test_a_driver_that_gives_names_in_place_of_paths_will_do(store):
    class Short(file_driver.Storage):
        def list_directory(self, path=None):
            for child in file_driver.Storage.list_directory(self, path):
                yield child.rsplit('/', 1)[-1] + '/'

    put(store, 'library/nginx')
    assert names(RegistrySource(Short(store._root_path))) == ['library/nginx']


def test_what_another_driver_raises_comes_through(store):
    class Broken(object):
        repositories = 'repositories'

        def list_directory(self, path=None):
            if path.endswith('gone'):
                raise exceptions.FileNotFoundError(path)
            raise exceptions.ConnectionError('away')
            yield

    source = RegistrySource(Broken())
    with pytest.raises(exceptions.ConnectionError):
        list(source.namespaces())
    with pytest.raises(exceptions.ConnectionError):
        source.has('library/nginx')
    assert source.has('library/gone') is False


def test_the_store_is_made_once_by_several_threads(monkeypatch):
    import threading
    from docker_registry import storage
    made = []
    monkeypatch.setattr(storage, 'load', lambda: made.append(1) or file_driver.Storage('/nowhere'))
    source = RegistrySource()
    threads = [threading.Thread(target=lambda: list(source.namespaces())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1]
