"""A load from the real registry's catalog when a repository is damaged."""
import shutil
from concurrent.futures import ThreadPoolExecutor

from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.beside import Beside
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import QuickService, wait_until

#: More than one chunk of the catalog.
NAMES = ['a/ok', 'a/web', 'b/broken', 'c/last'] + ['z/app-%03d' % number for number in range(60)]


def test_a_damaged_repository_keeps_no_other_from_being_served(
        distribution_is_installed, dynamodb_local, tmp_path):
    with Distribution(tmp_path) as registry:
        images = Images(registry.url)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: images.push(name, layers=0), NAMES))
        tags = tmp_path / 'docker/registry/v2/repositories/b/broken/_manifests/tags'
        shutil.move(tags, tmp_path / 'moved')
        tags.write_text('a file')
        assert images.session.get(registry.url + '/v2/b/broken/tags/list').status_code == 500
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
            shutil.move(tmp_path / 'moved', tags)
            wait_until(lambda: place.found('broken'), 'a repaired repository is not found', 45,
                       place.service, ['b/broken'])
