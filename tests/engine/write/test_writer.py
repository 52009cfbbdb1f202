# -*- coding: utf-8 -*-
"""The writer: whoever writes at the same time, the postings follow the rows.

Every test ends with the invariant, EngineIndex.assert_whole."""
from __future__ import unicode_literals

import functools
import itertools
import random

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import removal_of
from docker_registry_index.engine.write.plan import TOMBSTONE_SECONDS
from docker_registry_index.engine.write.writer import ATTEMPTS, REST_SECONDS, TOUCH_SECONDS
from tests.helpers.faults import Meanwhile, Throttle, taken_back
from tests.helpers.names import name_with_postings
from tests.helpers.release_0_1_0 import delete_as_0_1_0, put_as_0_1_0, update_as_0_1_0
from tests.helpers.requests_made import RequestsMade
from tests.helpers.waiting import in_threads

NAME = 'a/web'


@pytest.fixture
def long(limit):
    """A name that needs several transactions."""
    return name_with_postings(limit + 2)


def description(index):
    """Return the row's description, '' without one, or None without a row."""
    row = index.rows().get(NAME)
    return row if row is None else row.get('description', {}).get('S', '')


def test_each_change_is_one_read_and_one_transaction(index, writer, clock):
    made = RequestsMade(index.engine)
    for text in ['With words', 'one two', 'one three', 'One', 'one', '', 'x' * 100,
                 'é \U0001f433', None]:
        with made.counted():
            assert (writer.remove(NAME) if text is None else writer.add(NAME, text)) is True
        assert made.operations == ['GetItem', 'TransactWriteItems']
        assert description(index) == text
        index.assert_whole()
        if text:
            assert index.rows()[NAME] == {
                'name': {'S': NAME}, 'description': {'S': text}, 'indexed': {'S': text},
                'postings': {'N': str(postings.FORMAT)}, 'touched': {'N': str(int(clock()))}}
    assert index.rows() == {} and index.postings() == []


def test_a_push_of_an_existing_repository_is_one_read_and_its_row_has_no_empty_description(index):
    made = RequestsMade(index.engine)
    for empty in None, '', ' \t', '\x00', b'':
        index.engine.add(NAME, empty)
        assert sorted(index.rows()[NAME]) == ['name', 'postings', 'touched']
        assert index.search('web') == [(NAME, '')]
        index.engine.remove(NAME)
    for before, same in [(None, [None]), ('', [None, '']), ('d e', [None, 'd e', ' d\t e '])]:
        index.engine.add(NAME, before)
        for after in same:
            with made.counted():
                assert index.engine.add(NAME, after) is False
            assert made.operations == ['GetItem'], (before, after)


def test_unusual_names_are_added_and_removed(index):
    # The first three differ in case only.
    names = ['Team/Web', 'team/web', 'TEAM/WEB', 'Ⱥ' * 9 + '\U0001f433' * 22, '\U0001f433', '!',
             '*', '/', '//', ' ', 'removed x', 'a' * 90 + 'É']
    for name in names:
        assert index.engine.add(name, 'with a \U0001f433')
    assert index.assert_whole() == sorted(names) and len(index.search('WEB')) == 3
    for name in names[1:]:
        assert index.engine.remove(name)
    assert index.search('web') == [('Team/Web', 'with a \U0001f433')]


def test_a_removal_leaves_a_tombstone_that_expires_in_a_week(index, writer, clock):
    numbers, clock.now = set(), 1000.9
    for was_there in (False, True, False):
        if was_there:
            writer.add(NAME)
        assert writer.remove(NAME) is was_there
        [found] = index.tombstones()
        assert found['suffix']['S'] == 'removed ' + NAME
        assert found['expires'] == {'N': str(1000 + 7 * 24 * 3600)}
        numbers.add(found['number']['S'])
    assert len(numbers) == 3 and TOMBSTONE_SECONDS == 7 * 24 * 3600


