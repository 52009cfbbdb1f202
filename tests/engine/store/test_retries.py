"""The retries of loads, checks and status: how long, how often logged, and with which advice."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.store.retries import FOREVER, RetryingClient, advice
from tests.helpers.clock import Clock
from tests.helpers.scripted_client import ThrottlingClient

MONTH = 30 * 24 * 3600


def failed(code, retryable=True, kind=errors.RequestFailed, reasons=()):
    return kind('put_item', ['db-search'], code, 'not now', retryable, reasons)


THROTTLED, FAULT = failed('ThrottlingException'), failed('InternalServerError')
LATE = failed('TransactionCanceledException', reasons=[None, 'ThrottlingError'])


def table(name='db-search', **more):
    return {'Table': dict(more, TableName=name)}


def retrying(*failures, **more):
    """Return a client whose requests fail with these errors, one after the other, and then succeed;
    the requests; and its clock."""
    clock, client = Clock(), ThrottlingClient(table(), *failures + ({'Items': []},))
    heartbeat = more.pop('heartbeat', lambda: None)
    return RetryingClient(client, heartbeat, clock.sleep, clock, **more), client.requests, clock


def at_each_attempt(client):
    """Return the seconds after which each attempt of a request is made."""
    clock, began = client._clock, client._clock()
    times, inner = [], client._client.call

    def call(operation, **arguments):
        if operation != 'describe_table':
            times.append(clock() - began)
        return inner(operation, **arguments)

    client._client.call = call
    client.call('put_item', TableName='db-search')
    return times


def test_a_throttled_request_is_retried_after_longer_and_longer_pauses_with_heartbeats():
    beats = []
    client, requests, clock = retrying(*[THROTTLED] * 5, heartbeat=lambda: beats.append(1))
    times = at_each_attempt(client)
    assert requests == [('put_item', {'TableName': 'db-search'})] * 6
    # Shortened at random, so that not all loads retry at once.
    pauses = [after - before for before, after in zip(times, times[1:])]
    assert [0.7 * longest <= pause <= longest + 1e-6 for pause, longest
            in zip(pauses, [0.5, 1, 2, 4, 4])] == [True] * 5, pauses
    # There are heartbeats during the pauses, too.
    assert max(clock.slept) <= 1 and len(beats) == len(clock.slept) + 1


def test_a_load_is_throttled_for_a_month_and_logs_a_line_every_ten_minutes(caplog):
    client, requests, clock = retrying(*[THROTTLED, LATE] * 500, throttled_seconds=FOREVER)
    began = clock()
    assert client.call('put_item', TableName='db-search') == {'Items': []}
    assert len(requests) == 1001 and clock() - began > 2000
    # The first line is logged at once.
    assert len(caplog.messages) == 1 + int((clock() - began) // 600)
    assert set(line.partition(';')[0] for line in caplog.messages) == {
        'DynamoDB throttles put_item on db-search'}
    forever, _, clock = retrying(THROTTLED, throttled_seconds=FOREVER)
    forever._sleep = lambda seconds: clock.advance(MONTH)
    assert forever.call('put_item') == {'Items': []}


@pytest.mark.parametrize('error, seconds', [
    (THROTTLED, 600), (LATE, 600), (FAULT, 20), (failed('EndpointConnectionError'), 20),
    # A retry would fail, too.
    (failed('AccessDeniedException', retryable=False), 0),
    (failed('ResourceNotFoundException', False, errors.MissingTable), 0),
    (failed('ConditionalCheckFailedException', kind=errors.ConditionFailed), 0),
    (failed('TransactionCanceledException', True, errors.ConditionFailed,
            ['ThrottlingError', 'ConditionalCheckFailed']), 0)], ids=lambda value: None)
def test_a_check_that_is_refused_for_too_long_fails(error, seconds):
    client, requests, clock = retrying(*[error] * 1000)
    began = clock()
    with pytest.raises(type(error)) as raised:
        client.call('put_item')
    assert raised.value is error and (len(requests) == 1) == (seconds == 0)
    assert seconds < clock() - began <= seconds + 4 or clock.slept == [] and seconds == 0


def test_a_fault_after_long_throttling_has_its_own_time():
    client, requests, clock = retrying(*[THROTTLED] * 100 + [FAULT] * 3 + [THROTTLED] * 100)
    assert client.call('put_item') == {'Items': []} and len(requests) == 204
    client, _, clock = retrying(*[THROTTLED] * 100 + [FAULT] * 100)
    with pytest.raises(errors.RequestFailed) as raised:
        client.call('put_item')
    assert raised.value is FAULT


@pytest.mark.parametrize('wanted, response, is_stuck', [
    ({'t': [1, 2], 'u': [3]}, {'UnprocessedItems': {'u': [3], 't': [2, 1]}}, True),
    ({'t': [1, 2], 'u': [3]}, {'UnprocessedItems': {'t': [2, 1]}}, False),
    ({'t': [1]}, {'UnprocessedItems': {}}, False),
    ({'t': [1]}, {}, False)], ids=lambda value: None)
def test_a_batch_of_which_nothing_is_processed_counts_as_throttled(wanted, response, is_stuck):
    client, requests, clock = retrying(*[response] * 3)
    found = client.call('batch_write_item', RequestItems=wanted)
    assert (found, len(requests)) == (({'Items': []}, 4) if is_stuck else (response, 1))
    client, requests, clock = retrying(*[response] * 1000, throttled_seconds=600)
    if is_stuck:
        with pytest.raises(errors.RequestFailed) as raised:
            client.call('batch_write_item', RequestItems=wanted)
        assert raised.value.throttled and raised.value.tables == ('t', 'u')


def test_a_heartbeat_can_end_the_attempts_and_the_pause_between_two():
    beats = []

    def heartbeat():
        beats.append(1)
        if len(beats) == 7:
            raise errors.LeaseLost('db-version')

    client, requests, clock = retrying(*[THROTTLED] * 10, heartbeat=heartbeat)
    with pytest.raises(errors.LeaseLost):
        client.call('put_item')
    assert len(requests) == 4 and len(clock.slept) == 6


ON_DEMAND = {'BillingModeSummary': {'BillingMode': 'PAY_PER_REQUEST'}}
PROVISIONED = {'BillingModeSummary': {'BillingMode': 'PROVISIONED'}}


def maximum(reads, writes):
    return dict(ON_DEMAND, OnDemandThroughput={
        'MaxReadRequestUnits': reads, 'MaxWriteRequestUnits': writes})


@pytest.mark.parametrize('tables, is_read, expected', [
    # A table that was never on-demand has no summary.
    ([{}], False, 'switch t0 to on-demand billing, or raise its write units'),
    ([PROVISIONED], True, 'switch t0 to on-demand billing, or raise its read units'),
    ([ON_DEMAND, PROVISIONED, {}], False, 'switch t1 and t2 to on-demand billing'),
    ([ON_DEMAND], False, 'the billing is on-demand, so DynamoDB raises this limit by itself'),
    ([maximum(-1, -1)], True, 'the billing is on-demand'),
    ([maximum(50, -1)], False, 'the billing is on-demand'),
    ([ON_DEMAND, maximum(-1, 50)], False, 'raise the maximum of write units of t1'),
    ([maximum(50, -1)], True, 'raise the maximum of read units of t0')], ids=lambda value: None)
def test_the_advice_fits_the_tables(tables, is_read, expected):
    found = advice([table('t%d' % number, **more)['Table']
                    for number, more in enumerate(tables)], is_read)
    assert expected in found
    # None recommends what is already the case.
    assert ('switch' in found) == any('switch' in part for part in [expected])


@pytest.mark.parametrize('described, expected', [
    (table(**ON_DEMAND), 'the billing is on-demand'), (table(), 'switch db-search to on-demand'),
    (failed('AccessDeniedException', retryable=False), None), (FAULT, None)],
    ids=lambda value: None)
def test_a_table_is_described_before_advice_is_given_and_without_an_answer_there_is_none(
        caplog, described, expected):
    clock, client = Clock(), ThrottlingClient(described, THROTTLED, THROTTLED, {})
    RetryingClient(client, lambda: None, clock.sleep, clock).call('put_item')
    assert client.described == [('describe_table', {'TableName': 'db-search'})]
    [line] = caplog.messages
    begins = 'DynamoDB throttles put_item on db-search; the request is retried'
    assert line.startswith(begins)
    assert expected in line if expected else line == begins
