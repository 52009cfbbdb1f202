"""Load: the difference between the registry's storage and the index."""
from __future__ import unicode_literals

import functools
import hashlib
import itertools
import json
import logging
import random
import re
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.maintenance import next_sync
from docker_registry_index.engine.store import store
from docker_registry_index.engine.store.records import (
    READY_KEY, TOMBSTONE, Intent, name_of_marker)
from docker_registry_index.engine.store.retries import RetryingClient
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.sync import loader
from docker_registry_index.engine.write.bulk import intents
from docker_registry_index.engine.write.plan import TOMBSTONE_SECONDS
from docker_registry_index.engine.write.writer import Writer
from tests.helpers.clock import Clock
from tests.helpers.faults import (
    Answer, KillAfter, Killed, Meanwhile, Throttle, taken_back)
from tests.helpers.names import name_with_postings
from tests.helpers.release_0_1_0 import delete_as_0_1_0
from tests.helpers.requests_made import RequestsMade
from tests.helpers.scripted_client import ThrottlingClient
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import more_threads, wait_until

NAMES = sorted('t-%d/a%d' % (number % 3, number) for number in range(6))
STORED = [(name, None) for name in reversed(NAMES)]
HOUR = 3600


@pytest.fixture
def fresh(index):
    """An index that was never loaded."""
    table = index.settings.search_table
    marker = index.store.get(table, READY_KEY)
    index.engine.client.call('delete_item', TableName=table, Key=READY_KEY)
    yield index
    index.engine.client.call('put_item', TableName=table, Item=marker)


@pytest.fixture
def short_batches(monkeypatch):
    """Two repositories share a transaction; three have one action too many."""
    monkeypatch.setattr(loader, 'LONGEST', 8)


def hours_from_now(hours):
    """Return a clock of Unix seconds."""
    return lambda: time.time() + hours * HOUR


@pytest.mark.usefixtures('short_batches')
def test_a_load_reports_what_it_did_and_a_second_one_writes_nothing(index):
    made, reported = RequestsMade(index.engine), []
    report = index.load(lambda: STORED, progress=lambda done, total: reported.append((done, total)))
    assert (report.found, report.added, report.unchanged) == (6, 6, 0)
    assert reported[0] == (0, 6) and reported[-1] == (6, 6)
    # Two repositories share a transaction, which also deletes their intent.
    assert made.operations.count('TransactWriteItems') == 3 and made.actions == [7, 7, 7]
    with made.counted():
        report = index.load(lambda: STORED)
    assert (report.found, report.added, report.unchanged) == (6, 0, 6) and report.complete
    assert set(made.operations) == {'Query', 'Scan'}


def test_each_request_of_a_load_first_gives_way_to_pushes(index):
    index.put_row('t-0/old')
    index.engine.add('t-0/gone')
    index.change_item(index.settings.repository_table, {'name': {'S': 't-0/gone'}},
                      touched={'N': '1'})
    events, storage = [], FakeStorage(NAMES)
    index.dynamodb.meta.events.register('before-call.dynamodb', lambda **_: events.append('r'))
    report = index.load(storage, lambda: events.append('h'), give_way=lambda: events.append('w'))
    assert (report.added, report.recent, report.adopted, report.removed) == (6, 0, 1, 1)
    # The heartbeat follows, so that the request begins right after it.
    assert re.match('(h*whr)+h*$', ''.join(events))
    del events[:]
    index.load(FakeStorage(NAMES + ['t-0/n%d' % number for number in range(20)]), threads=8,
               give_way=lambda: events.append('w'))
    assert events.count('w') == events.count('r') == 12


