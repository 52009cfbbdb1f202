"""Tables that are deleted while engines run: noticed, created and loaded again, without a restart,
and never called ready before."""

from __future__ import unicode_literals

import itertools
import threading

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.lifecycle.maintenance import Maintenance
from docker_registry_index.engine.store.records import READY_KEY
from tests.helpers.clock import Clock
from tests.helpers.faults import Killed, Meanwhile, killed_at_each
from tests.helpers.hooks import taken_back
from tests.helpers.waiting import wait_until

STORE = [('a/one', None), ('a/two', None), ('b/one', None)]
NAMES = [name for name, _ in STORE]
#: What the storage no longer has. A load keeps a row without postings, and the sync after it
#: removes it.
GONE = 'b/old'
#: Places of EngineIndex.tables(): repository, version, search.
COMBINATIONS = [gone for count in (1, 2, 3) for gone in itertools.combinations(range(3), count)]


class Storage(Source):
    """A storage of STORE."""

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return STORE

    def has(self, name):
        return (name, None) in STORE


@pytest.fixture
def index(processes):
    yield processes[0].ready(STORE)
    processes[0].engine.close()


def begin_again(index):
    """Make the tables anew, for the next case of a test."""
    index.engine.close()
    index.delete_what_is_left()
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


# A load under way elsewhere

def test_a_load_that_began_before_does_not_call_the_new_tables_ready(index, processes):
    other = processes[1]
    for gone in index.telling(COMBINATIONS, every=2, first=0):
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
def test_nor_when_the_process_that_makes_them_is_killed_at_any_request(index, processes, gone):
    _, other, third = processes

    def lose_and_make_anew():
        lose(third, gone)
        try:
            other.ensure_ready(lambda: STORE)
        except Killed as death:
            deaths.append(death)

    def load():
        del deaths[:]
        with taken_back(index.engine):
            Meanwhile(index.engine, 'TransactWriteItems', lose_and_make_anew)
            try:
                index.engine.sync(lambda: STORE)
            except (errors.LeaseLost, errors.RequestFailed):
                pass
        if deaths:
            raise deaths[0]

    deaths = []
    for count in killed_at_each(other, load, every=9):
        if third.engine.is_ready():
            assert is_right(third)
        assert third.take_over(lambda: STORE) is True
        assert_right(third)
    assert count > 8
    assert_right(third)


def test_a_load_that_began_after_they_were_made_goes_on(index, processes):
    """A process that saw them missing and is slow does not end the load of a faster one."""
    _, slow, fast = processes
    go_on, loads, ended = threading.Event(), [], []
    faster = threading.Thread(target=lambda: ended.append(fast.ensure_ready(
        lambda: go_on.wait(20) and STORE)))
    lose(index, (2,))

    def be_faster():
        faster.start()
        wait_until(lambda: 'lease' in index.items(index.settings.version_table)[0])

    def wait_for_the_lease(seconds):
        go_on.set()
        faster.join(20)

    # Just before the slow one would write into them that nothing is ready.
    count = itertools.count()
    slow.engine.client.dynamodb.meta.events.register(
        'after-call.dynamodb.DescribeTable', lambda **_: be_faster() if next(count) == 2 else None)
    assert slow.ensure_ready(lambda: loads.append(1) or STORE, sleep=wait_for_the_lease) is True
    assert (ended, loads) == ([True], [])
    assert_right(index)


# The only process

def test_tables_lost_during_a_load_are_made_and_loaded_by_the_process_that_loads(
        index, processes):
    loading, clock = processes[1].another(sync_interval=3600), Clock()
    # moto refuses the transaction of a removal from a missing table in another way than DynamoDB,
    # so on moto the version table only is lost while the storage is asked.
    cases = list(itertools.product(['listing', 'asking', 'ending'], COMBINATIONS))
    for moment, gone in index.telling(cases, every=8, first=0):
        lost = []

        def lose_once():
            if not lost:
                lost.append(1)
                lose(index, gone)

        class Losing(Storage):
            def repositories(self, namespace):
                if moment == 'listing':
                    lose_once()
                return STORE

            def has(self, name):
                if moment == 'asking':
                    lose_once()
                return (name, None) in STORE

        if moment != 'ending':
            index.engine.add(GONE)
            put_back(index, index.settings.repository_table, {'name': {'S': GONE}}, 'touched')
        put_back(index, index.settings.search_table, READY_KEY, 'synced', 'tried')
        upkeep = Maintenance(loading.store,
                             lambda heartbeat: loading.load(Losing(), heartbeat), clock)
        with taken_back(loading.engine):
            if moment == 'ending':
                Meanwhile(loading.engine, 'TransactWriteItems', lose_once)
            for _ in range(20):
                clock.advance(upkeep.run_once(clock()))
                if lost and is_right(index):
                    break
        assert_right(index)
        begin_again(index)


def put_back(index, table, key, *times):
    """Set times of an item to a moment long ago."""
    index.store.call('update_item', TableName=table, Key=key,
                     UpdateExpression='SET ' + ', '.join(time + ' = :then' for time in times),
                     ExpressionAttributeValues={':then': {'N': '1000000000'}})


# Engines that rest

def test_tables_lost_while_nothing_happens_are_made_and_loaded_again(index):
    running = index.another(push_wait=1)
    for gone in index.telling(COMBINATIONS, every=2, first=0):
        assert running.engine.start(Storage()) is True
        lose(index, gone)

        def becomes_right():
            try:
                running.search('one')
            except errors.RequestFailed:
                pass
            running.engine.apply_change(NAMES[0], True)
            if gone == (1,):
                # Neither a search nor a push needs this table: a check of each minute notices.
                running.engine.sync_soon()
            return is_right(index)

        wait_until(becomes_right)
        # And pushes are made at once again.
        wait_until(lambda: running.engine.apply_change(NAMES[1], True))
        assert_right(index)
        running.engine.close()
        begin_again(index)
