# -*- coding: utf-8 -*-
"""When a repository was last pushed: how its row records that, and what that prevents."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.store.records import Row
from docker_registry_index.engine.write.writer import ATTEMPTS, Writer
from tests.helpers.faults import Meanwhile, Throttle
from tests.helpers.requests_made import RequestsMade
from tests.helpers.names import name_with_postings
from tests.helpers.release_0_1_0 import delete_as_0_1_0, put_as_0_1_0, update_as_0_1_0

NAME = 'team/web-api'
LONG = name_with_postings(120)
#: An hour, and half of one.
REST, TOUCH = 3600, 1800
THEN = 1500000000


class Clock(object):
    """Unix seconds that a test sets."""

    def __init__(self):
        self.now = THEN

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def writer(index, clock):
    """A writer of the index, whose clock the test holds."""
    return Writer(index.store, sleep=lambda _: None, clock=clock)


@pytest.fixture
def another(other, clock):
    """Those of another process."""
    return Writer(other.store, sleep=lambda _: None, clock=clock)


def touched(index, name=NAME):
    """The attribute of the row, as an int; None when there is none."""
    found = index.rows()[name].get('touched')
    return None if found is None else int(found['N'])


def set_touched(index, value, name=NAME):
    index.engine.client.call(
        'update_item', TableName=index.settings.repository_table,
        Key={'name': {'S': name}}, UpdateExpression='SET touched = :value',
        ExpressionAttributeValues={':value': value})


@pytest.mark.parametrize('value, seconds', [
    (None, 0), ({'N': '0'}, 0), ({'N': '1500000000'}, 1500000000),
    ({'N': '-5'}, 0), ({'N': '1.5'}, 0), ({'S': '1500000000'}, 0),
    ({'L': []}, 0), ({'NULL': True}, 0)], ids=lambda value: None)
def test_what_is_no_whole_number_of_seconds_counts_as_absent(value, seconds):
    item = {'name': {'S': NAME}}
    if value is not None:
        item['touched'] = value
    assert Row.of(item).touched == seconds


# A push

@pytest.mark.parametrize('name', [NAME, LONG], ids=['short', 'long'])
def test_every_change_records_when_it_was_made(index, writer, clock, name):
    assert writer.add(name)
    assert touched(index, name) == THEN
    clock.now += 10.9
    assert writer.add(name, 'in words')
    assert touched(index, name) == THEN + 10


@pytest.mark.parametrize('passed', [0, 1, TOUCH - 1, 1 - TOUCH])
def test_a_push_that_was_noted_lately_is_one_read(index, writer, clock, passed):
    writer.add(NAME)
    clock.now += passed
    seen = RequestsMade(index.engine)
    assert writer.add(NAME) is False
    assert seen.operations == ['GetItem']
    assert touched(index) == THEN


@pytest.mark.parametrize('passed', [TOUCH, 10 ** 6, -TOUCH, -10 ** 6])
def test_after_half_an_hour_a_push_is_noted_again(index, writer, clock, passed):
    writer.add(NAME, 'in words')
    clock.now += passed
    seen = RequestsMade(index.engine)
    assert writer.add(NAME, 'in words') is False
    assert seen.operations == ['GetItem', 'UpdateItem']
    assert touched(index) == clock.now
    with seen.counted():
        assert writer.add(NAME) is False
    assert seen.operations == ['GetItem']


@pytest.mark.parametrize('value', [None, {'S': 'of somebody else'}, {'N': '-5'},
                                   {'L': [{'N': '1'}]}], ids=['absent', 'text', 'negative', 'list'])
def test_a_row_without_a_time_is_noted_anew(index, writer, value):
    writer.add(NAME)
    if value is None:
        index.engine.client.call('update_item', TableName=index.settings.repository_table,
                                 Key={'name': {'S': NAME}}, UpdateExpression='REMOVE touched')
    else:
        set_touched(index, value)
    assert writer.add(NAME) is False
    assert touched(index) == THEN


SNEAKS = {
    'our describe': lambda other: other.add(NAME, 'sneaked in'),
    'our remove': lambda other: other.remove(NAME),
    'our touch': lambda other: other.add(NAME)}
THEIRS = {'put': put_as_0_1_0, 'update': update_as_0_1_0, 'delete': delete_as_0_1_0}


@pytest.mark.parametrize('sneak', sorted(SNEAKS) + sorted(THEIRS))
def test_who_sneaks_in_before_a_push_is_noted_makes_it_be_planned_again(
        index, other, writer, another, clock, sneak):
    writer.add(NAME, 'kept in words')
    clock.now += TOUCH
    ran = []

    def action():
        ran.append(sneak)
        if sneak in SNEAKS:
            SNEAKS[sneak](another)
        else:
            THEIRS[sneak](other, NAME)

    Meanwhile(index.engine, 'UpdateItem', action)
    writer.add(NAME)
    assert ran and touched(index) == clock.now
    index.assert_whole()


@pytest.mark.parametrize('code', ['ConditionalCheckFailedException',
                                  'TransactionConflictException'])
def test_a_note_that_meets_a_transaction_is_made_all_the_same(index, writer, clock, code):
    writer.add(NAME)
    clock.now += TOUCH
    fault = Throttle(index.engine, 'UpdateItem', 1, code=code)
    writer.add(NAME)
    assert fault.left == 0 and touched(index) == clock.now


def test_a_note_that_fails_otherwise_is_an_error(index, writer, clock):
    writer.add(NAME)
    clock.now += TOUCH
    Throttle(index.engine, 'UpdateItem', 1)
    with pytest.raises(errors.RequestFailed):
        writer.add(NAME)
    assert touched(index) == THEN


# A removal of what the storage does not have any more

class Gone(object):
    """Answers of a storage, in order; the last one again and again."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = 0

    def __call__(self):
        self.asked += 1
        return (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])


