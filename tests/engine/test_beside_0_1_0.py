"""Workers of release 0.1.0 that start and write at every moment of a load."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import ListSource
from docker_registry_index.engine.store import postings
from tests.helpers.faults import Meanwhile
from tests.helpers.engine import EngineIndex
from tests.helpers.release_0_1_0 import Release010

OLD = ['library/nginx', 'team/of-another-store', 'team/web']
STORED = [('team/app-%02d' % number, None) for number in range(40)]


class Place(object):
    """The tables of an index, as the worker of 0.1.0 is given them."""

    def __init__(self, index):
        # Of its own: what the load asks for is watched.
        self.dynamodb = index.another().engine.client.dynamodb
        self._database = index.settings.database

    def table(self, kind):
        return '%s-%s' % (self._database, kind)


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
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    yield made
    made.another().delete_tables()


@pytest.fixture
def old(index):
    worker = Release010(Place(index))
    worker.create_tables()
    worker.start()
    worker.load(OLD)
    return worker


def test_it_restarts_before_each_request_and_nothing_is_lost(index, old):
    created = []

    def restart(count):
        worker = Release010(Place(index))
        # It raises when it meets a version that it does not know.
        worker.start()
        assert set(OLD + created) <= set(worker.names())
        created.append('old/at-%03d' % count)
        worker.created(created[-1])
        worker.updated('library/nginx')

    requests = BeforeEachRequest(index, restart)
    index.ready(STORED)
    assert requests.count == len(created) > 10
    another = index.another()
    assert another.engine.is_ready()
    everything = sorted(OLD + [name for name, _ in STORED] + created)
    assert old.names() == everything
    assert set(OLD + [name for name, _ in STORED]) <= set(name for name, _ in another.search(''))
    # What it wrote behind the back of the load, the next one finds.
    another.engine.sync(lambda: STORED)
    assert [name for name, _ in another.search('')] == everything
    another.assert_whole()


def test_one_that_writes_its_version_over_our_lease_makes_us_load_again(index, old):
    client = index.another().engine.client

    def first_start():
        # It has read the version before the lease was there.
        client.call('put_item', TableName=index.settings.version_table,
                    Item={'version': {'N': '1'}})

    Meanwhile(index.engine, 'TransactWriteItems', first_start)
    index.ready(STORED)
    another = index.another()
    assert another.engine.is_ready()
    everything = sorted(OLD + [name for name, _ in STORED])
    assert [name for name, _ in another.search('')] == everything
    assert another.items(index.settings.version_table) == [
        {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}]
    another.assert_whole()


def test_it_deletes_during_the_load_and_the_next_one_cleans_up(index, old):
    Meanwhile(index.engine, 'TransactWriteItems', lambda: old.deleted('team/web'))
    index.ready(STORED)
    assert 'team/web' not in old.names()
    another = index.another()
    another.engine.sync(lambda: STORED)
    assert another.search('web') == []
    another.assert_whole()


@pytest.mark.parametrize('moment', range(1, 5))
def test_it_deletes_what_the_load_had_listed_and_it_stays_deleted(index, old, moment):
    storage = STORED + [('team/web', None)]

    def delete(count):
        if transactions.count == moment:
            storage[-1:] = []
            old.deleted('team/web')

    transactions = BeforeEachRequest(index, delete, 'TransactWriteItems')

    class Listed(ListSource):
        """The listing was made before."""

        def has(self, name):
            return (name, None) in storage

    listing = list(storage)
    index.ensure_ready(Listed(lambda: listing))
    if transactions.count < moment:
        pytest.fail('the load has %d transactions' % transactions.count)
    another = index.another()
    assert 'team/web' not in old.names() + another.names()
    assert set(name for name, _ in STORED) <= set(another.names())
    another.assert_whole()
