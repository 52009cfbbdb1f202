"""Settings of the index, given in each of the places where they may stand, on the real registry."""
import pytest
import yaml

from dev.servers.process import ServerError
from dev.servers.registry_v1 import Registry
from tests.end_to_end.plugin.registry_place import (
    BACKEND, LOADED, Place, image, seed_folder, wait_for_workers)
from tests.end_to_end.plugin.v1_client import V1Client

ALL = ['repository', 'version', 'search']
SECRETS = {'AWS_ACCESS_KEY_ID': 'AKIASECRETTEST', 'AWS_SECRET_ACCESS_KEY': 'never/ShowThisKey+2',
           'AWS_SESSION_TOKEN': 'never/ShowThisToken+3'}


@pytest.fixture
def write(tmp_path):
    """A function that writes a configuration file and returns what leads the registry to it."""
    def write_file(**content):
        path = tmp_path / 'registry.yml'
        path.write_text(yaml.safe_dump(content))
        return {'DOCKER_REGISTRY_CONFIG': str(path), 'DYNAMODB_ENDPOINT_URL': None,
                'DYNAMODB_DATABASE': None}
    return write_file


def assert_no_secret(log):
    assert ' DEBUG: ' in log
    assert 'never/ShowThis' not in log and 'never%2FShowThis' not in log


def test_blocks_of_a_file_are_read_with_the_credentials_of_the_environment(place, write):
    tables = {'repository_table': 'mine.%s' % place.name, 'version_table': '%s_v' % place.name,
              'search_table': place.name.upper()}
    host, port = place.s3_url.split('//')[1].split(':')
    flavour = {
        'loglevel': 'debug', 'standalone': True, 'search_backend': BACKEND, 'storage': 's3',
        's3_region': 'us-east-1', 's3_bucket': place.name, 'boto_bucket': place.name,
        's3_secure': False, 's3_encrypt': False, 'boto_host': host, 'boto_port': int(port),
        'boto_calling_format': 'boto.s3.connection.OrdinaryCallingFormat',
        'storage_path': place.storage_path, 'extensions': {'dynamodb_index': tables}}
    top_level = {'dynamodb_index': {'endpoint_url': place.dynamodb_url, 'databse': 'typo',
                                    'search_table': 'beaten-' + place.name}}
    place.put('acme/from-s3')
    with place.running(**dict(write(prod=flavour, extensions=top_level), **SECRETS)) as client:
        assert client.names() == ['acme/from-s3']
        client.begin_push('acme/pushed')
        assert client.names('push') == ['acme/pushed']
        log = client.registry.log_text()
    there = place.dynamodb.list_tables()['TableNames']
    assert sorted(name for name in there if place.name in name.lower()) == sorted(tables.values())
    warnings = [line for line in log.splitlines() if 'WARNING' in line and 'databse' in line]
    assert warnings and all('did you mean database?' in line for line in warnings)
    assert_no_secret(log)


def test_our_file_with_variables_and_the_flavour_dev_searches_local_images(place, tmp_path):
    seed_folder(tmp_path, 'acme/from-a-folder')
    with place.running(SEARCH_BACKEND=BACKEND, SETTINGS_FLAVOR='dev', STORAGE_PATH=str(tmp_path),
                       LOGLEVEL='debug', DYNAMODB_MAX_RESULTS='1',
                       DYNAMODB_ACCESS_KEY='AKIASECRETTEST',
                       DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+1') as client:
        assert client.names() == ['acme/from-a-folder']
        client.push('acme/pushed', {'latest': image('pushed')})
        assert client.names('pushed') == ['acme/pushed']
        for query, found in ('', 'acme/from-a-folder'), ('acme', 'acme/from-a-folder'):
            answer = client.expect([200], 'GET', '/v1/search?q=' + query)
            assert answer.json() == {
                'query': query, 'num_results': 1, 'incomplete_results': True,
                'results': [{'name': found, 'description': ''}]}
            assert answer.headers['Content-Type'] == 'application/json'
        answer = client.expect([200], 'GET', '/v1/search?q=acme&n=2').json()
        assert (answer['num_results'], 'incomplete_results' in answer) == (2, False)
        assert client.registry.log_text().count(LOADED) == 1
    assert place.tables() == ALL and place.names() == ['acme/from-a-folder', 'acme/pushed']
    assert_no_secret(client.registry.log_text())


class WithoutKeys(Registry):
    """A registry in whose environment no AWS credentials are."""

    def command(self):
        return ['env', '-u', 'AWS_ACCESS_KEY_ID', '-u', 'AWS_SECRET_ACCESS_KEY'] + super().command()


def test_credentials_come_from_a_boto_configuration_file(ministack, write, tmp_path):
    # ministack takes a key of twelve digits for the account whose tables these are
    account = '210987654321'
    place = Place(ministack.url, ministack.url, keys=(account, 'of-the-boto-file'))
    seed_folder(tmp_path / 'images', 'acme/from-a-folder')
    boto = tmp_path / 'boto.cfg'
    boto.write_text('[Credentials]\naws_access_key_id = %s\naws_secret_access_key = '
                    'of-the-boto-file\n' % account)
    block = {'database': place.name, 'endpoint_url': place.dynamodb_url}
    settings = write(prod={'loglevel': 'info', 'storage': 'local', 'standalone': True,
                           'storage_path': str(tmp_path / 'images'), 'search_backend': BACKEND,
                           'extensions': {'dynamodb_index': block}})
    with WithoutKeys(place.settings(BOTO_CONFIG=str(boto), **settings)) as registry:
        wait_for_workers(registry)
        assert V1Client(registry.url).names() == ['acme/from-a-folder']
    assert place.tables() == ALL
    assert place.table('search') not in Place(
        ministack.url, ministack.url).dynamodb.list_tables()['TableNames']


def test_a_setting_that_cannot_work_stops_the_start_and_no_secret_is_shown(place):
    registry = place.registry(DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+4', LOGLEVEL='debug')
    with pytest.raises(ServerError, match='ended with status [1-9]'):
        registry.start()
    log = registry.log_text()
    [sentence] = set(line for line in log.splitlines() if 'SettingError' in line
                     and 'raise' not in line)
    assert 'DYNAMODB_SECRET_ACCESS_KEY' in sentence
    assert 'Unknown index type' not in log and 'never/ShowThis' not in log
    assert place.tables() == []
