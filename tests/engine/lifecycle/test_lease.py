"""The lease: one holder, whatever dies, stalls or gets lost."""
from __future__ import unicode_literals

import random

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store.client import request_timeout
from docker_registry_index.engine.store.records import VERSION_KEY
from tests.helpers.clock import Clock
from tests.helpers.faults import Meanwhile, Throttle, taken_back
from tests.helpers.network import LostAnswer
from tests.helpers.requests_made import RequestsMade

#: The lease time, and what a request of a holder may take.
SECONDS, REQUEST = 20, 6
#: An item that a release writes; see `mark`.
MARK = {'gram': {'S': '!'}, 'suffix': {'S': 'done'}}


@pytest.fixture
def index(tables):
    for table, key in ((tables.settings.version_table, VERSION_KEY),
                       (tables.settings.search_table, MARK)):
        tables.store.call('delete_item', TableName=table, Key=key)
    with taken_back(tables.engine):
        yield tables


class OnItsHost(Lease):
    """A Lease with a clock of its own, as on another host."""

    def __init__(self, index, seconds=SECONDS, kind='lease'):
        # A whole number, so that no difference is rounded.
        clock = Clock(random.randrange(1000))
        self.advance = clock.advance
        Lease.__init__(self, index.store, seconds, clock, REQUEST, kind)


@pytest.fixture
def holder(index):
    made = OnItsHost(index)
    assert made.acquire() is True
    return made


@pytest.fixture
def waiter(index):
    return OnItsHost(index)


def row(index):
    return index.store.get(index.settings.version_table, VERSION_KEY)


def mark(index, **more):
    """Return an action of a release, which `is_marked` sees."""
    return {'Put': dict(more, TableName=index.settings.search_table, Item=MARK)}


def is_marked(index):
    return index.store.get(index.settings.search_table, MARK) is not None


def take_over(index, waiter):
    assert waiter.acquire() is False
    waiter.advance(SECONDS + 1)
    assert waiter.acquire() is True


def test_a_free_lease_costs_a_read_and_a_write_and_a_held_one_a_read(index, waiter):
    made = RequestsMade(index.engine)
    assert OnItsHost(index).acquire() is True
    assert made.operations == ['GetItem', 'UpdateItem']
    # Release 0.1.0 reads this row, and refuses any version but 1.
    assert row(index)['version'] == {'N': '1'}
    with made.counted():
        for _ in range(3):
            assert waiter.acquire() is False
            waiter.advance(1)
    assert made.operations == ['GetItem'] * 3


def test_a_process_that_waits_sees_that_the_holder_lives_and_for_how_long(holder, waiter):
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (False, 0)
    for _ in range(2):
        holder.advance(SECONDS / 4.0)
        holder.renew()
    assert waiter.acquire() is False
    assert (waiter.is_alive, waiter.age) == (True, SECONDS / 2.0)
    # Until the lease time has passed without another heartbeat.
    for seconds, is_alive in (SECONDS, True), (1, False):
        waiter.advance(seconds)
        assert (waiter.is_taken, waiter.is_alive) == (is_alive, is_alive)


def test_a_heartbeat_costs_nothing_before_it_is_due(index, holder):
    before = row(index)['lease']
    made = RequestsMade(index.engine)
    holder.advance(SECONDS / 20.0 - 0.1)
    holder.renew()
    assert made.operations == []
    holder.advance(0.2)
    holder.renew()
    holder.renew()
    assert made.operations == ['UpdateItem']
    assert row(index)['lease'] != before


def test_a_release_makes_its_actions_and_frees_the_lease(index, holder, waiter):
    holder.release_with(mark(index), format={'N': '3'})
    assert is_marked(index) and row(index) == dict(VERSION_KEY, format={'N': '3'})
    assert waiter.acquire() is True
    assert row(index)['format'] == {'N': '3'}
    # A second release, and one of a lease that was never taken, do nothing.
    made = RequestsMade(index.engine)
    holder.release()
    OnItsHost(index).release()
    assert made.operations == []
    waiter.release_with({'Delete': {'TableName': index.settings.search_table, 'Key': MARK}})
    assert not is_marked(index) and row(index) == dict(VERSION_KEY, format={'N': '3'})


