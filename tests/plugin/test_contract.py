# -*- coding: utf-8 -*-
"""The contract of search through docker-registry: changed by its signals, asked over HTTP."""
import concurrent.futures
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import oracle
from tests.contract.suite import SearchContract
from tests.plugin.registry_place import Place


class HTTPIndex(object):
    """The adapter of the contract: adds by the first request of a push, removes by DELETE, searches as docker does."""

    def __init__(self, client):
        self._client = client

    def fill(self, repositories):
        there = set(self._client.names())
        # Side by side: docker-registry waits 0.4 seconds before it believes that S3 has no such repository.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.remove, there - set(repositories)))
            list(pool.map(self.add, set(repositories) - there))

    def add(self, name, description=None):
        assert description is None, 'docker-registry knows no descriptions'
        self._client.begin_push(name)

    def remove(self, name):
        self._client.delete(name)

    def search(self, term, limit=None):
        return [(result['name'], result['description']) for result in self._client.search(term, limit)]


@pytest.fixture(scope='module')
def shared(ministack, dynamodb_endpoint):
    with Place(ministack.url, dynamodb_endpoint).running() as client:
        yield HTTPIndex(client)


@pytest.fixture
def index(shared):
    return shared


class TestPlugin(SearchContract):
    """Everything that the contract asks for."""


SYLLABLES = ['api', 'web', 'sql', 'my', 'a', 'aa', 'aaa', 'ng', 'inx', 'proxy', '1', '2.0', 'x']


def random_names(seed, count):
    """Return so many names that docker accepts; the same for the same seed."""
    dice = random.Random(seed)

    def part():
        return dice.choice(['', '-', '_', '.']).join(dice.choice(SYLLABLES) for _ in range(dice.randint(1, 4)))
    return sorted(set('%s/%s' % (part(), part()) for _ in range(count)))


@pytest.fixture(scope='module')
def many(ministack, dynamodb_endpoint):
    """A registry that loaded many random repositories from S3: its names and an adapter."""
    place = Place(ministack.url, dynamodb_endpoint)
    names = random_names(2014, 300)
    for name in names:
        # All that the registry itself looks for, in one object instead of ten.
        place.bucket.put('%s/repositories/%s/_index_images' % (place.storage_path.strip('/'), name), b'[]')
    with place.running() as client:
        yield dict.fromkeys(names), HTTPIndex(client)


PIECES = SYLLABLES + ['/', '-', '_', '.', ' ', 'A', 'p', 'q', 'n', 'é', '%', '+', '&', '\x00']
TERMS = st.lists(st.sampled_from(PIECES), max_size=6).map(''.join) | st.text(max_size=12)


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(term=TERMS, limit=st.none() | st.integers(1, 40))
def test_random_terms_find_over_HTTP_what_the_oracle_finds(many, term, limit):
    repositories, index = many
    if limit is None:
        assert index.search(term) == oracle.answer(repositories, term)
    else:
        oracle.check_limited(repositories, term, limit, index.search(term, limit))
