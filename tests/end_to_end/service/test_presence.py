"""Which repositories are in the index, and which requests to the real registry decide that."""
import contextlib
import json

import pytest

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import Distribution
from dev.servers.service import two_free_ports
from tests.end_to_end.service.images import OCI, Images
from tests.end_to_end.service.place import Place, QuickService, ServiceProcess, needs
from tests.helpers.command_line import CommandLine
from tests.helpers.service import SECRET
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx')


def test_a_push_costs_one_head_of_its_tag_and_no_list_of_tags(dynamodb_local, tmp_path):
    with Place(dynamodb_local.url, tmp_path) as place:
        place.images.push('acme/web', '1.0', 'Words')
        place.wait_until_found({'acme/web': 'Words'})
        assert place.registry.counts('"HEAD /v2/acme/web/manifests/1.0 HTTP') == 1
        assert place.registry.counts('/v2/acme/web/tags/list') == 0
        assert place.index.engine.description_queue.notes(1) == []


@pytest.mark.parametrize('source', ['catalog', 'files', 'bucket'])
def test_a_repository_without_tags_does_not_count_wherever_it_is_found(
        dynamodb_local, ministack, tmp_path, capsys, source):
    place = Place(dynamodb_local.url, None if source == 'bucket' else tmp_path, ministack.url,
                  service_class=QuickService, **{'STORAGE': None} if source == 'catalog' else {})
    with place:
        images = place.images
        images.push('never/tagged', None)
        images.delete('gone/entirely', images.push('gone/entirely', '1'))
        images.push('both/kinds', None)
        images.push('both/kinds', '1')
        place.wait_until_found({'both/kinds': ''})
        listed = place.ask('/v2/_catalog', place.registry.url).json()['repositories']
        # In a bucket, version 3 no longer lists gone/entirely.
        assert {'both/kinds', 'never/tagged'} <= set(listed)
        # The service reads a push again whose tag came late.
        place.service.stop()
        place.index.engine.remove('both/kinds')
        command = CommandLine(place.index, capsys, **place.settings)
        assert command.json('load')[1]['added'] == 1
        assert place.index.names() == ['both/kinds']
        place.assert_equal()


class Cache:
    """A pull-through cache of a registry with images, and the service beside the cache.

    :ivar upstream: a Proxy, which counts the requests to the registry with the images."""

    def __init__(self, dynamodb, folder, **settings):
        self.folder, (self.port, service_port) = folder, two_free_ports()
        self.origin = Distribution(folder / 'origin')
        self._settings = dict(settings, PULL_THROUGH_CACHE='true', EVENTS_WAIT='0.8')
        self._dynamodb, self._service_port = dynamodb, service_port

    def __enter__(self):
        self._running = contextlib.ExitStack()
        self._running.enter_context(self.origin)
        self.upstream = self._running.enter_context(Proxy(self.origin.url))
        self.registry = self._running.enter_context(Distribution(
            self.folder / 'cache', port=self.port, additions={
                'proxy': {'remoteurl': self.upstream.url}, 'notifications': {'endpoints': [{
                    'name': 'index', 'url': 'http://127.0.0.1:%d/events' % self._service_port,
                    'headers': {'Authorization': ['Bearer ' + SECRET]}, 'timeout': '1s',
                    'threshold': 5, 'backoff': '1s',
                    'ignore': {'mediatypes': ['application/octet-stream']}}]}}))
        self.place = self._running.enter_context(ServiceProcess(
            self._dynamodb, self.registry, service_class=QuickService, port=self._service_port,
            **self._settings))
        return self

    def __exit__(self, *failure):
        self._running.close()

    def pull(self, name, reference):
        """Pull an image with all its blobs, as docker does."""
        images = Images(self.registry.url)
        manifest = images.get(name, reference).json()
        for blob in [manifest['config'], *manifest['layers']]:
            images.session.get('%s/v2/%s/blobs/%s' % (self.registry.url, name, blob['digest']))


def push_annotated(images, name, text):
    """Push an image with a description in its manifest; return its digest."""
    images.push(name)
    manifest = dict(images.get(name, 'latest').json(), annotations={
        'org.opencontainers.image.description': text})
    return images.put(name, 'latest', json.dumps(manifest).encode(), OCI['manifest'])


@pytest.mark.parametrize('storage', [None, 'cache'], ids=['catalog', 'files'])
def test_a_pull_through_cache_asks_its_upstream_nothing_because_of_the_service(
        dynamodb_local, tmp_path, capsys, storage):
    (tmp_path / 'cache').mkdir()
    settings = {'STORAGE': str(tmp_path / storage)} if storage else {}
    with Cache(dynamodb_local.url, tmp_path, **settings) as cache:
        images, place = Images(cache.origin.url), cache.place
        images.push('library/plain', text='A label, which is in a config')
        push_annotated(images, 'library/annotated', 'An annotation')
        images.push('never/pulled')
        for name in 'library/plain', 'library/annotated', 'library/plain':
            cache.pull(name, 'latest')

        def descriptions():
            return {each['name']: each['description'] for each in place.search('')['results']}
        expected = {'library/plain': '', 'library/annotated': 'An annotation'}
        wait_until(descriptions, 'the pulls are not found', 15, place.service, expected)
        requests = cache.registry.counts('"(GET|HEAD) /v2/')
        cache.upstream.clear()
        # A load finds them, too.
        for name in expected:
            place.index.engine.remove(name)
        command = CommandLine(place.index, capsys, **place.settings)
        assert command.json('load')[1]['added'] == 2
        assert command.json('check')[1]['left'] == 0
        # What was noted is read, too.
        place.index.engine.description_queue.note([*expected, 'never/pulled'], is_expected=False)
        wait_until(lambda: place.index.engine.description_queue.notes(1), 'a note is left', 15,
                   place.service, [])
        assert sorted(descriptions()) == sorted(expected)
        assert cache.registry.counts('"(GET|HEAD) /v2/') > requests
        assert cache.upstream.total == 0
