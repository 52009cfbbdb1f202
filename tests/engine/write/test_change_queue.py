"""The change queue: changes are made at once or later, and no caller waits long."""
from __future__ import unicode_literals

import contextlib
import logging
import threading
import time

import pytest

from docker_registry_index.engine import concurrency, errors
from docker_registry_index.engine.write import change_queue
from docker_registry_index.engine.write.change_queue import (
    ChangeQueue, CircuitBreaker, QueuedChange, QueuedChanges)
from tests.helpers.waiting import in_threads, more_threads, wait_until

UNAVAILABLE = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'unavailable',
                                   retryable=True)
CONFLICT = errors.ChangeConflict('a/one', 8)
UNREADABLE = errors.StorageUnreadable('it', IOError('no disk'))
THROTTLED = errors.RequestFailed('PutItem', ['t'], 'ThrottlingException', 'slow down', True)
REFUSED = errors.RequestFailed(
    'PutItem', ['t'], 'AccessDeniedException',
    'User: registry is not authorized to perform: dynamodb:DeleteItem', False)
#: DynamoDB will never accept such a change.
NEVER = errors.RequestFailed('PutItem', ['t'], 'ValidationException', 'too long', False)
TWENTY = ['a/%02d' % number for number in range(20)]


class Index(object):
    """What a queue changes: a set of names, and what was asked of it.

    :ivar failure: raised by each attempt, as long as it is set.
    :ivar hold: an Event that each attempt waits for.
    :ivar called: the queue's reports of late changes."""

    failure = hold = None

    def __init__(self):
        self.names, self.storage = set(), set()
        self.made, self.reconciled, self.called = [], [], []
        self.entered = threading.Event()

    def change(self, name, is_there):
        self.made.append((name, is_there))
        self._attempt(name, is_there)

    def reconcile(self, name):
        self.reconciled.append(name)
        self._attempt(name, name in self.storage)

    def _attempt(self, name, is_there):
        self.entered.set()
        if self.hold:
            assert self.hold.wait(30)
        if self.failure:
            raise self.failure
        (self.names.add if is_there else self.names.discard)(name)


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def make(index, clock):
    """A function that makes a queue whose callers wait so many seconds at most; all are closed at
    the end."""
    made = []

    def make(seconds=20, **more):
        made.append(ChangeQueue(
            index.change, index.reconcile, seconds, lambda: index.called.append('late'), clock,
            clock.sleep, **more))
        return made[-1]

    yield make
    index.failure = None
    if index.hold:
        index.hold.set()
    for each in made:
        each.close(5)


@pytest.fixture
def threaded(make):
    """A queue with threads of its own, which really wait between two checks of the clock."""
    return make(poll_seconds=0.02)


@pytest.fixture
def idle(make, no_threads):
    """A queue without threads: the test makes their calls."""
    return make()


def run_all(queue, now):
    """Make all changes that are due, in this thread."""
    while queue.run_once(0, now) == 0:
        pass


def fail_once(queue, index, clock, failure, names=('a/one',)):
    """Announce changes, of which the first fails."""
    index.failure = failure
    for name in names:
        queue.apply_change(name, True)
    queue.run_once(0, clock())
    index.failure = None


@contextlib.contextmanager
def under_way(queue, index, clock):
    """Inside the block, the first change of a queue is under way."""
    index.hold = threading.Event()
    index.entered.clear()
    join = in_threads([lambda: queue.run_once(0, clock())])
    assert index.entered.wait(10)
    yield
    index.hold.set()
    assert join() == [0]


def test_a_change_is_made_before_apply_change_returns_and_no_thread_is_left(threaded, index):
    more = more_threads()
    for is_there, names in (True, {'a/one'}), (False, set()):
        assert threaded.apply_change('a/one', is_there) is True
        assert index.names == names
    assert len(threaded) == 0 and index.reconciled == []
    wait_until(lambda: not more())


