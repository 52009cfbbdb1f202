"""The repositories in a bucket, on a local S3: as the real registry writes them, and counted."""
import bisect
import itertools
import logging

import hypothesis
import pytest
from botocore.exceptions import ClientError

from dev.servers.registry_v2 import Distribution, s3_storage
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.service.sources.storage import S3Source, s3_client
from tests.end_to_end.service.images import Images
from tests.service.registry.test_layout import REPOSITORIES, keys_of, stored

V2 = 'docker/registry/v2/repositories/'
NUMBERS = itertools.count()


@pytest.fixture(scope='module')
def s3(ministack):
    return s3_client(ministack.url, 'us-east-1', 'local', 'local-secret')


@pytest.fixture
def bucket(s3):
    name = 'source-s3-%d' % next(NUMBERS)
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def lists(s3):
    """The LISTs that were made, as they come."""
    made = []

    def note(params, **others):
        made.append(params)
    s3.meta.events.register('before-call.s3.ListObjectsV2', note, 'counter')
    yield made
    s3.meta.events.unregister('before-call.s3.ListObjectsV2', unique_id='counter')


def put(s3, bucket, keys, root=''):
    for key in keys:
        s3.put_object(Bucket=bucket, Key=root + V2 + key, Body=b'')


def listed(source):
    lister = Listing(source)
    names = sorted(name for batch in lister.batches(lambda: None) for name, _ in batch)
    return names, lister.unreadable


@pytest.mark.parametrize('root', ['', 'some/prefix', '/some/prefix/'])
def test_what_the_real_registry_has_written(distribution_is_installed, ministack, s3, bucket, root):
    source = S3Source(bucket, root, s3)
    assert listed(source) == ([], []), 'a new registry is empty'
    with Distribution(s3_storage(ministack.url, bucket, root)) as server:
        expected = Images(server.url).push_some()
    assert listed(source) == (expected, [])
    names = ('a', 'a/b', 'z/y', 'z', 'z/gone', 'z/untagged', 'never')
    assert [source.has(name) for name in names] == [True] * 3 + [False] * 4


@hypothesis.settings(max_examples=15, deadline=None,
                     suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(REPOSITORIES)
def test_any_repositories(s3, repositories):
    bucket = 'source-s3-any-%d' % next(NUMBERS)
    s3.create_bucket(Bucket=bucket)
    keys, expected = stored(repositories)
    put(s3, bucket, keys)
    source = S3Source(bucket, '', s3)
    assert listed(source) == (expected, [])
    assert all(source.has(name) == (name in expected) for name in repositories)


class ListOnly:
    """An S3 of one bucket in memory that can only list, a thousand keys at a time, and counts."""

    def __init__(self, keys):
        self.keys, self.places = sorted(V2 + key for key in keys), []

    @property
    def requests(self):
        return len(self.places)

    def list_objects_v2(self, Bucket, Prefix, StartAfter):
        self.places.append(StartAfter)
        start = max(bisect.bisect_right(self.keys, StartAfter),
                    bisect.bisect_left(self.keys, Prefix))
        keys = [key for key in self.keys[start:start + 1001] if key.startswith(Prefix)]
        return {'Contents': [{'Key': key} for key in keys[:1000]], 'IsTruncated': len(keys) > 1000}

    def get_paginator(self, operation):
        return self

    def paginate(self, Bucket, Prefix, Delimiter):
        folders = sorted({Prefix + key[len(Prefix):].partition(Delimiter)[0] + Delimiter
                          for key in self.keys if key.startswith(Prefix)})
        for start in range(0, max(1, len(folders)), 1000):
            self.places.append(Prefix)
            yield {'CommonPrefixes': [{'Prefix': folder} for folder in folders[start:start + 1000]]}


def repositories(count, pattern):
    return [pattern % ((number % 3, number) if pattern.count('%') == 2 else number)
            for number in range(count)]


@pytest.mark.parametrize('count, pattern, requests', [
    (300, 'app%d', 1 + 8), (300, 'team%d/app%d', 1 + 3 + 8), (300, 'only/app%d', 1 + 1 + 8),
    (3000, 'app%d', 3 + 48), (3000, 'team%d/app%d', 1 + 3 + 49), (3000, 'only/app%d', 1 + 3 + 49)])
def test_the_requests_for_the_whole(count, pattern, requests):
    """Each repository has 3 tags, 5 layers and 3 manifests: 14 keys."""
    names = repositories(count, pattern)
    s3 = ListOnly([key for name in names for key in keys_of(name, tags=3, layers=5, revisions=3)])
    assert listed(S3Source('any', '', s3)) == (sorted(names), [])
    assert s3.requests == requests


def test_the_requests_for_300_repositories_on_a_real_s3(s3, bucket, lists):
    """test_counts has what the real registry makes for its catalog."""
    names = repositories(300, 'team%d/app%d')
    put(s3, bucket, [key for name in names for key in keys_of(name, tags=2, layers=2)])
    assert listed(S3Source(bucket, '', s3)) == (sorted(names), [])
    assert len(lists) == 1 + 3 + 8


@pytest.mark.parametrize('counts', [{'layers': 35000}, {'tags': 35000}, {'uploads': 35000}])
def test_a_large_repository_is_skipped(counts):
    s3 = ListOnly(keys_of('a/b', **counts) + keys_of('a/c'))
    assert listed(S3Source('any', '', s3)) == (['a/b', 'a/c'], [])
    # To cut; for a/b; for a/c; and for parts that turn out to be empty.
    assert s3.requests <= 2 + 3 + 1 + 2


def test_has_is_one_request_for_one_key(s3, bucket, lists):
    put(s3, bucket, keys_of('a/b', tags=20) + ['a/c/_manifests/tags/'])
    source = S3Source(bucket, '', s3)
    assert source.has('a/b') and not source.has('a/c') and not source.has('a')
    assert len(lists) == 3
    assert not source.has('../a/b') and not source.has('') and not source.has(None)
    assert len(lists) == 3


def test_names_that_are_none_are_left_out_with_a_warning(s3, bucket, caplog):
    put(s3, bucket, keys_of('a') + keys_of('B') + keys_of('C/d') + ['README', 'a/README'])
    with caplog.at_level(logging.WARNING):
        assert listed(S3Source(bucket, '', s3)) == (['a'], [])
    assert 'such as' in caplog.text


def test_a_bucket_that_is_not_there(s3):
    source = S3Source('source-s3-never', '', s3)
    with pytest.raises(ClientError):
        list(source.namespaces())
    with pytest.raises(ClientError):
        source.has('a')


def test_the_bucket_is_in_the_path_of_another_s3(ministack):
    client = s3_client(ministack.url, 'us-east-1', 'a', 'b')
    assert client.meta.config.s3['addressing_style'] == 'path'
    assert (s3_client(None, 'eu-west-1').meta.config.s3 or {}).get('addressing_style') is None
    assert s3_client(None, 'eu-west-1').meta.endpoint_url == 'https://s3.eu-west-1.amazonaws.com'
