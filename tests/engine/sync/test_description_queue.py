"""The queue of descriptions that are still to be read: none is lost, none is done twice."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import ListSource
from tests.helpers.faults import killed_at_each


@pytest.fixture
def notes(index):
    return index.engine.description_queue


def noted(notes):
    return [note.name for note in notes.notes(1000)]


class Later(ListSource):
    describes_later = True


def test_notes_come_in_order_in_pages_and_go_one_by_one(notes):
    names = ['a/%02d' % number for number in range(60)]
    notes.note(names + names[:5])
    assert noted(notes) == names
    first = notes.notes(25)
    assert [note.name for note in first] == names[:25]
    assert [note.name for note in notes.notes(25, first[-1].name)] == names[25:50]
    notes.done(first[0])
    notes.done(first[0])
    assert noted(notes) == names[1:]


@pytest.mark.parametrize('is_expected', [True, False])
def test_a_note_records_whether_the_repository_is_expected(notes, is_expected):
    [note] = notes.note(['team/app'], is_expected=is_expected)
    assert notes.notes(9) == [note] and note.is_expected == is_expected


def test_a_note_that_was_written_anew_meanwhile_stays(notes):
    [note] = notes.note(['team/app'])
    notes.note(['team/app'])
    notes.done(note)
    assert noted(notes) == ['team/app']


def test_a_load_notes_what_it_adds_and_nothing_else(index, notes, limit):
    index.engine.add('team/there')
    stored = [('team/new', None), ('team/there', None), ('team/' + 'x' * limit, None)]
    index.engine.sync(Later(lambda: stored))
    assert noted(notes) == ['team/new', 'team/' + 'x' * limit]
    for note in notes.notes(9):
        notes.done(note)
    index.engine.sync(Later(lambda: stored))
    assert noted(notes) == []
    index.engine.sync(lambda: stored + [('team/other', None)])
    assert noted(notes) == []


def test_a_load_killed_at_any_request_leaves_nothing_without_its_note(index, other, notes):
    stored = [('a/%d' % number, None) for number in range(4)]
    for _ in killed_at_each(other, lambda: other.load(Later(lambda: stored))):
        assert set(index.rows()) <= set(noted(notes))
    assert noted(notes) == sorted(name for name, _ in stored)


def test_notes_are_neither_found_nor_in_the_way_of_a_check(index, notes):
    notes.note(['team/app'])
    assert index.search('team') == [] and index.names() == [] and index.engine.catalog() == []
    assert list(index.engine.checker().check()) == []


def test_a_lease_of_another_kind_is_another_lease(index, other):
    first, second = index.engine.lease('describing'), other.engine.lease('describing')
    assert first.acquire() and not second.acquire()
    # A load takes the lease of loads.
    index.engine.sync(lambda: [('team/app', None)])
    first.renew()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
    [row] = index.items(index.settings.version_table)
    assert set(row) == {'version', 'format'}
