"""The image of docker-registry 0.9.1, run by the line in the README of release 0.1.0."""
import boto3
import pytest
import requests

from dev.storage.s3 import Bucket
from tests.docs import pages
from tests.end_to_end.images.containers import FIGURES, PLUGIN, READ_ONLY
from tests.end_to_end.plugin.registry_place import image
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.release_0_1_0 import Release010
from tests.helpers.waiting import wait_until

# Release 0.1.0, README.md, "Quick start".
RUN = '''docker run -d \\
         -e SEARCH_BACKEND=docker_registry_index.dynamodb \\
         -e SETTINGS_FLAVOR=prod \\
         -e AWS_REGION=us-east-1 \\
         -e AWS_BUCKET=mybucket \\
         -e STORAGE_PATH=/registry \\
         -e AWS_KEY=myawskey \\
         -e AWS_SECRET=myawssecret \\
         -p 5000:5000 \\
         docker_registry_dynamodb'''
QUICK_HEALTH = ['--health-interval', '1s', '--health-timeout', '2s', '--health-retries', '2']
TABLES = ['docker-registry-repository', 'docker-registry-search-4', 'docker-registry-version']


class Tables:
    """The tables of the settings in RUN, for Release010."""

    def __init__(self, aws):
        self.dynamodb = boto3.client('dynamodb', endpoint_url=aws.url, region_name='us-east-1',
                                     aws_access_key_id='myawskey',
                                     aws_secret_access_key='myawssecret')

    def table(self, kind):
        return 'docker-registry-' + kind

    def names(self):
        """Return the names of all tables."""
        return sorted(self.dynamodb.list_tables()['TableNames'])

    def drop(self):
        """Delete all tables."""
        for name in self.names():
            self.dynamodb.delete_table(TableName=name)
        wait_until(lambda: not self.names())


@pytest.fixture
def tables(aws):
    """An empty bucket, and no tables."""
    bucket = Bucket(aws.url, 'mybucket')
    for key in bucket.keys():
        bucket.delete(key)
    tables = Tables(aws)
    tables.drop()
    return tables


@pytest.fixture
def client():
    return V1Client('http://127.0.0.1:5000')


def start(containers, aws, *more):
    """Run the line, with two workers, which start faster; wait until the registry answers, and
    return the container."""
    container = containers.run(RUN, *aws.for_plugin(), *QUICK_HEALTH, '-e', 'GUNICORN_WORKERS=2',
                               *more)
    wait_until_up(container)
    return container


def wait_until_up(container):
    container.wait_while_running(is_up)


def is_up():
    try:
        return requests.get('http://127.0.0.1:5000/v1/_ping', timeout=2).status_code == 200
    except requests.RequestException:  # the port is open before the program listens
        return False


def test_the_readme_has_the_line_of_0_1_0_with_the_tag_that_it_builds():
    build, run = pages.commands('README.md', 'docker build')[-1], [
        line for line in pages.commands('README.md', 'docker run') if 'AWS_KEY' in line][0]
    assert set(run.split()[:-1]) == set(RUN.replace('\\\n', '').split()[:-1])
    assert 'docker build -t %s .' % run.split()[-1] == build


def test_the_line_of_0_1_0_pushes_and_searches_and_stops(containers, aws, tables, client):
    container = containers.run(RUN, *aws.for_plugin(), *QUICK_HEALTH)
    wait_until_up(container)
    assert tables.names() == TABLES
    client.push('acme/web', {'latest': image('web')})
    assert client.names('web') == ['acme/web'] and client.pull('acme/web')
    container.wait_until_healthy()
    status, seconds = container.stop()
    FIGURES.append('docker_registry_dynamodb: stopped in %.1f seconds' % seconds)
    assert status == 0 and seconds < 10, container.log_text()
    container.docker('start')
    wait_until_up(container)
    assert client.names('web') == ['acme/web']
    client.push('acme/second', {'latest': image('second')})
    assert client.names('second') == ['acme/second']
    assert 'Traceback' not in container.log_text()
    assert 'myawssecret' not in container.log_text()


def test_a_killed_container_starts_again_and_finds_what_was_pushed(containers, aws, tables, client):
    container = start(containers, aws)
    client.push('acme/web', {'latest': image('web')})
    container.docker('kill')
    assert container.state()['ExitCode'] == 137
    container.docker('start')
    wait_until_up(container)
    assert client.names() == ['acme/web']
    client.delete('acme/web')
    assert client.names() == []


def test_tables_of_0_1_0_are_taken_over(containers, aws, tables, client):
    old = Release010(tables)
    old.create_tables()
    old.start()
    old.load(['acme/old', 'library/nginx'])
    Bucket(aws.url, 'mybucket').put('registry/repositories/acme/old/_index_images', b'[]')
    container = start(containers, aws)
    wait_until(client.names, 'the takeover', 40, container, ['acme/old', 'library/nginx'])
    client.push('acme/new', {'latest': image('new')})
    assert old.search('acme/') == client.names('acme/') == ['acme/new', 'acme/old']
    assert tables.names() == TABLES


@pytest.mark.parametrize('user', ['10001', '12345:0'])
def test_it_runs_with_a_read_only_root_as_any_user(containers, aws, tables, client, user):
    container = start(containers, aws, '--user', user, '--cap-drop', 'ALL', *READ_ONLY)
    client.push('acme/web', {'latest': image('web')})
    assert client.names('web') == ['acme/web']
    assert container.execute('id', '-u') == user.split(':')[0]
    container.wait_until_healthy()
    assert 'Traceback' not in container.log_text()


def test_the_health_follows_the_workers(containers, aws, tables):
    container = start(containers, aws)
    assert container.execute('id', '-u') == '10001'
    container.wait_until_healthy()
    container.execute('sh', '-c', 'kill -STOP -1')  # all processes but the first
    container.wait_for_health('unhealthy')
    container.execute('sh', '-c', 'kill -CONT -1')
    container.wait_until_healthy()


def test_without_a_flavour_it_writes_below_tmp_only(containers, client):
    container = containers.run('docker run -d -p 5000:5000 ' + PLUGIN)
    wait_until_up(container)
    client.push('acme/web', {'latest': image('web')})
    assert [path for path in container.written() if not path.startswith('/tmp')] == []
