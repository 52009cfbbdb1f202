# -*- coding: utf-8 -*-
"""Load: the difference between the registry's storage and the index."""

from __future__ import unicode_literals

import itertools
import logging
import re
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.store.records import name_of_key, tombstone_key
from docker_registry_index.engine.store.tables import create_missing
from docker_registry_index.engine.sync import loader, snapshot
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.engine.sync.loader import Loader
from docker_registry_index.engine.sync.source import as_source
from docker_registry_index.engine.write.writer import TOMBSTONE_SECONDS
from tests.helpers.faults import KillAfter, Killed, Meanwhile, Throttle
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex

STORED = [('team-%d/application-%02d' % (number % 3, number), None) for number in range(20)]
NAMES = sorted(name for name, _ in STORED)


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


def test_a_load_reports_what_it_did_and_a_second_one_writes_nothing(index):
    report = index.load(lambda: STORED)
    assert (report.found, report.added, report.unchanged) == (20, 20, 0)
    made = RequestsMade(index.engine)
    report = index.load(lambda: STORED)
    assert (report.found, report.added, report.unchanged) == (20, 0, 20)
    assert report.complete
    assert set(made.operations) == {'Query', 'Scan'}


def test_several_repositories_share_a_transaction(index):
    made = RequestsMade(index.engine)
    index.load(lambda: STORED)
    transactions = made.operations.count('TransactWriteItems')
    assert transactions == len(made.actions) <= len(STORED) / 3
    assert max(made.actions) <= 100


def test_a_load_killed_at_any_transaction_goes_on_where_it_stopped(dynamodb_endpoint):
    written = []
    for count in itertools.count():
        index = EngineIndex(dynamodb_endpoint).ready()
        KillAfter(index.engine, count, 'TransactWriteItems')
        try:
            index.load(lambda: STORED)
        except Killed:
            pass
        else:
            index.another().delete_tables()
            break
        other = index.another()
        report = other.load(lambda: STORED)
        assert report.added + report.unchanged == len(STORED)
        written.append(report.unchanged)
        assert other.names() == NAMES
        assert len(other.rows()) == len(STORED)
        other.delete_tables()
    assert written[0] == 0 and written == sorted(set(written))


def test_what_is_removed_while_a_load_runs_is_not_brought_back(index):
    other = index.another()

    def listing():
        for name, _ in STORED:
            yield name, None
        # Listed, and then removed from the storage, which the index is notified of.
        other.engine.remove(NAMES[3])

    index.load(listing)
    assert index.names() == [name for name in NAMES if name != NAMES[3]]
    assert NAMES[3] not in index.rows()


def test_what_is_removed_just_before_it_is_written_is_not_brought_back(index):
    other = index.another()
    Meanwhile(index.engine, 'TransactWriteItems', lambda: other.engine.remove(NAMES[0]))
    report = index.load(lambda: STORED)
    assert report.added == len(STORED) - 1
    assert index.names() == NAMES[1:]


def test_what_was_removed_before_a_load_and_is_in_the_storage_is_added(index):
    index.load(lambda: STORED)
    index.engine.remove(NAMES[0])
    index.load(lambda: STORED)
    assert index.names() == NAMES


def test_what_is_pushed_while_a_load_runs_stays(index):
    other = index.another()
    Meanwhile(index.engine, 'TransactWriteItems', lambda: other.engine.add(NAMES[0], 'described'))
    index.load(lambda: STORED)
    assert index.names() == NAMES
    assert index.search('described') == [(NAMES[0], 'described')]


def test_rows_without_postings_are_indexed_with_their_description(index):
    client, table = index.engine.client, index.settings.repository_table
    client.call('put_item', TableName=table, Item={
        'name': {'S': 'old/one'}, 'description': {'S': 'From long ago'}})
    client.call('put_item', TableName=table, Item={'name': {'S': 'old/two'}})
    report = index.load(lambda: STORED + [('old/one', None)])
    assert (report.added, report.adopted) == (20, 2)
    assert index.search('long') == [('old/one', 'From long ago')]
    assert index.search('old/t') == [('old/two', '')]
    assert index.rows()['old/one']['description'] == {'S': 'From long ago'}


