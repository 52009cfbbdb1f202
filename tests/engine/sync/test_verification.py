"""Verification: whatever other programs, restores and replicas change in the search table, the next
loads find and repair it."""
from __future__ import unicode_literals

import itertools
import random

import pytest

from docker_registry_index.engine.store.records import (
    READY_KEY, SLICES, ReadyMarker, removal_of)
from docker_registry_index.engine.sync import verification
from docker_registry_index.engine.sync.verification import Checksums
from tests.helpers.faults import (
    AtRequest, KillAfter, Killed, LateWrites, Meanwhile, Throttle, killed_at_each, taken_back)
from tests.helpers.names import name_with_postings
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import FakeStorage

#: A name of several transactions with `short_transactions`.
LONG = name_with_postings(30)
NAMES = ['b/api', 'b/web', 'q/Nginx']
ALL = list(range(SLICES))


@pytest.fixture
def index(tables):
    with taken_back(tables.engine):
        yield tables
    tables.clear()


@pytest.fixture
def storage(index):
    """A storage whose repositories are indexed; one has a description. No slice was verified."""
    marker = ReadyMarker.none()._replace(number='x', synced=1, tried=1)
    index.store.call('put_item', **marker.put(index.settings.search_table)['Put'])
    storage = FakeStorage(list(NAMES))
    index.load(storage)
    index.engine.add('b/web', 'a Shop')
    return storage


@pytest.fixture
def one_slice(monkeypatch):
    """The search table has one slice, so that a load makes few requests."""
    monkeypatch.setattr(verification, 'SLICES', 1)
    return [0]


def keys(items):
    return [{name: item[name] for name in ('gram', 'suffix')} for item in items]


def delete(index, items):
    index.store.batch_write(index.settings.search_table, [
        {'DeleteRequest': {'Key': key}} for key in keys(items)])


def put(index, items):
    index.store.batch_write(index.settings.search_table, [
        {'PutRequest': {'Item': item}} for item in items])


def postings_of(index, gram, part=''):
    return [item for item in index.postings()
            if item['gram']['S'] == gram and part in item['suffix']['S']]


def ghost(gram='sz', suffix='zoo\x01b/', name='b/zoo'):
    return {'gram': {'S': gram}, 'suffix': {'S': suffix}, 't': {'S': name}}


DAMAGES = {
    'one posting is missing': lambda index: delete(index, postings_of(index, 'se', 'eb\x07')),
    'all of a character are missing': lambda index: delete(index, postings_of(index, 'sx')),
    'all of a repository but its witness are missing': lambda index: delete(
        index, [item for item in index.postings()
                if item['t']['S'] == 'b/api' and item['gram']['S'] != '/']),
    'all but the witnesses are missing': lambda index: delete(
        index, [item for item in index.postings() if item['gram']['S'] != '/']),
    'a posting has another text': lambda index: put(
        index, [dict(postings_of(index, 'sa', 'api')[0], t={'S': 'b/api\nold'})]),
    'a posting has another attribute': lambda index: put(
        index, [dict(postings_of(index, 'sa', 'api')[0], more={'L': [{'N': '1'}]})]),
    'a posting has no text': lambda index: put(
        index, [{name: value for name, value in postings_of(index, 'sn')[0].items()
                 if name != 't'}]),
    'a posting is one too many': lambda index: put(index, [dict(
        postings_of(index, 'sw')[0], gram={'S': 'so'}, suffix={'S': 'old\x7fb/web'})]),
    'a posting has no repository': lambda index: put(index, [ghost(), ghost('si', 'ing\x07b/k')]),
    'a posting belongs to another repository': lambda index: put(
        index, [dict(postings_of(index, 'sa', 'api')[0], t={'S': 'b/zoo'})])}


@pytest.mark.parametrize('damage', sorted(DAMAGES))
def test_a_load_of_all_slices_repairs_all_that_is_wrong(index, storage, damage, caplog):
    before = index.postings()
    DAMAGES[damage](index)
    assert index.postings() != before
    report = index.load(storage, slices=ALL)
    assert report.complete and report.repaired >= 1 and report.unchanged == 3
    assert index.postings() == before and index.assert_whole() == NAMES
    assert 'had wrong postings, which are repaired; for example' in caplog.text
    report = index.load(storage, slices=ALL)
    assert (report.repaired, report.unchanged) == (0, 3)


@pytest.mark.parametrize('damage', [
    'all of a character are missing', 'a posting has another text', 'a posting has no repository'])
def test_each_damage_is_seen_in_one_of_the_slices(index, storage, damage):
    before = index.postings()
    DAMAGES[damage](index)
    for number in ALL[::-1]:
        index.load(storage, slices=[number])
    assert index.postings() == before


def test_items_of_many_repositories_that_are_deleted_are_back_after_sixteen_syncs(index):
    names = ['team-%d/application-%d' % (number % 7, number) for number in range(40)]
    start = index.starter(FakeStorage(names))
    start.sync()
    before = index.postings()
    delete(index, random.Random(1).sample(before, 396))
    for _ in ALL:
        # A repository whose witness is lost is adopted, as ever.
        assert start.sync().complete
    assert index.postings() == before and index.assert_whole() == sorted(names)


