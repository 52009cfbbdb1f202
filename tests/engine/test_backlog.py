# -*- coding: utf-8 -*-
"""Changes are made at once or later, and nobody waits long."""

from __future__ import unicode_literals

import logging
import threading
import time

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.write import (
    change_queue, outage, queue_entries)
from docker_registry_index.engine.write.change_queue import Backlog

AWAY = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'away',
                            retryable=True)


class Index(object):
    """What a backlog changes: a set of names, and what was asked of it."""

    def __init__(self):
        self.names = set()
        self.storage = set()
        self.made = []
        self.settled = []
        self.failure = None
        self.hold = None
        self.entered = threading.Event()

    def change(self, name, is_there):
        self.made.append((name, is_there))
        self._meet()
        (self.names.add if is_there else self.names.discard)(name)

    def settle(self, name):
        self.settled.append(name)
        self._meet()
        (self.names.add if name in self.storage
         else self.names.discard)(name)

    def _meet(self):
        self.entered.set()
        if self.hold:
            assert self.hold.wait(30)
        if self.failure:
            raise self.failure


@pytest.fixture
def index():
    return Index()


@pytest.fixture
def called():
    return []


@pytest.fixture
def followed(index, called, monkeypatch):
    monkeypatch.setattr(outage, '_FIRST_PAUSE', 0.2)
    monkeypatch.setattr(change_queue, '_SOON', 0.1)
    monkeypatch.setattr(change_queue, '_NAP', 0.02)
    made = Backlog(index.change, index.settle, 5,
                   lambda: called.append('missing'),
                   lambda: called.append('overflow'))
    yield made
    index.failure = None
    if index.hold:
        index.hold.set()
    made.close(5)


def eventually(condition, seconds=15):
    deadline = time.time() + seconds
    while not condition():
        assert time.time() < deadline
        time.sleep(0.01)


def test_a_change_is_made_before_follow_returns(followed, index):
    assert followed.follow('a/one', True) is True
    assert index.names == {'a/one'}
    assert followed.follow('a/one', False) is True
    assert index.names == set()
    assert len(followed) == 0 and index.settled == []


def test_a_change_that_takes_too_long_is_left_to_the_background(
        index, monkeypatch):
    monkeypatch.setattr(change_queue, '_NAP', 0.02)
    index.hold = threading.Event()
    short = Backlog(index.change, index.settle, 0.2)
    began = time.time()
    assert short.follow('a/one', True) is False
    assert 0.2 <= time.time() - began < 2
    # Meanwhile another worker has deleted it, in the storage and here.
    index.hold.set()
    eventually(lambda: len(short) == 0)
    assert index.settled == ['a/one'] and index.names == set()


def test_what_fails_is_tried_again_with_what_the_storage_says(
        followed, index, caplog):
    caplog.set_level(logging.INFO)
    index.failure = AWAY
    assert followed.follow('a/one', True) is False
    # From now on nobody waits.
    index.hold = threading.Event()
    began = time.time()
    for number in range(50):
        assert followed.follow('b/%d' % number, True) is False
    assert time.time() - began < 1
    index.storage = {'a/one'} | {'b/%d' % number for number in range(49)}
    index.failure = None
    index.hold.set()
    eventually(lambda: len(followed) == 0)
    assert index.names == index.storage
    assert len(index.made) == 1
    assert [record.levelname for record in caplog.records] == ['ERROR',
                                                               'INFO']
    assert '51 changes were made late' in caplog.text
    # And all is as before.
    assert followed.follow('c/one', True) is True


def test_the_pauses_between_two_tries_grow(followed, index, monkeypatch):
    index.failure = AWAY
    assert followed.follow('a/one', True) is False
    eventually(lambda: len(index.settled) >= 3)
    tries = len(index.settled)
    time.sleep(0.3)
    # 0.2 s, 0.4 s, 0.8 s, ...: of the third pause not a half has passed.
    assert len(index.settled) <= tries + 1