def test_a_name_that_the_index_cannot_hold_costs_no_request(index):
    made = RequestsMade(index.engine)
    for change in index.engine.add, index.engine.remove:
        with pytest.raises(errors.InvalidName):
            change('a\x00')
    assert made.operations == []


OURS = {
    'add': lambda index: index.engine.add(NAME),
    'describe': lambda index: index.engine.add(NAME, 'described anew'),
    'clear': lambda index: index.engine.add(NAME, ''),
    'remove': lambda index: index.engine.remove(NAME),
    'load': lambda index: index.load(lambda: [])}
THEIRS = {'put': put_as_0_1_0, 'update': update_as_0_1_0, 'delete': delete_as_0_1_0}


@pytest.mark.parametrize('ours', sorted(OURS))
def test_a_row_that_0_1_0_wrote_is_repaired(index, ours):
    cases = index.thinned_on_moto(list(itertools.product(
        sorted(THEIRS), ['', 'kept in words'])), 3, sorted(OURS).index(ours))
    for theirs, before in [('put', None)] + cases:
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


SNEAKS = dict(THEIRS, **{
    'our add': lambda index, name: index.engine.add(name, ''),
    'our describe': lambda index, name: index.engine.add(name, 'sneaked in'),
    'our remove': lambda index, name: index.engine.remove(name)})
OUTCOMES = {'describe': 'described anew', 'clear': '', 'remove': None}


@pytest.mark.parametrize('sneak', sorted(SNEAKS))
def test_a_change_is_planned_again_after_another_writer_changed_the_same(index, other, sneak):
    cases = list(itertools.product(sorted(OUTCOMES), [None, '', 'kept in words']))
    for ours, before in index.thinned_on_moto(cases, 4, sorted(SNEAKS).index(sneak)):
        if before is None and sneak == 'update':
            before = ''
        other.clear()
        if before is not None:
            other.engine.add(NAME, before)
        ran = []
        with taken_back(index.engine):
            Meanwhile(index.engine, 'TransactWriteItems',
                      lambda: ran.append(SNEAKS[sneak](other, NAME)))
            OURS[ours](index)
        assert bool(ran) != (before == OUTCOMES[ours] == ''), (ours, before)
        if (sneak, ours) == ('delete', 'remove') and before is not None:
            assert index.tombstones()
        assert description(index) == OUTCOMES[ours], (ours, before)
        index.assert_whole()


def test_a_row_that_gets_another_description_is_read_again_and_one_that_is_not_clean_stays(
        index, other):
    other.put_row(NAME, description={'S': 'kept in words'})
    Meanwhile(index.engine, 'TransactWriteItems',
              lambda: other.put_row(NAME, description={'S': ' Two \x01 words\n'}))
    assert index.engine.add(NAME) is True
    assert description(index) == ' Two \x01 words\n'
    assert index.search('words') == [(NAME, 'Two words')]
    assert index.engine.add(NAME) is False
    assert index.load(lambda: [(NAME, None)]).unchanged == 1


@pytest.mark.parametrize('reason, raised', [
    ('ThrottlingError', errors.RequestFailed),
    ('ProvisionedThroughputExceeded', errors.RequestFailed),
    ('TransactionConflict', errors.ChangeConflict),
    ('ConditionalCheckFailed', errors.ChangeConflict)])
