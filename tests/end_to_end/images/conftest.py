"""Both images, built once a run with a real Docker daemon, and a private network where they run.

Without Debian's base images or a daemon, the tests are skipped; in CI, they fail."""
import os
import time

import pytest

from dev.servers.base_images import load_base_image
from dev.servers.dockerd import Dockerd
from dev.servers.private_network import PrivateNetwork
from dev.servers.process import ROOT, ServerError
from tests.end_to_end.images.containers import PLUGIN, SERVICE, Containers, ReachableAws
from tests.helpers.waiting import in_threads

#: Tags to context and file, the slow one first.
BUILDS = {PLUGIN: (ROOT, 'Dockerfile'), SERVICE: (ROOT, 'Dockerfile.service'),
          'registry:2': (os.path.dirname(__file__), 'registry.Dockerfile')}


@pytest.fixture(scope='session')
def builder_data(tmp_path_factory):
    """The folder of a daemon's images, with both images and their base images."""
    data = str(tmp_path_factory.mktemp('docker') / 'data')
    try:
        with Dockerd(data) as dockerd:
            for suite in 'bullseye', 'trixie':
                load_base_image(dockerd, suite)
            in_threads([lambda tag=tag: _build(dockerd, tag) for tag in BUILDS])()
    except ServerError as error:
        if os.environ.get('CI') or ' failed with status ' in str(error):
            raise
        pytest.skip('no image can be built here: %s' % str(error).splitlines()[0])
    return data


def _build(dockerd, tag):
    started = time.monotonic()
    dockerd.build(tag, *BUILDS[tag])
    print('%s: built in %d seconds' % (tag, time.monotonic() - started))


@pytest.fixture(scope='session')
def network(builder_data):
    """A network of its own for all tests that follow: its ports are free, and it reaches no other
    machine."""
    with PrivateNetwork() as network:
        yield network


@pytest.fixture(scope='session')
def dockerd(builder_data, network):
    """A Docker daemon with both images."""
    with Dockerd(builder_data, networks=True) as daemon:
        yield daemon


@pytest.fixture(scope='session')
def aws(network):
    """A local S3 and DynamoDB, which containers reach."""
    with ReachableAws() as server:
        yield server


@pytest.fixture
def containers(dockerd):
    """Runs containers, which are removed after the test."""
    with Containers(dockerd) as running:
        yield running
