"""An index, and the command docker-registry-index with its settings."""
import pytest

from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex

NAMES = [('library/nginx', None), ('team/api', None), ('team/web', None), ('team/\u00fc', None)]


@pytest.fixture
def index(dynamodb_endpoint):
    """An index without tables."""
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.delete_tables()


@pytest.fixture
def command_of(index, capsys):
    """A function that returns the command with the given variables."""
    return lambda **variables: CommandLine(index, capsys, **variables)


@pytest.fixture
def loaded(index, command_of):
    """The command on an index of NAMES."""
    index.ready(NAMES)
    return command_of()


@pytest.fixture(scope='module')
def shared_index(dynamodb_endpoint):
    return EngineIndex(dynamodb_endpoint).ready(NAMES)


@pytest.fixture
def shared(shared_index, capsys):
    """The command on an index of NAMES that all tests of a module read."""
    return CommandLine(shared_index, capsys)
