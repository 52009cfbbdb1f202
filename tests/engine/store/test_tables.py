"""Tables: created on demand, waited for, and never another program's."""
from __future__ import unicode_literals

import logging

import pytest

from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store import tables as tables_module
from docker_registry_index.engine.store.tables import (
    are_restored, check_version, create_missing, identity)
from tests.helpers.clock import Clock
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import taken_back
from tests.helpers.waiting import in_threads


@pytest.fixture(scope='module')
def engine(dynamodb_endpoint):
    return EngineIndex(dynamodb_endpoint)


@pytest.fixture
def store(engine):
    """A store whose tables do not exist yet."""
    yield engine.store
    engine.delete_tables()


def names(store):
    return [table.name for table in store.tables.values()]


def existing(store):
    """Return the names of the tables that exist."""
    found = []
    for name in names(store):
        try:
            found.append(store.call('describe_table', TableName=name)['Table']['TableName'])
        except errors.MissingTable:
            pass
    return found


def test_missing_tables_are_created_with_their_keys_and_existing_ones_stay(store):
    assert create_missing(store)[0] == names(store)
    for which, keys in [('repository', [('name', 'HASH', 'S')]),
                        ('version', [('version', 'HASH', 'N')]),
                        ('search', [('gram', 'HASH', 'S'), ('suffix', 'RANGE', 'S')])]:
        described = store.call('describe_table', TableName=store.tables[which].name)['Table']
        types = {attribute['AttributeName']: attribute['AttributeType']
                 for attribute in described['AttributeDefinitions']}
        assert [(key['AttributeName'], key['KeyType'], types[key['AttributeName']])
                for key in described['KeySchema']] == keys
        assert len(types) == len(keys) and described['TableStatus'] == 'ACTIVE'
        assert described['BillingModeSummary']['BillingMode'] == 'PAY_PER_REQUEST'
        assert not described.get('GlobalSecondaryIndexes')  # moto reports an empty list
    store.call('put_item', TableName=store.repository_table, Item={'name': {'S': 'kept'}})
    seen = []
    assert create_missing(store, seen.append)[0] == [] and seen == []
    assert store.get(store.repository_table, {'name': {'S': 'kept'}})


@pytest.mark.parametrize('missing', ['repository', 'version', 'search'])
def test_a_missing_table_is_created_after_the_caller_was_notified(store, missing):
    create_missing(store)
    name = store.tables[missing].name
    store.call('delete_table', TableName=name)
    with pytest.raises(ZeroDivisionError):
        create_missing(store, lambda: 1 / 0)
    seen = []
    # The tables are described again, and the caller is notified again, while it returns True.
    assert create_missing(store, lambda: seen.append(existing(store)) or len(seen) < 2)[0] == [name]
    assert len(seen) == 2 and name not in seen[0] + seen[1]


def test_the_identity_of_tables_changes_with_the_id_of_any_and_with_the_region(store, engine):
    """As after a restore of a backup, or in a replica of a global table."""
    def identity(**ids):
        described.update(ids)
        return create_missing(store)[1]

    def describe(parsed, **_):
        name = parsed['Table']['TableName'].rsplit('-')[-1]
        parsed['Table'].update(TableId=described[name], TableArn=described['region'] + name)

    described = dict.fromkeys(['repository', 'version', '4', 'region'], 'x')
    create_missing(store)
    with taken_back(engine.engine):
        engine.dynamodb.meta.events.register('after-call.dynamodb.DescribeTable', describe)
        seen = [identity()] + [identity(**{each: 'y'}) for each in sorted(described)]
        assert len(set(seen)) == 5 and identity() == seen[-1]
        # An engine may give no ids.
        assert identity(version=None) is None


@pytest.mark.parametrize('before, now, is_restored', [
    ('eu-west-1', 'eu-west-1', True), ('eu-west-1', 'us-east-1', False), ('', '', True)])
