"""compose.yaml has the settings that its programs read, and the files and ports of the others.
tests/end_to_end/images starts it."""
import re

import pytest
import yaml

from docker_registry_index.engine.settings.checks import secret
from docker_registry_index.service import settings as service_settings
from docker_registry_index.service.settings import settings_of
from tests.docs import pages

FILE = pages.read('compose.yaml')
COMPOSE = yaml.safe_load(FILE)
SERVICES = COMPOSE['services']
#: What botocore, and boto in docker-registry 0.9.1, read themselves.
OF_AWS = {'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_SECURITY_TOKEN',
          'AWS_ENDPOINT_URL', 'AWS_REGION'}


def interpolate(text, environ):
    """Return a text as compose reads it: ${NAME:-default} and ${NAME:+replacement}."""
    def value(found):
        name, operator, word = found.groups()
        is_set = bool(environ.get(name))
        return {'-': environ.get(name, '') if is_set else word,
                '+': word if is_set else ''}[operator]

    while '${' in text:
        text = re.sub(r'\$\{(\w+):?([-+])([^${}]*)\}', value, text)
    return text


def environment(name, **environ):
    """Return the variables of a container, given those of docker compose."""
    found = {}
    for path in SERVICES[name].get('env_file', []):
        path = interpolate(path['path'], environ)
        if pages.exists(path):
            found.update(line.split('=', 1) for line in pages.read(path).splitlines()
                         if not line.startswith('#'))
    for line in SERVICES[name]['environment']:
        variable, _, value = interpolate(line, environ).partition('=')
        if '=' in interpolate(line, environ):
            found[variable] = value
        elif variable in environ:
            found[variable] = environ[variable]
    return found


AWS = {'AWS_REGION': 'eu-west-1', 'AWS_ACCESS_KEY_ID': 'AKIA', 'AWS_SECRET_ACCESS_KEY': 'key',
       'AWS_BUCKET': 'mybucket', 'DYNAMODB_DATABASE': 'mine'}


@pytest.mark.parametrize('environ', [{}, AWS])
def test_the_service_has_its_settings(environ):
    settings, warnings = settings_of(environment('registry-index', **environ), {})
    settings.check_serving()
    assert warnings == []
    assert settings.registry_url == 'http://registry:5000'
    expected = secret(16)(settings.events_secret)
    assert environment('registry', **environ)['REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS'] == (
        '{Authorization: [Bearer %s]}' % expected)


def test_an_events_secret_of_the_user_reaches_both_sides():
    mine = {'EVENTS_SECRET': '5c9f6f3a0c4d47b8a1d2e3f405162738'}
    assert environment('registry-index', **mine)['EVENTS_SECRET'] == mine['EVENTS_SECRET']
    assert mine['EVENTS_SECRET'] in environment('registry', **mine)[
        'REGISTRY_NOTIFICATIONS_ENDPOINTS_0_HEADERS']


@pytest.mark.parametrize('name', ['registry-index', 'docker-registry'])
def test_the_index_is_in_dynamodb_local_unless_a_region_is_set(name):
    local = environment(name)
    assert local['DYNAMODB_ENDPOINT_URL'] == 'http://dynamodb:8000'
    assert local['DYNAMODB_REGION'] == 'us-east-1'
    assert {local['DYNAMODB_ACCESS_KEY'], local['DYNAMODB_SECRET_ACCESS_KEY']} == {'local'}
    aws = environment(name, **AWS)
    assert aws['DYNAMODB_REGION'] == 'eu-west-1' and aws['AWS_ACCESS_KEY_ID'] == 'AKIA'
    assert not {'DYNAMODB_ENDPOINT_URL', 'DYNAMODB_ACCESS_KEY'} & set(aws)


def test_the_service_and_the_plugin_share_no_tables():
    assert environment('registry-index', **AWS)['DYNAMODB_DATABASE'] == 'mine'
    assert 'DYNAMODB_DATABASE' not in environment('docker-registry', **AWS)


