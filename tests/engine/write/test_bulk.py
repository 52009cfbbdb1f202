"""Groups of changes by BatchWriteItem: what is written in which order, and how many at a time."""
from __future__ import unicode_literals

import json

import pytest

from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import (
    INTENT, NOTHING, Intent, RepositoryState, Row, marker_key)
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.write.bulk import BulkWriter, Window, WindowClient
from docker_registry_index.engine.write.plan import Planner
from tests.helpers.clock import Clock
from tests.helpers.scripted_client import ScriptedClient, ThrottlingClient
from tests.helpers.waiting import in_threads, wait_until

SETTINGS = Settings(region='us-east-1', database='db')
PLANNER = Planner(Store(SETTINGS, None))
#: Names as docker-registry 0.9.1 has them, of companies and of public images.
REALISTIC = [
    'library/nginx', 'library/redis', 'library/postgres', 'acme/web-frontend', 'acme/api',
    'payments/invoice-service', 'data-team/spark-worker', 'ops/prometheus-exporter',
    'mobile/push-notifications', 'jsmith/test', 'infra/base-ubuntu1404', 'shop/checkout.api']
REFUSED = errors.ConditionFailed('transact_write_items', ['db-search-4'],
                                 'TransactionCanceledException', 'no', True,
                                 [None, 'ConditionalCheckFailed'])
THROTTLED = errors.RequestFailed('put_item', ['t'], 'ThrottlingException', 'not now', True)
FAILED = errors.RequestFailed('put_item', ['t'], 'AccessDeniedException', 'no', False)

INVALID = errors.RequestFailed('batch_write_item', ['t'], 'ValidationException', 'no', False)


def added(name, description=None, state=NOTHING):
    return PLANNER.put(name, description, state, [PLANNER.not_removed_since(name, None)])


#: A row of 0.1.0 whose description changes from "old", and one that is added.
GROUP = [added('a/web', 'new', RepositoryState(Row.of({'name': {'S': 'a/web'}}), 'old')),
         added('library/some-longer.name')]


#: In place of a response, which gets lost.
LOST = object()


def write(*responses):
    """Write the group with a client that gives these responses; return its requests, the outcome
    and the writer."""
    def lose(**_):
        client.thread.is_uncertain = True
        return {}

    client = ScriptedClient(*[lose if each is LOST else each for each in responses])
    writer = BulkWriter(*[Store(SETTINGS, client)] * 2)
    return client.requests, writer.write(GROUP), writer


def test_a_group_is_its_intent_then_its_postings_and_one_transaction_that_deletes_the_intent():
    requests, (is_made, is_certain, intent), _ = write({})
    assert (is_made, is_certain) == (True, True)
    assert [operation for operation, _ in requests] == [
        'put_item', 'batch_write_item', 'batch_write_item', 'transact_write_items']
    table, key = 'db-search-4', marker_key(INTENT, intent.number)
    assert requests[0][1] == {'TableName': table, 'Item': dict(key, names={
        'S': json.dumps([['a/web', ['new', 'old']], ['library/some-longer.name', ['']]])})}
    written = [each for _, arguments in requests[1:3]
               for each in arguments['RequestItems'][table]]
    assert [each['PutRequest']['Item'] for each in written if 'PutRequest' in each] == [
        postings.to_item(each) for each in postings.postings('a/web', 'new') +
        postings.postings('library/some-longer.name')]
    [deleted] = [each['DeleteRequest']['Key'] for each in written if 'DeleteRequest' in each]
    assert deleted == {'gram': {'S': 'so'}, 'suffix': {'S': 'old\x7fa/web'}}
    assert requests[3][1]['TransactItems'] == [{'Delete': {
        'TableName': table, 'Key': key, 'ConditionExpression': 'attribute_exists(gram)'}}
    ] + GROUP[0].head + GROUP[1].head