def test_a_refused_change_is_retried_and_ends_in_a_clear_error_if_it_is_always_refused(
        index, writer, clock, reason, raised):
    Throttle(index.engine, 'TransactWriteItems', ATTEMPTS - 1, [None, reason])
    made = RequestsMade(index.engine)
    assert writer.add(NAME, 'kept in words') is True
    assert len(clock.slept) == ATTEMPTS - 1 and sum(clock.slept) < 5
    # A throttled transaction has changed nothing, so the row is not read again.
    reads = 1 if raised is errors.RequestFailed else 2 * ATTEMPTS - 1
    assert made.operations.count('GetItem') == reads
    del clock.slept[:]
    for change in lambda: writer.add(NAME, 'described anew'), lambda: writer.remove(NAME):
        with taken_back(index.engine):
            fault = Throttle(index.engine, 'TransactWriteItems', 100, [None, reason])
            with pytest.raises(raised) as refused:
                change()
        assert type(refused.value) is raised
        assert str(refused.value).endswith('try again later') or (
            NAME in str(refused.value) and 'try again' in str(refused.value))
        assert 100 - fault.left == ATTEMPTS and len(clock.slept) == ATTEMPTS - 1
        assert description(index) == 'kept in words'
        del clock.slept[:]


@pytest.mark.parametrize('operation, reasons', [
    ('GetItem', None), ('TransactWriteItems', None),
    # Invalid: DynamoDB will never accept it.
    ('TransactWriteItems', [None, 'ValidationError'])])
def test_a_request_that_fails_otherwise_is_not_retried(index, operation, reasons):
    fault = Throttle(index.engine, operation, 100, reasons)
    with pytest.raises(errors.RequestFailed) as refused:
        index.engine.add(NAME)
    is_invalid = reasons is not None
    assert fault.left == 99
    assert (refused.value.invalid, refused.value.throttled) == (is_invalid, not is_invalid)
    assert str(refused.value).endswith('try again later') == (not is_invalid)
    assert index.rows() == {} and index.postings() == []


def touched(index):
    """Return the attribute of the row, as an int."""
    return int(index.rows()[NAME]['touched']['N'])


def test_a_long_change_records_when_it_was_made(index, writer, clock, long):
    for description in '', 'in words':
        assert writer.add(long, description)
        assert int(index.rows()[long]['touched']['N']) == int(clock())
        clock.advance(10.9)


@pytest.mark.parametrize('passed, is_noted', [
    (0, False), (1799, False), (-1799, False), (1800, True), (10 ** 6, True), (-1800, True)])
def test_a_push_of_an_existing_repository_is_noted_after_half_an_hour(
        index, writer, clock, passed, is_noted):
    writer.add(NAME, 'in words')
    clock.advance(passed)
    made = RequestsMade(index.engine)
    assert not writer.add(NAME, 'in words') and not writer.add(NAME)
    assert made.operations == ['GetItem'] + ['UpdateItem'] * is_noted + ['GetItem']
    assert touched(index) == clock() - passed * (not is_noted)


@pytest.mark.parametrize('time', [{}, {'touched': {'S': '1500000000'}}, {'touched': {'N': '1.5'}}])
def test_a_row_without_a_time_is_noted_anew(index, writer, clock, time):
    writer.add(NAME)
    index.put_row(NAME, postings=index.rows()[NAME]['postings'], **time)
    assert writer.add(NAME) is False
    assert touched(index) == clock()


def origin(index):
    return index.rows()[NAME].get('origin', {}).get('S')


def test_a_description_is_stored_with_its_origin_until_another_one_replaces_it(index, writer):
    writer.add(NAME, 'old', '1.0')
    assert origin(index) == '1.0'
    writer.add(NAME, 'new', '2.0')
    assert (description(index), origin(index)) == ('new', '2.0')
    for keep in writer.add, functools.partial(writer.rewrite, begun=()):
        keep(NAME)
        assert (description(index), origin(index)) == ('new', '2.0')
    writer.add(NAME, 'by hand')
    assert (description(index), origin(index)) == ('by hand', None)
    writer.add(NAME, 'old', '1.0')
    writer.add(NAME, '', '1.1')
    assert (description(index), origin(index)) == ('', None)
    index.assert_whole()


def test_the_same_description_of_another_origin_costs_one_update(index, writer):
    writer.add(NAME, 'text', '1.0')
    made = RequestsMade(index.engine)
    for new, operations in ('1.1', ['GetItem', 'UpdateItem']), ('1.1', ['GetItem']):
        with made.counted():
            writer.add(NAME, 'text', new)
        assert made.operations == operations and origin(index) == new
    writer.add(NAME, 'text')
    assert origin(index) == '1.1'
    index.assert_whole()