def test_a_release_that_is_refused_keeps_the_lease(index, holder, waiter):
    with pytest.raises(errors.ConditionFailed) as failed:
        holder.release_with(mark(index, ConditionExpression='attribute_exists(gram)'))
    assert failed.value.reasons == [None, 'ConditionalCheckFailed']
    Throttle(index.engine, 'TransactWriteItems', 1, ['ThrottlingError', None])
    with pytest.raises(errors.RequestFailed):
        holder.release_with(mark(index))
    assert not is_marked(index) and waiter.acquire() is False
    holder.release()
    assert row(index) == VERSION_KEY


def test_a_holder_that_could_not_release_its_lease_takes_it_again_at_once(index, holder, waiter):
    refused = Throttle(index.engine, 'TransactWriteItems', 100)
    holder.release()
    assert waiter.acquire() is False
    holder.read()
    assert waiter.is_taken and not holder.is_taken
    assert holder.acquire() is True
    # It has a new number, whose time starts again.
    waiter.advance(SECONDS + 1)
    assert waiter.acquire() is False
    holder.release()
    assert 'lease' in row(index) and refused.left == 98
    take_over(index, waiter)
    assert holder.acquire() is False and not holder.is_alive


def test_a_lease_is_taken_over_after_the_time_of_its_holder_without_a_heartbeat(index, holder):
    waiter = OnItsHost(index, seconds=0.5)
    # The time counts from when the waiter first saw the lease.
    waiter.advance(10 * SECONDS)
    assert waiter.acquire() is False
    waiter.advance(SECONDS)
    assert waiter.acquire() is False
    waiter.advance(0.1)
    assert waiter.acquire() is True


def test_a_lease_that_is_renewed_or_taken_again_is_not_taken_over(index, holder, waiter):
    for _ in range(3):
        assert waiter.acquire() is False
        holder.advance(SECONDS * 0.9)
        holder.renew()
        waiter.advance(SECONDS * 0.9)
    holder.release()
    waiter.advance(SECONDS)
    assert OnItsHost(index).acquire() is True
    assert waiter.acquire() is False


def test_the_first_of_two_processes_that_write_at_the_same_time_gets_the_lease(
        index, holder, waiter):
    other, taken = OnItsHost(index), []
    for each in waiter, other:
        assert each.acquire() is False
        each.advance(SECONDS + 1)
    # The holder renews the lease just before another process takes it over.
    holder.advance(SECONDS + 1)
    Meanwhile(index.engine, 'UpdateItem', holder.renew)
    assert waiter.acquire() is False and other.acquire() is False
    # A third process is faster than the waiter, first for a lease without heartbeats, ...
    for each in waiter, other:
        each.advance(SECONDS + 1)
    Meanwhile(index.engine, 'UpdateItem', lambda: taken.append(other.acquire()))
    assert waiter.acquire() is False and taken == [True]
    # ... then for a free one.
    other.release()
    Meanwhile(index.engine, 'UpdateItem', lambda: taken.append(other.acquire()))
    assert waiter.acquire() is False and taken == [True, True]


def revoke(index, waiter):
    assert waiter.revoke(waiter.read()) is True


def delete(index, waiter):
    index.store.call('delete_item', TableName=index.settings.version_table, Key=VERSION_KEY)


@pytest.mark.parametrize('lose', [take_over, revoke, delete])
def test_a_holder_that_lost_its_lease_changes_nothing(index, holder, waiter, lose):
    lose(index, waiter)
    before = row(index)
    with pytest.raises(errors.LeaseLost) as lost:
        holder.release_with(mark(index), format={'N': '4'})
    assert index.settings.version_table in str(lost.value)
    holder.advance(SECONDS / 4.0)
    with pytest.raises(errors.LeaseLost):
        holder.renew()
    holder.release()
    assert row(index) == before and not is_marked(index)


