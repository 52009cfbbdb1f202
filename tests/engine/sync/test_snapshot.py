# -*- coding: utf-8 -*-
"""The snapshot: what a load works from, joined in a temporary file."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.store.postings import FORMAT
from docker_registry_index.engine.store.records import NOTHING, RepositoryState
from docker_registry_index.engine.sync import snapshot as snapshots
from docker_registry_index.engine.sync.snapshot import Snapshot


@pytest.fixture
def snapshot():
    made = Snapshot()
    yield made
    made.close()


def row(name, **attributes):
    return dict(attributes, name={'S': name})


def test_names_of_all_three_places_come_once_each_in_the_order_of_dynamodb(snapshot):
    snapshot.note_listed([('b', None), ('a', 'text'), ('a', 'second')])
    snapshot.note_row(row('c'))
    snapshot.note_row(row('a', postings={'N': str(FORMAT)}))
    snapshot.note_witness('d', '')
    snapshot.note_witness('a', 'text')
    entries = list(snapshot.entries())
    assert [entry.name for entry in entries] == ['a', 'b', 'c', 'd']
    assert [entry.is_listed for entry in entries] == [True, True, False, False]
    assert [entry.description for entry in entries] == ['text', None, None, None]
    first, second, third, last = [entry.state for entry in entries]
    assert first.row.is_indexed and first.witness == 'text'
    assert second == NOTHING
    assert third.row.item == row('c') and third.witness is None
    assert last == RepositoryState(None, '')
    assert (snapshot.count(), snapshot.count('rows'), snapshot.count_all()) == (2, 2, 4)


def test_unusual_names_and_values_come_back_unchanged(snapshot):
    names = ['Größe/ü', '\U0001f40b/whale', 'z\uffffz', "it's", 'a%b_c']
    snapshot.note_listed([(name, name) for name in names])
    item = row('\U0001f40b/whale', description={'B': b'\xff\x00'},
               tags={'L': [{'NULL': True}, {'SS': ['ü']}]})
    snapshot.note_row(item)
    found = {entry.name: entry for entry in snapshot.entries()}
    assert sorted(found) == sorted(names)
    assert found['\U0001f40b/whale'].state.row.item == item
    # By their UTF-8, as DynamoDB orders keys; a narrow Python 2.7 orders them in another way.
    assert [entry.name for entry in snapshot.entries()] == sorted(
        names, key=lambda name: name.encode('utf-8'))


def test_a_tombstone_belongs_to_its_name_and_comes_with_its_number_once_it_has_expired(snapshot):
    snapshot.note_removal('a', 'number', 101)
    snapshot.note_removal('gone', 'other', 100)
    snapshot.note_removal('unknown', 'third')
    snapshot.note_listed([('a', None), ('b', None)])
    assert [(entry.name, entry.removal) for entry in snapshot.entries()] == [
        ('a', 'number'), ('b', None)]
    assert sorted(snapshot.expired(101)) == [('gone', 'other'), ('unknown', 'third')]
    assert list(snapshot.expired(0)) == []


def test_entries_that_were_taken_are_left_out_and_counted(snapshot):
    snapshot.note_row(row('b', postings={'N': str(FORMAT)}))
    snapshot.note_row(row('x'))
    snapshot.note_listed([('c', None), ('b', 'text')])
    snapshot.note_listed([('a', None), ('c', None), ('d', None)])
    taken = snapshot.take_listed(3)
    assert [entry.name for entry in taken] == ['a', 'b', 'c']
    assert taken[1].state.row.is_indexed
    assert [entry.name for entry in snapshot.entries()] == ['d', 'x']
    assert [entry.name for entry in snapshot.take_listed(3)] == ['d']
    assert snapshot.take_listed(3) == []
    # After the last one, it begins again.
    snapshot.note_listed([('bb', None), ('a', None)])
    assert [entry.name for entry in snapshot.take_listed(3)] == ['bb']
    assert [entry.name for entry in snapshot.entries()] == ['x']
    assert (snapshot.taken, snapshot.count_all()) == (5, 6)


def work_of(monkeypatch, count):
    """Return the most steps of SQLite between two heartbeats, reading so many names."""
    steps, most, database = [0], [], snapshots.scratch_database()
    monkeypatch.setattr(snapshots, 'scratch_database', lambda: database)
    snapshot = Snapshot()
    monkeypatch.undo()

    def heartbeat():
        most.append(steps[0])
        steps[0] = 0

    def step():
        steps[0] += 1
        return 0

    names = ['team/%06d' % (number * 7919 % count) for number in range(count)]
    snapshot.note_listed((name, None) for name in names)
    for name in names:
        snapshot.note_witness(name, '')
    database.set_progress_handler(step, 100)
    assert snapshot.count_all(heartbeat) == count
    assert [entry.name for entry in snapshot.entries() if not heartbeat()] == sorted(names)
    heartbeat()
    snapshot.close()
    return max(most)


def test_the_longest_time_between_two_heartbeats_is_that_of_a_page(monkeypatch):
    assert work_of(monkeypatch, 12000) <= work_of(monkeypatch, 6000) * 1.2
