"""A service process beside a registry stand-in, with tables of its own."""
import requests

from dev.servers.service import Service
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import SECRET, ServiceClient

__all__ = ['Beside']


class Beside(ServiceClient):
    """A service that runs inside a `with`, asked over HTTP.

    :param dynamodb: the URL of a local one.
    :param registry: a FakeRegistry, or anything else with a `url`; by default one of its own.
    :param database: of another service, to share its tables.
    :param service_class: Service or a subclass.
    :param more: further settings of the service."""

    def __init__(self, dynamodb, registry=None, database=None, service_class=Service, **more):
        self.index = EngineIndex(dynamodb, database)
        self._own = FakeRegistry() if registry is None else None
        self.registry = registry or self._own
        self.service = service_class(dict({
            # A notification may take longer than a registry would wait, as on a busy machine.
            'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': SECRET, 'EVENTS_WAIT': '20',
            'DYNAMODB_ENDPOINT_URL': dynamodb, 'DYNAMODB_DATABASE': self.index.settings.database,
            'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy'}, **more))
        self.session = requests.Session()
        self.session.trust_env = False

    def __enter__(self):
        if self._own:
            self._own.__enter__()
        self.service.start()
        return self

    def __exit__(self, *failure):
        self.session.close()
        self.service.stop()
        if self._own:
            self._own.__exit__(*failure)

    @property
    def url(self):
        return self.service.url

    @property
    def database(self):
        return self.index.settings.database

    def request(self, method, path, **more):
        return self.session.request(method, self.url + path, timeout=60, **more)
