"""The tables of release 0.1.0: taken over, and shared with workers of 0.1.0 that start and write at
every moment of a load."""

from __future__ import unicode_literals

import itertools

import pytest

from docker_registry_index.engine import ListSource
from docker_registry_index.engine.store import postings
from tests.helpers.faults import Meanwhile
from tests.helpers.release_0_1_0 import Release010, put_as_0_1_0

OLD = ['library/nginx', 'o/other', 'z/web']
STORED = [('t/n%d' % number, None) for number in range(3)]
NEW = [name for name, _ in STORED]
# So the load of these few has several transactions.
pytestmark = pytest.mark.usefixtures('short_transactions')


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


# Taken over

def test_a_database_of_0_1_0_is_taken_over_and_nothing_is_lost(index, old):
    index.ready(STORED)
    assert index.assert_whole() == sorted(OLD + NEW)
    assert index.search('the') == [('o/other', '')]
    table = index.engine.client.call(
        'describe_table', TableName=index.settings.repository_table)['Table']
    assert table['ProvisionedThroughput']['WriteCapacityUnits'] == 5
    assert len(table['GlobalSecondaryIndexes']) == 1


def test_both_find_what_this_release_writes_into_its_table_and_secondary_index(index, old):
    index.ready(STORED[:1])
    assert index.engine.add('team/new')
    for description in 'with words', '', 'other words':
        assert index.engine.add('team/described', description)
    assert index.search('other') == [('o/other', ''), ('team/described', 'other words')]
    assert (old.search('t/n'), old.search('team/')) == (['t/n0'], ['team/described', 'team/new'])
    assert index.engine.remove('team/new')
    assert index.search('team/new') == [] and old.search('team/new') == []
    assert [row['version'] for row in index.items(index.settings.version_table)] == [{'N': '1'}]


def test_what_it_writes_after_the_takeover_is_found_after_a_load(index, old):
    index.ready()
    index.engine.add('z/web', 'kept in words')
    old.updated('z/web')
    old.created('late/push')
    old.deleted('o/other')
    report = index.load(lambda: [])
    assert (report.adopted, report.cleaned) == (2, 1)
    assert index.search('late') == [('late/push', '')]
    assert index.search('other') == index.search('kept') == []
    # A push repairs a row that it wrote over.
    index.engine.add('z/web', 'kept in words')
    put_as_0_1_0(index, 'z/web')
    assert index.engine.add('z/web', 'written anew')
    assert (index.search('kept'), index.search('anew')) == ([], [('z/web', 'written anew')])


def test_rows_that_others_wrote_into_are_found_and_can_be_changed(index):
    # A table of ours: the secondary index would refuse some of these.
    index.ready()
    names = []
    for row in [{'description': {'NULL': True}}, {'description': {'N': '5'}},
                {'postings': {'S': 'of somebody else'}}, {'writing': {'S': 'x'}},
                {'writing': {'L': [{'N': '1'}]}}, {'indexed': {'N': '7'}}]:
        names.append('odd/%d' % len(names))
        index.store.call('put_item', TableName=index.settings.repository_table,
                         Item=dict(row, name={'S': names[-1]}))
    assert index.load(lambda: [('ok/ok', None)]).failed == 0
    assert index.search('dd/') == [(name, '') for name in names]
    for name in names:
        assert index.engine.add(name, 'described')
        assert index.search('descr') == [(name, 'described')]
        assert index.engine.remove(name)
    assert index.names() == ['ok/ok']


def test_a_row_whose_name_cannot_be_indexed_keeps_no_other_out(index, old):
    names = ['odd/\x1b[31m', 'odd/' + 'x' * 1100]
    old.load(names)
    index.ready(STORED)
    assert index.names() == sorted(OLD + NEW)
    assert old.search('odd') == names


# Beside

def before_each_request(index, act, operation='*'):
    """Call ``act`` with the number of each request of an engine, before the request is made."""
    numbers = itertools.count(1)
    index.engine.client.dynamodb.meta.events.register(
        'before-call.dynamodb.' + operation, lambda **_: act(next(numbers)))


def test_nothing_is_lost_when_it_restarts_before_each_request(index, another, processes, old):
    created = []

    def restart(count):
        if index.is_in_process and count % 6:
            # On moto, each takes long.
            return
        worker = Release010(processes[2])
        # It raises when it meets a version that it does not know.
        worker.start()
        assert set(OLD + created) <= set(worker.names())
        created.append('old/%03d' % count)
        worker.created(created[-1])
        worker.updated('library/nginx')

    before_each_request(index, restart)
    index.ready(STORED)
    assert len(created) > 1
    assert another.engine.is_ready()
    everything = sorted(OLD + NEW + created)
    assert old.names() == everything
    assert set(OLD + NEW) <= set(another.names())
    # The next load finds what it wrote past the first.
    another.engine.sync(lambda: STORED)
    assert another.assert_whole() == everything


def test_a_worker_that_writes_its_version_over_the_lease_makes_the_start_load_again(
        index, another, old):
    def first_start():
        # It has read the version before the lease was there.
        another.store.call('put_item', TableName=index.settings.version_table,
                           Item={'version': {'N': '1'}})

    Meanwhile(index.engine, 'TransactWriteItems', first_start)
    index.ready(STORED)
    assert another.engine.is_ready()
    assert another.assert_whole() == sorted(OLD + NEW)
    assert another.items(index.settings.version_table) == [
        {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}]


@pytest.mark.parametrize('moment', [1, 3])
def test_what_it_deletes_after_the_load_listed_it_stays_deleted(index, another, old, moment):
    storage = STORED + [('z/web', None)]
    listing = list(storage)

    def delete(count):
        if count == moment:
            storage.pop()
            old.deleted('z/web')

    class Listed(ListSource):
        """The listing was made before."""

        def has(self, name):
            return (name, None) in storage

    before_each_request(index, delete, 'TransactWriteItems')
    index.ensure_ready(Listed(lambda: listing))
    assert storage == STORED
    assert 'z/web' not in old.names() + another.names()
    assert set(NEW) <= set(another.assert_whole())
