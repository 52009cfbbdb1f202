"""The change queue: changes are made at once or later, and no caller waits long."""

from __future__ import unicode_literals

import logging
import os
import threading
import time

import pytest

from docker_registry_index.engine import concurrency, errors
from docker_registry_index.engine.write import change_queue
from docker_registry_index.engine.write.change_queue import ChangeQueue, Entries, Entry, Outage
from tests.helpers.waiting import more_threads, wait_until

UNAVAILABLE = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'unavailable',
                                   retryable=True)
CONFLICT = errors.ChangeConflict('a/one', 8)
#: DynamoDB will never accept such a change.
NEVER = errors.RequestFailed('PutItem', ['t'], 'ValidationException', 'too long', False)


class Index(object):
    """What a queue changes: a set of names, and what was asked of it."""

    def __init__(self):
        self.names = set()
        self.storage = set()
        self.made = []
        self.reconciled = []
        #: Raised by each attempt, as long as it is set.
        self.failure = None
        #: An Event that each attempt waits for.
        self.hold = None
        self.entered = threading.Event()

    def change(self, name, is_there):
        self.made.append((name, is_there))
        self.attempt()
        (self.names.add if is_there else self.names.discard)(name)

    def reconcile(self, name):
        self.reconciled.append(name)
        self.attempt()
        (self.names.add if name in self.storage else self.names.discard)(name)

    def attempt(self):
        self.entered.set()
        if self.hold:
            assert self.hold.wait(30)
        if self.failure:
            raise self.failure


class Clock(object):
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def called():
    return []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def followed(index, called, monkeypatch):
    """A queue with threads of its own, in which nothing waits long."""
    for name, seconds in [('_FIRST_PAUSE', 0.2), ('_FIRST_RETRY', 0.1), ('_NAP', 0.02)]:
        monkeypatch.setattr(change_queue, name, seconds)
    made = ChangeQueue(index.change, index.reconcile, 5, lambda: called.append('missing'),
                       lambda: called.append('overflow'))
    yield made
    index.failure = None
    if index.hold:
        index.hold.set()
    made.close(5)


@pytest.fixture
def idle(index, called, clock, monkeypatch):
    """A queue without threads: the test makes their calls, and passes the time."""
    monkeypatch.setattr(concurrency, 'start_thread', lambda *_: None)
    return ChangeQueue(index.change, index.reconcile, 5, lambda: called.append('missing'),
                       lambda: called.append('overflow'), clock)


def in_threads(calls):
    """Start functions side by side; return a function that waits for them and returns what they
    returned, in order."""
    answers = [None] * len(calls)

    def call(place):
        answers[place] = calls[place]()

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()

    def join():
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()
        return answers

    return join


# At once

def test_a_change_is_made_before_follow_returns(followed, index):
    assert followed.follow('a/one', True) is True
    assert index.names == {'a/one'}
    assert followed.follow('a/one', False) is True
    assert index.names == set()
    assert len(followed) == 0 and index.reconciled == []


def test_a_change_that_takes_too_long_is_left_to_the_background(index, monkeypatch):
    monkeypatch.setattr(change_queue, '_NAP', 0.02)
    index.hold = threading.Event()
    short = ChangeQueue(index.change, index.reconcile, 0.2)
    began = time.time()
    assert short.follow('a/one', True) is False
    # The clock of Python 2.7 ticks a hundred times a second.
    assert 0.18 < time.time() - began < 2
    # Meanwhile another worker has deleted it, in the storage and here.
    index.hold.set()
    wait_until(lambda: len(short) == 0)
    assert index.reconciled == ['a/one'] and index.names == set()
    short.close(5)


def test_a_later_change_waits_for_the_one_under_way(followed, index):
    index.hold = threading.Event()
    first = in_threads([lambda: followed.follow('a/one', True)])
    assert index.entered.wait(10)
    second = in_threads([lambda: followed.follow('a/one', False)])
    time.sleep(0.1)
    assert index.made == [('a/one', True)]
    index.hold.set()
    assert first() + second() == [True, True]
    assert index.made == [('a/one', True), ('a/one', False)]
    assert index.names == set()


