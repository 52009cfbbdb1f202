"""Tables that are deleted while engines run: noticed, created and loaded again, without a restart,
and never called ready before."""

from __future__ import unicode_literals

import itertools
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.lifecycle import maintenance, start
from docker_registry_index.engine.store.records import READY_KEY
from docker_registry_index.engine.write import writer
from tests.helpers.faults import KillAfter, Killed, Meanwhile
from tests.helpers.hooks import short_leases, taken_back
from tests.helpers.engine import EngineIndex

STORE = [('team-%d/app-%d' % (number % 3, number), None) for number in range(12)]
NAMES = sorted(name for name, _ in STORE)
#: What the storage has no more. A load keeps a row without postings, and the sync after it removes
#: it.
GONE = 'team/gone'
#: Places of EngineIndex.tables(): repository, version, search.
COMBINATIONS = [gone for count in (1, 2, 3) for gone in itertools.combinations(range(3), count)]

every_combination = pytest.mark.parametrize(
    'gone', COMBINATIONS,
    ids=lambda gone: '+'.join(('repository', 'version', 'search')[place] for place in gone))


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint, push_wait=1).ready(STORE)
    yield made
    made.engine.close()
    made.delete_what_is_left()


@pytest.fixture
def hasty(monkeypatch):
    """Nothing waits long."""
    for name, seconds in [('_FIRST_PAUSE', 0.1), ('_CHECK_AGAIN', 0.2), ('_LONGEST_PAUSE', 0.5),
                          ('_CHECK_EVERY', 0.5)]:
        monkeypatch.setattr(maintenance, name, seconds)
    monkeypatch.setattr(writer, 'REST_SECONDS', 0)


@pytest.fixture
def short_lease(monkeypatch):
    monkeypatch.setattr('random.uniform', lambda *_: 0.05)
    short_leases(monkeypatch, 0.3, request=0.1)


def lose(index, gone):
    for place in gone:
        index.engine.client.call('delete_table', TableName=index.tables()[place])


def elsewhere(index):
    """An engine as in another process: it has a lock of its own."""
    start._loading.clear()
    return index.another(startup_wait=3)


def is_right(index):
    """Whether it is ready, and has all it should."""
    try:
        names = index.names()
        return (index.engine.is_ready() and sorted(index.rows()) == names and
                set(names) - {GONE} == set(NAMES))
    except errors.RequestFailed:
        return False


def assert_right(index):
    assert is_right(index)
    index.assert_whole()
    assert len(index.search('app-')) == len(STORE)


def becomes_right(index, drive=lambda: None, seconds=20):
    """Assert that it becomes right by itself, and is called ready only then."""
    deadline = time.time() + seconds
    while not is_right(index):
        assert time.time() < deadline
        drive()
        time.sleep(0.05)
    assert_right(index)


# A load under way elsewhere

@every_combination
def test_a_load_that_began_before_does_not_call_the_new_tables_ready(index, gone):
    others = []

    def lose_and_load():
        lose(index, gone)
        others.append(elsewhere(index))
        others.append(others[0].ensure_ready(lambda: STORE))

    # All is there, so its first transaction is the one that ends it.
    Meanwhile(index.engine, 'TransactWriteItems', lose_and_load)
    with pytest.raises((errors.LeaseLost, errors.MissingTable)):
        index.engine.sync(lambda: STORE)
    assert others[1] is True
    assert_right(others[0])


@pytest.mark.parametrize('gone', [(0,), (2,)], ids=['repository', 'search'])
def test_nor_when_the_process_that_makes_them_is_killed_at_any_request(index, short_lease, gone):
    other, third, ends = index.another(), index.another(), []
    for count in itertools.count():
        del ends[:]

        def lose_and_die():
            lose(third, gone)
            KillAfter(other.engine, count)
            start._loading.clear()
            try:
                ends.append(other.ensure_ready(lambda: STORE))
            except Killed:
                ends.append('killed')

        with taken_back(index.engine), taken_back(other.engine):
            Meanwhile(index.engine, 'TransactWriteItems', lose_and_die)
            try:
                index.engine.sync(lambda: STORE)
            except (errors.LeaseLost, errors.RequestFailed):
                pass
        if third.engine.is_ready():
            assert is_right(third)
        start._loading.clear()
        assert third.ensure_ready(lambda: STORE) is True
        assert_right(third)
        if ends == [True]:
            # Every request of one that lives has been tried.
            assert count > 10
            return


