"""Fixtures of the tests of faults.

`--long` runs as many repetitions as docs/faults.md states; without it, a few of each.
"""
import pytest

from dev.servers.proxy import Proxy
from tests.helpers.engine import EngineIndex


def pytest_addoption(parser):
    parser.addoption('--long', action='store_true',
                     help='run the long versions of the tests of faults: an hour')


@pytest.fixture(scope='session')
def is_long(request):
    return request.config.getoption('--long', False)


@pytest.fixture
def proxy(dynamodb_local):
    with Proxy(dynamodb_local.url) as made:
        yield made


@pytest.fixture
def index(dynamodb_local):
    """An index of a database of its own, without faults."""
    made = EngineIndex(dynamodb_local.url)
    yield made
    made.delete_tables()
