"""The service under test: what tests ask of it, and the service inside the test process."""
import json
from urllib.parse import unquote_to_bytes

import flask.testing
import werkzeug.wrappers
from prometheus_client.parser import text_string_to_metric_families

from docker_registry_index.service.server import Service
from docker_registry_index.service.settings import settings_of
from tests.helpers.registry import FakeRegistry, deleted, pushed
from tests.helpers.waiting import wait_until

#: The media type of notifications, and the secret of the tests that they carry.
NOTIFICATION = 'application/vnd.docker.distribution.events.v1+json'
SECRET = 'never-show-this-secret'


class ServiceClient:
    """What tests ask of a service. Its method request(method, path, headers, data, params) returns
    the answer, with status_code, headers, content, text and json().

    :ivar index: an EngineIndex on the tables of the service.
    :ivar registry: beside the service."""

    def get(self, path, **more):
        return self.request('GET', path, **more)

    def post(self, body, **headers):
        """Send a notification: bytes, or a list of events; by default with the secret. A header
        that is None is left out."""
        content = body if isinstance(body, bytes) else json.dumps({'events': body}).encode()
        headers = {'Content-Type': NOTIFICATION, 'Authorization': 'Bearer ' + SECRET, **headers}
        return self.request('POST', '/events', data=content, headers={
            name: value for name, value in headers.items() if value is not None})

    def search(self, term, **more):
        """Return the answer to a search, as JSON."""
        answer = self.get('/v1/search', params=dict({'q': term}, **more))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def found(self, term, **more):
        """Return the names that a search finds."""
        return [result['name'] for result in self.search(term, **more)['results']]

    def is_ready(self):
        return self.get('/readyz').status_code == 200

    def metrics(self):
        """Return the samples of /metrics: (name, labels as 'a="b",c="d"', sorted) to a number."""
        return {(sample.name, ','.join(sorted('%s="%s"' % pair for pair in sample.labels.items()))):
                sample.value for family in text_string_to_metric_families(self.get('/metrics').text)
                for sample in family.samples}

    def counted(self, name, labels=''):
        """Return the sum of the samples of one name with all these labels: 'a="b",c="d"'."""
        wanted = set(labels.split(',')) - {''}
        return sum(value for (each, having), value in self.metrics().items()
                   if each == 'registry_index_' + name and wanted <= set(having.split(',')))

    def dynamodb_requests(self, operation=None):
        """Return how many requests to DynamoDB the service has made. It makes a Query every ten
        seconds by itself."""
        return self.counted('dynamodb_requests_total',
                            'operation="%s"' % operation if operation else '')


class _Answer(werkzeug.wrappers.Response):
    """An answer of Flask with the names of requests.Response."""

    content = property(lambda self: self.get_data())
    json = werkzeug.wrappers.Response.get_json


class InProcessService(ServiceClient):
    """The service inside the test process, without a server; it runs inside a `with`.

    :param index: an EngineIndex, whose tables the service uses.
    :param repositories: of its FakeRegistry, which runs at once.
    :param settings: further environment variables of the service."""

    def __init__(self, index, repositories=(), **settings):
        self.index, self.registry = index, FakeRegistry(repositories).__enter__()
        # A notification may take longer than a registry would wait, as on a busy machine.
        self.service = Service(index.settings, settings_of(dict(
            {'REGISTRY_URL': self.registry.url, 'EVENTS_SECRET': SECRET, 'EVENTS_WAIT': '20'},
            **settings), {})[0])
        self.app = self.service.app

    def __enter__(self):
        self.service.start()
        # Without /readyz, which remembers its answer for two seconds.
        wait_until(lambda: self.service.index.ready, 'the service is not ready')
        return self

    def __exit__(self, *failure):
        self.service.stop()
        self.registry.__exit__()

    def push(self, repositories, **fields):
        """Add repositories, names to descriptions, to the registry, which notifies the service."""
        self.registry.repositories.update(repositories)
        assert self.post([pushed(name, **fields) for name in repositories]).status_code == 200

    def delete(self, *names):
        """Delete repositories of the registry, which notifies the service."""
        for name in names:
            del self.registry.repositories[name]
        assert self.post([deleted(name) for name in names]).status_code == 200

    def request(self, method, path, headers=None, data=None, params=None, **environ):
        # A client of its own, as a client is used by one thread.
        return flask.testing.FlaskClient(self.app, _Answer, use_cookies=False).open(
            path, method=method, headers=headers, data=data, query_string=params,
            environ_overrides=environ)

    def request_bytes(self, method, target, *lines):
        """Return the answer to a request whose parts are bytes, as waitress hands them on."""
        path, _, query = target.partition(b'?')
        # In the environment, because Flask's client would read //x as the name of a host.
        environ = {'PATH_INFO': unquote_to_bytes(path), 'QUERY_STRING': query,
                   'REQUEST_URI': target}
        for line in lines:
            name, _, value = line.decode('latin-1').partition(':')
            environ['HTTP_' + name.upper().replace('-', '_')] = value.strip(' \t').encode('latin-1')
        return self.request(method, '/', **{
            name: value.decode('latin-1') for name, value in environ.items()})