@pytest.mark.parametrize('responses, outcome, first_action', [
    ([{}, {}, {}, REFUSED], (False, True), 'Delete'),
    ([{}, LOST, {}, {}], (True, False), 'ConditionCheck'),
    ([{}, {}, LOST, REFUSED], (False, False), 'ConditionCheck'),
    # A late intent does no harm, but is found by the end of the load.
    ([LOST, {}], (True, False), 'ConditionCheck')],
    ids=['refused', 'uncertain', 'refused and uncertain', 'uncertain intent'])
def test_an_intent_is_left_if_the_transaction_is_refused_or_a_request_for_postings_is_uncertain(
        responses, outcome, first_action):
    requests, (is_made, is_certain, intent), writer = write(*responses)
    assert (is_made, is_certain) == outcome
    [transaction] = [arguments for operation, arguments in requests
                     if operation == 'transact_write_items']
    assert list(transaction['TransactItems'][0]) == [first_action]
    store = Store(SETTINGS, ScriptedClient({}))
    writer.put_intents_again(store)
    # The next load need not wait if all requests were answered.
    [(_, put)] = store.client.requests
    assert Intent.of(put['Item']) == Intent.of(requests[0][1]['Item'])._replace(
        is_settled=outcome[1])
    del store.client.requests[:]
    writer.delete(intent, store)
    writer.put_intents_again(store)
    assert store.client.requests == [(
        'delete_item', {'TableName': 'db-search-4', 'Key': marker_key(INTENT, intent.number)})]


def test_an_invalid_item_refuses_only_the_bulk_write_of_its_group():
    requests, (is_made, is_certain, intent), writer = write({}, {}, INVALID, {})
    assert (is_made, is_certain) == (False, True)
    assert [operation for operation, _ in requests] == [
        'put_item', 'batch_write_item', 'batch_write_item']
    store = Store(SETTINGS, ScriptedClient({}))
    writer.put_intents_again(store)
    [(_, put)] = store.client.requests
    assert Intent.of(put['Item']).is_settled and Intent.of(put['Item']).number == intent.number


def test_after_an_interrupted_request_the_next_load_waits_and_after_others_it_does_not():
    """Ctrl-C interrupts a request, which DynamoDB may still make."""
    def interrupt(**_):
        raise KeyboardInterrupt()

    client = ScriptedClient({}, interrupt, {})
    writer = BulkWriter(*[Store(SETTINGS, client)] * 2)
    with pytest.raises(KeyboardInterrupt):
        writer.write(GROUP)
    writer.put_intents_again(Store(SETTINGS, client))
    assert not Intent.of(client.requests[-1][1]['Item']).is_settled
    # The error of the load is more important than one of these.
    writer.put_intents_again(Store(SETTINGS, ScriptedClient(FAILED)))


@pytest.mark.parametrize('count', [1, 3])
def test_an_error_that_is_no_refusal_is_raised_and_leaves_the_intent(count):
    client = ScriptedClient(*[{}] * count + [FAILED, {}])
    writer = BulkWriter(*[Store(SETTINGS, client)] * 2)
    with pytest.raises(errors.RequestFailed):
        writer.write(GROUP)
    writer.put_intents_again(Store(SETTINGS, client))
    assert client.requests[-1][1]['Item'] == dict(
        client.requests[0][1]['Item'], settled={'BOOL': True})


@pytest.mark.parametrize('answers, outcome, made', [
    ([THROTTLED, {}, {}], (True, True), 2), ([THROTTLED, THROTTLED, {}, {}], (True, True), 2),
    ([THROTTLED, {}, REFUSED], (False, True), 2), ([THROTTLED, REFUSED], (False, True), 1)])