def test_postings_whose_row_is_gone_are_removed(index):
    index.engine.add('old/one', 'some words')
    index.engine.client.call('delete_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': 'old/one'}})
    assert index.search('some') == [('old/one', 'some words')]
    assert index.load(lambda: []).cleaned == 1
    assert index.postings() == []


def test_postings_of_a_row_that_is_still_in_the_storage_stay(index):
    index.engine.add('old/one', 'some words')
    index.engine.client.call('delete_item', TableName=index.settings.repository_table,
                             Key={'name': {'S': 'old/one'}})
    index.load(lambda: [('old/one', None)])
    assert index.search('old') == [('old/one', '')]
    assert index.search('some') == []


def test_one_that_was_just_pushed_and_is_not_in_the_storage_yet_is_kept(index):
    index.engine.add('only/here')
    index.load(lambda: STORED)
    assert index.names() == ['only/here'] + NAMES


def test_names_that_the_index_cannot_hold_are_logged_and_left_out(index, caplog):
    caplog.set_level(logging.WARNING)
    names = ['good/one', '', 'bad/\x07bell', 'x' * 256]
    report = index.load(lambda: [(name, None) for name in names])
    assert report.added == 1
    assert index.names() == ['good/one']
    assert len(caplog.records) == 3
    assert '\x07' not in caplog.text


def test_a_name_listed_twice_is_one_repository(index):
    report = index.load(lambda: STORED + STORED)
    assert report.added == len(STORED)


@pytest.mark.parametrize('operation, reasons', [
    ('Scan', None), ('Query', None),
    ('TransactWriteItems', ['None', 'ThrottlingError']),
    ('TransactWriteItems', ['ProvisionedThroughputExceeded', 'None'])])
def test_throttling_slows_a_load_down_and_does_not_stop_it(index, caplog, operation, reasons):
    pauses = []
    fault = Throttle(index.engine, operation, 20, reasons)
    loader = Loader(index.store, as_source(lambda: STORED), sleep=pauses.append)
    assert loader.load().added == len(STORED)
    assert fault.left == 0
    # Those of no length let other greenlets run.
    pauses = [pause for pause in pauses if pause]
    assert len(pauses) == 20 and max(pauses) <= 4
    assert index.names() == NAMES
    assert caplog.text.count('throttles') == 1


def test_a_load_that_is_only_throttled_gives_up(index, monkeypatch):
    monkeypatch.setattr('docker_registry_index.engine.store.client.THROTTLED_SECONDS', -1)
    Throttle(index.engine, 'Scan', 20)
    with pytest.raises(errors.RequestFailed) as failed:
        index.load(lambda: STORED)
    assert failed.value.throttled and failed.value.retryable


@pytest.mark.parametrize('listed', [False, True])
def test_a_long_removal_that_was_killed_is_ended_by_a_load(index, listed):
    long = 'z/' + ''.join('%03d.' % number for number in range(60))
    index.load(lambda: [(long, 'some words')])
    killed = index.another()
    KillAfter(killed.engine, 2, 'TransactWriteItems')
    with pytest.raises(Killed):
        killed.engine.remove(long)
    # It is in the index if the storage lists it.
    index.load(lambda: [(long, None)] if listed else [])
    assert index.names() == [long] * listed
    assert index.search('017') == [(long, 'some words')] * listed
    index.assert_whole()


def test_one_that_cannot_be_written_keeps_no_other_out(index, caplog):
    # The transaction of several is refused, then the first of them alone.
    Throttle(index.engine, 'TransactWriteItems', 2, ['None', 'ValidationError'])
    report = index.load(lambda: STORED)
    assert report.failed == 1
    assert index.names() == NAMES[1:]
    assert 'left out of the search index: %r' % NAMES[0] in caplog.text
    # Not for ever.
    assert index.load(lambda: STORED).added == 1


# What the storage does not have any more

HOURS = 3600


def hours_ago(index, hours, name=None):
    """Write into rows that they were touched so many hours ago."""
    for each in [name] if name else index.rows():
        index.engine.client.call(
            'update_item', TableName=index.settings.repository_table,
            Key={'name': {'S': each}},
            UpdateExpression='SET touched = :then',
            ExpressionAttributeValues={
                ':then': {'N': str(int(time.time() - hours * HOURS))}})