def test_eight_changes_are_made_side_by_side_and_no_more(followed, index):
    index.hold = threading.Event()
    names = ['a/%02d' % number for number in range(20)]
    join = in_threads([lambda name=name: followed.follow(name, True) for name in names])
    wait_until(lambda: len(index.made) == change_queue.THREADS and len(followed) == 20)
    time.sleep(0.1)
    assert len(index.made) == change_queue.THREADS == 8
    index.hold.set()
    assert join() == [True] * 20
    assert index.names == set(names)


def test_no_wake_up_is_lost(index, monkeypatch):
    # A change that no thread is woken for would wait for half a minute.
    monkeypatch.setattr(change_queue, '_NAP', 30)
    followed = ChangeQueue(index.change, index.reconcile, 20)

    def use(number):
        return [followed.follow('a/%d' % (each % number), each % 3 > 0) for each in range(300)]

    began = time.time()
    # Several change the same repositories, and wait for each other.
    answers = in_threads([lambda number=number: use(number) for number in range(1, 11)])()
    assert len(followed) == 0 and index.reconciled == []
    # Only a caller whose change gave way to a newer one was not waiting for its own.
    assert time.time() - began < 20
    assert len(index.made) == sum(each.count(True) for each in answers)
    followed.close(5)


def test_no_thread_is_left_when_nothing_waits(followed, index):
    more = more_threads()
    for number in range(10):
        followed.follow('a/%d' % number, True)
    wait_until(lambda: not more())


# Later

def test_what_fails_is_tried_again_with_what_the_storage_says(followed, index, caplog):
    caplog.set_level(logging.INFO)
    index.failure = UNAVAILABLE
    assert followed.follow('a/one', True) is False
    # From now on nobody waits.
    index.hold = threading.Event()
    began = time.time()
    for number in range(50):
        assert followed.follow('b/%d' % number, True) is False
    assert time.time() - began < 1
    index.storage = {'a/one'} | {'b/%d' % number for number in range(49)}
    index.failure = None
    index.hold.set()
    wait_until(lambda: len(followed) == 0)
    assert index.names == index.storage
    assert len(index.made) == 1
    assert [record.levelname for record in caplog.records] == ['ERROR', 'INFO']
    assert '51 changes were made late' in caplog.text
    # And all is as before.
    assert followed.follow('c/one', True) is True


def test_while_dynamodb_is_unavailable_one_thread_stays(followed, index):
    more = more_threads()
    index.failure = UNAVAILABLE
    for number in range(50):
        followed.follow('a/%d' % number, True)
        assert more() <= 2
    wait_until(lambda: more() <= 1)
    time.sleep(0.5)
    assert more() == 1


def test_only_the_newest_change_of_a_repository_is_kept(followed, index):
    index.failure = UNAVAILABLE
    followed.follow('a/one', True)
    for number in range(100):
        followed.follow('a/one', number % 2 == 0)
    assert len(followed) <= 2
    index.failure = None
    wait_until(lambda: len(followed) == 0)
    assert index.names == set()


def test_failures_of_changes_that_were_under_way_at_once_count_as_one(clock):
    outage = Outage(clock)
    for _ in range(2):
        for number in range(8):
            assert outage.note_failure('a/%d' % number, UNAVAILABLE)
        assert outage.is_on and 0.7 <= outage.retry_at - clock.now <= 1
        outage.note_success(False, True)
        assert not outage.is_on
    outage.note_failure('a/one', UNAVAILABLE)
    clock.now = outage.retry_at
    outage.note_failure('a/one', UNAVAILABLE)
    assert 1.4 <= outage.retry_at - clock.now <= 2


