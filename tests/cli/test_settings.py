"""The command line uses the settings of docker-registry, or those of the service."""
import os
import sys
from unittest import mock

import pytest

from dev.servers.process import ROOT, local_environment
from docker_registry_index.cli import settings
from docker_registry_index.service.settings import ServiceSettings


@pytest.mark.parametrize('environ, text, given', [
    ({}, '', False), ({}, 'extensions: {}', False), ({}, ServiceSettings.BLOCK + ':', True),
    ({'REGISTRY_URL': 'http://x'}, '', True), ({'STORAGE': '/x'}, '', True),
    ({'STORAGE': ''}, '', False), ({'EVENTS_SECRET': 'x'}, '', False)])
def test_a_service_has_another_database_and_no_flavours(tmp_path, environ, text, given):
    path = tmp_path / 'config.yml'
    path.write_text(('' if given else 'dev: {}\n') + text)
    for more, database in (({}, 'registry' if given else 'docker-registry'),
                           ({'DYNAMODB_DATABASE': 'mine'}, 'mine')):
        variables = local_environment(dict(environ, **more))
        with mock.patch.dict(os.environ, variables, clear=True):
            assert settings.index_of(str(path)).settings.database == database


@pytest.mark.parametrize('environ, region', [
    ({}, 'us-east-1'), ({'REGISTRY_URL': 'http://registry'}, 'eu-west-1')])
def test_the_region_of_the_aws_sdks_counts_for_a_service_alone(environ, region):
    environ = local_environment(dict(environ, AWS_REGION='eu-west-1'))
    with mock.patch.dict(os.environ, environ, clear=True):
        assert settings.index_of(None).settings.region == region


def test_a_configuration_file_can_be_given(command_of):
    command = command_of(SETTINGS_FLAVOR='prod')
    example = os.path.join(ROOT, 'config', 'config_dynamo.yml')
    status, out, err = command('--config', example, 'load', '--names', os.devnull)
    assert (status, err) == (0, '') and out.startswith('0 repositories in the storage')


def test_an_unknown_key_of_the_file_is_a_warning(command_of, tmp_path):
    path = tmp_path / 'config.yml'
    path.write_text('prod: {extensions: {dynamodb_index: {databse: x}}}\n')
    command = command_of(SETTINGS_FLAVOR='prod', DOCKER_REGISTRY_CONFIG=str(path))
    status, out, err = command('search', 'x')
    assert status == 3 and err.startswith('warning: ') and 'did you mean database?' in err


def test_without_docker_registry_a_load_names_the_way_out(loaded):
    status, out, err = loaded('load')
    assert (status, out) == (2, '') and 'docker-registry' in err and '--names' in err
    status, shown = loaded.json('check')
    assert (status, shown['storage']) == (0, False)


def test_a_service_without_its_packages_names_the_way_out(command_of, monkeypatch):
    monkeypatch.setitem(sys.modules, 'docker_registry_index.service.settings', None)
    command = command_of(STORAGE='/nowhere')
    for arguments in ('serve',), ('load',):
        status, out, err = command(*arguments)
        assert (status, out) == (2, '') and 'pip install' in err
        assert 'the service needs Python 3.9 or later' in err