def test_a_change_that_takes_too_long_is_left_to_the_background(threaded, index, waits_of):
    index.hold = threading.Event()
    # A caller times out while its change is under way.
    waits = waits_of(change_queue, real=30, meanwhile=lambda: index.entered.wait(10))
    assert threaded.apply_change('a/one', True) is False
    assert waits == [20] and index.made == [('a/one', True)]
    # Meanwhile another worker has deleted it, in the storage and here.
    index.hold.set()
    wait_until(lambda: len(threaded) == 0)
    assert index.reconciled == ['a/one'] and index.names == set()


def test_later_changes_wait_for_the_one_under_way_and_only_the_newest_is_kept(idle, index, clock):
    idle.apply_change('a/one', True)
    with under_way(idle, index, clock):
        for number in range(9):
            idle.apply_change('a/one', number % 2 == 0)
        assert idle.run_once(1, clock()) > 0 and index.reconciled == ['a/one']
        assert len(idle) == 2
    run_all(idle, clock())
    assert index.reconciled == ['a/one'] * 2 and len(idle) == 0


def test_eight_changes_are_made_side_by_side_and_no_more(threaded, index):
    index.hold, more = threading.Event(), more_threads()
    join = in_threads([lambda name=name: threaded.apply_change(name, True) for name in TWENTY])
    wait_until(lambda: len(index.made) == change_queue.THREADS and len(threaded) == 20)
    assert more() == 20 + change_queue.THREADS == 28
    index.hold.set()
    assert join() == [True] * 20 and index.names == set(TWENTY)


def test_no_wake_up_is_lost(index, make):
    # The caller of a change that no thread is woken for would time out.
    queue = make(poll_seconds=30)

    def use(number):
        return [queue.apply_change('a/%d' % (each % number), each % 3 > 0) for each in range(100)]

    # Several change the same repositories, and wait for each other.
    answers = in_threads([lambda number=number: use(number) for number in range(1, 11)])()
    assert len(queue) == 0 and index.reconciled == []
    # Only a caller whose change gave way to a newer one was not waiting for its own.
    assert len(index.made) == sum(each.count(True) for each in answers)


def test_a_change_that_failed_is_retried_with_the_current_state_of_the_storage(
        threaded, index, clock, waits_of, caplog):
    caplog.set_level(logging.INFO)
    index.failure, waits, more = UNAVAILABLE, waits_of(change_queue, real=20), more_threads()
    # During the outage no caller waits after the first, and one thread stays.
    for number in range(50):
        assert threaded.apply_change('a/%d' % number, True) is False
        assert more() <= 2
    assert waits == [20]
    for attempts in 1, 2, 3:
        assert len(index.reconciled) < attempts
        clock.advance(30)
        wait_until(lambda: len(index.reconciled) == attempts and more() == 1)
    index.storage = set('a/%d' % number for number in range(49))
    index.failure = None
    clock.advance(30)
    wait_until(lambda: len(threaded) == 0)
    assert index.names == index.storage and len(index.made) == 1
    # The client logs the outage, and requests a sync after it.
    assert [record.levelname for record in caplog.records] == ['INFO'] and index.called == []
    assert '50 changes were made late' in caplog.text
    assert threaded.apply_change('c/one', True) is True


def test_failures_of_changes_that_were_under_way_at_once_count_as_one(clock):
    breaker = CircuitBreaker(clock)
    for _ in range(2):
        for _ in range(8):
            breaker.note_failure()
        assert breaker.is_open and 0.7 <= breaker.retry_at - clock.now <= 1
        breaker.note_answer()
        assert not breaker.is_open
    for first, longest in (0.7, 1), (1.4, 2):
        breaker.note_failure()
        assert first <= breaker.retry_at - clock.now <= longest
        clock.now = breaker.retry_at


@pytest.mark.parametrize('failure, pauses', [
    (UNAVAILABLE, [1, 2, 4, 8, 16, 30, 30]), (THROTTLED, [1, 2, 4, 8, 16, 30, 30]),
    (CONFLICT, [2, 4, 8, 16, 32, 60, 60]), (REFUSED, [60, 120, 240, 480, 900, 900])], ids=repr)
