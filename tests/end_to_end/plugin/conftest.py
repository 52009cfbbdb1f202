"""Places for registries under test; they are made only for tests that ask for one."""
from __future__ import absolute_import

import pytest


@pytest.fixture
def place(ministack):
    """A bucket and a database of this test's own, both on ministack."""
    # here: other tests of this folder run on Python 2.7
    from tests.end_to_end.plugin.registry_place import Place
    return Place(ministack.url, ministack.url)


@pytest.fixture
def place_on_each(ministack, dynamodb_endpoint):
    """The same, for a test that runs once on each local DynamoDB; S3 is always ministack's."""
    from tests.end_to_end.plugin.registry_place import Place
    return Place(ministack.url, dynamodb_endpoint)
