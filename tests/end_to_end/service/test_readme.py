"""The README's three additions to a registry v2 or v3: YAML, a container, two lines of nginx."""
import os
import re
import shlex

import pytest
import yaml

from dev.servers.nginx import Nginx
from dev.servers.programs import is_missing
from docker_registry_index.service.settings import settings_of
from tests.docs import pages
from tests.end_to_end.service.stand_in import StandIn
from tests.end_to_end.service.test_nginx import ask

SECRET = '5c9f6f3a0c4d47b8a1d2e3f405162738'


def block(language):
    """Return the one example in this language, of the README's section on registries v2 and v3."""
    section = pages.read('README.md').split('\n## Registry v2 and v3\n')[1].split('\n## ')[0]
    [found] = re.findall(r'^```%s\n(.*?)^```' % language, section, re.MULTILINE | re.DOTALL)
    return found


def of_docker_run():
    """Return the words of the README's `docker run` command of the service."""
    [command] = [line for line in pages.commands('README.md', 'docker run')
                 if line.endswith(' registry-index')]
    return shlex.split(command)


def test_the_yaml_is_the_block_of_the_complete_configuration_with_the_name_of_the_container():
    words = of_docker_run()
    name = words[words.index('--name') + 1]
    complete = yaml.safe_load(pages.read('config/distribution.yml'))
    mine = yaml.safe_load(block('yaml').replace('//%s:' % name, '//127.0.0.1:'))
    assert mine == {'notifications': complete['notifications']}


def test_the_container_has_all_settings_that_the_service_needs_and_the_secret_of_the_yaml():
    words = [word.replace('=SECRET', '=' + SECRET) for word in of_docker_run()]
    environment = dict(word.split('=', 1) for option, word in zip(words, words[1:])
                       if option == '-e')
    settings, warnings = settings_of(environment, {})
    settings.check_serving()
    assert not warnings
    [endpoint] = yaml.safe_load(block('yaml').replace('Bearer SECRET', 'Bearer ' + SECRET))[
        'notifications']['endpoints']
    assert endpoint['headers']['Authorization'] == ['Bearer ' + settings.events_secret]


def test_nginx_asks_the_container_where_it_is_published():
    words = of_docker_run()
    published, port = words[words.index('-p') + 1].rsplit(':', 1)
    assert set(re.findall(r'proxy_pass http://([^/;]+)', block('nginx'))) == {published}
    assert ['LISTEN=0.0.0.0:' + port] == re.findall(r'LISTEN=\S+', pages.read('Dockerfile.service'))


class TwoLines(Nginx):
    """nginx with the README's two lines; all other requests go to the registry."""

    ready_status = (200, 404)  # by the registry

    def site(self):
        return ('server { listen 127.0.0.1:8080; location / { proxy_pass http://127.0.0.1:5000; }\n'
                '%s}\n' % block('nginx'))


@pytest.fixture(scope='module')
def nginx():
    registry, service = StandIn('registry'), StandIn('service')
    with TwoLines(registry.port, service.port) as server:
        yield server
    for each in (registry, service):
        each.close()


@pytest.mark.skipif(is_missing('nginx') and not os.environ.get('CI'),
                    reason='nginx is not installed: dev/bootstrap clients')
@pytest.mark.parametrize('path, name', [
    ('/v1/search?q=a%2Fb&n=25', 'service'), ('/v1/_ping', 'service'),
    ('/v2/_catalog?n=5&last=a%2Fb', 'service'),
    ('/v2/', 'registry'), ('/v2/a/tags/list', 'registry'), ('/v2/_catalog/', 'registry'),
    # Addresses that are not for clients do not reach the service in any spelling.
    ('/events', 'registry'), ('/v1/../events', 'registry'), ('/v1/%2e%2e/metrics', 'registry'),
    ('/v2/_catalog/../../events', 'registry')])
def test_the_two_lines_of_nginx_send_search_and_catalog_to_the_service(nginx, path, name):
    assert ask(nginx, path) == (200, name)