def test_a_long_description_keeps_its_origin_after_its_change_is_completed(index, writer, long):
    writer.add(long, 'one', '1.0')
    writer.add(long, 'two', '2.0')
    assert index.rows()[long]['origin'] == {'S': '2.0'}
    writer.rewrite(long, [])
    assert index.rows()[long]['origin'] == {'S': '2.0'}
    index.assert_whole()


def test_the_caller_decides_whether_an_existing_description_is_replaced(index, writer):
    asked = []

    def add(text, origin, may_replace):
        writer.add(NAME, text, origin, lambda *found: asked.append(found) or may_replace)
        return description(index), index.rows()[NAME].get('origin', {}).get('S'), asked.pop()
    asked.append('not called')
    assert add('first', '1.0', False) == ('first', '1.0', 'not called')
    assert add('second', '0.9', False) == ('first', '1.0', ('first', '1.0'))
    assert add('second', '1.1', True) == ('second', '1.1', ('first', '1.0'))
    writer.add(NAME, 'by hand')
    assert add('third', '1.2', False) == ('by hand', None, ('by hand', None))
    # Without a new description, or without an old one, there is nothing to decide.
    writer.add(NAME, None, None, lambda *found: asked.append(found))
    assert asked == []
    writer.add(NAME, '')
    asked.append('not called')
    assert add('fourth', '0.1', False) == ('fourth', '0.1', 'not called')
    index.assert_whole()


@pytest.mark.parametrize('text', ['two', 'one'])
def test_the_caller_decides_again_after_another_writer_has_replaced_the_description(
        index, other, text):
    index.engine.add(NAME, 'one', '1.0')
    # The other writer may write the same description, of another origin.
    Meanwhile(index.engine, 'TransactWriteItems', lambda: other.engine.add(NAME, text, '3.0'))
    index.engine.add(NAME, 'lower', '2.0', lambda text, origin: origin < '2.0')
    assert (description(index), origin(index)) == (text, '3.0')
    index.assert_whole()


@pytest.mark.parametrize('sneak', sorted(SNEAKS))
def test_a_push_is_planned_again_after_another_writer_changed_the_same_before_its_note(
        index, other, writer, clock, sneak):
    writer.add(NAME, 'kept in words')
    clock.advance(TOUCH_SECONDS)
    ran = []
    Meanwhile(index.engine, 'UpdateItem', lambda: ran.append(SNEAKS[sneak](other, NAME)))
    writer.add(NAME)
    assert ran and touched(index) == int(clock())


@pytest.mark.parametrize('code, is_retried', [
    ('ConditionalCheckFailedException', True), ('TransactionConflictException', True),
    ('ProvisionedThroughputExceededException', False)])
def test_a_note_that_meets_a_transaction_is_retried_and_any_other_failure_is_an_error(
        index, writer, clock, code, is_retried):
    writer.add(NAME)
    clock.advance(TOUCH_SECONDS)
    Throttle(index.engine, 'UpdateItem', 1, code=code)
    if is_retried:
        writer.add(NAME)
    else:
        with pytest.raises(errors.RequestFailed):
            writer.add(NAME)
    assert touched(index) == clock() - TOUCH_SECONDS * (not is_retried)


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
    for name in [NAME, long] if passed == 3600 else [NAME]:
        writer.add(name, 'in words')
        clock.advance(passed)
        answers, is_recent = [True], outcome == 'recent'
        assert writer.remove_if(name, answers.pop) == outcome
        # The storage is not asked for a recent one.
        assert len(answers) == is_recent and list(index.rows()) == [name] * is_recent
        assert ('removed ' + name in [item['suffix']['S'] for item in index.tombstones()]) != (
            is_recent)


