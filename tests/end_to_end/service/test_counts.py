"""The requests to S3 of the catalog and of a first load, counted beside the real registry.

docs/performance.md has the figures of 300 repositories."""
from benchmarks.catalog_and_load import SIZE
from benchmarks.walks import MeasuredService, first_load, walk
from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from dev.storage.v2_repositories import RegistryBucket, names
from tests.docs import pages
from tests.end_to_end.service.place import needs

NAMES = names(300)


def stated(first_header, what, *cells):
    """Return the last cells of the row of a table that begins with these, for 300 repositories."""
    [row] = [row for row in pages.table('docs/performance.md', first_header)
             if row[:2 + len(cells)] == [what, '300'] + list(cells)]
    return row[2 + len(cells):]


@needs('docker-registry')
def test_requests_to_the_bucket_are_those_that_the_page_states(ministack, dynamodb_local):
    bucket = RegistryBucket(ministack.url).fill(NAMES)
    with Proxy(ministack.url) as s3, Proxy(ministack.url) as of_load, Distribution(
            bucket.storage(s3.url)) as registry:
        if not registry.is_version_3:
            s3.clear()
            done = walk(registry.url, SIZE)
            assert (done.names, done.pages, s3.counts) == (NAMES, 3, {'LIST': s3.total})
            assert [str(s3.total)] == stated('The whole catalog of', 'Distribution 2.8.2',
                                             str(SIZE))[:1]
        with MeasuredService(registry.url, dynamodb_local.url,
                             **bucket.source(of_load.url)) as measured:
            first_load(measured, NAMES)
            assert of_load.counts == {'LIST': 1 + 3 + 8}
            assert str(of_load.total) == stated('The first load from', 'the bucket')[0]
            # Not all descriptions are read yet; without a registry, no more are.
            registry.stop()
            s3.clear()
            of_load.clear()
            for size, count in ((SIZE, 3), (1000, 1)):
                done = walk(measured.service.url, size)
                assert (done.names, done.pages) == (NAMES, count)
                assert ['0', str(count)] == stated('The whole catalog of', 'the service',
                                                   str(size))[:2]
            assert s3.total == of_load.total == 0
