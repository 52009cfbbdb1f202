"""SearchIndex: what it reports, what its callers wait for, and how it ends."""

from __future__ import unicode_literals

import os
import threading
import time

import pytest

from docker_registry_index.engine import Source, errors, index as door
from tests.helpers.engine import EngineIndex
from tests.helpers.network import listening
from tests.helpers.requests_made import RequestsMade

STORED = [('a/web', 'the door'), ('b/worker', None)]
NAMES = [name for name, _ in STORED]


class HalfReadable(Source):
    """A storage of two namespaces, one of which cannot be listed."""

    def namespaces(self):
        return ['a', 'broken']

    def repositories(self, namespace):
        if namespace == 'broken':
            raise IOError('no rights')
        return [('a/web', None)]

    def has(self, name):
        return name == 'a/web'


@pytest.fixture
def index(processes):
    yield processes[0]
    processes[0].engine.close()


@pytest.fixture
def other(index, processes):
    """The engine of another process; the index is ready."""
    index.ready(STORED)
    yield processes[1]
    processes[1].engine.close()


def test_an_index_is_ready_and_complete_only_after_its_start(index, three_engines):
    index.ready(STORED)
    unused = EngineIndex(index.settings.endpoint_url, index.settings.database)
    assert (unused.engine.ready, unused.engine.complete) == (False, False)
    # To end it, or to ask for a sync, does nothing.
    unused.engine.sync_soon()
    unused.engine.close()
    made = RequestsMade(index.engine)
    assert index.engine.start(lambda: STORED) is True
    # A warm start is one batch of reads and nothing after it.
    assert made.operations == ['BatchGetItem']
    assert (index.engine.ready, index.engine.complete) == (True, True)
    assert made.operations == ['BatchGetItem']


def test_an_index_whose_storage_could_not_be_read_is_ready_and_not_complete(index):
    assert index.engine.start(HalfReadable()) is True
    assert (index.engine.ready, index.engine.complete) == (True, False)
    assert index.search('web') == [('a/web', '')]


def test_an_index_that_has_just_lost_its_ready_marker_is_not_complete(index, monkeypatch):
    index.engine.start(lambda: STORED)
    # As while a sync finds that the search table is missing, before the next check.
    monkeypatch.setattr(door.Maintenance, 'marker', None)
    assert (index.engine.ready, index.engine.complete) == (True, False)


def test_a_start_that_must_not_wait_makes_no_request_itself(other):
    threads = []
    other.dynamodb.meta.events.register(
        'before-call.dynamodb', lambda **_: threads.append(threading.current_thread()))
    other.engine.start(lambda: STORED, 0)
    assert threading.current_thread() not in threads
    assert sorted(name for name, _ in other.search('')) == NAMES


def test_the_first_searches_wait_for_a_load_that_the_start_did_not_wait_for(index):
    searching = threading.Event()

    def source():
        assert searching.wait(10)
        return STORED

    assert index.engine.start(source, 0) is False
    threading.Timer(0.1, searching.set).start()
    assert sorted(name for name, _ in index.search('')) == NAMES


def test_a_start_waits_no_longer_than_it_may_for_a_response():
    with listening(None) as url:
        hidden = EngineIndex(url, connect_timeout=20, read_timeout=20)
        began = time.time()
        assert hidden.engine.start(lambda: STORED, 0.2) is False
        assert time.time() - began < 5
    hidden.engine.close()


def test_a_forked_process_sends_nothing_over_the_connections_of_its_parent(index):
    index.ready(STORED)
    reads, writes = os.pipe()
    child = os.fork()
    if not child:
        try:
            index.engine.client.call('scan', TableName=index.settings.version_table)
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
    """A storage that never answers whether it has a repository."""

    def __init__(self):
        self.ends = threading.Event()

    def namespaces(self):
        return []

    def has(self, name):
        return self.ends.wait(60)


def test_a_storage_that_does_not_answer_keeps_a_limited_number_of_threads(index, monkeypatch):
    queues = []
    monkeypatch.setattr(door, 'ChangeQueue', lambda *parts: queues.append(parts) or Queue())
    monkeypatch.setattr(door, 'ANSWER_SECONDS', 0.1)
    monkeypatch.setattr(door, 'UNANSWERED', 3)
    storage, threads = Hanging(), threading.active_count()
    index.engine.start(storage)
    index.engine.close()
    reconcile = queues[0][1]
    for number in range(6):
        with pytest.raises(errors.StorageUnreadable):
            reconcile('a/%d' % number)
    assert threading.active_count() - threads <= 3
    storage.ends.set()


class Queue(object):
    """A ChangeQueue without changes."""

    def close(self, seconds):
        pass
