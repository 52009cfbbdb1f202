"""A load that would compare the index with itself, and two registries on the same tables."""
import subprocess

import pytest

from dev.servers.service import Service
from tests.end_to_end.service.place import Place, needs
from tests.helpers.command_line import CommandLine

pytestmark = needs('docker-registry', 'nginx')


@pytest.fixture
def place(dynamodb_local, tmp_path):
    with Place(dynamodb_local.url, tmp_path, STORAGE=None) as running:
        running.images.push('acme/web', '1', 'The shop')
        running.wait_until_found({'acme/web': 'The shop'})
        yield running


def command(place, capsys, **settings):
    return CommandLine(place.index, capsys, **dict(place.settings, **settings))


def test_no_command_compares_the_index_with_its_own_catalog(place, capsys):
    # As in a script that has only the public address. Its own tables would be refused.
    place.index.engine.remove('acme/web')
    of_public_address = command(place, capsys, REGISTRY_URL=place.nginx.url)
    assert of_public_address.fails('check')[0] == 5
    for arguments in ('load', '--adopt'), ('load', '--adopt', '--dry-run'):
        status, error = of_public_address.fails(*arguments)
        assert status == 3 and 'answers from the search index; set REGISTRY_URL to' in error
    elsewhere = command(place, capsys, REGISTRY_URL=place.nginx.url, DYNAMODB_DATABASE='empty')
    assert elsewhere.fails('load')[0] == 3
    for name in 'check', 'status':
        status, error = elsewhere.fails(name)
        assert status == 3 and 'set REGISTRY_URL to' in error, (name, error)
    assert command(place, capsys).json('load')[1]['added'] == 1


def test_another_registry_on_the_same_tables_is_refused(place, capsys, tmp_path):
    assert command(place, capsys).json('load')[0] == 0
    other = command(place, capsys, REGISTRY_URL='http://registry.example:5000',
                    STORAGE=str(tmp_path))
    for arguments in ('load',), ('load', '--dry-run'), ('check',), ('status',), ('search', 'web'):
        status, error = other.fails(*arguments)
        assert status == 5 and 'registry.example:5000' in error and '--adopt' in error
    service = Service(dict(place.settings, REGISTRY_URL='http://registry.example:5000'))
    ended = subprocess.run(service.command(), env=dict(service.environment(), PATH='/usr/bin'),
                           capture_output=True, timeout=60, check=False)
    assert ended.returncode == 5 and b'--adopt' in ended.stderr
    assert place.results() == {'acme/web': 'The shop'}
    assert other.json('load', '--adopt')[1]['complete']
    assert other.json('status')[1]['registry'] == 'registry.example:5000'
    assert command(place, capsys).fails('search', 'web')[0] == 5
