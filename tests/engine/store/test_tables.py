# -*- coding: utf-8 -*-
"""Tables: created on demand, waited for, and never anyone else's."""

from __future__ import unicode_literals

import collections
import logging
import threading
import uuid

import pytest

from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine.store import tables as tables_module
from docker_registry_index.engine.store.client import Client
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.store.tables import check_version, create_missing


@pytest.fixture
def settings(dynamodb_endpoint):
    return Settings(
        database='test-' + uuid.uuid4().hex[:12], region='us-east-1',
        access_key='AKIADUMMY', secret_access_key='dummy',
        endpoint_url=dynamodb_endpoint)


@pytest.fixture(scope='module')
def client(dynamodb_endpoint):
    return Client(Settings(region='us-east-1', access_key='AKIADUMMY', secret_access_key='dummy',
                           endpoint_url=dynamodb_endpoint))


@pytest.fixture
def store(client, settings):
    return Store(settings, client)


@pytest.fixture
def tables(client, store):
    named = store.tables
    yield named
    for name in existing(client, named):
        client.call('delete_table', TableName=name)


def existing(client, tables):
    found = []
    for table in tables.values():
        try:
            client.call('describe_table', TableName=table.name)
        except errors.MissingTable:
            continue
        found.append(table.name)
    return found


def names(tables):
    return [table.name for table in tables.values()]


KEYS = [('repository', [('name', 'HASH', 'S')]), ('version', [('version', 'HASH', 'N')]),
        ('search', [('gram', 'HASH', 'S'), ('suffix', 'RANGE', 'S')])]


def test_what_is_missing_is_created_on_demand_with_its_keys(client, store, tables):
    assert create_missing(store) == names(tables)
    for which, keys in KEYS:
        described = client.call('describe_table', TableName=tables[which].name)['Table']
        types = {attribute['AttributeName']: attribute['AttributeType']
                 for attribute in described['AttributeDefinitions']}
        assert [(key['AttributeName'], key['KeyType'], types[key['AttributeName']]) for key
                in described['KeySchema']] == keys
        assert len(types) == len(keys)
        assert described['BillingModeSummary']['BillingMode'] == ('PAY_PER_REQUEST')
        assert described['TableStatus'] == 'ACTIVE'
        assert 'GlobalSecondaryIndexes' not in described


def test_what_is_there_stays_as_it_is(client, store, tables):
    create_missing(store)
    client.call('put_item', TableName=tables['repository'].name, Item={'name': {'S': 'kept'}})
    seen = []
    assert create_missing(store, seen.append) == []
    assert seen == []
    assert client.call('get_item', TableName=tables['repository'].name,
                       Key={'name': {'S': 'kept'}})['Item']


@pytest.mark.parametrize('missing', ['repository', 'version', 'search'])
def test_a_missing_one_is_created_after_the_caller_was_notified(client, store, tables, missing):
    create_missing(store)
    client.call('delete_table', TableName=tables[missing].name)
    there = []
    created = create_missing(store, lambda: there.append(existing(client, tables)))
    assert created == [tables[missing].name]
    assert len(there) == 1 and tables[missing].name not in there[0]


def test_nothing_is_created_when_the_caller_cannot_be_notified(client, store, tables):
    create_missing(store)
    client.call('delete_table', TableName=tables['search'].name)

    def refuse():
        raise RuntimeError('not now')

    with pytest.raises(RuntimeError):
        create_missing(store, refuse)
    assert tables['search'].name not in existing(client, tables)


FOREIGN = [
    ('repository', [('id', 'S', 'HASH')]),
    ('repository', [('name', 'N', 'HASH')]),
    ('repository', [('name', 'S', 'HASH'), ('tag', 'S', 'RANGE')]),
    ('version', [('version', 'S', 'HASH')]),
    ('search', [('gram', 'S', 'HASH')]),
    ('search', [('suffix', 'S', 'HASH'), ('gram', 'S', 'RANGE')])]


@pytest.mark.parametrize('which, keys', FOREIGN, ids=lambda value: None)
def test_a_foreign_table_stops_it_before_anything_is_created(client, store, tables, which, keys):
    client.call(
        'create_table', TableName=tables[which].name,
        KeySchema=[{'AttributeName': name, 'KeyType': role}
                   for name, _, role in keys],
        AttributeDefinitions=[{'AttributeName': name, 'AttributeType': kind}
                              for name, kind, _ in keys],
        BillingMode='PAY_PER_REQUEST')
    with pytest.raises(errors.ForeignDatabase) as refused:
        create_missing(store)
    message = str(refused.value)
    assert tables[which].name in message and 'nothing was changed' in message
    for name, kind, role in keys:
        assert '%s (%s, %s)' % (name, role, kind) in message
    assert existing(client, tables) == [tables[which].name]


