"""The service inside the test process, and what its tests share."""
import pytest

from tests.helpers.clock import Clock
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import FakeRegistry
from tests.helpers.service import InProcessService


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def index(in_process_dynamodb):
    """An EngineIndex without tables."""
    return EngineIndex(in_process_dynamodb.url)


@pytest.fixture(scope='session')
def service(in_process_dynamodb):
    """A service that anybody may read; each test leaves no repository behind."""
    with InProcessService(EngineIndex(in_process_dynamodb.url)) as made:
        yield made


@pytest.fixture(scope='session')
def start(in_process_dynamodb):
    """Return a function that makes a service, to be run in a `with`.

    :param repositories: of its registry, which has started; see FakeRegistry.
    :param settings: of the service."""
    registries = []

    def made(repositories=(), content_type='application/json; charset=utf-8', **settings):
        registries.append(FakeRegistry(repositories, content_type).__enter__())
        return InProcessService(EngineIndex(in_process_dynamodb.url), registries[-1], **settings)
    yield made
    for registry in registries:
        registry.__exit__()
