"""Listing a storage: its namespaces side by side."""

from __future__ import unicode_literals

import logging
import threading

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.sync import listing as listing_module
from docker_registry_index.engine.sync.listing import THREADS, Listing
from tests.helpers.clock import Clock
from tests.helpers.waiting import more_threads, wait_until


class Storage(Source):
    """Namespaces of given repositories. An exception in place of a repository is raised when it is
    listed.

    :param hanging: namespaces that hang: before their first repository or, those named late-...,
        after it.
    """

    def __init__(self, namespaces, hanging=()):
        self.content = namespaces
        self.hanging = hanging
        self.free = threading.Event()

    def namespaces(self):
        return iter(sorted(self.content))

    def repositories(self, namespace):
        for repository in self.content[namespace]:
            if isinstance(repository, Exception):
                raise repository
            if namespace in self.hanging and not namespace.startswith('late'):
                self.free.wait(30)
            yield '%s/%s' % (namespace, repository), None
            if namespace in self.hanging:
                self.free.wait(30)


def names_of(content):
    """Return all repositories of namespaces, sorted."""
    return sorted('%s/%s' % (team, app) for team in content for app in content[team])


def listed(source, heartbeat=lambda: None, meanwhile=lambda: False, **more):
    """Return the names that a listing yields, sorted, and its unreadable namespaces, sorted.
    Namespaces that hang go on then."""
    listing = Listing(source, **more)
    try:
        names = sorted(name for batch in listing.batches(heartbeat, meanwhile) for name, _ in batch)
        return names, sorted(listing.unreadable)
    finally:
        source.free.set()


def test_every_repository_of_every_namespace_is_listed_once():
    content = {'team-%d' % team: ['app-%03d' % app for app in range(600)] for team in range(20)}
    assert listed(Storage(content)) == (names_of(content), [])
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
    assert listed(Storage(content)) == (['a/one', 'b/two', 'c/four'], ['b'])
    [line] = caplog.messages
    assert 'b' in line and 'no rights' in line


class Broken(Storage):
    """A storage whose namespaces cannot be listed after the first, because it fails or hangs."""

    def namespaces(self):
        yield 'a'
        if not self.hanging:
            raise IOError('unavailable')
        self.free.wait(30)


@pytest.mark.parametrize('source, error', [
    (Storage({'a': [IOError('unavailable')], 'b': [IOError('unavailable')]}), 'unavailable'),
    (Broken({'a': ['one']}), 'unavailable'),
    (Broken({'a': ['one']}, ['namespaces']), 'no answer for')])
def test_a_storage_of_which_nothing_can_be_read_is_an_error(source, error):
    with pytest.raises(errors.StorageUnreadable) as failed:
        listed(source, seconds=0.2)
    assert error in str(failed.value)


def test_a_storage_that_hangs_stops_neither_the_heartbeat_nor_work_between_batches():
    source, beats, left = Storage({'a': ['one']}, ['a']), [], list(range(20))

    def meanwhile():
        if len(beats) > 3 and not left:
            source.free.set()
        return bool(left) and left.pop() is not None

    assert listed(source, lambda: beats.append(1), meanwhile) == (['a/one'], [])
    assert left == [] and len(beats) > 20


def test_a_heartbeat_that_raises_ends_the_listing_and_its_threads():
    more, never = more_threads(), threading.Event()

    class Endless(Storage):
        def repositories(self, namespace):
            while not never.wait(0.001):
                yield namespace + '/x', None

    def heartbeat():
        raise ValueError('stop')

    with pytest.raises(ValueError):
        listed(Endless({'n%d' % number: [] for number in range(THREADS)}), heartbeat)
    wait_until(lambda: not more())


def test_a_listing_for_which_no_thread_can_be_started_is_an_error(monkeypatch):
    monkeypatch.setattr(listing_module, 'start_thread', lambda *_: None)
    with pytest.raises(errors.StorageUnreadable) as failed:
        listed(Storage({'a': ['one']}))
    assert 'no thread is left' in str(failed.value)


def test_a_single_worker_lists_all(monkeypatch):
    start, left = listing_module.start_thread, [1, 1]
    monkeypatch.setattr(listing_module, 'start_thread',
                        lambda *arguments: left and left.pop() and start(*arguments) or None)
    names, unreadable = listed(Storage({'n%02d' % number: ['x'] for number in range(40)}))
    assert (len(names), unreadable) == (40, [])


# Namespaces from which nothing comes

def test_namespaces_that_hang_are_unreadable_and_take_no_thread_of_the_others(caplog):
    content = {'team-%02d' % team: ['app-%d' % app for app in range(3)] for team in range(30)}
    hanging = ['hung-%d' % number for number in range(THREADS - 1)] + ['late-hung']
    source = Storage(dict(content, **dict.fromkeys(hanging, ['app-0', 'app-1'])), hanging)
    assert listed(source, seconds=0.1) == (names_of(content), hanging)
    for name in hanging:
        assert [line for line in caplog.messages if '%r' % name in line and 'no answer for' in line]


def test_a_storage_that_hangs_everywhere_is_unreadable():
    hanging, more, running = ['hung-%02d' % number for number in range(50)], more_threads(), []
    source = Storage({name: ['app'] for name in hanging}, hanging)
    with pytest.raises(errors.StorageUnreadable):
        listed(source, lambda: running.append(more()), seconds=0.1)
    assert max(running) <= 2 * THREADS + 1


def test_slow_repositories_do_not_count_as_hanging():
    clock, beats, content = Clock(), [], {'slow': ['app-0', 'app-1']}

    class Slow(Storage):
        def repositories(self, namespace):
            for pair in super(Slow, self).repositories(namespace):
                clock.advance(250)
                count = len(beats)
                # Until the time has been checked.
                wait_until(lambda: len(beats) > count + 1)
                yield pair

    assert listed(Slow(content), lambda: beats.append(1), seconds=300, clock=clock) == (
        names_of(content), [])


def test_a_slow_reader_does_not_count_as_a_storage_that_hangs():
    clock, names, taken, counts = Clock(), [], [], [0]

    class Large(Storage):
        def repositories(self, namespace):
            for number in range(30000):
                taken.append(number)
                yield '%s/%d' % (namespace, number), None

    def has_stopped():
        counts.append(len(taken))
        return counts[-2] == counts[-1] > 0

    listing = Listing(Large({'large': []}), 300, clock)
    for batch in listing.batches(lambda: None):
        if not names:
            # The reader does not read: once the queue is full, the storage waits for it.
            wait_until(has_stopped)
            assert len(taken) < 30000
            clock.advance(500)
        names += batch
    assert len(names) == 30000 and listing.unreadable == []