@pytest.fixture
def old(index):
    """An index that was loaded long ago."""
    index.load(lambda: STORED)
    index.engine.add(NAMES[5], 'some words')
    hours_ago(index, 24)
    return index


class Storage(Source):
    """Namespaces of names, of which those in ``later`` are there when asked."""

    def __init__(self, *names):
        self.names = names
        self.later = set(names)
        self.broken = set()

    def namespaces(self):
        return sorted(set(name.split('/')[0] for name in self.names))

    def repositories(self, namespace):
        if namespace in self.broken:
            raise IOError('no rights')
        return [(name, None) for name in self.names if name.split('/')[0] == namespace]

    def has(self, name):
        if isinstance(self.later, Exception):
            raise self.later
        return name in self.later


def test_what_is_gone_from_the_storage_is_removed_with_all_its_postings(old):
    report = old.load(Storage(*NAMES[7:]))
    assert (report.removed, report.unchanged) == (7, 13)
    assert report.complete
    assert old.names() == NAMES[7:]
    assert old.search('words') == []
    old.assert_whole()


def test_what_was_touched_within_the_last_hour_is_not_removed(old):
    hours_ago(old, 0.9, NAMES[0])
    hours_ago(old, 1.1, NAMES[1])
    report = old.load(Storage(*NAMES[2:]))
    assert (report.removed, report.recent) == (1, 1)
    assert report.complete
    assert old.names() == [NAMES[0]] + NAMES[2:]


def test_a_push_of_what_is_there_is_a_touch(old):
    assert old.engine.add(NAMES[0]) is False
    assert old.load(Storage(*NAMES[1:])).recent == 1
    assert NAMES[0] in old.names()


def test_a_clock_that_was_wrong_keeps_nothing_for_ever(old):
    hours_ago(old, -48, NAMES[0])
    assert old.load(Storage(*NAMES[1:])).removed == 1
    assert old.names() == NAMES[1:]


def test_the_storage_is_asked_once_more_before_anything_is_removed(old):
    storage = Storage(*NAMES[2:])
    storage.later.add(NAMES[1])
    report = old.load(storage)
    assert (report.removed, report.unchanged) == (1, 19)
    assert old.names() == NAMES[1:]


@pytest.mark.parametrize('described', [None, 'new words'])
def test_a_push_between_question_and_removal_keeps_it(old, described):
    other = old.another()
    Meanwhile(old.engine, 'TransactWriteItems', lambda: other.engine.add(NAMES[0], described))
    report = old.load(Storage(*NAMES[1:]))
    assert (report.removed, report.recent) == (0, 1)
    assert old.names() == NAMES
    old.assert_whole()


def test_an_old_load_cannot_bring_back_what_a_sync_removed(old):
    listed = []

    def listing():
        for pair in STORED:
            yield pair
        # Another process takes over, and the storage has changed since.
        listed.append(old.another().load(Storage(*NAMES[1:])))

    old.load(listing)
    assert listed[0].removed == 1
    assert old.names() == NAMES[1:]


def test_descriptions_are_kept(old):
    old.load(Storage(*NAMES))
    assert old.search('words') == [(NAMES[5], 'some words')]
    assert old.load(Storage(*NAMES)).unchanged == 20


def test_a_storage_that_lists_nothing_removes_nothing(old, caplog):
    report = old.load(Storage())
    assert (report.removed, report.failed) == (0, 20)
    assert not report.complete
    assert old.names() == NAMES
    assert 'check the settings of the storage' in caplog.text


def test_an_unreadable_namespace_is_skipped_and_nothing_is_removed(old, caplog):
    storage = Storage(*(NAMES[1:] + ['team-0/new', 'team-1/new']))
    storage.broken.add('team-1')
    report = old.load(storage)
    assert report.unreadable == ('team-1',)
    assert not report.complete
    assert (report.added, report.removed) == (1, 0)
    assert old.names() == sorted(NAMES + ['team-0/new'])
    assert 'NOT COMPLETE' in caplog.text
    # Once it can be read, all is made up for.
    storage.broken.clear()
    report = old.load(storage)
    assert (report.added, report.removed) == (1, 1) and report.complete
    assert old.names() == sorted(storage.names)


