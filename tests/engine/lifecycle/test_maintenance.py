"""What a process does in the background: when it looks, loads, syncs, waits and gives up."""

from __future__ import unicode_literals

import logging
import os
import threading
import time

import pytest

from docker_registry_index.engine import Settings, Source, concurrency, errors, index as door
from docker_registry_index.engine.lifecycle import maintenance
from docker_registry_index.engine.lifecycle.maintenance import Maintenance
from docker_registry_index.engine.lifecycle.start import RETRY
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import READY_KEY, VERSION_KEY, ReadyMarker
from tests.helpers.network import listening
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import wait_until

UNAVAILABLE = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'unavailable',
                                   retryable=True)
NEWER = errors.NewerDatabase('t', 4, 3)
NOW = 1500000000
STORED = [('team/web-api', 'the door'), ('team/worker', None), ('library/nginx', None)]
NAMES = sorted(name for name, _ in STORED)


def made_at(seconds, complete=True):
    return ReadyMarker(3, 'number', seconds if complete else seconds - 999, seconds, {}, 0, False)


class Start(object):
    """Returns what a test has set, and notes what it was asked."""

    def __init__(self):
        self.marker = None
        self.ready = False
        #: Raised by whatever is asked, as long as it is set.
        self.failure = None
        #: Whether another process loads.
        self.is_taken = False
        #: Called in each load.
        self.meanwhile = lambda: None
        self.asked = []

    def is_ready(self):
        self._ask('is_ready')
        return self.ready

    def ensure_ready(self):
        self._ask('ensure_ready')
        if not self.is_taken:
            self.meanwhile()
            self.ready, self.marker = True, made_at(NOW)
        return self.ready

    def sync(self, is_due):
        self._ask('sync')
        if self.is_taken:
            raise errors.LeaseTaken('t', 5)
        if is_due(self.marker):
            self.meanwhile()
            self.marker = made_at(NOW)
            self.asked.append('load')

    def _ask(self, what):
        self.asked.append(what)
        if self.failure:
            raise self.failure


class Clock(object):
    now = 1000.0

    def __call__(self):
        return self.now

    def wall(self):
        return NOW + self.now - 1000


class Store(object):
    def __init__(self, **more):
        self.settings = Settings(database='t', region='us-east-1', connect_timeout=0.2,
                                 read_timeout=0.2, attempts=1, **more)


@pytest.fixture
def start(monkeypatch):
    made = Start()
    monkeypatch.setattr(maintenance, 'Start', lambda *_: made)
    return made


@pytest.fixture
def ready(start):
    start.ready, start.marker = True, made_at(NOW)
    return start


@pytest.fixture
def no_threads(monkeypatch):
    """Only the test calls run_once."""
    monkeypatch.setattr(concurrency, 'start_thread', lambda *_: None)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(start, clock):
    """A function that makes a Maintenance; all are stopped after the test."""
    made = []

    def make(interval=0, startup_wait=30):
        made.append(Maintenance(Store(sync_interval=interval, startup_wait=startup_wait), None,
                                clock, clock.wall))
        return made[-1]

    yield make
    for each in made:
        each.stop(5)
        with pytest.raises(errors.Stopped):
            each._check_running()


