"""A load from the real registry's catalog when a repository is damaged."""
from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.beside import Beside
from tests.end_to_end.service.place import QuickService
from tests.end_to_end.service.programs import needs
from tests.helpers.listing import make_repositories
from tests.helpers.waiting import wait_until

#: More than one chunk of the catalog.
NAMES = ['a/ok', 'a/web', 'b/broken', 'c/last'] + ['z/app-%03d' % number for number in range(60)]


@needs('docker-registry')
def test_a_damaged_repository_keeps_no_other_from_being_served(dynamodb_local, tmp_path):
    make_repositories(tmp_path, *NAMES)
    tags = tmp_path / 'docker/registry/v2/repositories/b/broken/_manifests/tags'
    tags.rename(tmp_path / 'moved')
    tags.write_text('a file')
    with Distribution(tmp_path) as registry, Beside(dynamodb_local.url, registry,
                                                    service_class=QuickService) as place:
        answer = place.session.get(registry.url + '/v2/b/broken/tags/list')
        assert answer.status_code == 500
        wait_until(lambda: place.get('/v2/_catalog').status_code, 'the load is not complete', 30,
                   place.service, 200)
        assert place.is_ready() and place.get('/v2/_catalog?n=1000').json()['repositories'] == [
            name for name in NAMES if name != 'b/broken']
        assert "the tags of 'b/broken' cannot be read" in place.service.log_text()
        tags.unlink()
        (tmp_path / 'moved').rename(tags)
        wait_until(lambda: place.found('broken'), 'a repaired repository is not found', 45,
                   place.service, ['b/broken'])