def test_the_pauses_between_two_attempts_grow(idle, index, clock):
    index.failure = UNAVAILABLE
    idle.follow('a/one', True)
    assert idle.run_once(0, clock.now) == 0
    pauses, last = [], clock.now
    for _ in range(7):
        attempts = len(index.reconciled)
        while len(index.reconciled) == attempts:
            clock.now += 0.1
            idle.run_once(0, clock.now)
        pauses.append(clock.now - last)
        last = clock.now
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 30, 30]):
        assert 0.7 * longest <= pause <= longest + 0.2, pauses


def test_during_an_outage_one_change_is_tried_at_a_time(idle, index, clock):
    index.failure = UNAVAILABLE
    for number in range(5):
        idle.follow('a/%d' % number, True)
    idle.run_once(0, clock.now)
    clock.now += 100
    index.failure, index.hold = None, threading.Event()
    join = in_threads([lambda: idle.run_once(0, clock.now)])
    wait_until(lambda: len(index.reconciled) == 2)
    assert idle.run_once(1, clock.now) > 0
    assert len(index.reconciled) == 2
    index.hold.set()
    assert join() == [0]
    # It is over: all at once.
    assert [idle.run_once(thread, clock.now) for thread in range(4)] == [0] * 4
    assert len(idle) == 0


def test_one_thread_stays_while_something_waits_and_none_when_nothing_does(idle, index, clock):
    index.failure = CONFLICT
    idle.follow('a/one', True)
    assert idle.run_once(3, clock.now) == 0
    # It is not due: one thread stays for it, and the others end.
    assert [idle.run_once(thread, clock.now) for thread in (5, 0, 3)] == [
        change_queue._NAP, None, None]
    assert idle.run_once(5, clock.now + 1) == change_queue._NAP
    assert idle.run_once(0, clock.now + 1) is None
    index.failure = None
    assert idle.run_once(5, clock.now + 3) == 0
    assert [idle.run_once(thread, clock.now + 3) for thread in (5, 0)] == [None, None]
    assert len(index.reconciled) == 2


def test_one_that_others_are_in_the_way_of_is_tried_again_after_ever_longer_pauses(
        idle, index, clock):
    index.failure = CONFLICT
    idle.follow('a/one', True)
    idle.run_once(0, clock.now)
    for pause in [2, 4, 8, 16, 32, 60, 60]:
        # A pause is shortened at random, by 30 % at most.
        attempts, begun = len(index.reconciled), clock.now
        clock.now = begun + 0.69 * pause
        idle.run_once(0, clock.now)
        assert len(index.reconciled) == attempts
        clock.now = begun + pause
        idle.run_once(0, clock.now)
        assert len(index.reconciled) == attempts + 1


def test_one_that_others_are_in_the_way_of_holds_up_no_other(followed, index, caplog):
    index.failure = CONFLICT
    assert followed.follow('a/one', True) is False
    index.failure = None
    assert followed.follow('b/two', True) is True
    index.storage = {'a/one', 'b/two'}
    wait_until(lambda: len(followed) == 0)
    assert index.names == {'a/one', 'b/two'}
    assert [record for record in caplog.records if record.levelname == 'ERROR'] == []


@pytest.mark.parametrize('failure', [
    CONFLICT, errors.StorageUnreadable('it', IOError('no disk')),
    errors.ConditionFailed('UpdateItem', ['t'], 'TransactionConflictException', 'x', True,
                           ['TransactionConflict'])])
def test_only_requests_that_fail_are_an_outage(idle, index, clock, failure):
    index.failure = failure
    idle.follow('a/one', True)
    idle.run_once(0, clock.now)
    assert len(idle) == 1
    index.failure = None
    idle.follow('b/two', True)
    assert idle.run_once(0, clock.now) == 0
    assert index.reconciled == ['a/one', 'b/two'] and len(idle) == 1


