"""Loads that are killed or overtaken, and requests that DynamoDB makes late: the next load repairs
what they leave."""
from __future__ import unicode_literals

import itertools
import threading
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.lifecycle.start import Startup
from docker_registry_index.engine.store.client import request_timeout
from docker_registry_index.engine.store.records import Intent
from docker_registry_index.engine.write.bulk import intents
from tests.helpers.clock import Clock
from tests.helpers.faults import (
    AtRequest, KillAfter, Killed, LateWrites, Meanwhile, Throttle, killed_at_each, taken_back)
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import more_threads

NAMES = sorted('t-%d/a%d' % (number % 3, number) for number in range(6))
#: Those that others change: a load adopts the first one, and adds the second one and the rest.
CHANGED = NAMES[:2]


@pytest.fixture
def index(tables):
    """An index that was loaded once. Each test begins with `storage_before`."""
    with taken_back(tables.engine):
        yield tables
    tables.clear()


def describe(other, storage, name):
    other.engine.add(name, 'quite new')


def remove(other, storage, name):
    storage.names.remove(name)
    storage.found.remove(name)
    other.engine.remove(name)


def remove_and_push(other, storage, name):
    other.engine.remove(name)
    other.engine.add(name)


def remove_and_push_as_0_1_0(other, storage, name):
    other.engine.add(name)
    other.engine.remove(name)
    # The first one is again as the load has read it.
    other.put_row(name, description={'S': 'From long ago'})


def repair(other, storage, name):
    list(other.engine.checker().check(repair=True))


CHANGES = [describe, remove, remove_and_push, remove_and_push_as_0_1_0, repair]


def storage_before(index):
    """Return a storage of all names. The index has a row of 0.1.0 for the first one, and the second
    one was removed."""
    index.clear()
    index.put_row(NAMES[0], description={'S': 'From long ago'})
    index.engine.remove(NAMES[1])
    return FakeStorage(list(NAMES))


@pytest.fixture
def storage(index):
    return storage_before(index)


def assert_equal(index, storage):
    """Assert that the index is equal to the storage, and that no load has left anything to do."""
    assert index.assert_whole() == sorted(storage.names)
    assert intents(index.store) == []


def assert_equal_after_kill(index, storage, left=1):
    """Assert that the index is equal to the storage. The load that repaired it has left a settled
    intent for each of a process that may only have been paused; the next load deletes it, and need
    not wait.

    :param left: the number of these intents."""
    assert index.assert_whole() == sorted(storage.names)
    assert [intent.is_settled for intent in intents(index.store)] == [True] * left
    assert index.load(storage, **waiting(pytest.fail)).complete
    assert_equal(index, storage)


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('name', CHANGED, ids=['adopted', 'added'])
def test_another_process_changes_a_repository_between_any_two_requests_of_a_load(
        index, other, storage, name, change):
    # On a server, where each takes longer, before every second one.
    for number in itertools.count(0 if index.is_in_process else CHANGES.index(change) % 2,
                                  1 if index.is_in_process else 2):
        done = []
        with taken_back(index.engine):
            AtRequest(index.engine, number, lambda: done.append(change(other, storage, name)))
            assert index.load(storage).complete
        if change is remove_and_push_as_0_1_0:
            # It may have come after the load had written the name.
            assert index.load(storage).complete
        assert_equal(index, storage)
        assert change is not describe or not done or ('quite new' in index.search(name)[0])
        storage = storage_before(index)
        if not done:
            break
    assert number >= 6


@pytest.mark.parametrize('change', CHANGES)
def test_a_load_killed_at_any_request_before_a_change_leaves_nothing_after_the_next(
        index, other, storage, change):
    for count in killed_at_each(index, lambda: index.load(storage)):
        begun = len(intents(other.store))
        for name in CHANGED:
            change(other, storage, name)
        assert other.load(storage).complete
        assert_equal_after_kill(other, storage, begun)
        storage.names, storage.found = list(NAMES), set(NAMES)
        storage_before(other)
    assert count >= 6


@pytest.fixture
def late_process(tables, storage):
    """A process whose requests are attempted once by boto3."""
    return tables.another(attempts=1)


def waiting(act):
    """Return the clock and the sleep of a load, in whose wait at its end ``act`` is called."""
    clock = Clock()

    def sleep(seconds):
        clock.sleep(seconds)
        if seconds == 1:
            act()

    return {'clock': clock, 'sleep': sleep}


@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('numbers, refused', [([0], 0), ([1, 2], 1)])
def test_postings_that_dynamodb_writes_after_the_transaction_and_a_change_do_not_stay(
        late_process, other, storage, numbers, refused, change):
    late, changed = LateWrites(late_process.engine, numbers), []
    Throttle(late_process.engine, 'TransactWriteItems', refused, ['ConditionalCheckFailed'])

    def act():
        assert late_process.names() == NAMES or changed
        if not changed:
            changed.append(change(other, storage, NAMES[1]))
        late.make(other)

    assert late_process.load(storage, **waiting(act)).complete
    assert changed and not late.pending
    assert_equal(other, storage)