def test_a_repository_that_was_never_touched_is_removed_and_a_missing_one_ignored(index, writer):
    put_as_0_1_0(index, NAME)
    assert writer.remove_if(NAME, lambda: True) == 'removed'
    assert writer.remove_if(NAME, [].pop) == 'unchanged'  # the storage is not asked


@pytest.mark.usefixtures('old')
def test_a_repository_that_the_storage_has_or_may_have_stays(index, writer, another):
    def fail():
        raise errors.StorageUnreadable('the storage', 'unavailable')

    assert writer.remove_if(NAME, lambda: False) == 'unchanged'
    with pytest.raises(errors.StorageUnreadable):
        writer.remove_if(NAME, fail)
    # It is pushed after the row was read, as the storage answers that it lacks the repository.
    assert writer.remove_if(NAME, lambda: another.add(NAME) in (True, False)) == 'recent'
    assert NAME in index.rows()


def test_a_push_between_the_read_and_the_delete_keeps_the_repository(
        index, writer, another, clock, long):
    for name in NAME, long:
        writer.add(name)
        clock.advance(REST_SECONDS)
        Meanwhile(index.engine, 'TransactWriteItems', lambda: another.add(name))
        answers = [True]
        assert writer.remove_if(name, answers.pop) == 'recent'
        assert answers == [] and name in index.rows()


@pytest.mark.usefixtures('old')
def test_a_row_that_others_wrote_is_read_and_the_storage_asked_again(index, other, writer, clock):
    Meanwhile(index.engine, 'TransactWriteItems', lambda: put_as_0_1_0(other, NAME))
    answers = [False, True]
    assert writer.remove_if(NAME, answers.pop) == 'unchanged' and answers == []
    writer.add(NAME)
    clock.advance(REST_SECONDS)
    # A removal that is overtaken again and again is given up.
    Throttle(index.engine, 'TransactWriteItems', 100, [None, 'TransactionConflict'])
    answers = [True] * ATTEMPTS
    with pytest.raises(errors.ChangeConflict):
        writer.remove_if(NAME, answers.pop)
    assert answers == [] and NAME in index.rows()


@pytest.mark.usefixtures('real_dynamodb_endpoint')
@pytest.mark.parametrize('names, theirs, most', [
    (['team/a', 'team/aa', 'Team/a'], [], 5),
    (['team/a', 'team/aa', 'Team/a'], [put_as_0_1_0, delete_as_0_1_0], None),
    # A writer that gave up has left a token, which a load takes out.
    ([name_with_postings(120), name_with_postings(98)], [], None)])
def test_many_writers_leave_the_index_whole_or_what_a_load_repairs(
        index, engines, names, theirs, most):
    ours = [SNEAKS[each] for each in sorted(SNEAKS) if each.startswith('our')]
    conflicts = []

    def run(number):
        chance = random.Random(number)
        for _ in range(4 * len(names)):
            try:
                chance.choice(theirs if theirs and number > 2 else ours)(
                    engines[number], chance.choice(names))
            except errors.ChangeConflict:
                conflicts.append(number)

    in_threads([functools.partial(run, number) for number in range(5)])()
    if most is None:
        index.load(lambda: [])
    else:
        assert len(conflicts) <= most
    index.assert_whole()


def test_postings_that_are_deleted_without_a_removal_change_the_tombstone_and_keep_its_removal(
        index, writer, another):
    def rewritten():
        before = writer.removal(NAME)
        writer.rewrite(NAME, ['of words'])
        assert writer.removal(NAME) != before
        return removal_of(writer.removal(NAME))

    assert rewritten() == ''
    writer.remove(NAME)
    first = writer.removal(NAME)
    assert rewritten() == rewritten() == first
    # A removal that comes between is not lost.
    Meanwhile(index.engine, 'TransactWriteItems', lambda: another.remove(NAME))
    assert rewritten() not in ('', first)
