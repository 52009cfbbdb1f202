"""A real registry with config/distribution.yml, the service and nginx with config/nginx.conf, on a
storage and a database of their own.

    with Place(dynamodb.url, Files(folder)) as place:
        place.images.push('acme/web')
        place.wait_until_found({'acme/web': ''})
"""
import contextlib
import json
import os
import signal
import time

from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK
from dev.servers.registry_v2 import ConfiguredRegistry, s3_storage, s3_variables
from dev.servers.service import PYTHON, Service, s3_source, two_free_ports
from dev.storage import s3
from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.sources.selection import source_of
from tests.end_to_end.service.images import Images, direct_session
from tests.helpers.engine import EngineIndex
from tests.helpers.service import NOTIFICATION, SECRET
from tests.helpers.waiting import wait_until

__all__ = ['Bucket', 'Files', 'Place', 'QuickService', 'kill']

#: The service, with a lease of three seconds, which reads missing descriptions twice a second.
_QUICK = '''
from docker_registry_index.engine.lifecycle import lease
lease.LEASE_SECONDS = 3
from docker_registry_index.service.sync import description_worker
description_worker.PAUSE = 0.5
from docker_registry_index.cli.commands import main
main(['serve'], prog_name='docker-registry-index')
'''


class Files:
    """A registry's storage in a folder."""

    def __init__(self, folder):
        self.root = self.settings = str(folder)
        self.of_registry, self.of_service = {}, {'STORAGE': self.root}


class Bucket:
    """A registry's storage in a new bucket of a local S3."""

    root = None

    def __init__(self, url):
        name = s3.Bucket(url).name
        self.settings = s3_storage(url, name, '/registry')
        self.of_registry, self.of_service = s3_variables(url, name), s3_source(url, name)


class QuickService(Service):
    """The service with short pauses, for tests of what happens after these: takeovers and
    descriptions."""

    def command(self):
        serve = super().command()
        return serve[:serve.index(PYTHON)] + [PYTHON, '-c', _QUICK]

    def environment(self):
        # A lease is never shorter than three of the slowest requests.
        return dict({'DYNAMODB_CONNECT_TIMEOUT': '0.2', 'DYNAMODB_READ_TIMEOUT': '0.8',
                     'DYNAMODB_ATTEMPTS': '1'}, **super().environment())


class Place:
    """Registry, service and nginx; inside `with` all three run.

    :param storage: Files or Bucket.
    :param registry_settings: environment of the registry.
    :param auth: (name, password) of all requests, or None.
    :param settings: environment of the service; None removes a setting."""

    service_class = Service

    def __init__(self, dynamodb_url, storage, registry_settings=None, auth=None, **settings):
        self.storage = storage
        registry_port, service_port = two_free_ports()
        self.registry = ConfiguredRegistry(service_port, SECRET,
                                           dict(storage.of_registry, **(registry_settings or {})),
                                           storage.root, port=registry_port)
        #: The engine on the same tables, without the proxy that `settings` may name.
        self.index = EngineIndex(dynamodb_url)
        settings = dict({
            'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': SECRET,
            'DYNAMODB_DATABASE': self.index.settings.database,
            'DYNAMODB_ENDPOINT_URL': dynamodb_url, 'DYNAMODB_ACCESS_KEY': 'AKIADUMMY',
            'DYNAMODB_SECRET_ACCESS_KEY': 'dummy'}, **dict(storage.of_service, **settings))
        self.settings = {name: value for name, value in settings.items() if value is not None}
        self.service = self.copy(service_port)
        self.nginx = Nginx(registry_port, service_port)
        self.images = Images(self.nginx.url, auth)
        self.session = direct_session(auth)
        self._running = contextlib.ExitStack()

    def copy(self, port=None, **settings):
        """Return one more service of this place, not started."""
        return self.service_class(dict(self.settings, **settings), port)

    def __enter__(self):
        with contextlib.ExitStack() as started:
            for server in (self.registry, self.service, self.nginx):
                started.callback(server.stop)
                server.start()
            self._running = started.pop_all()
        return self

    def __exit__(self, *failure):
        self._running.close()

    @property
    def address(self):
        """Where clients find it: host and port of nginx."""
        return '%s:%d' % (LOOPBACK, self.nginx.port)

    def ask(self, path, url=None, **more):
        """Return the answer to a GET through nginx, or of another url."""
        return self.session.get((url or self.nginx.url) + path, timeout=40, **more)

    def found(self, term='', url=None):
        """Return what a search finds, names to descriptions. The search must be answered."""
        results, page = {}, 1
        while True:
            answer = self.ask('/v1/search', url, params={'q': term, 'n': '100', 'page': str(page)})
            assert answer.status_code == 200, (answer.status_code, answer.text)
            results.update((each['name'], each['description']) for each in answer.json()['results'])
            if answer.json()['num_pages'] == page:
                return results
            page += 1

    def wait_until_found(self, expected, term='', seconds=10, url=None):
        """Return the seconds until a search finds these names with these descriptions, and nothing
        else."""
        return wait_until(lambda: self.found(term, url), 'a search does not find what it should',
                          seconds, self.service, expected)

    def catalog(self):
        """Return the names that have a tag, as the registry itself returns them."""
        url = self.registry.url
        return [name for name in self.ask('/v2/_catalog?n=1000', url).json()['repositories']
                if self.ask('/v2/%s/tags/list' % name, url).json().get('tags')]

    def post(self, events, url=None):
        """Send a notification, a list of events or bytes, to the service; return the answer."""
        body = events if isinstance(events, bytes) else json.dumps({'events': events}).encode()
        return self.session.post((url or self.service.url) + '/events', data=body, timeout=20,
                                 headers={'Authorization': 'Bearer ' + SECRET,
                                          'Content-Type': NOTIFICATION})

    def deliver(self, events, url=None):
        """Send a notification as a registry does: again and again until it is answered with 200."""
        wait_until(lambda: self.post(events, url).status_code, 'a notification is not accepted', 20,
                   self.service, 200)

    def assert_equal(self):
        """Assert that rows, postings and storage agree."""
        source = source_of(settings_of(self.settings, {})[0])
        assert list(self.index.engine.checker(source).check()) == []

    def age(self, name):
        """Write into a row that it was pushed two hours ago, so that a sync may remove it."""
        self.index.engine.client.call(
            'update_item', TableName=self.index.settings.repository_table,
            Key={'name': {'S': name}}, UpdateExpression='SET touched = :long_ago',
            ExpressionAttributeValues={':long_ago': {'N': '%d' % (time.time() - 7200)}})


def kill(server):
    """End a server at once, as a machine does that dies, and take its port back."""
    os.killpg(server.pid, signal.SIGKILL)
    server.stop()
