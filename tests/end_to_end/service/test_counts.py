"""The requests to S3 of the catalog and of a first load, counted beside the real registry.

docs/measurements.md has the figures of 300 repositories.
"""
import pytest

from benchmarks.catalog_and_load import SIZE
from benchmarks.walks import Beside, first_load, walk
from dev.servers.proxy import Proxy, operation_of
from dev.servers.registry_v2 import Distribution
from dev.storage.v2_repositories import RegistryBucket, names
from tests.docs import pages

NAMES = names(300)


@pytest.fixture(scope='module')
def bucket(ministack):
    return RegistryBucket(ministack.url).fill(NAMES)


@pytest.fixture
def s3(ministack):
    """The S3 of the registry, behind a proxy that counts."""
    with Proxy(ministack.url) as proxy:
        yield proxy


@pytest.fixture
def of_load(ministack):
    """The S3 of the service, behind a proxy that counts."""
    with Proxy(ministack.url) as proxy:
        yield proxy


def stated(first_header, what, *cells):
    """Return the last cells of the row of a table that begins with these, for 300 repositories."""
    rows = [row for row in pages.table('docs/measurements.md', first_header)
            if row[:2 + len(cells)] == [what, '300'] + list(cells)]
    assert len(rows) == 1, rows
    return rows[0][2 + len(cells):]


def test_the_registry_s_catalog_takes_a_request_for_each_repository(
        distribution_is_installed, bucket, s3):
    with Distribution(bucket.storage(s3.url)) as registry:
        if registry.is_version_3:
            pytest.skip('version 3 does not')
        s3.clear()
        done = walk(registry.url, SIZE)
        assert done.names == NAMES and done.pages == 3
        assert s3.counts == {'LIST': s3.total} and s3.total >= 300
        assert str(s3.total) == stated('The whole catalog of', 'Distribution 2.8.2', str(SIZE))[0]


def test_the_first_load_lists_the_bucket_and_later_catalogs_send_it_no_request(
        distribution_is_installed, bucket, s3, of_load, dynamodb_local):
    registry = Distribution(bucket.storage(s3.url))
    with registry, Beside(registry.url, dynamodb_local.url, **bucket.source(of_load.url)) as beside:
        first_load(beside, NAMES)
        assert of_load.counts == {'LIST': 1 + 3 + 8}
        assert str(of_load.total) == stated('The first load from', 'the bucket')[0]
        # Not all descriptions are read yet; without a registry, no more are.
        registry.stop()
        s3.clear()
        of_load.clear()
        for size, count in ((SIZE, 3), (1000, 1)):
            done = walk(beside.service.url, size)
            assert (done.names, done.pages) == (NAMES, count)
            assert ['0', str(count)] == stated('The whole catalog of', 'the service', str(size))[:2]
        assert s3.total == of_load.total == 0


@pytest.mark.parametrize('method, path, headers, kind', [
    ('GET', '/bucket?list-type=2&prefix=a', {}, 'LIST'), ('GET', '/bucket/a/key', {}, 'GET'),
    ('GET', '/bucket?delimiter=%2F&prefix=', {}, 'LIST'), ('HEAD', '/bucket/a/key', {}, 'HEAD'),
    ('POST', '/', {'X-Amz-Target': 'DynamoDB_20120810.Query'}, 'Query')])
def test_the_proxy_counts_requests_by_operation(method, path, headers, kind):
    assert operation_of(method, path, headers) == kind
