"""The records in the tables besides postings, and when the next sync is due."""
from __future__ import unicode_literals

import pytest

from docker_registry_index.engine.lifecycle.maintenance import next_sync
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import (
    NOTHING, PENDING, READY_KEY, TOMBSTONE, Intent, ReadyMarker, RepositoryState, Row, marker_key,
    name_of_marker, removal_of, repository_key)
from docker_registry_index.engine.sync.loader import LoadReport

WHOLE = LoadReport(found=5, added=1, adopted=0, cleaned=0, removed=0, recent=0, unchanged=4,
                   failed=0, repaired=0, unreadable=(), seconds=1.5)
PART = WHOLE._replace(unreadable=('team',))
FRESH = WHOLE._replace(unchanged=0)
ADOPTING = FRESH._replace(adopted=2)
ADOPTING_PART = ADOPTING._replace(unreadable=('team',))
RECENT = FRESH._replace(recent=1)
FAILED = WHOLE._replace(failed=1)
ADOPTING_FAILED = ADOPTING._replace(failed=1)

NUMBER = {'N': str(postings.FORMAT)}


@pytest.mark.parametrize('name', ['team/app', 'removed ', 'describe x', 'a'])
def test_a_name_is_read_only_from_a_key_of_its_kind(name):
    assert repository_key(name) == {'name': {'S': name}}
    assert name_of_marker(TOMBSTONE, marker_key(TOMBSTONE, name)) == name
    assert name_of_marker(PENDING, marker_key(PENDING, name)) == name
    assert name_of_marker(PENDING, marker_key(TOMBSTONE, name)) is None
    assert name_of_marker(TOMBSTONE, marker_key(PENDING, name)) is None
    assert name_of_marker(TOMBSTONE, READY_KEY) is None


def test_the_number_of_a_tombstone_shows_its_removal_whatever_was_deleted_without_one():
    assert [removal_of(number) for number in (None, '.1', 'a', 'a.1')] == ['', '', 'a', 'a']


def test_an_intent_is_stored_as_one_item_which_no_other_key_is_read_as():
    intent = Intent('1f', [['team/app', ['', 'w\xf6rter']]])
    assert Intent.of(intent.item) == intent
    assert name_of_marker(TOMBSTONE, intent.item) is name_of_marker(PENDING, intent.item) is None


def row(**attributes):
    return Row.of(dict({'name': {'S': 'a'}}, **attributes))


@pytest.mark.parametrize('attributes, read', [
    ({}, (None, False, '', None, 0, None)),
    # As release 0.1.0 writes it.
    ({'description': {'S': 'words'}}, ('words', False, '', None, 0, None)),
    ({'description': {'S': 'new'}, 'postings': NUMBER, 'indexed': {'S': 'old'},
      'touched': {'N': '1500000000'}, 'origin': {'S': 'v1'},
      'writing': {'L': [{'S': 'token'}, {'S': 'old'}]}},
     ('new', True, 'old', ['token', 'old'], 1500000000, 'v1')),
    # Another format.
    ({'postings': {'N': str(postings.FORMAT - 1)}}, (None, False, '', None, 0, None)),
    ({'postings': {'N': str(postings.FORMAT + 1)}}, (None, False, '', None, 0, None)),
    # Wrong types count as absent.
    ({'description': {'N': '1'}, 'postings': {'S': '3'}, 'indexed': {'N': '1'},
      'touched': {'S': 'now'}, 'writing': {'S': 'token'}, 'origin': {'N': '1'}},
     (None, False, '', None, 0, None)),
    ({'postings': {'L': []}, 'touched': {'N': '-1.5'},
      'writing': {'L': [{'S': 'token'}, {'N': '1'}]}}, (None, False, '', None, 0, None)),
    ({'writing': {'L': []}, 'touched': {'N': '1E3'}}, (None, False, '', None, 0, None))],
    ids=lambda value: None)
def test_every_attribute_of_a_row_is_read_if_it_has_the_right_type(attributes, read):
    assert row(**attributes) == read + (dict(attributes, name={'S': 'a'}),)
    assert Row.of(None) is None


OURS = row(description={'S': 'words'}, postings=NUMBER, indexed={'S': 'words'})
BEGUN = {'L': [{'S': 'token'}, {'S': 'before'}, {'S': 'after'}]}


@pytest.mark.parametrize('state, is_current, is_half_added, has_all, has_exact', [
    (NOTHING, False, False, False, False),
    (RepositoryState(OURS, 'words'), True, False, True, True),
    # An empty description is the same as none.
    (RepositoryState(row(postings=NUMBER), ''), True, False, True, True),
    (RepositoryState(row(postings=NUMBER, description={'S': ''}), ''), True, False, True, True),
    # The postings of an older description, or none.
    (RepositoryState(OURS, 'other'), False, False, True, True),
    (RepositoryState(OURS, None), False, False, False, False),
    # Release 0.1.0 wrote the row; postings may exist nevertheless.
    (RepositoryState(row(), None), False, False, False, False),
    (RepositoryState(row(), ''), False, False, True, False),
    # Only postings exist.
    (RepositoryState(None, 'words'), False, False, True, False),
    # A change of several transactions was broken off before the row recorded its postings...
    (RepositoryState(row(writing=BEGUN), None), False, True, False, False),
    (RepositoryState(row(writing=BEGUN), 'before'), False, True, False, False),
    # ... and after.
    (RepositoryState(row(writing=BEGUN, postings=NUMBER), 'before'), False, False, False, False)])
