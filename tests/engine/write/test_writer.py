# -*- coding: utf-8 -*-
"""The writer: whoever writes at the same time, the postings follow the rows.

Every test ends with the invariant, EngineIndex.assert_whole.
"""

from __future__ import unicode_literals

import functools
import itertools
import random
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.write.writer import ATTEMPTS, TOMBSTONE_SECONDS
from tests.helpers.faults import Meanwhile, Throttle
from tests.helpers.hooks import taken_back
from tests.helpers.release_0_1_0 import delete_as_0_1_0, put_as_0_1_0, update_as_0_1_0
from tests.helpers.requests_made import RequestsMade
from tests.helpers.waiting import in_threads

NAME = 'a/web'


def description(index):
    """Return the row's description, '' without one, or None without a row."""
    row = index.rows().get(NAME)
    return row if row is None else row.get('description', {}).get('S', '')


# One writer

def test_a_push_of_a_new_name_and_a_removal_are_one_read_and_one_transaction(index):
    made = RequestsMade(index.engine)
    assert index.engine.add(NAME, 'With words') is True
    assert made.operations == ['GetItem', 'TransactWriteItems']
    row = index.rows()[NAME]
    assert abs(int(row.pop('touched')['N']) - time.time()) < 60
    assert row == {'name': {'S': NAME}, 'description': {'S': 'With words'},
                   'indexed': {'S': 'With words'}, 'postings': {'N': '3'}}
    with made.counted():
        assert index.engine.remove(NAME) is True
    assert made.operations == ['GetItem', 'TransactWriteItems']
    assert index.rows() == {} and index.postings() == []


def test_a_push_of_an_existing_repository_is_one_read(index):
    made = RequestsMade(index.engine)
    for before, same in [(None, [None]), ('', [None, '']), ('d e', [None, 'd e', ' d\t e '])]:
        index.engine.add(NAME, before)
        for after in same:
            with made.counted():
                assert index.engine.add(NAME, after) is False
            assert made.operations == ['GetItem'], (before, after)


@pytest.mark.parametrize('given', [None, '', ' \t', '\x00', b''])
def test_an_empty_description_is_left_out_of_the_row(index, given):
    index.engine.add(NAME, given)
    assert sorted(index.rows()[NAME]) == ['name', 'postings', 'touched']
    assert index.search('web') == [(NAME, '')]


def test_a_description_takes_the_place_of_another(index):
    made, texts = RequestsMade(index.engine), ['one two', 'one three', 'One', 'one', '', 'x' * 100,
                                               'é \U0001f433', '', 'one two']
    for text in texts:
        with made.counted():
            assert index.engine.add(NAME, text) is True
        assert made.operations == ['GetItem', 'TransactWriteItems']
        assert description(index) == text
        index.assert_whole()
        assert index.engine.add(NAME) is False
        assert description(index) == text


def test_names_that_differ_in_case_only_are_two(index):
    for name in ('Team/Web', 'team/web', 'TEAM/WEB'):
        assert index.engine.add(name)
    index.assert_whole()
    assert len(index.search('WEB')) == 3
    assert index.engine.remove('team/web')
    index.assert_whole()
    assert index.search('web') == [('TEAM/WEB', ''), ('Team/Web', '')]


@pytest.mark.parametrize('name', ['Ⱥ' * 9 + '\U0001f433' * 22, '\U0001f433', '!', '*', '/', '//',
                                  ' ', 'removed x', 'a' * 90 + 'É'])
def test_unusual_names_are_added_and_removed(index, name):
    assert index.engine.add(name, 'with a \U0001f433')
    index.assert_whole()
    assert index.engine.remove(name)
    assert index.rows() == {}


def test_a_removal_leaves_a_tombstone_that_expires_in_a_week(index, writer, clock):
    numbers = set()
    clock.now = 1000.9
    for was_there in (False, True, False):
        if was_there:
            writer.add(NAME)
        assert writer.remove(NAME) is was_there
        [found] = index.tombstones()
        assert found['suffix']['S'] == 'removed ' + NAME
        assert found['expires'] == {'N': str(1000 + 7 * 24 * 3600)}
        numbers.add(found['number']['S'])
    assert len(numbers) == 3 and TOMBSTONE_SECONDS == 7 * 24 * 3600


