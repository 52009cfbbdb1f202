# -*- coding: utf-8 -*-
"""The contract of search through docker-registry: changed by its signals, asked over HTTP."""
import concurrent.futures
import functools
import random
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import oracle
from tests.contract.suite import SearchContract
from tests.end_to_end.plugin.registry_place import Place, wait_for_load


class HTTPIndex(object):
    """The adapter of the contract: adds by the first request of a push, removes by DELETE, searches
    as docker does."""

    def __init__(self, client):
        self._client = client

    def fill(self, repositories):
        there = set(self._client.names())
        # Side by side: docker-registry waits 0.4 seconds before it believes that S3 has no such
        # repository.
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(self.remove, there - set(repositories)))
            list(pool.map(self.add, set(repositories) - there))

    def add(self, name, description=None):
        assert description is None, 'docker-registry knows no descriptions'
        self._client.begin_push(name)

    def remove(self, name):
        self._client.delete(name)

    def images(self, name):
        return self._client.expect([200], 'GET', '/v1/repositories/%s/images' % quote(name)).json()

    def search(self, term, limit=None):
        return [(result['name'], result['description'])
                for result in self._client.search(term, limit)]


@pytest.fixture(scope='module')
def shared(ministack, dynamodb_endpoint):
    with Place(ministack.url, dynamodb_endpoint).running() as client:
        yield HTTPIndex(client)


@pytest.fixture
def index(shared):
    return shared


class TestPlugin(SearchContract):
    """Everything that the contract asks for."""


SYLLABLES = ['api', 'web', 'sql', 'my', 'a', 'aa', 'aaa', 'ng', 'inx', 'proxy', '1', '2.0', 'x',
             'API', 'Web', 'A']
#: All that docker sends between them, and what docker-registry takes besides.
USUAL, ODD = ['', '-', '_', '.'], [' ', '+', '%', '%2F', '"', "'", '&', '=', '#', '?', ':', '*',
                                   '~', '\\', '/']


def random_names(seed, count):
    """Return so many names that docker-registry accepts; the same for the same seed."""
    dice = random.Random(seed)

    def part(between):
        return dice.choice(between).join(dice.choice(SYLLABLES) for _ in range(dice.randint(1, 4)))
    names = set()
    while len(names) < count:
        names.add('%s/%s' % (part(USUAL), part(dice.choice([USUAL, ODD]))))
    return sorted(names)


def quoted(text):
    """Return the text quoted as by Python 2.7, which is not as sparing."""
    return quote_plus(text).replace('~', '%7E')


def put(place, name):
    """Put into S3 all that docker-registry itself reads of a repository: one object instead of
    ten."""
    namespace, repository = name.split('/', 1)
    # The registry quotes the repository when it reads the URL, and both parts when it makes a path
    # of them.
    path = '%s/%s' % (quoted(namespace), quoted(quoted(repository)))
    place.bucket.put(quote('%s/repositories/%s/_index_images'
                           % (place.storage_path.strip('/'), path)), b'[]')


@pytest.fixture(scope='module')
def many(ministack, dynamodb_endpoint):
    """A registry that loaded many random repositories from S3: its names and an adapter."""
    place = Place(ministack.url, dynamodb_endpoint)
    names = random_names(2014, 200)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(functools.partial(put, place), names))
    with place.running() as client:
        wait_for_load(client.registry)  # a search before that answers with what is there
        yield dict.fromkeys(names), HTTPIndex(client)


def test_what_was_loaded_are_repositories_to_the_registry(many):
    repositories, index = many
    odd = [name for name in sorted(repositories) if set(name) & set(' +%"\'&=#?:*~\\')]
    assert len(odd) > len(repositories) / 5
    for name in odd[::5]:
        assert index.images(name) == []


PIECES = SYLLABLES + ODD + ['/', '-', '_', '.', ' ', 'p', 'q', 'n', 'é', '\x00']
TERMS = st.lists(st.sampled_from(PIECES), max_size=6).map(''.join) | st.text(max_size=12)


def test_parts_of_the_names_find_over_HTTP_what_the_oracle_finds(many):
    repositories, index = many
    dice = random.Random(1976)
    terms = []
    for name in dice.sample(sorted(repositories), 100):
        start = dice.randrange(len(name))
        terms.append(
            dice.choice([str, str.upper, str.lower])(name[start:start + dice.randint(1, 12)]))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for term, found in zip(terms, pool.map(index.search, terms)):
            assert found == oracle.answer(repositories, term), term


@settings(max_examples=80, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(term=TERMS, limit=st.none() | st.integers(1, 40))
def test_random_terms_find_over_HTTP_what_the_oracle_finds(many, term, limit):
    repositories, index = many
    if limit is None:
        assert index.search(term) == oracle.answer(repositories, term)
    else:
        oracle.check_limited(repositories, term, limit, index.search(term, limit))
