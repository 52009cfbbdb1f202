# -*- coding: utf-8 -*-
"""Listing a storage: its namespaces side by side."""

from __future__ import unicode_literals

import logging
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.lister import THREADS, Lister


class Storage(Source):
    """Namespaces of given repositories; an exception in place of them is
    raised when they are listed."""

    def __init__(self, namespaces):
        self.content = namespaces

    def namespaces(self):
        return iter(sorted(self.content))

    def repositories(self, namespace):
        for repository in self.content[namespace]:
            if isinstance(repository, Exception):
                raise repository
            yield '%s/%s' % (namespace, repository), None


def listed(source, beat=lambda: None):
    lister = Lister(source)
    names = sorted(name for batch in lister.batches(beat)
                   for name, _ in batch)
    return names, lister.unreadable


def test_every_repository_of_every_namespace_is_listed_once():
    content = {'team-%d' % team: ['app-%04d' % app for app in range(1100)]
               for team in range(20)}
    names, unreadable = listed(Storage(content))
    assert names == sorted('%s/%s' % (team, app)
                           for team in content for app in content[team])
    assert unreadable == []


def test_a_storage_without_namespaces_lists_nothing():
    assert listed(Storage({})) == ([], [])


def test_namespaces_are_listed_at_the_same_time():
    begun, all_begun = [], threading.Event()

    class Slow(Storage):
        def repositories(self, namespace):
            begun.append(namespace)
            if len(begun) == THREADS:
                all_begun.set()
            assert all_begun.wait(20)
            return [(namespace + '/x', None)]

    names, unreadable = listed(Slow({'n%d' % number: []
                                     for number in range(THREADS)}))
    assert (len(names), unreadable) == (THREADS, [])


def test_an_unreadable_namespace_is_logged_and_the_rest_is_listed(caplog):
    caplog.set_level(logging.ERROR)
    content = {'a': ['one'], 'b': ['two', IOError('no rights'), 'three'],
               'c': ['four']}
    names, unreadable = listed(Storage(content))
    assert names == ['a/one', 'b/two', 'c/four']
    assert unreadable == ['b']
    [line] = caplog.messages
    assert 'b' in line and 'no rights' in line


def test_when_nothing_can_be_read_the_error_is_raised():
    with pytest.raises(errors.StorageUnreadable):
        listed(Storage({'a': [IOError('away')], 'b': [IOError('away')]}))


def test_when_the_namespaces_cannot_be_listed_the_error_is_raised():
    class Broken(Storage):
        def namespaces(self):
            yield 'a'
            raise IOError('away')

    with pytest.raises(errors.StorageUnreadable):
        listed(Broken({'a': ['one']}))


def test_a_storage_that_hangs_does_not_stop_the_beat():
    free = threading.Event()
    beats = []

    class Hanging(Storage):
        def repositories(self, namespace):
            free.wait(20)
            return [('a/one', None)]

    def beat():
        beats.append(1)
        if len(beats) == 3:
            free.set()

    assert listed(Hanging({'a': []}), beat) == (['a/one'], [])
    assert len(beats) >= 3


def test_a_beat_that_raises_ends_it_and_its_threads():
    before = threading.active_count()
    endless = Storage({'team-%d' % team: ['app-%d' % app
                                          for app in range(5000)]
                       for team in range(50)})

    def beat():
        raise ValueError('stop')

    with pytest.raises(ValueError):
        listed(endless, beat)
    deadline = time.time() + 10
    while threading.active_count() > before and time.time() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
