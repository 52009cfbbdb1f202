"""The README's three additions to a registry v2 or v3: YAML, a container, two lines of nginx."""
import re
import shlex

import yaml

from docker_registry_index.service.settings import settings_of
from tests.docs import pages

SECRET = '5c9f6f3a0c4d47b8a1d2e3f405162738'
[YAML], [NGINX] = [pages.blocks('README.md', language) for language in ('yaml', 'nginx')]
[COMMAND] = [line for line in pages.commands('README.md', 'docker run')
             if line.endswith(' registry-index')]
WORDS = shlex.split(COMMAND)


def test_the_yaml_is_the_block_of_the_complete_configuration_with_the_name_of_the_container():
    name = WORDS[WORDS.index('--name') + 1]
    complete = yaml.safe_load(pages.read('config/distribution.yml'))
    mine = yaml.safe_load(YAML.replace('//%s:' % name, '//127.0.0.1:'))
    assert mine == {'notifications': complete['notifications']}


def test_the_container_has_all_settings_that_the_service_needs_and_the_secret_of_the_yaml():
    environment = dict(word.replace('=SECRET', '=' + SECRET).split('=', 1)
                       for option, word in zip(WORDS, WORDS[1:]) if option == '-e')
    settings, warnings = settings_of(environment, {})
    settings.check_serving()
    assert not warnings
    [endpoint] = yaml.safe_load(YAML.replace('Bearer SECRET', 'Bearer ' + SECRET))[
        'notifications']['endpoints']
    assert endpoint['headers']['Authorization'] == ['Bearer ' + settings.events_secret]


def test_nginx_asks_the_container_where_it_is_published():
    published, port = WORDS[WORDS.index('-p') + 1].rsplit(':', 1)
    assert set(re.findall(r'proxy_pass http://([^/;]+)', NGINX)) == {published}
    assert ['LISTEN=0.0.0.0:' + port] == re.findall(r'LISTEN=\S+', pages.read('Dockerfile.service'))
