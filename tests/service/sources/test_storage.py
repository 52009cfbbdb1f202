"""The repositories in a directory and in a bucket, some of them damaged."""
import os

import pytest
from botocore.exceptions import ClientError, CredentialRetrievalError

from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.sources.selection import source_of
from docker_registry_index.service.sources.storage import FilesSource, S3Source, s3_client
from tests.helpers.listing import REPOSITORIES as V2
from tests.helpers.listing import Bucket, keys_of, listed, make_repositories


def store(root, *names):
    """Write repositories with a tag into a directory; return their source."""
    make_repositories(root, *names)
    return FilesSource(str(root))


class TestFiles:
    def test_no_name_leads_out_of_the_folder(self, tmp_path):
        source = store(tmp_path, 'a')
        for name in '..', '../x', '/etc', 'a/../a', '', None, 'a/_manifests', 'a//b', 'a/.':
            assert not source.has(name)

    def test_a_new_registry_is_empty_and_a_missing_root_is_an_error(self, tmp_path):
        new, missing = FilesSource(str(tmp_path)), FilesSource(str(tmp_path / 'unmounted'))
        assert listed(new) == ([], [])
        for read in missing.namespaces, lambda: missing.has('a'), lambda: new.has('a'):
            with pytest.raises(OSError):
                read()

    def test_invalid_names_are_left_out_with_one_warning_a_namespace(self, tmp_path, caplog):
        source = store(tmp_path, 'a', 'a/B', 'a/C', 'D')
        store(tmp_path, os.fsdecode(b'a/\xff'))
        assert listed(source) == (['a'], []) and len(caplog.records) == 2

    def test_links_are_followed_but_not_in_circles(self, tmp_path):
        source = store(tmp_path / 'root', 'a', 'a/b')
        store(tmp_path / 'disk', 'on-disk')
        (tmp_path / 'root' / V2 / 'linked').symlink_to(tmp_path / 'disk' / V2)
        for link, target in (('a/self', 'a'), ('a/b/up', '.'), ('a/b/again', 'a')):
            (tmp_path / 'root' / V2 / link).symlink_to(tmp_path / 'root' / V2 / target)
        found, unreadable = listed(source)
        assert {'a', 'a/b', 'linked/on-disk'} <= set(found) and not unreadable and len(found) < 20
        assert source.has('linked/on-disk')

    def test_links_that_lead_to_each_other_in_many_ways_are_an_error(self, tmp_path):
        """As in a tree of 12 directories, each with links to all others: 12! paths."""
        names = ['a/d%02d' % number for number in range(12)]
        source = store(tmp_path, *names)
        for name in names:
            for other in names:
                if other != name:
                    (tmp_path / V2 / name / other[2:]).symlink_to(tmp_path / V2 / other)
        found = []
        with pytest.raises(OSError, match='more than 100 links'):
            for name, _ in source.repositories('a'):
                found.append(name)
                assert len(found) < 5000, 'endless'
        assert set(names) <= set(found)

    def test_paths_that_are_too_long_for_a_name_are_skipped(self, tmp_path, caplog):
        longest = 'a/' * 127 + 'a'
        assert listed(store(tmp_path, longest, longest + '/a')) == ([longest], [])
        assert not caplog.records

    def test_a_disk_that_is_not_mounted_is_unreadable(self, tmp_path):
        source = store(tmp_path, 'a', 'b/c')
        for link in ('gone', 'b/gone'):
            (tmp_path / V2 / link).symlink_to(tmp_path / 'unmounted')
        assert listed(source) == (['a', 'b/c'], ['b', 'gone'])
        for name in ('gone', 'gone/x/y', 'b/gone/z'):
            with pytest.raises(OSError):
                source.has(name)
        assert not source.has('b/d')

    def test_files_between_the_directories_are_ignored(self, tmp_path):
        source = store(tmp_path, 'a/b')
        (tmp_path / V2 / 'c' / '_manifests').mkdir(parents=True)
        for path in 'README', 'a/README', 'a/b/README', 'c/_manifests/tags':
            (tmp_path / V2 / path).write_text('')
        assert listed(source) == (['a/b'], [])
        assert source.has('a/b') and not source.has('a/README') and not source.has('c')

    @pytest.mark.skipif(os.getuid() != 0, reason='only root can become nobody')
    def test_an_unreadable_directory_does_not_hide_others(self, tmp_path):
        store(tmp_path, 'a/b', 'a/secret/x', 'a/z', 'c')
        (tmp_path / V2 / 'a/secret').chmod(0)
        for directory in [tmp_path, *list(tmp_path.parents)[:-2]]:
            directory.chmod(0o755)
        source = FilesSource(str(tmp_path))
        os.seteuid(65534)
        try:
            assert listed(source) == (['a/b', 'a/z', 'c'], ['a'])
            assert [name for name in ('a', 'a/secret/x', 'ab', 'c') if source.may_contain(
                'a', name)] == ['a', 'a/secret/x']
            with pytest.raises(PermissionError):
                source.has('a/secret/x')
            assert source.has('a/b')
        finally:
            os.seteuid(0)


