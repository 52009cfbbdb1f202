"""A Docker daemon for all tests of the service with real programs."""
import os

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.process import ServerError


@pytest.fixture(scope='module')
def dockerd():
    """A Docker daemon. If none can start, as in a container whose root may not mount, the tests are
    skipped; in CI, they fail."""
    daemon = Dockerd()
    try:
        daemon.start()
    except ServerError as error:
        if os.environ.get('CI'):
            raise
        pytest.skip('a Docker daemon cannot start here: %s' % str(error).splitlines()[0])
    yield daemon
    daemon.stop()
