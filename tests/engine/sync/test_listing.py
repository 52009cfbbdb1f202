# -*- coding: utf-8 -*-
"""Listing a storage: its namespaces side by side."""

from __future__ import unicode_literals

import logging
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.sync import listing as listing_module
from docker_registry_index.engine.sync.listing import Listing, THREADS
from tests.helpers.waiting import more_threads, wait_until


class Storage(Source):
    """Namespaces of given repositories; an exception in place of them is raised when they are
    listed."""

    def __init__(self, namespaces):
        self.content = namespaces

    def namespaces(self):
        return iter(sorted(self.content))

    def repositories(self, namespace):
        for repository in self.content[namespace]:
            if isinstance(repository, Exception):
                raise repository
            yield '%s/%s' % (namespace, repository), None


def listed(source, heartbeat=lambda: None):
    listing = Listing(source)
    names = sorted(name for batch in listing.batches(heartbeat) for name, _ in batch)
    return names, listing.unreadable


def test_every_repository_of_every_namespace_is_listed_once():
    content = {'team-%d' % team: ['app-%04d' % app for app in range(1100)] for team in range(20)}
    names, unreadable = listed(Storage(content))
    assert names == sorted('%s/%s' % (team, app) for team in content for app in content[team])
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

    names, unreadable = listed(Slow({'n%d' % number: [] for number in range(THREADS)}))
    assert (len(names), unreadable) == (THREADS, [])


def test_an_unreadable_namespace_is_logged_and_the_rest_is_listed(caplog):
    caplog.set_level(logging.ERROR)
    content = {'a': ['one'], 'b': ['two', IOError('no rights'), 'three'], 'c': ['four']}
    names, unreadable = listed(Storage(content))
    assert names == ['a/one', 'b/two', 'c/four']
    assert unreadable == ['b']
    [line] = caplog.messages
    assert 'b' in line and 'no rights' in line


def test_when_nothing_can_be_read_the_error_is_raised():
    with pytest.raises(errors.StorageUnreadable):
        listed(Storage({'a': [IOError('unavailable')], 'b': [IOError('unavailable')]}))


def test_when_the_namespaces_cannot_be_listed_the_error_is_raised():
    class Broken(Storage):
        def namespaces(self):
            yield 'a'
            raise IOError('unavailable')

    with pytest.raises(errors.StorageUnreadable):
        listed(Broken({'a': ['one']}))


def test_a_storage_that_hangs_does_not_stop_the_heartbeat():
    free = threading.Event()
    beats = []

    class Hanging(Storage):
        def repositories(self, namespace):
            free.wait(20)
            return [('a/one', None)]

    def heartbeat():
        beats.append(1)
        if len(beats) == 3:
            free.set()

    assert listed(Hanging({'a': []}), heartbeat) == (['a/one'], [])
    assert len(beats) >= 3


def test_a_heartbeat_that_raises_ends_it_and_its_threads():
    more = more_threads()
    endless = Storage({'team-%d' % team: ['app-%d' % app for app in range(5000)] for team
                       in range(50)})

    def heartbeat():
        raise ValueError('stop')

    with pytest.raises(ValueError):
        listed(endless, heartbeat)
    wait_until(lambda: not more())


def test_a_listing_for_which_no_thread_can_be_started_is_an_error(monkeypatch):
    monkeypatch.setattr(listing_module, 'start_thread', lambda *_: None)
    with pytest.raises(errors.StorageUnreadable) as failed:
        listed(Storage({'a': ['one']}))
    assert 'no thread is left' in str(failed.value)


def test_with_a_single_worker_all_is_listed(monkeypatch):
    start, started = listing_module.start_thread, []

    def start_two(*arguments):
        started.append(1)
        return start(*arguments) if len(started) <= 2 else None

    monkeypatch.setattr(listing_module, 'start_thread', start_two)
    names, unreadable = listed(Storage({'n%02d' % number: ['x'] for number in range(40)}))
    assert (len(names), unreadable) == (40, [])


# Namespaces from which nothing comes