def logged(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# Looks

def test_an_index_that_is_ready_is_checked_once_a_minute(make, ready, clock):
    it = make()
    assert 60 <= it.run_once(clock.now) <= 66
    assert it.is_ready and not it.is_loading and ready.asked == ['is_ready']
    assert 60 <= it.run_once(clock.now) <= 66
    assert ready.asked == ['is_ready'] * 2


def test_one_that_is_not_ready_is_made_ready_at_once(make, start, clock):
    it = make()
    assert it.run_once(clock.now) == 0
    assert it.is_loading and not it.is_ready
    assert 60 <= it.run_once(clock.now) <= 66
    assert it.is_ready and not it.is_loading
    assert start.asked == ['is_ready', 'ensure_ready']


def test_unavailable_it_is_tried_again_until_it_works_and_logged_once(make, start, caplog, clock):
    start.failure = UNAVAILABLE
    it = make()
    for longest in [1, 2, 4, 8, 16, 32, 60, 60]:
        assert 0.7 * longest <= it.run_once(clock.now) <= longest
        assert not it.is_ready and not it.is_loading
    start.failure = None
    it.run_once(clock.now)
    assert it.is_ready
    [line] = logged(caplog)
    assert 'not ready' in line and 'unavailable' in line
    # The next outage is another one.
    it.check_soon()
    start.failure = UNAVAILABLE
    assert it.run_once(clock.now) <= 1
    assert len(logged(caplog)) == 2


def test_checks_that_fail_leave_the_index_ready_and_are_logged_once(make, ready, caplog, clock):
    it = make()
    it.run_once(clock.now)
    ready.failure = UNAVAILABLE
    for _ in range(10):
        assert 0 < it.run_once(clock.now) <= 60
        assert it.is_ready
    assert caplog.text.count('cannot be checked') == 1
    ready.failure = None
    assert 60 <= it.run_once(clock.now) <= 66


def test_an_error_of_our_own_is_logged_with_its_traceback(make, start, caplog, clock):
    start.failure = KeyError('ours')
    it = make()
    assert it.run_once(clock.now) <= 1
    assert 'Traceback' in caplog.text and "'ours'" in caplog.text


def test_while_another_process_loads_it_checks_again(make, start, clock):
    start.is_taken = True
    it = make()
    it.run_once(clock.now)
    for _ in range(3):
        assert it.run_once(clock.now) == 5
        assert it.is_loading and not it.is_ready
    start.is_taken = False
    it.run_once(clock.now)
    assert it.is_ready


def test_a_load_that_was_taken_over_is_checked_again(make, start, caplog, clock):
    it = make()
    it.run_once(clock.now)
    start.failure = errors.LeaseLost('t')
    assert it.run_once(clock.now) == 5
    assert 'taken over' in caplog.text and logged(caplog) == []
    start.failure = None
    it.run_once(clock.now)
    assert it.is_ready


def test_what_is_missing_is_made_as_soon_as_somebody_reports_it(make, ready):
    it = make()
    assert it.begin_and_wait(5) is True
    ready.ready = False
    it.check_soon()
    wait_until(lambda: it.is_ready)
    assert ready.asked == ['is_ready', 'ensure_ready']


# What callers wait for

def test_a_start_waits_until_the_index_is_ready(make, start):
    it = make()
    assert it.begin_and_wait(5) is True and it.is_ready
    assert start.asked == ['is_ready', 'ensure_ready']


def test_a_start_waits_for_a_load_no_longer_than_it_may(make, start, caplog):
    goes_on = threading.Event()
    start.meanwhile = lambda: goes_on.wait(10)
    it = make()
    began = time.time()
    assert it.begin_and_wait(0.3) is False
    assert 0.2 < time.time() - began < 2
    assert it.is_loading and 'still being loaded after' in caplog.text
    # Nor does a search wait: the start has waited.
    began = time.time()
    it.check_usable()
    assert time.time() - began < 1
    goes_on.set()


def test_searches_wait_for_a_load_where_the_start_did_not(make, start, clock):
    goes_on = threading.Event()
    start.meanwhile = lambda: goes_on.wait(10)
    it = make(startup_wait=1)
    assert it.begin_and_wait(0) is False
    wait_until(lambda: it.is_loading)
    began = time.time()
    it.check_usable()
    assert 0.9 < time.time() - began < 5
    # All of them together no longer than a start does.
    clock.now += 1
    began = time.time()
    it.check_usable()
    assert time.time() - began < 0.5
    goes_on.set()


def test_a_caller_waits_for_a_check_no_longer_than_an_attempt_may_take(make, ready):
    goes_on = threading.Event()
    ready.is_ready = lambda: goes_on.wait(10)
    it = make()
    began = time.time()
    assert it.begin_and_wait(0) is False
    assert time.time() - began < 0.3
    it.check_usable()
    assert 0.3 < time.time() - began < 3
    # A start waits for the response to a request that fails, and says why.
    assert it.begin_and_wait(30) is False
    assert 1 < time.time() - began < 6
    assert not it.is_loading
    goes_on.set()
    wait_until(lambda: it.is_ready)
    it.check_usable()


def test_without_a_thread_it_is_begun_again_by_the_next_who_comes(make, start, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(concurrency, 'start_thread', lambda *_: None)
        it = make()
        assert it.begin_and_wait(30) is False
        assert 'no thread is left' in caplog.text and start.asked == []
    it.begin()
    wait_until(lambda: it.is_ready)
    it.begin()
    it.check_usable()
    assert start.asked == ['is_ready', 'ensure_ready']


# What only a person can change

def test_an_index_of_a_newer_release_stops_the_start(make, start):
    start.failure = NEWER
    it = make()
    with pytest.raises(errors.NewerDatabase):
        it.begin_and_wait(5)
    assert it._loop.is_over


@pytest.mark.parametrize('failure', [
    NEWER, errors.ForeignDatabase('t', 'has the keys id (HASH, S)'),
    errors.SettingError('access_key', None, 'cannot be used', 'correct it')])
def test_one_that_cannot_be_used_any_more_is_noticed_and_works_again_when_it_can(
        make, ready, caplog, failure, clock, no_threads):
    caplog.set_level(logging.INFO)
    it = make()
    it.run_once(clock.now)
    it.check_usable()
    ready.failure = failure
    for _ in range(3):
        assert it.run_once(clock.now) == 60
        with pytest.raises(type(failure)):
            it.check_usable()
        assert not it.is_ready and not it.is_loading
    assert caplog.text.count('cannot be used until') == 1
    ready.failure = None
    it.run_once(clock.now)
    it.check_usable()
    assert it.is_ready and caplog.text.count('can be used again') == 1


def test_an_error_that_is_raised_again_and_again_does_not_grow(make, start, clock, no_threads):
    start.failure = NEWER
    it = make()
    it.run_once(clock.now)
    lengths = []
    for _ in range(3):
        with pytest.raises(errors.NewerDatabase) as raised:
            it.check_usable()
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1


# Syncs

@pytest.mark.parametrize('interval, marker, loads', [
    (3600, made_at(NOW - 3600), True),
    (3600, made_at(NOW - 3500), False),
    (0, made_at(NOW - 10 ** 6), False),
    # One that was not complete is made again after ten minutes.
    (3600, made_at(NOW - 600, complete=False), True),
    (3600, made_at(NOW - 500, complete=False), False),
    # And so is the first one that found rows of other releases.
    (3600, made_at(NOW - 600)._replace(resync=True), True),
    (3600, made_at(NOW - 500)._replace(resync=True), False)])
def test_a_sync_is_made_when_it_is_due(make, ready, interval, marker, loads, clock):
    ready.marker = marker
    it = make(interval)
    pause = it.run_once(clock.now)
    assert (pause == 0) is loads
    it.run_once(clock.now)
    assert ready.asked.count('load') == loads


def test_the_next_check_is_no_later_than_the_next_sync(make, ready, clock):
    ready.marker = made_at(NOW - 3590)
    it = make(3600)
    assert 10 <= it.run_once(clock.now) <= 11
    clock.now += 11
    it.run_once(clock.now)
    assert ready.asked.count('load') == 1


def test_a_sync_that_another_process_has_made_is_not_made_again(make, ready, clock):
    ready.marker = made_at(NOW - 7200)
    it = make(3600)
    assert it.run_once(clock.now) == 0
    ready.marker = made_at(NOW)
    assert it.run_once(clock.now) >= 60
    assert ready.asked == ['is_ready', 'is_ready']


def test_nor_is_one_that_ended_while_the_lease_was_waited_for(make, ready, clock):
    ready.marker = made_at(NOW - 7200)
    it = make(3600)
    it.run_once(clock.now)
    sync = ready.sync

    def late(is_due):
        ready.marker = made_at(NOW)
        sync(is_due)

    ready.sync = late
    it.run_once(clock.now)
    assert ready.asked.count('sync') == 1 and 'load' not in ready.asked


def test_a_sync_can_be_asked_for_and_is_made_once(make, ready):
    it = make()
    assert it.begin_and_wait(5) is True
    it.sync_soon()
    wait_until(lambda: 'load' in ready.asked)
    time.sleep(0.1)
    assert ready.asked.count('load') == 1


def test_a_sync_that_is_asked_for_during_another_is_made_after_it(make, ready, clock):
    it = make()
    it.run_once(clock.now)
    it.sync_soon()
    ready.meanwhile = it.sync_soon
    assert it.run_once(clock.now) == 0
    ready.meanwhile = lambda: None
    assert it.run_once(clock.now) >= 60
    assert ready.asked.count('load') == 2


def test_one_that_is_asked_for_while_another_process_loads_is_made_later(make, ready, clock):
    it = make()
    it.run_once(clock.now)
    it.sync_soon()
    ready.is_taken = True
    assert 5 <= it.run_once(clock.now) <= 65
    ready.is_taken = False
    it.run_once(clock.now)
    assert ready.asked.count('load') == 1


@pytest.mark.parametrize('is_asked_for', [True, False])
def test_a_sync_that_fails_leaves_the_index_ready_and_is_tried_again_after_ever_longer_pauses(
        make, ready, clock, caplog, is_asked_for):
    ready.marker = made_at(NOW if is_asked_for else NOW - 7200)
    sync = ready.sync

    def failing(is_due):
        attempts.append(clock.now)
        raise UNAVAILABLE

    ready.sync, attempts = failing, []
    it = make(3600)
    it.run_once(clock.now)
    if is_asked_for:
        it.sync_soon()
    while len(attempts) < 13:
        clock.now += max(0.01, it.run_once(clock.now))
        assert it.is_ready
    pauses = [after - before for before, after in zip(attempts, attempts[1:])]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, RETRY, RETRY]):
        # It looks once a minute at least, and never later than the sync by a tenth.
        assert 0.7 * longest <= pause <= 1.1 * longest + 0.1, pauses
    [line] = logged(caplog)
    assert 'sync' in line and 'unavailable' in line
    ready.sync = sync
    while 'load' not in ready.asked:
        clock.now += max(0.01, it.run_once(clock.now))
    assert 0.7 * RETRY <= clock.now - attempts[-1] <= 1.2 * RETRY


