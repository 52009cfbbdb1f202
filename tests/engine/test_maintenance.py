"""What a process does in the background: when it looks, loads, syncs, waits and gives up."""

from __future__ import unicode_literals

import logging
import threading
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.lifecycle import maintenance
from docker_registry_index.engine.store.ready_marker import Mark
from docker_registry_index.engine.lifecycle.maintenance import Upkeep

AWAY = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'away',
                            retryable=True)
NEWER = errors.NewerDatabase('t', 2, 1)
NOW = 1500000000


class Startup(object):
    """Says what it is told to, and notes what it was asked."""

    def __init__(self):
        self.mark = None
        self.ready = False
        #: Raised by whatever is asked, as long as it is set.
        self.failure = None
        #: Whether another process loads.
        self.is_taken = False
        self.asked = []

    def is_ready(self):
        self._ask('is_ready')
        return self.ready

    def ensure_ready(self):
        self._ask('ensure_ready')
        if not self.is_taken:
            self.ready, self.mark = True, made_at(NOW)
        return self.ready

    def sync(self, is_due):
        self._ask('sync')
        if self.is_taken:
            raise errors.LeaseTaken('t', 5)
        if is_due(self.mark):
            self.mark = made_at(NOW)
            self.asked.append('load')

    def _ask(self, what):
        self.asked.append(what)
        if self.failure:
            raise self.failure


def made_at(seconds, complete=True):
    return Mark(1, 'number', seconds if complete else seconds - 999, seconds,
                {})


@pytest.fixture
def startup():
    return Startup()


@pytest.fixture
def begun(startup, monkeypatch):
    """A function that begins an Upkeep; all end with the test."""
    monkeypatch.setattr(maintenance, '_NAP', 0.01)
    monkeypatch.setattr(maintenance, '_FIRST_PAUSE', 0.05)
    monkeypatch.setattr(maintenance, '_LOOK_AGAIN', 0.05)
    made = []

    def begin(interval=0, now=NOW):
        made.append(Upkeep(startup, interval, wall_clock=lambda: now))
        made[-1].begin()
        return made[-1]

    yield begin
    for each in made:
        each.stop(5)
        with pytest.raises(errors.Stopped):
            each.check()


def wait_until(holds, seconds=10):
    deadline = time.time() + seconds
    while not holds():
        assert time.time() < deadline
        time.sleep(0.01)


def test_an_index_that_is_ready_is_asked_for_once(begun, startup):
    startup.ready, startup.mark = True, made_at(NOW)
    it = begun()
    assert it.wait(5, 5) is True and it.is_ready
    time.sleep(0.1)
    assert startup.asked == ['is_ready']


def test_one_that_is_not_is_made_ready(begun, startup):
    it = begun()
    assert it.wait(5, 5) is True and it.is_ready
    assert startup.asked == ['is_ready', 'ensure_ready']


def test_who_waits_does_not_wait_longer_than_told(begun, startup):
    held = threading.Event()
    startup.ensure_ready = lambda: held.wait(10)
    it = begun()
    started = time.time()
    assert it.wait(0.2, 5) is False
    assert 0.1 < time.time() - started < 2
    assert it.is_loading
    held.set()


def test_who_does_not_hear_whether_a_load_is_needed_waits_no_longer(
        begun, startup):
    held = threading.Event()
    startup.is_ready = lambda: held.wait(10)
    it = begun()
    started = time.time()
    assert it.wait(0, 0) is False
    assert time.time() - started < 1
    assert it.wait(30, 0.2) is False
    assert 0.1 < time.time() - started < 3
    assert not it.is_loading
    held.set()
    assert it.wait(5, 5) is True


def test_without_a_thread_it_is_begun_again_by_the_next_who_comes(
        begun, startup, monkeypatch, caplog):
    monkeypatch.setattr(maintenance, 'start_thread', lambda run: None)
    it = begun()
    assert it.wait(30, 30) is False
    assert 'no thread is left' in caplog.text and startup.asked == []
    monkeypatch.undo()
    it.begin()
    wait_until(lambda: startup.asked)
    it.begin()
    assert it.wait(5, 5) is True
    assert startup.asked == ['is_ready', 'ensure_ready']


def test_away_it_is_tried_again_until_it_works_and_said_once(
        begun, startup, caplog):
    startup.failure = AWAY
    it = begun()
    assert it.wait(30, 30) is False
    wait_until(lambda: len(startup.asked) > 3)
    assert it.is_ready is False and it.wait(30, 30) is False
    startup.failure = None
    wait_until(lambda: it.is_ready)
    said = [record.getMessage() for record in caplog.records
            if record.levelno >= logging.ERROR]
    assert len(said) == 1 and 'not ready' in said[0] and 'away' in said[0]


def test_an_index_of_a_newer_release_is_told_at_the_start(begun, startup):
    startup.failure = NEWER
    it = begun()
    with pytest.raises(errors.NewerDatabase):
        it.wait(5, 5)