@pytest.mark.parametrize('is_in_next', [False, True])
@pytest.mark.parametrize('change', CHANGES)
@pytest.mark.parametrize('end', ['kill', 'failure'])
def test_postings_that_dynamodb_writes_after_a_killed_or_failed_load_do_not_stay(
        late_process, other, storage, end, change, is_in_next):
    late = LateWrites(late_process.engine, [0])
    if end == 'kill':
        KillAfter(late_process.engine, 1, 'BatchWriteItem')
    else:
        Throttle(late_process.engine, 'TransactWriteItems', 1, code='AccessDeniedException')
    with pytest.raises(Killed if end == 'kill' else errors.RequestFailed):
        late_process.load(storage, **waiting(lambda: None))
    change(other, storage, NAMES[1])
    assert late.pending
    with taken_back(late_process.engine):
        if not is_in_next:
            late.make(other)
        assert other.load(storage, **waiting(lambda: late.make(other))).complete
    assert not late.pending
    assert_equal_after_kill(other, storage)


def test_a_load_that_lost_its_lease_leaves_its_intents_to_the_next(index, other, storage):
    """As if its process had been paused just before a request, while another load ended."""
    lost = []

    def another_load():
        remove(other, storage, NAMES[1])
        assert other.load(storage).complete
        lost.append(1)

    def heartbeat():
        if lost:
            raise errors.LeaseLost('db-version')

    Meanwhile(index.engine, 'BatchWriteItem', another_load)
    with pytest.raises(errors.LeaseLost):
        index.load(storage, heartbeat)
    # The one request was made.
    assert NAMES[1] in dict(other.search(NAMES[1]))
    assert other.load(storage).complete
    assert_equal(other, storage)


@pytest.mark.parametrize('change', CHANGES)
def test_postings_of_a_process_that_was_paused_during_the_next_load_and_then_killed_do_not_stay(
        index, other, storage, change):
    """It makes its next request when it continues, and is killed before it can note that."""
    def another_load():
        assert other.load(storage, **waiting(lambda: None)).complete
        change(other, storage, NAMES[1])

    Meanwhile(index.engine, 'BatchWriteItem', another_load)
    KillAfter(index.engine, 1, 'BatchWriteItem')
    with pytest.raises(Killed):
        index.load(storage)
    assert other.load(storage).complete
    assert_equal(other, storage)


def test_what_cannot_be_written_again_is_logged_and_left_to_the_next_load(
        index, other, storage, caplog):
    KillAfter(index.engine, 1, 'BatchWriteItem')
    with pytest.raises(Killed):
        index.load(storage)
    [intent] = intents(other.store)
    with taken_back(other.engine):
        Throttle(other.engine, 'TransactWriteItems', 100, [None, 'ValidationError'])
        report = other.load(storage)
    assert not report.complete
    assert 'the entry of %r in the search index could not be updated' % NAMES[1] in caplog.text
    # The intent of its own group lists the same repositories.
    left = [each.repositories for each in intents(other.store)]
    assert left and all(each == intent.repositories for each in left)
    assert report.failed == len(NAMES)
    for _ in range(2):
        assert other.load(storage).complete
        assert other.assert_whole() == NAMES
    assert_equal(other, storage)


def test_a_worker_waits_while_the_lease_may_end_and_stops_with_the_load(index, storage):
    clock, made, begun, during = Clock(), RequestsMade(index.engine), threading.Event(), []

    def heartbeat():
        if begun.is_set():
            # It takes so long that the lease could end before the next request does.
            clock.advance(1000)
            time.sleep(0.3)
            before = list(made.operations)
            time.sleep(0.3)
            during.append(made.operations[len(before):])
            raise errors.LeaseLost('db-version')

    def take_long():
        begun.set()
        time.sleep(0.3)

    more = more_threads()
    Meanwhile(index.engine, 'BatchWriteItem', take_long)
    with pytest.raises(errors.LeaseLost):
        index.load(storage, heartbeat, threads=2, clock=clock)
    assert during == [[]] and more() == 0
    # Only its intent was written, again, after that.
    assert made.operations[-2:] == ['BatchWriteItem', 'PutItem']


def test_a_worker_makes_no_request_after_a_heartbeat_that_came_late(index, storage):
    """As if a name server had answered late. Other processes measure the lease from the request."""
    clock, made, begun, beats, during = Clock(), RequestsMade(index.engine), [], [], []
    may_end = threading.Event()

    def heartbeat():
        beats.extend(begun)
        if len(beats) == 1:
            clock.advance(1.5 * request_timeout(index.settings))
        elif beats:
            may_end.set()
            before = list(made.operations)
            time.sleep(0.3)
            during.append(made.operations[len(before):])
            raise errors.LeaseLost('db-version')

    def take_long():
        begun.append(1)
        assert may_end.wait(20)

    Meanwhile(index.engine, 'BatchWriteItem', take_long)
    with pytest.raises(errors.LeaseLost):
        index.load(storage, heartbeat, threads=2, clock=clock)
    assert during == [['BatchWriteItem']], 'the one that was under way'


