"""The contract of search through docker-registry: changed by its signals, asked over HTTP."""
import functools

import pytest

from tests.contract.suite import SearchContract
from tests.end_to_end.plugin.registry_place import Place
from tests.helpers.waiting import in_threads


class HTTPIndex(object):
    """The adapter of the contract: adds by the first request of a push, removes by DELETE, searches
    as docker does."""

    def __init__(self, client):
        self._client = client

    def fill(self, repositories):
        there = set(self._client.names())
        # Side by side: docker-registry waits 0.4 seconds before it believes that S3 has no such
        # repository.
        in_threads([functools.partial(self.remove, name) for name in there - set(repositories)]
                   + [functools.partial(self.add, name) for name in set(repositories) - there])()

    def add(self, name, description=None):
        assert description is None, 'docker-registry has no descriptions'
        self._client.begin_push(name)

    def remove(self, name):
        self._client.delete(name)

    def search(self, term, limit=None):
        return [(result['name'], result['description'])
                for result in self._client.search(term, limit)]


@pytest.fixture(scope='module')
def index(ministack, dynamodb_endpoint):
    with Place(ministack.url, dynamodb_endpoint).running() as client:
        yield HTTPIndex(client)


class TestPlugin(SearchContract):
    """Everything that the contract asks for."""
