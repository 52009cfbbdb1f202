"""Tables for a module's tests, and engines that write to them at once."""

from __future__ import unicode_literals

import pytest

from tests.helpers.hooks import taken_back
from tests.helpers.engine import EngineIndex


@pytest.fixture(scope='module')
def tables(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


@pytest.fixture(scope='module')
def engines(tables):
    """As many as there are writers in a test."""
    return [tables.another() for _ in range(5)]


@pytest.fixture
def other(engines):
    return engines[1]


@pytest.fixture
def index(tables, engines):
    """An engine; after the test, postings must follow rows, and all go."""
    with taken_back(engines[0].engine):
        yield engines[0]
    tables.assert_whole()
    for name in tables.rows():
        tables.engine.remove(name)
    assert tables.postings() == []
