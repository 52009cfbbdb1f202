"""The catalog of the real registry as the source of a load, when a repository is damaged."""
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.servers.registry_v2 import Distribution
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.sources.catalog import CatalogSource
from tests.end_to_end.service.beside import Beside
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import QuickService, wait_until
from tests.service.sources.listing import listed

#: More than two chunks of the catalog.
NAMES = ['a/ok', 'a/web', 'b/broken', 'c/last'] + ['z/app-%03d' % number for number in range(100)]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return tmp_path_factory.mktemp('registry')


@pytest.fixture(scope='module')
def registry(distribution_is_installed, root):
    """A registry of NAMES, and of one more whose last tag was deleted."""
    with Distribution(root) as server:
        images = Images(server.url)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: images.push(name, layers=0), NAMES))
        images.delete('a/gone', images.push('a/gone', layers=0))
        yield server


def test_each_name_with_a_tag_is_listed_at_one_request(registry):
    source = CatalogSource(RegistryClient(registry.url))
    before = registry.counts('"GET /v2/.*python-requests')
    assert listed(source) == (NAMES, [])
    # A page of the catalog, and one request for each name.
    assert registry.counts('"GET /v2/.*python-requests') - before == 1 + len(NAMES) + 1
    assert source.has('a/web') and not source.has('a/gone') and not source.has('a/never')


def test_a_damaged_repository_keeps_no_other_from_being_served(dynamodb_local, registry, root):
    tags = root / 'docker/registry/v2/repositories/b/broken/_manifests/tags'
    shutil.move(tags, root / 'moved')
    tags.write_text('a file')
    assert Images(registry.url).session.get(
        registry.url + '/v2/b/broken/tags/list').status_code == 500
    place = Beside(dynamodb_local.url, registry)
    place.service = QuickService(place.service.settings)
    with place:
        wait_until(lambda: place.get('/v2/_catalog').status_code, 'the load is not complete',
                   30, place.service, 200)
        assert place.get('/readyz').status_code == 200
        assert place.get('/v2/_catalog?n=1000').json()['repositories'] == [
            name for name in NAMES if name != 'b/broken']
        assert "the tags of 'b/broken' cannot be read" in place.service.log_text()
        tags.unlink()
        shutil.move(root / 'moved', tags)
        wait_until(lambda: place.found('broken'), 'a repaired repository is not found', 45,
                   place.service, ['b/broken'])