def test_only_the_newest_change_of_a_repository_is_kept(followed, index):
    index.failure = AWAY
    followed.follow('a/one', True)
    for number in range(100):
        followed.follow('a/one', number % 2 == 0)
    assert len(followed) <= 2
    index.failure = None
    eventually(lambda: len(followed) == 0)
    assert index.names == set()


def test_a_later_change_waits_for_the_one_under_way(followed, index):
    index.hold = threading.Event()
    answers = []
    first = threading.Thread(
        target=lambda: answers.append(followed.follow('a/one', True)))
    first.start()
    assert index.entered.wait(10)
    second = threading.Thread(
        target=lambda: answers.append(followed.follow('a/one', False)))
    second.start()
    time.sleep(0.1)
    assert index.made == [('a/one', True)]
    index.hold.set()
    first.join()
    second.join()
    assert answers == [True, True]
    assert index.made == [('a/one', True), ('a/one', False)]
    assert index.names == set()


def test_changes_of_several_repositories_are_made_side_by_side(
        followed, index):
    index.hold = threading.Event()
    threads = [threading.Thread(target=followed.follow, args=(name, True))
               for name in ('a', 'b', 'c', 'd')]
    for thread in threads:
        thread.start()
    eventually(lambda: len(index.made) == 4)
    index.hold.set()
    for thread in threads:
        thread.join()
    assert index.names == {'a', 'b', 'c', 'd'}


def test_what_finds_no_room_is_left_to_a_sync(
        followed, index, called, monkeypatch, caplog):
    monkeypatch.setattr(change_queue, 'LIMIT', 10)
    index.failure = AWAY
    followed.follow('first', True)
    for number in range(30):
        followed.follow('b/%d' % number, True)
    assert len(followed) <= 11
    assert caplog.text.count('no more are kept') == 1
    assert called == []
    index.failure = None
    eventually(lambda: len(followed) == 0)
    assert called == ['overflow']


def test_a_missing_table_is_told(followed, index, called):
    index.failure = errors.MissingTable('GetItem', ['t'], 'Missing', 'gone',
                                        retryable=False)
    followed.follow('a/one', True)
    assert called[:1] == ['missing']
    index.failure = None
    index.storage = {'a/one'}
    eventually(lambda: len(followed) == 0)
    assert index.names == {'a/one'}


def test_one_that_others_are_in_the_way_of_holds_up_no_other(
        followed, index, caplog):
    index.failure = errors.ChangeConflict('a/one', 8)
    assert followed.follow('a/one', True) is False
    index.failure = None
    assert followed.follow('b/two', True) is True
    index.storage = {'a/one', 'b/two'}
    eventually(lambda: len(followed) == 0)
    assert index.names == {'a/one', 'b/two'}
    assert [record for record in caplog.records
            if record.levelname == 'ERROR'] == []


def test_what_the_storage_cannot_tell_is_asked_again(followed, index,
                                                     caplog):
    index.failure = AWAY
    followed.follow('a/one', True)
    index.failure = errors.StorageUnreadable('it', IOError('away'))
    eventually(lambda: 'has to wait' in caplog.text)
    index.storage, index.failure = {'a/one'}, None
    eventually(lambda: len(followed) == 0)
    assert index.names == {'a/one'}


def test_what_dynamodb_will_never_take_is_dropped(followed, index, caplog):
    index.failure = errors.RequestFailed(
        'PutItem', ['t'], 'ValidationException', 'too long', False)
    assert followed.follow('a/one', True) is False
    assert len(followed) == 0
    assert 'a/one' in caplog.text


def test_at_the_end_what_waits_is_made(index, monkeypatch):
    monkeypatch.setattr(outage, '_FIRST_PAUSE', 30)
    waiting = Backlog(index.change, index.settle, 5)
    index.failure = AWAY
    for number in range(20):
        waiting.follow('a/%d' % number, True)
    index.failure = None
    index.storage = {'a/%d' % number for number in range(20)}
    waiting.close(5)
    assert index.names == index.storage and len(waiting) == 0


