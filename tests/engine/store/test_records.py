"""The records in the tables besides postings, and when the ready marker asks for a sync."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.lifecycle.maintenance import next_sync
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import (
    NOTHING, READY_KEY, ReadyMarker, RepositoryState, Row, name_of_key, pending_key, repository_key,
    tombstone_key)
from docker_registry_index.engine.sync.loader import LoadReport

WHOLE = LoadReport(found=5, added=1, adopted=0, cleaned=0, removed=0, recent=0, unchanged=4,
                   failed=0, unreadable=(), seconds=1.5)
PART = WHOLE._replace(unreadable=('team',))
FRESH = WHOLE._replace(unchanged=0)
ADOPTING = FRESH._replace(adopted=2)

NUMBER = {'N': str(postings.FORMAT)}


# Keys

@pytest.mark.parametrize('name', ['team/app', 'removed ', 'describe x', 'a'])
def test_a_name_is_read_from_the_key_of_its_own_kind_only(name):
    assert repository_key(name) == {'name': {'S': name}}
    assert name_of_key(tombstone_key(name), tombstone_key) == name
    assert name_of_key(pending_key(name), pending_key) == name
    assert name_of_key(tombstone_key(name), pending_key) is None
    assert name_of_key(pending_key(name), tombstone_key) is None
    assert name_of_key(READY_KEY, tombstone_key) is None


# Row

def test_a_row_of_release_0_1_0_records_no_postings():
    row = Row.of({'name': {'S': 'a'}, 'description': {'S': 'words'}})
    assert row[:-1] == ('words', False, '', None, 0)
    assert Row.of({'name': {'S': 'a'}})[:-1] == (None, False, '', None, 0)
    assert Row.of(None) is None


def test_a_row_of_ours_is_read_whole():
    item = {'name': {'S': 'a'}, 'description': {'S': 'new'}, 'postings': NUMBER,
            'indexed': {'S': 'old'}, 'touched': {'N': '1500000000'},
            'writing': {'L': [{'S': 'token'}, {'S': 'old'}]}}
    assert Row.of(item) == ('new', True, 'old', ['token', 'old'], 1500000000, item)


@pytest.mark.parametrize('number', [postings.FORMAT - 1, postings.FORMAT + 1])
def test_a_row_of_another_format_is_not_indexed(number):
    assert not Row.of({'name': {'S': 'a'}, 'postings': {'N': str(number)}}).is_indexed


@pytest.mark.parametrize('wrong', [
    {'description': {'N': '1'}, 'postings': {'S': '3'}, 'indexed': {'N': '1'},
     'touched': {'S': 'now'}, 'writing': {'S': 'token'}},
    {'postings': {'L': []}, 'touched': {'N': '-1.5'},
     'writing': {'L': [{'S': 'token'}, {'N': '1'}]}},
    {'writing': {'L': []}, 'touched': {'N': '1E3'}}])
def test_what_another_program_wrote_with_another_type_counts_as_absent(wrong):
    assert Row.of(dict({'name': {'S': 'a'}}, **wrong))[:-1] == (None, False, '', None, 0)


# RepositoryState

def row(**attributes):
    return Row.of(dict({'name': {'S': 'a'}}, **attributes))


OURS = row(description={'S': 'words'}, postings=NUMBER, indexed={'S': 'words'})
BEGUN = {'L': [{'S': 'token'}, {'S': 'before'}, {'S': 'after'}]}


@pytest.mark.parametrize('state, is_current, is_half, is_whole, is_proven', [
    (NOTHING, False, False, False, False),
    (RepositoryState(OURS, 'words'), True, False, True, True),
    # The postings of an older description, or none.
    (RepositoryState(OURS, 'other'), False, False, True, True),
    (RepositoryState(OURS, None), False, False, False, False),
    # Release 0.1.0 wrote the row; its postings may be there all the same.
    (RepositoryState(row(), None), False, False, False, False),
    (RepositoryState(row(), ''), False, False, True, False),
    # Only postings are left.
    (RepositoryState(None, 'words'), False, False, True, False),
    # A change of several transactions was broken off before the row recorded that all are there...
    (RepositoryState(row(writing=BEGUN), None), False, True, False, False),
    (RepositoryState(row(writing=BEGUN), 'before'), False, True, False, False),
    # ... and after it did.
    (RepositoryState(row(writing=BEGUN, postings=NUMBER), 'before'), False, False, False, False)])
def test_a_state_reports_what_is_recorded_of_the_postings(
        state, is_current, is_half, is_whole, is_proven):
    assert (state.is_current, state.is_half, state.is_whole, state.is_proven) == (
        is_current, is_half, is_whole, is_proven)


def test_an_empty_description_is_the_same_as_none():
    state = RepositoryState(row(postings=NUMBER), '')
    assert state.is_current
    assert state._replace(row=row(postings=NUMBER, description={'S': ''})).is_current


def test_every_description_whose_postings_may_exist_is_named():
    assert NOTHING.descriptions == set()
    assert RepositoryState(OURS, 'words').descriptions == {'words'}
    state = RepositoryState(row(writing=BEGUN), 'witness', frozenset(['begun']))
    assert state.descriptions == {'before', 'after', 'witness', 'begun'}


# ReadyMarker

def read_back(marker):
    return ReadyMarker.of(marker.put('table')['Put']['Item'])


@pytest.mark.parametrize('report', [WHOLE, PART, ADOPTING])
def test_a_marker_comes_back_as_it_was_put(report):
    marker = ReadyMarker.none().after(report, 'number', 1000)
    action = marker.put('table')
    assert action['Put']['TableName'] == 'table'
    item = action['Put']['Item']
    assert {name: item[name] for name in READY_KEY} == READY_KEY
    assert ReadyMarker.of(item) == marker
    assert marker.report['found'] == 5
    assert (marker.format, marker.number, marker.tried) == (postings.FORMAT, 'number', 1000)


def test_no_item_and_items_that_are_none_are_no_marker():
    assert ReadyMarker.of(None) is None
    assert ReadyMarker.of({}) is None
    assert ReadyMarker.of(dict(READY_KEY)) is None


def test_the_marker_of_a_release_without_syncs_is_due_at_once():
    marker = ReadyMarker.of(dict(READY_KEY, format={'N': '1'}, number={'S': 'x'}))
    assert marker == ReadyMarker(1, 'x', None, None, None, 0, False)
    assert next_sync(marker, 86400) == 0


def test_a_report_that_cannot_be_read_is_none():
    item = dict(READY_KEY, format={'N': '1'}, number={'S': 'x'}, report={'S': '{'})
    assert ReadyMarker.of(item).report is None


def test_after_a_complete_load_it_is_due_after_the_interval():
    marker = ReadyMarker.none().after(FRESH, 'number', 1000)
    assert next_sync(marker, 86400) == 1000 + 86400
    assert next_sync(marker.after(WHOLE, 'number', 2000), 86400) == 2000 + 86400


def test_after_one_that_was_not_complete_it_is_due_soon():
    first = ReadyMarker.none().after(PART, 'number', 1000)
    assert first.synced is None and next_sync(first, 86400) == 1600
    complete = first.after(FRESH, 'number', 2000)
    assert next_sync(complete, 86400) == 2000 + 86400
    later = complete.after(PART, 'number', 3000)
    assert later.synced == 2000 and next_sync(later, 86400) == 3600
    assert next_sync(later, 60) == 3060


def test_each_further_one_that_is_not_complete_doubles_the_pause():
    marker, pauses = ReadyMarker.none(), []
    for count in range(1, 41):
        # It is kept in the table: processes come and go.
        marker = read_back(marker.after(PART, 'number', 1000))
        assert marker.failures == count
        pauses.append(next_sync(marker, 7200) - 1000)
    assert pauses[:5] == [600, 1200, 2400, 4800, 7200]
    assert set(pauses[4:]) == {7200}
    # A day at the most.
    assert next_sync(marker, 10 ** 7) == 1000 + 86400
    marker = marker.after(WHOLE, 'number', 2000)
    assert marker.failures == 0
    assert next_sync(marker.after(PART, 'number', 3000), 7200) == 3600


def test_a_first_complete_load_that_goes_on_with_a_broken_one_is_followed_by_another_one_soon():
    # What the broken one adopted is unchanged now.
    assert next_sync(ReadyMarker.none().after(WHOLE, 'number', 1000), 86400) == 1600
    broken = ReadyMarker.none().after(PART._replace(adopted=2), 'number', 1000)
    again = broken.after(PART, 'number', 2000).after(WHOLE, 'number', 3000)
    assert again.resync and next_sync(again, 86400) == 3600


def test_a_first_complete_load_that_adopted_rows_is_followed_by_another_one_soon():
    first = read_back(ReadyMarker.none().after(ADOPTING, 'number', 1000))
    assert first.resync and first.synced == 1000
    assert next_sync(first, 86400) == 1600
    assert next_sync(first, 60) == 1060
    second = read_back(first.after(ADOPTING, 'number', 2000))
    assert not second.resync
    assert next_sync(second, 86400) == 2000 + 86400


def test_also_when_an_incomplete_load_before_it_had_adopted_them():
    part = read_back(ReadyMarker.none().after(
        ADOPTING._replace(unreadable=('team',)), 'number', 1000))
    assert not part.resync and next_sync(part, 86400) == 1600
    whole = read_back(part.after(WHOLE, 'number', 2000))
    assert whole.resync and next_sync(whole, 86400) == 2600


def test_a_second_one_that_is_not_complete_is_repeated_until_it_is():
    marker = ReadyMarker.none().after(ADOPTING, 'number', 1000)
    for now, due in [(2000, 2600), (3000, 4200)]:
        marker = read_back(marker.after(PART, 'number', now))
        assert marker.synced == 1000 and next_sync(marker, 86400) == due
    marker = read_back(marker.after(WHOLE, 'number', 5000))
    assert not marker.resync and next_sync(marker, 86400) == 5000 + 86400


def test_of_very_many_unreadable_namespaces_some_are_kept():
    report = PART._replace(unreadable=tuple('n%d' % number for number in range(1000)))
    marker = ReadyMarker.none().after(report, 'number', 1000)
    assert len(marker.report['unreadable']) == 20