# The end, and a fork

def test_a_load_under_way_is_stopped_and_waited_for(make, start, monkeypatch):
    ended, began = [], threading.Event()

    def load(heartbeat):
        began.set()
        try:
            while True:
                heartbeat()
                time.sleep(0.01)
        finally:
            time.sleep(0.2)
            ended.append(True)

    it = Maintenance(Store(), load, wall_clock=lambda: NOW)
    start.meanwhile = lambda: it._load_while_running(lambda: None)
    it.begin()
    assert began.wait(10)
    it.stop(5)
    assert ended == [True] and not it.is_ready
    it.begin()
    time.sleep(0.1)
    assert start.asked == ['is_ready', 'ensure_ready']


def test_a_process_that_is_forked_does_nothing_more(make, ready, monkeypatch):
    it = make()
    assert it.begin_and_wait(5) is True and not it.is_over
    parent = os.getpid()
    # Greenlets live on there.
    monkeypatch.setattr(os, 'getpid', lambda: parent + 1)
    it.check_soon()
    time.sleep(0.2)
    assert it.is_over and ready.asked == ['is_ready']
    with pytest.raises(errors.Stopped):
        it._sleep(0.1)
    monkeypatch.undo()


# An index that lives as long as its process

@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.engine.close()
    made.another().delete_tables()


