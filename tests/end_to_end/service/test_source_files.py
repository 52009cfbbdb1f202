"""The repositories in a directory: one that the real registry wrote, and some damaged ones."""
import logging
import os
import subprocess
import sys

import pytest

from dev.servers.registry_v2 import Distribution
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.service.sources.storage import FilesSource
from tests.end_to_end.service.images import Images

V2 = 'docker/registry/v2/repositories'


def listed(source):
    lister = Listing(source)
    names = sorted(name for batch in lister.batches(lambda: None) for name, _ in batch)
    return names, sorted(lister.unreadable)


def store(root, *names):
    """Write repositories with a tag."""
    for name in names:
        (root / V2 / name / '_manifests/tags/latest/current').mkdir(parents=True)
        (root / V2 / name / '_manifests/tags/latest/current/link').write_text('sha256:0')
        (root / V2 / name / '_layers/sha256/0').mkdir(parents=True)
    return FilesSource(str(root))


def test_what_the_real_registry_has_written(distribution_is_installed, tmp_path):
    with Distribution(tmp_path) as server:
        source = FilesSource(str(tmp_path))
        assert listed(source) == ([], []), 'a new registry is empty'
        expected = Images(server.url).push_some()
        assert listed(source) == (expected, [])
        names = ('a/b', 'z/y', 'z', 'z/gone', 'z/untagged', 'never')
        assert [source.has(name) for name in names] == [True, True] + [False] * 4


@pytest.mark.parametrize('name',
                         ['..', '../x', '/etc', 'a/../a', '', None, 'a/_manifests', 'a//b', 'a/.'])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    assert not store(tmp_path, 'a').has(name)


def test_a_root_that_is_not_there(tmp_path):
    source = FilesSource(str(tmp_path / 'unmounted'))
    with pytest.raises(OSError):
        source.namespaces()
    with pytest.raises(OSError):
        source.has('a')
    with pytest.raises(OSError):
        FilesSource(str(tmp_path)).has('a')


def test_names_that_are_none_are_left_out_with_one_warning_a_part(tmp_path, caplog):
    source = store(tmp_path, 'a', 'a/B', 'a/C', 'D')
    os.makedirs(os.fsencode(tmp_path) + b'/' + V2.encode() + b'/a/\xff/_manifests/tags/1')
    with caplog.at_level(logging.WARNING):
        assert listed(source) == (['a'], [])
    assert len(caplog.records) == 2


def test_links_are_followed_and_rounds_end(tmp_path):
    source = store(tmp_path / 'root', 'a', 'a/b')
    store(tmp_path / 'disk', 'on-disk')
    (tmp_path / 'root' / V2 / 'linked').symlink_to(tmp_path / 'disk' / V2)
    for link, target in (('a/self', 'a'), ('a/b/up', '.'), ('a/b/again', 'a')):
        (tmp_path / 'root' / V2 / link).symlink_to(tmp_path / 'root' / V2 / target)
    found, unreadable = listed(source)
    assert {'a', 'a/b', 'linked/on-disk'} <= set(found) and not unreadable and len(found) < 20
    assert source.has('linked/on-disk')


def test_a_disk_that_is_not_mounted_cannot_be_read(tmp_path):
    source = store(tmp_path, 'a', 'b/c')
    for link in ('gone', 'b/gone'):
        (tmp_path / V2 / link).symlink_to(tmp_path / 'unmounted')
    assert listed(source) == (['a', 'b/c'], ['b', 'gone'])
    for name in ('gone', 'gone/x/y', 'b/gone/z'):
        with pytest.raises(OSError):
            source.has(name)
    assert not source.has('b/d')


def test_files_in_between_are_nothing(tmp_path):
    source = store(tmp_path, 'a/b')
    for path in ('README', 'a/README', 'a/b/README'):
        (tmp_path / V2 / path).write_text('')
    (tmp_path / V2 / 'c' / '_manifests').mkdir(parents=True)
    (tmp_path / V2 / 'c' / '_manifests' / 'tags').write_text('')
    assert listed(source) == (['a/b'], []) and not source.has('a/README') and not source.has('c')


UNREADABLE = '''
import os, sys
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.service.sources.storage import FilesSource
os.setuid(65534)
source = FilesSource(sys.argv[1])
lister = Listing(source)
names = sorted(name for batch in lister.batches(lambda: None) for name, _ in batch)
print(names, lister.unreadable)
for name in ('a/secret/x', 'a/b'):
    try:
        print(source.has(name))
    except OSError as error:
        print(type(error).__name__)
'''


@pytest.mark.skipif(os.getuid() != 0, reason='only root can become nobody')
def test_a_directory_that_cannot_be_read_keeps_no_other_out(tmp_path):
    store(tmp_path, 'a/b', 'a/secret/x', 'a/z', 'c')
    (tmp_path / V2 / 'a/secret').chmod(0)
    for directory in [tmp_path] + list(tmp_path.parents)[:-2]:
        directory.chmod(0o755)
    done = subprocess.run([sys.executable, '-c', UNREADABLE, str(tmp_path)],
                          stdout=subprocess.PIPE, check=True, universal_newlines=True)
    assert done.stdout.splitlines() == ["['a/b', 'a/z', 'c'] ['a']", 'PermissionError', 'True']
