# -*- coding: utf-8 -*-
"""Check finds every way in which rows and postings can disagree."""

from __future__ import unicode_literals

import time

import pytest

from docker_registry_index.engine import Source
from docker_registry_index.engine.verify import check
from docker_registry_index.engine.write.writer import REST_SECONDS
from tests.helpers.faults import AtRequest, KillAfter, Killed, Meanwhile
from tests.helpers.engine import EngineIndex

LONG = 'team/' + '.'.join('%02x' % number for number in range(70))
STORE = {'team/web': 'a shop', 'team/api': '', 'library/Nginx': 'the server', LONG: ''}


@pytest.fixture(scope='module')
def tables(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


@pytest.fixture
def index(tables):
    tables.fill(STORE)
    assert list(tables.engine.checker().check()) == []
    yield tables
    # Whatever a test did, a repair leaves an index that is whole.
    list(tables.engine.checker().check(repair=True))
    tables.assert_whole()
    tables._filled = None


def problems(index, source=None, repair=False):
    return [tuple(problem) for problem in index.engine.checker(source).check(repair)]


def repaired(index, name, kind):
    """Assert that the one problem is found and repaired."""
    [problem] = problems(index)
    assert problem[:2] == (name, kind) and problem[3] is False
    [problem] = problems(index, repair=True)
    assert problem[:2] == (name, kind) and problem[3] is True
    assert problems(index) == []
    index.assert_whole()


def key(item):
    return {name: item[name] for name in ('gram', 'suffix')}


def write(index, operation, table=None, **arguments):
    index.engine.client.call(operation, TableName=table or index.settings.search_table, **arguments)


def posting(index, gram, part):
    [found] = [item for item in index.postings()
               if item['gram']['S'] == gram and part in item['suffix']['S']]
    return found


@pytest.mark.parametrize('gram', ['sw', 'ie', '/', 'ds'])
def test_a_missing_posting(index, gram):
    part = {'ie': 'eb\x01team/w', 'sw': 'web', '/': 'team\x01web'}.get(gram, 'team/web')
    write(index, 'delete_item', Key=key(posting(index, gram, part)))
    repaired(index, 'team/web', 'postings')


def test_a_posting_too_much_of_a_repository(index):
    # As when 0.1.0 wrote over the row of a change that was killed.
    item = posting(index, 'ds', 'team/web')
    write(index, 'put_item', Item=dict(item, gram={'S': 'do'}, suffix={'S': 'old\x01team/web'}))
    repaired(index, 'team/web', 'postings')


def test_postings_of_a_name_without_a_row(index):
    write(index, 'put_item', Item={'gram': {'S': 'sg'}, 'suffix': {'S': 'ghost\x01team/'}})
    assert index.search('ghost') == [('team/ghost', '')]
    repaired(index, 'team/ghost', 'postings')
    assert index.search('ghost') == []


def test_a_row_that_was_deleted_past_the_index(index):
    write(index, 'delete_item', index.settings.repository_table, Key={'name': {'S': 'team/api'}})
    repaired(index, 'team/api', 'postings')
    assert index.search('api') == []


@pytest.mark.parametrize('text', ['another', None])
def test_a_posting_with_another_description(index, text):
    item = posting(index, 'sw', 'web')
    if text:
        item['d'] = {'S': text}
    else:
        del item['d']
    write(index, 'put_item', Item=item)
    repaired(index, 'team/web', 'postings')


def test_a_row_of_release_0_1_0(index):
    write(index, 'put_item', index.settings.repository_table,
          Item={'name': {'S': 'old/one'}, 'description': {'S': 'of 2014'}})
    repaired(index, 'old/one', 'row')
    assert index.search('2014') == [('old/one', 'of 2014')]


def test_a_description_changed_past_the_index(index):
    write(index, 'update_item', index.settings.repository_table,
          Key={'name': {'S': 'team/web'}},
          UpdateExpression='SET description = :new',
          ExpressionAttributeValues={':new': {'S': 'changed by hand'}})
    repaired(index, 'team/web', 'row')
    assert index.search('hand') == [('team/web', 'changed by hand')]


@pytest.mark.parametrize('transactions', [1, 2, 3])
def test_a_long_removal_that_was_killed(index, transactions):
    killed = index.another()
    KillAfter(killed.engine, transactions, 'TransactWriteItems')
    with pytest.raises(Killed):
        killed.engine.remove(LONG)
    repaired(index, LONG, 'row')
    assert index.search('3f') == [(LONG, '')]


def test_everything_gone(index):
    for item in index.postings():
        write(index, 'delete_item', Key=key(item))
    assert len(problems(index)) == len(STORE)
    assert all(problem[3] for problem in problems(index, repair=True))
    assert problems(index) == []
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


def test_what_only_the_storage_has_and_what_only_the_index_has(index):
    storage = Storage('team/api', 'library/Nginx', LONG, 'team/new')
    # What was just pushed may be ahead of the storage.
    assert [problem[:2] for problem in problems(index, storage)] == [('team/new', 'storage')]
    checker = index.engine.checker(storage)
    checker._writer._clock = lambda: time.time() + 2 * REST_SECONDS
    assert [problem[:2] for problem in checker.check()] == [
        ('team/new', 'storage'), ('team/web', 'index')]
    assert problems(index, Storage(*STORE)) == []


# Before the markers, the rows, the witnesses and the postings are read, and when they were.
@pytest.mark.parametrize('number', range(5))
def test_pushes_and_deletes_meanwhile_are_no_problems(index, number):
    checking, done = index.another(), []

    def push_and_delete():
        done.append(index.engine.add('just/now', 'with words'))
        index.engine.remove('team/api')
        index.engine.add('team/web', 'described anew')

    AtRequest(checking.engine, number, push_and_delete)
    assert problems(checking) == []
    # If no difference is found, there is no fifth request.
    assert done == [True] * (number < 4)


@pytest.mark.parametrize('meddle', [
    lambda other: other.engine.add('team/web', 'described anew'),
    lambda other: other.engine.remove('team/web')],
    ids=['describe', 'remove'])
def test_a_repair_is_planned_anew_when_a_push_comes_between(index, meddle):
    write(index, 'delete_item', Key=key(posting(index, 'sw', 'web')))
    Meanwhile(index.engine, 'TransactWriteItems', lambda: meddle(index.another()))
    [problem] = problems(index, repair=True)
    assert problem[3] is True
    assert problems(index) == []


def test_it_counts_what_it_read(index):
    checker = index.engine.checker()
    list(checker.check())
    assert checker.rows == len(STORE)
    assert checker.postings == len(index.postings())


def test_many_more_names_than_memory_should_hold(index, monkeypatch):
    monkeypatch.setattr(check, '_NAMES', 1)
    assert problems(index) == []
    write(index, 'delete_item', Key=key(posting(index, 'sw', 'web')))
    repaired(index, 'team/web', 'postings')