def test_tables_with_other_ids_are_restored_if_the_region_is_the_same(
        store, engine, before, now, is_restored):
    def describe(parsed, **_):
        arn = 'arn:aws:dynamodb:%s:123456789012:table/x' % regions[0] if regions[0] else None
        parsed['Table'].update(TableId='%d' % len(regions), TableArn=arn)

    assert identity(store) is None, 'the tables are missing'
    create_missing(store)
    with taken_back(engine.engine):
        engine.dynamodb.meta.events.register('after-call.dynamodb.DescribeTable', describe)
        regions = [before, '']
        first = identity(store)
        assert create_missing(store)[1] == first == identity(store)
        regions = [now]
        assert are_restored(first, identity(store)) == is_restored
    for unknown in (None, first), (first, None), (first, first):
        assert not are_restored(*unknown)


@pytest.mark.parametrize('which, keys', [
    ('repository', [('id', 'S', 'HASH')]), ('repository', [('name', 'N', 'HASH')]),
    ('repository', [('name', 'S', 'HASH'), ('tag', 'S', 'RANGE')]),
    ('version', [('version', 'S', 'HASH')]), ('search', [('gram', 'S', 'HASH')]),
    ('search', [('suffix', 'S', 'HASH'), ('gram', 'S', 'RANGE')])], ids=lambda value: None)
def test_a_foreign_table_stops_the_creation_of_all(store, which, keys):
    name = store.tables[which].name
    store.call(
        'create_table', TableName=name, BillingMode='PAY_PER_REQUEST',
        KeySchema=[{'AttributeName': key, 'KeyType': role} for key, _, role in keys],
        AttributeDefinitions=[{'AttributeName': key, 'AttributeType': kind}
                              for key, kind, _ in keys])
    with pytest.raises(errors.ForeignDatabase) as refused:
        create_missing(store)
    message = str(refused.value)
    assert name in message and 'nothing was changed' in message
    for key, kind, role in keys:
        assert '%s (%s, %s)' % (key, role, kind) in message
    assert existing(store) == [name]


def test_several_creators_at_once_make_one_set_of_tables(store, caplog):
    caplog.set_level(logging.INFO)
    created = in_threads([lambda: create_missing(store)[0]] * 3)()
    # Each table was created by one of them, and no call failed.
    assert sorted(sum(created, [])) == sorted(names(store)) == sorted(existing(store))
    assert caplog.text.count('created the DynamoDB table') == 3


def test_the_rows_of_our_version_are_returned_and_another_version_is_refused(store):
    assert check_version(store) == []
    create_missing(store)
    assert check_version(store) == []
    row = {'version': {'N': '1'}, 'format': {'N': '9'}}
    store.call('put_item', TableName=store.version_table, Item=row)
    assert check_version(store) == [row]
    store.call('put_item', TableName=store.version_table, Item={'version': {'N': '2'}})
    with pytest.raises(errors.NewerDatabase) as refused:
        check_version(store)
    assert (refused.value.found, refused.value.supported) == ('2', '1')
    assert 'nothing was changed' in str(refused.value)


TABLE = tables_module.Table('db-search', ('gram', 'S'), ('suffix', 'S'))


class OneTable(object):
    """A store of one table that has one status after the other; None is a missing table.

    :param refusal: the error code of each CreateTable."""

    tables, search_table = {'search': TABLE}, TABLE.name

    def __init__(self, statuses, refusal=None, **settings):
        self._statuses, self._refusal = list(statuses), refusal
        self.settings = Settings(**settings)
        self.calls, self.created, self.clock = '', [], Clock()

    def call(self, operation, **arguments):
        self.calls += operation[0]
        if operation == 'create_table':
            self.created.append(arguments)
            if self._refusal:
                raise errors.RequestFailed(operation, [], self._refusal, 'no', False)
            return None
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        if status is None:
            raise errors.MissingTable(operation, [], 'x', 'no', False)
        return {'Table': dict(tables_module.definition(TABLE), TableStatus=status)}

    def create_missing(self):
        return create_missing(self, sleep=self.clock.sleep, clock=self.clock)[0]


