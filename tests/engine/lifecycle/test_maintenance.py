"""What a process does in the background: when it checks, loads, syncs, waits and gives up."""

from __future__ import unicode_literals

import logging
import os
import threading
import time

import pytest

from docker_registry_index.engine import Settings, concurrency, errors
from docker_registry_index.engine.lifecycle.maintenance import Maintenance
from docker_registry_index.engine.lifecycle.start import RETRY
from docker_registry_index.engine.store.records import ReadyMarker
from tests.helpers.clock import Clock
from tests.helpers.waiting import more_threads, wait_until

UNAVAILABLE = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'unavailable',
                                   retryable=True)
NEWER = errors.NewerDatabase('t', 4, 3)
NOW = 1500000000


def made_at(seconds, complete=True):
    return ReadyMarker(3, 'number', seconds if complete else seconds - 999, seconds, {}, 0, False)


class Startup(object):
    """A Startup that returns what a test has set, and notes what it was asked. It replaces
    the class, too: called, it keeps the functions that it is given, and returns itself."""

    def __init__(self):
        self.load = self.sleep = None
        self.marker = None
        self.ready = False
        #: Raised by whatever is asked, as long as it is set.
        self.failure = None
        #: Whether another process loads.
        self.is_taken = False
        #: Called in each load.
        self.meanwhile = lambda: None
        self.asked = []

    def __call__(self, store, load, sleep, clock, wall_clock):
        self.load, self.sleep = load, sleep
        return self

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


class Store(object):
    def __init__(self, **more):
        self.settings = Settings(database='t', region='us-east-1', connect_timeout=0.2,
                                 read_timeout=0.2, attempts=1, **more)


@pytest.fixture
def start():
    return Startup()


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

    def make(interval=0, startup_wait=30, load=None):
        made.append(Maintenance(Store(sync_interval=interval, startup_wait=startup_wait),
                                load, clock, lambda: NOW + clock() - 1000, start))
        return made[-1]

    yield make
    for each in made:
        each.stop(5)
        with pytest.raises(errors.Stopped):
            start.sleep(0)


