# -*- coding: utf-8 -*-
"""The lease: one holder, whatever dies, stalls or gets lost."""

from __future__ import unicode_literals

import random
import threading

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease, lease_of
from docker_registry_index.engine.store.client import request_timeout
from docker_registry_index.engine.store.records import VERSION_KEY
from docker_registry_index.engine.verify.status import Status
from tests.helpers.clock import Clock
from tests.helpers.faults import Meanwhile, Throttle
from tests.helpers.hooks import taken_back
from tests.helpers.network import LostAnswer
from tests.helpers.requests_made import RequestsMade

SECONDS = 20
#: That a request of a holder may take.
REQUEST = 6
MARK = {'gram': {'S': '!'}, 'suffix': {'S': 'done'}}


@pytest.fixture
def index(tables):
    for table, key in ((tables.settings.version_table, VERSION_KEY),
                       (tables.settings.search_table, MARK)):
        tables.store.call('delete_item', TableName=table, Key=key)
    with taken_back(tables.engine):
        yield tables


class Timed(Lease):
    """A Lease with its clock."""

    def __init__(self, index, clock=None, seconds=SECONDS, kind='lease'):
        self.clock = clock or Clock()
        Lease.__init__(self, index.store, seconds, self.clock, REQUEST, kind)


lease = Timed


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def holder(index, clock):
    made = lease(index, clock)
    assert made.acquire() is True
    return made


@pytest.fixture
def waiter(index):
    """On another host: its clock has nothing to do with the holder's."""
    made = lease(index, Clock(5.0))
    made.advance = made.clock.advance
    return made


def row(index):
    return index.store.get(index.settings.version_table, VERSION_KEY)


def mark(index, **more):
    """Return an action of a release, which `is_marked` sees."""
    return {'Put': dict(more, TableName=index.settings.search_table, Item=MARK)}


def is_marked(index):
    return index.store.get(index.settings.search_table, MARK) is not None


def take_over(waiter):
    assert waiter.acquire() is False
    waiter.advance(SECONDS + 1)
    assert waiter.acquire() is True


# Held

def test_a_read_and_a_write_take_a_free_lease(index, clock):
    made = RequestsMade(index.engine)
    assert lease(index, clock).acquire() is True
    assert made.operations == ['GetItem', 'UpdateItem']
    # Release 0.1.0 reads this row, and refuses any version but 1.
    assert row(index)['version'] == {'N': '1'}


def test_the_holder_keeps_all_others_out_and_they_write_nothing(index, holder, waiter, clock):
    made = RequestsMade(index.engine)
    for _ in range(3):
        assert waiter.acquire() is False
        assert lease(index, clock).acquire() is False
        waiter.advance(1)
    assert made.operations == ['GetItem'] * 6


def test_a_process_that_waits_sees_that_the_holder_lives_and_for_how_long(
        index, holder, waiter, clock):
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (False, 0)
    clock.advance(SECONDS / 4.0)
    holder.renew()
    clock.advance(SECONDS / 4.0)
    holder.renew()
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (True, SECONDS / 2.0)


def test_a_heartbeat_costs_nothing_before_it_is_due(index, holder, clock):
    before = row(index)['lease']
    made = RequestsMade(index.engine)
    clock.advance(SECONDS / 20.0 - 0.1)
    holder.renew()
    assert made.operations == []
    clock.advance(0.2)
    holder.renew()
    holder.renew()
    assert made.operations == ['UpdateItem']
    assert row(index)['lease'] != before


