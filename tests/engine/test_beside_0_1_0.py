"""Workers of release 0.1.0 that start and write at every moment of a load."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import ListSource
from docker_registry_index.engine.store import postings
from tests.helpers.faults import Meanwhile
from tests.helpers.release_0_1_0 import Release010

OLD = ['library/nginx', 'o/other', 'z/web']
STORED = [('t/n%d' % number, None) for number in range(3)]
NEW = [name for name, _ in STORED]
# So the load of these few has several transactions.
pytestmark = pytest.mark.usefixtures('short_transactions')


class BeforeEachRequest(object):
    """Does something before each request of an engine."""

    def __init__(self, index, act, operation='*'):
        self.count = 0
        self._act = act
        index.engine.client.dynamodb.meta.events.register(
            'before-call.dynamodb.' + operation, self._note)

    def _note(self, **_):
        self.count += 1
        self._act(self.count)


@pytest.fixture
def index(processes):
    return processes[0]


@pytest.fixture
def another(processes):
    return processes[1]


@pytest.fixture
def old(processes):
    """A worker of 0.1.0 on its tables, through an engine that no test counts the requests of."""
    worker = Release010(processes[2])
    worker.create_tables()
    worker.start()
    worker.load(OLD)
    return worker


def names_found(index):
    return [name for name, _ in index.search('')]


def test_nothing_is_lost_when_it_restarts_before_each_request(index, another, processes, old):
    created = []

    def restart(count):
        if index.is_in_process and count % 4:
            # On moto, each takes long.
            return
        worker = Release010(processes[2])
        # It raises when it meets a version that it does not know.
        worker.start()
        assert set(OLD + created) <= set(worker.names())
        created.append('old/%03d' % count)
        worker.created(created[-1])
        worker.updated('library/nginx')

    requests = BeforeEachRequest(index, restart)
    index.ready(STORED)
    assert requests.count > 10 and created
    assert another.engine.is_ready()
    everything = sorted(OLD + NEW + created)
    assert old.names() == everything
    assert set(OLD + NEW) <= set(names_found(another))
    # The next load finds what it wrote past the first.
    another.engine.sync(lambda: STORED)
    assert names_found(another) == everything
    another.assert_whole()


def test_a_worker_that_writes_its_version_over_the_lease_makes_the_start_load_again(
        index, another, old):
    def first_start():
        # It has read the version before the lease was there.
        another.store.call('put_item', TableName=index.settings.version_table,
                           Item={'version': {'N': '1'}})

    Meanwhile(index.engine, 'TransactWriteItems', first_start)
    index.ready(STORED)
    assert another.engine.is_ready()
    assert names_found(another) == sorted(OLD + NEW)
    assert another.items(index.settings.version_table) == [
        {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}]
    another.assert_whole()


def test_what_it_deletes_during_the_load_the_next_load_removes(index, another, old):
    Meanwhile(index.engine, 'TransactWriteItems', lambda: old.deleted('z/web'))
    index.ready(STORED)
    assert 'z/web' not in old.names()
    another.engine.sync(lambda: STORED)
    assert another.search('web') == []
    another.assert_whole()


@pytest.mark.parametrize('moment', range(1, 5))
def test_what_it_deletes_after_the_load_listed_it_stays_deleted(index, another, old, moment):
    storage = STORED + [('z/web', None)]
    listing = list(storage)

    def delete(count):
        if transactions.count == moment:
            storage.pop()
            old.deleted('z/web')

    transactions = BeforeEachRequest(index, delete, 'TransactWriteItems')

    class Listed(ListSource):
        """The listing was made before."""

        def has(self, name):
            return (name, None) in storage

    index.ensure_ready(Listed(lambda: listing))
    assert transactions.count >= moment
    assert 'z/web' not in old.names() + another.names()
    assert set(NEW) <= set(another.names())
    another.assert_whole()
