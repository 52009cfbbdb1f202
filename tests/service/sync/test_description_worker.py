"""When the description worker reads notes and asks for tags: no server, DynamoDB or sleeps."""
import random
from unittest.mock import Mock

import pytest

from docker_registry_index.engine.errors import InvalidName, MissingTable, RequestFailed
from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.sync.description_worker import (
    LONGEST_PAUSE, PAUSE, TAG_SECONDS, DescriptionWorker, TagWaitList)
from docker_registry_index.service.sync.reconcile import Reconciler
from tests.helpers.index import THROTTLED, FakeIndex
from tests.helpers.registry import UNAVAILABLE, FakeRegistryClient

NOTE = Note('acme/web', '1', True)


def notes(count):
    return [Note('acme/web-%03d' % number, '1', False) for number in range(count)]


@pytest.fixture
def index():
    return FakeIndex()


@pytest.fixture
def registry():
    """The client of a registry without tags."""
    return FakeRegistryClient(answers={'*': []})


@pytest.fixture
def worker(index, registry, clock, monkeypatch):
    # Each pause is shortened at random, here by nothing.
    monkeypatch.setattr(random, 'uniform', lambda least, most: most)
    return DescriptionWorker(index, Reconciler(index, registry, clock, clock.sleep), clock)


def pauses(worker, clock, count):
    """Run the worker `count` times, each when it is due; return the seconds between the runs."""
    waited = []
    for _ in range(count):
        waited.append(worker.run_once(clock.now))
        clock.advance(waited[-1])
    return waited


def test_notes_are_read_every_ten_seconds(worker, index, clock):
    assert pauses(worker, clock, 5) == [PAUSE] * 5
    assert index.before_read.call_count == 4, 'the first read is not at the start'


@pytest.mark.parametrize('error, longest', [
    (THROTTLED, LONGEST_PAUSE), (ValueError('a mistake'), LONGEST_PAUSE),
    # Tables that are being created are no failure.
    (MissingTable('query', ['t'], 'ResourceNotFoundException', 'no table', False), PAUSE)])
def test_pauses_get_longer_while_everything_fails_and_short_again_afterwards(
        worker, index, clock, error, longest):
    index.before_read.side_effect = error
    assert pauses(worker, clock, 10) == [min(PAUSE * 2 ** number, longest) for number in range(10)]
    index.before_read.side_effect = None
    assert pauses(worker, clock, 2) == [PAUSE] * 2
    index.before_read.side_effect = error
    assert pauses(worker, clock, 1) == [min(2 * PAUSE, longest)]


def test_an_unavailable_registry_makes_pauses_longer_and_tags_are_still_awaited(
        worker, index, registry, clock):
    index.kept, registry.answers = [NOTE], {'*': UNAVAILABLE}
    assert pauses(worker, clock, 6) == [PAUSE * 2 ** number for number in range(6)]
    assert sum(PAUSE * 2 ** number for number in range(6)) > 2 * TAG_SECONDS
    assert index.kept == [NOTE]
    registry.answers = {}
    pauses(worker, clock, 1)
    assert index.kept == [] and NOTE.name in index


def test_an_unreadable_repository_stays_noted_and_delays_no_other(
        worker, index, registry, clock):
    index.kept = notes(250)
    registry.answers[index.kept[3].name] = UNAVAILABLE
    assert pauses(worker, clock, 2) == [PAUSE, PAUSE]
    assert (worker.done, worker.waiting, len(index.kept)) == (249, 1, 1)


@pytest.mark.parametrize('failing', ['remove', 'done'])
@pytest.mark.parametrize('code', ['ThrottlingException', 'AccessDeniedException'])
def test_a_change_that_dynamodb_does_not_accept_delays_no_other(
        worker, index, clock, monkeypatch, failing, code):
    index.kept = notes(250)
    refused, act = index.kept[3], getattr(index, failing)

    def refuse_one(given):
        if given in (refused, refused.name):
            raise RequestFailed(failing, ['t'], code, 'no', False)
        act(given)

    monkeypatch.setattr(index, failing, refuse_one)
    assert pauses(worker, clock, 2) == [PAUSE, PAUSE]
    assert (worker.done, index.kept) == (249, [refused])


