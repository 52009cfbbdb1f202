# -*- coding: utf-8 -*-
"""The lease: one holder, whatever dies, stalls or gets lost."""

from __future__ import unicode_literals

import random
import threading

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease, lease_of
from docker_registry_index.engine.store.client import slowest
from docker_registry_index.engine.store.records import VERSION_KEY
from docker_registry_index.engine.verify.status import Status
from tests.helpers.faults import Meanwhile, Throttle
from tests.helpers.hooks import taken_back
from tests.helpers.network import LostAnswer
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex

SECONDS = 20
#: That a request of a holder may take.
REQUEST = 6


class Clock(object):

    def __init__(self, now=1000.0):
        self.now = now

    def __call__(self):
        return self.now

    def go(self, seconds):
        self.now += seconds


@pytest.fixture(scope='module')
def tables(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


@pytest.fixture
def index(tables):
    tables.store.call('delete_item', TableName=tables.settings.version_table, Key=VERSION_KEY)
    with taken_back(tables.engine):
        yield tables


def lease(index, clock, seconds=SECONDS, request=REQUEST, kind='lease'):
    return Lease(index.store, seconds, clock, request, kind)


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
    made.clock = made._clock
    return made


def row(index):
    return index.store.get(index.settings.version_table, VERSION_KEY)


def marker(index, name='done'):
    return {'Put': {'TableName': index.settings.search_table,
                    'Item': {'gram': {'S': '!'}, 'suffix': {'S': name}}}}


def markers(index):
    return [item['suffix']['S'] for item in index.items(index.settings.search_table)
            if item['suffix']['S'] == 'done']


# Held

def test_a_read_and_a_write_take_a_free_lease(index, clock):
    made = RequestsMade(index.engine)
    assert lease(index, clock).acquire() is True
    assert made.operations == ['GetItem', 'UpdateItem']
    # Release 0.1.0 reads this row, and refuses any version but 1.
    assert row(index)['version'] == {'N': '1'}


def test_the_holder_keeps_all_others_out(index, holder, waiter, clock):
    for _ in range(5):
        assert waiter.acquire() is False
        assert lease(index, clock).acquire() is False
        waiter.clock.go(1)


def test_a_process_that_waits_writes_nothing(index, holder, waiter):
    made = RequestsMade(index.engine)
    for _ in range(5):
        assert waiter.acquire() is False
        waiter.clock.go(1)
    assert made.operations == ['GetItem'] * 5


def test_a_process_that_waits_sees_that_the_holder_lives_and_for_how_long(
        index, holder, waiter, clock):
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (False, 0)
    clock.go(SECONDS / 4.0)
    holder.renew()
    clock.go(SECONDS / 4.0)
    holder.renew()
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (True, SECONDS / 2.0)


def test_a_heartbeat_costs_nothing_before_it_is_due(index, holder, clock):
    before = row(index)['lease']
    made = RequestsMade(index.engine)
    clock.go(SECONDS / 20.0 - 0.1)
    holder.renew()
    assert made.operations == []
    clock.go(0.2)
    holder.renew()
    holder.renew()
    assert made.operations == ['UpdateItem']
    assert row(index)['lease'] != before


def test_many_ask_at_once_and_one_gets_it(index):
    leases = [lease(index, Clock()) for _ in range(8)]
    got = []
    threads = [threading.Thread(target=lambda one=one: got.append(one.acquire())) for one in leases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [False] * 7 + [True]


# Given back

def test_release_gives_it_back(index, holder, waiter):
    holder.release()
    assert row(index) == VERSION_KEY
    assert waiter.acquire() is True


def test_release_with_makes_its_actions(index, holder, waiter):
    holder.release_with(marker(index))
    assert markers(index) == ['done']
    assert waiter.acquire() is True
    waiter.release_with({'Delete': {'TableName': index.settings.search_table,
                                    'Key': marker(index)['Put']['Item']}})
    assert markers(index) == []


def test_a_second_release_and_one_of_what_was_never_held_do_nothing(index, holder, waiter):
    holder.release()
    assert waiter.acquire() is True
    made = RequestsMade(index.engine)
    holder.release()
    lease(index, Clock()).release()
    assert made.operations == []


# Taken over

def test_it_is_taken_over_when_it_stood_still_for_its_time(index, holder, waiter, clock):
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS)
    assert waiter.acquire() is False
    waiter.clock.go(0.1)
    assert waiter.acquire() is True
    # Hours may have gone by on the clock of the holder, or nothing.
    clock.go(SECONDS)
    with pytest.raises(errors.LeaseLost) as lost:
        holder.renew()
    assert index.settings.version_table in str(lost.value)


def test_the_time_counts_from_when_it_was_first_seen(index, holder, waiter):
    waiter.clock.go(10 * SECONDS)
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS - 1)
    assert waiter.acquire() is False


