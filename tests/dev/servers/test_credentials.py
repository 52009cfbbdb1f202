"""boto3 takes keys from the stand-ins of the metadata service and of the container agent."""
import os

import botocore.session
import pytest
from botocore.exceptions import BotoCoreError

from dev.servers.credentials import CredentialsServer
from dev.servers.process import local_environment


@pytest.fixture
def server():
    with CredentialsServer() as made:
        yield made


@pytest.fixture
def session(monkeypatch):
    """A function of the variables that returns a new session of botocore in their environment."""
    def session_of(environment):
        for name in [name for name in os.environ if name.startswith('AWS_')]:
            monkeypatch.delenv(name)
        for name, value in local_environment(environment).items():
            monkeypatch.setenv(name, value)
        return botocore.session.Session()

    return session_of


@pytest.fixture
def key_id(session):
    """A function of the variables that returns the access key ID that a new session finds."""
    def find(environment):
        found = session(environment).get_credentials()
        return found and found.get_frozen_credentials().access_key

    return find


def test_an_instance_gives_the_keys_of_its_role_to_clients_with_a_token(server, key_id):
    assert key_id(server.instance_environment()) == 'ASIAFIRST'
    server.issue('ASIASECOND')
    assert key_id(server.instance_environment()) == 'ASIASECOND'
    roles = '/latest/meta-data/iam/security-credentials/'
    assert server.requests[:3] == [
        ('PUT', '/latest/api/token'), ('GET', roles), ('GET', roles + 'registry-role')]
    assert server.answer('GET', roles, {})[0] == 401
    assert server.answer('PUT', '/latest/api/token', {})[0] == 400


def test_a_container_agent_requires_the_token_of_the_variable_or_of_the_file(
        server, key_id, tmp_path, monkeypatch):
    assert key_id(server.container_environment()) == 'ASIAFIRST'
    monkeypatch.setattr('botocore.utils.ContainerMetadataFetcher.SLEEP_TIME', 0)
    path = tmp_path / 'token'
    path.write_text('of-the-pod')
    assert key_id(server.container_environment(token_file=path)) == 'ASIAFIRST'
    environment = server.container_environment('of-the-agent')
    assert key_id(environment) == 'ASIAFIRST'
    with pytest.raises(BotoCoreError, match='wrong token'):
        key_id(dict(environment, AWS_CONTAINER_AUTHORIZATION_TOKEN='wrong'))


@pytest.mark.parametrize('fault', ['refuse', 'hang', 500, 404])
def test_a_service_that_fails_gives_no_keys_and_answers_later(server, key_id, fault, monkeypatch):
    monkeypatch.setattr('botocore.utils.ContainerMetadataFetcher.SLEEP_TIME', 0)
    monkeypatch.setattr('botocore.utils.ContainerMetadataFetcher.RETRY_ATTEMPTS', 1)
    with server.failing(fault):
        assert key_id(server.instance_environment()) is None
        if fault != 'hang':  # boto3 waits for six seconds then
            with pytest.raises(BotoCoreError):
                key_id(server.container_environment())
    assert key_id(server.container_environment()) == 'ASIAFIRST'


def test_keys_expire_after_the_seconds_that_were_set(server, session):
    server.issue('ASIAFIRST', seconds=1)
    credentials = session(server.container_environment()).get_credentials()
    assert credentials.access_key == 'ASIAFIRST'
    server.issue('ASIASECOND')
    assert credentials.get_frozen_credentials().access_key == 'ASIASECOND'