def test_a_change_is_retried_after_ever_longer_pauses(idle, index, clock, failure, pauses):
    index.failure = failure
    idle.apply_change('a/one', True)
    idle.run_once(0, clock())
    for pause in pauses:
        # A pause is shortened at random, by 30 % at most.
        attempts, begun = len(index.reconciled), clock()
        for part, more in (0.69, 0), (1, 1):
            clock.now = begun + part * pause
            idle.run_once(0, clock())
            assert len(index.reconciled) == attempts + more


def test_a_change_that_is_refused_after_it_was_throttled_is_retried_as_rarely(idle, index, clock):
    fail_once(idle, index, clock, THROTTLED)
    clock.advance(1)
    index.failure = REFUSED
    idle.run_once(0, clock())
    before = len(index.made + index.reconciled)
    for part, more in (0.69, 0), (0.31, 1):
        clock.advance(part * 60)
        idle.run_once(0, clock())
        assert len(index.made + index.reconciled) == before + more


def test_during_an_outage_one_change_is_tried_at_a_time(idle, index, clock, no_threads):
    fail_once(idle, index, clock, UNAVAILABLE, TWENTY[:4])
    clock.advance(100)
    del no_threads[:]
    assert idle.apply_change(TWENTY[4], True) is False and len(no_threads) == 1
    with under_way(idle, index, clock):
        assert idle.run_once(1, clock()) > 0 and len(index.reconciled) == 2
    # The outage is over: all are made at once.
    assert len(no_threads) == 1 + 4
    assert [idle.run_once(thread, clock()) for thread in range(4)] == [0] * 4 and len(idle) == 0


def test_when_dynamodb_is_available_again_no_change_waits_for_its_next_attempt(
        idle, index, clock, no_threads):
    fail_once(idle, index, clock, UNAVAILABLE, TWENTY[:4])
    index.storage = set(TWENTY[:4])
    del no_threads[:]
    idle.note_recovery()
    assert len(no_threads) == 4
    run_all(idle, clock())
    assert index.names == index.storage and len(idle) == 0
    del no_threads[:]
    idle.note_recovery()
    assert no_threads == []


def test_one_thread_stays_while_a_change_waits_and_none_otherwise(idle, index, clock):
    index.failure = CONFLICT
    idle.apply_change('a/one', True)
    assert idle.run_once(3, clock()) == 0
    # The change is not due: one thread stays for it, and the others end.
    assert [idle.run_once(thread, clock()) for thread in (5, 0, 3)] == [0.2, None, None]
    assert [idle.run_once(thread, clock() + 1) for thread in (5, 0)] == [0.2, None]
    index.failure = None
    assert [idle.run_once(thread, clock() + 3) for thread in (5, 5, 0)] == [0, None, None]
    assert len(index.reconciled) == 2


@pytest.mark.parametrize('failure', [
    CONFLICT, UNREADABLE, THROTTLED, REFUSED,
    errors.MissingTable('GetItem', ['t'], 'Missing', 'gone', retryable=False),
    errors.ConditionFailed('UpdateItem', ['t'], 'TransactionConflictException', 'x', True,
                           ['TransactionConflict'])])
def test_a_failure_that_is_no_outage_holds_up_no_other_change(idle, index, clock, failure, caplog):
    fail_once(idle, index, clock, failure)
    assert len(idle) == 1 and ('ERROR' in caplog.text) == (failure is not CONFLICT)
    index.storage = {'a/one', 'b/two'}
    # The callers of other changes wait for them.
    assert idle._breaker.is_open is False
    idle.apply_change('b/two', True)
    run_all(idle, clock())
    assert index.reconciled == ['a/one', 'b/two'] and len(idle) == 1
    clock.advance(60)
    run_all(idle, clock())
    assert index.names == {'a/one', 'b/two'} and len(idle) == 0


