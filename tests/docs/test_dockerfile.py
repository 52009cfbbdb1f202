"""What the Dockerfiles name exists; tests/end_to_end/images builds the images."""
import os
import re
import shlex

import pytest
import yaml

from docker_registry_index.service import settings as service_settings
from tests.docs import pages

FILES = {'Dockerfile': ['requirements/registry-py27.txt', '.', 'config'],
         'Dockerfile.service': ['requirements/service-py3.txt', '.']}
#: The variables that docker-registry itself reads, and where; only make test installs it.
OF_THE_REGISTRY = {'REGISTRY_HOST', 'REGISTRY_PORT'}
REGISTRY = '.local/py27/lib/python2.7/site-packages/docker_registry/run.py'
#: .dockerignore leaves out all but these.
EVERYTHING, *RULES = pages.read('.dockerignore').split()
LET_THROUGH = {rule[1:] for rule in RULES if rule[0] == '!'}


def text(file):
    """Return the file with its continued lines joined."""
    return re.sub(r'\\\n\s*', '', pages.read(file))


def instructions(file, name):
    """Return the words of each instruction of this name."""
    return [shlex.split(line)[1:] for line in text(file).splitlines()
            if line.startswith(name + ' ')]


def variables(file):
    """Return the variables that the image sets."""
    return dict(word.split('=', 1) for words in instructions(file, 'ENV') for word in words)


@pytest.mark.parametrize('file', FILES)
def test_what_is_copied_exists_and_its_pins_are_what_the_second_stage_runs(file):
    *copied, [_, folder, _] = sorted(instructions(file, 'COPY'), key=len)
    assert sorted(source for source, _ in copied) == sorted(FILES[file])
    assert all(pages.exists(source) for source in FILES[file])
    pins, target = [each for each in copied if each[0].startswith('requirements/')][0]
    installed = '-r ' + target + os.path.basename(pins)
    assert re.findall(r'pip install [^&\n]*--require-hashes (-r \S+)', text(file)) == [installed]
    assert text(file).index('COPY ' + pins) < text(file).index(installed)
    assert variables(file)['PATH'] == folder + '/bin:$PATH'
    assert re.findall(r'(\S+)/bin/pip install', text(file)) == [folder, folder]


@pytest.mark.parametrize('file', FILES)
def test_the_user_is_a_number_that_the_image_has_created(file):
    assert instructions(file, 'USER') == [['10001']]
    assert re.findall(r'useradd --uid (\S+)', text(file)) == ['10001']


def test_the_context_has_what_is_copied_and_what_the_package_is_built_from():
    read_by_setup = re.findall(r'^(?:long_description = file:|license_files =) *(\S+)$',
                               pages.read('setup.cfg'), re.MULTILINE)
    assert EVERYTHING == '*' and len(read_by_setup) == 2
    assert all(pages.exists(path) for path in LET_THROUGH)
    assert LET_THROUGH | {'.'} >= set(sum(FILES.values(), read_by_setup)) | {
        'setup.py', 'setup.cfg', 'docker_registry_index'}


def test_the_plugin_has_its_configuration_and_every_variable_is_read():
    given = variables('Dockerfile')
    folder, name = os.path.split(given['DOCKER_REGISTRY_CONFIG'])
    assert ['config', folder] in instructions('Dockerfile', 'COPY')
    assert given['SETTINGS_FLAVOR'] in yaml.safe_load(pages.read('config/' + name))
    assert pages.exists(given['SEARCH_BACKEND'].replace('.', '/') + '.py')
    named = set(re.findall(r'-e (\w+)=', text('Dockerfile'))) | set(given)
    assert {each for each in named - {'PATH', 'DOCKER_REGISTRY_CONFIG', 'SETTINGS_FLAVOR'}
            if '_env:%s' % each not in pages.read('config/' + name)} == OF_THE_REGISTRY
    assert not pages.exists(REGISTRY) or all(
        "'%s'" % each in pages.read(REGISTRY) for each in OF_THE_REGISTRY)


def test_the_service_listens_where_the_container_is_asked():
    given = set(variables('Dockerfile.service')) - {'PATH'}
    assert given == {'LISTEN'} <= {option.variable for option in service_settings.OPTIONS}
    port = variables('Dockerfile.service')['LISTEN'].rpartition(':')[2]
    assert instructions('Dockerfile.service', 'EXPOSE') == [[port]]