def test_a_throttled_transaction_is_made_in_halves_of_which_the_last_deletes_the_intent(
        answers, outcome, made):
    client, clock = ThrottlingClient({'Table': {'TableName': 't'}}, {}, {}, {}, *answers), Clock()
    stores = [Store(SETTINGS, client).retrying(sleep=clock.sleep, throttled_seconds=seconds)
              for seconds in (600, -1)]
    assert BulkWriter(*stores).write(GROUP)[:2] == outcome
    first, rest = client.requests[3][1]['TransactItems'], client.requests[-made:]
    assert first[1:] == GROUP[0].head + GROUP[1].head
    assert [arguments['TransactItems'][1:] for _, arguments in rest] == [
        change.head for change in GROUP][:made]
    assert [list(arguments['TransactItems'][0]) for _, arguments in rest] == [
        ['ConditionCheck'], ['Delete']][:made]
    # Only one alone is retried.
    assert len(clock.slept) == answers.count(THROTTLED) - 1


def write_units(requests):
    """Return the write units of requests: one for a posting, two for an action of a transaction, of
    each begun KB."""
    def size(item):
        return -(-len(json.dumps(item)) // 1024)

    units = 0
    for operation, arguments in requests:
        if operation == 'put_item':
            # Its transaction deletes it.
            units += 3 * size(arguments['Item']) - 2
        elif operation == 'batch_write_item':
            units += sum(map(len, arguments['RequestItems'].values()))
        else:
            units += 2 * len(arguments['TransactItems'])
    return units


def test_an_average_repository_costs_28_write_units_at_most():
    client = ScriptedClient({})
    changes = [added(name) for name in REALISTIC]
    BulkWriter(*[Store(SETTINGS, client)] * 2).write(changes)
    assert write_units(client.requests) / float(len(changes)) <= 28
    # A transaction of all would cost two units for each posting.
    assert sum(2 * len(change.actions) for change in changes) / float(len(changes)) > 39


def test_a_window_grows_by_one_at_most_while_nothing_is_throttled_and_is_halved_when_something_is():
    window, limits = Window(8), []
    for _ in range(12):
        limits.append(int(window.limit))
        for _ in range(limits[-1]):
            window.enter()
        for _ in range(limits[-1]):
            window.leave(False)
    assert limits[:2] == [1, 2] and limits[-2:] == [8, 8]
    assert set(after - before for before, after in zip(limits, limits[1:])) == {0, 1}
    for limit in 4, 2, 1, 1:
        window.enter()
        window.leave(True)
        assert window.limit == limit


def test_a_request_waits_while_as_many_as_the_limit_are_under_way():
    window, entered = Window(8), []

    def enter():
        window.enter()
        entered.append(1)

    join = in_threads([enter] * 3)
    wait_until(lambda: entered)
    for count in 1, 3:
        wait_until(lambda: len(entered), expected=count)
        # Two may be made now, and the end of one more lets the third in.
        window.leave(False)
    join()
    # One is under way, and two would be allowed.
    window.leave(True)
    join = in_threads([enter] * 2)
    wait_until(lambda: len(entered), expected=4)
    window.leave(False)
    join()
    assert len(entered) == 5


@pytest.mark.parametrize('response, limit', [
    ({}, 5), ({'UnprocessedItems': {}}, 5), ({'ResponseMetadata': {'RetryAttempts': 0}}, 5),
    (FAILED, 5), ({'UnprocessedItems': {'t': [1]}}, 2), (THROTTLED, 2),
    ({'ResponseMetadata': {'RetryAttempts': 1}}, 2)], ids=lambda value: None)
def test_a_request_that_is_throttled_or_processed_by_half_shrinks_the_window(response, limit):
    window = Window(8)
    window.limit = 4.0
    client = WindowClient(ScriptedClient(response), window)
    try:
        assert client.call('batch_write_item', RequestItems={}) is response
    except errors.RequestFailed as error:
        assert error is response
    assert int(window.limit) == min(limit, 4) and (window.limit > 4) == (limit == 5)
    # It has left the window.
    assert window._under_way == 0


def test_an_intent_of_the_longest_names_fits_into_an_item():
    # 33 heads of three actions, with two descriptions each, of characters that JSON escapes.
    repositories = [('\xe9' * 255, ['\U0001f433' * 100, '\xe9' * 100])] * 33
    assert len(Intent('0' * 32, repositories).item['names']['S']) < 390 * 1024