def test_a_storage_that_is_down_is_logged_once_a_minute_and_a_dropped_change_by_itself(
        idle, index, clock, caplog):
    index.failure = UNREADABLE
    for name in TWENTY:
        idle.apply_change(name, True)
    run_all(idle, clock())
    # DynamoDB never takes this change, so it is not retried.
    index.failure = NEVER
    idle.apply_change('b/one', True)
    idle.run_once(0, clock())
    assert "b/one' in the search index failed; it is dropped: PutItem" in caplog.messages[-1]
    assert len(idle) == 20
    index.failure = UNREADABLE
    for _ in range(59):
        run_all(idle, clock())
        clock.advance(1)
    assert len(index.reconciled) > 50 and len(caplog.messages) == 2
    # Each is due again by then.
    clock.advance(61)
    run_all(idle, clock())
    assert len(caplog.messages) == 3 and 'earlier changes; it is retried' in caplog.messages[-1]


def test_changes_that_a_full_queue_refused_are_left_to_a_sync(
        idle, index, clock, monkeypatch, caplog):
    monkeypatch.setattr(change_queue, 'LIMIT', 10)
    fail_once(idle, index, clock, UNAVAILABLE)
    for number in range(30):
        idle.apply_change('b/%d' % number, True)
    assert len(idle) == 10 and caplog.text.count('is full (') == 1 and index.called == ['late'] * 21
    run_all(idle, clock() + 1)
    assert len(idle) == 0


@pytest.mark.parametrize('failure', [THROTTLED, REFUSED, UNREADABLE])
def test_a_change_that_fails_twice_is_reported_because_its_process_may_be_killed(
        idle, index, clock, failure):
    fail_once(idle, index, clock, failure)
    assert index.called == []
    clock.advance(60)
    fail_once(idle, index, clock, failure, ())
    assert index.called == ['late']


def test_a_refusal_is_logged_once_with_operation_table_and_right(idle, index, clock, caplog):
    for _ in range(2):
        index.failure = REFUSED
        for name in TWENTY:
            idle.apply_change(name, True)
            run_all(idle, clock())
        [line] = [record.getMessage() for record in caplog.records if record.levelname == 'ERROR']
        for part in 'PutItem on t', 'AccessDeniedException', 'dynamodb:DeleteItem', 'a/00':
            assert part in line
        # When a person has granted the right, another refusal is logged again.
        index.failure = None
        clock.advance(100)
        run_all(idle, clock())
        assert len(idle) == 0
        caplog.clear()


def test_a_throttled_change_is_retried_without_the_storage_while_its_caller_waits(
        threaded, index, clock):
    index.failure, answers = THROTTLED, []
    join = in_threads([lambda: answers.append(threaded.apply_change('a/one', True))])
    wait_until(lambda: index.made and not threaded._running)
    index.failure = None
    # The retry is not due yet.
    time.sleep(0.1)
    assert answers == [] and len(threaded) == len(index.made) == 1
    clock.advance(1)
    join()
    assert answers == [True] and index.made == [('a/one', True)] * 2 and index.reconciled == []


def test_an_answer_of_dynamodb_ends_an_outage_even_if_it_is_a_refusal(idle, index, clock):
    fail_once(idle, index, clock, UNAVAILABLE, TWENTY)
    index.failure = REFUSED
    clock.advance(1)
    assert idle.run_once(0, clock()) == 0
    index.failure = None
    # All others are made at once.
    run_all(idle, clock())
    assert len(idle) == 1 and len(index.reconciled) == 1 + 20


def test_a_throttled_change_gives_way_to_a_newer_one_of_its_repository(idle, index, clock):
    idle.apply_change('a/one', True)
    with under_way(idle, index, clock):
        idle.apply_change('a/one', False)
        index.failure = THROTTLED
    index.failure = None
    assert len(idle) == 1
    run_all(idle, clock())
    assert index.names == set() and len(idle) == 0