@pytest.mark.parametrize('error', [
    RequestFailed('get_item', ['t'], 'InternalServerError', 'no', True),
    MissingTable('get_item', ['t'], 'ResourceNotFoundException', 'no table', False)],
    ids=lambda error: error.code)
def test_a_read_ends_at_once_if_dynamodb_is_unavailable_or_lacks_a_table(
        worker, index, registry, clock, error):
    index.kept, index.before_change.side_effect = notes(40), error
    pauses(worker, clock, 2)
    assert 1 <= len(set(registry.asked)) <= 4 and index.kept == notes(40)


def test_a_read_ends_after_twelve_failures_and_the_next_goes_on_there(
        worker, index, registry, clock):
    index.kept = notes(40)
    registry.answers.update(dict.fromkeys(index.noted[:20], UNAVAILABLE))
    pauses(worker, clock, 2)
    assert (len(registry.asked), worker.done) == (12, 0)
    pauses(worker, clock, 3)  # while everything fails, each read asks for one more group
    assert (len(registry.asked), worker.done) == (12 + 4 + 4 + 2 * 20, 20)
    assert index.kept == notes(20)


def test_notes_are_left_to_the_copy_that_has_the_lease(worker, index, registry, clock):
    index.kept, index.lease().acquire.return_value = notes(3), False
    pauses(worker, clock, 3)
    assert worker.waiting == 3 and not registry.asked


def test_a_note_with_an_invalid_name_is_removed(worker, index, clock):
    index.kept, index.before_change.side_effect = notes(1), InvalidName('a', 'is odd')
    pauses(worker, clock, 2)
    assert index.kept == [] and worker.done == 1


def test_a_new_note_is_read_now_and_ends_a_long_pause(worker, index, registry, clock):
    index.before_read.side_effect = THROTTLED
    assert pauses(worker, clock, 8)[-1] == LONGEST_PAUSE
    clock.now -= LONGEST_PAUSE - 1
    index.before_read, index.kept = Mock(), [NOTE]
    worker.notify(NOTE)
    assert worker.run_once(clock.now) < 1 and registry.asked == [NOTE.name] * 2
    assert not index.before_read.called
    registry.answers = {}
    clock.advance(1)
    assert worker.run_once(clock.now) == PAUSE - 1, 'notes are read ten seconds after the call'
    assert index.kept == [] and worker.done == 1
    clock.advance(PAUSE - 1)
    assert worker.run_once(clock.now) == PAUSE and index.before_read.call_count == 1


def test_a_missing_tag_is_awaited_for_five_minutes_with_few_requests(
        worker, index, registry, clock):
    started, index.kept = clock.now, [NOTE]
    while index.kept and clock.now < started + 2 * TAG_SECONDS:
        worker.run_once(clock.now)
        clock.advance(0.25)
    assert TAG_SECONDS <= clock.now - started <= 1.3 * TAG_SECONDS and len(registry.asked) < 60


def test_each_pause_between_requests_for_a_tag_is_an_eighth_of_the_time_passed(clock):
    waits = TagWaitList(clock)
    waits.add(NOTE)
    assert waits.take_due() == [(NOTE, False)] and waits.seconds() == 0.25
    clock.advance(0.25)
    waits.add(NOTE)
    assert waits.take_due() == [(NOTE, True)] and waits.take_due() == []
    clock.advance(80 - 0.25)
    assert waits.take_due() == [(NOTE, True)] and waits.seconds() == 10
    assert not waits.has_expired(NOTE)
    clock.advance(TAG_SECONDS - 80)
    assert waits.has_expired(NOTE)
    waits.remove(NOTE)
    assert waits.seconds() == float('inf') and not waits.has_expired(NOTE)


def test_a_stopped_worker_reads_nothing(worker, index, clock):
    worker.stop(0)
    pauses(worker, clock, 3)
    assert not index.before_read.called


def test_a_stop_lets_requests_under_way_end(worker, index, clock):
    index.kept, index.before_change.side_effect = notes(9), lambda: worker.stop(0)
    clock.advance(PAUSE)
    worker.run_once(clock.now)
    assert worker.done == 4 and len(index.kept) == 5
