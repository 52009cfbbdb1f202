# -*- coding: utf-8 -*-
"""The tables of release 0.1.0, taken over and shared with it."""

from __future__ import unicode_literals

import pytest

from tests.helpers.engine import EngineIndex
from tests.helpers.release_0_1_0 import put_as_0_1_0, update_as_0_1_0

OLD = ['library/ubuntu', 'team/mysql', 'team/web-api', 'gone/from-the-store']


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    create_tables_of_0_1_0(made)
    yield made
    made.delete_tables()


def create_tables_of_0_1_0(index):
    """As boto's dynamodb2 made them: five units of everything."""
    client, settings = index.engine.client, index.settings
    five = {'ReadCapacityUnits': 5, 'WriteCapacityUnits': 5}
    client.call(
        'create_table', TableName=settings.repository_table,
        KeySchema=[{'AttributeName': 'name', 'KeyType': 'HASH'}],
        AttributeDefinitions=[
            {'AttributeName': 'name', 'AttributeType': 'S'},
            {'AttributeName': 'description', 'AttributeType': 'S'}],
        ProvisionedThroughput=five,
        GlobalSecondaryIndexes=[{
            'IndexName': 'Repositories-By-Description-Index',
            'KeySchema': [{'AttributeName': 'description',
                           'KeyType': 'HASH'}],
            'Projection': {'ProjectionType': 'ALL'},
            'ProvisionedThroughput': five}])
    client.call(
        'create_table', TableName=settings.version_table,
        KeySchema=[{'AttributeName': 'version', 'KeyType': 'HASH'}],
        AttributeDefinitions=[
            {'AttributeName': 'version', 'AttributeType': 'N'}],
        ProvisionedThroughput=five)
    client.call('put_item', TableName=settings.version_table, Item={'version': {'N': '1'}})
    for name in OLD:
        put_as_0_1_0(index, name)


def scan_as_0_1_0(index, term):
    return sorted(item['name']['S'] for item in index.engine.client.call(
        'scan', TableName=index.settings.repository_table,
        FilterExpression='contains(#name, :term)', ExpressionAttributeNames={'#name': 'name'},
        ExpressionAttributeValues={':term': {'S': term}})['Items'])


def test_a_database_of_0_1_0_is_taken_over_and_nothing_is_lost(index):
    store = [(name, None) for name in OLD[:3] + ['new/in-the-store']]
    index.ready(store)
    assert index.names() == sorted(OLD + ['new/in-the-store'])
    assert index.search('the-store') == [('gone/from-the-store', ''), ('new/in-the-store', '')]
    description = index.engine.client.call(
        'describe_table', TableName=index.settings.repository_table)['Table']
    assert description['ProvisionedThroughput']['WriteCapacityUnits'] == 5
    assert len(description['GlobalSecondaryIndexes']) == 1


def test_pushes_work_on_its_table_and_its_secondary_index(index):
    index.ready()
    assert index.engine.add('team/new')
    assert index.engine.add('team/described', 'with words')
    assert index.engine.add('team/described', '')
    assert index.engine.add('team/described', 'other words')
    assert index.search('other') == [('team/described', 'other words')]
    assert index.engine.remove('team/new')
    assert index.search('team/new') == []


def test_it_finds_what_we_write(index):
    index.ready([('store/one', None)])
    index.engine.add('team/new', 'with words')
    assert scan_as_0_1_0(index, 'e/one') == ['store/one']
    assert scan_as_0_1_0(index, 'team/new') == ['team/new']
    index.engine.remove('team/new')
    assert scan_as_0_1_0(index, 'team/new') == []
    versions = index.items(index.settings.version_table)
    assert [row['version'] for row in versions] == [{'N': '1'}]


def test_what_it_writes_after_the_takeover_is_found_after_a_load(index):
    index.ready()
    put_as_0_1_0(index, 'late/push')
    index.engine.client.call('delete_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': 'library/ubuntu'}})
    report = index.load(lambda: [])
    assert (report.adopted, report.cleaned) == (1, 1)
    assert index.search('late') == [('late/push', '')]
    assert index.search('ubuntu') == []


def test_a_row_it_wrote_over_is_put_right(index):
    index.ready()
    index.engine.add('team/mysql', 'kept in words')
    update_as_0_1_0(index, 'team/mysql')
    index.load(lambda: [])
    assert index.search('kept') == []
    index.engine.add('team/mysql', 'kept in words')
    put_as_0_1_0(index, 'team/mysql')
    assert index.engine.add('team/mysql', 'written anew')
    assert index.search('kept') == []
    assert index.search('anew') == [('team/mysql', 'written anew')]


@pytest.mark.parametrize('row', [
    {'description': {'NULL': True}}, {'description': {'N': '5'}},
    {'postings': {'S': 'of somebody else'}}, {'writing': {'S': 'x'}},
    {'writing': {'L': [{'N': '1'}]}}, {'indexed': {'N': '7'}}],
    ids=lambda row: None)
def test_a_row_that_others_wrote_into_is_found_and_can_be_changed(dynamodb_endpoint, row):
    # A table of ours: the secondary index would refuse some of these.
    index = EngineIndex(dynamodb_endpoint).ready()
    index.engine.client.call('put_item', TableName=index.settings.repository_table,
                             Item=dict(row, name={'S': 'odd/row'}))
    assert index.load(lambda: [('ok/ok', None)]).failed == 0
    assert index.search('dd/ro') == [('odd/row', '')]
    assert index.search('ok/ok') == [('ok/ok', '')]
    assert index.engine.add('odd/row', 'described')
    assert index.search('descr') == [('odd/row', 'described')]
    assert index.engine.remove('odd/row')
    assert index.search('odd') == []
    index.delete_tables()


@pytest.mark.parametrize('name', ['odd/' + 'x' * 1100, 'odd/\x1b[31m'],
                         ids=['too long', 'control characters'])
def test_a_row_whose_name_cannot_be_indexed_keeps_no_other_out(index, name):
    put_as_0_1_0(index, name)
    index.ready([('ok/ok', None)])
    assert index.search('ok') == [('ok/ok', '')]
    assert name not in index.names()
    assert scan_as_0_1_0(index, 'odd') == [name]