def test_a_throttled_push_is_retried_sooner_than_a_throttled_load(index, monkeypatch):
    push, loads = Clock(), []
    Throttle(index.engine, 'TransactWriteItems', 6, ['ThrottlingError', None])
    # The longest pauses of a push, and the shortest of a load.
    monkeypatch.setattr(random, 'uniform', max)
    Writer(index.store, push.sleep).add('a/new')
    monkeypatch.setattr(random, 'uniform', min)
    for failure in {'UnprocessedItems': {'t': ['item']}}, errors.RequestFailed(
            'batch_write_item', ['t'], 'ThrottlingException', 'not now', True):
        clock, times = Clock(), []
        client = ThrottlingClient({'Table': {'TableName': 't'}}, *[failure] * 6 + [{}])
        store = Store(index.settings, client).retrying(lambda: times.append(clock()), clock.sleep)
        store.batch_write('t', ['item'])
        assert len(client.requests) == 7
        loads.append([time for number, time in enumerate(times) if time not in times[:number]])
    pushes = [push.now - sum(push.slept[number:]) for number in range(7)]
    assert len(push.slept) == 6
    assert all(pushes[number] < min(loads[0][number], loads[1][number]) for number in range(1, 7))


def test_removals_that_dynamodb_refuses_end_no_load_and_are_logged_once(index, caplog):
    for number in range(3):
        name = 't-0/gone%d' % number
        index.engine.add(name)
        index.change_item(index.settings.repository_table, {'name': {'S': name}},
                          touched={'N': '1'})

    def refuse_deletes(params, **_):
        if any('Delete' in action and 'Key' in action['Delete'] and 'name' in action['Delete'][
                'Key'] for action in json.loads(params['body'].decode('utf-8'))['TransactItems']):
            return Answer(400), {'ResponseMetadata': {'HTTPStatusCode': 400}, 'Error': {
                'Code': 'AccessDeniedException', 'Message': 'no right dynamodb:DeleteItem'}}

    with taken_back(index.engine):
        index.dynamodb.meta.events.register(
            'before-call.dynamodb.TransactWriteItems', refuse_deletes)
        report = index.load(lambda: STORED)
    assert (report.added, report.failed, report.complete) == (6, 3, False)
    assert caplog.text.count('dynamodb:DeleteItem') == 1
    assert index.load(lambda: STORED).removed == 3


@pytest.mark.parametrize('state', ['index', 'fresh'])
def test_a_repository_removed_while_a_load_runs_is_not_restored(request, state, other):
    def listing():
        yield NAMES[3], None
        # Listed, and then removed from the storage, which the index is notified of.
        other.engine.remove(NAMES[3])
        for pair in STORED:
            yield pair

    request.getfixturevalue(state).load(listing)
    assert other.assert_whole() == NAMES[:3] + NAMES[4:]


def test_a_load_ends_a_long_removal_that_was_killed(index, other, limit):
    name = name_with_postings(limit + 2)
    index.load(lambda: [(name, 'some words')])
    KillAfter(other.engine, 2, 'TransactWriteItems')
    with pytest.raises(Killed):
        other.engine.remove(name)
    index.load(lambda: [])
    assert index.assert_whole() == [] == index.search('b-cd')


def test_names_that_the_index_cannot_hold_are_logged_and_left_out(index, caplog):
    caplog.set_level(logging.WARNING)
    names = ['good/one', '', 'bad/\x07bell', 'x' * 256, 'good/one']
    assert index.load(lambda: [(name, None) for name in names]).added == 1
    assert index.names() == ['good/one']
    assert len(caplog.records) == 3 and '\x07' not in caplog.text


@pytest.mark.parametrize('count, fault', [
    (8, {'reasons': ['ProvisionedThroughputExceeded', 'ThrottlingError']}),
    (3, {'code': 'InternalServerError', 'status': 500})])
def test_throttling_and_lost_connections_slow_a_load_down_and_do_not_stop_it(
        index, caplog, count, fault):
    clock, made = Clock(), Throttle(index.engine, 'TransactWriteItems', count, **fault)
    assert index.load(lambda: STORED[:2], clock=clock, sleep=clock.sleep).added == 2
    # Pauses of no length let other greenlets run.
    pauses = [pause for pause in clock.slept if pause]
    # A throttled transaction of two is first made in halves.
    retries = count - ('code' not in fault)
    assert made.left == 0 and max(pauses) <= 1 and 0.3 * retries < sum(pauses) < 4 * retries
    assert caplog.text.count('throttles') == ('code' not in fault)