def test_a_state_reports_what_is_recorded_of_the_postings(
        state, is_current, is_half_added, has_all, has_exact):
    assert (state.is_current, state.is_half_added) == (is_current, is_half_added)
    assert (state.has_all_postings, state.has_exact_postings) == (has_all, has_exact)


def test_a_state_lists_every_description_whose_postings_may_exist():
    assert NOTHING.descriptions == set()
    assert RepositoryState(OURS, 'words').descriptions == {'words'}
    state = RepositoryState(row(writing=BEGUN), 'witness', frozenset(['begun']))
    assert state.descriptions == {'before', 'after', 'witness', 'begun'}


def test_a_marker_without_some_attributes_is_read_and_any_other_item_is_none():
    for item in None, {}, dict(READY_KEY):
        assert ReadyMarker.of(item) is None
    old = dict(READY_KEY, format={'N': '1'}, number={'S': 'x'})
    assert ReadyMarker.of(dict(old, report={'S': '{'})).report is None
    assert ReadyMarker.of(old) == ReadyMarker.none()._replace(format=1, number='x')
    # Of a release without syncs.
    assert next_sync(ReadyMarker.of(old), 86400) == 0


SOON, INTERVAL = 600, 86400


@pytest.mark.parametrize('reports, synced, resync, due', [
    # A complete load: after the interval.
    ([FRESH], 1000, False, 1000 + INTERVAL), ([FRESH, WHOLE], 2000, False, 2000 + INTERVAL),
    # One that kept recent repositories: once they are not recent any more.
    ([RECENT], 1000, False, 1000 + 3600), ([RECENT, WHOLE], 2000, False, 2000 + INTERVAL),
    ([FRESH, RECENT, PART], 3000, False, 3000 + SOON),
    # A load that failed: soon afterwards.
    ([FAILED], None, False, 1000 + SOON), ([FAILED, FRESH], 2000, False, 2000 + INTERVAL),
    ([FAILED, FRESH, FAILED], 2000, False, 3000 + SOON),
    # A load that could not read a part of the storage: the index has the rest; also soon.
    ([PART._replace(unchanged=0)], 1000, False, 1000 + SOON),
    ([FRESH, PART], 2000, False, 2000 + SOON), ([FRESH, PART, PART], 3000, False, 3000 + 2 * SOON),
    ([FRESH, PART, WHOLE], 3000, False, 3000 + INTERVAL),
    ([FRESH, PART, FAILED], 2000, False, 3000 + 2 * SOON),
    # The first complete load found rows, perhaps adopted by a load that was broken off: soon.
    ([WHOLE], 1000, True, 1000 + SOON), ([ADOPTING], 1000, True, 1000 + SOON),
    ([ADOPTING_PART], 1000, True, 1000 + SOON),
    ([ADOPTING, ADOPTING], 2000, False, 2000 + INTERVAL),
    ([ADOPTING_PART, WHOLE], 2000, False, 2000 + INTERVAL),
    # The same if a load adopted rows and failed.
    ([ADOPTING_FAILED], None, False, 1000 + SOON),
    ([ADOPTING_FAILED, WHOLE], 2000, True, 2000 + SOON),
    ([ADOPTING_FAILED, FAILED, WHOLE], 3000, True, 3000 + SOON),
    # The second one is repeated until it is complete.
    ([ADOPTING, PART], 2000, False, 2000 + SOON),
    ([ADOPTING, FAILED], 1000, True, 2000 + SOON),
    ([ADOPTING, FAILED, FAILED], 1000, True, 3000 + 2 * SOON),
    ([ADOPTING, FAILED, FAILED, WHOLE], 4000, False, 4000 + INTERVAL)], ids=lambda value: None)
def test_the_next_sync_is_due_soon_or_after_the_interval(reports, synced, resync, due):
    marker = ReadyMarker.none()
    for number, report in enumerate(reports, 1):
        marker = marker.after(report, 'number', 1000 * number)
        written = marker.put('table')['Put']
        assert written['TableName'] == 'table' and ReadyMarker.of(written['Item']) == marker
        assert {name: written['Item'][name] for name in READY_KEY} == READY_KEY
    assert (marker.synced, marker.resync, next_sync(marker, INTERVAL)) == (synced, resync, due)
    assert (marker.format, marker.number, marker.tried, marker.report['found']) == (
        postings.FORMAT, 'number', 1000 * len(reports), 5)
    # The interval is the longest pause.
    assert next_sync(marker, 60) == marker.tried + 60


def test_each_further_incomplete_load_doubles_the_pause():
    marker, pauses = ReadyMarker.none(), []
    for count in range(1, 41):
        marker = ReadyMarker.of(marker.after(PART, 'number', 1000).put('table')['Put']['Item'])
        assert marker.failures == count
        pauses.append(next_sync(marker, 7200) - 1000)
    assert pauses[:5] == [600, 1200, 2400, 4800, 7200] and set(pauses[4:]) == {7200}
    # A day at most.
    assert next_sync(marker, 10 ** 7) == 1000 + 86400
    marker = marker.after(WHOLE, 'number', 2000)
    assert next_sync(marker.after(PART, 'number', 3000), 7200) == 3600


def test_a_marker_keeps_some_of_very_many_unreadable_namespaces():
    report = PART._replace(unreadable=tuple('n%d' % number for number in range(1000)))
    marker = ReadyMarker.none().after(report, 'number', 1000)
    assert len(marker.unreadable) == 20