@pytest.mark.parametrize('statuses, created, calls, pauses', [
    # Being deleted: waited for and created anew.
    (['DELETING', 'DELETING', None, 'CREATING', 'ACTIVE'], ['db-search'], 'dddcdd', 3),
    # Being created by another process: waited for.
    (['CREATING', 'CREATING', 'ACTIVE'], [], 'ddd', 2),
    # Being changed: used.
    (['UPDATING'], [], 'd', 0),
    # New, and not visible yet: waited for.
    ([None, None, None, 'CREATING', 'ACTIVE'], ['db-search'], 'dcdddd', 3)], ids=lambda value: None)
def test_a_table_that_is_not_active_yet_is_waited_for(statuses, created, calls, pauses):
    store = OneTable(statuses)
    assert store.create_missing() == created
    assert store.calls == calls  # d for describe, c for create
    assert store.clock.slept == [0.5] * pauses


def test_the_slower_of_two_creators_waits_and_a_missing_right_to_create_is_an_error(caplog):
    assert OneTable([None, 'CREATING', 'ACTIVE'], 'ResourceInUseException').create_missing() == []
    assert caplog.text == ''
    with pytest.raises(errors.RequestFailed) as refused:
        OneTable([None], 'AccessDeniedException').create_missing()
    assert 'IAM' in str(refused.value)


@pytest.mark.parametrize('search_table, throughput, created', [
    ('db-search', '40000',
     {'WarmThroughput': {'ReadUnitsPerSecond': 12000, 'WriteUnitsPerSecond': 40000}}),
    ('db-search', None, {}), ('another', '40000', {})])
def test_the_search_table_alone_is_created_warm_if_it_is_set(search_table, throughput, created):
    store = OneTable([None, 'ACTIVE'], warm_throughput=throughput)
    store.search_table = search_table
    store.create_missing()
    assert store.created == [dict(tables_module.definition(TABLE), **created)]


@pytest.mark.parametrize('code, message', [
    ('ParamValidationError', 'the boto3 of this Python does not support; ' + (
        'create the table with docker-registry-index load on Python 3' if PY2
        else 'upgrade boto3')),
    ('ValidationException', 'DynamoDB refuses (create_table on DynamoDB failed: '
     'ValidationException: no; check the settings, the IAM rights and the tables); write another '
     'value')])
def test_a_warm_throughput_that_cannot_be_used_is_an_error_of_the_setting(code, message):
    with pytest.raises(errors.SettingError) as refused:
        OneTable([None], code, warm_throughput='40000').create_missing()
    assert str(refused.value) == (
        'setting warm_throughput is 40000, which %s, or remove the setting' % message)
    # Without the setting, the cause is another one.
    with pytest.raises(errors.RequestFailed):
        OneTable([None], code).create_missing()


def test_warm_throughput_needs_a_boto3_of_python_3_only_if_the_table_is_missing(store, engine):
    warm = engine.another(warm_throughput='40000').store
    if PY2:
        with pytest.raises(errors.SettingError, match='on Python 3'):
            create_missing(warm)
    else:
        assert create_missing(warm)[0] == names(store)
    create_missing(store)
    assert create_missing(warm)[0] == []


@pytest.mark.parametrize('status, problem', [
    ('CREATING', 'not active yet'), ('DELETING', 'still being deleted'),
    ('INACCESSIBLE_ENCRYPTION_CREDENTIALS', 'not active yet')])
def test_the_wait_for_a_table_times_out(status, problem):
    store = OneTable([status])
    with pytest.raises(errors.TableError) as failed:
        store.create_missing()
    for shown in 'db-search', problem, '120 seconds', 'try again':
        assert shown in str(failed.value)
    assert 120 <= sum(store.clock.slept) <= 121