@pytest.mark.parametrize('operation', ['Scan', 'PutItem', 'BatchWriteItem', 'TransactWriteItems'])
def test_a_load_is_complete_however_long_it_is_throttled(index, monkeypatch, operation):
    clock = Clock()
    monkeypatch.setattr(store, 'RetryingClient', functools.partial(RetryingClient, clock=clock))
    made = Throttle(index.engine, operation, 400)
    report = index.load(lambda: STORED[:2], clock=clock, sleep=clock.sleep)
    assert report.added == 2 and report.complete and report.seconds > 1000 and made.left == 0


def test_a_repository_that_cannot_be_written_keeps_no_other_out(index, caplog):
    # The transaction of several is refused, then the first of them alone.
    Throttle(index.engine, 'TransactWriteItems', 2, ['None', 'ValidationError'])
    assert index.load(lambda: STORED).failed == 1
    [failed] = set(NAMES) - set(index.names())
    assert 'the entry of %r in the search index could not be updated' % failed in caplog.text
    # The next load adds it.
    assert index.load(lambda: STORED).added == 1


@pytest.mark.parametrize('threads', [0, 2])
def test_an_item_that_dynamodb_never_accepts_fails_its_repository_only(index, caplog, threads):
    """As if a further rule of AWS refused the postings of one name, in batches and alone."""
    def refuse(params, **_):
        if '"%s"' % NAMES[2] in params['body'].decode('utf-8'):
            return Answer(400), {
                'Error': {'Code': 'ValidationException', 'Message': 'not this one'},
                'ResponseMetadata': {'HTTPStatusCode': 400}}

    events = index.dynamodb.meta.events
    for operation in 'BatchWriteItem', 'TransactWriteItems':
        events.register('before-call.dynamodb.' + operation, refuse)
    for _ in range(3):
        report = index.load(lambda: STORED, threads=threads)
        assert (report.failed, report.added + report.unchanged) == (1, 5)
        assert index.names() == NAMES[:2] + NAMES[3:]
        # One intent stays for all loads, not one for each.
        [intent] = intents(index.store)
        assert NAMES[2] in dict(intent.repositories)
    assert 'the entry of %r in the search index could not be updated' % NAMES[2] in caplog.text
    for operation in 'BatchWriteItem', 'TransactWriteItems':
        events.unregister('before-call.dynamodb.' + operation, refuse)
    assert [index.load(lambda: STORED).added for _ in range(2)] == [1, 0]
    assert intents(index.store) == []


def test_a_load_of_rows_of_0_1_0_is_as_fast_as_the_five_units_of_their_table(index, monkeypatch):
    clock = Clock()
    units = {'left': 10.0, 'at': clock()}

    def use_units(params, **_):
        rows = params['body'].decode('utf-8').count('"%s"' % index.settings.repository_table)
        left = min(10, units['left'] + 5 * (clock() - units['at']))
        # A throttled transaction uses the units that are left.
        units.update(at=clock(), left=left - 2 * rows if left >= rows else min(left, 0))
        return None if left >= rows else (Answer(400), {
            'Error': {'Code': 'TransactionCanceledException', 'Message': 'not now'},
            'CancellationReasons': [{'Code': 'None'}, {'Code': 'ThrottlingError'}],
            'ResponseMetadata': {'HTTPStatusCode': 400}})

    for number in range(30):
        index.put_row('old/a%d' % number)
    monkeypatch.setattr(store, 'RetryingClient', functools.partial(RetryingClient, clock=clock))
    index.dynamodb.meta.events.register('before-call.dynamodb.TransactWriteItems', use_units)
    report = index.load(lambda: STORED, clock=clock, sleep=clock.sleep)
    # 36 rows have 72 units.
    assert (report.added, report.adopted) == (6, 30) and report.seconds < 30
    assert len(index.assert_whole()) == 36


def touch(index, name, hours):
    """Push a repository at a time before now."""
    Writer(index.store, clock=hours_from_now(-hours)).add(name)


@pytest.fixture
def old(index):
    """An index that was loaded a day ago. NAMES[5] has a description."""
    index.load(lambda: [(name, 'some words' if name == NAMES[5] else None) for name in NAMES],
               wall_clock=hours_from_now(-24))
    return index