def logged(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


# Checks

def test_an_index_that_is_ready_is_checked_once_a_minute(make, ready, clock):
    it = make()
    assert 60 <= it.run_once(clock()) <= 66
    assert it.is_ready and not it.is_loading and ready.asked == ['is_ready']
    assert 60 <= it.run_once(clock()) <= 66
    assert ready.asked == ['is_ready'] * 2


def test_an_index_that_is_not_ready_is_made_ready_at_once(make, start, clock):
    it = make()
    assert it.run_once(clock()) == 0
    assert it.is_loading and not it.is_ready
    assert 60 <= it.run_once(clock()) <= 66
    assert it.is_ready and not it.is_loading
    assert start.asked == ['is_ready', 'ensure_ready']


def test_a_start_is_retried_while_dynamodb_is_unavailable_and_logged_once(
        make, start, caplog, clock):
    start.failure = UNAVAILABLE
    it = make()
    for longest in [1, 2, 4, 8, 16, 32, 60, 60]:
        assert 0.7 * longest <= it.run_once(clock()) <= longest
        assert not it.is_ready and not it.is_loading
    start.failure = None
    it.run_once(clock())
    assert it.is_ready
    [line] = logged(caplog)
    assert 'not ready' in line and 'unavailable' in line
    # The next outage is another one.
    it.check_soon()
    start.failure = UNAVAILABLE
    assert it.run_once(clock()) <= 1
    assert len(logged(caplog)) == 2


def test_checks_that_fail_leave_the_index_ready_and_are_logged_once(make, ready, caplog, clock):
    it = make()
    it.run_once(clock())
    ready.failure = UNAVAILABLE
    for _ in range(10):
        assert 0 < it.run_once(clock()) <= 60
        assert it.is_ready
    assert caplog.text.count('cannot be checked') == 1
    ready.failure = None
    assert 60 <= it.run_once(clock()) <= 66


def test_an_error_of_our_own_is_logged_with_its_traceback(make, start, caplog, clock):
    start.failure = KeyError('ours')
    it = make()
    assert it.run_once(clock()) <= 1
    assert 'Traceback' in caplog.text and "'ours'" in caplog.text


def test_while_another_process_loads_it_checks_again(make, start, clock):
    start.is_taken = True
    it = make()
    it.run_once(clock())
    for _ in range(3):
        assert it.run_once(clock()) == 5
        assert it.is_loading and not it.is_ready
    start.is_taken = False
    it.run_once(clock())
    assert it.is_ready


def test_a_load_that_was_taken_over_is_checked_again(make, start, caplog, clock):
    it = make()
    it.run_once(clock())
    start.failure = errors.LeaseLost('t')
    assert it.run_once(clock()) == 5
    assert 'took over the lease' in caplog.text and logged(caplog) == []
    start.failure = None
    it.run_once(clock())
    assert it.is_ready


def test_a_missing_table_is_made_as_soon_as_a_caller_reports_it(make, ready):
    it = make()
    assert it.start_and_wait(5) is True
    ready.ready = False
    it.check_soon()
    wait_until(lambda: it.is_ready)
    assert ready.asked == ['is_ready', 'ensure_ready']


# What callers wait for

def test_a_start_waits_until_the_index_is_ready(make, start):
    it = make()
    assert it.start_and_wait(5) is True and it.is_ready
    assert start.asked == ['is_ready', 'ensure_ready']


def test_a_start_waits_for_a_load_no_longer_than_it_may(make, start, caplog):
    goes_on = threading.Event()
    start.meanwhile = lambda: goes_on.wait(10)
    it = make()
    began = time.time()
    assert it.start_and_wait(0.2) is False
    assert 0.1 < time.time() - began < 2
    assert it.is_loading and 'still being loaded after' in caplog.text
    # Nor does a search wait: the start has waited.
    began = time.time()
    it.wait_until_usable()
    assert time.time() - began < 1
    goes_on.set()


def test_searches_wait_for_a_load_where_the_start_did_not(make, start, clock):
    goes_on = threading.Event()
    start.meanwhile = lambda: goes_on.wait(10)
    it = make(startup_wait=0.2)
    assert it.start_and_wait(0) is False
    wait_until(lambda: it.is_loading)
    began = time.time()
    it.wait_until_usable()
    assert 0.15 < time.time() - began < 5
    # All of them together no longer than a start does.
    clock.advance(0.2)
    began = time.time()
    it.wait_until_usable()
    assert time.time() - began < 0.15
    goes_on.set()


def test_a_caller_waits_for_a_check_no_longer_than_an_attempt_may_take(make, ready):
    goes_on = threading.Event()
    ready.is_ready = lambda: goes_on.wait(10)
    it = make()
    began = time.time()
    assert it.start_and_wait(0) is False
    assert time.time() - began < 0.3
    it.wait_until_usable()
    assert 0.3 < time.time() - began < 3
    # A start waits for the response to a request that fails, and logs the reason.
    assert it.start_and_wait(30) is False
    assert 1 < time.time() - began < 6
    assert not it.is_loading
    goes_on.set()
    wait_until(lambda: it.is_ready)
    it.wait_until_usable()


def test_the_next_call_begins_the_maintenance_if_no_thread_could_be_started(
        make, start, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(concurrency, 'start_thread', lambda *_: None)
        it = make()
        assert it.start_and_wait(30) is False
        assert 'no thread is left' in caplog.text and start.asked == []
    it.start()
    wait_until(lambda: it.is_ready)
    it.start()
    it.wait_until_usable()
    assert start.asked == ['is_ready', 'ensure_ready']


# What only a person can change

def test_an_index_of_a_newer_release_stops_the_start(make, start):
    start.failure = NEWER
    it = make()
    with pytest.raises(errors.NewerDatabase):
        it.start_and_wait(5)
    assert it.is_stopped


@pytest.mark.parametrize('failure', [
    NEWER, errors.ForeignDatabase('t', 'has the keys id (HASH, S)'),
    errors.SettingError('access_key', None, 'cannot be used', 'correct it')])
def test_an_index_that_becomes_unusable_is_noticed_and_works_again_once_corrected(
        make, ready, caplog, failure, clock, no_threads):
    caplog.set_level(logging.INFO)
    it = make()
    it.run_once(clock())
    it.wait_until_usable()
    ready.failure = failure
    for _ in range(3):
        assert it.run_once(clock()) == 60
        with pytest.raises(type(failure)):
            it.wait_until_usable()
        assert not it.is_ready and not it.is_loading
    assert caplog.text.count('cannot be used until') == 1
    ready.failure = None
    it.run_once(clock())
    it.wait_until_usable()
    assert it.is_ready and caplog.text.count('can be used again') == 1


def test_an_error_that_is_raised_again_and_again_does_not_grow(make, start, clock, no_threads):
    start.failure = NEWER
    it = make()
    it.run_once(clock())
    lengths = []
    for _ in range(3):
        with pytest.raises(errors.NewerDatabase) as raised:
            it.wait_until_usable()
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
    pause = it.run_once(clock())
    assert (pause == 0) is loads
    it.run_once(clock())
    assert ready.asked.count('load') == loads


def test_the_next_check_is_no_later_than_the_next_sync(make, ready, clock):
    ready.marker = made_at(NOW - 3590)
    it = make(3600)
    assert 10 <= it.run_once(clock()) <= 11
    clock.advance(11)
    it.run_once(clock())
    assert ready.asked.count('load') == 1


def test_a_sync_that_another_process_has_made_is_not_made_again(make, ready, clock):
    ready.marker = made_at(NOW - 7200)
    it = make(3600)
    assert it.run_once(clock()) == 0
    ready.marker = made_at(NOW)
    assert it.run_once(clock()) >= 60
    assert ready.asked == ['is_ready', 'is_ready']


def test_a_sync_that_another_process_ended_during_the_wait_for_the_lease_is_not_made(
        make, ready, clock):
    ready.marker = made_at(NOW - 7200)
    it = make(3600)
    it.run_once(clock())
    sync = ready.sync

    def late(is_due):
        ready.marker = made_at(NOW)
        sync(is_due)

    ready.sync = late
    it.run_once(clock())
    assert ready.asked.count('sync') == 1 and 'load' not in ready.asked


def test_a_sync_can_be_asked_for_and_is_made_once(make, ready):
    it = make()
    assert it.start_and_wait(5) is True
    it.sync_soon()
    wait_until(lambda: 'load' in ready.asked)
    it.stop(5)
    assert it.run_once(1000) >= 60
    assert ready.asked.count('load') == 1


def test_a_sync_that_is_asked_for_during_another_is_made_after_it(make, ready, clock):
    it = make()
    it.run_once(clock())
    it.sync_soon()
    ready.meanwhile = it.sync_soon
    assert it.run_once(clock()) == 0
    ready.meanwhile = lambda: None
    assert it.run_once(clock()) >= 60
    assert ready.asked.count('load') == 2


def test_a_sync_that_is_asked_for_while_another_process_loads_is_made_later(make, ready, clock):
    it = make()
    it.run_once(clock())
    it.sync_soon()
    ready.is_taken = True
    assert 5 <= it.run_once(clock()) <= 65
    ready.is_taken = False
    it.run_once(clock())
    assert ready.asked.count('load') == 1


@pytest.mark.parametrize('is_asked_for', [True, False])
def test_a_failed_sync_leaves_the_index_ready_and_is_retried_after_ever_longer_pauses(
        make, ready, clock, caplog, is_asked_for):
    ready.marker = made_at(NOW if is_asked_for else NOW - 7200)
    sync = ready.sync

    def failing(is_due):
        attempts.append(clock.now)
        raise UNAVAILABLE

    ready.sync, attempts = failing, []
    it = make(3600)
    it.run_once(clock())
    if is_asked_for:
        it.sync_soon()
    while len(attempts) < 13:
        clock.advance(max(0.01, it.run_once(clock())))
        assert it.is_ready
    pauses = [after - before for before, after in zip(attempts, attempts[1:])]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, RETRY, RETRY]):
        # It checks once a minute at least, and never later than the sync by a tenth.
        assert 0.7 * longest <= pause <= 1.1 * longest + 0.1, pauses
    [line] = logged(caplog)
    assert 'sync' in line and 'unavailable' in line
    ready.sync = sync
    while 'load' not in ready.asked:
        clock.advance(max(0.01, it.run_once(clock())))
    assert 0.7 * RETRY <= clock.now - attempts[-1] <= 1.2 * RETRY


# The end, and a fork

def test_a_load_under_way_is_stopped_and_waited_for(make, start):
    ended, began, stopping = [], threading.Event(), threading.Event()

    def load(heartbeat):
        began.set()
        try:
            while True:
                heartbeat()
                stopping.wait(0.01)
        finally:
            ended.append(True)

    it = make(load=load)
    start.meanwhile = lambda: start.load(lambda: None)
    it.start()
    assert began.wait(10)
    it.stop(5)
    assert ended == [True] and not it.is_ready
    it.start()
    assert start.asked == ['is_ready', 'ensure_ready']


def test_a_forked_process_does_nothing_more(make, ready, monkeypatch):
    threads = more_threads()
    it = make()
    assert it.start_and_wait(5) is True and not it.is_stopped
    parent = os.getpid()
    # Greenlets live on there.
    monkeypatch.setattr(os, 'getpid', lambda: parent + 1)
    it.check_soon()
    wait_until(lambda: threads() == 0)
    assert it.is_stopped and ready.asked == ['is_ready']
    with pytest.raises(errors.Stopped):
        ready.sleep(0.1)
