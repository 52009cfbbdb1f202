"""A registry that starts again loads nothing, or everything from S3 if tables are deleted."""
import pytest

from tests.end_to_end.plugin.registry_place import LOADED, Place, image


@pytest.fixture(scope='module')
def place(ministack, dynamodb_endpoint):
    """A place whose registry ran and was stopped after a push and a delete."""
    place = Place(ministack.url, dynamodb_endpoint)
    place.seed('acme/kept', 'acme/deleted', 'ops/kept-too')
    with place.running() as client:
        client.push('team/pushed', {'latest': image('pushed')})
        client.delete('acme/deleted')
    return place


EXPECTED = ['acme/kept', 'ops/kept-too', 'team/pushed']


def test_a_restart_finds_the_same_without_a_load(place):
    with place.running() as client:
        assert client.names() == EXPECTED
        assert LOADED not in client.registry.log_text()


@pytest.mark.parametrize('kinds', [('repository', 'version', 'search'), ('search',)],
                         ids=' and '.join)
def test_the_next_start_makes_deleted_tables_and_fills_them_from_S3(place, kinds):
    place.drop(*kinds)
    place.seed('acme/restored-from-a-backup')
    with place.running() as client:
        assert client.names() == ['acme/kept', 'acme/restored-from-a-backup'] + EXPECTED[1:]
        assert client.registry.log_text().count(LOADED) == 1
        client.begin_push('team/after-the-loss')
        assert client.names('loss') == ['team/after-the-loss']
        for name in 'team/after-the-loss', 'acme/restored-from-a-backup':
            client.delete(name)
    assert place.tables() == ['repository', 'version', 'search']
    assert sorted(row['name']['S'] for row in place.rows()) == EXPECTED