def test_a_row_is_kept_if_the_storage_fails(old, caplog):
    storage = Storage(*NAMES[1:])
    storage.later = IOError('slow down')
    report = old.load(storage)
    assert (report.removed, report.failed) == (0, 1)
    assert old.names() == NAMES
    assert 'slow down' in caplog.text


def test_a_difference_shows_all_and_writes_nothing(old):
    client, table = old.engine.client, old.settings.repository_table
    hours_ago(old, 0, NAMES[0])
    old.engine.remove(NAMES[2])
    client.call('put_item', TableName=table, Item={'name': {'S': 'a/old'}})
    client.call('delete_item', TableName=table, Key={'name': {'S': NAMES[4]}})
    source = Storage(*[name for name in NAMES if name not in (NAMES[0], NAMES[3], NAMES[4])])
    made = RequestsMade(old.engine)
    difference = sorted(old.engine.difference(source))
    assert set(made.operations) == {'Query', 'Scan'}
    assert difference == sorted([('recent', NAMES[0]), ('added', NAMES[2]), ('removed', NAMES[3]),
                                 ('cleaned', NAMES[4]), ('adopted', 'a/old')])
    report = old.load(source)
    assert [getattr(report, kind) for kind in (
        'recent', 'added', 'removed', 'cleaned', 'adopted')] == [1] * 5


def test_progress_is_reported_and_ends_with_all(index):
    reported = []
    index.load(lambda: STORED, progress=lambda done, total: reported.append((done, total)))
    assert reported[0] == (0, 20) and reported[-1] == (20, 20)


def test_a_long_load_logs_how_far_it_is(index, caplog):
    caplog.set_level(logging.INFO)
    ticks = itertools.count()
    stored = [('team/%03d' % number, None) for number in range(250)]
    Loader(index.store, as_source(lambda: stored), clock=lambda: 6 * next(ticks)).load()
    lines = [line for line in caplog.messages if ' done, ' in line]
    assert re.match(r'loading the search index: 100 of 250 done, \d+ a '
                    r'second, about \d+ s left', lines[0])


def test_a_lost_connection_or_two_do_not_end_a_load(index):
    pauses = []
    Throttle(index.engine, 'TransactWriteItems', 3, code='InternalServerError', status=500)
    loader = Loader(index.store, as_source(lambda: STORED), sleep=pauses.append)
    assert loader.load().added == len(STORED)
    assert len([pause for pause in pauses if pause]) == 3


# Until a load was complete

@pytest.fixture
def fresh(dynamodb_endpoint):
    """Tables that nobody has loaded."""
    made = EngineIndex(dynamodb_endpoint)
    create_missing(made.store)
    yield made
    made.delete_tables()


class Slow(Source):
    """A storage whose second part is not listed before something is so."""

    def __init__(self, holds):
        self._holds = holds

    def namespaces(self):
        return ['first', 'second']

    def repositories(self, namespace):
        if namespace == 'first':
            return STORED
        deadline = time.time() + 20
        while not self._holds():
            assert time.time() < deadline
            time.sleep(0.02)
        return [('z/last', None), STORED[0]]

    def has(self, name):
        return True


def test_a_first_load_writes_while_the_storage_is_being_listed(fresh):
    other, reported = fresh.another(), []
    report = fresh.load(Slow(lambda: other.names() == NAMES), progress=lambda done,
                        total: reported.append((done, total)))
    assert (report.found, report.added, report.unchanged) == (21, 21, 0)
    assert other.names() == NAMES + ['z/last']
    other.assert_whole()
    assert reported[0][0] >= 20 and reported[-1] == (21, 21)


def test_what_a_killed_first_load_had_written_the_next_one_leaves(fresh):
    killed, ended = fresh.another(), []
    KillAfter(killed.engine, 3, 'TransactWriteItems')
    with pytest.raises(Killed):
        # The listing would go on for ever.
        killed.load(Slow(lambda: ended))
    ended.append(1)
    written = fresh.names()
    assert written
    made = RequestsMade(fresh.engine)
    report = fresh.load(lambda: STORED)
    assert (report.added, report.unchanged) == (len(STORED) - len(written), len(written))
    # Nothing is read but what every load reads.
    assert [made.operations.count(operation) for operation in (
        'Query', 'Scan', 'GetItem', 'BatchGetItem')] == [2, 1, 0, 0]
    fresh.assert_whole()


