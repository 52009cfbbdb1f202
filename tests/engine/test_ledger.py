# -*- coding: utf-8 -*-
"""What a load knows, joined in a temporary file."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.store.repository_state import Known, NOTHING
from docker_registry_index.engine.sync.snapshot import Ledger


@pytest.fixture
def ledger():
    made = Ledger()
    yield made
    made.close()


def row(name, **attributes):
    return dict(attributes, name={'S': name})


def test_names_of_all_three_places_come_once_each_in_the_order_of_dynamodb(
        ledger):
    ledger.note_listed([('b', None), ('a', 'text'), ('b', None)])
    ledger.note_row(row('c'))
    ledger.note_row(row('a', postings={'N': '2'}))
    ledger.note_witness('d', '')
    ledger.note_witness('a', 'text')
    entries = list(ledger.entries())
    assert [entry.name for entry in entries] == ['a', 'b', 'c', 'd']
    assert [entry.is_listed for entry in entries] == [True, True, False,
                                                      False]
    assert [entry.description for entry in entries] == ['text', None, None,
                                                        None]
    first, second, third, last = [entry.known for entry in entries]
    assert first.row.format == 2 and first.witness == 'text'
    assert second == NOTHING
    assert third.row.item == row('c') and third.witness is None
    assert last == Known(None, '')
    assert (ledger.count(), ledger.count('rows'), ledger.count_all()) == (
        2, 2, 4)


def test_odd_names_and_values_come_back_as_they_were(ledger):
    names = ['Größe/ü', '\U0001f40b/whale', 'z\uffffz', "it's", 'a%b_c']
    ledger.note_listed([(name, name) for name in names])
    item = row('\U0001f40b/whale', description={'B': b'\xff\x00'},
               tags={'L': [{'NULL': True}, {'SS': ['ü']}]})
    ledger.note_row(item)
    found = {entry.name: entry for entry in ledger.entries()}
    assert sorted(found) == sorted(names)
    assert found['\U0001f40b/whale'].known.row.item == item
    # By their UTF-8, as DynamoDB orders keys; on a narrow Python 2.7 its own
    # order is another.
    assert [entry.name for entry in ledger.entries()] == sorted(
        names, key=lambda name: name.encode('utf-8'))


def test_a_tombstone_belongs_to_its_name_and_makes_no_entry(ledger):
    ledger.note_removal('a', 'number')
    ledger.note_removal('gone', 'other')
    ledger.note_listed([('a', None), ('b', None)])
    assert [(entry.name, entry.removal) for entry in ledger.entries()] == [
        ('a', 'number'), ('b', None)]


def test_many_more_entries_than_a_page_come_out_whole(ledger):
    names = ['team/%04d' % number for number in range(1234)]
    ledger.note_listed((name, None) for name in reversed(names))
    assert [entry.name for entry in ledger.entries()] == names


def test_of_a_name_that_is_listed_twice_the_first_counts(ledger):
    ledger.note_listed([('a', 'first'), ('b', None), ('a', 'second')])
    assert [(entry.name, entry.description) for entry in ledger.entries()] == [
        ('a', 'first'), ('b', None)]


def test_what_was_taken_is_left_out_and_counted(ledger):
    ledger.note_row(row('b', postings={'N': '2'}))
    ledger.note_row(row('x'))
    ledger.note_listed([('c', None), ('b', 'text')])
    ledger.note_listed([('a', None), ('c', None), ('d', None)])
    taken = ledger.take_listed(3)
    assert sorted(entry.name for entry in taken) == ['a', 'b', 'c']
    [known] = [entry.known for entry in taken if entry.name == 'b']
    assert known.row.format == 2
    assert [entry.name for entry in ledger.entries()] == ['d', 'x']
    assert [entry.name for entry in ledger.take_listed(3)] == ['d']
    assert ledger.take_listed(3) == []
    ledger.note_listed([('e', None), ('a', None)])
    assert [entry.name for entry in ledger.take_listed(3)] == ['e']
    assert [entry.name for entry in ledger.entries()] == ['x']
    assert (ledger.taken, ledger.count_all()) == (5, 6)


def work_of(count):
    """The most steps of SQLite between two beats, reading so many names."""
    ledger, steps, most = Ledger(), [0], []

    def beat():
        most.append(steps[0])
        steps[0] = 0

    def step():
        steps[0] += 1
        return 0

    names = ['team/%06d' % (number * 7919 % count) for number in range(count)]
    ledger.note_listed((name, None) for name in names)
    for name in names:
        ledger.note_witness(name, '')
    ledger._database.set_progress_handler(step, 100)
    assert ledger.count_all(beat) == count
    assert sum(1 for _ in ledger.entries() if not beat()) == count
    beat()
    ledger.close()
    return max(most)


def test_the_longest_time_between_two_beats_is_that_of_a_page():
    assert work_of(40000) <= work_of(10000) * 1.2
