"""Places for registries under test; they are made only for tests that ask for one."""
import pytest

from dev.servers.proxy import Proxy
from tests.end_to_end.plugin.registry_place import Place

SEEDED = ['acme/billing-api', 'acme/webshop-frontend', 'library/nginx', 'ops/nginx-proxy',
          'ops/postgres-backup']


@pytest.fixture(scope='session')
def seeded(ministack, dynamodb_endpoint):
    """A place with SEEDED in S3 and a registry on it, started for the first time: (place, client).
    Each test uses names of its own, and deletes them."""
    place = Place(ministack.url, dynamodb_endpoint)
    place.seed(*SEEDED)
    with place.running() as client:
        yield place, client


@pytest.fixture
def place(ministack):
    """A bucket and a database of this test's own, both on ministack."""
    return Place(ministack.url, ministack.url)


@pytest.fixture
def place_on_each(ministack, dynamodb_endpoint):
    """The same, for a test that runs once on each local DynamoDB; S3 is always ministack's."""
    return Place(ministack.url, dynamodb_endpoint)


@pytest.fixture
def proxy(ministack):
    with Proxy(ministack.url) as made:
        yield made


@pytest.fixture
def behind(ministack, proxy):
    """A place whose DynamoDB is behind the proxy."""
    return Place(ministack.url, proxy.url)
