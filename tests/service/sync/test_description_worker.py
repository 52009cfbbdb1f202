"""When the description worker reads notes and asks for tags: no loop, DynamoDB or sleeps."""
import random

import pytest

from docker_registry_index.engine.errors import MissingTable, RequestFailed
from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.sync.description_worker import (
    LONGEST_PAUSE, PAUSE, DescriptionWorker)

NOTE = Note('acme/web', '1', True)
FAILURES = [RequestFailed('query', ['table'], 'ThrottlingException', 'slow down', True),
            ValueError('a mistake')]


class Clock:
    now = 1000

    def __call__(self):
        return self.now


class Index:
    """A SearchIndex with some notes, or that raises; it is its own lease and queue."""

    def __init__(self):
        self.description_queue, self.kept, self.error, self.reads = self, [], None, 0

    def lease(self, kind):
        return self

    def notes(self, limit, after=None):
        self.reads += 1
        if self.error:
            raise self.error
        return [] if after else list(self.kept)

    def acquire(self):
        return True

    def renew(self):
        pass

    def release(self):
        pass

    def done(self, note):
        self.kept.remove(note)


class Reconciler:
    """One that finds a repository or not, or raises; counts its requests."""

    is_there, error, asked = False, None, 0

    def act(self):
        """Called with every request."""

    def describe(self, name, seconds):
        self.asked += 1
        self.act()
        if self.error:
            raise self.error
        return self.is_there

    has_tag = describe


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def reconciler():
    return Reconciler()


@pytest.fixture
def worker(index, reconciler, clock, monkeypatch):
    # Each pause is shortened at random, here by nothing.
    monkeypatch.setattr(random, 'uniform', lambda least, most: most)
    return DescriptionWorker(index, reconciler, clock)


def pauses(worker, clock, count):
    """Run the worker `count` times, each when it is due; return the seconds between the runs."""
    waited = []
    for _ in range(count):
        waited.append(worker.run_once(clock.now))
        clock.now += waited[-1]
    return waited


def test_notes_are_read_every_ten_seconds(worker, index, clock):
    assert pauses(worker, clock, 5) == [PAUSE] * 5
    assert index.reads == 4, 'the first read is not at the start'


@pytest.mark.parametrize('error', FAILURES, ids=['DynamoDB', 'ours'])
def test_pauses_get_longer_while_everything_fails_and_short_again_afterwards(
        worker, index, clock, error):
    index.error = error
    found = pauses(worker, clock, 10)
    assert found == [min(PAUSE * 2 ** number, LONGEST_PAUSE) for number in range(10)]
    assert found[-1] == LONGEST_PAUSE
    index.error = None
    assert pauses(worker, clock, 2) == [PAUSE] * 2


def test_tables_that_are_being_created_are_no_failure(worker, index, clock):
    index.error = MissingTable('query', ['table'], 'ResourceNotFoundException', 'no such table',
                               False)
    assert pauses(worker, clock, 3) == [PAUSE] * 3


def test_a_registry_that_is_unavailable_makes_pauses_longer(worker, index, reconciler, clock):
    index.kept, reconciler.error = [NOTE], RegistryUnavailable('http://127.0.0.1', 'is tired')
    assert pauses(worker, clock, 3) == [PAUSE, 2 * PAUSE, 4 * PAUSE]
    assert index.kept == [NOTE]


def test_a_new_note_is_read_now_and_ends_a_long_pause(worker, index, reconciler, clock):
    index.error = FAILURES[0]
    assert pauses(worker, clock, 8)[-1] == LONGEST_PAUSE
    clock.now -= LONGEST_PAUSE - 1
    index.error, index.kept, reads = None, [NOTE], index.reads
    worker.call(NOTE)
    assert worker.run_once(clock.now) < 1 and (index.reads, reconciler.asked) == (reads, 1)
    reconciler.is_there = True
    clock.now += 1
    assert worker.run_once(clock.now) == PAUSE - 1, 'notes are read ten seconds after the call'
    assert index.kept == [] and worker.done == 1
    clock.now += PAUSE - 1
    assert worker.run_once(clock.now) == PAUSE and index.reads == reads + 1


def test_nothing_is_begun_any_more_when_it_is_stopped(worker, index, clock):
    worker.stop(0)
    pauses(worker, clock, 3)
    assert index.reads == 0


def test_a_stop_lets_the_repositories_that_are_being_read_end(worker, index, reconciler, clock):
    index.kept = [Note('acme/web-%d' % number, '1', False) for number in range(9)]
    reconciler.act = lambda: worker.stop(0)
    clock.now += PAUSE
    worker.run_once(clock.now)
    assert worker.done == 4 and len(index.kept) == 5
