"""Listing a storage: its namespaces side by side."""
from __future__ import unicode_literals

import logging
import threading

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine._compat import wait
from docker_registry_index.engine.sync import listing as listing_module
from docker_registry_index.engine.sync.listing import THREADS, Listing
from docker_registry_index.engine.sync.source import Source
from tests.helpers.listing import listed
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import more_threads, wait_until


def once_hung(clock, storage, threads=THREADS):
    """Return a heartbeat that lets 301 seconds pass each time that so many more threads hang."""
    return lambda: len(storage.hung) == threads * (len(clock.slept) + 1) and clock.sleep(301)


def test_every_repository_of_every_namespace_is_listed_once():
    names = ['team-%02d/app-%03d' % (team, app) for team in range(10) for app in range(600)]
    assert listed(FakeStorage(names[::-1])) == (names, [])
    assert listed(FakeStorage()) == ([], [])


def test_namespaces_are_listed_at_the_same_time():
    begun, names = [], ['n%d/x' % number for number in range(THREADS)]

    def begin(moment):
        if moment in names:
            begun.append(moment)
            wait_until(lambda: len(begun) == THREADS)

    assert listed(FakeStorage(names, note=begin)) == (names, [])


def test_a_listing_can_resume_behind_the_namespaces_that_were_all_received():
    class Part(list):
        def __init__(self, name, place=None):
            list.__init__(self, [(name, None)])
            self.place = place

    class Parts(Source):
        def namespaces(self):
            return [Part('a'), Part('b', 'behind b'), Part('c', 'behind c'), Part('d')]

        def repositories(self, namespace):
            if namespace[0][0] == 'a':
                assert wait(received_others, 20)
            return namespace

    received_others, received = threading.Event(), []
    listing = Listing(Parts())
    for batch in listing.batches(lambda: None):
        received.extend(name for name, _ in batch)
        if 'a' not in received:
            assert listing.place is None
        if len(received) == 3:
            received_others.set()
    assert sorted(received) == ['a', 'b', 'c', 'd'] and listing.place == 'behind c'


def test_a_repository_that_is_read_slowly_delays_no_other_one_of_its_namespace():
    source, received = FakeStorage(['a/one', 'a/two'], hanging=['a/two']), []
    for batch in Listing(source).batches(lambda: None):
        received.append([name for name, _ in batch])
        source.release()
    assert received == [['a/one'], ['a/two']]


def test_an_unreadable_namespace_is_logged_and_the_rest_is_listed(caplog):
    caplog.set_level(logging.ERROR)
    source = FakeStorage(['a/one', 'b/two', 'b/no', 'b/three', 'c/four'], broken=['b/no'])
    assert listed(source) == (['a/one', 'b/two', 'c/four'], ['b'])
    [line] = caplog.messages
    assert "'b'" in line and 'no rights' in line


def fail_at_b(moment):
    if moment == 'b':
        raise IOError('unavailable')


@pytest.mark.parametrize('fault, error', [
    ({'broken': 'ab'}, 'no rights'), ({'note': fail_at_b}, 'unavailable'),
    ({'hanging': 'b'}, 'no answer for')])
def test_a_storage_of_which_nothing_can_be_read_is_an_error(clock, fault, error):
    source = FakeStorage(['a/one', 'b/two'], **fault)
    with pytest.raises(errors.StorageUnreadable) as failed:
        listed(source, once_hung(clock, source, 1), seconds=300, clock=clock)
    source.release()
    assert error in str(failed.value)


def test_a_storage_that_hangs_stops_neither_the_heartbeat_nor_work_between_batches():
    names, beats, left = ['a/one', 'a/two'], [], list(range(20))
    source = FakeStorage(names, hanging=names[:1])

    def meanwhile():
        if len(beats) > 3 and not left:
            source.release()
        return bool(left) and left.pop() is not None

    assert listed(source, lambda: beats.append(1), meanwhile) == (names, [])
    assert left == [] and len(beats) > 20


def test_a_heartbeat_that_raises_ends_the_listing_and_its_threads():
    more, names = more_threads(), ['n%d/x' % (number % 20) for number in range(40)]
    source = FakeStorage(names, hanging=names)

    def heartbeat():
        if len(source.hung) == THREADS:
            raise ValueError('stop')

    with pytest.raises(ValueError):
        listed(source, heartbeat)
    source.release()
    wait_until(lambda: not more())
    assert len(source.hung) == THREADS


@pytest.mark.parametrize('threads', [0, 1])
def test_a_single_worker_lists_all_and_without_any_the_listing_is_an_error(monkeypatch, threads):
    start, left = listing_module.start_thread, [1] * 2 * threads
    monkeypatch.setattr(listing_module, 'start_thread',
                        lambda *arguments: start(*arguments) if left and left.pop() else None)
    names = ['n%02d/x' % number for number in range(40)]
    if threads:
        assert listed(FakeStorage(names)) == (names, [])
    else:
        with pytest.raises(errors.StorageUnreadable) as failed:
            listed(FakeStorage(names))
        assert 'no thread is left' in str(failed.value)


def test_namespaces_that_hang_are_unreadable_and_do_not_block_others(clock, caplog):
    names = ['team-%02d/app-%d' % (team, app) for team in range(30) for app in range(3)]
    hanging = ['hung-%d/app' % number for number in range(THREADS - 1)] + ['late-hung/b']
    source = FakeStorage(names + ['late-hung/a'] + hanging + ['hung-0/b'], hanging)
    unreadable = [name.split('/')[0] for name in hanging]
    assert listed(source, once_hung(clock, source), seconds=300, clock=clock) == (names, unreadable)
    source.release()
    for name in unreadable:
        assert [line for line in caplog.messages if '%r' % name in line and 'no answer for' in line]


def test_a_storage_that_hangs_everywhere_is_unreadable(clock):
    more, running, names = more_threads(), [], ['hung-%02d/x' % number for number in range(50)]
    source = FakeStorage(names, names, note=lambda _: running.append(more()))
    with pytest.raises(errors.StorageUnreadable):
        listed(source, once_hung(clock, source), seconds=300, clock=clock)
    source.release()
    assert max(running) == 2 * THREADS + 1


def test_slow_repositories_do_not_count_as_hanging(clock):
    names, beats = ['slow/app-0', 'slow/app-1'], []

    def slow_down(moment):
        if moment in names:
            clock.advance(250)
            count = len(beats)
            # Until the time has been checked.
            wait_until(lambda: len(beats) > count + 1)

    assert listed(FakeStorage(names, note=slow_down), lambda: beats.append(1), seconds=300,
                  clock=clock) == (names, [])


def test_a_slow_reader_does_not_count_as_a_storage_that_hangs(clock):
    names, taken, counts, found = ['large/x'] * 30000, [], [0], []

    def has_stopped():
        counts.append(len(taken))
        return counts[-2] == counts[-1]

    listing = Listing(FakeStorage(names, note=taken.append), 300, clock)
    for batch in listing.batches(lambda: None):
        if not found:
            # The reader does not read: once the queue is full, the storage waits for it.
            wait_until(has_stopped)
            assert len(taken) < len(names)
            clock.advance(500)
        found += batch
    assert len(found) == len(names) and listing.unreadable == []