def test_two_creators_at_once_make_one_set_of_tables(client, store, tables, caplog):
    caplog.set_level(logging.INFO)
    answers = []

    def create():
        try:
            answers.append(create_missing(store))
        except Exception as error:
            answers.append(error)

    threads = [threading.Thread(target=create) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each was created by one of them, and no call failed.
    assert sorted(sum(answers, [])) == sorted(names(tables))
    assert sorted(existing(client, tables)) == sorted(names(tables))
    assert caplog.text.count('created the DynamoDB table') == 3


# The version

@pytest.mark.parametrize('rows', [[], [{'version': {'N': '1'}}],
                                  [{'version': {'N': '1'}, 'format': {'N': '9'}}]])
def test_the_rows_of_our_version_are_returned(client, store, tables, rows):
    create_missing(store)
    for row in rows:
        client.call('put_item', TableName=tables['version'].name, Item=row)
    assert check_version(store) == rows


def test_a_missing_table_has_no_version(store):
    assert check_version(store) == []


def test_another_version_is_refused(client, store, tables):
    create_missing(store)
    for number in '1', '2':
        client.call('put_item', TableName=tables['version'].name, Item={'version': {'N': number}})
    with pytest.raises(errors.NewerDatabase) as refused:
        check_version(store)
    assert (refused.value.found, refused.value.supported) == ('2', '1')
    assert 'nothing was changed' in str(refused.value)


# What local engines never do: a fake that plays a script

TABLE = tables_module.Table('db-search', ('gram', 'S'), ('suffix', 'S'))


class Scripted(object):
    """Answers DescribeTable with one status after the other."""

    def __init__(self, statuses, **refusals):
        self._statuses = collections.deque(statuses)
        self._refusals = refusals
        self.tables = {'search': TABLE}
        self.calls = []

    def call(self, operation, **arguments):
        self.calls.append(operation)
        if operation in self._refusals:
            raise errors.RequestFailed(operation, [], self._refusals[operation], 'no', False)
        if operation == 'describe_table':
            status = self._statuses.popleft()
            if len(self._statuses) == 0:
                self._statuses.append(status)
            if status is None:
                raise errors.MissingTable(operation, [], 'x', 'no', False)
            return {'Table': dict(tables_module.definition(TABLE), TableStatus=status)}
        return {}


def play(store, sleep=lambda _: None):
    return create_missing(store, sleep=sleep)


def test_one_being_deleted_is_waited_for_and_created_anew():
    pauses = []
    client = Scripted(['DELETING', 'DELETING', None, 'CREATING', 'ACTIVE'])
    assert play(client, pauses.append) == ['db-search']
    assert client.calls == ['describe_table'] * 3 + ['create_table'] + ['describe_table'] * 2
    assert pauses == [0.5] * 3


def test_one_being_created_by_another_is_waited_for():
    client = Scripted(['CREATING', 'CREATING', 'ACTIVE'])
    assert play(client) == []
    assert client.calls == ['describe_table'] * 3


def test_one_being_changed_can_be_used():
    client = Scripted(['UPDATING'])
    assert play(client) == []
    assert client.calls == ['describe_table']


def test_a_new_one_that_nobody_sees_yet_is_waited_for():
    client = Scripted([None, None, None, 'CREATING', 'ACTIVE'])
    assert play(client) == ['db-search']


def test_the_slower_of_two_creators_waits_and_logs_nothing(caplog):
    client = Scripted([None, 'CREATING', 'ACTIVE'], create_table='ResourceInUseException')
    assert play(client) == []
    assert caplog.text == ''


def test_a_missing_right_to_create_is_an_error():
    client = Scripted([None], create_table='AccessDeniedException')
    with pytest.raises(errors.RequestFailed) as refused:
        play(client)
    assert 'IAM' in str(refused.value)


@pytest.mark.parametrize('status, problem', [
    ('CREATING', 'not active yet'), ('DELETING', 'still being deleted'),
    ('INACCESSIBLE_ENCRYPTION_CREDENTIALS', 'not active yet')])
def test_the_wait_for_a_table_has_an_end(monkeypatch, status, problem):
    now = [100.0]
    monkeypatch.setattr(tables_module, 'monotonic', lambda: now[0])

    def sleep(seconds):
        now[0] += seconds

    with pytest.raises(errors.TableError) as failed:
        play(Scripted([status]), sleep)
    message = str(failed.value)
    assert 'db-search' in message and problem in message
    assert '120 seconds' in message and 'start again' in message
    assert 220 <= now[0] <= 221
