"""When a repository was last pushed: how its row records that, and what that prevents."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.write.writer import ATTEMPTS, REST_SECONDS, TOUCH_SECONDS
from tests.helpers.faults import Meanwhile, Throttle
from tests.helpers.names import name_with_postings
from tests.helpers.release_0_1_0 import delete_as_0_1_0, put_as_0_1_0, update_as_0_1_0
from tests.helpers.requests_made import RequestsMade

NAME = 'a/web'
THEIRS = {'put': put_as_0_1_0, 'update': update_as_0_1_0, 'delete': delete_as_0_1_0}


@pytest.fixture
def long(limit):
    """A name that needs several transactions."""
    return name_with_postings(limit + 2)


# A push

def touched(index, name=NAME):
    """Return the attribute of the row, as an int."""
    return int(index.rows()[name]['touched']['N'])


def test_every_change_records_when_it_was_made(index, writer, clock, long):
    for name in NAME, long:
        begun = int(clock())
        assert writer.add(name)
        assert touched(index, name) == begun
        clock.advance(10.9)
        assert writer.add(name, 'in words')
        assert touched(index, name) == begun + 10
        clock.advance(0.1)


@pytest.mark.parametrize('passed, is_noted', [
    (0, False), (1799, False), (-1799, False), (1800, True), (10 ** 6, True), (-1800, True)])
def test_a_push_of_an_existing_repository_is_noted_after_half_an_hour(
        index, writer, clock, passed, is_noted):
    writer.add(NAME, 'in words')
    clock.advance(passed)
    made = RequestsMade(index.engine)
    assert writer.add(NAME, 'in words') is False
    assert made.operations == ['GetItem'] + ['UpdateItem'] * is_noted
    assert touched(index) == clock() - passed * (not is_noted)
    with made.counted():
        assert writer.add(NAME) is False
    assert made.operations == ['GetItem']


@pytest.mark.parametrize('value', [None, {'S': '1500000000'}, {'N': '-5'}, {'N': '0'}, {'N': '1.5'},
                                   {'L': [{'N': '1'}]}, {'NULL': True}], ids=repr)
def test_a_row_without_a_time_is_noted_anew(index, writer, clock, value):
    writer.add(NAME)
    change = {'UpdateExpression': 'REMOVE touched'} if value is None else {
        'UpdateExpression': 'SET touched = :value', 'ExpressionAttributeValues': {':value': value}}
    index.engine.client.call('update_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': NAME}}, **change)
    assert writer.add(NAME) is False
    assert touched(index) == clock()


@pytest.mark.parametrize('sneak', sorted(THEIRS) + ['our describe', 'our remove', 'our touch'])
def test_a_push_is_planned_again_after_another_writer_changed_the_same_before_its_note(
        index, other, writer, another, clock, sneak):
    writer.add(NAME, 'kept in words')
    clock.advance(TOUCH_SECONDS)
    ran = []

    def action():
        ran.append(sneak)
        if sneak in THEIRS:
            THEIRS[sneak](other, NAME)
        elif sneak == 'our remove':
            another.remove(NAME)
        else:
            another.add(NAME, 'sneaked in' if sneak == 'our describe' else None)

    Meanwhile(index.engine, 'UpdateItem', action)
    writer.add(NAME)
    assert ran and touched(index) == int(clock())


@pytest.mark.parametrize('code', ['ConditionalCheckFailedException',
                                  'TransactionConflictException'])
def test_a_note_that_meets_a_transaction_is_made_all_the_same(index, writer, clock, code):
    writer.add(NAME)
    clock.advance(TOUCH_SECONDS)
    fault = Throttle(index.engine, 'UpdateItem', 1, code=code)
    writer.add(NAME)
    assert fault.left == 0 and touched(index) == int(clock())


def test_a_note_that_fails_otherwise_is_an_error(index, writer, clock):
    writer.add(NAME)
    clock.advance(TOUCH_SECONDS)
    Throttle(index.engine, 'UpdateItem', 1)
    with pytest.raises(errors.RequestFailed):
        writer.add(NAME)
    assert touched(index) == clock() - TOUCH_SECONDS


# A removal of what the storage does not have any more

class Gone(object):
    """Answers of a storage whether it lacks a repository, in order; the last one again and again.
    An error is raised."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = 0

    def __call__(self):
        self.asked += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def old(writer, clock):
    """NAME is there, and was touched so long ago that it may be removed."""
    writer.add(NAME)
    clock.advance(REST_SECONDS)


