"""The files in config/ give the registry and the index what they promise.

On Python 2.7 they are read by docker-registry's own configuration module,
on Python 3, where there is none, by the few rules that it follows.
"""

from __future__ import unicode_literals

import os
import sys

import pytest
import yaml

from dev.servers.process import ROOT
from docker_registry_index import configuration

FOLDER = os.path.join(ROOT, 'config')
DYNAMO = os.path.join(FOLDER, 'config_dynamo.yml')
SIMPLE = os.path.join(FOLDER, 'config_simple.yml')
BACKEND = 'docker_registry_index.dynamodb'
PYTHON_2 = sys.version_info[0] == 2

#: What the README of 0.1.0 gives to docker run.
OF_0_1_0 = {
    'SEARCH_BACKEND': BACKEND, 'SETTINGS_FLAVOR': 'prod',
    'AWS_REGION': 'us-west-2', 'AWS_BUCKET': 'mybucket',
    'STORAGE_PATH': '/registry', 'AWS_KEY': 'myawskey',
    'AWS_SECRET': 'myawssecret'}


def flavours(path):
    with open(path) as stream:
        return sorted(set(yaml.safe_load(stream)) - {'extensions'})


ALL = ([(DYNAMO, name) for name in flavours(DYNAMO)]
       + [(SIMPLE, name) for name in flavours(SIMPLE)])


def evaluated(value, environ):
    """Return the value as docker-registry's configuration would give it."""
    if isinstance(value, dict):
        return dict((key, evaluated(one, environ)) for key, one in value.items())
    if str(value).startswith('_env:'):
        parts = value.split(':', 2) + ['']
        return yaml.safe_load(environ.get(parts[1], parts[2]))
    return value


def unwrapped(config):
    """Return a Config object of docker-registry as an evaluated mapping."""
    return dict((key, unwrapped(config[key]) if hasattr(config[key], '_config')
                 else config[key]) for key in config.keys())


@pytest.fixture
def registry_reads(monkeypatch):
    """Return a function from path and variables to the chosen flavour."""
    def read(path, environ):
        for name in list(os.environ):
            monkeypatch.delenv(name)
        for name, value in environ.items():
            monkeypatch.setenv(str(name), str(value))
        monkeypatch.setenv(str('DOCKER_REGISTRY_CONFIG'), str(path))
        if not PYTHON_2:
            with open(path) as stream:
                flavour = yaml.safe_load(stream)[environ['SETTINGS_FLAVOR']]
            return evaluated(flavour, environ)
        from docker_registry.lib import config
        monkeypatch.setattr(config, '_config', None)
        assert os.path.samefile(configuration.path_of(os.environ, config.__file__), path)
        return unwrapped(config.load())
    return read


def index_reads(path, environ):
    """Return the Settings, after a check that nothing is warned about."""
    settings, warnings = configuration.load(path, environ)
    assert warnings == []
    return settings


@pytest.mark.parametrize('path,flavour', ALL, ids=lambda value: os.path.basename(value))
def test_every_flavour_works_with_nothing_set(registry_reads, path, flavour):
    environ = {'SETTINGS_FLAVOR': flavour}
    config = registry_reads(path, environ)
    settings = index_reads(path, environ)
    assert settings.database == 'docker-registry'
    assert settings.region == 'us-east-1'
    assert settings.access_key is None and settings.endpoint_url is None
    assert config['search_backend'] == ('sqlalchemy' if (path, flavour)
                                        in [(DYNAMO, 'dev'), (DYNAMO, 'test')] else BACKEND)
    assert config.get('storage') or flavour == 'common'