def test_a_repository_gone_from_the_storage_is_removed_with_all_its_postings(old):
    storage = FakeStorage(NAMES[1:4])
    # The storage is asked once more before anything is removed.
    storage.found.add(NAMES[0])
    assert list(old.engine.difference(storage)) == [('removed', name) for name in NAMES[4:]]
    report = old.load(storage)
    assert (report.removed, report.unchanged) == (2, 4) and report.complete
    assert old.assert_whole() == NAMES[:4] and old.search('words') == []


def test_a_repository_touched_within_the_last_hour_is_not_removed(old):
    touch(old, NAMES[0], 0.9)
    touch(old, NAMES[1], -48)  # by a clock that was wrong
    # A push of what is there is a touch.
    assert old.engine.add(NAMES[2]) is False
    report = old.load(FakeStorage(NAMES[3:]))
    assert (report.removed, report.recent) == (1, 2) and report.complete
    assert old.names() == [NAMES[0]] + NAMES[2:]


def test_a_storage_that_lists_nothing_removes_nothing(old, caplog):
    report = old.load(FakeStorage())
    assert (report.removed, report.failed) == (0, 6) and not report.complete
    assert old.names() == NAMES
    assert 'check the settings of the storage' in caplog.text


def test_an_unreadable_namespace_keeps_only_its_own_repositories_as_they_are(old, caplog):
    # The storage also lost a repository in the unreadable namespace, and one in another.
    storage = FakeStorage(NAMES[1:2] + NAMES[3:] + ['t-0/new', 't-1/new'], broken=['t-1'])
    assert [namespace for namespace in ('t-0', 't-1') if storage.may_contain(
        namespace, NAMES[0])] == ['t-0'] and NAMES[2][:3] == NAMES[3][:3] == 't-1'
    assert list(old.engine.difference(storage)) == [('removed', NAMES[0]), ('added', 't-0/new')]
    report = old.load(storage)
    assert (report.unreadable, report.added, report.removed, report.failed) == (('t-1',), 1, 1, 0)
    assert not report.complete
    assert '1 parts of the storage unreadable; NOT COMPLETE' in caplog.text
    assert 'part %r of the storage cannot be read' % 't-1' in caplog.text
    assert old.names() == sorted(NAMES[1:] + ['t-0/new']) and storage.asked == NAMES[:1] * 2
    # A check asks only for what could be listed.
    storage.names.remove('t-0/new')
    storage.found.clear()
    assert [problem.name for problem in old.engine.checker(storage).check()] == []
    storage.found.update(storage.names)
    # Once the namespace can be read, the next load makes up for the rest.
    storage.broken.clear()
    storage.names.append('t-0/new')
    storage.found.add('t-0/new')
    report = old.load(storage)
    assert (report.added, report.removed) == (1, 1) and report.complete
    assert old.names() == sorted(storage.names)


def test_an_index_is_complete_although_a_part_of_its_storage_was_never_readable(fresh):
    storage = FakeStorage(NAMES, broken=['t-1'])
    start = fresh.starter(storage)
    assert start.ensure_ready() and start.marker.synced == start.marker.tried
    assert (start.marker.unreadable, start.marker.failures) == (['t-1'], 1)
    # The load is repeated soon.
    assert next_sync(start.marker, 86400) == start.marker.tried + 600
    assert fresh.names() == [name for name in NAMES if name[:3] != 't-1']
    storage.broken.clear()
    start.sync()
    assert (start.marker.unreadable, start.marker.failures) == ([], 0)
    assert fresh.names() == NAMES


def test_a_storage_that_hangs_when_asked_for_one_removes_nothing(old, clock, caplog):
    more, storage = more_threads(), FakeStorage(NAMES[3:], hanging=NAMES[:3])
    report = old.load(storage, lambda: clock.advance(loader.STORAGE_SECONDS), clock=clock)
    storage.release()
    wait_until(lambda: not more())
    # After one question without an answer, no more are asked.
    assert (report.removed, report.failed, len(storage.asked)) == (0, 3, 1)
    assert old.names() == NAMES
    assert caplog.text.count('could not be removed; a later load retries it: ') == 3


