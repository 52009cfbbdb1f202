"""The real registries omit names between the pages of their catalogs, and a load finds them."""
import glob
import os

import pytest

from dev.servers.process import LOCAL
from dev.servers.registry_v2 import Distribution
from dev.storage.v2_repositories import RegistryBucket
from docker_registry_index.engine.errors import StorageUnreadable
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.sources.catalog import CatalogSource
from tests.end_to_end.service.place import needs
from tests.helpers.distribution import DistributionCatalog
from tests.helpers.engine import EngineIndex
from tests.helpers.listing import listed, make_repositories

BUILDS = sorted(glob.glob(os.path.join(LOCAL, 'distribution-v3*', 'registry')))
needs_version_3 = pytest.mark.skipif(
    not BUILDS, reason='not installed: dev/bootstrap distribution-v3 distribution-v3.1')

NAMES = sorted(
    ['team%d/app%s' % (team, rest) for team in range(3) for rest in (
        '', '-extra', '-more', '.old', '/0base', '/base', '/web', '/web-ui', '/web/api', '0', '_x')]
    + ['team1', 'team1-test/app', 'team1.old', 'web', 'web-1', 'web-2', 'web/0', 'web/ui'])


@pytest.fixture(scope='module', params=BUILDS, ids=lambda path: path.split(os.sep)[-2])
def registry(request, ministack):
    """The registry on a bucket of NAMES, whose largest page has seven."""
    bucket = RegistryBucket(ministack.url).fill(NAMES)
    with Distribution(bucket.storage(ministack.url), program=request.param,
                      additions={'catalog': {'maxentries': 7}}) as running:
        yield running


def read_plainly(read, size):
    """Return the pages that the links lead to, and None if there is no answer."""
    pages, address = [], '/v2/_catalog?n=%d' % size
    while address:
        try:
            page = read(address, False)
        except RegistryUnavailable:
            return pages + [None]
        pages, address = pages + [list(page)], page.place
    return pages


@needs_version_3
def test_the_model_of_the_registry_lists_the_same_pages(registry):
    found = [read_plainly(RegistryClient(registry.url)._page, size) for size in range(1, 8)]
    assert found == [
        read_plainly(DistributionCatalog(NAMES).read, size) for size in range(1, 8)]
    assert [pages for pages in found if pages[-1] is None], 'the registry fails'
    assert [pages for pages in found if pages[-1] is not None
            and not set(NAMES) <= set(sum(pages, []))], 'the registry loses names'


@needs_version_3
def test_all_names_are_found_at_few_requests(registry):
    before = registry.counts('GET /v2/_catalog')
    assert listed(CatalogSource(RegistryClient(registry.url))) == (NAMES, [])
    assert registry.counts('GET /v2/_catalog') - before <= 3 * (len(NAMES) // 7 + 1)


@needs_version_3
def test_a_load_is_whole(registry, in_process_dynamodb):
    index = EngineIndex(in_process_dynamodb.url)
    source = CatalogSource(RegistryClient(registry.url))
    assert index.engine.sync(source).complete and index.names() == NAMES
    assert list(index.engine.checker(source).check()) == []


@needs('docker-registry')
@pytest.mark.parametrize('size', [1, 2, 3, 4, 5, 8])
def test_all_names_of_a_directory_are_found(tmp_path, size):
    names = [name for name in NAMES if name < 'team2']
    make_repositories(tmp_path, *names)
    with Distribution(tmp_path, additions={'catalog': {'maxentries': size}}) as registry:
        client = RegistryClient(registry.url)
        model = DistributionCatalog(names, is_of_s3=False, is_old=not registry.is_version_3)
        assert read_plainly(client._page, size) == read_plainly(model.read, size)
        if registry.is_version_3 and size == 1:
            # No smaller page avoids the one at which version 3 drops the connection.
            with pytest.raises(StorageUnreadable):
                listed(CatalogSource(client))
        else:
            assert listed(CatalogSource(client)) == (names, [])
