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

#: In place of a repository: the storage hangs there.
HANG = object()


class Storage(Source):
    """Namespaces of given repositories, each any iterable. An exception in place of a repository is
    raised."""

    def __init__(self, namespaces):
        self.content = namespaces
        #: Ends whatever hangs.
        self.free = threading.Event()

    def namespaces(self):
        return iter(sorted(self.content))

    def repositories(self, namespace):
        for repository in self.content[namespace]:
            if isinstance(repository, Exception):
                raise repository
            if repository is HANG:
                self.free.wait(30)
            else:
                yield '%s/%s' % (namespace, repository), None


def names_of(content):
    """Return all repositories of namespaces, sorted."""
    return sorted('%s/%s' % (team, app) for team in content for app in content[team])


def listed(source, heartbeat=lambda: None, meanwhile=lambda: False, **more):
    """Return the names that a listing yields, sorted, and its unreadable namespaces, sorted."""
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

    def begin():
        begun.append(1)
        if len(begun) == THREADS:
            all_begun.set()
        assert all_begun.wait(20)
        yield 'x'

    names, unreadable = listed(Storage({'n%d' % number: begin() for number in range(THREADS)}))
    assert (len(names), unreadable) == (THREADS, [])


def test_an_unreadable_namespace_is_logged_and_the_rest_is_listed(caplog):
    caplog.set_level(logging.ERROR)
    content = {'a': ['one'], 'b': ['two', IOError('no rights'), 'three'], 'c': ['four']}
    assert listed(Storage(content)) == (['a/one', 'b/two', 'c/four'], ['b'])
    [line] = caplog.messages
    assert 'b' in line and 'no rights' in line


class Broken(Storage):
    """A storage whose namespaces cannot be listed after the first: it fails or hangs."""

    def namespaces(self):
        yield 'a'
        if self.content['a'] == []:
            raise IOError('unavailable')
        self.free.wait(30)


@pytest.mark.parametrize('source, error', [
    (Storage({'a': [IOError('unavailable')], 'b': [IOError('unavailable')]}), 'unavailable'),
    (Broken({'a': []}), 'unavailable'), (Broken({'a': ['one']}), 'no answer for')])
def test_a_storage_of_which_nothing_can_be_read_is_an_error(source, error):
    with pytest.raises(errors.StorageUnreadable) as failed:
        listed(source, seconds=0.1)
    assert error in str(failed.value)


def test_a_storage_that_hangs_stops_neither_the_heartbeat_nor_work_between_batches():
    source, beats, left = Storage({'a': [HANG, 'one']}), [], list(range(20))

    def meanwhile():
        if len(beats) > 3 and not left:
            source.free.set()
        return bool(left) and left.pop() is not None

    assert listed(source, lambda: beats.append(1), meanwhile) == (['a/one'], [])
    assert left == [] and len(beats) > 20


def test_a_heartbeat_that_raises_ends_the_listing_and_its_threads():
    more, never = more_threads(), threading.Event()

    def heartbeat():
        raise ValueError('stop')

    def endless():
        while not never.wait(0.001):
            yield 'x'

    with pytest.raises(ValueError):
        listed(Storage({'n%d' % number: endless() for number in range(THREADS)}), heartbeat)
    wait_until(lambda: not more())


@pytest.mark.parametrize('threads', [0, 1])
def test_a_single_worker_lists_all_and_without_any_the_listing_is_an_error(monkeypatch, threads):
    start, left = listing_module.start_thread, [1] * 2 * threads
    monkeypatch.setattr(listing_module, 'start_thread',
                        lambda *arguments: start(*arguments) if left and left.pop() else None)
    source = Storage({'n%02d' % number: ['x'] for number in range(40)})
    if threads:
        assert listed(source) == (names_of(source.content), [])
    else:
        with pytest.raises(errors.StorageUnreadable) as failed:
            listed(source)
        assert 'no thread is left' in str(failed.value)


def test_namespaces_that_hang_are_unreadable_and_do_not_block_others(caplog):
    content = {'team-%02d' % team: ['app-%d' % app for app in range(3)] for team in range(30)}
    hanging = ['hung-%d' % number for number in range(THREADS - 1)] + ['late-hung']
    source = Storage(dict(content, **dict.fromkeys(hanging, [HANG, 'app'])))
    source.content['late-hung'] = ['app', HANG]
    assert listed(source, seconds=0.1) == (names_of(content), hanging)
    for name in hanging:
        assert [line for line in caplog.messages if '%r' % name in line and 'no answer for' in line]


def test_a_storage_that_hangs_everywhere_is_unreadable():
    more, running = more_threads(), []
    source = Storage({'hung-%02d' % number: [HANG] for number in range(50)})
    with pytest.raises(errors.StorageUnreadable):
        listed(source, lambda: running.append(more()), seconds=0.1)
    assert max(running) <= 2 * THREADS + 1


def test_slow_repositories_do_not_count_as_hanging():
    clock, beats = Clock(), []

    def slow():
        for name in 'app-0', 'app-1':
            clock.advance(250)
            count = len(beats)
            # Until the time has been checked.
            wait_until(lambda: len(beats) > count + 1)
            yield name

    assert listed(Storage({'slow': slow()}), lambda: beats.append(1), seconds=300, clock=clock) == (
        ['slow/app-0', 'slow/app-1'], [])


def test_a_slow_reader_does_not_count_as_a_storage_that_hangs():
    clock, names, taken, counts = Clock(), [], [], [0]

    def has_stopped():
        counts.append(len(taken))
        return counts[-2] == counts[-1] > 0

    listing = Listing(Storage({'large': (taken.append(1) for _ in range(30000))}), 300, clock)
    for batch in listing.batches(lambda: None):
        if not names:
            # The reader does not read: once the queue is full, the storage waits for it.
            wait_until(has_stopped)
            assert len(taken) < 30000
            clock.advance(500)
        names += batch
    assert len(names) == 30000 and listing.unreadable == []