def test_a_first_load_adopts_keeps_and_removes_as_every_load(fresh):
    client, table = fresh.engine.client, fresh.settings.repository_table
    for name in 'old/one', 'old/gone', 'team/gone':
        client.call('put_item', TableName=table, Item={
            'name': {'S': name}, 'description': {'S': 'From long ago'}})
    fresh.engine.add('only/here')
    fresh.engine.add('z/gone')
    fresh.engine.add('z/removed')
    fresh.engine.remove('z/removed')
    hours_ago(fresh, 24, 'z/gone')

    class Gone(Source):
        def namespaces(self):
            return ['all']

        def repositories(self, namespace):
            return STORED + [('old/one', None), ('z/removed', None)] + STORED

        def has(self, name):
            return False

    report = fresh.load(Gone())
    assert (report.found, report.added, report.adopted, report.recent,
            report.removed) == (22, 21, 3, 1, 1)
    assert fresh.names() == sorted(NAMES + [
        'old/one', 'old/gone', 'team/gone', 'only/here', 'z/removed'])
    assert fresh.search('long') == [(name, 'From long ago') for name
                                    in ('old/gone', 'old/one', 'team/gone')]
    fresh.assert_whole()


def test_what_is_removed_while_a_first_load_runs_is_not_brought_back(fresh):
    other = fresh.another()

    def listing():
        # Listed, and then removed from the storage, which the index is notified of.
        yield NAMES[3], None
        other.engine.remove(NAMES[3])
        for name, _ in STORED:
            yield name, None

    fresh.load(listing)
    assert fresh.names() == [name for name in NAMES if name != NAMES[3]]


def test_after_a_complete_load_all_is_listed_before_anything_is_written(index):
    made, seen = RequestsMade(index.engine), []
    index.load(Slow(lambda: seen.append('TransactWriteItems' in made.operations) or len(seen)
                    == 10))
    assert seen == [False] * 10
    assert 'TransactWriteItems' in made.operations


def test_a_long_listing_logs_how_far_it_is(fresh, caplog):
    caplog.set_level(logging.INFO)
    ticks = itertools.count()
    Loader(fresh.store, as_source(lambda: STORED), clock=lambda: 6 * next(ticks)).load()
    lines = [line for line in caplog.messages if ' so far, ' in line]
    assert re.match(r'listing the storage for the search index: \d+ '
                    r'repositories so far, \d+ a second; \d+ of them done$', lines[0])


# A storage that hangs

@pytest.fixture
def short_timeouts(monkeypatch):
    monkeypatch.setattr(snapshot, 'Listing', lambda source: Listing(source, seconds=0.2))
    monkeypatch.setattr(loader, 'STORAGE_SECONDS', 0.2)


def test_a_namespace_that_hangs_keeps_the_others_out_of_nothing(old, short_timeouts, caplog):
    free = threading.Event()

    class Hanging(Storage):
        def repositories(self, namespace):
            if namespace == 'team-1':
                free.wait(30)
            return super(Hanging, self).repositories(namespace)

    try:
        report = old.load(Hanging(*(NAMES[1:] + ['team-0/new'])))
    finally:
        free.set()
    assert report.unreadable == ('team-1',) and not report.complete
    assert (report.added, report.removed) == (1, 0)
    assert old.names() == sorted(NAMES + ['team-0/new'])
    assert 'team-1' in caplog.text and 'no answer for' in caplog.text


def test_a_storage_that_hangs_when_asked_for_one_removes_nothing(old, short_timeouts):
    free, asked = threading.Event(), []

    class Hanging(Storage):
        def has(self, name):
            asked.append(name)
            free.wait(30)

    try:
        report = old.load(Hanging(*NAMES[5:]))
    finally:
        free.set()
    # After one question without an answer, no more are asked.
    assert (report.removed, report.failed, len(asked)) == (0, 5, 1)
    assert old.names() == NAMES


