"""A scripted web server for each test of the registry client."""
import pytest

from tests.helpers.scripted_server import ScriptedServer


@pytest.fixture
def server():
    """A server in place of a registry, whose answers the test sets."""
    with ScriptedServer() as running:
        yield running
