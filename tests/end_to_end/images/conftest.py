"""Both images, built once a run with a real Docker daemon, and a private network where they run.

Without Debian's base images or a daemon, the tests are skipped; in CI, they fail."""
import concurrent.futures
import os
import pathlib
import re
import tempfile
import time

import pytest

from dev.servers.base_images import load_base_image
from dev.servers.dockerd import Dockerd
from dev.servers.private_network import PrivateNetwork
from dev.servers.process import ROOT, ServerError
from tests.docs import pages
from tests.end_to_end.images.containers import (FIGURES, PLUGIN, SERVICE, Containers,
                                                ReachableAws)

#: Tags to context and file, the slow one first.
BUILDS = {PLUGIN: (ROOT, 'Dockerfile'), SERVICE: (ROOT, 'Dockerfile.service'),
          'registry:2': (os.path.dirname(__file__), 'registry.Dockerfile')}
LOCKS = {PLUGIN: 'registry-py27.txt', SERVICE: 'service-py3.txt'}


class Built:
    """What the builds of a run have left.

    :ivar data: the folder of the daemon's images, with both images and their base images.
    :ivar refusals: the errors of builds whose lock files have a wrong hash, by tag."""

    def __init__(self, folder):
        self.data, self.refusals = str(folder / 'data'), {}
        with Dockerd(self.data) as dockerd:
            for suite in 'bullseye', 'trixie':
                load_base_image(dockerd, suite)
            with concurrent.futures.ThreadPoolExecutor() as threads:
                list(threads.map(lambda tag: _build(dockerd, tag), BUILDS))
            for tag, lock in LOCKS.items():
                self.refusals[tag] = _refusal(dockerd, folder / lock, BUILDS[tag][1], lock)


def _build(dockerd, tag):
    started = time.monotonic()
    dockerd.build(tag, *BUILDS[tag])
    FIGURES.append('%s: built in %d seconds' % (tag, time.monotonic() - started))


def _refusal(dockerd, context, file, lock):
    """Return the error of a build whose first package has another hash, or None."""
    (context / 'requirements').mkdir(parents=True)
    (context / file).write_text(pages.read(file))
    comment, first, *others = re.split(r'(?m)(?=^[\w.-]+==)', pages.read('requirements/' + lock))
    first = re.sub(r'sha256:\w{8}', 'sha256:01234567', first)
    (context / 'requirements' / lock).write_text(''.join([comment, first] + others))
    try:
        dockerd.build('wrong', str(context), file)
    except ServerError as error:
        return str(error)


def pytest_terminal_summary(terminalreporter):
    for figure in FIGURES:
        terminalreporter.write_line(figure)


@pytest.fixture(scope='session')
def built():
    """Both images, built; see Built."""
    with tempfile.TemporaryDirectory(prefix='images-') as folder:
        try:
            built = Built(pathlib.Path(folder))
        except ServerError as error:
            if os.environ.get('CI') or ' failed with status ' in str(error):
                raise
            pytest.skip('no image can be built here: %s' % str(error).splitlines()[0])
        yield built


@pytest.fixture(scope='session')
def network(built):
    """A network of its own for all tests that follow: its ports are free, and it reaches no other
    machine."""
    with PrivateNetwork() as network:
        yield network


@pytest.fixture(scope='session')
def dockerd(built, network):
    """A Docker daemon with both images."""
    with Dockerd(built.data, networks=True) as daemon:
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