def test_a_warm_start_is_one_batch_of_reads_and_nothing_after_it(index):
    index.ready(STORED)
    other = index.another()
    made = RequestsMade(other.engine)
    assert other.engine.start(lambda: STORED) is True
    time.sleep(0.3)
    assert made.operations == ['BatchGetItem']
    assert other.engine.ready and other.engine.complete
    other.engine.close()


def test_a_start_that_must_not_wait_makes_no_request_itself(index):
    index.ready(STORED)
    other, threads = index.another(), []
    other.engine.client.dynamodb.meta.events.register(
        'before-call.dynamodb', lambda **_: threads.append(threading.current_thread()))
    assert other.engine.start(lambda: STORED, 0) is False
    assert threading.current_thread() not in threads
    assert sorted(name for name, _ in other.search('')) == NAMES
    other.engine.close()


def test_the_first_searches_wait_for_a_load_where_the_start_did_not(index):
    def slowly():
        time.sleep(0.5)
        return STORED

    assert index.engine.start(slowly, 0) is False
    assert sorted(name for name, _ in index.search('')) == NAMES


def test_a_start_waits_no_longer_than_it_may_for_a_response():
    with listening(None) as url:
        hidden = EngineIndex(url, connect_timeout=20, read_timeout=20)
        began = time.time()
        try:
            assert hidden.engine.start(lambda: STORED, 0.5) is False
            assert time.time() - began < 5
        finally:
            hidden.engine.close()


