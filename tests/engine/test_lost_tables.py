"""Tables that are deleted while engines run: noticed, created and loaded again, without a restart,
and never called ready before."""
from __future__ import unicode_literals

import itertools

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle.maintenance import Maintenance
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.clock import Clock
from tests.helpers.faults import Killed, Meanwhile, killed_at_each, taken_back
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import in_threads, wait_until

STORE = [('a/one', None), ('a/two', None), ('b/one', None)]
NAMES = [name for name, _ in STORE]
#: What the storage no longer has. A load keeps a row without postings, and the sync after it
#: removes it.
GONE = 'b/old'
LONG_AGO = {'N': '1000000000'}
#: Places of EngineIndex.tables(): repository, version, search.
COMBINATIONS = [gone for count in (1, 2, 3) for gone in itertools.combinations(range(3), count)]


@pytest.fixture
def index(first):
    return first.ready(STORE)


def begin_again(index):
    """Create the tables again, for the next case of a test."""
    index.delete_tables()
    index.ready(STORE)


def lose(index, gone):
    for place in gone:
        index.engine.client.call('delete_table', TableName=index.tables()[place])


def is_right(index):
    """Return True if the index is ready, and has all it should."""
    try:
        names = index.names()
        return (index.engine.is_ready() and sorted(index.rows()) == names and
                set(names) - {GONE} == set(NAMES))
    except errors.RequestFailed:
        return False


def assert_right(index):
    assert is_right(index)
    index.assert_whole()
    assert index.search('one') == [('a/one', ''), ('b/one', '')]


def test_a_load_that_began_before_does_not_call_the_new_tables_ready(index, processes):
    other = processes[1]
    for gone in index.thinned_on_moto(COMBINATIONS, every=3, first=1):
        def lose_and_load():
            lose(index, gone)
            assert other.ensure_ready(lambda: STORE) is True

        with taken_back(index.engine):
            # All is there, so its first transaction is the one that ends it.
            Meanwhile(index.engine, 'TransactWriteItems', lose_and_load)
            with pytest.raises((errors.LeaseLost, errors.MissingTable)):
                index.engine.sync(lambda: STORE)
        assert_right(other)
        begin_again(index)


@pytest.mark.parametrize('gone', [(0,), (2,)], ids=['repository', 'search'])
def test_new_tables_are_not_called_ready_if_the_process_that_makes_them_is_killed(
        index, processes, gone):
    _, other, third = processes
    deaths = []

    def lose_and_start():
        lose(third, gone)
        try:
            other.ensure_ready(lambda: STORE)
        except Killed as death:
            deaths.append(death)

    def load():
        with taken_back(index.engine):
            Meanwhile(index.engine, 'TransactWriteItems', lose_and_start)
            try:
                index.engine.sync(lambda: STORE)
            except (errors.LeaseLost, errors.RequestFailed):
                pass
        if deaths:
            raise deaths.pop()

    for count in killed_at_each(other, load, every=12):
        if third.engine.is_ready():
            assert is_right(third)
        assert third.take_over(lambda: STORE) is True
        assert_right(third)
    assert count > 8
    assert_right(third)


def test_a_slow_process_that_saw_missing_tables_does_not_end_the_load_of_a_faster_one(
        index, processes):
    _, slow, fast = processes
    slow_waits, loads, loading = [], [], []
    lose(index, (2,))

    def storage():
        wait_until(lambda: slow_waits)
        return STORE

    def be_faster():
        loading.append(in_threads([lambda: fast.ensure_ready(storage)]))
        wait_until(lambda: 'lease' in index.items(index.settings.version_table)[0])

    def wait_for_the_lease(seconds):
        slow_waits.append(seconds)
        assert loading[0]() == [True]

    # Just before the slow one would write into them that nothing is ready.
    count = itertools.count()
    slow.engine.client.dynamodb.meta.events.register(
        'after-call.dynamodb.DescribeTable', lambda **_: be_faster() if next(count) == 2 else None)
    assert slow.ensure_ready(lambda: loads.append(1) or STORE, sleep=wait_for_the_lease) is True
    assert slow_waits and loads == []
    assert_right(index)


def test_tables_lost_during_a_load_are_made_and_loaded_by_the_process_that_loads(index, processes):
    loading, clock = processes[1].another(sync_interval=3600), Clock()
    # moto refuses the transaction of a removal from a missing table in another way than DynamoDB,
    # so on moto the version table only is lost while the storage is asked.
    cases = list(itertools.product(['listing', 'asking', 'ending'], COMBINATIONS))
    for moment, gone in index.thinned_on_moto(cases, every=8, first=0):
        lost = []

        def lose_once(now='ending'):
            if now == moment and not lost:
                lost.append(now)
                lose(index, gone)

        if moment != 'ending':
            index.engine.add(GONE)
            index.change_item(
                index.settings.repository_table, {'name': {'S': GONE}}, touched=LONG_AGO)
        index.change_item(index.settings.search_table, READY_KEY, synced=LONG_AGO, tried=LONG_AGO)
        upkeep = Maintenance(loading.store, lambda heartbeat, slices, _: loading.load(
            FakeStorage(NAMES, note=lose_once), heartbeat, slices=slices), clock)
        with taken_back(loading.engine):
            Meanwhile(loading.engine, 'TransactWriteItems', lose_once)
            for _ in range(20):
                clock.advance(upkeep.run_once(clock()))
                if lost and is_right(index):
                    break
        assert_right(index)
        begin_again(index)


def test_tables_lost_while_nothing_happens_are_made_and_loaded_again(index):
    running = index.another(push_wait=1)
    for gone in index.thinned_on_moto(COMBINATIONS, every=7, first=4):
        assert running.engine.start(FakeStorage(NAMES)) is True
        lose(index, gone)

        def becomes_right():
            try:
                running.search('one')
            except errors.RequestFailed:
                pass
            running.engine.apply_change(NAMES[0], True)
            if gone == (1,):
                # No search or push needs this table. The check of each minute notices it.
                running.engine._maintenance._loop.wake()
            return is_right(index)

        wait_until(becomes_right)
        # And pushes are made at once again.
        wait_until(lambda: running.engine.apply_change(NAMES[1], True))
        assert_right(index)
        running.engine.close()
        begin_again(index)