class Hanging(Storage):
    """Namespaces of which some hang: before their first repository or, those named late-...,
    after it."""

    def __init__(self, namespaces, hanging):
        super(Hanging, self).__init__(namespaces)
        self.hanging = hanging
        self.free = threading.Event()

    def repositories(self, namespace):
        for pair in super(Hanging, self).repositories(namespace):
            if namespace in self.hanging and not namespace.startswith('late'):
                self.free.wait(30)
            yield pair
            if namespace in self.hanging:
                self.free.wait(30)


@pytest.fixture
def hanging_storage():
    made = []

    def make(namespaces, hanging):
        made.append(Hanging(namespaces, hanging))
        return made[-1]

    yield make
    for each in made:
        each.free.set()


def test_a_namespace_that_hangs_is_unreadable_and_the_rest_is_listed(hanging_storage, caplog):
    content = {name: ['app-%d' % app for app in range(3)] for name
               in ['team-%02d' % team for team in range(30)] + ['hung', 'late-hung']}
    hanging = ['hung', 'late-hung']
    listing = Listing(hanging_storage(content, hanging), seconds=0.2)
    names = [name for batch in listing.batches(lambda: None) for name, _ in batch]
    assert sorted(names) == sorted('%s/%s' % (team, app) for team in content for app
                                   in content[team] if team not in hanging)
    assert sorted(listing.unreadable) == hanging
    for name in hanging:
        assert [line for line in caplog.messages if '%r' % name in line and 'no answer for' in line]


def test_those_that_hang_do_not_take_the_threads_of_the_others(hanging_storage):
    hanging = ['hung-%d' % number for number in range(THREADS)]
    content = {name: ['app'] for name in hanging + ['z-team']}
    listing = Listing(hanging_storage(content, hanging), seconds=0.2)
    assert [batch for batch in listing.batches(lambda: None) if batch] == [[('z-team/app', None)]]
    assert sorted(listing.unreadable) == hanging


def test_a_storage_that_hangs_everywhere_is_unreadable(hanging_storage):
    hanging = ['hung-%02d' % number for number in range(50)]
    more = more_threads()
    listing = Listing(hanging_storage({name: ['app'] for name in hanging}, hanging), seconds=0.2)
    with pytest.raises(errors.StorageUnreadable):
        list(listing.batches(lambda: None))
    assert more() <= 2 * THREADS + 1


def test_namespaces_that_are_never_listed_are_unreadable(hanging_storage):
    free = threading.Event()

    class Broken(Storage):
        def namespaces(self):
            yield 'a'
            free.wait(30)

    try:
        with pytest.raises(errors.StorageUnreadable) as failed:
            list(Listing(Broken({'a': ['one']}), seconds=0.2).batches(lambda: None))
        assert 'no answer for' in str(failed.value)
    finally:
        free.set()


def test_neither_slow_repositories_nor_a_slow_reader_count_as_hanging():
    class Slow(Storage):
        def repositories(self, namespace):
            for pair in super(Slow, self).repositories(namespace):
                time.sleep(0.1)
                yield pair

    content = {'slow': ['app-%d' % app for app in range(6)],
               'large': ['app-%05d' % app for app in range(30000)]}
    listing, names = Listing(Slow({'slow': content['slow']}), 0.3), []
    for batch in listing.batches(lambda: None):
        names += batch
    assert len(names) == 6 and listing.unreadable == []
    listing, names = Listing(Storage({'large': content['large']}), 0.3), []
    for batch in listing.batches(lambda: None):
        # The reader is slow, once.
        if not names:
            time.sleep(0.5)
        names += batch
    assert len(names) == 30000 and listing.unreadable == []


def test_work_between_batches_does_not_wait_for_the_storage():
    free, left, done = threading.Event(), [1] * 50, []

    class Hanging(Storage):
        def repositories(self, namespace):
            free.wait(20)
            return [('a/one', None)]

    def meanwhile():
        if left:
            done.append(left.pop())
            if not left:
                free.set()
            return True
        return False

    started = time.time()
    assert list(Listing(Hanging({'a': []})).batches(lambda: None, meanwhile)) == [[('a/one', None)]]
    assert len(done) == 50 and time.time() - started < 5
