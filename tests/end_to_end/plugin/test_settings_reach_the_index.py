"""Settings of the index, given in each of the places where they may stand, on the real registry."""
import pytest
import yaml

from dev.servers.process import ServerError
from dev.servers.registry_v1 import Registry
from tests.end_to_end.plugin.registry_place import (
    LOADED, Place, image, seed_folder, wait_for_workers)
from tests.end_to_end.plugin.v1_client import V1Client

OTHER = 'setting-of-the-top-level'  # a database that must not be made


@pytest.fixture
def write(tmp_path):
    """A function that writes a configuration file and returns what leads the registry to it."""
    def write_file(content):
        path = tmp_path / 'registry.yml'
        path.write_text(yaml.safe_dump(content))
        return {'DOCKER_REGISTRY_CONFIG': str(path), 'DYNAMODB_ENDPOINT_URL': None,
                'DYNAMODB_DATABASE': None}
    return write_file


def flavour(place, **more):
    """Return a flavour for images in the S3 of a place, without our block."""
    host, port = place.s3_url.split('//')[1].split(':')
    return dict({
        'loglevel': 'info', 'standalone': True, 'search_backend': 'docker_registry_index.dynamodb',
        'storage': 's3',
        's3_region': 'us-east-1', 's3_bucket': place.name, 'boto_bucket': place.name,
        's3_access_key': 'local', 's3_secret_key': 'local-secret',
        's3_secure': False, 's3_encrypt': False, 'boto_host': host, 'boto_port': int(port),
        'boto_calling_format': 'boto.s3.connection.OrdinaryCallingFormat',
        'storage_path': place.storage_path}, **more)


def block(place, **more):
    """Return our block for the database of a place."""
    return {'dynamodb_index': dict({'database': place.name, 'endpoint_url': place.dynamodb_url},
                                   **more)}


def assert_found(place, settings):
    """Start a registry and see that it searches S3's repositories through the database of the
    place; return its log."""
    place.seed('acme/from-s3')
    with place.running(**settings) as client:
        assert client.names() == ['acme/from-s3']
        client.begin_push('acme/pushed')
        assert client.names('push') == ['acme/pushed']
    assert place.tables() == ['repository', 'version', 'search']
    assert sorted(row['name']['S'] for row in place.rows()) == ['acme/from-s3', 'acme/pushed']
    return client.registry.log_text()


def test_a_block_at_the_top_level_is_read_and_may_name_each_table(place, write):
    names = {'repository_table': 'mine.%s' % place.name, 'version_table': '%s_v' % place.name,
             'search_table': place.name.upper()}
    settings = write({'prod': flavour(place), 'extensions': block(place, databse='typo', **names)})
    place.seed('acme/from-s3')
    with place.running(**settings) as client:
        assert client.names('s3') == ['acme/from-s3']
    there = place.dynamodb.list_tables()['TableNames']
    assert sorted(name for name in there if place.name in name.lower()) == sorted(names.values())
    warnings = [line for line in client.registry.log_text().splitlines()
                if 'WARNING' in line and 'databse' in line]
    assert warnings and all('did you mean database?' in line for line in warnings)


def test_the_block_of_the_flavour_beats_the_one_at_the_top_level(place, write):
    top_level = {'dynamodb_index': {'database': OTHER, 'endpoint_url': place.dynamodb_url}}
    only_database = {'dynamodb_index': {'database': place.name}}
    assert_found(place,
                 write({'prod': flavour(place, extensions=only_database), 'extensions': top_level}))
    assert OTHER + '-version' not in place.dynamodb.list_tables()['TableNames']


def test_our_file_with_SEARCH_BACKEND_and_the_flavour_dev_searches_local_images_through_DynamoDB(
        place, tmp_path):
    seed_folder(tmp_path, 'acme/from-a-folder')
    with place.running(SEARCH_BACKEND='docker_registry_index.dynamodb', SETTINGS_FLAVOR='dev',
                       STORAGE_PATH=str(tmp_path)) as client:
        assert client.names() == ['acme/from-a-folder']
        client.push('acme/pushed', {'latest': image('pushed')})
        assert client.names('pushed') == ['acme/pushed']
        assert client.registry.log_text().count(LOADED) == 1
    assert place.tables() == ['repository', 'version', 'search']


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
    settings = write({'prod': {'loglevel': 'info', 'storage': 'local',
                               'storage_path': str(tmp_path / 'images'), 'standalone': True,
                               'search_backend': 'docker_registry_index.dynamodb',
                               'extensions': block(place)}})
    with WithoutKeys(place.settings(BOTO_CONFIG=str(boto), **settings)) as registry:
        wait_for_workers(registry)
        assert V1Client(registry.url).names() == ['acme/from-a-folder']
    assert place.tables() == ['repository', 'version', 'search']
    assert Place(ministack.url, ministack.url).dynamodb.list_tables()['TableNames'].count(
        place.table('search')) == 0


def test_a_setting_that_cannot_work_stops_the_start_and_no_secret_is_shown(place):
    registry = place.registry(DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+4', LOGLEVEL='debug')
    with pytest.raises(ServerError, match='ended with status [1-9]'):
        registry.start()
    sentences = set(line for line in registry.log_text().splitlines() if 'SettingError' in line
                    and 'raise' not in line)
    assert len(sentences) == 1, registry.log_text()
    assert 'DYNAMODB_SECRET_ACCESS_KEY' in sentences.pop()
    assert 'Unknown index type' not in registry.log_text()
    assert 'never/ShowThis' not in registry.log_text()
    assert place.tables() == []


def secrets(place, write, of_aws):
    """Return settings with secrets: of a file without a block, from the environment of AWS; or of
    our file, with SEARCH_BACKEND and STORAGE_PATH."""
    if of_aws:
        return dict(write({'prod': flavour(place, loglevel='debug', s3_access_key=None,
                                           s3_secret_key=None)}),
                    DYNAMODB_DATABASE=place.name, DYNAMODB_ENDPOINT_URL=place.dynamodb_url,
                    AWS_ACCESS_KEY_ID='AKIASECRETTEST',
                    AWS_SECRET_ACCESS_KEY='never/ShowThisKey+2',
                    AWS_SESSION_TOKEN='never/ShowThisToken+3')
    place.storage_path = '/of-the-variable'
    return {'SEARCH_BACKEND': 'docker_registry_index.dynamodb', 'STORAGE_PATH': place.storage_path,
            'DYNAMODB_ACCESS_KEY': 'AKIASECRETTEST', 'LOGLEVEL': 'debug',
            'DYNAMODB_SECRET_ACCESS_KEY': 'never/ShowThisKey+1'}


@pytest.mark.parametrize('of_aws', [False, True],
                         ids=['as settings', 'from the environment of AWS'])
def test_a_secret_is_never_in_the_log_even_at_level_debug(place, write, of_aws):
    log = assert_found(place, secrets(place, write, of_aws))
    assert ' DEBUG: ' in log
    assert 'never/ShowThis' not in log and 'never%2FShowThis' not in log
