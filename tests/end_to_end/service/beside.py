"""A service process beside a registry, with tables of its own."""
import contextlib

from dev.servers.service import Service
from tests.end_to_end.service.images import direct_session
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import SECRET, ServiceClient

__all__ = ['Beside']


class Beside(ServiceClient):
    """A service that runs inside a `with`, asked over HTTP.

    :param dynamodb: the URL of a local one.
    :param registry: anything with a `url` that runs already; by default a FakeRegistry of its own.
    :param database: of another service, to share its tables.
    :param service_class: Service or a subclass.
    :param more: further settings of the service."""

    def __init__(self, dynamodb, registry=None, database=None, service_class=Service, **more):
        self.index = EngineIndex(dynamodb, database)
        self.session, self._running = direct_session(), contextlib.ExitStack()
        self.registry = registry or self._running.enter_context(FakeRegistry())
        self.service = service_class(dict({
            # A notification may take longer than a registry would wait, as on a busy machine.
            'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': SECRET, 'EVENTS_WAIT': '20',
            'DYNAMODB_ENDPOINT_URL': dynamodb, 'DYNAMODB_DATABASE': self.index.settings.database,
            'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy'}, **more))

    def __enter__(self):
        self._running.enter_context(self.service)
        return self

    def __exit__(self, *failure):
        self._running.close()

    @property
    def url(self):
        return self.service.url

    @property
    def database(self):
        return self.index.settings.database

    def request(self, method, path, **more):
        return self.session.request(method, self.url + path, timeout=60, **more)
