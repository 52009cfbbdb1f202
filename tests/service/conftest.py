"""The service inside the test process, and what its tests share."""
import gc

import pytest

from tests.helpers.engine import EngineIndex
from tests.helpers.scripted_server import ScriptedServer
from tests.helpers.service import InProcessService


@pytest.fixture
def index(in_process_dynamodb):
    """An EngineIndex without tables."""
    return EngineIndex(in_process_dynamodb.url)


@pytest.fixture
def no_garbage_collection():
    """Without it, finalizers of other tests' objects fail at the depth of a nested document."""
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def server():
    """A server in place of a registry, whose answers the test sets."""
    with ScriptedServer() as running:
        yield running


@pytest.fixture(scope='session')
def service(in_process_dynamodb):
    """A service that anybody may read; each test leaves no repository behind."""
    with InProcessService(EngineIndex(in_process_dynamodb.url)) as made:
        yield made


@pytest.fixture(scope='session')
def start(in_process_dynamodb):
    """Return a function that makes an InProcessService with an index of its own."""
    return lambda *repositories, **settings: InProcessService(
        EngineIndex(in_process_dynamodb.url), *repositories, **settings)
