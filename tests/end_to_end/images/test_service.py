"""The image of the service beside a registry and nginx, set up by the lines of the README."""
import re
import uuid

import pytest
import requests

from tests.docs import pages
from tests.end_to_end.images.containers import FIGURES, READ_ONLY, options
from tests.end_to_end.service.clients import Docker, Podman, write_credentials
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.nginx_recipe import PASSWORD, USER, ReadmeNginx
from tests.helpers.waiting import wait_until

SECRET = 'never-show-this-secret'
QUICK_HEALTH = ['--health-interval', '1s', '--health-timeout', '2s', '--health-retries', '2']
REGISTRY = '''version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000"}
'''
EXPECTED = [('acme/web', 'Shows the shop'), ('acme/webhooks', '')]


class OpenNginx(ReadmeNginx):
    """The same without the lines about passwords, as for a registry that has none."""

    def text(self):
        return re.sub(r'\n *auth_basic.*', '', super().text())


def readme_lines(*beginning):
    """Return the command of the README that begins with these words and is about the service."""
    [line] = [line for line in pages.commands('README.md', ' '.join(beginning))
              if '-f Dockerfile.service' in line or '--name registry-index' in line]
    return line


@pytest.fixture
def registry(dockerd, containers, tmp_path):
    """The registry with the README's block of YAML, in the network `registry`."""
    [notifications] = [block for block in pages.blocks('README.md', 'yaml')
                       if block.startswith('notifications:')]
    (tmp_path / 'config.yml').write_text(REGISTRY + notifications.replace('SECRET', SECRET))
    dockerd.expect('network', 'create', 'registry')
    yield containers.run(
        'docker run -d --name registry --network registry -p 127.0.0.1:5000:5000 registry:2',
        '-v', '%s:/etc/docker/registry/config.yml:ro' % (tmp_path / 'config.yml'))
    containers.remove()
    dockerd.expect('network', 'rm', 'registry')


@pytest.fixture
def start(registry, aws, containers):
    """A function that runs the README's line with more options and waits until the service is
    ready."""
    def start(*more):
        service = containers.run(
            readme_lines('docker', 'run').replace('=SECRET', '=' + SECRET), *aws.dynamodb(),
            *options(DYNAMODB_DATABASE=uuid.uuid4().hex), *QUICK_HEALTH, *more)
        service.wait_while_running(is_ready)
        return service
    return start


def is_ready():
    try:
        return requests.get('http://127.0.0.1:5080/readyz', timeout=2).status_code == 200
    except requests.RequestException:  # the port is open before the program listens
        return False


def push():
    """Push two images to the registry, and wait until a search finds them."""
    images = Images('http://127.0.0.1:5000')
    for name, description in EXPECTED:
        images.push(name, text=description or None)
    wait_until(lambda: results(), 'the pushed images', 20, expected=EXPECTED)


def results(term='web'):
    """Return the names and descriptions that the service finds."""
    answer = requests.get('http://127.0.0.1:5080/v1/search', params={'q': term}, timeout=10)
    return [(each['name'], each['description']) for each in answer.json()['results']]


def test_docker_search_and_podman_search_find_what_is_pushed(start, dockerd, tmp_path_factory):
    start()
    push()
    folder = tmp_path_factory.mktemp('clients')  # podman wants a short path
    with ReadmeNginx(5000, 5080, port=8080) as nginx:
        address = '127.0.0.1:%d' % nginx.port
        users = write_credentials(folder, address, USER, PASSWORD)
        docker = Docker(dockerd, dockerd.cli())
        assert docker.search(address, 'web', credentials=users) == EXPECTED
        assert docker.run('search', address + '/web').returncode != 0  # without a password
    with OpenNginx(5000, 5080, port=8080):
        assert docker.search(address, 'web') == EXPECTED
        assert Podman(folder).search(address, 'web') == EXPECTED


def test_it_stops_and_is_started_again_by_itself(start):
    service = start('--restart', 'unless-stopped')
    push()
    service.wait_until_healthy()
    assert service.execute('id', '-u') == '10001'
    status, seconds = service.stop()
    FIGURES.append('registry-index: stopped in %.1f seconds' % seconds)
    assert status == 0 and seconds < 8, service.log_text()
    service.docker('start')
    service.wait_while_running(is_ready)
    service.docker('kill')
    service.docker('start')
    service.wait_while_running(lambda: is_ready() and results() == EXPECTED)
    assert service.written() == [] and 'Traceback' not in service.log_text()
    assert SECRET not in service.log_text()


@pytest.mark.parametrize('user', ['10001', '12345:0'])
def test_it_runs_with_a_read_only_root_as_any_user(start, user):
    service = start('--user', user, '--cap-drop', 'ALL', *READ_ONLY)
    push()
    service.wait_until_healthy()
    assert service.execute('id', '-u') == user.split(':')[0]
    assert 'Traceback' not in service.log_text()


def test_the_health_follows_the_process(start):
    service = start()
    service.wait_until_healthy()
    service.docker('kill --signal STOP')
    service.wait_for_health('unhealthy')
    service.docker('kill --signal CONT')
    service.wait_until_healthy()


def test_the_image_has_the_other_commands(start):
    service = start()
    push()
    assert 'acme/web' in service.execute('docker-registry-index', 'search', 'web')
