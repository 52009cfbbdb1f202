"""Keys that come late, expire or are rejected: the service needs no restart, and its metrics go on
counting."""
import contextlib

import pytest

from dev.servers.credentials import CredentialsServer
from dev.servers.process import http_status
from dev.servers.proxy import Proxy
from tests.end_to_end.service.place import ServiceProcess
from tests.helpers.outages import FIND_AGAIN, assert_logged_once
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.waiting import wait_until


@pytest.fixture
def proxy(dynamodb_local):
    with Proxy(dynamodb_local.url) as made:
        yield made


@pytest.fixture
def launched(dynamodb_local, proxy):
    """A function that launches a service beside a registry; gives the ServiceProcess at once."""
    with FakeRegistry({'acme/before': None}) as registry:
        @contextlib.contextmanager
        def launch(**settings):
            place = ServiceProcess(dynamodb_local.url, registry, **dict(
                {'DYNAMODB_ACCESS_KEY': None, 'DYNAMODB_SECRET_ACCESS_KEY': None,
                 'DYNAMODB_REGION': 'us-east-1', 'EVENTS_WAIT': '0.8'},
                DYNAMODB_ENDPOINT_URL=proxy.url, **settings))
            place.service.launch()
            try:
                wait_until(lambda: http_status(place.service.port, '/healthz'),
                           'does not listen', 20, place.service, 200)
                yield place
                assert 'never/ShowThis' not in place.service.log_text()
            finally:
                place.service.stop()

        yield launch


def statuses(place):
    """Return the statuses of a push's notification, and of a search."""
    place.registry.repositories['team/during'] = None
    return (place.post([pushed('team/during')]).status_code,
            place.get('/v1/search?q=').status_code)


def assert_serves_again(place, *parts):
    """Assert that the service serves soon, that the log has one line at the beginning of the
    outage, with these parts, and one at its end, and that the metrics count."""
    wait_until(lambda: place.post([pushed('team/during')]).status_code, 'not accepted', FIND_AGAIN,
               place.service, 200, pause=0.1)
    wait_until(lambda: place.get('/v1/search?q=').status_code == 200 and place.found(''),
               'not found', FIND_AGAIN, place.service, ['acme/before', 'team/during'], pause=0.1)
    assert_logged_once(place.service, *parts)
    queries = place.dynamodb_requests('Query')
    place.found('before')
    assert place.dynamodb_requests('Query') > queries


@pytest.mark.parametrize('kind, fault', [
    ('instance', 'refuse'), ('container', 'hang'), ('container', 500)])
def test_a_service_that_starts_without_keys_works_soon_after_their_source_answers(
        launched, kind, fault):
    with CredentialsServer() as server:
        server.fail(fault)
        with launched(**getattr(server, kind + '_environment')()) as place:
            assert statuses(place) == (503, 503)
            server.fail(None)
            assert_serves_again(place, 'redentials')


def test_keys_of_a_file_that_expire_and_are_replaced_are_used_without_a_restart(
        launched, proxy, tmp_path):
    path = tmp_path / 'credentials'

    def write(key_id):
        path.write_text('[default]\naws_access_key_id = %s\naws_secret_access_key = '
                        'never/ShowThisKey+7\naws_session_token = never/ShowThisToken+8\n' % key_id)

    write('ASIAFIRST')
    with launched(AWS_SHARED_CREDENTIALS_FILE=str(path), AWS_ACCESS_KEY_ID='',
                  AWS_SECRET_ACCESS_KEY='') as place:
        wait_until(place.is_ready, 'not ready', 20, place.service)
        with proxy.rejecting('ASIAFIRST'):
            assert statuses(place) == (503, 503)
            write('ASIASECOND')
            assert_serves_again(place, 'ExpiredTokenException', 'shared-credentials-file')


def test_keys_of_the_settings_that_aws_rejects_are_named_and_tried_again(launched, proxy):
    with contextlib.ExitStack() as rejected:
        rejected.enter_context(proxy.rejecting('AKIASETTINGS', 'UnrecognizedClientException'))
        with launched(DYNAMODB_ACCESS_KEY='AKIASETTINGS',
                      DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+9') as place:
            assert statuses(place) == (503, 503)
            rejected.close()
            assert_serves_again(place, 'settings access_key and secret_access_key')
