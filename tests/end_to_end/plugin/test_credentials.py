"""Keys that come late, expire or are rejected: a registry works without search until they are
valid, and needs no restart."""
import contextlib

import pytest

from dev.servers.credentials import CredentialsServer
from dev.servers.proxy import Proxy
from tests.end_to_end.plugin.registry_place import BACKEND, Place, gunicorn, seed_folder
from tests.helpers.outages import FIND_AGAIN, assert_logged_once
from tests.helpers.waiting import wait_until

#: Without keys in the settings, of DynamoDB or of S3.
NO_KEYS = {'SETTINGS_FLAVOR': 'local', 'SEARCH_BACKEND': BACKEND, 'AWS_KEY': None,
           'AWS_SECRET': None, 'GUNICORN_WORKERS': '1', 'DYNAMODB_PUSH_WAIT': '1',
           'GUNICORN_OPTS': gunicorn('--max-requests', '0'), 'DYNAMODB_REGION': 'us-east-1'}


@pytest.fixture
def proxy(dynamodb_local):
    with Proxy(dynamodb_local.url) as made:
        yield made


@pytest.fixture
def launched(ministack, proxy, tmp_path):
    """A function that launches a registry of one worker, whose images are in a folder; give a
    V1Client."""
    seed_folder(tmp_path, 'acme/before')
    place = Place(ministack.url, proxy.url)
    place.never_logged = 'never/ShowThis'

    @contextlib.contextmanager
    def launch(**settings):
        with place.launched(**dict(NO_KEYS, STORAGE_PATH=str(tmp_path), **settings)) as client:
            client.registry.wait_until_ready()
            yield client

    return launch


@pytest.mark.parametrize('kind, fault', [
    ('instance', 'hang'), ('instance', 500), ('container', 'refuse')])
def test_a_registry_that_starts_without_keys_works_soon_after_its_service_gives_some(
        launched, kind, fault):
    with CredentialsServer() as server:
        server.fail(fault)
        with launched(**getattr(server, kind + '_environment')()) as client:
            client.begin_push('team/during')
            assert client.found() == 503
            server.fail(None)
            wait_until(client.found, 'not found', FIND_AGAIN, client.registry,
                       ['acme/before', 'team/during'])
            client.begin_push('team/after')
            assert client.names('after') == ['team/after'], 'found at once'
            assert_logged_once(client.registry, 'redentials')


def test_keys_of_a_file_that_expire_and_are_replaced_are_used_without_a_restart(
        launched, proxy, tmp_path):
    path = tmp_path / 'credentials'

    def write(key_id):
        path.write_text('[default]\naws_access_key_id = %s\naws_secret_access_key = '
                        'never/ShowThisKey+7\naws_session_token = never/ShowThisToken+8\n' % key_id)

    write('ASIAFIRST')
    with launched(AWS_SHARED_CREDENTIALS_FILE=str(path), AWS_ACCESS_KEY_ID='',
                  AWS_SECRET_ACCESS_KEY='') as client:
        wait_until(client.found, 'not found', 30, client.registry, ['acme/before'])
        with proxy.rejecting('ASIAFIRST'):
            client.begin_push('team/during')
            assert client.found() == 503
            write('ASIASECOND')
            wait_until(client.found, 'not found', FIND_AGAIN, client.registry,
                       ['acme/before', 'team/during'])
        assert_logged_once(client.registry, 'ExpiredTokenException', 'shared-credentials-file')


def test_keys_of_the_settings_that_aws_rejects_are_named_and_tried_again(launched, proxy):
    with contextlib.ExitStack() as rejected:
        rejected.enter_context(proxy.rejecting('AKIASETTINGS', 'UnrecognizedClientException'))
        with launched(DYNAMODB_ACCESS_KEY='AKIASETTINGS',
                      DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+9') as client:
            client.begin_push('team/during')
            assert client.found() == 503
            rejected.close()
            wait_until(client.found, 'not found', FIND_AGAIN, client.registry,
                       ['acme/before', 'team/during'])
            assert_logged_once(client.registry, 'settings access_key and secret_access_key')