@pytest.mark.parametrize('passed, outcome', [
    (0, 'recent'), (3599, 'recent'), (-3599, 'recent'),
    (3600, 'removed'), (10 ** 6, 'removed'), (-3600, 'removed')])
def test_a_repository_is_removed_an_hour_after_its_last_push(
        index, writer, clock, long, passed, outcome):
    for name in [NAME, long] if outcome == 'removed' else [NAME]:
        writer.add(name, 'in words')
        clock.advance(passed)
        gone = Gone(True)
        assert writer.remove_if(name, gone) == outcome
        # The storage is not asked for a recent one.
        assert gone.asked == (outcome == 'removed')
        assert list(index.rows()) == [name] * (outcome == 'recent')
        assert ['removed ' + name] * gone.asked == [
            item['suffix']['S'] for item in index.tombstones()
            if item['suffix']['S'] == 'removed ' + name]


def test_a_repository_that_was_never_touched_is_removed(index, writer):
    put_as_0_1_0(index, NAME)
    assert writer.remove_if(NAME, Gone(True)) == 'removed'
    assert index.rows() == {}


def test_a_name_without_a_row_is_ignored(index, writer):
    gone = Gone(True)
    assert writer.remove_if(NAME, gone) == 'unchanged'
    assert gone.asked == 0


@pytest.mark.usefixtures('old')
def test_a_repository_that_the_storage_has_or_may_have_stays(index, writer):
    assert writer.remove_if(NAME, Gone(False)) == 'unchanged'
    with pytest.raises(errors.StorageUnreadable):
        writer.remove_if(NAME, Gone(errors.StorageUnreadable('the storage', 'unavailable')))
    assert NAME in index.rows()


@pytest.mark.usefixtures('old')
def test_the_storage_is_asked_after_the_row_was_read(index, writer, another):
    # A push after the question changes what was read; True: the storage lacks the repository.
    assert writer.remove_if(NAME, lambda: another.add(NAME) in (True, False)) == 'recent'
    assert NAME in index.rows()


def test_a_push_between_the_read_and_the_delete_keeps_the_repository(
        index, writer, another, clock, long):
    for name in NAME, long:
        writer.add(name)
        clock.advance(REST_SECONDS)
        Meanwhile(index.engine, 'TransactWriteItems', lambda: another.add(name))
        gone = Gone(True)
        assert writer.remove_if(name, gone) == 'recent'
        assert gone.asked == 1 and name in index.rows()


@pytest.mark.usefixtures('old')
def test_a_row_that_others_wrote_is_read_and_the_storage_asked_again(index, other, writer):
    Meanwhile(index.engine, 'TransactWriteItems', lambda: put_as_0_1_0(other, NAME))
    gone = Gone(True, False)
    assert writer.remove_if(NAME, gone) == 'unchanged'
    assert gone.asked == 2 and NAME in index.rows()
    writer.add(NAME)


@pytest.mark.usefixtures('old')
def test_a_removal_that_is_overtaken_again_and_again_is_given_up(index, writer, clock):
    Throttle(index.engine, 'TransactWriteItems', 100, [None, 'TransactionConflict'])
    gone = Gone(True)
    with pytest.raises(errors.ChangeConflict):
        writer.remove_if(NAME, gone)
    assert gone.asked == ATTEMPTS and NAME in index.rows()
