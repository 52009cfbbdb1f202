"""The service as a process: beside a registry of the test, or between the real registry and nginx.

    with Place(dynamodb.url, folder) as place:
        place.images.push('acme/web')
        place.wait_until_found({'acme/web': ''})"""
import contextlib
import os
import signal
import time

import pytest

from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK
from dev.servers.programs import is_missing
from dev.servers.registry_v2 import ConfiguredRegistry, s3_storage, s3_variables
from dev.servers.service import PYTHON, Service, s3_source, two_free_ports
from dev.storage.s3 import Bucket
from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.sources.selection import source_of
from tests.end_to_end.service.images import Images, direct_session
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import SECRET, ServiceClient
from tests.helpers.waiting import wait_until

#: The service, with a lease of three seconds, which reads missing descriptions twice a second.
_QUICK = '''
from docker_registry_index.engine.lifecycle import lease
lease.LEASE_SECONDS = 3
from docker_registry_index.service.sync import description_worker
description_worker.PAUSE = 0.5
from docker_registry_index.cli.commands import main
main(['serve'], prog_name='docker-registry-index')
'''


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


class ServiceProcess(ServiceClient):
    """A service beside a registry, on tables of its own; it runs inside a `with`.

    :param dynamodb: the URL of a local one.
    :param registry: has a `url`; by default a FakeRegistry of its own.
    :param database: of another service, to share its tables.
    :param service_class: Service or a subclass.
    :param settings: further environment of the service; None removes a setting."""

    def __init__(self, dynamodb, registry=None, database=None, service_class=Service, port=None,
                 **settings):
        #: Without the proxy that `settings` may name.
        self.index = EngineIndex(dynamodb, database)
        self.database, self._running = self.index.settings.database, contextlib.ExitStack()
        self.registry = registry or self._running.enter_context(FakeRegistry())
        settings = dict({
            # A notification may take longer than a registry would wait, as on a busy machine.
            'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': SECRET, 'EVENTS_WAIT': '20',
            'DYNAMODB_ENDPOINT_URL': dynamodb, 'DYNAMODB_DATABASE': self.database,
            'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy'}, **settings)
        self.settings = {name: value for name, value in settings.items() if value is not None}
        self._service_class, self.session = service_class, direct_session()
        self.service = self.copy(port)

    def copy(self, port=None, **settings):
        """Return one more service with the same settings, not started."""
        return self._service_class(dict(self.settings, **settings), port)

    def servers(self):
        return [self.service]

    def __enter__(self):
        with self._running as started:
            for server in self.servers():
                started.enter_context(server)
            self._running = started.pop_all()
        return self

    def __exit__(self, *failure):
        self._running.close()

    @property
    def url(self):
        return self.service.url

    def request(self, method, path, **more):
        return self.session.request(method, self.url + path, timeout=60, **more)


class Place(ServiceProcess):
    """A registry with config/distribution.yml, the service, and nginx with config/nginx.conf.

    :param folder: of the registry's storage; None for a new bucket of the S3 at the URL `s3`.
    :param registry_settings: environment of the registry.
    :param auth: (name, password) of all requests, or None.
    :param nginx_class: Nginx or a subclass.
    :ivar storage: the folder, or the storage settings of a Distribution."""

    def __init__(self, dynamodb, folder=None, s3=None, registry_settings=(), auth=None,
                 nginx_class=Nginx, **settings):
        of_registry, of_service, self.storage = {}, {'STORAGE': str(folder)}, str(folder)
        if folder is None:
            bucket = Bucket(s3).name
            of_registry, of_service = s3_variables(s3, bucket), s3_source(s3, bucket)
            self.storage = s3_storage(s3, bucket, '/registry')
        registry_port, service_port = two_free_ports()
        registry = ConfiguredRegistry(service_port, SECRET, dict(of_registry, **dict(
            registry_settings)), folder and str(folder), port=registry_port)
        super().__init__(dynamodb, registry, port=service_port,
                         **{'EVENTS_WAIT': None, **of_service, **settings})
        self.nginx = nginx_class(registry_port, service_port)
        self.images, self.session = Images(self.nginx.url, auth), direct_session(auth)

    def servers(self):
        return [self.registry, self.service, self.nginx]

    @property
    def address(self):
        """Where clients find it: host and port of nginx."""
        return '%s:%d' % (LOOPBACK, self.nginx.port)

    def ask(self, path, url=None, **more):
        """Return the answer to a GET through nginx, or of another url."""
        return self.session.get((url or self.nginx.url) + path, timeout=40, **more)

    def results(self, term='', url=None):
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
        return wait_until(lambda: self.results(term, url), 'a search does not find what it should',
                          seconds, self.service, expected)

    def catalog(self):
        """Return the names that have a tag, as the registry itself returns them."""
        url = self.registry.url
        return [name for name in self.ask('/v2/_catalog?n=1000', url).json()['repositories']
                if self.ask('/v2/%s/tags/list' % name, url).json().get('tags')]

    def assert_equal(self):
        """Assert that rows, postings and storage agree."""
        source = source_of(settings_of(self.settings, {})[0])
        assert list(self.index.engine.checker(source).check()) == []

    def age(self, name):
        """Write into a row that it was pushed two hours ago, so that a sync may remove it."""
        self.index.change_item(self.index.settings.repository_table, {'name': {'S': name}},
                               touched={'N': '%d' % (time.time() - 7200)})


def needs(*programs):
    """Return a mark that skips tests if a program is not installed. In CI, it must be."""
    missing = [name for name in programs if is_missing(name)]
    return pytest.mark.skipif(bool(missing) and not os.environ.get('CI'), reason='not installed: '
                              '%s: dev/bootstrap' % ', '.join(missing))


def kill(server):
    """End a server at once, as a machine does that dies, and take its port back."""
    os.killpg(server.pid, signal.SIGKILL)
    server.stop()
