"""What an index reports of itself, without a request."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import Source
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex


class HalfReadable(Source):
    """A storage of two namespaces, one of which cannot be listed."""

    def namespaces(self):
        return ['team', 'broken']

    def repositories(self, namespace):
        if namespace == 'broken':
            raise IOError('no rights')
        return [('team/web', None)]

    def has(self, name):
        return name == 'team/web'


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.engine.close()
    made.another().delete_what_is_left()


def test_one_that_was_not_started_is_neither_ready_nor_complete(index):
    index.ready([('team/web', None)])
    assert (index.engine.ready, index.engine.complete) == (False, False)
    # Ending it, or asking for a sync, does nothing.
    index.engine.sync_soon()
    index.engine.close()


def test_one_that_a_load_made_equal_to_the_storage_is_complete(index):
    assert index.engine.start(lambda: [('team/web', None)]) is True
    made = RequestsMade(index.engine)
    assert (index.engine.ready, index.engine.complete) == (True, True)
    assert made.operations == []


def test_one_whose_storage_could_not_be_read_is_ready_and_not_complete(index):
    assert index.engine.start(HalfReadable()) is True
    assert (index.engine.ready, index.engine.complete) == (True, False)
    assert index.search('web') == [('team/web', '')]


def test_one_that_has_just_lost_its_ready_marker_is_not_complete(index):
    index.engine.start(lambda: [('team/web', None)])
    # As a sync does when it finds that the search table is missing, before the next check.
    index.engine._maintenance._start.marker = None
    assert (index.engine.ready, index.engine.complete) == (True, False)
