"""An index that lives as long as its process: what it waits for, what a fork does to it, and what it answers when it cannot be right."""

from __future__ import unicode_literals

import os
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.lifecycle import background, maintenance
from tests.engine.network import listening
from tests.engine.requests_made import RequestsMade
from tests.engine.test_formats import NAMES, NEW, OLD, STORED, release
from tests.engine_index import EngineIndex


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.engine.close()
    made.another().delete_tables()


def wait_until(holds, seconds=20):
    deadline = time.time() + seconds
    while not holds():
        assert time.time() < deadline
        time.sleep(0.02)


def test_a_warm_start_is_one_batch_of_reads_and_nothing_after_it(index):
    index.ready(STORED)
    other = index.another()
    made = RequestsMade(other.engine)
    assert other.engine.start(lambda: STORED) is True
    time.sleep(0.3)
    assert made.operations == ['BatchGetItem']
    other.engine.close()


def test_a_start_that_must_not_wait_makes_no_request_itself(index):
    index.ready(STORED)
    other, threads = index.another(), []
    other.engine.client.dynamodb.meta.events.register(
        'before-call.dynamodb',
        lambda **_: threads.append(threading.current_thread()))
    assert other.engine.start(lambda: STORED, 0) is False
    assert threading.current_thread() not in threads
    assert sorted(name for name, _ in other.search('')) == NAMES
    other.engine.close()


def test_searches_wait_for_a_load_where_the_start_did_not(index):
    def slowly():
        time.sleep(0.5)
        return STORED

    assert index.engine.start(slowly, 0) is False
    assert sorted(name for name, _ in index.search('')) == NAMES


def test_a_start_waits_no_longer_than_it_may_for_an_answer():
    with listening(None) as url:
        hidden = EngineIndex(url, connect_timeout=20, read_timeout=20)
        began = time.time()
        try:
            assert hidden.engine.start(lambda: STORED, 0.5) is False
            assert time.time() - began < 5
        finally:
            hidden.engine.close()


@pytest.mark.parametrize('wait', [0, 30])
def test_an_index_of_a_newer_release_is_never_searched(index, wait):
    with release(NEW):
        index.ready(STORED)
    with release(OLD):
        older = index.another()
        if wait:
            with pytest.raises(errors.NewerDatabase):
                older.engine.start(lambda: STORED, wait)
        else:
            assert older.engine.start(lambda: STORED, wait) is False
            with pytest.raises(errors.NewerDatabase):
                older.search('')
        older.engine.close()


def test_one_that_a_newer_release_takes_over_is_refused_until_it_is_given_back(
        index, monkeypatch):
    monkeypatch.setattr(maintenance, '_LOOK_EVERY', 0.1)
    monkeypatch.setattr(maintenance, '_NAP', 0.05)
    with release(OLD):
        older = index.another()
        assert older.engine.start(lambda: STORED) is True
        assert len(older.search('')) == len(STORED)
        settings = older.settings
        mark = {'gram': {'S': '!'}, 'suffix': {'S': 'ready'}}
        [row] = [item for item in older.items(settings.search_table)
                 if item['suffix'] == mark['suffix']]
        call = index.engine.client.call
        call('put_item', TableName=settings.search_table,
             Item=dict(row, format={'N': str(NEW)}))

        def is_refused():
            try:
                older.search('')
            except errors.NewerDatabase:
                return True
            return False

        wait_until(is_refused)
        with pytest.raises(errors.NewerDatabase):
            older.names()
        call('put_item', TableName=settings.search_table, Item=row)
        wait_until(lambda: not is_refused())
        assert len(older.search('')) == len(STORED)
        older.engine.close()


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
    monkeypatch.setattr(background, '_ANSWER', 0.3)
    storage = Hanging()
    index.engine.start(storage)
    settle, threads = index.engine._background._settle, (
        threading.active_count())
    for number in range(20):
        with pytest.raises(errors.StorageUnreadable):
            settle('hangs/%d' % number)
    assert threading.active_count() - threads <= background._UNANSWERED
    # No longer asked, until some of the answers are there.
    began = time.time()
    with pytest.raises(errors.StorageUnreadable):
        settle('hangs/20')
    assert time.time() - began < 0.2
    storage.answers.set()
    wait_until(lambda: not index.engine._background._asked)
    settle('hangs/1')
    settle('team/app')
    assert index.names() == ['hangs/1', 'team/app']