def test_a_difference_shows_all_and_writes_nothing(old):
    touch(old, NAMES[0], 0)
    old.engine.remove(NAMES[2])
    old.put_row('a/old', description={'S': 'From long ago'})
    for name in NAMES[4:]:
        delete_as_0_1_0(old, name)
    assert old.search('words') == [(NAMES[5], 'some words')]
    source = FakeStorage(NAMES[1:3] + NAMES[4:5])
    made = RequestsMade(old.engine)
    assert sorted(old.engine.difference(source)) == [
        # The row of the second is gone, but the storage has it.
        ('added', NAMES[2]), ('added', NAMES[4]), ('adopted', 'a/old'), ('cleaned', NAMES[5]),
        ('recent', NAMES[0]), ('removed', NAMES[3])]
    assert set(made.operations) == {'Query', 'Scan'}
    report = old.load(source)
    assert [getattr(report, kind) for kind in (
        'added', 'adopted', 'cleaned', 'recent', 'removed')] == [2, 1, 1, 1, 1]
    assert old.assert_whole() == ['a/old'] + NAMES[:3] + NAMES[4:5]
    assert old.search('long') == [('a/old', 'From long ago')] and old.search('words') == []
    assert old.rows()['a/old']['description'] == {'S': 'From long ago'}


def test_a_long_load_logs_how_far_it_is(index, caplog):
    caplog.set_level(logging.INFO)
    ticks = itertools.count()
    index.load(lambda: STORED, clock=lambda: 6 * next(ticks))
    listing, load = [[line for line in caplog.messages if part in line][-1] for part
                     in (' so far, ', ' done, ')]
    assert re.match(r'listing the storage for the search index: \d+ repositories so far, \d+ per '
                    r'second; \d+ of them done$', listing)
    assert re.match(r'loading the search index: 6 of 6 done, \d+ per second, about 0 s left', load)


def slow(holds):
    """Return a storage that lists its last name only after a condition holds."""
    return FakeStorage(NAMES + ['z/last'], note=lambda name: name == 'z/last' and wait_until(holds))


def test_a_first_load_writes_while_the_storage_is_being_listed(fresh, other):
    reported = []
    report = fresh.load(slow(lambda: other.names() == NAMES),
                        progress=lambda done, total: reported.append((done, total)))
    assert (report.found, report.added, report.unchanged) == (7, 7, 0)
    assert other.assert_whole() == NAMES + ['z/last']
    assert reported[0][0] >= 6 and reported[-1] == (7, 7)


def many_namespaces(count, **more):
    return FakeStorage(['n%03d/x' % number for number in range(count)], **more)


def test_what_many_namespaces_list_at_once_is_written_in_full_groups(fresh):
    made = RequestsMade(fresh.engine)
    # The time stands still, so none of them is written for being old.
    assert fresh.load(many_namespaces(60), clock=Clock()).added == 60
    assert made.operations.count('TransactWriteItems') == 2


def test_a_listing_goes_on_while_all_threads_are_busy(fresh):
    listed = []
    Meanwhile(fresh.engine, 'BatchWriteItem', lambda: wait_until(lambda: 'n129/x' in listed))
    assert fresh.load(many_namespaces(130, note=listed.append), threads=1).added == 130


@pytest.mark.parametrize('threads', [0, 2])
def test_while_it_lists_names_a_first_load_writes_them_in_the_order_of_their_digests(
        fresh, threads):
    def note(params, **_):
        if 'names' in params['Item']:
            groups.append([name for name, _ in Intent.of(params['Item']).repositories])

    def scattered(name):
        return hashlib.sha256(name.encode()).hexdigest()

    names, groups = ['n/%03d' % number for number in range(99)], []
    fresh.engine.client.dynamodb.meta.events.register('provide-client-params.*.PutItem', note)
    # It lists the last one only after the others are written.
    storage = FakeStorage(names + ['z/last'], note=lambda name: name == 'z/last' and wait_until(
        lambda: len(groups) == 3))
    assert fresh.load(storage, threads=threads).added == 100
    # Two threads may write two groups in either order.
    groups[:3] = sorted(groups[:3], key=lambda group: scattered(group[0]))
    assert sum(groups, []) == sorted(names, key=scattered) + ['z/last']


