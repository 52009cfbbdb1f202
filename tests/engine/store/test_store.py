"""The store: pages are read to the end, and what DynamoDB leaves out is retried."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.retries import FOREVER
from docker_registry_index.engine.store.store import GET_BATCH, WRITE_BATCH, Store
from tests.helpers.clock import Clock
from tests.helpers.scripted_client import ScriptedClient, ThrottlingClient

SETTINGS = Settings(database='db', region='us-east-1')


def store_of(client, clock=None):
    return Store(SETTINGS, client, (clock or Clock()).sleep)


def test_a_store_has_the_names_of_its_tables_and_reads_an_item_consistently():
    client = ScriptedClient({'Item': {'name': {'S': 'a'}}}, {})
    store = store_of(client)
    assert (store.repository_table, store.version_table, store.search_table) == (
        'db-repository', 'db-version', 'db-search-%d' % postings.FORMAT)
    assert list(store.tables) == ['repository', 'version', 'search']
    assert store.get('t', {'name': {'S': 'a'}}) == {'name': {'S': 'a'}}
    assert store.get('t', {'name': {'S': 'a'}}) is None
    assert client.requests == [('get_item', {
        'TableName': 't', 'Key': {'name': {'S': 'a'}}, 'ConsistentRead': True})] * 2


def query(condition, consistent=False, values=(), **more):
    """The request of a Query of the gram "sa"."""
    return 'query', dict(more, TableName='db-search-4', KeyConditionExpression=condition,
                         ExpressionAttributeValues=dict({':gram': {'S': 'sa'}}, **dict(values)),
                         ConsistentRead=consistent, ReturnConsumedCapacity='TOTAL')


@pytest.mark.parametrize('arguments, request_made', [
    ({}, query('gram = :gram')),
    ({'prefix': '', 'after': '', 'limit': None, 'start': None}, query('gram = :gram')),
    ({'prefix': 'ab'}, query('gram = :gram AND suffix BETWEEN :prefix AND :end',
                             values={':prefix': {'S': 'ab'}, ':end': {'S': 'ac'}})),
    ({'prefix': '\U0010ffff'}, query('gram = :gram AND begins_with(suffix, :prefix)',
                                     values={':prefix': {'S': '\U0010ffff'}})),
    ({'words': ['ab', 'c']}, query(
        'gram = :gram', values={':word0': {'S': 'ab'}, ':word1': {'S': 'c'}},
        FilterExpression='contains(t, :word0) AND contains(t, :word1)')),
    ({'after': 'ab'}, query('gram = :gram AND suffix > :after', values={':after': {'S': 'ab'}})),
    ({'limit': 7, 'start': {'gram': {'S': 'sa'}}},
     query('gram = :gram', Limit=7, ExclusiveStartKey={'gram': {'S': 'sa'}})),
    ({'consistent': True}, query('gram = :gram', consistent=True))], ids=lambda value: None)
def test_a_query_reads_one_page_of_one_gram(arguments, request_made):
    page = {'Items': [1], 'LastEvaluatedKey': 'x'}
    client = ScriptedClient(page)
    assert store_of(client).query('sa', **arguments) is page
    assert client.requests == [request_made]


PAGES = [{'Items': [1, 2], 'LastEvaluatedKey': 'x'}, {'Items': [], 'LastEvaluatedKey': 'y'},
         {'Items': [3]}]


@pytest.mark.parametrize('size', [{}, {'Limit': 2}])
@pytest.mark.parametrize('read, request_made', [
    (lambda store, limit: store.query_all('sa', limit=limit), query('gram = :gram', True)),
    (lambda store, limit: store.scan_all('t', limit),
     ('scan', {'TableName': 't', 'ConsistentRead': True}))], ids=['gram', 'table'])
def test_all_pages_of_a_gram_or_a_table_are_read_consistently_when_needed(read, request_made, size):
    client = ScriptedClient(*PAGES)
    items = read(store_of(client), size.get('Limit'))
    assert [next(items), next(items)] == [1, 2] and len(client.requests) == 1
    assert list(items) == [3]
    operation, arguments = request_made
    assert client.requests == [
        (operation, dict(arguments, **dict(size, **start)))
        for start in ({}, {'ExclusiveStartKey': 'x'}, {'ExclusiveStartKey': 'y'})]


def test_a_missing_table_can_count_as_empty():
    missing = errors.MissingTable('scan', ['t'], 'ResourceNotFoundException', 'none', False)
    empty = store_of(ScriptedClient(missing, missing, {'Items': [1]})).handling_missing_tables(
        lambda error: {'Items': [] if error is missing else None})
    assert list(empty.scan_all('t')) == []
    assert list(empty.retrying().query_all('sa')) == []
    assert list(empty.scan_all('t')) == [1]


def keys(*names):
    return [{'name': {'S': name}} for name in names]


def asked(*names):
    return {'t': {'Keys': keys(*names), 'ConsistentRead': True}}


def test_keys_that_are_left_out_of_a_batch_are_retried():
    client, clock = ScriptedClient(
        {'Responses': {'t': [1], 'u': [7]}, 'UnprocessedKeys': asked('b', 'c')},
        {'Responses': {}, 'UnprocessedKeys': asked('b', 'c')},
        {'Responses': {'t': [2, 3]}, 'UnprocessedKeys': {}}, {'Responses': {'t': [1]}}), Clock()
    wanted = dict(asked('a', 'b', 'c'), u={'Keys': keys('a')})
    assert store_of(client, clock).batch_get(wanted) == {'t': [1, 2, 3], 'u': [7]}
    assert client.batches == [wanted, asked('b', 'c'), asked('b', 'c')]
    first, second = clock.slept
    assert 0 < first <= 0.05 < second * 2 <= 0.2
    # Nothing is left out: one request.
    assert store_of(client, clock).batch_get(asked('a')) == {'t': [1]}
    assert client.requests[3:] == [('batch_get_item', {'RequestItems': asked('a')})]
    assert len(clock.slept) == 2


def test_a_caller_may_do_without_some_keys():
    client = ScriptedClient({'Responses': {'t': [1]}, 'UnprocessedKeys': dict(asked('b'), u={})},
                            {'Responses': {}, 'UnprocessedKeys': asked('b')})
    found = store_of(client).batch_get(asked('a', 'b'), enough=lambda left: 'u' not in left)
    assert found == {'t': [1]} and len(client.requests) == 2


def puts(*numbers):
    return [{'PutRequest': {'Item': {'gram': {'N': str(number)}}}} for number in numbers]


@pytest.mark.parametrize('operation, left_out, write_or_read, first', [
    ('batch_get_item', 'UnprocessedKeys', lambda store: store.batch_get(asked('a')), asked('a')),
    ('batch_write_item', 'UnprocessedItems',
     lambda store: store.batch_write('t', puts(*range(26))), {'t': puts(*range(25))})],
    ids=['keys', 'items'])
def test_what_is_always_left_out_is_an_error_before_the_next_batch(
        operation, left_out, write_or_read, first):
    client, clock = ScriptedClient(
        lambda RequestItems: {'Responses': {}, left_out: RequestItems}), Clock()
    with pytest.raises(errors.RequestFailed) as failed:
        write_or_read(store_of(client, clock))
    assert failed.value.throttled and failed.value.retryable
    assert failed.value.tables == ('t',) and failed.value.operation == operation
    assert client.batches == [first] * 6
    assert len(clock.slept) == 5 and max(clock.slept) <= 2 and sum(clock.slept) < 2


@pytest.mark.parametrize('count, sizes', [
    (0, []), (1, [1]), (WRITE_BATCH, [25]), (WRITE_BATCH + 1, [25, 1]), (60, [25, 25, 10])])
def test_writes_are_batches_of_25(count, sizes):
    client = ScriptedClient({})
    store_of(client).batch_write('t', puts(*range(count)))
    sent = [batch['t'] for batch in client.batches]
    assert [len(batch) for batch in sent] == sizes and sum(sent, []) == puts(*range(count))
    assert GET_BATCH == 100


def test_items_that_are_left_out_are_retried_before_the_next_batch():
    left, clock = {'t': puts(3, 4)}, Clock()
    refused = errors.RequestFailed('batch_write_item', ['t'], 'AccessDeniedException', 'no', False)
    client = ScriptedClient({'UnprocessedItems': left}, {'UnprocessedItems': {}}, {}, refused)
    store_of(client, clock).batch_write('t', puts(*range(26)))
    assert client.batches == [{'t': puts(*range(25))}, left, {'t': puts(25)}]
    assert len(clock.slept) == 1
    with pytest.raises(errors.RequestFailed) as failed:
        store_of(client, clock).batch_write('t', puts(1))
    assert failed.value is refused


def test_a_retrying_store_calls_the_heartbeat_before_each_attempt():
    throttle = errors.RequestFailed('scan', ['t'], 'ThrottlingException', 'not now', True)
    client = ThrottlingClient({'Table': {'TableName': 't'}}, throttle, PAGES[0], throttle,
                              PAGES[1], PAGES[2])
    beats, clock = [], Clock()
    store = store_of(client).retrying(lambda: beats.append(1), clock.sleep)
    assert list(store.scan_all('t')) == [1, 2, 3]
    assert len(beats) == 5 and len(clock.slept) == 2
    assert all(0.35 <= pause <= 0.5 for pause in clock.slept)
    assert store.search_table == 'db-search-4'


def test_a_load_waits_for_what_is_left_out_as_long_as_it_takes():
    """Items of one key that nobody may write for hours, and then one at a time."""
    def leave_all_but(count):
        return lambda RequestItems: {'UnprocessedItems': {'t': RequestItems['t'][count:]}}

    beats, clock, began = [], Clock(), Clock()()
    answers = [leave_all_but(0)] * 3000 + [leave_all_but(1)] * 24 + [leave_all_but(0)] * 200
    client = ThrottlingClient({'Table': {'TableName': 't'}}, *answers + [{}])
    store = store_of(client).retrying(
        lambda: beats.append(1), clock.sleep, clock=clock, throttled_seconds=FOREVER)
    store.batch_write('t', puts(*range(25)))
    assert len(client.requests) == 3225 and client.batches[-1] == {'t': puts(24)}
    assert clock() - began > 2.5 * 3600 and max(clock.slept) <= 1 and len(beats) > 3225


def test_progress_of_a_check_renews_its_ten_minutes():
    answers = ([lambda RequestItems: {'UnprocessedItems': RequestItems}] * 100 +
               [lambda RequestItems: {'UnprocessedItems': {'t': RequestItems['t'][1:]}}])
    client, clock = ThrottlingClient(
        {'Table': {'TableName': 't'}}, *answers * 4 + [{}]), Clock()
    began = clock()
    store_of(client).retrying(sleep=clock.sleep, clock=clock).batch_write('t', puts(*range(5)))
    assert clock() - began > 1200
