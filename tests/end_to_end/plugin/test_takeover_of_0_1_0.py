"""The registry takes over a database of release 0.1.0 and loses nothing, while workers of 0.1.0 go
on working with it."""
import collections
import threading

import pytest

from tests.end_to_end.plugin.registry_place import LOADED, Place, image
from tests.helpers.release_0_1_0 import Release010
from tests.helpers.waiting import wait_until

IN_BOTH = ['acme/billing-api', 'library/nginx', 'ops/nginx-proxy']
ONLY_IN_THE_TABLE = ['acme/of-another-store', 'MixedCase/Old-Name']
ONLY_IN_S3 = ['many/application-%02d' % number for number in range(30)]
DESCRIBED = 'acme/described-by-hand'
ALL = sorted(IN_BOTH + ONLY_IN_THE_TABLE + ONLY_IN_S3 + [DESCRIBED])

Takeover = collections.namedtuple('Takeover', 'place old client created wrong')


def restarts(place, is_over, created, wrong):
    """Start one worker of 0.1.0 after another, each of which creates a repository."""
    while not is_over.wait(0.05):
        try:
            worker = Release010(place)
            worker.start()
            worker.created('old/restart-%03d' % len(created))
            created.append('old/restart-%03d' % len(created))
        except Exception as error:
            wrong.append(error)


@pytest.fixture(scope='module')
def takeover(ministack, dynamodb_endpoint):
    """A database of 0.1.0 with a registry of today on it; workers of 0.1.0 started and wrote while
    that loaded, up to the first test."""
    place, created, wrong, is_over = (
        Place(ministack.url, dynamodb_endpoint), [], [], threading.Event())
    old = Release010(place)
    old.create_tables()
    old.start()
    old.load(IN_BOTH + ONLY_IN_THE_TABLE)
    place.dynamodb.put_item(TableName=place.table('repository'), Item={
        'name': {'S': DESCRIBED}, 'description': {'S': 'Payroll of ACME'}})
    place.put(*(ONLY_IN_S3 + IN_BOTH))
    thread = threading.Thread(target=restarts, args=(place, is_over, created, wrong))
    thread.start()
    try:
        with place.running() as client:
            wait_until(lambda: len(created) > 10)
            is_over.set()
            thread.join()
            yield Takeover(place, old, client, created, wrong)
    finally:
        is_over.set()
        thread.join()


def test_all_of_the_table_and_all_of_S3_is_found_after_one_load(takeover):
    place, old, client, created, wrong = takeover
    assert set(ALL) <= set(client.names()) <= set(ALL + created)
    assert client.names('mixedcase') == ['MixedCase/Old-Name']
    assert client.registry.log_text().count(LOADED) == 1
    assert wrong == []
    assert old.names() == place.names() == sorted(ALL + created)


def test_a_description_of_the_old_table_is_kept_and_found(takeover):
    assert takeover.client.search('payroll') == [
        {'name': DESCRIBED, 'description': 'Payroll of ACME'}]
    assert takeover.old.by_description('Payroll of ACME') == [DESCRIBED]


def test_the_keys_the_secondary_index_and_the_billing_stay_as_they_were(takeover):
    place = takeover.place
    table = place.dynamodb.describe_table(TableName=place.table('repository'))['Table']
    [index] = table['GlobalSecondaryIndexes']
    assert index['IndexName'] == 'Repositories-By-Description-Index'
    for what in table, index:
        assert (what['ProvisionedThroughput']['ReadCapacityUnits'],
                what['ProvisionedThroughput']['WriteCapacityUnits']) == (5, 5)


def test_a_push_and_a_delete_work_on_the_old_table_and_0_1_0_sees_both(takeover):
    _, old, client, _, _ = takeover
    client.push('team/new-push', {'latest': image('new')})
    assert client.names('new-push') == old.search('new-push') == ['team/new-push']
    client.delete('team/new-push')
    assert client.names('new-push') == old.search('new-push') == []


def test_what_0_1_0_wrote_over_created_or_deleted_can_be_pushed_and_deleted(takeover):
    _, old, client, _, _ = takeover
    for name, change in (('team/overwritten', old.updated), ('team/deleted', old.deleted),
                         ('team/created', old.created)):
        if change != old.created:
            client.push(name, {'latest': image('mine')})
        change(name)
        client.push(name, {'latest': image('mine again')})
        assert client.names(name) == old.search(name) == [name]
        client.delete(name)
        assert client.names(name) == old.search(name) == []


def test_the_next_load_finds_what_0_1_0_wrote_past_the_first(takeover):
    place, old, client, created, _ = takeover
    old.deleted('acme/of-another-store')
    place.drop('version')
    with place.running() as another:
        assert another.names('restart-') == created and another.names('another-store') == []
