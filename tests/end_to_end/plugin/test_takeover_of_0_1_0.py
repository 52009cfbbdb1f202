"""The registry takes over a database of release 0.1.0 and loses nothing, while workers of 0.1.0 go
on working with it."""
import threading

from tests.end_to_end.plugin.registry_place import LOADED, image
from tests.helpers.release_0_1_0 import Release010
from tests.helpers.waiting import in_threads, wait_until

IN_BOTH = ['acme/billing-api', 'library/nginx', 'ops/nginx-proxy']
ONLY_IN_THE_TABLE = ['acme/of-another-store', 'MixedCase/Old-Name']
ONLY_IN_S3 = ['many/application-%02d' % number for number in range(30)]
DESCRIBED = 'acme/described-by-hand'
ALL = sorted(IN_BOTH + ONLY_IN_THE_TABLE + ONLY_IN_S3 + [DESCRIBED])


def test_a_database_of_0_1_0_is_taken_over_beside_its_workers(place_on_each):
    place, created, is_over = place_on_each, [], threading.Event()
    old = Release010(place)
    old.create_tables()
    old.start()
    old.load(IN_BOTH + ONLY_IN_THE_TABLE)
    place.dynamodb.put_item(TableName=place.table('repository'), Item={
        'name': {'S': DESCRIBED}, 'description': {'S': 'Payroll of ACME'}})
    place.put(*(ONLY_IN_S3 + IN_BOTH))

    def restart_workers_of_0_1_0():
        while not is_over.wait(0.05):
            worker = Release010(place)
            worker.start()
            worker.created('old/restart-%03d' % len(created))
            created.append('old/restart-%03d' % len(created))

    join = in_threads([restart_workers_of_0_1_0])
    try:
        with place.running() as client:
            assert set(ALL) <= set(client.names())
            assert client.registry.log_text().count(LOADED) == 1
            wait_until(lambda: len(created) > 10)
            is_over.set()
            join()
            assert old.names() == place.names() == sorted(ALL + created)
            assert_both_work(place, old, client)
    finally:
        is_over.set()
    # The next load finds what 0.1.0 changed after the first one.
    old.deleted('acme/of-another-store')
    place.drop('version')
    with place.running() as client:
        assert client.names() == sorted(set(ALL + created) - {'acme/of-another-store'})


def assert_both_work(place, old, client):
    """Assert that what one release changes, the other one finds, and that the old table stays as
    it was."""
    assert client.search('payroll') == [{'name': DESCRIBED, 'description': 'Payroll of ACME'}]
    assert old.by_description('Payroll of ACME') == [DESCRIBED]
    client.push('team/new-push', {'latest': image('new')})
    assert client.names('new-push') == old.search('new-push') == ['team/new-push']
    old.updated('team/new-push')
    assert client.names('new-push') == ['team/new-push']
    client.delete('team/new-push')
    assert client.names('new-push') == old.search('new-push') == []
    table = place.dynamodb.describe_table(TableName=place.table('repository'))['Table']
    [index] = table['GlobalSecondaryIndexes']
    assert index['IndexName'] == 'Repositories-By-Description-Index'
    for what in table, index:
        assert (what['ProvisionedThroughput']['ReadCapacityUnits'],
                what['ProvisionedThroughput']['WriteCapacityUnits']) == (5, 5)
