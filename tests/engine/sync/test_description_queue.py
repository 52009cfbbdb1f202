"""The queue of descriptions that are still to be read: none is lost, none is done twice."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import ListSource
from docker_registry_index.engine.sync.description_queue import (
    EXPECTED_SECONDS, LONG_SECONDS, LONGEST_PAUSE, Note, Schedule)
from tests.helpers.faults import killed_at_each


@pytest.fixture
def notes(index):
    return index.engine.description_queue


def noted(notes):
    return [note.name for note in notes.notes(1000)]


class Later(ListSource):
    describes_later = True


def test_notes_come_in_order_in_pages_and_go_one_by_one(notes):
    # More than a request writes.
    names = ['a/%02d' % number for number in range(30)]
    notes.note(names + names[:5])
    assert noted(notes) == names
    first = notes.notes(9)
    assert [note.name for note in first] == names[:9]
    assert [note.name for note in notes.notes(9, first[-1].name)] == names[9:18]
    for _ in range(2):
        notes.done(first[0])
    assert noted(notes) == names[1:]


def test_a_note_records_whether_its_repository_is_expected_and_stays_if_it_is_written_anew(notes):
    for is_expected in True, False:
        [note] = notes.note(['team/app'], is_expected=is_expected)
        assert notes.notes(9) == [note] and note.is_expected == is_expected
    notes.note(['team/app'])
    notes.done(note)
    assert noted(notes) == ['team/app']


def test_a_load_notes_what_it_adds_and_nothing_else(index, notes, limit):
    index.engine.add('team/there')
    names = ['team/new', 'team/there', 'team/' + 'x' * limit]
    stored = [(name, None) for name in names]
    index.load(Later(lambda: stored))
    assert noted(notes) == names[::2]
    for note in notes.notes(9):
        notes.done(note)
    index.load(Later(lambda: stored))
    index.load(lambda: stored + [('team/other', None)])
    assert noted(notes) == []


def test_a_load_killed_at_any_request_leaves_nothing_without_its_note(index, other, notes):
    stored = [('a/%d' % number, None) for number in range(3)]
    for _ in killed_at_each(other, lambda: other.load(Later(lambda: stored))):
        assert set(index.rows()) <= set(noted(notes))
    assert noted(notes) == [name for name, _ in stored]


def test_notes_are_neither_found_nor_in_the_way_of_a_check(index, notes):
    notes.note(['team/app'])
    assert index.search('team') == [] and index.names() == [] and index.engine.catalog() == []
    assert list(index.engine.checker().check()) == []


def test_a_pause_is_an_eighth_of_the_time_passed_and_after_a_failure_half(clock):
    schedule, note = Schedule(clock), Note('acme/web', '1', True)
    schedule.add(note)
    assert schedule.take_due(False) == [note] and schedule.take_due(False) == []
    assert schedule.seconds(False) == 2 * LONG_SECONDS, 'if it is not read after all'
    schedule.postpone(note, False)
    assert schedule.seconds(False) == 0.25 and schedule.seconds(True) == float('inf')
    clock.advance(80)
    schedule.add(note)
    assert schedule.take_due(False) == [note] and not schedule.has_expired(note)
    schedule.postpone(note, False)
    assert schedule.seconds(False) == 10
    schedule.postpone(note, True)
    assert schedule.seconds(True) == 40 and schedule.take_due(False) == []
    clock.advance(EXPECTED_SECONDS - 80)
    assert schedule.has_expired(note) and schedule.take_due(True) == [note]
    clock.advance(9999)
    schedule.postpone(note, True)
    assert schedule.seconds(True) == LONGEST_PAUSE
    schedule.hasten()
    assert schedule.take_due(True) == [note]
    del schedule[note]
    assert note not in schedule and not schedule.has_expired(note)
