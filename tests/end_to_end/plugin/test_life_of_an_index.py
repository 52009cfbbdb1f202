"""The real registry finds the repositories of S3 and each push at once, and no deleted one."""
import contextlib

import pytest

from tests.end_to_end.plugin.conftest import SEEDED
from tests.end_to_end.plugin.registry_place import LISTED, LOADED, gunicorn, image, wait_for_workers
from tests.helpers.waiting import in_threads


@pytest.fixture
def client(seeded):
    yield seeded[1]
    for name in set(seeded[1].names()) - set(SEEDED):
        seeded[1].delete(name)


def layers(top):
    return [part.layer for part in reversed(top.chain())]


def test_the_first_start_creates_tables_billed_on_demand_and_loads_what_S3_has_once(seeded):
    place, client = seeded
    assert client.names() == SEEDED and client.names('nginx', 1) == ['library/nginx']
    assert client.search('billing') == [{'name': 'acme/billing-api', 'description': ''}]
    assert client.pull('acme/billing-api') == layers(image('acme/billing-api'))
    # two workers have started
    assert client.registry.log_text().count(LISTED % len(SEEDED)) == 1
    assert client.registry.log_text().count(LOADED) == 1
    assert place.tables() == ['repository', 'version', 'search']
    modes = [place.dynamodb.describe_table(TableName=place.table(kind))['Table'].get(
        'BillingModeSummary', {}).get('BillingMode') for kind in place.tables()]
    assert modes == ['PAY_PER_REQUEST'] * 3


def test_a_pushed_repository_is_found_by_every_worker_and_a_deleted_one_by_none(client):
    pushed, again = image('pushed'), image('again')
    client.push('team/fresh-push', {'latest': pushed, '1.0': pushed})
    assert [client.names('fresh-push') for _ in range(6)] == [['team/fresh-push']] * 6
    client.push('team/fresh-push', {'latest': again})
    assert client.pull('team/fresh-push', '1.0') == layers(pushed)
    assert client.pull('team/fresh-push') == layers(again)
    client.delete('team/fresh-push')
    assert [client.names('fresh-push') for _ in range(6)] == [[]] * 6
    client.push('team/fresh-push', {'latest': again})
    assert client.names('fresh-push') == ['team/fresh-push']


def test_a_repository_without_a_namespace_is_found_in_library(client):
    client.push('official-one', {'latest': image('official')})
    assert client.names('official-one') == ['library/official-one']


def test_the_failed_delete_of_an_unknown_repository_leaves_the_others(client):
    assert client.request('DELETE', '/v1/repositories/acme/billing/').status_code == 404
    assert client.names('acme/billing') == ['acme/billing-api']


def test_a_repository_stays_without_its_only_tag_and_goes_with_all_tags_at_once(client):
    client.push('team/tagged', {'latest': image('tags')})
    client.expect([200], 'DELETE', '/v1/repositories/team/tagged/tags/latest')
    assert client.names('tagged') == ['team/tagged']
    client.push('team/tagged', {'latest': image('tags'), '1.0': image('tags')})
    client.expect([200], 'DELETE', '/v1/repositories/team/tagged/tags')
    assert client.names('tagged') == []


def test_every_answer_is_right_while_workers_are_rebuilt_and_nothing_is_loaded_again(place_on_each):
    place_on_each.put(*SEEDED)
    # docker-registry itself has its workers rebuilt after 100 requests
    with place_on_each.running(GUNICORN_OPTS=gunicorn('--max-requests', '20')) as client:
        def ask(number):
            if number % 20 == 0:
                name = 'load/number-%d' % number
                client.begin_push(name)
                found = client.names('number-%d' % number)
                client.delete(name)
                return found == [name] and client.names('number-%d' % number) == []
            return client.names('nginx', 25) == ['library/nginx', 'ops/nginx-proxy']

        users = [lambda first=first: all(ask(number) for number in range(first, 120, 8))
                 for first in range(8)]
        assert in_threads(users)() == [True] * 8
        assert client.names() == SEEDED
        log = client.registry.log_text()
    assert log.count('Booting worker') >= 4, 'no worker was rebuilt'
    assert log.count(LOADED) == 1


def test_registries_started_at_the_same_moment_load_once_and_all_serve_everything(place_on_each):
    names = sorted('team-%d/application-%03d' % (number % 7, number) for number in range(30))
    place_on_each.put(*names)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(place_on_each.launched()) for _ in range(3)]
        for client in clients:
            client.registry.wait_until_ready()
            wait_for_workers(client.registry)
            # Often enough that both workers answer.
            assert [client.names('application') for _ in range(6)] == [names] * 6
        logs = ''.join(client.registry.log_text() for client in clients)
    assert logs.count(LOADED) == logs.count(LISTED % 30) == 1
    assert '30 repositories in the storage: 30 added' in logs
