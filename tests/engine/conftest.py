"""Tables for a module's tests, and engines that write to them at once."""
from __future__ import unicode_literals

import os
import tempfile

import pytest

from docker_registry_index.engine import concurrency
from docker_registry_index.engine._compat import wait
from docker_registry_index.engine.store.records import MARKERS
from docker_registry_index.engine.sync import loader
from docker_registry_index.engine.write import plan
from tests.helpers.engine import EngineIndex
from tests.helpers.faults import taken_back


@pytest.fixture(autouse=True)
def disk(tmp_path):
    """The folder for temporary files of a host, where processes note that changes may be lost."""
    before, tempfile.tempdir = tempfile.tempdir, str(tmp_path)
    yield tmp_path
    tempfile.tempdir = before


@pytest.fixture
def no_threads(monkeypatch):
    """No background thread is started: the test makes the calls of loops itself. The fixture is the
    list of the functions that would have run."""
    wanted = []
    monkeypatch.setattr(concurrency, 'start_thread', wanted.append)
    return wanted


@pytest.fixture
def fork(monkeypatch):
    """A function after which the test seems a forked process, where greenlets live on."""
    forked = os.getpid() + 1
    return lambda: monkeypatch.setattr(os, 'getpid', lambda: forked)


@pytest.fixture
def waits_of(monkeypatch):
    """A function that returns the list of the seconds of each wait in a module from now on."""
    def note_waits(module, real, meanwhile=lambda: None):
        """A wait of fewer seconds than `real` is over at once; any other must not time out.

        :param meanwhile: called in each wait."""
        noted = []

        def note(event, seconds, **more):
            noted.append(seconds)
            meanwhile()
            is_set = wait(event, seconds if seconds >= real else 0, **more)
            assert is_set or seconds < real
            return is_set

        monkeypatch.setattr(module, 'wait', note)
        return noted

    return note_waits


@pytest.fixture(scope='module')
def tables(dynamodb_endpoint):
    """The tables of a module's tests, as an EngineIndex without hooks."""
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


@pytest.fixture(scope='module')
def engines(tables):
    """Five engines, for as many writers."""
    return [tables.another() for _ in range(5)]


@pytest.fixture(scope='module')
def second_engine(tables):
    """The engine behind `other`; a boto3 client takes a tenth of a second to make."""
    return tables.another()


@pytest.fixture
def other(second_engine):
    """The engine of another process on the tables of `index`."""
    with taken_back(second_engine.engine):
        yield second_engine


@pytest.fixture
def index(tables):
    """An engine. After the test its postings must follow its rows, and a removal of all rows must
    leave none."""
    with taken_back(tables.engine):
        yield tables
    for name in tables.assert_whole():
        tables.engine.remove(name)
    assert [item for item in tables.clear() if item.get('gram', {}).get('S') != MARKERS] == []


@pytest.fixture(scope='module')
def three_engines(dynamodb_endpoint):
    """The engines behind `processes`."""
    first = EngineIndex(dynamodb_endpoint)
    return [first, first.another(), first.another()]


@pytest.fixture
def processes(three_engines):
    """Three engines on one database, each as in a process of its own. The test begins without
    tables; those that it leaves are deleted."""
    first, second, third = three_engines
    with taken_back(first.engine), taken_back(second.engine), taken_back(third.engine):
        yield three_engines
    for each in three_engines:
        each.engine.close()
    first.delete_tables()


@pytest.fixture
def first(processes):
    return processes[0]


@pytest.fixture
def second(processes):
    return processes[1]


@pytest.fixture
def short_transactions(monkeypatch):
    """Transactions of ten actions at most, so that a name of a few characters needs several."""
    monkeypatch.setattr(plan, 'LONGEST', 10)
    monkeypatch.setattr(loader, 'LONGEST', 10)


@pytest.fixture
def limit(tables, monkeypatch):
    """The number of actions that a transaction may have: the 100 of DynamoDB, but 10 on moto, where
    a transaction of 100 takes long and a name of ten characters needs several then."""
    actions = 10 if tables.is_in_process else plan.LONGEST
    monkeypatch.setattr(plan, 'LONGEST', actions)
    monkeypatch.setattr(loader, 'LONGEST', actions)
    return actions