def test_what_the_storage_does_not_answer_is_asked_again(followed, index, caplog):
    index.failure = UNAVAILABLE
    followed.follow('a/one', True)
    index.failure = errors.StorageUnreadable('it', IOError('no disk'))
    wait_until(lambda: 'in the search index failed' in caplog.text)
    index.storage, index.failure = {'a/one'}, None
    wait_until(lambda: len(followed) == 0)
    assert index.names == {'a/one'}


def test_a_storage_that_is_down_is_logged_once_in_a_minute(idle, index, clock, caplog):
    index.failure = errors.StorageUnreadable('it', IOError('no disk'))
    for number in range(20):
        idle.follow('a/%d' % number, True)

    def make_calls():
        while idle.run_once(0, clock.now) == 0:
            pass

    for _ in range(59):
        make_calls()
        clock.now += 1
    assert len(index.reconciled) > 50
    assert caplog.text.count('in the search index failed') == 1
    # Each is due again by then.
    clock.now += 61
    make_calls()
    assert caplog.text.count('in the search index failed') == 2
    assert 'others before; it is retried' in caplog.text


def test_a_change_that_is_dropped_is_logged_by_itself(idle, index, clock, caplog):
    index.failure = errors.StorageUnreadable('it', IOError('no disk'))
    for number in range(3):
        idle.follow('a/%d' % number, True)
        idle.run_once(0, clock.now)
    index.failure = NEVER
    idle.follow('b/one', True)
    idle.run_once(0, clock.now)
    [_, dropped] = [record.getMessage() for record in caplog.records]
    assert "b/one' in the search index failed: PutItem" in dropped
    clock.now += 61
    index.failure = errors.StorageUnreadable('it', IOError('no disk'))
    idle.run_once(0, clock.now)
    assert 'like 2 others before; it is retried' in caplog.records[-1].getMessage()


def test_what_finds_no_room_is_left_to_a_sync(followed, index, called, monkeypatch, caplog):
    monkeypatch.setattr(change_queue, 'LIMIT', 10)
    index.failure = UNAVAILABLE
    followed.follow('first', True)
    for number in range(30):
        followed.follow('b/%d' % number, True)
    assert len(followed) <= 11
    assert caplog.text.count('is full with') == 1
    assert called == []
    index.failure = None
    wait_until(lambda: len(followed) == 0)
    assert called == ['overflow']


def test_a_missing_table_is_reported(followed, index, called):
    index.failure = errors.MissingTable('GetItem', ['t'], 'Missing', 'gone', retryable=False)
    followed.follow('a/one', True)
    assert called[:1] == ['missing']
    index.failure = None
    index.storage = {'a/one'}
    wait_until(lambda: len(followed) == 0)
    assert index.names == {'a/one'}


def test_what_dynamodb_will_never_take_is_dropped(followed, index, caplog):
    index.failure = NEVER
    assert followed.follow('a/one', True) is False
    assert len(followed) == 0
    assert "a/one' in the search index failed: PutItem" in caplog.text
    index.failure = None
    # Nor does it hold up another.
    assert followed.follow('b/two', True) is True


def test_a_thread_that_cannot_be_started_is_tried_again_by_the_next_change(index, monkeypatch):
    real, refused = concurrency.start_thread, [True, True]
    monkeypatch.setattr(concurrency, 'start_thread',
                        lambda run: None if refused and refused.pop() else real(run))
    waiting = ChangeQueue(index.change, index.reconcile, 30)
    index.storage = {'a/one'}
    began = time.time()
    # Nobody could make it, so nobody waits.
    assert waiting.follow('a/one', True) is False
    assert waiting.follow('b/two', True) is True
    assert time.time() - began < 10
    wait_until(lambda: len(waiting) == 0)
    assert index.names == {'a/one', 'b/two'}
    assert index.made == [('b/two', True)]
    waiting.close(5)