def test_the_images_are_in_a_bucket_if_one_is_named():
    names = {'REGISTRY_STORAGE', 'REGISTRY_STORAGE_S3_BUCKET', 'REGISTRY_STORAGE_S3_REGION',
             'REGISTRY_STORAGE_S3_ROOTDIRECTORY'}
    assert not names & set(environment('registry'))
    assert [environment('registry', **AWS)[each] for each in sorted(names)] == [
        's3', 'mybucket', 'eu-west-1', '/registry']
    assert not {'SETTINGS_FLAVOR', 'STORAGE_PATH'} & set(environment('docker-registry'))
    assert environment('docker-registry', **AWS)['SETTINGS_FLAVOR'] == 'prod'


def test_every_variable_of_a_container_is_read_there():
    of_service = {option.variable for option in service_settings.OPTIONS}
    names = {name: {re.match(r'\w+', line)[0] for line in service.get('environment', [])}
             for name, service in SERVICES.items()}
    index = {each for each in names['registry-index'] if each not in OF_AWS | of_service}
    assert all(pages.code(pages.read('docs/settings.md')).count(each) for each in index), index
    plugin = names['docker-registry'] - OF_AWS - {'SETTINGS_FLAVOR'}
    assert all('_env:%s' % each in pages.read('config/config_dynamo.yml') for each in plugin)
    assert all(each.startswith('REGISTRY_') for each in names['registry'] - OF_AWS)


def test_the_comment_lists_the_variables_that_a_user_can_set():
    comment, rest = FILE.split('\nname:', 1)
    read = set(re.findall(r'\$\{(\w+)', rest)) | {
        line for service in SERVICES.values() for line in service.get('environment', [])
        if re.fullmatch(r'\w+', line)}
    # these three only say more about the bucket of docker-registry 0.9.1 or about a local AWS
    assert read - {'AWS_HOST', 'AWS_USE_SIGV4', 'AWS_ENDPOINT_URL'} == set(
        re.findall(r'\b(?:[A-Z0-9]+_)*(?:PORT|[A-Z0-9]+_[A-Z_]+)\b', comment))


def test_only_ports_of_this_machine_are_published():
    ports = {name: service['ports'] for name, service in SERVICES.items() if 'ports' in service}
    assert ports == {'nginx': ['127.0.0.1:${PORT:-8080}:8080'],
                     'docker-registry': ['127.0.0.1:${V1_PORT:-5000}:5000']}


def test_each_container_starts_again_with_the_machine_and_is_checked():
    for name, service in SERVICES.items():
        assert service['restart'] == 'unless-stopped', name
        # The images of this project have checks of their own.
        assert 'build' in service or 'test' in service['healthcheck'], name


def test_the_files_of_config_are_used_as_they_are():
    mounted = {source: name for name, service in SERVICES.items()
               for source in re.findall(r'\./(\S+?):', str(service.get('volumes', '')))}
    assert mounted == {'config/distribution.yml': 'registry', 'config/nginx.conf': 'nginx'}
    text = pages.read('config/nginx.conf')
    for old, new in re.findall(r'-e s/([\d.:]+)/([\w:-]+)/', SERVICES['nginx']['command'][-1]):
        assert len(re.findall(r'^ *[^# ].*' + re.escape(old), text, re.MULTILINE)) == 1
        assert re.search(r'^#     %s   ' % re.escape(old), text, re.MULTILINE)
        text = re.sub(r'(?m)^( *[^# ].*)' + re.escape(old), r'\g<1>' + new, text)
    assert not re.findall(r'^ *(?:server|listen) .*127\.0\.0\.1', text, re.MULTILINE)


def test_what_is_built_and_run_has_the_names_of_the_readme():
    for name in ('registry-index', 'docker-registry'):
        assert ' %s\n' % SERVICES[name]['image'] in pages.read('README.md')
    assert SERVICES['docker-registry']['profiles'] == ['v1']