def test_a_lease_with_a_newer_number_is_not_revoked(index, holder, waiter):
    seen = waiter.read()
    holder.advance(SECONDS / 4.0)
    holder.renew()
    assert waiter.revoke(seen) is False
    assert waiter.revoke(None) is True
    holder.release_with()


def test_a_request_whose_answer_was_lost_is_made(index, monkeypatch):
    monkeypatch.setattr('time.sleep', lambda _: None)
    holder = OnItsHost(index)

    def renew_late():
        holder.advance(SECONDS)
        holder.renew()

    for request in holder.acquire, renew_late, lambda: holder.release_with(mark(index)):
        with LostAnswer(index.engine) as lost:
            request()
        assert lost.count == 1
    assert is_marked(index) and row(index) == VERSION_KEY


def interrupt(index, error, is_made):
    """Raise an error at the next update of the version row, before or after it is made."""
    def raise_it():
        raise error

    Meanwhile(index.engine, 'UpdateItem', raise_it, 'after-call' if is_made else 'before-call')


NO_ANSWER = errors.RequestFailed('update_item', ['t'], 'ReadTimeoutError', 'as ordered', True)
made_or_not = pytest.mark.parametrize('is_made', [True, False], ids=['made', 'not made'])


@made_or_not
def test_a_holder_keeps_its_lease_if_the_answer_to_a_heartbeat_is_lost(
        index, holder, waiter, is_made):
    before = row(index)['lease']
    holder.advance(SECONDS / 4.0)
    interrupt(index, NO_ANSWER, is_made)
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
def test_a_lease_whose_answer_never_comes_is_taken_by_the_next_attempt(index, waiter, is_made):
    taking = OnItsHost(index)
    interrupt(index, NO_ANSWER, is_made)
    with pytest.raises(errors.RequestFailed):
        taking.acquire()
    taking.release()
    assert ('lease' in (row(index) or {})) is is_made
    # A lease that was taken is kept from others for its time.
    assert not is_made or waiter.acquire() is False
    assert taking.acquire() is True
    assert waiter.acquire() is False
    taking.release_with()
    assert row(index) == VERSION_KEY


@made_or_not
@pytest.mark.parametrize('request_made', ['acquire', 'renew'])
def test_a_lease_is_released_if_a_request_to_take_or_renew_it_is_interrupted(
        index, waiter, is_made, request_made):
    interrupted = OnItsHost(index)
    if request_made == 'renew':
        assert interrupted.acquire() is True
        interrupted.advance(SECONDS / 2.0)
    interrupt(index, KeyboardInterrupt(), is_made)
    with pytest.raises(KeyboardInterrupt):
        getattr(interrupted, request_made)()
    interrupted.release()
    assert waiter.acquire() is True


def test_a_lease_of_another_holder_is_not_released_after_an_interruption(index, holder, waiter):
    assert waiter.acquire() is False
    waiter.advance(SECONDS + 1)
    before = row(index)
    interrupt(index, KeyboardInterrupt(), is_made=False)
    with pytest.raises(KeyboardInterrupt):
        waiter.acquire()
    waiter.release()
    assert row(index) == before


#: AWS answers with the first while a transaction of another process holds the row, and with the
#: second if it throttles.
CONFLICT, THROTTLE = 'TransactionConflictException', 'ProvisionedThroughputExceededException'


def test_a_lease_is_not_taken_if_the_request_is_refused(index, waiter):
    Throttle(index.engine, 'UpdateItem', 1, code=CONFLICT)
    assert waiter.acquire() is False
    Throttle(index.engine, 'UpdateItem', 1, code=THROTTLE)
    with pytest.raises(errors.RequestFailed):
        waiter.acquire()
    assert row(index) is None and waiter.acquire() is True


#: Seconds after a heartbeat: one more request may end within the lease time, or may not.
EARLY, LATE = SECONDS - REQUEST - 0.1, SECONDS - REQUEST + 0.1


