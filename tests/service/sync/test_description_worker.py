"""When the description worker reads notes and asks for tags: no server, DynamoDB or sleeps."""
import random
from unittest.mock import Mock

import pytest

from docker_registry_index.engine.errors import InvalidName, MissingTable, RequestFailed
from docker_registry_index.engine.sync import description_queue
from docker_registry_index.engine.sync.description_queue import (
    EXPECTED_SECONDS, LONG_SECONDS, LONGEST_PAUSE, Note)
from docker_registry_index.service.sync.description_worker import PAUSE, SECONDS, DescriptionWorker
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
    return DescriptionWorker(index, Reconciler(index, registry, clock), clock)


def pauses(worker, clock, count):
    """Run the worker `count` times, each when it is due; return the seconds between the runs."""
    waited = []
    for _ in range(count):
        waited.append(worker.run_once(clock.now))
        clock.advance(waited[-1])
    return waited


def run_for(worker, clock, seconds):
    """Run both threads of the worker each second."""
    end = clock.now + seconds
    while clock.now < end:
        worker.run_once(clock.now)
        worker.retry_failed(clock.now)
        clock.advance(1)


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


def test_an_unavailable_registry_gets_few_requests_and_its_notes_are_read_when_it_answers(
        worker, index, registry, clock):
    index.kept, registry.answers = [NOTE, *notes(12)], {'*': UNAVAILABLE}
    run_for(worker, clock, 3600)
    assert len(index.kept) == 13 and len(registry.asked) < 13 * 20
    registry.answers, index.kept = {}, index.kept + [Note('acme/new', '1', True)]
    worker.notify(index.kept[-1])
    # The first note that can be read makes all others due.
    run_for(worker, clock, 2 * PAUSE)
    assert index.kept == [] and NOTE.name in index


def test_after_an_outage_single_failures_end_no_read_early(worker, index, registry, clock):
    index.kept = [Note('a/%03d' % number, '1', False) for number in range(20)]
    registry.answers = {'*': UNAVAILABLE}
    pauses(worker, clock, 2)
    index.kept = notes(40)
    registry.answers = dict.fromkeys(index.noted[:4], UNAVAILABLE)
    pauses(worker, clock, 1)
    assert (worker.done, len(index.kept)) == (36, 4)


def test_a_repository_that_fails_is_read_with_a_long_limit_and_apart_from_others(
        worker, index, registry, clock):
    index.kept, slow = notes(9), notes(9)[3].name
    registry.answers[slow] = UNAVAILABLE
    pauses(worker, clock, 2)
    assert max(registry.timeouts) <= SECONDS and index.noted == [slow]
    registry.answers[slow] = ['1']
    pauses(worker, clock, 2)
    assert index.noted == [slow], 'only the other thread reads it'
    worker.retry_failed(clock.now)
    assert index.kept == [] and 60 < max(registry.timeouts) <= LONG_SECONDS


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
    assert 12 <= len(registry.asked) < 16 and worker.done == 0
    pauses(worker, clock, 2)
    assert worker.done == 20 and index.kept == notes(20)
    assert len(registry.asked) == 20 + 2 * 20, 'each unreadable one once, each other one twice'


def test_unreadable_repositories_that_the_schedule_has_no_room_for_delay_no_other(
        worker, index, registry, clock, monkeypatch):
    monkeypatch.setattr(description_queue, '_MOST_SCHEDULED', 3)
    index.kept = notes(200)
    registry.answers.update(dict.fromkeys(index.noted[:40], UNAVAILABLE))
    pauses(worker, clock, 6)
    assert index.kept == notes(40)


def test_notes_are_left_to_the_copy_that_has_the_lease(worker, index, registry, clock):
    index.kept, index.lease().acquire.return_value = notes(3), False
    pauses(worker, clock, 3)
    assert worker.waiting == 3 and not registry.asked


def test_notes_are_left_alone_until_the_index_is_ready(worker, index, registry, clock):
    index.kept, index.ready = notes(3), False
    pauses(worker, clock, 3)
    assert index.kept == notes(3) and not index.before_read.called and not registry.asked
    index.ready = True
    pauses(worker, clock, 2)
    assert index.kept == []


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
    assert worker.run_once(clock.now) < 1 and registry.asked == [NOTE.name]
    assert not index.before_read.called
    registry.answers = {}
    clock.advance(1)
    assert worker.run_once(clock.now) == PAUSE - 1, 'notes are read ten seconds after the call'
    assert index.kept == [] and worker.done == 1
    clock.advance(PAUSE - 1)
    assert worker.run_once(clock.now) == PAUSE and index.before_read.call_count == 1


def test_a_missing_tag_is_awaited_for_five_minutes_with_few_requests(
        worker, index, registry, clock):
    started, index.kept, index[NOTE.name] = clock.now, [NOTE], 'pushed'
    while index.kept and clock.now < started + 2 * EXPECTED_SECONDS:
        assert index == {NOTE.name: 'pushed'}
        worker.run_once(clock.now)
        clock.advance(0.25)
    assert EXPECTED_SECONDS <= clock.now - started <= 1.3 * EXPECTED_SECONDS
    assert len(registry.asked) < 60
    assert index == {}, 'a repository without a tag does not count'


def test_a_stopped_worker_reads_nothing(worker, index, clock):
    worker.stop(0)
    pauses(worker, clock, 3)
    assert not index.before_read.called


def test_a_stop_lets_requests_under_way_end(worker, index, clock):
    index.kept, index.before_change.side_effect = notes(9), lambda: worker.stop(0)
    clock.advance(PAUSE)
    worker.run_once(clock.now)
    assert 1 <= worker.done <= 4 and len(index.kept) == 9 - worker.done