NEWER_FORMAT = {'N': str(postings.FORMAT + 1)}


def write_newer(index, place):
    """Have the tables say that a newer release has loaded them; return what takes that back."""
    settings = index.settings
    table, key = ((settings.version_table, VERSION_KEY) if place == 'version row' else
                  (settings.search_table, READY_KEY))
    before = index.store.get(table, key)
    index.store.call('put_item', TableName=table, Item=dict(before, format=NEWER_FORMAT))
    return lambda: index.store.call('put_item', TableName=table, Item=before)


places = pytest.mark.parametrize('place', ['version row', 'ready marker'])


@places
@pytest.mark.parametrize('wait', [0, 30])
def test_an_index_of_a_newer_release_is_never_searched(index, place, wait):
    index.ready(STORED)
    write_newer(index, place)
    older = index.another()
    if wait:
        with pytest.raises(errors.NewerDatabase):
            older.engine.start(lambda: STORED, wait)
    else:
        assert older.engine.start(lambda: STORED, wait) is False
        with pytest.raises(errors.NewerDatabase):
            older.search('')
    older.engine.close()


@places
def test_one_that_a_newer_release_takes_over_is_refused_until_it_is_given_back(
        index, monkeypatch, place):
    monkeypatch.setattr(maintenance, '_CHECK_EVERY', 0.1)
    assert index.engine.start(lambda: STORED) is True
    assert len(index.search('')) == len(STORED)
    take_back = write_newer(index, place)

    def is_refused():
        try:
            index.search('')
        except errors.NewerDatabase:
            return True
        return False

    wait_until(is_refused)
    with pytest.raises(errors.NewerDatabase):
        index.names()
    # Pushes go on, and the newer release's next load finds them.
    assert index.engine.follow('team/pushed', True) is True
    take_back()
    wait_until(lambda: not is_refused())
    assert len(index.search('')) == len(STORED) + 1


def test_a_process_that_is_forked_sends_nothing_of_its_parent(index):
    index.ready(STORED)
    client = index.engine.client
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            client.call('scan', TableName=index.settings.version_table)
        except BaseException as error:
            os.write(writes, type(error).__name__.encode('ascii'))
        finally:
            os._exit(0)
    os.close(writes)
    os.waitpid(child, 0)
    assert os.read(reads, 100) == b'Stopped'
    os.close(reads)
    assert len(index.search('')) == len(STORED)


class Hanging(Source):
    """A storage of two namespaces: of one of them, it says nothing."""

    def __init__(self):
        self.answers = threading.Event()

    def namespaces(self):
        return []

    def has(self, name):
        return not name.startswith('hangs/') or self.answers.wait(60)


def test_a_storage_that_hangs_keeps_only_so_many_threads(index, monkeypatch):
    monkeypatch.setattr(door, '_ANSWER_SECONDS', 0.3)
    storage = Hanging()
    index.engine.start(storage)
    reconcile, threads = index.engine._queue._reconcile, threading.active_count()
    for number in range(20):
        with pytest.raises(errors.StorageUnreadable):
            reconcile('hangs/%d' % number)
    assert threading.active_count() - threads <= door._UNANSWERED
    # No longer asked, until some of the answers are there.
    began = time.time()
    with pytest.raises(errors.StorageUnreadable):
        reconcile('hangs/20')
    assert time.time() - began < 0.2
    storage.answers.set()
    wait_until(lambda: not reconcile.__self__._source._asked)
    reconcile('hangs/1')
    reconcile('team/app')
    assert index.names() == ['hangs/1', 'team/app']
