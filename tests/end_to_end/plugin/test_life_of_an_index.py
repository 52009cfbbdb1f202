"""The real registry finds the repositories of S3 and each push at once, and no deleted one."""
import pytest

from tests.end_to_end.plugin.conftest import SEEDED
from tests.end_to_end.plugin.registry_place import LISTED, LOADED, image


@pytest.fixture
def client(seeded):
    yield seeded[1]
    for name in set(seeded[1].names()) - set(SEEDED):
        seeded[1].delete(name)


def test_repositories_that_were_in_S3_before_the_first_start_are_found(client):
    assert client.names('nginx') == ['library/nginx', 'ops/nginx-proxy']
    assert set(SEEDED) <= set(client.names())


def test_two_workers_that_start_together_load_once(client):
    assert client.registry.log_text().count(LISTED % len(SEEDED)) == 1
    assert client.registry.log_text().count(LOADED) == 1


def test_the_first_start_makes_all_three_tables_billed_on_demand(seeded):
    place, _ = seeded
    assert place.tables() == ['repository', 'version', 'search']
    modes = [place.dynamodb.describe_table(TableName=place.table(kind))['Table'].get(
        'BillingModeSummary', {}).get('BillingMode') for kind in place.tables()]
    assert modes == ['PAY_PER_REQUEST'] * 3


def test_a_result_has_a_name_and_a_description_and_nothing_else(client):
    assert client.search('billing') == [{'name': 'acme/billing-api', 'description': ''}]


def test_the_limit_that_docker_search_sends_is_kept(client):
    assert client.names('nginx', 1) == ['library/nginx']
    assert client.names('', 2) == sorted(client.names())[:2]


def test_a_repository_from_S3_is_pulled(client):
    assert client.pull('acme/billing-api') == [
        part.layer for part in reversed(image('acme/billing-api').chain())]


def test_a_pushed_repository_is_found_by_every_worker_and_pulled(client):
    pushed = image('pushed')
    client.push('team/fresh-push', {'latest': pushed, '1.0': pushed})
    assert [client.names('fresh-push') for _ in range(6)] == [['team/fresh-push']] * 6
    assert client.pull('team/fresh-push', '1.0') == [part.layer
                                                     for part in reversed(pushed.chain())]


def test_a_repository_without_a_namespace_is_found_in_library(client):
    client.push('official-one', {'latest': image('official')})
    assert client.names('official-one') == ['library/official-one']


def test_a_repository_pushed_again_is_found_once(client):
    client.push('team/overwritten', {'latest': image('first')})
    client.push('team/overwritten', {'latest': image('second')})
    assert client.names('overwritten') == ['team/overwritten']
    assert client.pull('team/overwritten')[0] == image('second').layer


def test_a_repository_is_found_as_soon_as_its_push_begins(client):
    client.begin_push('team/only-begun')
    assert client.names('only-begun') == ['team/only-begun']


def test_a_deleted_repository_is_gone_for_every_worker(client):
    client.push('team/short-lived', {'latest': image('short')})
    client.delete('team/short-lived')
    assert [client.names('short-lived') for _ in range(6)] == [[]] * 6


def test_a_repository_without_tags_is_gone_if_all_its_tags_were_deleted_at_once(client):
    client.push('team/all-tags', {'latest': image('tags'), '1.0': image('tags')})
    client.expect([200], 'DELETE', '/v1/repositories/team/all-tags/tags')
    assert client.names('all-tags') == []


def test_a_deleted_repository_that_is_pushed_again_is_found_again(client):
    for _ in range(2):
        client.push('team/comes-back', {'latest': image('back')})
        client.delete('team/comes-back')
    client.push('team/comes-back', {'latest': image('back')})
    assert client.names('comes-back') == ['team/comes-back']


def test_the_failed_delete_of_an_unknown_repository_leaves_the_others(client):
    assert client.request('DELETE', '/v1/repositories/acme/billing/').status_code == 404
    assert client.names('acme/billing') == ['acme/billing-api']


def test_deleting_the_only_tag_leaves_the_repository_in_the_index(client):
    client.push('team/untagged', {'latest': image('untagged')})
    client.expect([200], 'DELETE', '/v1/repositories/team/untagged/tags/latest')
    assert client.names('untagged') == ['team/untagged']