def test_after_a_complete_load_all_is_listed_before_anything_is_written(index):
    made, seen = RequestsMade(index.engine), []
    index.load(slow(lambda: seen.append('TransactWriteItems' in made.operations) or len(seen) == 5))
    assert seen == [False] * 5 and 'TransactWriteItems' in made.operations


@pytest.mark.usefixtures('short_batches')
def test_a_first_load_leaves_what_a_killed_one_had_written(fresh, other):
    ended = []
    KillAfter(other.engine, 2, 'TransactWriteItems')
    with pytest.raises(Killed):
        # The listing would go on for ever.
        other.load(slow(lambda: ended))
    ended.append(1)
    written = fresh.names()
    assert written
    made = RequestsMade(fresh.engine)
    report = fresh.load(lambda: STORED)
    assert (report.added, report.unchanged) == (len(STORED) - len(written), len(written))
    # Nothing is read but what every load reads.
    assert [made.operations.count(operation) for operation in (
        'Query', 'Scan', 'GetItem', 'BatchGetItem')] == [3, 1, 0, 0]
    assert fresh.assert_whole() == NAMES


def test_a_first_load_adopts_keeps_and_removes_as_every_load(fresh):
    for name in 'old/one', 'old/gone', 't/gone':
        fresh.put_row(name, description={'S': 'From long ago'})
    fresh.engine.add('only/here')
    touch(fresh, 'z/gone', 24)
    fresh.engine.add('z/removed')
    fresh.engine.remove('z/removed')
    storage = FakeStorage(NAMES + ['old/one', 'z/removed'] + NAMES)
    storage.found.clear()
    report = fresh.load(storage)
    assert (report.found, report.added, report.adopted, report.recent,
            report.removed) == (8, 7, 3, 1, 1)
    assert fresh.assert_whole() == sorted(NAMES + [
        'old/one', 'old/gone', 't/gone', 'only/here', 'z/removed'])
    assert fresh.search('long') == [(name, 'From long ago') for name
                                    in ('old/gone', 'old/one', 't/gone')]


REST = FakeStorage(NAMES[2:])


def tombstones(index):
    """Return the number of each tombstone, by name."""
    return {name_of_marker(TOMBSTONE, item): item['number']['S'] for item in index.tombstones()}


def load_later(index):
    """Load the rest as if all tombstones had expired."""
    return index.load(REST, wall_clock=hours_from_now(TOMBSTONE_SECONDS // HOUR + 1))


@pytest.fixture
def removed(old):
    """An index without the first two names, of which the first was removed long ago."""
    Writer(old.store, clock=hours_from_now(-TOMBSTONE_SECONDS / HOUR - 1)).remove(NAMES[0])
    old.engine.remove(NAMES[1])
    return old


def test_a_load_deletes_the_tombstones_that_have_expired(removed):
    before, made = tombstones(removed), RequestsMade(removed.engine)
    assert sorted(before) == NAMES[:2]
    # A difference deletes none.
    assert list(removed.engine.difference(REST)) == [] and tombstones(removed) == before
    assert removed.load(REST).unchanged == 4
    assert tombstones(removed) == {NAMES[1]: before[NAMES[1]]}
    assert made.operations.count('DeleteItem') == 1 and 'TransactWriteItems' not in made.operations


def test_a_tombstone_that_is_written_anew_before_its_deletion_stays(removed, other):
    before = tombstones(removed)
    Meanwhile(removed.engine, 'DeleteItem', lambda: other.engine.remove(NAMES[0]))
    for _ in range(2):
        assert removed.load(REST).complete
        after = tombstones(removed)
        assert sorted(after) == NAMES[:2] and after[NAMES[0]] != before[NAMES[0]]


@pytest.mark.parametrize('first, is_removed, added', [(1, True, 0), (1, False, 1), (0, False, 2)])
def test_a_load_restores_nothing_that_was_removed_while_tombstones_expired(
        removed, other, first, is_removed, added):
    def listing():
        for name in NAMES[first:]:
            yield name, None
        # After all is listed, another load deletes the tombstones of before.
        load_later(other)
        if is_removed:
            other.engine.remove(NAMES[1])

    assert removed.load(listing).added == added
    assert removed.names() == NAMES[2 - added:]
    assert sorted(tombstones(removed)) == [NAMES[1]] * is_removed