def test_one_that_becomes_newer_is_noticed_and_works_again_when_it_is_not(
        begun, startup, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(maintenance, '_LOOK_EVERY', 0.05)
    startup.ready, startup.mark = True, made_at(NOW)
    it = begun()
    assert it.wait(5, 5) is True
    startup.failure = NEWER
    wait_until(lambda: it.unusable)
    for _ in range(3):
        with pytest.raises(errors.NewerDatabase):
            it.wait(0, 5)
    count = len(startup.asked)
    wait_until(lambda: len(startup.asked) > count + 2)
    assert caplog.text.count('cannot be used') == 1
    startup.failure = None
    wait_until(lambda: it.is_ready)
    assert it.wait(0, 5) is True
    assert caplog.text.count('can be used again') == 1


def test_an_error_that_is_raised_again_and_again_does_not_grow(
        begun, startup):
    startup.failure = NEWER
    it = begun()
    wait_until(lambda: it.unusable)
    lengths = []
    for _ in range(3):
        with pytest.raises(errors.NewerDatabase) as raised:
            it.wait(0, 5)
        lengths.append(len(raised.traceback))
    assert len(set(lengths)) == 1


def test_looks_that_fail_leave_the_index_ready_and_are_said_once(
        begun, startup, monkeypatch, caplog):
    monkeypatch.setattr(maintenance, '_LOOK_EVERY', 0.02)
    startup.ready, startup.mark = True, made_at(NOW)
    it = begun()
    assert it.wait(5, 5) is True
    startup.failure = AWAY
    count = len(startup.asked)
    wait_until(lambda: len(startup.asked) > count + 3)
    assert it.is_ready and it.wait(0, 5) is True
    assert caplog.text.count('cannot be looked at') == 1


def test_while_another_process_loads_it_looks_again(begun, startup):
    startup.is_taken = True
    it = begun()
    wait_until(lambda: startup.asked.count('ensure_ready') > 2)
    assert it.is_ready is False
    startup.is_taken = False
    wait_until(lambda: it.is_ready)


def test_what_is_missing_is_looked_at_when_somebody_says_so(begun, startup):
    startup.ready, startup.mark = True, made_at(NOW)
    it = begun()
    startup.ready = False
    it.look()
    wait_until(lambda: it.is_ready)
    assert startup.asked == ['is_ready', 'ensure_ready']


@pytest.mark.parametrize('interval, mark, loads', [
    (3600, made_at(NOW - 3600), True),
    (3600, made_at(NOW - 3500), False),
    (0, made_at(NOW - 10 ** 6), False),
    # One that was not complete is made again after ten minutes.
    (3600, made_at(NOW - 600, complete=False), True),
    (3600, made_at(NOW - 500, complete=False), False)])
def test_a_sync_is_made_when_it_is_due(begun, startup, interval, mark, loads):
    startup.ready, startup.mark = True, mark
    begun(interval)
    if loads:
        wait_until(lambda: 'load' in startup.asked)
    else:
        time.sleep(0.2)
    assert startup.asked.count('load') == loads


def test_a_sync_that_another_process_has_made_is_not_made_again(
        begun, startup):
    startup.ready, startup.mark = True, made_at(NOW - 7200)
    is_ready = startup.is_ready

    def seen():
        found = is_ready()
        if len(startup.asked) > 1:
            startup.mark = made_at(NOW)
        return found

    startup.is_ready = seen
    begun(3600)
    wait_until(lambda: len(startup.asked) > 1)
    time.sleep(0.1)
    assert startup.asked == ['is_ready', 'is_ready']


def test_a_sync_that_is_asked_for_during_another_is_made_after_it(
        begun, startup):
    startup.ready, startup.mark = True, made_at(NOW)
    sync, began, goes_on = startup.sync, threading.Event(), threading.Event()

    def slow(is_due):
        began.set()
        assert goes_on.wait(30)
        sync(is_due)

    startup.sync = slow
    it = begun()
    it.sync_soon()
    assert began.wait(10)
    it.sync_soon()
    goes_on.set()
    wait_until(lambda: startup.asked.count('load') == 2)
    time.sleep(0.1)
    assert startup.asked.count('load') == 2


def test_a_sync_can_be_asked_for(begun, startup):
    startup.ready, startup.mark = True, made_at(NOW)
    it = begun()
    it.sync_soon()
    wait_until(lambda: 'load' in startup.asked)
    time.sleep(0.1)
    assert startup.asked.count('load') == 1


def test_a_sync_that_fails_leaves_the_index_ready_and_is_tried_again(
        begun, startup, caplog):
    startup.ready, startup.mark = True, made_at(NOW - 7200)
    sync, failures = startup.sync, [AWAY] * 3

    def failing(is_due):
        if failures:
            raise failures.pop()
        sync(is_due)

    startup.sync = failing
    it = begun(3600)
    wait_until(lambda: 'load' in startup.asked)
    assert it.is_ready and failures == []
    said = [record.getMessage() for record in caplog.records
            if record.levelno >= logging.ERROR]
    assert len(said) == 1 and 'sync' in said[0] and 'away' in said[0]
