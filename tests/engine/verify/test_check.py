"""Check finds every way in which rows and postings can disagree."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.store import postings
from tests.helpers.faults import AtRequest, KillAfter, Killed, Meanwhile, taken_back
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


def assert_repaired(index, *expected):
    """Assert that a check with repair finds these names with their kinds, and repairs them."""
    found = problems(index, repair=True)
    assert [(name, kind) for name, kind, _, is_repaired in found if is_repaired] == list(expected)
    assert len(found) == len(expected)
    index.assert_whole()


def write(index, operation, table=None, **arguments):
    index.engine.client.call(operation, TableName=table or index.settings.search_table, **arguments)


def change_row(index, **attributes):
    index.change_item(index.settings.repository_table, {'name': {'S': 'a/web'}}, **attributes)


def posting(index, gram, part):
    [found] = [item for item in index.postings()
               if item['gram']['S'] == gram and part in item['suffix']['S']]
    return found


def delete_posting(index, gram='sw', part='web'):
    item = posting(index, gram, part)
    write(index, 'delete_item', Key={name: item[name] for name in ('gram', 'suffix')})


@pytest.mark.parametrize('gram, part', [
    ('se', 'eb\x07a/w'), ('/', 'a\x01web'), ('ss', 'shop\x7fa/web')])
def test_a_missing_posting_is_repaired(index, gram, part):
    delete_posting(index, gram, part)
    assert_repaired(index, ('a/web', 'postings'))


def test_a_check_without_repair_reports_what_it_finds_and_changes_nothing(index):
    delete_posting(index)
    before = index.postings()
    for _ in range(2):
        assert problems(index) == [
            ('a/web', 'postings', '1 postings missing or wrong, 0 too many', False)]
    assert index.postings() == before
    assert_repaired(index, ('a/web', 'postings'))
    checker = index.engine.checker()
    assert list(checker.check()) == []
    assert (checker.rows, checker.postings) == (len(STORE), len(index.postings()))


def test_postings_too_many_are_deleted(index):
    # As when 0.1.0 wrote over the row of a change that was killed.
    item = posting(index, 'ss', 'shop\x7fa/web')
    write(index, 'put_item', Item=dict(item, gram={'S': 'so'}, suffix={'S': 'old\x7fa/web'}))
    # Of a name without a row, and of a row that was deleted without the index.
    write(index, 'put_item', Item={
        'gram': {'S': 'sg'}, 'suffix': {'S': 'ghost\x01a/'}, 't': {'S': 'a/ghost'}})
    assert index.search('ghost') == [('a/ghost', '')]
    write(index, 'delete_item', index.settings.repository_table, Key={'name': {'S': 'a/api'}})
    assert_repaired(index, ('a/api', 'postings'), ('a/ghost', 'postings'), ('a/web', 'postings'))
    assert index.names() == sorted(set(STORE) - {'a/api'})


def test_a_description_is_the_same_in_all_postings_and_the_row(index):
    write(index, 'put_item', Item=dict(posting(index, 'sn', 'nginx'), t={'S': 'b/nginx'}))
    write(index, 'put_item', Item=dict(
        posting(index, 'sa', 'api\x01a/'), t={'S': 'a/api\nanother'}))
    change_row(index, description={'S': 'changed by hand'})
    # A row of release 0.1.0 has no postings.
    index.put_row('old/one', description={'S': 'of 2014'})
    assert_repaired(index, ('a/api', 'postings'), ('a/web', 'row'), ('b/Nginx', 'postings'),
                    ('old/one', 'row'))
    assert index.search('hand') == [('a/web', 'changed by hand')]
    assert index.search('2014') == [('old/one', 'of 2014')]


def test_postings_whose_text_another_program_has_removed_or_changed_are_repaired(index):
    for gram, part in ('sw', 'web'), ('/', 'a\x01web'), ('sn', 'nginx'), ('/', 'b\x01Nginx'):
        item = posting(index, gram, part)
        del item['t']
        write(index, 'put_item', Item=item)
    # The key of the posting of "Nginx" contains no name.
    assert_repaired(index, (postings.UNKNOWN, 'postings'), ('a/web', 'postings'),
                    ('b/Nginx', 'postings'))
    # A repository is repaired before or after the one that its posting seems to belong to.
    for gram, part, name in (('sa', 'api\x01a/', 'zoo'), ('sg', 'ginx', 'a/n'),
                             ('sw', 'web', 'a/api')):
        write(index, 'put_item', Item=dict(posting(index, gram, part), t={'S': name}))
    assert_repaired(index, ('a/N', 'postings'), ('a/api', 'postings'), ('a/web', 'postings'),
                    ('b/Nginx', 'postings'))


def test_a_push_repairs_the_witness_whose_text_another_program_has_removed(index):
    item = posting(index, '/', 'a\x01web')
    del item['t']
    write(index, 'put_item', Item=item)
    assert index.names() == sorted(STORE)
    assert index.engine.add('a/web', 'another') and index.engine.add('a/web', STORE['a/web'])
    index.assert_whole()


@pytest.mark.parametrize('transactions', [1, 3])
def test_a_long_removal_that_was_killed_is_undone(index, other, transactions):
    KillAfter(other.engine, transactions, 'TransactWriteItems')
    with pytest.raises(Killed):
        other.engine.remove(LONG)
    assert_repaired(index, (LONG, 'row'))
    assert index.search(LONG[-3:]) == [(LONG, '')]


def test_a_check_reports_what_only_the_storage_has_and_what_only_the_index_has(index):
    def found(*names):
        return [problem[:2] for problem in problems(index, lambda: [(name, None)
                                                                    for name in names])]

    stored = ['a/api', 'b/Nginx', LONG, 'a/new']
    # What was just pushed may be ahead of the storage.
    assert found(*stored) == [('a/new', 'storage')]
    change_row(index, touched={'N': '1000000000'})
    assert found(*stored) == [('a/new', 'storage'), ('a/web', 'index')]
    assert found(*STORE) == []
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


def test_a_push_during_an_inspection_is_no_problem(index, other):
    delete_posting(index)
    Meanwhile(other.engine, 'BatchGetItem', lambda: index.engine.add('a/web', 'another'))
    assert problems(other) == []


@pytest.mark.parametrize('meddle', [
    lambda other: other.engine.add('a/web', 'another'),
    lambda other: other.engine.remove('a/web')], ids=['describe', 'remove'])
def test_a_repair_is_planned_again_when_a_push_comes_between(index, other, meddle):
    delete_posting(index)
    Meanwhile(index.engine, 'TransactWriteItems', lambda: meddle(other))
    assert_repaired(index, ('a/web', 'postings'))
