"""Source: what is read of a registry's storage, and its errors."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.sync.source import as_source, has, listed
from tests.helpers.storage import FakeStorage

PAIRS = [('a/web', 'The front end'), ('worker', None)]


def test_a_function_that_lists_is_a_source_of_one_namespace():
    source = as_source(lambda: iter(PAIRS))
    [namespace] = source.namespaces()
    assert list(source.repositories(namespace)) == PAIRS
    assert (source.has('worker'), source.has('a'), source.doubtful()) == (True, False, set())
    assert source.may_contain(namespace, 'any/name') and as_source(source) is source


def test_answers_are_returned_and_an_error_means_that_the_storage_is_unreadable():
    storage = FakeStorage(['worker'])
    assert (has(storage, 'worker'), has(storage, 'a')) == (True, False)
    assert listed('its tags', lambda: iter('ab')) == ['a', 'b']
    storage.problem = IOError('no rights')
    for what, read in (("'team/web'", lambda: has(storage, 'team/web')),
                       ('its tags', lambda: listed('its tags', lambda: [storage.has('a')]))):
        with pytest.raises(errors.StorageUnreadable) as raised:
            read()
        assert what in '%s' % raised.value and 'no rights' in '%s' % raised.value
