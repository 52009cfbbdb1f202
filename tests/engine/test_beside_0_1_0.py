"""The tables of release 0.1.0: taken over, and shared with workers of 0.1.0 that start and write at
every moment of a load."""
from __future__ import unicode_literals

import itertools

import pytest

from docker_registry_index.engine.store import postings
from tests.helpers.clock import Clock
from tests.helpers.faults import Meanwhile
from tests.helpers.release_0_1_0 import Release010, put_as_0_1_0
from tests.helpers.storage import FakeStorage

OLD = ['library/nginx', 'o/other', 'z/web']
STORED = [('t/n%d' % number, None) for number in range(3)]
NEW = [name for name, _ in STORED]
# So the load of these few has several transactions.
pytestmark = pytest.mark.usefixtures('short_transactions')


@pytest.fixture
def old(processes):
    """A worker of 0.1.0 on its tables, through an engine that no test counts the requests of."""
    worker = Release010(processes[2])
    worker.create_tables()
    worker.start()
    worker.load(OLD)
    return worker


def test_a_database_of_0_1_0_is_taken_over_and_nothing_is_lost(first, old):
    first.ready(STORED)
    assert first.assert_whole() == sorted(OLD + NEW)
    assert first.search('the') == [('o/other', '')]
    table = first.engine.client.call(
        'describe_table', TableName=first.settings.repository_table)['Table']
    assert table['ProvisionedThroughput']['WriteCapacityUnits'] == 5
    assert len(table['GlobalSecondaryIndexes']) == 1


def test_both_find_what_this_release_writes_into_its_table_and_secondary_index(first, old):
    first.ready(STORED[:1])
    assert first.engine.add('team/new')
    for description in 'with words', '', 'other words':
        assert first.engine.add('team/described', description)
    assert first.search('other') == [('o/other', ''), ('team/described', 'other words')]
    assert (old.search('t/n'), old.search('team/')) == (['t/n0'], ['team/described', 'team/new'])
    assert first.engine.remove('team/new')
    assert first.search('team/new') == [] and old.search('team/new') == []
    assert [row['version'] for row in first.items(first.settings.version_table)] == [{'N': '1'}]


def test_what_it_writes_after_the_takeover_is_found_after_a_load(first, old):
    first.ready()
    first.engine.add('z/web', 'kept in words')
    old.updated('z/web')
    old.created('late/push')
    old.deleted('o/other')
    report = first.load(lambda: [])
    assert (report.adopted, report.cleaned) == (2, 1)
    assert first.search('late') == [('late/push', '')]
    assert first.search('other') == first.search('kept') == []
    # A push repairs a row that it wrote over.
    first.engine.add('z/web', 'kept in words')
    put_as_0_1_0(first, 'z/web')
    assert first.engine.add('z/web', 'written anew')
    assert (first.search('kept'), first.search('anew')) == ([], [('z/web', 'written anew')])


def test_rows_that_others_wrote_into_are_found_and_can_be_changed(first):
    # This release made the table: the secondary index of 0.1.0 would refuse some of these rows.
    first.ready()
    names = []
    for row in [{'description': {'NULL': True}}, {'description': {'N': '5'}},
                {'postings': {'S': 'of somebody else'}}, {'writing': {'S': 'x'}},
                {'writing': {'L': [{'N': '1'}]}}, {'indexed': {'N': '7'}}]:
        names.append('odd/%d' % len(names))
        first.put_row(names[-1], **row)
    assert first.load(lambda: [('ok/ok', None)]).failed == 0
    assert first.search('dd/') == [(name, '') for name in names]
    for name in names:
        assert first.engine.add(name, 'described')
        assert first.search('descr') == [(name, 'described')]
        assert first.engine.remove(name)
    assert first.names() == ['ok/ok']


def test_a_row_whose_name_cannot_be_indexed_keeps_no_other_out(first, old):
    names = ['odd/\x1b[31m', 'odd/' + 'x' * 1100]
    old.load(names)
    first.ready(STORED)
    assert first.names() == sorted(OLD + NEW)
    assert old.search('odd') == names


def before_each_request(index, act, operation='*'):
    """Call ``act`` with the number of each request of an engine, before the request is made."""
    numbers = itertools.count(1)
    index.engine.client.dynamodb.meta.events.register(
        'before-call.dynamodb.' + operation, lambda **_: act(next(numbers)))


def test_nothing_is_lost_when_it_restarts_before_each_request(first, second, processes, old):
    created = []

    def restart(count):
        if first.is_in_process and count % 6:
            # On moto, each takes long.
            return
        worker = Release010(processes[2])
        # It raises when it meets a version that it does not know.
        worker.start()
        assert set(OLD + created) <= set(worker.names())
        created.append('old/%03d' % count)
        worker.created(created[-1])
        worker.updated('library/nginx')

    before_each_request(first, restart)
    first.ready(STORED)
    assert len(created) > 1
    assert second.engine.is_ready()
    everything = sorted(OLD + NEW + created)
    assert old.names() == everything
    assert set(OLD + NEW) <= set(second.names())
    # The next load finds what it wrote past the first.
    second.engine.sync(lambda: STORED)
    assert second.assert_whole() == everything


def test_a_worker_that_writes_its_version_over_the_lease_makes_the_start_load_again(
        first, second, old):
    def first_start():
        # It has read the version before the lease was there.
        second.store.call('put_item', TableName=first.settings.version_table,
                          Item={'version': {'N': '1'}})

    Meanwhile(first.engine, 'TransactWriteItems', first_start)
    # No heartbeat is due, so that the load learns of it at its end.
    assert first.ensure_ready(lambda: STORED, clock=Clock()) is True
    assert second.engine.is_ready()
    assert second.assert_whole() == sorted(OLD + NEW)
    assert second.items(first.settings.version_table) == [
        {'version': {'N': '1'}, 'format': {'N': str(postings.FORMAT)}}]


@pytest.mark.parametrize('operation', ['PutItem', 'BatchWriteItem', 'TransactWriteItems'])
def test_what_it_deletes_after_the_load_listed_it_stays_deleted(first, second, old, operation):
    storage = FakeStorage(NEW + ['z/web'])

    def delete(count):
        if count == 1:
            storage.found.remove('z/web')
            old.deleted('z/web')

    before_each_request(first, delete, operation)
    first.ensure_ready(storage)
    assert storage.found == set(NEW)
    assert 'z/web' not in old.names() + second.names()
    assert set(NEW) <= set(second.assert_whole())