def test_one_that_is_announced_during_a_catching_up_does_not_wait_for_it(
        followed, index, monkeypatch):
    monkeypatch.setattr(change_queue, 'THREADS', 1)
    index.failure = UNAVAILABLE
    for number in range(40):
        followed.follow('late/%d' % number, True)
    index.reconciled[:] = []
    index.failure = None
    attempt = index.attempt

    def slowly():
        attempt()
        time.sleep(0.1)

    index.attempt = slowly
    wait_until(lambda: len(index.reconciled) > 2)
    assert followed.follow('new/one', True) is True
    assert len(followed) > 10


# A fork

def test_a_process_that_is_forked_makes_no_change_of_its_parent(followed, index, monkeypatch):
    more = more_threads()
    index.failure = UNAVAILABLE
    followed.follow('a/one', True)
    parent = os.getpid()
    # Greenlets live on there.
    monkeypatch.setattr(os, 'getpid', lambda: parent + 1)
    wait_until(lambda: not more())
    attempts, index.failure = len(index.reconciled), None
    assert followed.follow('b/two', True) is False
    time.sleep(0.3)
    assert len(index.reconciled) == attempts and index.made == [('a/one', True)]
    assert len(followed) == 2


# The end

def test_at_the_end_what_waits_is_made(index, monkeypatch):
    monkeypatch.setattr(change_queue, '_FIRST_PAUSE', 30)
    waiting = ChangeQueue(index.change, index.reconcile, 5)
    index.failure = UNAVAILABLE
    for number in range(20):
        waiting.follow('a/%d' % number, True)
    index.failure = None
    index.storage = {'a/%d' % number for number in range(20)}
    waiting.close(5)
    assert index.names == index.storage and len(waiting) == 0


def test_at_the_end_what_cannot_be_made_is_logged(index, caplog):
    waiting = ChangeQueue(index.change, index.reconcile, 5)
    index.failure = UNAVAILABLE
    for number in range(20):
        waiting.follow('a/%02d' % number, True)
    began = time.time()
    waiting.close(5)
    assert time.time() - began < 5
    [line] = [line for line in caplog.messages if 'are lost' in line]
    assert line.startswith('20 changes') and 'a/09' in line
    assert 'a/15' not in line


def test_the_end_waits_for_a_change_under_way_so_long_and_no_longer(index, caplog):
    index.hold = threading.Event()
    waiting = ChangeQueue(index.change, index.reconcile, 0.1)
    assert waiting.follow('a/one', True) is False
    began = time.time()
    waiting.close(0.5)
    assert 0.48 < time.time() - began < 3
    assert 'are lost' in caplog.text and 'a/one' in caplog.text
    index.hold.set()


def test_what_is_announced_after_the_end_is_logged_as_lost(index, caplog):
    ended = ChangeQueue(index.change, index.reconcile, 30)
    ended.close(5)
    assert ended.follow('a/one', True) is False
    assert 'lost with this process' in caplog.text and 'a/one' in caplog.text


def test_after_the_end_no_thread_is_left(index, monkeypatch):
    monkeypatch.setattr(change_queue, '_NAP', 0.02)
    more = more_threads()
    ended = ChangeQueue(index.change, index.reconcile, 5)
    index.failure = UNAVAILABLE
    ended.follow('a/one', True)
    ended.close(0.1)
    wait_until(lambda: not more())


# The entries

def test_to_take_one_of_many_copies_none():
    waiting = Entries()
    for number in range(100000):
        entry = Entry('late/%d' % number, True)
        waiting.add(entry)
        waiting.make_late(entry)
    began = time.time()
    for number in range(1000):
        assert waiting.take(0, ()).name == 'late/%d' % number
    assert time.time() - began < 1


def test_an_entry_whose_caller_has_timed_out_gives_way_to_a_newer_one():
    waiting = Entries()
    older, newer = Entry('a', True), Entry('a', False)
    waiting.add(older)
    assert waiting.take(0, ()) is older
    waiting.add(newer)
    waiting.make_late(older)
    waiting.put_back(older)
    assert waiting.names() == ['a'] and waiting.take(0, ['a']) is None
    assert waiting.take(0, ()) is newer and waiting.take(0, ()) is None
