"""The tables record the registry of the index, so that another one does not replace its names."""
from __future__ import unicode_literals

import botocore.exceptions
import pytest

from docker_registry_index.engine import SearchIndex, errors
from docker_registry_index.engine.store.records import VERSION_KEY
from tests.helpers.requests_made import RequestsMade
from tests.helpers.storage import refuse_to_list
from tests.helpers.waiting import wait_until

STORE = [('a/one', None), ('a/two', None)]
OTHERS = [('x/other', None)]


@pytest.fixture
def of(first):
    """A function that returns the SearchIndex of a registry on the same tables."""
    made = []

    def make(registry, **more):
        made.append(SearchIndex(first.settings, registry=registry, **more))
        return made[-1]
    yield make
    for each in made:
        each.close()


def recorded(index):
    [row] = index.items(index.settings.version_table)
    return row.get('registry', {}).get('S')


def test_the_first_load_records_the_registry_and_another_one_is_refused(first, of):
    assert of('one:5000').sync(lambda: STORE).complete
    status = of('one:5000').status()
    assert status.marker() and status.registry() == recorded(first) == 'one:5000'
    other = of('two:5000')

    def source():
        return OTHERS

    for act in (other.is_ready, lambda: other.sync(source), lambda: other.start(source),
                lambda: other.status().marker()):
        with pytest.raises(errors.ForeignDatabase) as refused:
            act()
        message = str(refused.value)
        assert all(part in message for part in (
            'one:5000', 'two:5000', 'name another database', 'load --adopt'))
    with pytest.raises(errors.ForeignDatabase):
        other.search('one')
    assert first.names() == [name for name, _ in STORE] and recorded(first) == 'one:5000'
    assert of('one:5000').sync(lambda: STORE + OTHERS).added == 1


def test_another_registry_is_refused_as_soon_as_the_first_one_has_listed_a_repository(first, of):
    started, other = [], of('two:5000')

    def listing():
        yield STORE[0]
        wait_until(lambda: recorded(first) == 'one:5000')
        for act in other.is_ready, lambda: other.start(lambda: OTHERS), lambda: other.add('x'):
            with pytest.raises(errors.OtherRegistry):
                act()
        started.append(True)
        yield STORE[1]

    assert of('one:5000').sync(listing).complete and started
    assert first.names() == [name for name, _ in STORE]


def test_the_record_is_written_once(first, of):
    of('one:5000').sync(lambda: STORE)
    index = of('one:5000')
    made = RequestsMade(index)
    index.sync(lambda: STORE)
    of(None).sync(lambda: STORE)
    other = of(None)
    without = RequestsMade(other)
    other.sync(lambda: STORE)
    assert made.operations.count('UpdateItem') == without.operations.count('UpdateItem')


def test_a_throttled_record_does_not_end_the_load_and_is_written_at_its_end(first, of):
    index, throttled = of('one:5000'), []

    def throttle(params, **_):
        if 'registry' in params['UpdateExpression']:
            throttled.append(True)
            raise botocore.exceptions.ClientError({'Error': {
                'Code': 'ProvisionedThroughputExceededException', 'Message': 'slow'}}, 'UpdateItem')

    index.client.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.UpdateItem', throttle)
    assert index.sync(lambda: STORE).complete and throttled
    assert recorded(first) == 'one:5000'


def test_the_record_of_a_process_that_has_taken_the_lease_over_stays(first, of):
    def listing():
        first.store.call(
            'update_item', TableName=first.settings.version_table, Key=VERSION_KEY,
            UpdateExpression='SET registry = :other',
            ExpressionAttributeValues={':other': {'S': 'two:5000'}})
        return iter(STORE)

    with pytest.raises(errors.OtherRegistry):
        of('one:5000').sync(listing)
    assert recorded(first) == 'two:5000' and first.names() == []


def test_a_registry_that_cannot_be_listed_is_not_recorded(first, of):
    with pytest.raises(errors.StorageUnreadable):
        of('wrong:5000').sync(refuse_to_list)
    assert recorded(first) is None
    of('one:5000').sync(lambda: STORE)
    assert recorded(first) == 'one:5000'


def test_tables_that_record_no_registry_get_one_at_the_next_load(first, of):
    first.ready(STORE)
    assert of('one:5000').start(refuse_to_list) and recorded(first) is None
    of('one:5000').sync(lambda: STORE)
    assert recorded(first) == 'one:5000'


def test_a_registry_that_has_moved_adopts_its_tables(first, of):
    of('one:5000').sync(lambda: STORE)
    running = of('one:5000')
    assert running.start(lambda: STORE)
    assert of('two:5000', is_adopting=True).sync(lambda: STORE).unchanged == 2
    assert recorded(first) == 'two:5000' and of('two:5000').is_ready()
    with pytest.raises(errors.OtherRegistry):
        of('one:5000').is_ready()


def test_a_running_program_writes_nothing_into_tables_that_become_those_of_another(first, of):
    running = of('one:5000')
    assert running.start(lambda: STORE)
    of('two:5000', is_adopting=True).sync(lambda: STORE + OTHERS)
    running._maintenance.check_soon()
    wait_until(lambda: running._maintenance.unusable)
    for act in running.add, running.remove, running.search:
        with pytest.raises(errors.OtherRegistry):
            act('x/other')
    assert first.names() == [name for name, _ in STORE + OTHERS]


def test_a_program_without_a_registry_uses_all_tables_and_changes_no_record(first, of):
    of('one:5000').sync(lambda: STORE)
    assert of(None).is_ready() and of(None).sync(lambda: STORE).complete
    assert recorded(first) == 'one:5000'


def test_the_comparison_costs_no_request(first, of):
    of('one:5000').sync(lambda: STORE)
    index = of('one:5000')
    made = RequestsMade(index)
    assert index.start(lambda: STORE)
    assert made.operations == ['BatchGetItem']
