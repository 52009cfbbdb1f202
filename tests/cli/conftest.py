"""An index, and the command docker-registry-index with its settings."""
import pytest

from tests.helpers.command_line import CommandLine
from tests.helpers.engine import EngineIndex

NAMES = ['library/nginx', 'team/api', 'team/web', 'team/\u00fc']


@pytest.fixture
def index(dynamodb_endpoint):
    """An index without tables."""
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.delete_what_is_left()


@pytest.fixture
def command_of(index, capsys):
    """A function that returns the command with the given variables."""
    return lambda **variables: CommandLine(index, capsys, **variables)


@pytest.fixture
def command(command_of):
    return command_of()


@pytest.fixture
def loaded(index, command):
    """The command on an index of NAMES."""
    index.ready([(name, None) for name in NAMES])
    return command