def test_a_load_that_began_after_they_were_made_goes_on(index):
    """A process that saw them missing and is slow does not end the load of a faster one."""
    slow, fast = index.another(), []
    lose(index, (2,))

    def be_faster():
        fast.append(elsewhere(index))
        Meanwhile(fast[0].engine, 'Scan', lambda: go_on.wait(10))
        threads.append(threading.Thread(
            target=lambda: fast.append(fast[0].ensure_ready(lambda: STORE))))
        threads[0].start()
        deadline = time.time() + 10
        while 'lease' not in index.items(index.settings.version_table)[0]:
            assert time.time() < deadline
            time.sleep(0.02)

    go_on, threads, loads = threading.Event(), [], []
    # Just before it would write into them that nothing is ready.
    count = itertools.count()
    described = slow.engine.client.dynamodb.meta.events
    described.register('after-call.dynamodb.DescribeTable',
                       lambda **_: be_faster() if next(count) == 2 else None)

    def finish():
        ended.append(slow.ensure_ready(lambda: loads.append(1) or STORE))

    ended = []
    starting = threading.Thread(target=finish)
    starting.start()
    time.sleep(1)
    go_on.set()
    starting.join(20)
    threads[0].join(20)
    assert (ended, fast[1:], loads) == ([True], [True], [])
    assert_right(index)


# The only process

@every_combination
@pytest.mark.parametrize('moment', ['listing', 'asking', 'ending'])
def test_tables_lost_during_a_load_are_made_and_loaded_by_the_one_that_loads(
        index, hasty, gone, moment):
    def lose_once():
        if not begun:
            begun.append(1)
            lose(index, gone)
            lost.append(1)

    class Storage(Source):
        def namespaces(self):
            return ['all']

        def repositories(self, namespace):
            if moment == 'listing':
                lose_once()
            return STORE

        def has(self, name):
            if moment == 'asking':
                lose_once()
            return (name, None) in STORE

    begun, lost = [], []
    engine = index.another(push_wait=1, sync_interval=3600)
    if moment == 'ending':
        # All is there, so its first transaction is the one that ends it.
        Meanwhile(engine.engine, 'TransactWriteItems', lose_once)
    else:
        index.engine.add(GONE)
    sync_is_due(index)
    try:
        engine.engine.start(Storage())
        deadline = time.time() + 20
        while not lost:
            assert time.time() < deadline
            time.sleep(0.05)
        becomes_right(index, drive_by(engine, 0 in gone))
    finally:
        engine.engine.close()


def sync_is_due(index):
    index.engine.client.call(
        'update_item', TableName=index.settings.search_table, Key=READY_KEY,
        UpdateExpression='SET synced = :then, tried = :then',
        ExpressionAttributeValues={':then': {'N': '1000000000'}})


def drive_by(engine, pushes):
    """What clients do: a search; a push now and then."""
    def drive():
        try:
            engine.search('app')
        except errors.RequestFailed:
            pass
        if pushes:
            engine.engine.follow(NAMES[0], True)

    return drive


# Engines that rest

class Stored(Source):
    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return STORE

    def has(self, name):
        return (name, None) in STORE


@every_combination
def test_tables_lost_while_nothing_happens_are_made_and_loaded_again(index, hasty, gone):
    engine = index.another(push_wait=1)
    assert engine.engine.start(Stored()) is True
    try:
        lose(index, gone)
        becomes_right(index, drive_by(engine, pushes=True))
        # And pushes are made at once again.
        deadline = time.time() + 20
        while not engine.engine.follow(NAMES[1], True):
            assert time.time() < deadline
        assert_right(index)
    finally:
        engine.engine.close()