def test_it_is_the_holders_time_that_counts(index, clock):
    slow, hasty = lease(index, clock, 60), lease(index, Clock(), 0.5)
    assert slow.acquire() is True
    assert hasty.acquire() is False
    hasty._clock.go(59)
    assert hasty.acquire() is False
    hasty._clock.go(2)
    assert hasty.acquire() is True


def test_a_renewed_one_is_never_taken(index, holder, waiter, clock):
    for _ in range(10):
        assert waiter.acquire() is False
        clock.go(SECONDS * 0.9)
        holder.renew()
        waiter.clock.go(SECONDS * 0.9)
    holder.release_with()


def test_one_renewed_in_the_last_moment_is_not_taken(index, holder, waiter, clock):
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS + 1)
    clock.go(SECONDS + 1)
    Meanwhile(index.engine, 'UpdateItem', holder.renew)
    assert waiter.acquire() is False
    # And it counts anew.
    waiter.clock.go(SECONDS - 1)
    assert waiter.acquire() is False
    holder.release_with()


def test_of_two_who_take_over_one_gets_it(index, holder):
    waiters = [lease(index, Clock()) for _ in range(2)]
    for waiter in waiters:
        assert waiter.acquire() is False
        waiter._clock.go(SECONDS + 1)
    assert [waiter.acquire() for waiter in waiters] == [True, False]


def test_one_given_back_and_taken_again_counts_anew(index, holder, waiter):
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS + 1)
    holder.release()
    third = lease(index, Clock())
    assert third.acquire() is True
    assert waiter.acquire() is False
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS + 1)
    assert waiter.acquire() is True


# Lost

def take_over(waiter):
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS + 1)
    assert waiter.acquire() is True


def test_a_lost_one_stops_the_release_and_its_actions(index, holder, waiter):
    take_over(waiter)
    with pytest.raises(errors.LeaseLost):
        holder.release_with(marker(index))
    assert markers(index) == []
    before = row(index)
    holder.release()
    assert row(index) == before
    waiter.release_with()


def test_one_lost_to_nobody_is_lost_too(index, holder):
    index.engine.client.call('delete_item', TableName=index.settings.version_table, Key=VERSION_KEY)
    with pytest.raises(errors.LeaseLost):
        holder.release_with(marker(index))
    assert markers(index) == []


def test_an_action_that_is_refused_keeps_the_lease(index, holder, waiter):
    refused = marker(index)
    refused['Put']['ConditionExpression'] = 'attribute_exists(gram)'
    with pytest.raises(errors.ConditionFailed) as failed:
        holder.release_with(refused)
    assert failed.value.reasons == [None, 'ConditionalCheckFailed']
    assert waiter.acquire() is False
    holder.release()
    assert waiter.acquire() is True


def test_a_throttled_release_keeps_the_lease(index, holder, waiter):
    Throttle(index.engine, 'TransactWriteItems', 1, ['ThrottlingError', None])
    with pytest.raises(errors.RequestFailed):
        holder.release_with(marker(index))
    assert markers(index) == []
    holder.release()
    assert row(index) == VERSION_KEY


# Answers that get lost

