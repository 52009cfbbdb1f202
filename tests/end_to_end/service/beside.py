"""A service with all that stands beside it in a test: a registry whose repositories the test gives,
tables of its own, and what it counts."""
import json
import re
import secrets

import requests

from dev.servers.service import Service
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry

__all__ = ['Beside', 'without_proxies']

_SAMPLE = re.compile(r'(\w+)(?:\{(.*)\})? (\S+)$')


def without_proxies():
    """A session that reads nothing from the environment."""
    session = requests.Session()
    session.trust_env = False
    return session


class Beside:
    """A service that runs inside a `with`, and what it works with.

    dynamodb: the URL of one. registry: a FakeRegistry, or anything else with a `url`; one of its
    own by default. database: of another one, to share its tables. more: further settings of the
    service.
    """

    def __init__(self, dynamodb, registry=None, database=None, **more):
        self.index = EngineIndex(dynamodb, database)
        self.secret = secrets.token_hex(16)
        self._own = FakeRegistry() if registry is None else None
        self.registry = registry or self._own
        self.service = Service(dict({
            # Longer than a registry would wait, and than a busy machine takes.
            'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': self.secret, 'EVENTS_WAIT': '20',
            'DYNAMODB_ENDPOINT_URL': dynamodb, 'DYNAMODB_DATABASE': self.index.settings.database,
            'DYNAMODB_ACCESS_KEY': 'AKIADUMMY', 'DYNAMODB_SECRET_ACCESS_KEY': 'dummy'}, **more))
        self.session = without_proxies()

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

    def get(self, path, **more):
        return self.session.get(self.url + path, timeout=30, **more)

    def post(self, body, **headers):
        """Send a notification: bytes, or a list of events; by default with the secret."""
        content = body if isinstance(body, bytes) else json.dumps({'events': body}).encode()
        wanted = dict({'Content-Type': 'application/vnd.docker.distribution.events.v1+json',
                       'Authorization': 'Bearer ' + self.secret}, **headers)
        return self.session.post(self.url + '/events', data=content,
                                 timeout=30, headers={name: value for name, value in wanted.items()
                                                      if value is not None})

    def search(self, term, **more):
        """The answer to a search, as JSON."""
        answer = self.get('/v1/search', params=dict({'q': term}, **more))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def found(self, term, **more):
        """The names that a search finds."""
        return [result['name'] for result in self.search(term, **more)['results']]

    def metrics(self):
        """Return the samples of /metrics: (name, labels as written, sorted) to a number."""
        samples, answer = {}, self.get('/metrics')
        assert answer.status_code == 200, answer.text
        for line in answer.text.splitlines():
            found = None if line.startswith('#') else _SAMPLE.match(line)
            if found:
                samples[found[1], ','.join(sorted((found[2] or '').split(',')))] = float(found[3])
        return samples

    def counted(self, name, labels=''):
        """The sum of the samples of one name that have all these labels, written as
        'a="b",c="d"'."""
        wanted = set(labels.split(',')) - {''}
        return sum(value for (each, having), value in self.metrics().items()
                   if each == 'registry_index_' + name and wanted <= set(having.split(',')))

    def dynamodb_requests(self, operation=None):
        """How many requests to DynamoDB it has made.

        It makes a Query every ten seconds by itself.
        """
        return self.counted('dynamodb_requests_total', 'operation="%s"' % operation if operation
                            else '')
