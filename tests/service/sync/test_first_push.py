"""A registry reports a first push before it writes the tag: the tag is awaited."""
import math
import time

import pytest

from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.sync.description_worker import (
    TAG_SECONDS, DescriptionWorker, TagWaitList)
from docker_registry_index.service.sync.reconcile import Change, Reconciler
from tests.helpers.clock import Clock
from tests.helpers.engine import EngineIndex
from tests.helpers.registry import deleted, pushed
from tests.helpers.tagged_repository import NAME, NEW, TaggedRepository
from tests.helpers.waiting import wait_until


@pytest.fixture(scope='module')
def hasty(start):
    """A service that answers notifications as soon as registries want it."""
    with start(EVENTS_WAIT='0.8') as made:
        yield made


def test_a_late_tag_is_found_soon_and_the_answer_does_not_wait_for_it(hasty):
    started = time.monotonic()
    assert hasty.post([pushed('late/tag')]).status_code == 200
    assert time.monotonic() - started < 1, 'a registry retries after a second'
    [note] = hasty.index.engine.description_queue.notes(9)
    assert note.name == 'late/tag' and note.is_expected and hasty.found('late') == []
    hasty.registry.repositories['late/tag'] = 'Words'
    assert wait_until(lambda: hasty.search('late')['results'], 'it is not found', 5) < 2
    assert hasty.search('late')['results'][0]['description'] == 'Words'
    wait_until(lambda: hasty.index.engine.description_queue.notes(1), 'a note', 5, expected=[])


def test_a_push_by_digest_and_a_delete_wait_for_no_tag(hasty):
    def tags_asked():
        return sum(path.startswith('/v2/none/awaited/tags/') for path in hasty.registry.paths)

    for number, event in enumerate([pushed('none/awaited', tag=None), deleted('none/awaited')], 1):
        assert hasty.post([event]).status_code == 200 and tags_asked() == 2 * number
    hasty.registry.repositories['none/awaited'] = None
    assert hasty.post([pushed('none/awaited')]).status_code == 200
    assert tags_asked() == 6 and hasty.found('none') == ['none/awaited']
    del hasty.registry.repositories['none/awaited']
    assert hasty.post([deleted('none/awaited')]).status_code == 200
    assert hasty.found('none') == [] and hasty.index.engine.description_queue.notes(1) == []


def test_requests_for_a_tag_are_frequent_at_first_and_end_after_minutes():
    clock, note = Clock(), Note('a/b', '1', True)
    waiting = TagWaitList(clock)
    assert waiting.seconds() == math.inf
    waiting.add(note)
    waiting.add(note)
    assert waiting.take_due() == [(note, False)] and waiting.take_due() == []
    times = [clock.now]
    while not waiting.has_expired(note):
        clock.advance(waiting.seconds())
        assert waiting.take_due() == [(note, True)]
        times.append(clock.now)
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    assert all(pause <= 1 for moment, pause in zip(times, pauses) if moment < times[0] + 8)
    assert TAG_SECONDS <= times[-1] - times[0] < 1.2 * TAG_SECONDS and 40 < len(times) < 60
    waiting.remove(note)
    assert waiting.take_due() == [] and waiting.seconds() == math.inf


@pytest.fixture
def index(in_process_dynamodb):
    return EngineIndex(in_process_dynamodb.url).ready()


def test_after_minutes_without_a_tag_the_note_is_done(index):
    clock, reconciler = Clock(), Reconciler(index.engine, TaggedRepository())
    worker = DescriptionWorker(index.engine, reconciler, clock)
    reconciler.on_note = worker.notify
    # In time: a late change would be noted once more.
    reconciler.reconcile(Change(NAME, NEW, 'latest'), 20)
    index.add(NAME, 'Old words')
    for _ in range(3):
        worker.describe_pending()
        assert [note.name for note in index.engine.description_queue.notes(9)] == [NAME]
        assert index.search('') == [], 'a repository without a tag is removed at once'
        clock.advance(TAG_SECONDS / 3 + 1)
    worker.describe_pending()
    assert index.engine.description_queue.notes(9) == [] and worker.done == 1


def test_a_registry_that_cannot_be_asked_proves_no_missing_tag(index):
    clock, registry = Clock(), TaggedRepository('latest')
    registry.is_down = True
    worker = DescriptionWorker(index.engine, Reconciler(index.engine, registry), clock)
    index.engine.description_queue.note([NAME], is_expected=True)
    for _ in range(5):
        assert worker.describe_pending() is True, 'pauses get longer'
        clock.advance(TAG_SECONDS)
    assert [note.name for note in index.engine.description_queue.notes(9)] == [NAME]
    registry.is_down = False
    worker.describe_pending()
    assert dict(index.search('')) == {NAME: 'new words'}
    assert index.engine.description_queue.notes(9) == []
