"""The registry takes over a database of release 0.1.0 and loses nothing; a worker of 0.1.0 goes on
working with it."""
import threading

import pytest

from tests.end_to_end.plugin.registry_place import LOADED, Place, image
from tests.helpers.release_0_1_0 import Release010

ONLY_IN_S3 = ['acme/pushed-without-an-index']
IN_BOTH = ['acme/billing-api', 'library/nginx', 'ops/nginx-proxy']
ONLY_IN_THE_TABLE = ['acme/of-another-store', 'MixedCase/Old-Name']
DESCRIBED = 'acme/described-by-hand'
ALL = sorted(ONLY_IN_S3 + IN_BOTH + ONLY_IN_THE_TABLE + [DESCRIBED])


def old_database(place):
    """Create a database of 0.1.0; return its worker."""
    old = Release010(place)
    old.create_tables()
    old.start()
    old.load(IN_BOTH + ONLY_IN_THE_TABLE)
    place.dynamodb.put_item(TableName=place.table('repository'),
                            Item={'name': {'S': DESCRIBED},
                                  'description': {'S': 'Payroll of ACME'}})
    place.seed(*(ONLY_IN_S3 + IN_BOTH))
    return old


@pytest.fixture(scope='module')
def taken_over(ministack, dynamodb_endpoint):
    """An old database with a registry of today running on it: (place, worker of 0.1.0, client).

    Each test uses names of its own.
    """
    place = Place(ministack.url, dynamodb_endpoint)
    old = old_database(place)
    with place.running() as client:
        yield place, old, client


@pytest.fixture
def place(taken_over):
    return taken_over[0]


@pytest.fixture
def old(taken_over):
    return taken_over[1]


@pytest.fixture
def client(taken_over):
    return taken_over[2]


def test_all_of_the_table_and_all_of_S3_is_found_after_one_load(client):
    assert sorted(client.names('acme/')) == [name for name in ALL if name.startswith('acme/')]
    assert client.names('nginx') == ['library/nginx', 'ops/nginx-proxy']
    assert client.names('mixedcase') == ['MixedCase/Old-Name']
    assert set(ALL) <= set(client.names())
    assert client.registry.log_text().count(LOADED) == 1


def test_a_description_of_the_old_table_is_kept_and_found(client, old):
    assert client.search('payroll') == [{'name': DESCRIBED, 'description': 'Payroll of ACME'}]
    assert old.by_description('Payroll of ACME') == [DESCRIBED]


def test_the_rows_are_all_still_there(place):
    assert set(ALL) <= set(row['name']['S'] for row in place.rows())


def test_the_keys_the_secondary_index_and_the_billing_stay_as_they_were(place):
    table = place.dynamodb.describe_table(TableName=place.table('repository'))['Table']
    assert [index['IndexName'] for index in table['GlobalSecondaryIndexes']] == [
        'Repositories-By-Description-Index']
    for what in [table] + table['GlobalSecondaryIndexes']:
        assert (what['ProvisionedThroughput']['ReadCapacityUnits'],
                what['ProvisionedThroughput']['WriteCapacityUnits']) == (5, 5)


def test_a_push_works_on_the_old_table_and_0_1_0_finds_it(client, old):
    client.push('team/new-push', {'latest': image('new')})
    assert client.names('new-push') == ['team/new-push']
    assert old.search('new-push') == ['team/new-push']


def test_0_1_0_lists_exactly_what_today_lists(client, old):
    assert old.names() == client.names()


def test_a_delete_works_on_the_old_table_and_0_1_0_sees_it(client, old):
    client.push('team/new-delete', {'latest': image('delete')})
    client.delete('team/new-delete')
    assert client.names('new-delete') == []
    assert old.search('new-delete') == []


def test_0_1_0_starts_beside_us(old, place):
    old.start()
    assert [row['version']['N'] for row in place.rows('version')] == ['1']


def test_what_0_1_0_overwrites_is_found_still_and_can_be_pushed_and_deleted_here(client, old):
    client.push('team/overwritten-by-old', {'latest': image('mine')})
    old.updated('team/overwritten-by-old')
    assert client.names('overwritten-by-old') == ['team/overwritten-by-old']
    client.push('team/overwritten-by-old', {'latest': image('mine again')})
    assert client.names('overwritten-by-old') == ['team/overwritten-by-old']
    client.delete('team/overwritten-by-old')
    assert client.names('overwritten-by-old') == [] == old.search('overwritten-by-old')


def test_what_0_1_0_created_is_found_once_it_is_pushed_here(client, old):
    old.created('team/created-by-old')
    client.push('team/created-by-old', {'latest': image('ours')})
    assert client.names('created-by-old') == ['team/created-by-old']


def test_what_0_1_0_deleted_can_be_pushed_and_deleted_here(client, old):
    client.push('team/deleted-by-old', {'latest': image('here')})
    old.deleted('team/deleted-by-old')
    client.push('team/deleted-by-old', {'latest': image('here')})
    assert client.names('deleted-by-old') == ['team/deleted-by-old'] == old.search('deleted-by-old')
    old.deleted('team/deleted-by-old')
    client.delete('team/deleted-by-old')
    assert client.names('deleted-by-old') == []


def test_workers_of_0_1_0_work_on_beside_a_load_and_the_next_load_finds_their_changes(
        place_on_each):
    place, created, wrong, is_over = place_on_each, [], [], threading.Event()
    old = old_database(place)
    place.seed(*['many/application-%02d' % number for number in range(30)])

    def restart():
        while not is_over.wait(0.05):
            try:
                worker = Release010(place)
                worker.start()
                worker.created('old/restart-%03d' % len(created))
                created.append('old/restart-%03d' % len(created))
            except Exception as error:
                wrong.append(error)

    restarts = threading.Thread(target=restart)
    restarts.start()
    try:
        with place.running() as client:
            assert set(ALL) <= set(client.names()) and len(client.names('many/')) == 30
            assert client.registry.log_text().count(LOADED) == 1
    finally:
        is_over.set()
        restarts.join()
    assert wrong == [] and len(created) > 10
    assert set(ALL + created) <= set(row['name']['S'] for row in place.rows())
    old.deleted('acme/of-another-store')
    place.drop('version')
    with place.running() as client:
        assert client.names('restart-') == created and client.names('another-store') == []
