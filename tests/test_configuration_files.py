"""The files in config/ give the registry and the index what they promise (Python 2.7)."""
from __future__ import absolute_import, unicode_literals

import os

import pytest

pytest.importorskip('docker_registry', reason='docker-registry runs on Python 2.7 only: `make '
                    'test-py27` has these tests')

import imp  # noqa: E402

import yaml  # noqa: E402

from dev.servers.process import ROOT  # noqa: E402
from docker_registry.lib import config as registry_configuration  # noqa: E402
from docker_registry_index import configuration  # noqa: E402

DYNAMO = os.path.join(ROOT, 'config', 'config_dynamo.yml')
SIMPLE = os.path.join(ROOT, 'config', 'config_simple.yml')
BACKEND = 'docker_registry_index.dynamodb'
CALLING_FORMAT = 'boto.s3.connection.OrdinaryCallingFormat'
#: What the README of 0.1.0 gives to docker run.
OF_0_1_0 = {
    'SEARCH_BACKEND': BACKEND, 'SETTINGS_FLAVOR': 'prod', 'AWS_REGION': 'us-west-2',
    'AWS_BUCKET': 'mybucket', 'STORAGE_PATH': '/registry', 'AWS_KEY': 'myawskey',
    'AWS_SECRET': 'myawssecret'}


def flavours(path):
    with open(path) as stream:
        return sorted(set(yaml.safe_load(stream)) - {'extensions'})


def unwrapped(config):
    """Return a Config object of docker-registry as an evaluated mapping."""
    values = dict((key, config[key]) for key in config.keys())
    return dict((key, unwrapped(value) if isinstance(value, type(config)) else value)
                for key, value in values.items())


@pytest.fixture
def registry_reads(monkeypatch):
    """A function from path and variables to the chosen flavour."""
    def read(path, environ):
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in dict(environ, DOCKER_REGISTRY_CONFIG=path).items():
            monkeypatch.setenv(str(name), str(value))
        assert os.path.samefile(
            configuration.path_of(os.environ, registry_configuration.__file__), path)
        # It keeps the file that it reads first.
        return unwrapped(imp.reload(registry_configuration).load())

    yield read
    imp.reload(registry_configuration)


def index_reads(path, environ):
    """Return the Settings, after a check that nothing is warned about."""
    settings, warnings = configuration.load(path, environ)
    assert warnings == []
    return settings


@pytest.mark.parametrize('path,flavour', [
    (path, flavour) for path in (DYNAMO, SIMPLE) for flavour in flavours(path)],
    ids=os.path.basename)
def test_every_flavour_works_with_nothing_set(registry_reads, path, flavour):
    environ = {'SETTINGS_FLAVOR': flavour}
    config, settings = registry_reads(path, environ), index_reads(path, environ)
    assert (settings.database, settings.region) == ('docker-registry', 'us-east-1')
    assert settings.access_key is settings.endpoint_url is None
    assert config['search_backend'] == ('sqlalchemy' if path == DYNAMO
                                        and flavour in ('dev', 'test') else BACKEND)
    assert config.get('storage') or flavour == 'common'
    assert flavour != 'prod' or path != DYNAMO or config['storage_path'] == '/prod'


@pytest.mark.parametrize('flavour', flavours(DYNAMO))
def test_every_flavour_takes_a_search_backend_and_the_settings_of_the_index(
        registry_reads, flavour):
    values = {
        'database': 'db', 'region': 'eu-west-1', 'access_key': 'k', 'secret_access_key': 's',
        'search_table': 'one', 'endpoint_url': 'http://localhost:8000', 'startup_wait': 10,
        'push_wait': 2, 'sync_interval': 0, 'max_results': 9, 'warm_throughput': 5000,
        'connect_timeout': 2, 'read_timeout': 4, 'attempts': 5}
    environ = dict(('DYNAMODB_' + name.upper(), str(value)) for name, value in values.items())
    environ.update(SETTINGS_FLAVOR=flavour, SEARCH_BACKEND='chosen')
    assert registry_reads(DYNAMO, environ)['search_backend'] == 'chosen'
    assert vars(index_reads(DYNAMO, environ)) == dict(
        values, repository_table='db-repository', version_table='db-version')


@pytest.mark.parametrize('path', [DYNAMO, SIMPLE], ids=os.path.basename)
def test_the_docker_run_line_of_0_1_0_works(registry_reads, path):
    config, settings = registry_reads(path, OF_0_1_0), index_reads(path, OF_0_1_0)
    assert (config['search_backend'], config['storage']) == (BACKEND, 's3')
    assert config['s3_region'] == settings.region == 'us-west-2'
    assert config['s3_bucket'] == config['boto_bucket'] == 'mybucket'
    assert config['storage_path'] == '/registry'
    assert config['s3_secure'] is config['s3_encrypt'] is True
    assert config['s3_access_key'] == settings.access_key == 'myawskey'
    assert config['s3_secret_key'] == settings.secret_access_key == 'myawssecret'


@pytest.mark.parametrize('flavour', ['prod', 's3', 'ceph-s3', 'cloudfronts3'])
def test_a_local_s3_can_be_named(registry_reads, flavour):
    config = registry_reads(DYNAMO, dict(
        OF_0_1_0, SETTINGS_FLAVOR=flavour, AWS_HOST='127.0.0.1', AWS_PORT='4566',
        AWS_SECURE='false', AWS_ENCRYPT='false', AWS_CALLING_FORMAT=CALLING_FORMAT))
    assert (config['boto_host'], config['boto_port']) == ('127.0.0.1', 4566)
    assert config['s3_secure'] is config['s3_encrypt'] is False
    assert config['boto_calling_format'] == CALLING_FORMAT


def test_every_flavour_of_the_registrys_sample_is_there_and_the_same(registry_reads):
    sample = os.path.join(os.path.dirname(registry_configuration.__file__), '..', '..', 'config',
                          'config_sample.yml')
    assert set(flavours(sample)) <= set(flavours(DYNAMO))
    for flavour in flavours(sample):
        for environ in ({}, OF_0_1_0):
            environ = dict(environ, SETTINGS_FLAVOR=flavour, SEARCH_BACKEND='chosen')
            theirs, ours = registry_reads(sample, environ), registry_reads(DYNAMO, environ)
            assert theirs == dict((key, ours[key]) for key in theirs)