@pytest.mark.parametrize('passed, updates_refused, code, reads_refused, outcome', [
    (EARLY, 1, CONFLICT, 0, 'due'), (LATE, 1, CONFLICT, 0, 'made'), (LATE, 2, CONFLICT, 0, 'made'),
    (LATE, 3, CONFLICT, 0, 'could not be renewed before its end'),
    (EARLY, 1, CONFLICT, 1, 'due'), (LATE, 1, CONFLICT, 1, THROTTLE),
    (EARLY, 1, THROTTLE, 0, 'due'), (LATE, 1, THROTTLE, 0, THROTTLE),
    (EARLY, 1, 'AccessDeniedException', 0, 'AccessDeniedException')])
def test_a_refused_heartbeat_is_made_later_but_fails_if_the_lease_may_end_before(
        index, holder, passed, updates_refused, code, reads_refused, outcome):
    before = row(index)['lease']
    updates = Throttle(index.engine, 'UpdateItem', updates_refused, code=code)
    reads = Throttle(index.engine, 'GetItem', reads_refused)
    holder.advance(passed)
    if outcome in ('due', 'made'):
        holder.renew()
    else:
        with pytest.raises(errors.RequestFailed, match=outcome):
            holder.renew()
    assert (updates.left, reads.left) == (0, 0)
    assert (row(index)['lease'] != before) is (outcome == 'made')
    made = RequestsMade(index.engine)
    holder.renew()
    assert made.operations == ([] if outcome == 'made' else ['UpdateItem'])
    holder.release_with()
    assert row(index) == VERSION_KEY


class SlowRow(object):
    """A store of the version row alone, whose requests take time.

    :param take: called before each request is done, with its operation; returns whether the answer
        gets lost afterwards. May raise."""

    version_table = 't'

    def __init__(self, take):
        self._take = take
        self.number = None

    def get(self, table, key):
        self._take('get_item')
        return {'lease': {'S': self.number}} if self.number else None

    def call(self, operation, ConditionExpression, ExpressionAttributeValues, **_):
        is_lost, values = self._take(operation), ExpressionAttributeValues
        if self.number:
            assert ConditionExpression == 'begins_with(lease, :owner)'
            assert self.number.startswith(values[':owner']['S'])
        assert self.number != values[':new']['S']
        self.number = values[':new']['S']
        if is_lost:
            raise NO_ANSWER


@pytest.mark.parametrize('seed', range(40))
def test_no_request_that_follows_a_heartbeat_ends_after_the_lease(seed):
    chance, clock, seconds, starts = random.Random(seed), Clock(), 3 * REQUEST, []

    def take(operation):
        began = clock()
        # The last one: a name server answers late, or DynamoDB sends its answer byte by byte.
        clock.advance(chance.choice([0.01, REQUEST * chance.random(), REQUEST, 5 * REQUEST]))
        if operation == 'update_item':
            if chance.random() < 0.3:
                raise NO_ANSWER
            starts.append(began)
            return chance.random() < 0.4

    held, is_held = Lease(SlowRow(take), seconds, clock, REQUEST), False
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


def test_each_kind_is_a_lease_of_its_own(index, holder):
    other = OnItsHost(index, 60, 'describing')
    assert other.acquire() is True
    assert OnItsHost(index, kind='describing').acquire() is False
    before = row(index)
    holder.advance(SECONDS / 2.0)
    holder.renew()
    after = row(index)
    assert {name for name in after if after[name] != before[name]} == {'lease', 'lease_age'}
    holder.release_with()
    assert set(row(index)) == {'version', 'describing', 'describing_seconds', 'describing_age'}
    other.advance(30)
    other.renew()
    other.release()
    assert row(index) == VERSION_KEY


@pytest.mark.parametrize('more', [{}, {'read_timeout': 60, 'attempts': 5}])
def test_a_lease_lasts_for_three_slowest_requests_and_twenty_seconds_at_least(index, more):
    store = index.another(**more).store
    made = Lease(store, clock=Clock())
    assert made.acquire() is True
    assert float(row(index)['lease_seconds']['N']) == max(20, 3 * request_timeout(store.settings))
    made.release()
