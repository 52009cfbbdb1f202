"""The same repositories count in a directory and in a bucket."""
import pytest

from docker_registry_index.service.sources.storage import FilesSource, S3Source
from tests.helpers.listing import Bucket, listed, make_tree

TAG = 'a/_manifests/tags/'


@pytest.mark.parametrize('paths, names', [
    ([TAG + '1/current/link'], ['a']),
    # A tag may begin with "_".
    ([TAG + '_1/current/link', TAG + '_1/index/sha256/0/link'], ['a']),
    ([TAG + '1/index/sha256/0/link', TAG + '2/current/link'], ['a']),
    # What is left of a push or a delete that was interrupted: the registry answers 404.
    ([TAG], []), ([TAG + '1/'], []), ([TAG + '1/current/'], []), ([TAG + '_1/'], []),
    ([TAG + '1/index/sha256/0/link'], []), ([TAG + '1'], []), ([TAG + '.nfs0001'], []),
    ([TAG + '1/current/link/file'], []), ([TAG + '1/2/current/link'], []),
    ([TAG + 'current/link'], []), (['a/_manifests/1/current/link'], []),
    # Only directories without "_" are components of a name.
    (['a/_b/_manifests/tags/1/current/link', '_c/_manifests/tags/1/current/link'], []),
    (['a/b/_manifests/tags/1/current/link', 'a/b/_layers/', 'a/_uploads/'], ['a/b']),
    ([TAG + '1/current/link', 'a/b/c/_manifests/tags/_/current/link'], ['a', 'a/b/c']),
    (['README', 'a/README', 'a/_manifests'], [])])
def test_the_same_tags_and_directories_count(tmp_path, paths, names):
    make_tree(tmp_path, paths)
    for source in FilesSource(str(tmp_path)), S3Source('any', '', lambda: Bucket(paths)):
        assert listed(source) == (names, [])
        for name in 'a', 'a/b', 'a/b/c', 'a/_b', '_c':
            assert source.has(name) == (name in names), name