def has_ids(index, **ids):
    """Give the tables ids from now on; those of DynamoDB Local and moto have none."""
    def describe(parsed, **_):
        kind = parsed['Table']['TableName'][len(index.settings.database) + 1:].split('-')[0]
        parsed['Table'].update(TableId=ids.get(kind, 'x'))

    index.dynamodb.meta.events.register('after-call.dynamodb.DescribeTable', describe)


@pytest.mark.parametrize('kind', ['repository', 'version', 'search'])
def test_a_restored_table_is_verified_completely_by_the_next_load(index, storage, kind):
    start = index.starter(storage)
    with taken_back(index.engine):
        has_ids(index)
        for _ in range(2):
            start.sync()
    assert start.marker.tables and start.marker.slice == 2
    before = index.postings()
    delete(index, [item for item in before if item['gram']['S'] != '/'][::2])
    has_ids(index, **{kind: 'restored'})
    assert start.are_tables_restored() and index.another().starter(storage).is_ready()
    # The marker was written before the restore, or in another region.
    assert start.sync().repaired == 3 and not start.are_tables_restored()
    assert index.postings() == before
    assert (start.marker.slice, start.marker.verified_all) == (0, start.marker.tried)
    assert start.sync().repaired == 0 and start.marker.slice == 1


def test_if_the_ready_marker_was_lost_the_sync_after_the_load_verifies_completely(index, storage):
    """As if a restored search table, or a process that found a table missing, has none."""
    marker, before = index.starter(storage), index.postings()
    assert marker.is_ready()
    index.store.delete_numbered(READY_KEY, marker.marker.number)
    delete(index, [item for item in before if item['gram']['S'] != '/'][::2])
    start = index.starter(storage)
    assert start.ensure_ready() and start.marker.report['unchanged'] == 3
    # Such a sync follows after ten minutes.
    assert start.marker.resync and start.sync().repaired == 3
    assert index.postings() == before
    assert start.sync().repaired == 0 and start.marker.slice == 1


def test_syncs_verify_one_slice_after_the_other_and_the_marker_shows_which(index, storage):
    start, scanned = index.starter(storage), []
    index.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.Scan',
        lambda params, **_: scanned.append(params.get('Segment')))
    for number in ALL:
        assert start.marker is None or start.marker.verified_all is None
        start.sync()
        assert start.marker.slice == (number + 1) % SLICES
        assert start.marker.verified == start.marker.tried
    assert [each for each in scanned if each is not None] == ALL
    assert start.marker.verified_all == start.marker.tried


def test_the_first_load_of_an_index_verifies_nothing():
    marker = ReadyMarker.none()
    assert marker.due_slices(None) == marker.due_slices('x') == []
    marker = marker._replace(synced=1)
    # The ids of tables that were not known before are no change.
    assert marker.due_slices(None) == marker.due_slices('x') == [0]
    assert marker._replace(slice=7, tables='x').due_slices('x') == [7]
    assert marker._replace(tables='x').due_slices('y') == ALL
    assert marker._replace(tables='x').due_slices(None) == ALL


def test_a_verification_without_a_problem_costs_one_scan_and_writes_nothing(index, storage):
    made = RequestsMade(index.engine)
    assert index.load(storage, slices=[3]).repaired == 0
    # A Query confirms each character that has no posting in this slice.
    others = [operation for operation in made.operations if operation != 'Query']
    assert others == ['Scan', 'Scan'] and 3 <= made.operations.count('Query') <= 7


def test_a_change_after_the_list_of_names_was_read_is_no_problem(index, other, storage):
    made = RequestsMade(index.engine)
    Meanwhile(index.engine, 'Scan', lambda: Meanwhile(
        index.engine, 'Scan', lambda: describe(other, storage, 'b/web')))
    assert index.load(storage, slices=ALL).repaired == 0
    assert 'BatchGetItem' in made.operations and 'TransactWriteItems' not in made.operations
    assert index.search('quite') == [('b/web', 'quite new')]


def test_the_tombstone_of_postings_without_a_repository_does_not_count_as_a_removal(index, storage):
    put(index, [ghost()])
    assert index.load(storage, slices=ALL).repaired == 1
    [tombstone] = index.tombstones()
    assert removal_of(tombstone['number']['S']) == '' != tombstone['number']['S']
    # The next load may add the repository.
    storage.names.append('b/zoo')
    assert index.load(storage).added == 1


def describe(other, storage, name):
    other.engine.add(name, 'quite new')


def remove(other, storage, name):
    storage.names.remove(name)
    storage.found.discard(name)
    other.engine.remove(name)


def push(other, storage, name):
    storage.names.append('b/zoo')
    storage.found.add('b/zoo')
    other.engine.add('b/zoo', 'big Words')


def remove_and_push(other, storage, name):
    other.engine.remove(name)
    other.engine.add(name)


CHANGES = [describe, remove, push, remove_and_push]


