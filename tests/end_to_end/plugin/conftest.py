"""Places for registries under test; they are made only for tests that ask for one."""
from __future__ import absolute_import

import pytest


SEEDED = ['acme/billing-api', 'acme/webshop-frontend', 'library/nginx', 'ops/nginx-proxy',
          'ops/postgres-backup']


@pytest.fixture(scope='session')
def seeded(ministack, dynamodb_endpoint):
    """A place with SEEDED in S3 and a registry on it, started for the first time: (place, client).
    Each test uses names of its own, and deletes them."""
    from tests.end_to_end.plugin.registry_place import Place
    place = Place(ministack.url, dynamodb_endpoint)
    place.seed(*SEEDED)
    with place.running() as client:
        yield place, client
        assert 'Traceback' not in client.registry.log_text()


@pytest.fixture
def place(ministack):
    """A bucket and a database of this test's own, both on ministack."""
    # here: other tests of this folder run on Python 2.7
    from tests.end_to_end.plugin.registry_place import Place
    return Place(ministack.url, ministack.url)


@pytest.fixture
def place_on_each(ministack, dynamodb_endpoint):
    """The same, for a test that runs once on each local DynamoDB; S3 is always ministack's."""
    from tests.end_to_end.plugin.registry_place import Place
    return Place(ministack.url, dynamodb_endpoint)