@pytest.mark.parametrize('flavour', flavours(DYNAMO))
def test_every_flavour_takes_the_settings_of_the_index(flavour):
    settings = index_reads(DYNAMO, {
        'SETTINGS_FLAVOR': flavour, 'DYNAMODB_DATABASE': 'db',
        'DYNAMODB_REGION': 'eu-west-1', 'DYNAMODB_ACCESS_KEY': 'k',
        'DYNAMODB_SECRET_ACCESS_KEY': 's', 'DYNAMODB_SEARCH_TABLE': 'one',
        'DYNAMODB_ENDPOINT_URL': 'http://localhost:8000',
        'DYNAMODB_STARTUP_WAIT': '10', 'DYNAMODB_PUSH_WAIT': '2',
        'DYNAMODB_SYNC_INTERVAL': '0', 'DYNAMODB_CONNECT_TIMEOUT': '2',
        'DYNAMODB_READ_TIMEOUT': '4', 'DYNAMODB_ATTEMPTS': '5'})
    assert vars(settings) == {
        'database': 'db', 'repository_table': 'db-repository',
        'version_table': 'db-version', 'search_table': 'one',
        'region': 'eu-west-1', 'access_key': 'k', 'secret_access_key': 's',
        'endpoint_url': 'http://localhost:8000', 'startup_wait': 10,
        'push_wait': 2, 'sync_interval': 0, 'connect_timeout': 2,
        'read_timeout': 4, 'attempts': 5}


@pytest.mark.parametrize('path', [DYNAMO, SIMPLE], ids=os.path.basename)
def test_the_docker_run_line_of_0_1_0_works(registry_reads, path):
    config = registry_reads(path, OF_0_1_0)
    assert config['search_backend'] == BACKEND
    assert config['storage'] == 's3'
    assert config['s3_region'] == 'us-west-2'
    assert config['s3_bucket'] == config['boto_bucket'] == 'mybucket'
    assert config['storage_path'] == '/registry'
    assert config['s3_secure'] is True and config['s3_encrypt'] is True
    settings = index_reads(path, OF_0_1_0)
    assert settings.region == 'us-west-2'
    assert settings.access_key == config['s3_access_key'] == 'myawskey'
    assert settings.secret_access_key == config['s3_secret_key']
    assert settings.secret_access_key == 'myawssecret'


def test_prod_stores_below_prod_by_default(registry_reads):
    config = registry_reads(DYNAMO, {'SETTINGS_FLAVOR': 'prod'})
    assert config['storage_path'] == '/prod'


def test_the_search_backend_can_be_chosen_in_every_flavour(registry_reads):
    for flavour in flavours(DYNAMO):
        config = registry_reads(DYNAMO, {'SETTINGS_FLAVOR': flavour, 'SEARCH_BACKEND': 'chosen'})
        assert config['search_backend'] == 'chosen'


@pytest.mark.parametrize('flavour', ['prod', 's3', 'ceph-s3', 'cloudfronts3'])
def test_a_local_s3_can_be_named(registry_reads, flavour):
    config = registry_reads(DYNAMO, dict(
        OF_0_1_0, SETTINGS_FLAVOR=flavour, AWS_HOST='127.0.0.1',
        AWS_PORT='4566', AWS_SECURE='false', AWS_ENCRYPT='false',
        AWS_CALLING_FORMAT='boto.s3.connection.OrdinaryCallingFormat'))
    assert config['boto_host'] == '127.0.0.1'
    assert config['boto_port'] == 4566
    assert config['s3_secure'] is False and config['s3_encrypt'] is False
    assert config['boto_calling_format'] == ('boto.s3.connection.OrdinaryCallingFormat')


@pytest.mark.skipif(not PYTHON_2, reason='docker-registry is for Python 2.7')
def test_every_flavour_of_the_registrys_sample_is_there_and_the_same(registry_reads):
    from docker_registry.lib import config
    sample = os.path.join(os.path.dirname(config.__file__), '..', '..',
                          'config', 'config_sample.yml')
    assert set(flavours(sample)) <= set(flavours(DYNAMO))
    for flavour in flavours(sample):
        for environ in ({}, OF_0_1_0):
            environ = dict(environ, SETTINGS_FLAVOR=flavour, SEARCH_BACKEND='chosen')
            theirs = registry_reads(sample, environ)
            ours = registry_reads(DYNAMO, environ)
            assert theirs == dict((key, ours[key]) for key in theirs)