@pytest.mark.parametrize('name', [NAME, LONG], ids=['short', 'long'])
@pytest.mark.parametrize('passed', [REST, 10 ** 6, -REST, -10 ** 6])
def test_what_was_touched_an_hour_ago_is_removed_with_a_tombstone(
        index, writer, clock, name, passed):
    writer.add(name, 'in words')
    clock.now += passed
    gone = Gone(True)
    assert writer.remove_if(name, gone) == 'removed'
    assert gone.asked == 1 and index.rows() == {}
    assert index.postings() == []
    assert [item for item in index.items(index.settings.search_table)
            if item['suffix']['S'] == 'removed ' + name]


@pytest.mark.parametrize('passed', [0, REST - 1, 1 - REST])
def test_what_was_touched_within_the_hour_stays_and_the_storage_is_not_asked(
        index, writer, clock, passed):
    writer.add(NAME)
    clock.now += passed
    gone = Gone(True)
    assert writer.remove_if(NAME, gone) == 'recent'
    assert gone.asked == 0 and NAME in index.rows()


def test_what_nobody_touched_is_old(index, writer):
    put_as_0_1_0(index, NAME)
    assert writer.remove_if(NAME, Gone(True)) == 'removed'
    assert index.rows() == {}


def test_what_the_storage_has_stays(index, writer, clock):
    writer.add(NAME)
    clock.now += REST
    assert writer.remove_if(NAME, Gone(False)) == 'unchanged'
    assert NAME in index.rows()


def test_what_has_no_row_is_left_alone(index, writer):
    gone = Gone(True)
    assert writer.remove_if(NAME, gone) == 'unchanged'
    assert gone.asked == 0


def test_the_storage_is_asked_after_the_row_was_read(index, writer, another, clock):
    writer.add(NAME)
    clock.now += REST

    def is_gone():
        # Pushed since: what was read does not stand any more.
        another.add(NAME)
        return True

    assert writer.remove_if(NAME, is_gone) == 'recent'
    assert NAME in index.rows()


@pytest.mark.parametrize('name', [NAME, LONG], ids=['short', 'long'])
def test_a_push_between_the_read_and_the_delete_keeps_the_repository(
        index, writer, another, clock, name):
    writer.add(name)
    clock.now += REST
    Meanwhile(index.engine, 'TransactWriteItems', lambda: another.add(name))
    gone = Gone(True)
    assert writer.remove_if(name, gone) == 'recent'
    assert gone.asked == 1 and name in index.rows()
    index.assert_whole()


def test_a_row_that_others_wrote_is_read_and_the_storage_asked_again(index, other, writer, clock):
    writer.add(NAME)
    clock.now += REST
    Meanwhile(index.engine, 'TransactWriteItems', lambda: put_as_0_1_0(other, NAME))
    gone = Gone(True, False)
    assert writer.remove_if(NAME, gone) == 'unchanged'
    assert gone.asked == 2 and NAME in index.rows()
    writer.add(NAME)


def test_a_removal_that_is_overtaken_again_and_again_is_given_up(index, writer, clock):
    writer.add(NAME)
    clock.now += REST
    Throttle(index.engine, 'TransactWriteItems', 100, [None, 'TransactionConflict'])
    gone = Gone(True)
    with pytest.raises(errors.ChangeConflict):
        writer.remove_if(NAME, gone)
    assert gone.asked == ATTEMPTS and NAME in index.rows()


def test_a_storage_that_cannot_be_asked_removes_nothing(index, writer, clock):
    writer.add(NAME)
    clock.now += REST

    def is_gone():
        raise errors.StorageUnreadable('the storage', 'unavailable')

    with pytest.raises(errors.StorageUnreadable):
        writer.remove_if(NAME, is_gone)
    assert NAME in index.rows()