def test_requests_that_a_name_server_delays_until_another_load_has_ended_leave_nothing(
        index, other, storage):
    clock, begun, ended = Clock(), threading.Event(), threading.Event()
    lease, waiter = Lease(index.store, clock=clock), Lease(other.store, clock=clock)
    assert lease.acquire()

    def heartbeat():
        if begun.is_set():
            assert ended.wait(20)
        lease.renew()

    def delay():
        begun.set()
        assert not waiter.acquire()
        clock.advance(1000)
        assert waiter.acquire()
        remove(other, storage, NAMES[1])
        assert other.load(storage, waiter.renew).complete
        waiter.release()
        ended.set()

    Meanwhile(index.engine, 'BatchWriteItem', delay)
    with pytest.raises(errors.LeaseLost):
        index.load(storage, heartbeat, threads=2, clock=clock)
    assert NAMES[1] in dict(other.search(NAMES[1])), 'the delayed request was made'
    assert other.load(storage).complete
    assert_equal(other, storage)


def test_a_load_that_was_paused_after_a_refused_group_continues(index, storage):
    """Its workers wait for its next heartbeat, but it does not wait for itself."""
    clock, pauses = Clock(), []

    def sleep(seconds):
        clock.sleep(seconds)
        pauses.append(seconds)
        assert len(pauses) < 1000

    Throttle(index.engine, 'TransactWriteItems', 1, ['ConditionalCheckFailed'])
    index.dynamodb.meta.events.register(
        'after-call.dynamodb.TransactWriteItems', lambda **_: clock.advance(1000))
    assert index.load(storage, threads=1, clock=clock, sleep=sleep).complete
    assert_equal(index, storage)


@pytest.mark.parametrize('numbers', [(), (0,)])
def test_after_a_load_that_was_stopped_the_next_waits_only_for_requests_without_an_answer(
        late_process, other, storage, numbers):
    late, stopped, waited = LateWrites(late_process.engine, numbers), [], []

    def heartbeat():
        if stopped:
            raise errors.Stopped()

    Meanwhile(late_process.engine, 'TransactWriteItems', lambda: stopped.append(1))
    Throttle(late_process.engine, 'TransactWriteItems', 1)
    with pytest.raises(errors.Stopped):
        late_process.load(storage, heartbeat, sleep=lambda seconds: None)
    assert [intent.is_settled for intent in intents(other.store)] == [not numbers]
    late.make(other)
    other.load(storage, **waiting(lambda: waited.append(1)))
    assert bool(waited) == bool(numbers)
    assert_equal_after_kill(other, storage, left=len(numbers))


@pytest.mark.parametrize('numbers', [(), (0,)])
def test_after_ctrl_c_the_next_load_waits_only_for_requests_without_an_answer(
        late_process, other, storage, numbers):
    late, begun, waited = LateWrites(late_process.engine, numbers), threading.Event(), []

    def heartbeat():
        if begun.is_set():
            raise KeyboardInterrupt()

    # While a thread retries its transaction.
    Meanwhile(late_process.engine, 'TransactWriteItems', begun.set)
    Throttle(late_process.engine, 'TransactWriteItems', 100000)
    with pytest.raises(KeyboardInterrupt):
        late_process.load(storage, heartbeat, sleep=lambda seconds: time.sleep(0.01), threads=2)
    assert [intent.is_settled for intent in intents(other.store)] == [not numbers]
    late.make(other)
    other.load(storage, **waiting(lambda: waited.append(1)))
    assert bool(waited) == bool(numbers)
    assert_equal_after_kill(other, storage, left=len(numbers))


def test_a_load_that_is_throttled_at_its_very_end_waits_and_is_not_repeated(index, storage):
    def load(heartbeat, slices, on_listed):
        report = index.load(storage, heartbeat, slices=slices)
        Throttle(index.engine, 'TransactWriteItems', 20, ['None', 'ThrottlingError'])
        return report

    pauses = []
    startup = Startup(index.store, load, sleep=pauses.append)
    assert startup.sync().added == 5 and len(pauses) == 20
    written = startup.marker
    assert startup.is_ready() and startup.marker == written
    assert Lease(index.store).read() is None


def test_a_repository_of_several_intents_is_written_again_once(index, storage):
    def put(description):
        item = Intent('number of ' + description, [(name, [description]) for name in NAMES], True)
        index.store.call('put_item', TableName=index.settings.search_table, Item=item.item)

    index.load(storage)
    for number in range(5):
        put('left by load %d' % number)
    made = RequestsMade(index.engine)
    index.load(storage)
    assert made.operations.count('TransactWriteItems') == len(NAMES)
    assert made.operations.count('DeleteItem') == 5
    assert_equal(index, storage)
