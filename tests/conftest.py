"""Local servers for every test, started once a run and only when a test asks for them; see
dev/servers/."""
from __future__ import absolute_import

import os
import sys

import hypothesis
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, ROOT)  # the package and dev/ of this checkout, whatever is installed

from dev.servers.aws import DynamoDBLocal, Ministack, dynamodb_local_is_installed  # noqa: E402
from dev.servers.process import local_environment  # noqa: E402
from docker_registry_index.engine._compat import PY2  # noqa: E402
from tests.helpers.clock import Clock  # noqa: E402

# value of --dynamodb: the fixture that has the engine
ENGINES = {'ministack': 'ministack', 'local': 'dynamodb_local', 'moto': 'in_process_dynamodb'}

# CI tests the same examples at every run, so that a change is judged by itself; a person tests
# others at every run. There is no deadline: a busy machine is not a failure.
hypothesis.settings.register_profile('any', derandomize=bool(os.environ.get('CI')), deadline=None)
hypothesis.settings.load_profile('any')


def pytest_addoption(parser):
    parser.addoption('--dynamodb', action='append', choices=sorted(ENGINES),
                     default=[], help='run the tests of DynamoDB on this local engine (may be '
                     'given again; default: moto, in the test process; on Python 2.7, local)')


def pytest_configure(config):
    """Remove what could lead a test, or boto3 inside it, to a real account."""
    scrubbed = local_environment()
    os.environ.clear()
    os.environ.update(scrubbed)


def _engine(name):
    """Return the parameter for one local engine.

    DynamoDB Local not installed: a skip for a person, a failure for CI."""
    missing = name == 'local' and not (dynamodb_local_is_installed() or os.environ.get('CI'))
    skip = pytest.mark.skip(reason='DynamoDB Local is not installed (it needs Java and Maven): '
                                   'dev/bootstrap dynamodb-local')
    return pytest.param(name, id=ENGINES[name], marks=[skip] if missing else [])


def pytest_generate_tests(metafunc):
    if 'dynamodb_endpoint' in metafunc.fixturenames:
        engines = metafunc.config.getoption('dynamodb') or ['local' if PY2 else 'moto']
        metafunc.parametrize('dynamodb_endpoint', [_engine(name) for name in engines],
                             indirect=True, scope='session')


@pytest.fixture
def clock():
    """A clock that the test advances."""
    return Clock()


@pytest.fixture(scope='session')
def ministack():
    """A running local AWS, S3 and DynamoDB, shared by all tests: dev.servers.aws.Ministack."""
    with Ministack() as server:
        yield server


@pytest.fixture(scope='session')
def dynamodb_local():
    """A running DynamoDB Local, shared by all tests."""
    with DynamoDBLocal() as server:
        yield server


@pytest.fixture(scope='session')
def in_process_dynamodb():
    """moto, in the test process."""
    from tests.helpers.in_process_dynamodb import InProcessDynamoDB
    with InProcessDynamoDB() as engine:
        yield engine


@pytest.fixture(scope='session')
def dynamodb_endpoint(request):
    """The URL of a local DynamoDB; every test that takes it runs once on each engine that is asked
    for. Use a database name of your own in every test."""
    return request.getfixturevalue(ENGINES[request.param]).url


@pytest.fixture(scope='session')
def real_dynamodb_endpoint(dynamodb_endpoint):
    """The same for a test that moto cannot run: of capacity, limits or parallel transactions."""
    if dynamodb_endpoint.endswith('.amazonaws.com'):
        pytest.skip('moto cannot run it: make test-py27 runs it on DynamoDB Local')
    return dynamodb_endpoint
