"""A first push is found, although the registry reports it before it writes the tag."""
import math
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.servers.proxy import Proxy
from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.sync.description_worker import (
    DescriptionWorker, TAG_SECONDS, TagWaitList)
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.sync.reconcile import Change, Reconciler
from tests.helpers.engine import EngineIndex
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import deleted, pushed
from tests.end_to_end.service.place import Bucket, Place, kill, wait_until
from tests.end_to_end.service.test_late_changes import NAME, NEW, Registry


@pytest.mark.parametrize('seconds', [0.1, 0.5], ids=['found before the answer', 'found after it'])
def test_every_first_push_to_a_slow_store_is_found_within_a_second(
        ministack, distribution_is_installed, seconds):
    with Proxy(ministack.url) as store:
        store.delay(seconds, only='PUT')
        with Place(ministack.url, Bucket(ministack.url),
                   {'REGISTRY_STORAGE_S3_REGIONENDPOINT': store.url}) as place:
            def push(number):
                place.images.push('new/thing-%d' % number)
                return place.wait_until_found('new/thing-%d' % number, term='new', seconds=5)

            with ThreadPoolExecutor(2) as pool:
                waited = list(pool.map(push, range(4)))
            shown = ', '.join('%.2f' % each for each in waited)
            print('\nfound %s s after the pushes had ended' % shown)
            assert max(waited) < 1
            wait_until(lambda: place.index.engine.description_queue.notes(1), 'notes are left', 15,
                       place.service, [])
            log = place.service.log_text().splitlines()
            assert [line for line in log if '/events' in line and ' 503 ' in line] == []


def tags_asked(beside, name):
    return len([path for path in beside.registry.paths if path.startswith('/v2/%s/tags/' % name)])


@pytest.fixture
def hasty(dynamodb_local):
    """A service that answers notifications as soon as registries want it."""
    with Beside(dynamodb_local.url, EVENTS_WAIT='0.8') as made:
        yield made


def test_a_tag_that_comes_late_is_found_soon_and_the_answer_does_not_wait_for_it(hasty):
    started = time.monotonic()
    assert hasty.post([pushed('late/tag')]).status_code == 200
    assert time.monotonic() - started < 0.9, 'the registry sends it again after a second'
    [note] = hasty.index.engine.description_queue.notes(9)
    assert note.name == 'late/tag' and note.is_expected
    assert hasty.found('late') == []
    time.sleep(1)
    hasty.registry.repositories['late/tag'] = 'Words'
    assert wait_until(lambda: hasty.search('late')['results'] != [], 'it is not found', 5,
                      hasty.service) < 1
    assert hasty.search('late')['results'][0]['description'] == 'Words'
    undescribed = hasty.index.engine.description_queue
    wait_until(lambda: undescribed.notes(1), 'a note is left', 5, hasty.service, [])


def test_what_is_awaited_by_a_copy_that_is_killed_is_found_by_another(hasty):
    assert hasty.post([pushed('late/killed')]).status_code == 200
    kill(hasty.service)
    hasty.registry.repositories['late/killed'] = None
    hasty.service.start()
    wait_until(lambda: hasty.found('late/killed'), 'it is not found', 15, hasty.service,
               ['late/killed'])


def test_a_push_by_digest_and_a_delete_wait_for_nothing(hasty):
    for number, event in enumerate([pushed('none/awaited', tag=None), deleted('none/awaited')], 1):
        assert hasty.post([event]).status_code == 200
        assert tags_asked(hasty, 'none/awaited') == 2 * number
    assert hasty.index.engine.description_queue.notes(1) == []
    hasty.registry.repositories['none/awaited'] = None
    assert hasty.post([pushed('none/awaited')]).status_code == 200
    assert tags_asked(hasty, 'none/awaited') == 6 and hasty.found('none') == ['none/awaited']
    del hasty.registry.repositories['none/awaited']
    assert hasty.post([deleted('none/awaited')]).status_code == 200
    assert hasty.found('none') == [] and hasty.index.engine.description_queue.notes(1) == []


class Clock:
    now = 1000

    def __call__(self):
        return self.now


def test_requests_for_a_tag_come_soon_at_first_and_end_after_minutes():
    clock = Clock()
    waiting, note = TagWaitList(clock), Note('a/b', '1', True)
    assert waiting.seconds() == math.inf
    waiting.add(note)
    waiting.add(note)
    assert waiting.take_due() == [(note, False)] and waiting.take_due() == []
    times = [clock.now]
    while not waiting.is_over(note):
        clock.now += waiting.seconds()
        assert waiting.take_due() == [(note, True)]
        times.append(clock.now)
    pauses = [later - earlier for earlier, later in zip(times, times[1:])]
    assert all(pause <= 1 for moment, pause in zip(times, pauses)
               if moment < 1008), 'what takes eight seconds is found within one'
    assert TAG_SECONDS <= times[-1] - times[0] < 1.2 * TAG_SECONDS and 40 < len(times) < 60
    waiting.remove(note)
    assert waiting.take_due() == [] and waiting.seconds() == math.inf


@pytest.fixture
def index(dynamodb_local):
    made = EngineIndex(dynamodb_local.url).ready()
    yield made
    made.delete_tables()


def test_that_there_is_no_tag_is_believed_in_the_end(index):
    registry, clock = Registry(), Clock()
    registry.listed[:] = []
    reconciler = Reconciler(index.engine, registry)
    worker = DescriptionWorker(index.engine, reconciler, clock)
    reconciler.on_note = worker.call
    # In time: a change that is late would be noted once more.
    reconciler.reconcile(Change(NAME, NEW, 'latest'), 20)
    index.add(NAME, 'Old words')
    for _ in range(3):
        worker.work_off()
        assert [note.name for note in index.engine.description_queue.notes(9)] == [NAME]
        assert index.search('') == [], 'what is gone is removed at once'
        clock.now += TAG_SECONDS / 3 + 1
    worker.work_off()
    assert index.engine.description_queue.notes(9) == [] and worker.done == 1


class Troubled(Registry):
    trouble = True

    def tags(self, name, timeout=None):
        if self.trouble:
            raise RegistryUnavailable('http://127.0.0.1', 'is tired')
        return super().tags(name, timeout)


def test_that_a_registry_cannot_be_asked_does_not_mean_that_there_is_no_tag(index):
    registry = Troubled()
    reconciler = Reconciler(index.engine, registry)
    clock = Clock()
    worker = DescriptionWorker(index.engine, reconciler, clock)
    index.engine.description_queue.note([NAME], is_expected=True)
    for _ in range(5):
        assert worker.work_off() is True, 'longer pauses'
        clock.now += TAG_SECONDS
    assert [note.name for note in index.engine.description_queue.notes(9)] == [NAME]
    registry.trouble = False
    worker.work_off()
    assert dict(index.search('')) == {NAME: 'new words'}
    assert index.engine.description_queue.notes(9) == []