def damaged(index):
    """Return a storage whose index lacks a posting, and has one of no repository."""
    index.clear()
    storage = FakeStorage(list(NAMES))
    index.load(storage)
    delete(index, postings_of(index, 'se', 'eb\x07'))
    put(index, [ghost()])
    return storage


@pytest.mark.parametrize('change', CHANGES)
def test_another_process_changes_a_repository_between_any_two_requests_of_a_verification(
        index, other, one_slice, change):
    # The first requests are those of every load; each change comes before every third of the rest.
    for number in itertools.count(3 + CHANGES.index(change) % 3, 3):
        storage, done = damaged(index), []
        with taken_back(index.engine):
            AtRequest(index.engine, number, lambda: done.append(change(other, storage, 'b/web')))
            assert index.load(storage, slices=one_slice).complete
        if change is push and done:
            # It may have been pushed after the storage was listed.
            assert 'b/zoo' in index.names() and dict(index.search('zoo'))['b/zoo'] == 'big Words'
        assert index.assert_whole() == sorted(storage.names)
        if not done:
            break
        assert change is not describe or index.search('quite') == [('b/web', 'quite new')]
    assert number >= 12


def test_a_load_killed_at_any_request_of_a_verification_leaves_nothing_after_the_next(
        index, other, one_slice):
    storage = damaged(index)
    for count in killed_at_each(index, lambda: index.load(storage, slices=one_slice), every=2):
        assert other.load(storage, slices=one_slice).complete
        assert other.assert_whole() == NAMES
        damaged(other)
    assert count >= 12


@pytest.mark.usefixtures('short_transactions')
@pytest.mark.parametrize('is_removed', [False, True])
def test_a_verification_leaves_a_change_of_a_long_name_alone(
        index, other, storage, one_slice, is_removed):
    def begin():
        KillAfter(other.engine, 2, 'TransactWriteItems')
        with pytest.raises(Killed):
            other.engine.remove(LONG) if is_removed else other.engine.add(LONG, 'words')

    if is_removed:
        storage.names.append(LONG)
        index.load(storage)
    with taken_back(other.engine):
        # After the index is read, and before its slice is.
        Meanwhile(index.engine, 'Scan', lambda: Meanwhile(index.engine, 'Scan', begin))
        report = index.load(storage, slices=one_slice)
    assert (report.repaired, report.failed) == (0, 0)
    assert index.rows()[LONG]['writing']
    # The next load ends it.
    storage.names[3:] = []
    index.load(storage, slices=one_slice)
    assert index.assert_whole() == NAMES


def test_a_repair_that_is_refused_is_logged_and_counted_and_the_others_are_made(
        index, storage, caplog):
    delete(index, [item for item in index.postings() if item['gram']['S'] != '/'])
    Throttle(index.engine, 'TransactWriteItems', 1, [None, 'ValidationError'])
    report = index.load(storage, slices=ALL)
    assert (report.failed, report.repaired) == (1, 2) and not report.complete
    assert 'the entry of %r in the search index could not be repaired' % 'b/api' in caplog.text
    assert index.load(storage, slices=ALL).repaired == 1
    index.assert_whole()


def test_postings_that_a_paused_and_then_killed_process_writes_stay_no_longer_than_sixteen_syncs(
        tables, index, other, storage):
    """Its request is made after the next load has ended, and deleted the intent."""
    late_process = tables.another(attempts=1)
    late = LateWrites(late_process.engine, [0])
    storage.names.append('b/zoo')
    storage.found.add('b/zoo')
    KillAfter(late_process.engine, 1, 'BatchWriteItem')
    with pytest.raises(Killed):
        late_process.load(storage)
    remove(other, storage, 'b/zoo')
    assert other.load(storage).complete and other.assert_whole() == NAMES
    late.make(other)
    assert ('b/zoo', '') in other.search('zoo')
    start = other.starter(storage)
    for _ in ALL:
        start.sync()
    assert other.assert_whole() == NAMES


def test_checksums_of_more_names_than_are_kept_in_memory_are_compared():
    checksums = Checksums(names=1)
    items = [{'gram': {'S': 's'}, 'suffix': {'S': suffix}, 't': {'S': name}}
             for suffix in 'xyz' for name in 'abc']
    for item in items[:2] + items[3:5]:
        checksums.add(item['t']['S'], item, -1)
    for item in items[:2] + items[3:5]:
        checksums.add(item['t']['S'], item, 1)
    assert checksums.compare() == 0
    # One is missing, one exists without being expected, and one has a wrong type.
    checksums.add('b', items[7], -1)
    checksums.add('c', items[2], 1)
    checksums.add('a', items[6], -1)
    checksums.add('a', dict(items[6], t={'L': [{'S': 'a'}]}), 1)
    assert checksums.compare() == 3
    for item in items[:3]:
        checksums.note_key_of_suspect(item)
    assert [(name, [tuple(found) for found in keys]) for name, keys in checksums.suspects()] == [
        (name, [('s', 'x')]) for name in 'abc']
    checksums.close()