@pytest.mark.parametrize('name', ['', 'a' * 256, 'a\x00', b'\xff', None])
def test_a_name_that_the_index_cannot_hold_costs_no_request(index, name):
    made = RequestsMade(index.engine)
    for change in (index.engine.add, index.engine.remove):
        with pytest.raises(errors.InvalidName):
            change(name)
    assert made.operations == []


# Release 0.1.0 beside the writer

OURS = {
    'add': lambda index: index.engine.add(NAME),
    'describe': lambda index: index.engine.add(NAME, 'described anew'),
    'clear': lambda index: index.engine.add(NAME, ''),
    'remove': lambda index: index.engine.remove(NAME),
    'load': lambda index: index.load(lambda: [])}
THEIRS = {'put': put_as_0_1_0, 'update': update_as_0_1_0, 'delete': delete_as_0_1_0}


@pytest.mark.parametrize('ours', sorted(OURS))
def test_a_row_that_0_1_0_wrote_is_repaired(index, ours):
    cases = list(itertools.product(sorted(THEIRS), ['', 'kept in words']))
    for theirs, before in [('put', None)] + index.telling(cases, 2, sorted(OURS).index(ours)):
        if before is None:
            index.engine.remove(NAME)
        else:
            index.engine.add(NAME, before)
        THEIRS[theirs](index, NAME)
        OURS[ours](index)
        index.assert_whole()
        gone = ours == 'remove' or (theirs == 'delete' and ours == 'load')
        assert description(index) == (
            None if gone else {'describe': 'described anew'}.get(ours, '')), (theirs, before)


def test_a_description_that_is_not_clean_is_indexed_clean_and_stays(index):
    index.engine.client.call('put_item', TableName=index.settings.repository_table,
                             Item={'name': {'S': NAME}, 'description': {'S': ' Two \x01 words\n'}})
    assert index.engine.add(NAME) is True
    assert description(index) == ' Two \x01 words\n'
    assert index.search('words') == [(NAME, 'Two words')]
    assert index.engine.add(NAME) is False
    assert index.load(lambda: [(NAME, None)]).unchanged == 1


# Another writer between the read and the transaction

SNEAKS = dict(THEIRS, **{
    'our add': lambda index, name: index.engine.add(name, ''),
    'our describe': lambda index, name: index.engine.add(name, 'sneaked in'),
    'our remove': lambda index, name: index.engine.remove(name)})
OUTCOMES = {'describe': 'described anew', 'clear': '', 'remove': None}


@pytest.mark.parametrize('sneak', sorted(SNEAKS))
def test_a_change_is_planned_again_after_another_writer_changed_the_same(index, other, sneak):
    cases = list(itertools.product(sorted(OUTCOMES), [None, '', 'kept in words']))
    for ours, before in index.telling(cases, 2, sorted(SNEAKS).index(sneak)):
        if before is None and sneak == 'update':
            before = ''
        other.clear()
        if before is not None:
            other.engine.add(NAME, before)
        ran = []

        def action():
            ran.append(sneak)
            SNEAKS[sneak](other, NAME)

        with taken_back(index.engine):
            Meanwhile(index.engine, 'TransactWriteItems', action)
            OURS[ours](index)
        assert bool(ran) != (before == OUTCOMES[ours] == ''), (ours, before)
        if (sneak, ours) == ('delete', 'remove') and before is not None:
            assert index.tombstones()
        assert description(index) == OUTCOMES[ours], (ours, before)
        index.assert_whole()


def test_a_row_that_gets_another_description_is_read_again(index, other):
    def put(words):
        other.engine.client.call('put_item', TableName=index.settings.repository_table,
                                 Item={'name': {'S': NAME}, 'description': {'S': words}})

    put('kept in words')
    Meanwhile(index.engine, 'TransactWriteItems', lambda: put('sneaked in'))
    assert index.engine.add(NAME) is True
    assert description(index) == 'sneaked in'
    index.assert_whole()


@pytest.mark.parametrize('sneak', sorted(SNEAKS))
def test_a_load_reads_again_what_another_writer_changed_before_it_writes(index, other, sneak):
    if sneak == 'update':
        put_as_0_1_0(index, NAME)
    Meanwhile(index.engine, 'TransactWriteItems', lambda: SNEAKS[sneak](other, NAME))
    assert index.load(lambda: [(NAME, None), ('b/x', None)]).found == 2
    assert description(index) == {'our remove': None, 'our describe': 'sneaked in'}.get(sneak, '')
    index.assert_whole()