def test_taking_it_counts_when_only_the_answer_was_lost(index, clock, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    taking = lease(index, clock)
    with LostAnswer(index.engine) as lost:
        assert taking.acquire() is True
    assert lost.count == 1
    taking.release_with()


def test_so_does_a_heartbeat(index, holder, clock, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    clock.go(SECONDS)
    with LostAnswer(index.engine) as lost:
        holder.renew()
    assert lost.count == 1
    holder.release_with()
    assert row(index) == VERSION_KEY


def test_so_does_a_release(index, holder, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    with LostAnswer(index.engine) as lost:
        holder.release_with(marker(index))
    assert lost.count == 1
    assert markers(index) == ['done']
    assert row(index) == VERSION_KEY
    index.engine.client.call('delete_item', TableName=index.settings.search_table,
                             Key=marker(index)['Put']['Item'])


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
    clock.go(SECONDS / 4.0)
    Interrupted(index, monkeypatch, failed('ReadTimeoutError'), is_made)
    holder.renew()
    assert (row(index)['lease'] != before) is is_made
    # It counts as not made, so it is still due.
    made = RequestsMade(index.engine)
    holder.renew()
    holder.renew()
    assert made.operations == ['UpdateItem']
    assert waiter.acquire() is False
    holder.release_with(marker(index))
    assert markers(index) == ['done'] and row(index) == VERSION_KEY
    index.engine.client.call('delete_item', TableName=index.settings.search_table,
                             Key=marker(index)['Put']['Item'])


@made_or_not
def test_an_acquisition_whose_answer_never_comes_is_ours_at_the_next_attempt(
        index, waiter, clock, monkeypatch, is_made):
    taking = lease(index, clock)
    Interrupted(index, monkeypatch, failed('ReadTimeoutError'), is_made)
    with pytest.raises(errors.RequestFailed):
        taking.acquire()
    assert ('lease' in (row(index) or {})) is is_made
    if is_made:
        # Nobody else takes it before its time.
        assert waiter.acquire() is False
    assert taking.acquire() is True
    assert waiter.acquire() is False
    clock.go(SECONDS / 4.0)
    holder_row = row(index)['lease']
    taking.renew()
    assert row(index)['lease'] != holder_row
    taking.release_with()
    assert row(index) == VERSION_KEY


@made_or_not
@pytest.mark.parametrize('end', ENDS, ids=repr)
def test_interrupted_while_it_is_taken_it_is_given_back(index, waiter, monkeypatch, end, is_made):
    interrupted = lease(index, Clock())
    Interrupted(index, monkeypatch, end, is_made)
    with pytest.raises(type(end)):
        try:
            interrupted.acquire()
        finally:
            interrupted.release()
    assert 'lease' not in (row(index) or {})
    assert waiter.acquire() is True


@made_or_not
@pytest.mark.parametrize('end', ENDS, ids=repr)
def test_interrupted_in_a_heartbeat_it_is_given_back(
        index, clock, holder, waiter, monkeypatch, end, is_made):
    clock.go(SECONDS / 2.0)
    Interrupted(index, monkeypatch, end, is_made)
    with pytest.raises(type(end)):
        holder.renew()
    holder.release()
    assert 'lease' not in row(index)
    assert waiter.acquire() is True


def test_interrupted_while_another_holds_it_nothing_is_given_back(index, holder, monkeypatch):
    late = lease(index, Clock())
    assert late.read() == holder.read()
    late._clock.go(SECONDS + 1)
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

    clock.go(SECONDS / 4.0)
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
    clock.go(SECONDS / 4.0)
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
    clock.go(SECONDS / 4.0)
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
    clock.go(SECONDS)
    conflict(index, count)
    holder.renew()
    assert row(index)['lease'] != before
    holder.release_with()


def test_one_in_conflict_again_and_again_fails_when_time_is_short(index, holder, clock):
    before = row(index)['lease']
    clock.go(SECONDS - REQUEST + 0.1)
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
    clock.go(SECONDS / 4.0)
    conflict(index)
    Throttle(index.engine, 'GetItem', 1)
    holder.renew()
    clock.go(SECONDS)
    conflict(index)
    Throttle(index.engine, 'GetItem', 1)
    with pytest.raises(errors.RequestFailed):
        holder.renew()
    holder.release_with()


def test_a_throttled_heartbeat_is_repeated_while_a_request_can_end_in_time(index, holder, clock):
    before = row(index)['lease']
    Throttle(index.engine, 'UpdateItem', 2)
    clock.go(SECONDS - REQUEST - 0.2)
    holder.renew()
    assert row(index)['lease'] == before
    clock.go(0.4)
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
            clock.go(REQUEST)
            raise failed('ReadTimeoutError')

    row = SlowRow(take)
    held = Lease(row, SECONDS, clock, REQUEST)
    assert held.acquire()
    clock.go(SECONDS / 2.0 - 1)
    # It begins in the first half; after it, no other would end in time.
    with pytest.raises(errors.RequestFailed):
        held.renew()


@pytest.mark.parametrize('seed', range(40))
def test_no_request_that_follows_a_heartbeat_ends_after_the_lease(clock, seed):
    chance, seconds = random.Random(seed), 3 * REQUEST

    def take(operation):
        began = clock.now
        clock.go(chance.choice([0.01, REQUEST * chance.random(), REQUEST]))
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
        assert row.item['lease']['S'].startswith(held._owner)
        # The next write, as slow as it can be. Others wait from the last sign of life that reached
        # the row, and that reached it no earlier than it was sent.
        assert clock.now + REQUEST <= held._renewed + seconds <= starts[-1] + seconds
        clock.go(chance.random() * REQUEST)


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
        clock.go(SECONDS / 19.0)
        held.renew()
        numbers.append(row.item['lease']['S'])
    # Each that reached the row changed it.
    assert modes == [] and len(set(numbers)) == 4


# Taken from its holder

def test_a_holder_that_it_was_taken_from_ends_nothing(index, holder, waiter, clock):
    assert waiter.take_from(waiter.read()) is True
    assert row(index) == VERSION_KEY
    with pytest.raises(errors.LeaseLost):
        holder.release_with(marker(index))
    assert markers(index) == []
    assert waiter.acquire() is True


def test_a_holder_that_it_was_taken_from_learns_it_by_a_heartbeat(index, holder, waiter, clock):
    assert waiter.take_from(waiter.read()) is True
    clock.go(SECONDS / 4.0)
    with pytest.raises(errors.LeaseLost):
        holder.renew()
    assert row(index) == VERSION_KEY


def test_a_newer_number_is_not_taken_away(index, holder, waiter, clock):
    seen = waiter.read()
    clock.go(SECONDS / 4.0)
    holder.renew()
    assert waiter.take_from(seen) is False
    assert waiter.take_from(None) is True
    holder.release_with()
    assert row(index) == VERSION_KEY


# Our own, that could not be given back

def test_what_could_not_be_given_back_is_ours_at_once(index, holder, waiter):
    refused = Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    assert 'lease' in row(index)
    refused.left = 0
    assert waiter.acquire() is False
    assert holder.acquire() is True
    # And a heartbeat of it is one of the new number.
    assert waiter.acquire() is False
    holder.renew()
    waiter.clock.go(SECONDS + 1)
    assert waiter.acquire() is True
    with pytest.raises(errors.LeaseLost):
        holder.release_with()


def test_nor_is_it_when_another_took_it_over_meanwhile(index, holder, waiter):
    Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    assert waiter.acquire() is False
    waiter.clock.go(SECONDS + 1)
    assert waiter.acquire() is True
    assert holder.acquire() is False


def test_another_lease_of_the_same_process_waits_for_its_time(index, holder, clock):
    Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    other = lease(index, clock)
    assert other.acquire() is False
    clock.go(SECONDS + 1)
    assert other.acquire() is True


# The version row

def test_the_row_gets_what_is_given_with_the_release(index, holder, waiter):
    holder.release_with(marker(index), format={'N': '3'})
    assert row(index) == dict(VERSION_KEY, format={'N': '3'})
    # And keeps it.
    assert waiter.acquire() is True
    assert row(index)['format'] == {'N': '3'}
    waiter.release_with({'Delete': {'TableName': index.settings.search_table,
                                    'Key': marker(index)['Put']['Item']}})
    assert row(index) == dict(VERSION_KEY, format={'N': '3'})


def test_a_lost_lease_gives_the_row_nothing(index, holder, waiter):
    take_over(waiter)
    before = row(index)
    with pytest.raises(errors.LeaseLost):
        holder.release_with(format={'N': '4'})
    assert row(index) == before
    waiter.release_with()


def test_each_kind_is_a_lease_of_its_own(index, holder, clock):
    other = lease(index, clock, seconds=60, kind='describing')
    assert other.acquire() is True
    assert lease(index, Clock(), kind='describing').acquire() is False
    before = row(index)
    clock.go(SECONDS / 2.0)
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
def test_it_lasts_for_three_slowest_requests_and_twenty_seconds_at_least(index, more):
    store = index.another(**more).store
    longest = slowest(store.settings)
    made = lease_of(store, Clock())
    assert made.acquire() is True
    assert float(row(index)['lease_seconds']['N']) == max(20, 3 * longest)
    made.release()


@pytest.mark.parametrize('seconds', [20, 45, 450])
def test_a_holder_that_renews_late_is_alive_and_one_that_does_not_is_not(index, clock, seconds):
    def look():
        return Status(index.store, sleep=lambda passed: act(passed)).lease()

    def renew_now_and_then(passed):
        clock.go(passed)
        holder.renew()

    holder = lease(index, clock, seconds)
    assert holder.acquire()
    act = renew_now_and_then
    for _ in range(5):
        assert look()['alive'] is True
    waited = []
    act = waited.append
    assert look()['alive'] is False
    assert sum(waited) >= 3 * seconds / 20.0
    holder.release()
    assert look() is None
