"""One SearchIndex for each process, also in workers that gunicorn forks (Python 2.7)."""
from __future__ import unicode_literals

import logging
import os

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make '
                    'test-py27` has these tests')

import flask  # noqa: E402
import imp  # noqa: E402

from docker_registry import storage  # noqa: E402
from docker_registry_index.engine import Settings, errors  # noqa: E402
from docker_registry_index.plugin.process import ProcessIndexes  # noqa: E402
from tests.helpers.engine import EngineIndex  # noqa: E402
from tests.helpers.waiting import in_threads, more_threads  # noqa: E402


class Started(object):
    """A start that records its arguments, and returns an index that only closes."""

    def __init__(self):
        self.waits = []

    def __call__(self, wait):
        self.waits.append(wait)
        return self

    def close(self):
        pass


@pytest.fixture
def start():
    return Started()


def current(indexes):
    with indexes.index() as index:
        return index


def is_true_in_a_forked_process(function):
    process, status = os.fork(), 1
    if not process:
        try:
            status = 0 if function() else 1
        finally:
            os._exit(status)
    return os.waitpid(process, 0)[1] == 0


def test_the_index_starts_once_and_a_forked_process_starts_its_own_without_waiting(start):
    indexes = ProcessIndexes(None, start)
    assert current(indexes) is current(indexes) is start
    assert start.waits == [None]

    def threads_of_a_child():
        in_threads([lambda: current(indexes)] * 8)()
        return start.waits == [None, 0]

    assert is_true_in_a_forked_process(threads_of_a_child)
    assert start.waits == [None]


def test_other_threads_may_import_while_the_index_starts_and_works(start):
    held = []
    imp.acquire_lock()
    try:
        indexes = ProcessIndexes(None, lambda wait: held.append(imp.lock_held()) or start(wait))
        with indexes.index():
            held.append(imp.lock_held())
        assert held == [False, False] and imp.lock_held()
        # a thread that does not hold the lock works beside one that does
        assert in_threads([lambda: current(indexes)])() == [start]
    finally:
        imp.release_lock()
    assert not imp.lock_held()


@pytest.fixture
def preloaded(monkeypatch, start):
    """A function from Settings to the ProcessIndexes that gunicorn's master makes."""
    monkeypatch.setattr(storage, 'load', object)
    arbiter = {'__name__': 'gunicorn.arbiter'}
    exec('def setup(load): return load()', arbiter)
    return lambda settings, start=start: arbiter['setup'](lambda: ProcessIndexes(settings, start))


def test_gunicorns_master_starts_no_index_and_each_worker_does_with_its_first_request(
        preloaded, start, caplog):
    caplog.set_level(logging.ERROR)

    def fail_at_first(wait):
        start(wait)
        if len(start.waits) == 1:
            raise IOError('unavailable')
        return start

    begun = more_threads()
    indexes = preloaded(Settings(region='us-east-1'), fail_at_first)
    assert (start.waits, begun()) == ([], 0)
    for _ in range(3):
        flask.request_started.send(None)
    assert start.waits == [0, 0] and current(indexes) is start
    assert caplog.messages == ['the search index could not be started; the next request retries it']


def test_a_master_stops_if_the_index_is_newer_and_goes_on_without_dynamodb(
        preloaded, dynamodb_endpoint):
    index = EngineIndex(dynamodb_endpoint).ready()
    index.write_format(999)
    with pytest.raises(errors.NewerDatabase):
        preloaded(index.settings)
    index.delete_tables()
    preloaded(index.settings)
    preloaded(Settings(region='us-east-1', endpoint_url='http://127.0.0.1:9', access_key='k',
                       secret_access_key='s', attempts=1))