# Refusals

@pytest.mark.parametrize('reason', ['ThrottlingError', 'TransactionConflict',
                                    'ProvisionedThroughputExceeded'])
def test_a_refused_transaction_is_retried(index, writer, clock, reason):
    Throttle(index.engine, 'TransactWriteItems', ATTEMPTS - 1, [None, reason])
    assert writer.add(NAME, 'with words') is True
    assert len(clock.slept) == ATTEMPTS - 1
    assert sum(clock.slept) < 5
    assert description(index) == 'with words'


@pytest.mark.parametrize('reason, raised', [
    ('ThrottlingError', errors.RequestFailed),
    ('TransactionConflict', errors.ChangeConflict),
    ('ConditionalCheckFailed', errors.ChangeConflict)])
@pytest.mark.parametrize('ours', ['describe', 'remove'])
def test_a_change_that_is_always_refused_ends_in_a_clear_error(
        index, writer, clock, reason, raised, ours):
    writer.add(NAME, 'kept in words')
    fault = Throttle(index.engine, 'TransactWriteItems', 100, [None, reason])
    with pytest.raises(raised) as refused:
        writer.add(NAME, 'described anew') if ours == 'describe' else writer.remove(NAME)
    assert type(refused.value) is raised
    assert str(refused.value).endswith('try again later') or (
        NAME in str(refused.value) and 'try again' in str(refused.value))
    assert 100 - fault.left == ATTEMPTS and len(clock.slept) == ATTEMPTS - 1
    assert description(index) == 'kept in words'


def test_a_transaction_that_dynamodb_finds_invalid_is_not_retried(index):
    fault = Throttle(index.engine, 'TransactWriteItems', 100, [None, 'ValidationError'])
    with pytest.raises(errors.RequestFailed) as refused:
        index.engine.add(NAME)
    assert refused.value.invalid and not refused.value.retryable
    assert fault.left == 99
    assert index.rows() == {}


@pytest.mark.parametrize('operation', ['GetItem', 'TransactWriteItems'])
def test_a_throttled_request_fails_with_the_way_out(index, operation):
    Throttle(index.engine, operation, 1)
    with pytest.raises(errors.RequestFailed) as refused:
        index.engine.add(NAME)
    assert refused.value.throttled and refused.value.retryable
    assert str(refused.value).endswith('try again later')
    assert index.rows() == {} and index.postings() == []


# Many writers

def run_writers(engines, works, seed):
    """Run functions of an engine, a name and a Random, in threads with an engine each, on the same
    few names; return how many changes were given up."""
    conflicts = []

    def run(number):
        chance = random.Random('%s %s' % (seed, number))
        for _ in range(12):
            name = chance.choice(['team/a', 'team/aa', 'Team/a'])
            try:
                works[number](engines[number], name, chance)
            except errors.ChangeConflict as error:
                conflicts.append(error)

    in_threads([functools.partial(run, number) for number in range(len(works))])()
    return len(conflicts)


def ours(index, name, chance):
    if chance.randrange(4) == 0:
        index.engine.remove(name)
    else:
        index.engine.add(name, [None, '', 'a b c', 'c d'][chance.randrange(4)])


def theirs(index, name, chance):
    kind = chance.choice(sorted(THEIRS))
    if kind != 'update' or name in index.rows():
        try:
            THEIRS[kind](index, name)
        except KeyError:
            # Removed since; release 0.1.0 fails, too.
            assert kind == 'update'


@pytest.mark.usefixtures('real_dynamodb_endpoint')
@pytest.mark.parametrize('seed', range(3))
def test_many_writers_leave_the_index_whole(index, engines, seed):
    assert run_writers(engines, [ours] * 5, seed) < 6
    index.assert_whole()


@pytest.mark.usefixtures('real_dynamodb_endpoint')
def test_many_writers_of_both_releases_leave_what_a_load_repairs(index, engines):
    run_writers(engines, [ours, ours, theirs, theirs], 'both')
    index.load(lambda: [])
    index.assert_whole()
