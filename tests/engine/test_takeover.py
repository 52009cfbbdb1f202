# -*- coding: utf-8 -*-
"""The tables of release 0.1.0, taken over and shared with it."""

from __future__ import unicode_literals

import pytest

from tests.helpers.release_0_1_0 import Release010, put_as_0_1_0

OLD = ['library/ubuntu', 'team/mysql', 'team/web', 'gone/from-the-store']


@pytest.fixture
def old(processes):
    """A worker of 0.1.0 on its tables."""
    worker = Release010(processes[1])
    worker.create_tables()
    worker.start()
    worker.load(OLD)
    return worker


@pytest.fixture
def index(processes, old):
    return processes[0]


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


def test_it_finds_what_this_release_writes(index, old):
    index.ready([('store/one', None)])
    index.engine.add('team/new', 'with words')
    assert old.search('e/one') == ['store/one']
    assert old.search('team/new') == ['team/new']
    index.engine.remove('team/new')
    assert old.search('team/new') == []
    versions = index.items(index.settings.version_table)
    assert [row['version'] for row in versions] == [{'N': '1'}]


def test_what_it_writes_after_the_takeover_is_found_after_a_load(index, old):
    index.ready()
    old.created('late/push')
    old.deleted('library/ubuntu')
    report = index.load(lambda: [])
    assert (report.adopted, report.cleaned) == (1, 1)
    assert index.search('late') == [('late/push', '')]
    assert index.search('ubuntu') == []


def test_a_row_it_wrote_over_is_repaired(index, old):
    index.ready()
    index.engine.add('team/mysql', 'kept in words')
    old.updated('team/mysql')
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
def test_a_row_that_others_wrote_into_is_found_and_can_be_changed(processes, row):
    # A table of ours: the secondary index would refuse some of these.
    index = processes[0].ready()
    index.engine.client.call('put_item', TableName=index.settings.repository_table,
                             Item=dict(row, name={'S': 'odd/row'}))
    assert index.load(lambda: [('ok/ok', None)]).failed == 0
    assert index.search('dd/ro') == [('odd/row', '')]
    assert index.search('ok/ok') == [('ok/ok', '')]
    assert index.engine.add('odd/row', 'described')
    assert index.search('descr') == [('odd/row', 'described')]
    assert index.engine.remove('odd/row')
    assert index.search('odd') == []


@pytest.mark.parametrize('name', ['odd/' + 'x' * 1100, 'odd/\x1b[31m'],
                         ids=['too long', 'control characters'])
def test_a_row_whose_name_cannot_be_indexed_keeps_no_other_out(index, old, name):
    old.load([name])
    index.ready([('ok/ok', None)])
    assert index.search('ok') == [('ok/ok', '')]
    assert name not in index.names()
    assert old.search('odd') == [name]
