"""compose.yaml starts what it promises, with the lines of the README, in a private network."""
import json
import os
import re

import boto3
import pytest
import requests

from dev.servers.private_network import HOST
from dev.servers.process import ServerError, installed
from dev.servers.public_images import load_public_images
from dev.storage import v1_images
from dev.storage.s3 import Bucket
from tests.docs import pages
from tests.end_to_end.images.compose import PROGRAM, Compose
from tests.end_to_end.images.containers import PLUGIN
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import wait_until

#: The README's lines with docker in its section "Try it".
[UP, TAG, PUSH, SEARCH] = [line for line in pages.blocks('README.md', 'sh')[1].splitlines()]
UP_0_9_1 = re.search('`(docker compose up .*docker-registry)`', pages.prose('README.md'))[1]
NAME = 'tools/registry'
NGINX = 'http://localhost:8080'
HEALTHY = ('running', 'healthy')


@pytest.fixture(scope='module')
def daemon(dockerd):
    """A Docker daemon with all images of compose.yaml. If a component is missing, the tests are
    skipped; in CI, they fail."""
    try:
        installed(PROGRAM, 'docker-compose')
        load_public_images(dockerd)
    except ServerError as error:
        if os.environ.get('CI'):
            raise
        pytest.skip(str(error))
    dockerd.expect('tag', PLUGIN, 'docker-registry-dynamodb')
    return dockerd


@pytest.fixture
def compose(daemon):
    """docker compose as a user without variables runs it."""
    with Compose(daemon) as running:
        yield running


def found(compose, line=SEARCH):
    """Return the names that docker search prints, or its error."""
    status, output = compose.outcome(line)
    return output if status else [each.split()[0] for each in output.splitlines()[1:]]


def wait_until_found(compose, *names):
    wait_until(lambda: found(compose), 'a search finds other names', 120, compose, list(names), 0.2)


def test_the_lines_of_the_readme_push_and_find_an_image(compose):
    compose.run(UP)
    assert compose.states() == dict.fromkeys(
        ['dynamodb', 'nginx', 'registry', 'registry-index'], HEALTHY)
    compose.run(TAG)
    compose.run(PUSH)
    wait_until_found(compose, NAME)
    assert requests.get(NGINX + '/v2/_catalog').json() == {'repositories': [NAME]}
    assert requests.get(NGINX + '/v2/%s/tags/list' % NAME).json()['tags'] == ['latest']
    assert requests.post(NGINX + '/events').status_code == 404
    status = compose.run('docker compose exec -T registry-index docker-registry-index status')
    assert 'registry-repository: ACTIVE' in status and '1 names, 1 rows' in status


def test_the_images_and_the_index_survive_a_restart_and_new_containers(compose):
    compose.run(UP)
    compose.run(TAG)
    compose.run(PUSH)
    wait_until_found(compose, NAME)
    compose.run('docker compose restart --timeout 20')
    wait_until(lambda: compose.states()['nginx'], 'nginx is', 60, None, HEALTHY, 0.2)
    wait_until_found(compose, NAME)
    compose.run('docker compose down --timeout 20')
    compose.run(UP)
    assert 'loaded' not in compose.run('docker compose logs registry-index')
    wait_until_found(compose, NAME)
    assert requests.get(NGINX + '/v2/_catalog').json() == {'repositories': [NAME]}


@pytest.fixture
def aws_environ(aws):
    """The variables of a user on a local AWS, with a new bucket."""
    return {'AWS_REGION': 'us-east-1', 'AWS_BUCKET': Bucket(aws.url).name,
            'AWS_ACCESS_KEY_ID': 'local', 'AWS_SECRET_ACCESS_KEY': 'local-secret',
            'AWS_ENDPOINT_URL': aws.url_in_containers, 'DYNAMODB_DATABASE': 'of-compose'}


@pytest.fixture
def on_aws(daemon, aws, aws_environ, tmp_path):
    """docker compose with AWS variables. A file adds the address of the local S3, which is the only
    difference to Amazon's."""
    settings = {
        'registry': dict({'REGISTRY_STORAGE_REDIRECT_DISABLE': 'true'}, **{
            'REGISTRY_STORAGE_S3_' + name: value for name, value in {
                'REGIONENDPOINT': aws.url_in_containers, 'FORCEPATHSTYLE': 'true',
                'SECURE': 'false'}.items()}),
        'docker-registry': {
            'AWS_HOST': HOST, 'AWS_PORT': str(aws.port), 'AWS_SECURE': 'false',
            'AWS_ENCRYPT': 'false', 'DYNAMODB_ENDPOINT_URL': aws.url_in_containers,
            'AWS_CALLING_FORMAT': 'boto.s3.connection.OrdinaryCallingFormat'}}
    path = tmp_path / 'local-aws.yaml'
    path.write_text(json.dumps({'services': {name: {'environment': variables}
                                             for name, variables in settings.items()}}))
    with Compose(daemon, aws_environ, [str(path)]) as running:
        yield running


def keys_of(aws, bucket):
    """Return the first segments of the names of the objects in a bucket."""
    s3 = boto3.client('s3', endpoint_url=aws.url, region_name='us-east-1')
    return {each['Key'].split('/')[0]
            for each in s3.list_objects_v2(Bucket=bucket).get('Contents', [])}


def tables_of(aws):
    dynamodb = boto3.client('dynamodb', endpoint_url=aws.url, region_name='us-east-1')
    return dynamodb.list_tables()['TableNames']


def test_with_the_variables_of_aws_the_index_and_the_images_are_there(on_aws, aws, aws_environ):
    on_aws.run(UP)
    assert on_aws.states()['dynamodb'] == HEALTHY
    processes = on_aws.run('docker compose top dynamodb')
    assert re.findall(r'\d\d:\d\d:\d\d +(java|tail)', processes) == ['tail'], processes
    on_aws.run(TAG)
    on_aws.run(PUSH)
    wait_until_found(on_aws, NAME)
    assert {'of-compose-' + each for each in ('repository', 'search-4', 'version')} <= set(
        tables_of(aws))
    assert keys_of(aws, aws_environ['AWS_BUCKET']) == {'registry'}


def push_with_0_9_1(name):
    V1Client('http://localhost:5000').push(name, {'latest': v1_images.Image({'file': name})})


def test_docker_registry_0_9_1_runs_with_its_images_in_a_volume(compose):
    compose.run(UP_0_9_1 + ' --wait')
    assert compose.states() == {'docker-registry': HEALTHY, 'dynamodb': HEALTHY}
    push_with_0_9_1('acme/old')
    search = 'docker search localhost:5000/old'
    assert found(compose, search) == ['acme/old']
    compose.run('docker compose --profile v1 down --timeout 20')
    compose.run(UP_0_9_1 + ' --wait')
    assert found(compose, search) == ['acme/old']
    assert requests.get('http://localhost:5000/v1/repositories/acme/old/tags').ok


def test_docker_registry_0_9_1_runs_on_aws(on_aws, aws, aws_environ):
    on_aws.run(UP_0_9_1 + ' --wait')
    push_with_0_9_1('acme/old')
    assert found(on_aws, 'docker search localhost:5000/old') == ['acme/old']
    assert 'docker-registry-search-4' in tables_of(aws)
    assert keys_of(aws, aws_environ['AWS_BUCKET']) == {'docker-registry'}


def test_compose_reads_the_file_without_a_warning(compose, on_aws):
    for each in compose, on_aws:
        assert 'level=warning' not in each.run('docker compose --profile v1 config --quiet')