# Tombstones that have expired

LATER = TOMBSTONE_SECONDS + 60


def tombstones(index):
    """The number of each tombstone, by name."""
    found = {name_of_key(item, tombstone_key): item['number']['S']
             for item in index.items(index.settings.search_table) if item['gram']['S'] == '!'}
    found.pop(None, None)
    return found


def load_later(index, source, seconds):
    """Load as if so much time had passed."""
    return Loader(index.store, as_source(source), wall_clock=lambda: time.time() + seconds).load()


@pytest.fixture
def removed(old):
    """An index without the first two names, of which the first was removed long ago."""
    for name in NAMES[:2]:
        old.engine.remove(name)
    old.engine.client.call(
        'update_item', TableName=old.settings.search_table, Key=tombstone_key(NAMES[0]),
        UpdateExpression='SET expires = :past',
        ExpressionAttributeValues={':past': {'N': str(int(time.time()) - 60)}})
    return old


def test_a_load_deletes_the_tombstones_that_have_expired(removed):
    before, made = tombstones(removed), RequestsMade(removed.engine)
    assert sorted(before) == NAMES[:2]
    assert removed.load(Storage(*NAMES[2:])).unchanged == 18
    assert tombstones(removed) == {NAMES[1]: before[NAMES[1]]}
    assert made.operations.count('DeleteItem') == 1 and 'TransactWriteItems' not in made.operations


def test_a_tombstone_expires_after_a_week(old):
    old.engine.remove(NAMES[0])
    load_later(old, Storage(*NAMES[1:]), TOMBSTONE_SECONDS - 60)
    assert list(tombstones(old)) == NAMES[:1]
    load_later(old, Storage(*NAMES[1:]), LATER)
    assert tombstones(old) == {}


def test_a_tombstone_that_is_written_anew_before_its_deletion_stays(removed):
    before, other = tombstones(removed), removed.another()
    Meanwhile(removed.engine, 'DeleteItem', lambda: other.engine.remove(NAMES[0]))
    assert removed.load(Storage(*NAMES[2:])).complete
    after = tombstones(removed)
    assert sorted(after) == NAMES[:2] and after[NAMES[0]] != before[NAMES[0]]
    removed.load(Storage(*NAMES[2:]))
    assert tombstones(removed) == after


def test_a_difference_deletes_no_tombstone(removed):
    before = tombstones(removed)
    assert list(removed.engine.difference(Storage(*NAMES[2:]))) == []
    assert tombstones(removed) == before


def test_what_a_killed_load_did_not_delete_the_next_one_deletes(removed):
    def die():
        raise Killed()

    before, killed = tombstones(removed), removed.another()
    Meanwhile(killed.engine, 'DeleteItem', die)
    with pytest.raises(Killed):
        killed.load(Storage(*NAMES[2:]))
    assert tombstones(removed) == before
    # And killed between two of them.
    killed = removed.another()
    KillAfter(killed.engine, 1, 'DeleteItem')
    with pytest.raises(Killed):
        load_later(killed, Storage(*NAMES[2:]), LATER)
    assert len(tombstones(removed)) == 1
    load_later(removed, Storage(*NAMES[2:]), LATER)
    assert tombstones(removed) == {}


def test_a_late_load_brings_back_nothing_that_was_removed_while_tombstones_expired(removed):
    other = removed.another()

    def listing():
        for name in NAMES[1:]:
            yield name, None
        # Removed after it was listed, as another load deletes the tombstone of before.
        load_later(other, Storage(*NAMES[2:]), LATER)
        other.engine.remove(NAMES[1])

    report = removed.load(listing)
    assert (report.added, report.unchanged) == (0, 19)
    assert removed.names() == NAMES[2:] and sorted(tombstones(removed)) == [NAMES[1]]


@pytest.mark.parametrize('added', [1, 2])
def test_a_load_adds_what_is_there_though_another_deletes_its_old_tombstone(removed, added):
    other = removed.another()

    def listing():
        for name in NAMES[2 - added:]:
            yield name, None
        load_later(other, Storage(*NAMES[2:]), LATER)

    assert removed.load(listing).added == added
    assert removed.names() == NAMES[2 - added:]
