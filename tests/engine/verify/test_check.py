# -*- coding: utf-8 -*-
"""Check finds every way in which rows and postings can disagree."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import Source
from docker_registry_index.engine.verify.check import Checksums
from tests.helpers.faults import AtRequest, KillAfter, Killed, Meanwhile
from tests.helpers.hooks import taken_back
from tests.helpers.names import name_with_postings

#: Of several transactions, because of `short_transactions`.
LONG = name_with_postings(30)
STORE = {'a/web': 'shop', 'a/api': '', 'b/Nginx': 'server', LONG: ''}
pytestmark = pytest.mark.usefixtures('short_transactions')


@pytest.fixture
def index(tables):
    tables.fill(STORE)
    with taken_back(tables.engine):
        yield tables
    # Whatever a test did, a repair leaves rows and postings that agree.
    tables.assert_whole()
    if {name: row.get('description', {}).get('S', '')
            for name, row in tables.rows().items()} != STORE:
        tables.clear()


def problems(index, source=None, repair=False):
    return [tuple(problem) for problem in index.engine.checker(source).check(repair)]


def assert_repaired(index, name, kind):
    """Assert that a check with repair finds one problem, and that nothing is wrong after it."""
    [problem] = problems(index, repair=True)
    assert (problem[0], problem[1], problem[3]) == (name, kind, True)
    index.assert_whole()


def key(item):
    return {name: item[name] for name in ('gram', 'suffix')}


def write(index, operation, table=None, **arguments):
    index.engine.client.call(operation, TableName=table or index.settings.search_table, **arguments)


def posting(index, gram, part):
    [found] = [item for item in index.postings()
               if item['gram']['S'] == gram and part in item['suffix']['S']]
    return found


def delete_posting(index, gram='sw', part='web'):
    write(index, 'delete_item', Key=key(posting(index, gram, part)))


@pytest.mark.parametrize('gram, part', [
    ('sw', 'web'), ('ie', 'eb\x01a/w'), ('/', 'a\x01web'), ('ds', 'a/web')])
def test_a_missing_posting_is_repaired(index, gram, part):
    delete_posting(index, gram, part)
    assert_repaired(index, 'a/web', 'postings')


def test_a_check_without_repair_reports_what_it_finds_and_changes_nothing(index):
    delete_posting(index)
    before = index.postings()
    for _ in range(2):
        assert problems(index) == [
            ('a/web', 'postings', '1 postings missing or wrong, 0 too many', False)]
    assert index.postings() == before
    assert_repaired(index, 'a/web', 'postings')
    checker = index.engine.checker()
    assert list(checker.check()) == []
    assert (checker.rows, checker.postings) == (len(STORE), len(index.postings()))


def test_a_posting_too_many_of_a_repository_is_deleted(index):
    # As when 0.1.0 wrote over the row of a change that was killed.
    item = posting(index, 'ds', 'a/web')
    write(index, 'put_item', Item=dict(item, gram={'S': 'do'}, suffix={'S': 'old\x01a/web'}))
    assert_repaired(index, 'a/web', 'postings')


def test_postings_of_a_name_without_a_row_are_deleted(index):
    write(index, 'put_item', Item={'gram': {'S': 'sg'}, 'suffix': {'S': 'ghost\x01a/'}})
    assert index.search('ghost') == [('a/ghost', '')]
    assert_repaired(index, 'a/ghost', 'postings')
    assert index.search('ghost') == []


def test_postings_of_a_row_that_was_deleted_without_the_index_are_deleted(index):
    write(index, 'delete_item', index.settings.repository_table, Key={'name': {'S': 'a/api'}})
    assert_repaired(index, 'a/api', 'postings')
    assert index.search('api') == []


@pytest.mark.parametrize('description', ['another', None])
def test_a_posting_with_another_description_is_repaired(index, description):
    item = posting(index, 'sw', 'web')
    del item['d']
    if description:
        item['d'] = {'S': description}
    write(index, 'put_item', Item=item)
    assert_repaired(index, 'a/web', 'postings')


def test_a_row_of_release_0_1_0_gets_postings(index):
    write(index, 'put_item', index.settings.repository_table,
          Item={'name': {'S': 'old/one'}, 'description': {'S': 'of 2014'}})
    assert_repaired(index, 'old/one', 'row')
    assert index.search('2014') == [('old/one', 'of 2014')]


def test_a_description_that_was_changed_in_the_row_only_gets_postings(index):
    write(index, 'update_item', index.settings.repository_table, Key={'name': {'S': 'a/web'}},
          UpdateExpression='SET description = :new',
          ExpressionAttributeValues={':new': {'S': 'changed by hand'}})
    assert_repaired(index, 'a/web', 'row')
    assert index.search('hand') == [('a/web', 'changed by hand')]


@pytest.mark.parametrize('transactions', [1, 2, 3])
def test_a_long_removal_that_was_killed_is_undone(index, other, transactions):
    KillAfter(other.engine, transactions, 'TransactWriteItems')
    with pytest.raises(Killed):
        other.engine.remove(LONG)
    assert_repaired(index, LONG, 'row')
    assert index.search(LONG[-3:]) == [(LONG, '')]


def test_an_index_without_any_postings_is_repaired(index):
    for item in index.postings():
        write(index, 'delete_item', Key=key(item))
    found = problems(index, repair=True)
    assert sorted(problem[0] for problem in found) == sorted(STORE)
    assert all(problem[3] for problem in found)
    index.assert_whole()
    assert len(index.search('')) == len(STORE)


class Storage(Source):

    def __init__(self, *names):
        self.names = names

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return [(name, None) for name in self.names]

    def has(self, name):
        return name in self.names


def test_a_check_reports_what_only_the_storage_has_and_what_only_the_index_has(index):
    storage = Storage('a/api', 'b/Nginx', LONG, 'a/new')
    # What was just pushed may be ahead of the storage.
    assert [problem[:2] for problem in problems(index, storage)] == [('a/new', 'storage')]
    write(index, 'update_item', index.settings.repository_table, Key={'name': {'S': 'a/web'}},
          UpdateExpression='SET touched = :then',
          ExpressionAttributeValues={':then': {'N': '1000000000'}})
    assert [problem[:2] for problem in problems(index, storage)] == [
        ('a/new', 'storage'), ('a/web', 'index')]
    assert problems(index, Storage(*STORE)) == []
    index.clear()


# Before the markers, the rows, the witnesses and the postings are read, and when they were.
@pytest.mark.parametrize('number', range(5))
def test_pushes_and_deletes_during_a_check_are_no_problems(index, other, number):
    done = []

    def push_and_delete():
        done.append(index.engine.add('new/one', 'of words'))
        index.engine.remove('a/api')
        index.engine.add('a/web', 'another')

    AtRequest(other.engine, number, push_and_delete)
    assert problems(other) == []
    # If no difference is found, there is no fifth request.
    assert done == [True] * (number < 4)


@pytest.mark.parametrize('meddle', [
    lambda other: other.engine.add('a/web', 'another'),
    lambda other: other.engine.remove('a/web')], ids=['describe', 'remove'])
def test_a_repair_is_planned_again_when_a_push_comes_between(index, other, meddle):
    delete_posting(index)
    Meanwhile(index.engine, 'TransactWriteItems', lambda: meddle(other))
    assert_repaired(index, 'a/web', 'postings')


def test_checksums_of_more_names_than_are_kept_in_memory_are_compared():
    checksums = Checksums(names=1)
    items = [{'gram': {'S': 's'}, 'suffix': {'S': suffix}} for suffix in 'xyz']
    for item in items:
        for name in 'ab':
            checksums.add_expected(name, [item])
            checksums.add_found(name, item)
    assert checksums.compare() == 0
    checksums.add_expected('b', items[:1])
    checksums.add_found('c', items[0])
    assert checksums.compare() == 2
    checksums.note_key('c', 's', 'x')
    assert [(name, [tuple(found) for found in keys]) for name, keys in checksums.suspects()] == [
        ('b', []), ('c', [('s', 'x')])]
    checksums.close()
