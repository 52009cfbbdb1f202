"""Fixtures of the tests of faults.

`--long` runs as many repetitions as docs/faults.md states; without it, a few of each."""
import pytest

from dev.servers.proxy import Proxy


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


def assert_right(index, stored):
    """Assert that an EngineIndex contains exactly these repositories, in rows and postings."""
    index.assert_whole()
    assert list(index.engine.checker(lambda: stored).check()) == []
    assert dict(index.search('')) == {name: description or '' for name, description in stored}