def test_a_thread_that_cannot_be_started_is_started_by_the_next_change(
        index, make, waits_of, monkeypatch):
    real, refused = concurrency.start_thread, [True, True]
    monkeypatch.setattr(concurrency, 'start_thread',
                        lambda run: None if refused and refused.pop() else real(run))
    queue, waits = make(), waits_of(change_queue, real=20)
    index.storage = {'a/one'}
    # No thread can make the first, so its caller does not wait.
    assert queue.apply_change('a/one', True) is False
    assert queue.apply_change('b/two', True) is True and waits == [20]
    wait_until(lambda: len(queue) == 0)
    assert index.names == {'a/one', 'b/two'} and index.made == [('b/two', True)]


def test_a_queue_that_is_closed_makes_what_waits(idle, index, clock):
    fail_once(idle, index, clock, UNAVAILABLE, TWENTY)
    index.storage = set(TWENTY)
    assert idle.close(5) is True
    assert index.names == index.storage and len(idle) == 0


def test_a_queue_that_is_closed_makes_all_changes_but_those_that_dynamodb_refuses(
        idle, index, clock):
    for name in TWENTY:
        idle.apply_change(name, True)
    index.storage = set(TWENTY)
    attempt = index._attempt

    def refuse_some(name, is_there):
        if name in TWENTY[:8]:
            raise REFUSED
        attempt(name, is_there)

    index._attempt = refuse_some
    assert idle.close(5) is False
    assert index.names == set(TWENTY[8:]) and len(index.reconciled) == 20 and clock.slept == []


def test_a_queue_that_is_closed_logs_what_cannot_be_made(idle, index, clock, caplog):
    index.failure = UNAVAILABLE
    for name in TWENTY:
        idle.apply_change(name, True)
    idle.close(5)
    # After three failures no more are tried.
    assert len(index.reconciled) == 3 and clock.slept == []
    [line] = [line for line in caplog.messages if 'are lost' in line]
    assert line.startswith('20 changes') and 'a/12' in line and 'a/13' not in line
    caplog.clear()
    # Also what is announced later.
    assert idle.apply_change('b/one', True) is False
    assert 'lost because this process ends' in caplog.text and 'b/one' in caplog.text


def test_a_queue_that_is_closed_waits_so_long_for_a_change_under_way_and_no_longer(
        idle, index, clock, caplog):
    idle.apply_change('a/one', True)
    with under_way(idle, index, clock):
        idle.close(0.5)
    assert 0.5 <= sum(clock.slept) < 1
    assert 'are lost' in caplog.text and 'a/one' in caplog.text


@pytest.mark.parametrize('end', ['fork', 'close'])
def test_a_queue_that_is_closed_or_was_forked_has_no_thread_and_makes_no_change(
        threaded, index, fork, end):
    more = more_threads()
    index.failure = UNAVAILABLE
    threaded.apply_change('a/one', True)
    if end == 'fork':
        fork()
    else:
        threaded.close(0.1)
    wait_until(lambda: not more())
    attempts, index.failure = len(index.reconciled), None
    assert threaded.apply_change('b/two', True) is False and not more()
    assert len(index.reconciled) == attempts and index.made == [('a/one', True)]
    assert len(threaded) == (2 if end == 'fork' else 1)


def test_a_change_whose_caller_waits_is_made_before_those_that_are_late():
    waiting = QueuedChanges()
    for name in 'late/1', 'late/2', 'new':
        change = QueuedChange(name, True)
        waiting.add(change)
        if name != 'new':
            waiting.make_late(change)
    assert [waiting.take(0, ()).name for _ in range(3)] == ['new', 'late/1', 'late/2']


def test_an_entry_whose_caller_has_timed_out_gives_way_to_a_newer_one():
    waiting = QueuedChanges()
    older, newer = QueuedChange('a', True), QueuedChange('a', False)
    waiting.add(older)
    assert waiting.take(0, ()) is older
    waiting.add(newer)
    waiting.make_late(older)
    assert waiting.put_back(older) is False
    assert waiting.names() == ['a'] and waiting.take(0, ['a']) is None
    assert waiting.take(0, ()) is newer and waiting.take(0, ()) is None
    assert waiting.put_back(older) is True and waiting.take(0, ()) is older
