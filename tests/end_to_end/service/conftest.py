"""The real registry of version 2, shared by all tests that only need one; and a server that is
none."""
import os

import pytest

from dev.servers.programs import is_missing
from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.beside import Beside
from tests.end_to_end.service.images import Images
from tests.helpers.scripted_server import ScriptedServer


@pytest.fixture(scope='session')
def distribution_is_installed():
    """Skips where Debian's docker-registry is not installed; CI must have it."""
    if is_missing('docker-registry') and not os.environ.get('CI'):
        pytest.skip('CNCF Distribution is not installed: apt-get install --no-install-recommends '
                    'docker-registry')


@pytest.fixture(scope='session')
def distribution(distribution_is_installed, tmp_path_factory):
    """A registry on the filesystem, without users; each test pushes names of its own."""
    with Distribution(tmp_path_factory.mktemp('registry')) as server:
        yield server


@pytest.fixture(scope='session')
def images(distribution):
    """The images in it."""
    return Images(distribution.url)


@pytest.fixture
def odd():
    """A server whose answers the test sets."""
    with ScriptedServer() as server:
        yield server


@pytest.fixture(scope='session')
def beside(dynamodb_local):
    """A service without users, and its registry; each test uses names of its own, or leaves none
    behind."""
    with Beside(dynamodb_local.url) as place:
        yield place
