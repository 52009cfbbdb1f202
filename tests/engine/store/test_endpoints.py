"""The host to which a client of the settings sends its requests, without a request."""
from __future__ import unicode_literals

import os

import botocore.handlers
import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store.client import Client

KEYS = {'access_key': 'AKIADUMMY', 'secret_access_key': 'dummy'}


@pytest.fixture
def request_of(tmpdir, monkeypatch):
    """A function of a region, settings and variables: it returns the address and the region of a
    request of such a client. Nothing is sent."""
    monkeypatch.setitem(os.environ, 'AWS_CONFIG_FILE', str(tmpdir.join('config')))

    def request_of(region, settings=KEYS, **variables):
        for name, value in variables.items():
            monkeypatch.setitem(os.environ, name, str(value))
        client = Client(Settings(region=region, **settings)).dynamodb
        found = []

        def note(request, **_):
            authorization = request.headers['Authorization']
            if isinstance(authorization, bytes):
                authorization = authorization.decode('ascii')
            # The header begins with ALGORITHM Credential=KEY/DATE/REGION/.
            found.extend([request.url, authorization.split('/')[2]])
            raise AssertionError('not sent')

        client.meta.events.register('before-send.dynamodb', note)
        with pytest.raises(AssertionError):
            client.describe_table(TableName='any')
        return found

    request_of.config = tmpdir.join('config')
    return request_of


@pytest.mark.parametrize('region, host', [
    ('us-east-1', 'dynamodb.us-east-1.amazonaws.com'),
    ('us-gov-west-1', 'dynamodb.us-gov-west-1.amazonaws.com'),
    ('cn-north-1', 'dynamodb.cn-north-1.amazonaws.com.cn'),
    ('us-iso-east-1', 'dynamodb.us-iso-east-1.c2s.ic.gov'),
    ('us-isob-east-1', 'dynamodb.us-isob-east-1.sc2s.sgov.gov'),
    # Newer than botocore of Python 2.7, which derives the host from the form of the name.
    ('mx-central-1', 'dynamodb.mx-central-1.amazonaws.com'),
    # On Python 2.7, a host that does not exist: docs/settings.md describes what to do.
    ('eusc-de-east-1', 'dynamodb.eusc-de-east-1.amazonaws.' + ('com' if PY2 else 'eu'))])
def test_a_region_has_its_own_host(request_of, region, host):
    assert request_of(region) == ['https://%s/' % host, region]


def test_with_an_endpoint_a_region_may_have_any_name(request_of):
    settings = dict(KEYS, endpoint_url='http://127.0.0.1:8000')
    for region in 'local', 'eusc-de-east-1', 'us-east-1':
        # Variables that choose another address of AWS do not count.
        assert request_of(region, settings, AWS_USE_FIPS_ENDPOINT='true',
                          AWS_USE_DUALSTACK_ENDPOINT='true') == [
            'http://127.0.0.1:8000/', region]


@pytest.mark.parametrize('variable, host', [
    ('AWS_USE_FIPS_ENDPOINT', 'dynamodb-fips.us-east-1.amazonaws.com'),
    ('AWS_USE_DUALSTACK_ENDPOINT', 'dynamodb.us-east-1.api.aws')])
def test_python_3_alone_reads_the_variables_for_fips_and_dual_stack(request_of, variable, host):
    expected = 'dynamodb.us-east-1.amazonaws.com' if PY2 else host
    assert request_of('us-east-1', **{variable: 'true'})[0] == 'https://%s/' % expected


@pytest.mark.parametrize('settings', [KEYS, {}], ids=['keys of the settings', 'other keys'])
def test_only_the_settings_lead_to_another_endpoint(request_of, settings):
    request_of.config.write('[default]\nendpoint_url = http://127.0.0.1:1\n')
    assert request_of('us-east-1', settings, AWS_ENDPOINT_URL='http://127.0.0.1:2',
                      AWS_ENDPOINT_URL_DYNAMODB='nonsense') == [
        'https://dynamodb.us-east-1.amazonaws.com/', 'us-east-1']


@pytest.mark.parametrize('settings', [KEYS, {}], ids=['keys of the settings', 'other keys'])
@pytest.mark.parametrize('mode', ['preferred', 'required'])
def test_an_account_based_endpoint_is_never_used(request_of, settings, mode):
    assert request_of('us-east-1', settings, AWS_ACCOUNT_ID='123456789012',
                      AWS_ACCOUNT_ID_ENDPOINT_MODE=mode) == [
        'https://dynamodb.us-east-1.amazonaws.com/', 'us-east-1']


@pytest.mark.parametrize('region, host', [
    ('cn-north-1', 'sts.cn-north-1.amazonaws.com.cn'),
    ('us-gov-west-1', 'sts.us-gov-west-1.amazonaws.com'),
    ('us-east-1', 'sts.amazonaws.com' if PY2 else 'sts.us-east-1.amazonaws.com')])
def test_keys_of_a_role_come_from_sts_in_the_region_of_the_tables(
        request_of, monkeypatch, region, host):
    """Keys of one partition are unknown in the others."""
    request_of.config.write('[default]\nrole_arn = arn:aws-cn:iam::123456789012:role/index\n'
                            'source_profile = user\n[profile user]\n'
                            'aws_access_key_id = AKIADUMMY\naws_secret_access_key = dummy\n')
    for name in 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_DEFAULT_REGION':
        monkeypatch.delitem(os.environ, name)
    asked = []

    def note(request, **_):
        asked.append(request.url)
        raise AssertionError('not sent')

    # Each new session gets these handlers, also the one that finds the keys.
    monkeypatch.setattr(botocore.handlers, 'BUILTIN_HANDLERS', botocore.handlers.BUILTIN_HANDLERS +
                        [(str('before-send.sts'), note)])
    Client(Settings(region=region))
    assert asked == ['https://%s/' % host]
