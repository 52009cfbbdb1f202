"""A place of its own for a test: a real registry with config/distribution.yml, the service, nginx
with config/nginx.conf, a storage and a database.

    with Place(dynamodb.url, Files(folder)) as place:
        place.images.push('acme/web')
        place.wait_until_found('acme/web')

Nothing is shared with other places but the local AWS. Python 3.
"""
import contextlib
import functools
import json
import os
import signal
import subprocess
import time
import uuid

import requests

from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK, ROOT, local_environment
from dev.servers.registry_v2 import ConfiguredRegistry, s3_storage, s3_variables
from dev.servers.service import PYTHON, Service, s3_source, two_free_ports
from dev.storage import s3
from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.sources.selection import source_of
from tests.helpers.engine import EngineIndex
from tests.end_to_end.service.images import Images
from tests.helpers.waiting import lines_of, wait_until

__all__ = ['Bucket', 'Files', 'LOADED', 'Place', 'QuickService', 'SECRET', 'kill', 'lines_of',
           'wait_until']

SECRET = 'a-secret-of-the-notifications'
#: What the log contains when a load has ended.
LOADED = 'loaded the search index in'

# The service with short leases and pauses, for tests of what happens after these: takeovers and
# descriptions.
_QUICK = '''
from docker_registry_index.engine.lifecycle import lease
lease.LEASE_SECONDS = {lease}
from docker_registry_index.service.sync import description_worker
description_worker.PAUSE = {pause}
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
        name = 'place-' + uuid.uuid4().hex[:12]
        s3.Bucket(url, name)
        self.settings = s3_storage(url, name, '/registry')
        self.of_registry, self.of_service = s3_variables(url, name), s3_source(url, name)


class QuickService(Service):
    """The service with a lease of two seconds, that reads missing descriptions twice a
    second."""

    lease, pause = 2, 0.5

    def command(self):
        serve = super().command()
        return serve[:serve.index(PYTHON)] + [PYTHON, '-c',
                                              _QUICK.format(lease=self.lease, pause=self.pause)]

    def environment(self):
        # A lease is never shorter than one and a half of the slowest request.
        return dict({'DYNAMODB_CONNECT_TIMEOUT': '0.3', 'DYNAMODB_READ_TIMEOUT': '1',
                     'DYNAMODB_ATTEMPTS': '1'}, **super().environment())


class Place:
    """Registry, service and nginx on one storage and one database; inside `with` all three run.

    storage: Files or Bucket. registry_settings: environment of the registry. settings: environment
    of the service, None removes one.
    """

    service_class = Service

    def __init__(self, dynamodb_url, storage, registry_settings=None, auth=None, **settings):
        self.name = 'place-' + uuid.uuid4().hex[:12]
        self.dynamodb_url, self.storage, self.auth = dynamodb_url, storage, auth
        registry_port, service_port = two_free_ports()
        self.registry = ConfiguredRegistry(service_port, SECRET,
                                           dict(storage.of_registry, **(registry_settings or {})),
                                           storage.root, port=registry_port)
        self.settings = dict(storage.of_service, DYNAMODB_ENDPOINT_URL=dynamodb_url,
                             DYNAMODB_DATABASE=self.name, REGISTRY_URL=self.registry.url,
                             EVENTS_SECRET=SECRET)
        self.settings.update(settings)
        self.service = self.copy(port=service_port)
        self.nginx = Nginx(registry_port, service_port)
        self.images = Images(self.nginx.url, auth)
        self.session = requests.Session()
        self.session.trust_env = False
        self._running = contextlib.ExitStack()

    def copy(self, port=None, kind=None, **settings):
        """Return one more service of this place, not started."""
        return (kind or self.service_class)(dict(self.settings, **settings), port)

    @contextlib.contextmanager
    def two_copies(self):
        """Start two copies of the service at the same moment; give them when they are ready."""
        copies = [self.service, self.copy()]
        with contextlib.ExitStack() as running:
            for each in copies:
                running.callback(each.stop)
                each.launch()
            for each in copies:
                each.wait_until_ready(20)
            yield copies

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

    @functools.cached_property
    def index(self):
        """The engine on the same tables, by the same way as the service."""
        return EngineIndex(self.dynamodb_url, self.name)

    def ask(self, path, url=None, timeout=40, **more):
        """Return the answer to a GET through nginx, or of another url."""
        return self.session.get((url or self.nginx.url) + path, auth=self.auth, timeout=timeout,
                                **more)

    def found(self, term='', url=None):
        """Return what a search finds: names and descriptions. The search must be answered."""
        results, page = {}, 1
        while True:
            answer = self.ask('/v1/search', url, params={'q': term, 'n': '100', 'page': str(page)})
            assert answer.status_code == 200, (answer.status_code, answer.text)
            results.update((each['name'], each['description']) for each in answer.json()['results'])
            if answer.json()['num_pages'] == page:
                return results
            page += 1

    def wait_until_found(self, *names, seconds=10, term='', url=None):
        """Return the seconds until a search finds all these."""
        return wait_until(lambda: set(names) <= set(self.found(term, url)),
                          'a search does not find %s' % ', '.join(names), seconds, self.service)

    def wait_until_is(self, expected, seconds=10, url=None):
        """Return the seconds until a search finds these names with these descriptions and nothing
        else."""
        return wait_until(lambda: self.found(url=url), 'a search does not find what it should',
                          seconds, self.service, expected)

    def catalog(self):
        """Return the names that have a tag, as the registry itself returns them."""
        url = self.registry.url
        names = self.ask('/v2/_catalog?n=1000', url).json()['repositories']
        return sorted(name for name in names
                      if self.ask('/v2/%s/tags/list' % name, url).json().get('tags'))

    def post(self, events, url=None, secret=SECRET, timeout=20):
        """Send a notification: a list of events, or bytes; return the answer."""
        body = events if isinstance(events, bytes) else json.dumps({'events': events}).encode()
        headers = {'Authorization': 'Bearer ' + secret,
                   'Content-Type': 'application/vnd.docker.distribution.events.v1+json'}
        return self.session.post((url or self.service.url) + '/events', data=body,
                                 timeout=timeout, headers=headers)

    def deliver(self, events, url=None):
        """Send a notification as a registry does: again and again until it is answered with 200."""
        wait_until(lambda: self.post(events, url).status_code, 'a notification is not accepted', 20,
                   self.service, 200)

    def command(self, *arguments, **settings):
        """Run docker-registry-index with the service's settings; return
        subprocess.CompletedProcess."""
        environment = dict((name, value) for name, value in dict(self.settings, **settings).items()
                           if value is not None)
        return subprocess.run([PYTHON, '-m', 'docker_registry_index'] + list(arguments), cwd=ROOT,
                              env=local_environment(environment), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60)

    def assert_equal(self, dynamodb_url):
        """Assert that rows, postings and storage agree, DynamoDB asked directly."""
        environment = {name: value for name, value in self.settings.items() if value is not None}
        source = source_of(settings_of(environment, {})[0])
        assert list(EngineIndex(dynamodb_url, self.name).engine.checker(source).check()) == []

    def age(self, *names):
        """Write into these rows that they were pushed two hours ago, so that a sync may remove
        them."""
        for name in names:
            self.index.engine.client.call(
                'update_item', TableName=self.index.settings.repository_table,
                Key={'name': {'S': name}}, UpdateExpression='SET touched = :long_ago',
                ExpressionAttributeValues={':long_ago': {'N': '%d' % (time.time() - 7200)}})


def kill(server):
    """End a server at once, as a machine does that dies, and take its port back."""
    os.killpg(server.pid, signal.SIGKILL)
    server.stop()