def test_at_the_end_what_cannot_be_made_is_logged(index, caplog):
    waiting = Backlog(index.change, index.settle, 5)
    index.failure = AWAY
    for number in range(20):
        waiting.follow('a/%02d' % number, True)
    began = time.time()
    waiting.close(5)
    assert time.time() - began < 5
    [line] = [line for line in caplog.messages if 'are lost' in line]
    assert line.startswith('20 changes') and 'a/09' in line
    assert 'a/15' not in line


def test_nobody_works_when_there_is_nothing_to_do(followed, index):
    before = threading.active_count()
    for number in range(10):
        followed.follow('a/%d' % number, True)
    eventually(lambda: threading.active_count() <= before)


def test_a_thread_that_cannot_be_started_is_tried_again_by_the_next_change(
        index, monkeypatch):
    real, refused = change_queue.start_thread, [True]
    monkeypatch.setattr(
        change_queue, 'start_thread',
        lambda run: None if refused and refused.pop() else real(run))
    waiting = Backlog(index.change, index.settle, 30)
    index.storage = {'a/one'}
    began = time.time()
    # Nobody could make it, so nobody waits.
    assert waiting.follow('a/one', True) is False
    assert waiting.follow('b/two', True) is True
    assert time.time() - began < 10
    eventually(lambda: len(waiting) == 0)
    assert index.names == {'a/one', 'b/two'}
    assert index.made == [('b/two', True)]


def test_one_that_is_told_during_a_catching_up_does_not_wait_for_it(
        followed, index, monkeypatch):
    monkeypatch.setattr(change_queue, 'THREADS', 1)
    index.failure = AWAY
    for number in range(40):
        followed.follow('late/%d' % number, True)
    index.settled[:] = []
    index.failure = None
    meet = index._meet

    def slowly():
        meet()
        time.sleep(0.1)

    index._meet = slowly
    eventually(lambda: len(index.settled) > 2)
    assert followed.follow('new/one', True) is True
    assert len(followed) > 10


def test_to_take_one_of_many_copies_none():
    waiting = queue_entries.Entries()
    for number in range(100000):
        entry = queue_entries.Entry('late/%d' % number, True)
        waiting.add(entry)
        waiting.make_late(entry)
    began = time.time()
    for number in range(1000):
        assert waiting.take(0, ()).name == 'late/%d' % number
    assert time.time() - began < 1


def test_an_entry_whose_host_left_gives_way_to_a_newer_one():
    waiting = queue_entries.Entries()
    older, newer = queue_entries.Entry('a', True), queue_entries.Entry('a', False)
    waiting.add(older)
    assert waiting.take(0, ()) is older
    waiting.add(newer)
    waiting.make_late(older)
    waiting.put_back(older)
    assert waiting.names() == ['a'] and waiting.take(0, ['a']) is None
    assert waiting.take(0, ()) is newer and waiting.take(0, ()) is None


def test_a_storage_that_is_down_is_said_once_in_a_minute(
        followed, index, monkeypatch, caplog):
    now = [0.0]
    index.failure = AWAY
    for number in range(20):
        followed.follow('a/%d' % number, True)
    monkeypatch.setattr(followed._outage, '_clock', lambda: now[0])
    followed._outage._retry_at = 0
    index.failure = errors.StorageUnreadable('it', IOError('away'))
    eventually(lambda: len(index.settled) > 50)
    assert caplog.text.count('has to wait') == 1
    now[0] = 61.0
    eventually(lambda: caplog.text.count('has to wait') == 2)
    assert 'others had to before' in caplog.text


def test_what_is_told_after_the_end_is_logged_as_lost(index, caplog):
    ended = Backlog(index.change, index.settle, 30)
    ended.close(5)
    assert ended.follow('a/one', True) is False
    assert 'lost with this process' in caplog.text and 'a/one' in caplog.text


def test_after_the_end_no_thread_is_left(index, monkeypatch):
    monkeypatch.setattr(change_queue, '_NAP', 0.02)
    before = threading.active_count()
    ended = Backlog(index.change, index.settle, 5)
    index.failure = AWAY
    ended.follow('a/one', True)
    ended.close(0.1)
    eventually(lambda: threading.active_count() <= before)