def test_of_many_threads_that_ask_at_once_one_gets_the_lease(index):
    leases = [lease(index) for _ in range(8)]
    got = []
    threads = [threading.Thread(target=lambda one=one: got.append(one.acquire())) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


# Given back

def test_release_with_makes_its_actions(index, holder, waiter):
    holder.release_with(mark(index))
    assert is_marked(index)
    assert waiter.acquire() is True
    waiter.release_with({'Delete': {'TableName': index.settings.search_table, 'Key': MARK}})
    assert not is_marked(index)


def test_a_released_lease_is_free_and_a_second_release_does_nothing(index, holder, waiter):
    holder.release()
    assert row(index) == VERSION_KEY
    assert waiter.acquire() is True
    made = RequestsMade(index.engine)
    holder.release()
    lease(index).release()
    assert made.operations == []


# Taken over

def test_a_lease_without_a_heartbeat_for_its_time_is_taken_over(index, holder, waiter, clock):
    assert waiter.acquire() is False
    waiter.advance(SECONDS)
    assert waiter.acquire() is False
    waiter.advance(0.1)
    assert waiter.acquire() is True
    # Hours may have gone by on the clock of the holder, or nothing.
    clock.advance(SECONDS)
    with pytest.raises(errors.LeaseLost) as lost:
        holder.renew()
    assert index.settings.version_table in str(lost.value)


def test_the_lease_time_counts_from_when_the_lease_was_first_seen(index, holder, waiter):
    waiter.advance(10 * SECONDS)
    assert waiter.acquire() is False
    waiter.advance(SECONDS - 1)
    assert waiter.acquire() is False


def test_the_lease_time_of_the_holder_counts(index, clock):
    slow, hasty = lease(index, clock, 60), lease(index, seconds=0.5)
    assert slow.acquire() is True
    assert hasty.acquire() is False
    hasty.clock.advance(59)
    assert hasty.acquire() is False
    hasty.clock.advance(2)
    assert hasty.acquire() is True


def test_a_renewed_lease_is_never_taken(index, holder, waiter, clock):
    for _ in range(10):
        assert waiter.acquire() is False
        clock.advance(SECONDS * 0.9)
        holder.renew()
        waiter.advance(SECONDS * 0.9)
    holder.release_with()


def test_a_lease_renewed_at_the_last_moment_is_not_taken(index, holder, waiter, clock):
    assert waiter.acquire() is False
    waiter.advance(SECONDS + 1)
    clock.advance(SECONDS + 1)
    Meanwhile(index.engine, 'UpdateItem', holder.renew)
    assert waiter.acquire() is False
    # And it counts anew.
    waiter.advance(SECONDS - 1)
    assert waiter.acquire() is False
    holder.release_with()


def test_of_two_processes_that_take_over_one_gets_the_lease(index, holder):
    waiters = [lease(index) for _ in range(2)]
    for waiter in waiters:
        assert waiter.acquire() is False
        waiter.clock.advance(SECONDS + 1)
    assert [waiter.acquire() for waiter in waiters] == [True, False]


def test_the_time_of_a_lease_given_back_and_taken_again_counts_anew(index, holder, waiter):
    assert waiter.acquire() is False
    waiter.advance(SECONDS + 1)
    holder.release()
    third = lease(index)
    assert third.acquire() is True
    assert waiter.acquire() is False
    take_over(waiter)


# Lost

def test_a_lost_lease_stops_the_release_and_its_actions(index, holder, waiter):
    take_over(waiter)
    before = row(index)
    with pytest.raises(errors.LeaseLost):
        holder.release_with(mark(index), format={'N': '4'})
    assert not is_marked(index) and row(index) == before
    holder.release()
    assert row(index) == before
    waiter.release_with()


def test_a_lease_that_was_deleted_is_lost_too(index, holder):
    index.engine.client.call('delete_item', TableName=index.settings.version_table, Key=VERSION_KEY)
    with pytest.raises(errors.LeaseLost):
        holder.release_with(mark(index))
    assert not is_marked(index)


def test_an_action_that_is_refused_keeps_the_lease(index, holder, waiter):
    with pytest.raises(errors.ConditionFailed) as failed:
        holder.release_with(mark(index, ConditionExpression='attribute_exists(gram)'))
    assert failed.value.reasons == [None, 'ConditionalCheckFailed']
    assert waiter.acquire() is False
    holder.release()
    assert waiter.acquire() is True


def test_a_throttled_release_keeps_the_lease(index, holder, waiter):
    Throttle(index.engine, 'TransactWriteItems', 1, ['ThrottlingError', None])
    with pytest.raises(errors.RequestFailed):
        holder.release_with(mark(index))
    assert not is_marked(index)
    holder.release()
    assert row(index) == VERSION_KEY


# Answers that get lost

@pytest.fixture
def answer_lost(index, monkeypatch):
    """The answer to the next request is lost; the request is made."""
    monkeypatch.setattr('time.sleep', lambda _: None)
    with LostAnswer(index.engine) as lost:
        yield
    assert lost.count == 1


def test_a_lease_whose_answer_was_lost_is_taken(answer_lost, index, clock):
    taking = lease(index, clock)
    assert taking.acquire() is True
    taking.release_with()


def test_a_heartbeat_whose_answer_was_lost_is_made(holder, answer_lost, index, clock):
    clock.advance(SECONDS)
    holder.renew()
    holder.release_with()
    assert row(index) == VERSION_KEY


def test_a_release_whose_answer_was_lost_is_made(holder, answer_lost, index):
    holder.release_with(mark(index))
    assert is_marked(index) and row(index) == VERSION_KEY


class Interrupted(object):
    """Raise an error at the next update of the version row, before or after it is made."""

    def __init__(self, index, monkeypatch, error, is_made):
        client, call = index.engine.client, index.engine.client.call

        def interrupting(operation, **arguments):
            if operation != 'update_item':
                return call(operation, **arguments)
            monkeypatch.undo()
            if is_made:
                call(operation, **arguments)
            raise error

        monkeypatch.setattr(client, 'call', interrupting)


ENDS = [KeyboardInterrupt(), SystemExit()]
made_or_not = pytest.mark.parametrize('is_made', [True, False], ids=['made', 'not made'])


def failed(code, retryable=True):
    return errors.RequestFailed('update_item', ['t'], code, 'as ordered', retryable)


@made_or_not
def test_a_heartbeat_whose_answer_never_comes_leaves_the_holder_holding(
        index, holder, waiter, clock, monkeypatch, is_made):
    before = row(index)['lease']
    clock.advance(SECONDS / 4.0)
    Interrupted(index, monkeypatch, failed('ReadTimeoutError'), is_made)
    holder.renew()
    assert (row(index)['lease'] != before) is is_made
    # It counts as not made, so it is still due.
    made = RequestsMade(index.engine)
    holder.renew()
    holder.renew()
    assert made.operations == ['UpdateItem']
    assert waiter.acquire() is False
    holder.release_with(mark(index))
    assert is_marked(index) and row(index) == VERSION_KEY


@made_or_not
def test_a_lease_whose_answer_never_comes_is_ours_at_the_next_attempt(
        index, waiter, clock, monkeypatch, is_made):
    taking = lease(index, clock)
    Interrupted(index, monkeypatch, failed('ReadTimeoutError'), is_made)
    with pytest.raises(errors.RequestFailed):
        taking.acquire()
    assert ('lease' in (row(index) or {})) is is_made
    if is_made:
        # No other process takes the lease before its time.
        assert waiter.acquire() is False
    assert taking.acquire() is True
    assert waiter.acquire() is False
    clock.advance(SECONDS / 4.0)
    holder_row = row(index)['lease']
    taking.renew()
    assert row(index)['lease'] != holder_row
    taking.release_with()
    assert row(index) == VERSION_KEY


@made_or_not
@pytest.mark.parametrize('end', ENDS, ids=repr)
@pytest.mark.parametrize('request_made', ['acquire', 'renew'])
def test_a_lease_is_given_back_if_a_request_to_take_or_renew_it_is_interrupted(
        index, clock, waiter, monkeypatch, end, is_made, request_made):
    interrupted = lease(index, clock)
    if request_made == 'renew':
        assert interrupted.acquire() is True
        clock.advance(SECONDS / 2.0)
    Interrupted(index, monkeypatch, end, is_made)
    with pytest.raises(type(end)):
        getattr(interrupted, request_made)()
    interrupted.release()
    assert 'lease' not in (row(index) or {})
    assert waiter.acquire() is True


def test_a_lease_of_another_holder_is_not_given_back_after_an_interruption(
        index, holder, monkeypatch):
    late = lease(index)
    assert late.read() == holder.read()
    late.clock.advance(SECONDS + 1)
    before = row(index)
    Interrupted(index, monkeypatch, KeyboardInterrupt(), False)
    with pytest.raises(KeyboardInterrupt):
        late.acquire()
    late.release()
    assert row(index) == before
    holder.release_with()


def test_a_heartbeat_that_arrives_after_the_release_does_not_bring_the_lease_back(
        index, holder, waiter, clock, monkeypatch):
    calls, call = [], index.engine.client.call

    def lose(operation, **arguments):
        monkeypatch.undo()
        calls.append((operation, arguments))
        raise failed('ReadTimeoutError')

    clock.advance(SECONDS / 4.0)
    monkeypatch.setattr(index.engine.client, 'call', lose)
    holder.renew()
    holder.release_with()
    [(operation, arguments)] = calls
    with pytest.raises(errors.ConditionFailed):
        call(operation, **arguments)
    assert row(index) == VERSION_KEY
    # Nor does it take it from the next one, or one that is sent only then.
    assert waiter.acquire() is True
    before = row(index)
    with pytest.raises(errors.ConditionFailed):
        call(operation, **arguments)
    clock.advance(SECONDS / 4.0)
    with pytest.raises(errors.LeaseLost):
        holder.renew()
    holder.release()
    assert row(index) == before


# What AWS answers while another's transaction holds the row

def conflict(index, count=1):
    return Throttle(index.engine, 'UpdateItem', count, code='TransactionConflictException')


def test_a_conflict_is_no_lease_and_no_error(index, waiter):
    conflict(index)
    assert waiter.acquire() is False
    assert waiter.acquire() is True


def test_a_heartbeat_in_conflict_is_no_lost_lease(index, holder, clock):
    clock.advance(SECONDS / 4.0)
    conflict(index)
    holder.renew()
    made = RequestsMade(index.engine)
    # Not made, so it is still due.
    holder.renew()
    assert made.operations == ['UpdateItem']
    holder.release_with()


@pytest.mark.parametrize('count', [1, 2])
def test_a_heartbeat_in_conflict_is_made_at_once_if_time_is_short(index, holder, clock, count):
    before = row(index)['lease']
    clock.advance(SECONDS)
    conflict(index, count)
    holder.renew()
    assert row(index)['lease'] != before
    holder.release_with()


def test_a_heartbeat_in_conflict_again_and_again_fails_if_time_is_short(index, holder, clock):
    before = row(index)['lease']
    clock.advance(SECONDS - REQUEST + 0.1)
    fault = conflict(index, 100)
    with pytest.raises(errors.RequestFailed) as refused:
        holder.renew()
    assert refused.value.retryable and 'could not be renewed in time' in str(refused.value)
    assert fault.left == 97 and row(index)['lease'] == before
    fault.left = 0
    # It may still be held, so it is given back.
    holder.release()
    assert row(index) == VERSION_KEY


def test_a_read_that_fails_after_a_conflict_is_no_failed_heartbeat(index, holder, clock):
    clock.advance(SECONDS / 4.0)
    conflict(index)
    Throttle(index.engine, 'GetItem', 1)
    holder.renew()
    clock.advance(SECONDS)
    conflict(index)
    Throttle(index.engine, 'GetItem', 1)
    with pytest.raises(errors.RequestFailed):
        holder.renew()
    holder.release_with()


def test_a_throttled_heartbeat_is_repeated_while_a_request_can_end_in_time(index, holder, clock):
    before = row(index)['lease']
    Throttle(index.engine, 'UpdateItem', 2)
    clock.advance(SECONDS - REQUEST - 0.2)
    holder.renew()
    assert row(index)['lease'] == before
    clock.advance(0.4)
    with pytest.raises(errors.RequestFailed) as refused:
        holder.renew()
    assert refused.value.throttled
    holder.renew()
    assert row(index)['lease'] != before
    holder.release_with()


def test_any_other_refusal_of_a_free_lease_is_raised(index, holder, clock):
    holder.release_with()
    Throttle(index.engine, 'UpdateItem', 1)
    with pytest.raises(errors.RequestFailed) as refused:
        holder.acquire()
    assert refused.value.throttled


# Requests that take time

class SlowRow(object):
    """A store of the version row alone, whose requests take time.

    :param take: called before each request is done, with its operation; returns whether the answer
        gets lost afterwards. May raise.
    """

    version_table = 't'

    def __init__(self, take):
        self._take = take
        self.item = {}

    def get(self, table, key):
        return self.call('get_item')['Item']

    def call(self, operation, **arguments):
        is_lost = self._take(operation)
        failure = None
        if operation == 'update_item':
            failure = self._update(**arguments)
        if is_lost:
            raise failed('ReadTimeoutError')
        if failure:
            raise failure
        return {'Item': dict(self.item)}

    def _update(self, ConditionExpression, ExpressionAttributeValues, **_):
        number = self.item.get('lease', {}).get('S')
        values = ExpressionAttributeValues
        holds = {'attribute_not_exists(lease)': number is None, 'begins_with(lease, :owner)': number
                 and number.startswith(values.get(':owner', {}).get('S', '?'))}
        if not holds[ConditionExpression]:
            return errors.ConditionFailed('update_item', ['t'], 'ConditionalCheckFailedException',
                                          'as ordered', True, ['ConditionalCheckFailed'])
        self.item = {'lease': values[':new'], 'lease_seconds': values[':time']}


def test_a_heartbeat_that_takes_long_counts_as_time_that_passed(clock):
    def take(operation):
        if row.item:
            clock.advance(REQUEST)
            raise failed('ReadTimeoutError')

    row = SlowRow(take)
    held = Lease(row, SECONDS, clock, REQUEST)
    assert held.acquire()
    clock.advance(SECONDS / 2.0 - 1)
    # It begins in the first half; after it, no other would end in time.
    with pytest.raises(errors.RequestFailed):
        held.renew()


@pytest.mark.parametrize('seed', range(40))
def test_no_request_that_follows_a_heartbeat_ends_after_the_lease(clock, seed):
    chance, seconds = random.Random(seed), 3 * REQUEST

    def take(operation):
        began = clock()
        clock.advance(chance.choice([0.01, REQUEST * chance.random(), REQUEST]))
        if operation == 'update_item':
            if chance.random() < 0.3:
                raise failed('ConnectTimeoutError')
            starts.append(began)
            return chance.random() < 0.4
        return False

    starts = []
    row = SlowRow(take)
    held = Lease(row, seconds, clock, REQUEST)
    is_held = False
    while not is_held:
        try:
            is_held = held.acquire()
        except errors.RequestFailed:
            pass
    for _ in range(100):
        try:
            held.renew()
        except errors.RequestFailed:
            break
        # The next write, as slow as it can be. Others wait from the last heartbeat that reached the
        # row, and that reached it no earlier than it was sent.
        assert clock() + REQUEST <= starts[-1] + seconds
        clock.advance(chance.random() * REQUEST)


def test_heartbeats_in_a_row_may_lose_their_answers(clock):
    modes = ['answered', 'answered', 'lost', 'not done', 'not done']
    numbers = []

    def take(operation):
        if operation != 'update_item':
            return False
        mode = modes.pop(0) if modes else 'answered'
        if mode == 'not done':
            raise failed('ReadTimeoutError')
        return mode == 'lost'

    row = SlowRow(take)
    held = Lease(row, SECONDS, clock, REQUEST)
    assert held.acquire()
    for _ in range(6):
        clock.advance(SECONDS / 19.0)
        held.renew()
        numbers.append(row.item['lease']['S'])
    # Each that reached the row changed it.
    assert modes == [] and len(set(numbers)) == 4


# Taken from its holder

def test_a_holder_whose_lease_is_revoked_ends_nothing(index, holder, waiter, clock):
    assert waiter.revoke(waiter.read()) is True
    assert row(index) == VERSION_KEY
    with pytest.raises(errors.LeaseLost):
        holder.release_with(mark(index))
    assert not is_marked(index)
    assert waiter.acquire() is True


def test_a_holder_whose_lease_is_revoked_learns_it_by_a_heartbeat(
        index, holder, waiter, clock):
    assert waiter.revoke(waiter.read()) is True
    clock.advance(SECONDS / 4.0)
    with pytest.raises(errors.LeaseLost):
        holder.renew()
    assert row(index) == VERSION_KEY


def test_a_newer_number_is_not_taken_away(index, holder, waiter, clock):
    seen = waiter.read()
    clock.advance(SECONDS / 4.0)
    holder.renew()
    assert waiter.revoke(seen) is False
    assert waiter.revoke(None) is True
    holder.release_with()
    assert row(index) == VERSION_KEY


# Our own, that could not be given back

def test_a_lease_that_could_not_be_given_back_is_ours_at_once(index, holder, waiter):
    refused = Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    assert 'lease' in row(index)
    refused.left = 0
    assert waiter.acquire() is False
    assert holder.acquire() is True
    # And a heartbeat of it is one of the new number.
    assert waiter.acquire() is False
    holder.renew()
    waiter.advance(SECONDS + 1)
    assert waiter.acquire() is True
    with pytest.raises(errors.LeaseLost):
        holder.release_with()


def test_nor_is_it_ours_if_another_process_took_it_over_meanwhile(index, holder, waiter):
    Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    take_over(waiter)
    assert holder.acquire() is False


def test_another_lease_of_the_same_process_waits_for_its_time(index, holder, clock):
    Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    other = lease(index, clock)
    assert other.acquire() is False
    clock.advance(SECONDS + 1)
    assert other.acquire() is True


# The version row

def test_the_row_gets_what_is_given_with_the_release(index, holder, waiter):
    holder.release_with(mark(index), format={'N': '3'})
    assert row(index) == dict(VERSION_KEY, format={'N': '3'})
    # And keeps it.
    assert waiter.acquire() is True
    assert row(index)['format'] == {'N': '3'}
    waiter.release_with()
    assert row(index) == dict(VERSION_KEY, format={'N': '3'})


def test_each_kind_is_a_lease_of_its_own(index, holder, clock):
    other = lease(index, clock, seconds=60, kind='describing')
    assert other.acquire() is True
    assert lease(index, kind='describing').acquire() is False
    before = row(index)
    clock.advance(SECONDS / 2.0)
    holder.renew()
    after = row(index)
    assert {name for name in after if after[name] != before[name]} == {'lease', 'lease_age'}
    holder.release_with()
    assert set(row(index)) == {'version', 'describing', 'describing_seconds', 'describing_age'}
    other.renew()
    other.release()
    assert row(index) == VERSION_KEY


# How long it lasts

@pytest.mark.parametrize('more', [{}, {'read_timeout': 60, 'attempts': 5}])
def test_a_lease_lasts_for_three_slowest_requests_and_twenty_seconds_at_least(index, more):
    store = index.another(**more).store
    longest = request_timeout(store.settings)
    made = lease_of(store, Clock())
    assert made.acquire() is True
    assert float(row(index)['lease_seconds']['N']) == max(20, 3 * longest)
    made.release()


@pytest.mark.parametrize('seconds', [20, 45, 450])
def test_a_holder_that_renews_late_is_alive_and_one_that_does_not_is_not(index, clock, seconds):
    def status():
        return Status(index.store, sleep=lambda passed: act(passed)).lease()

    def renew_now_and_then(passed):
        clock.advance(passed)
        holder.renew()

    holder = lease(index, clock, seconds)
    assert holder.acquire()
    act = renew_now_and_then
    for _ in range(5):
        assert status()['alive'] is True
    waited = []
    act = waited.append
    assert status()['alive'] is False
    assert sum(waited) >= 3 * seconds / 20.0
    holder.release()
    assert status() is None
