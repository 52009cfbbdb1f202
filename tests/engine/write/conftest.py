"""Writers whose time the test passes."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.write.writer import Writer


@pytest.fixture
def writer(index, clock):
    """A writer of the index whose time the test passes."""
    return Writer(index.store, clock.sleep, clock)


@pytest.fixture
def another(other, clock):
    """The writer of another process, with the same clock."""
    return Writer(other.store, clock.sleep, clock)