class TestBucket:
    def test_names_with_a_tag_are_listed_and_no_bucket_is_an_error(self, in_process_dynamodb):
        s3 = s3_client(None, 'us-east-1', 'local', 'local-secret')  # that of moto
        source = S3Source('bucket', '/some/prefix/', lambda: s3)
        for read in source.namespaces, lambda: source.has('a'):
            with pytest.raises(ClientError):
                list(read())
        s3.create_bucket(Bucket='bucket')
        assert listed(source) == ([], []), 'a new registry is empty'
        names = ['a', 'a-b', 'a/b', 'a/b/c', 'a0', 'z/y']
        for key in sum(map(keys_of, names), keys_of('z/gone', tags=0)):
            s3.put_object(Bucket='bucket', Key='some/prefix/' + V2 + key, Body=b'')
        assert listed(source) == (names, [])
        assert [name for name in ('a', 'a/b', 'z', 'z/gone', 'never') if source.has(name)] == [
            'a', 'a/b']

    def test_each_load_finds_credentials_anew(self, in_process_dynamodb, monkeypatch, tmp_path):
        s3_client(None, 'us-east-1', 'local', 'local-secret').create_bucket(Bucket='late')
        for name in 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN':
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(tmp_path / 'credentials'))
        # The agent of a container, which is unavailable.
        monkeypatch.setenv('AWS_CONTAINER_CREDENTIALS_FULL_URI', 'http://127.0.0.1:1/')
        settings, _ = settings_of({'STORAGE': 's3://late', 'STORAGE_REGION': 'us-east-1'}, {})
        source = source_of(settings)
        for read in source.namespaces, lambda: source.has('a'):
            with pytest.raises(CredentialRetrievalError):
                list(read())
        for keys in 'first', 'second':
            (tmp_path / 'credentials').write_text(
                '[default]\naws_access_key_id = %s\naws_secret_access_key = secret\n' % keys)
            assert listed(source) == ([], []) and not source.has('a')
            assert source._client._request_signer._credentials.access_key == keys

    @pytest.mark.parametrize('count, pattern, requests', [
        (300, 'app%d', 1 + 8), (300, 'team%d/app%d', 1 + 3 + 8), (300, 'only/app%d', 1 + 1 + 8),
        (3000, 'team%d/app%d', 1 + 3 + 49)])
    def test_a_load_takes_few_requests(self, count, pattern, requests):
        """Each repository has 14 keys. In end_to_end, test_counts counts those of a real S3."""
        names = [pattern % ((number % 3, number)[-pattern.count('%'):]) for number in range(count)]
        s3 = Bucket(key for name in names for key in keys_of(name, 3, 5, 3))
        assert listed(S3Source('any', '', lambda: s3)) == (sorted(names), [])
        assert s3.requests == requests

    @pytest.mark.parametrize('pattern', ['app%d', 'team%d/app%d', 'only/app%d'])
    def test_each_name_may_be_in_the_one_range_that_lists_it(self, pattern):
        names = [pattern % ((number % 3, number)[-pattern.count('%'):]) for number in range(60)]
        s3 = Bucket(key for name in names for key in keys_of(name))
        source = S3Source('any', '', lambda: s3)
        ranges = list(source.namespaces())
        for name in names:
            assert [each for each in ranges if source.may_contain(each, name)] == [
                each for each in ranges if name in source.tagged(each)]
        # Also a name that no range lists.
        for name in 'a', 'app3x', 'team1', 'team1/x/y', 'only', 'zoo':
            assert len([each for each in ranges if source.may_contain(each, name)]) == 1

    def test_has_is_one_request_and_a_folder_alone_is_no_tag(self):
        s3 = Bucket(keys_of('a/b', tags=5) + ['a/c/_manifests/tags/'])
        source = S3Source('any', '', lambda: s3)
        assert source.has('a/b') and not source.has('a/c') and not source.has('a')
        assert not source.has('../a/b') and not source.has('') and not source.has(None)
        assert s3.requests == 3

    def test_invalid_names_are_left_out_with_a_warning(self, caplog):
        s3 = Bucket(keys_of('a') + keys_of('B') + keys_of('C/d') + ['README', 'a/README'])
        assert listed(S3Source('any', '', lambda: s3)) == (['a'], [])
        assert 'for example' in caplog.text

    def test_the_bucket_is_in_the_path_of_another_s3_than_amazon_s(self):
        other = s3_client('http://127.0.0.1:9000', 'us-east-1', 'a', 'b').meta
        amazon = s3_client(None, 'eu-west-1').meta
        assert (other.config.s3, amazon.config.s3) == (
            {'addressing_style': 'path'}, {'addressing_style': 'auto'})
        assert amazon.endpoint_url == 'https://s3.eu-west-1.amazonaws.com'

    def test_the_settings_alone_name_an_endpoint(self, monkeypatch, tmp_path):
        """Otherwise the bucket might not be in the path."""
        (tmp_path / 'config').write_text('[default]\nendpoint_url = http://127.0.0.1:1\n')
        monkeypatch.setenv('AWS_CONFIG_FILE', str(tmp_path / 'config'))
        monkeypatch.setenv('AWS_ENDPOINT_URL', 'http://127.0.0.1:1')
        assert s3_client(None, 'eu-west-1').meta.endpoint_url == (
            'https://s3.eu-west-1.amazonaws.com')
