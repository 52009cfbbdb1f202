"""What the Dockerfiles name is there; they are not built here."""
import os
import re
import shlex

import pytest
import yaml

from docker_registry_index.service import settings as service_settings
from tests.docs import pages

FILES = ['Dockerfile', 'Dockerfile.service']
#: Where docker-registry itself reads the variables of its start.
REGISTRY = '.local/py27/lib/python2.7/site-packages/docker_registry/run.py'


def text(file):
    """Return the file with its continued lines joined."""
    return re.sub(r'\\\n\s*', '', pages.read(file))


def instructions(file, name):
    """Return the words of each instruction of this name."""
    return [shlex.split(line)[1:] for line in text(file).splitlines()
            if line.startswith(name + ' ')]


def copied(file):
    """Return (source, target) of all that is copied out of the checkout."""
    return [tuple(words) for words in instructions(file, 'COPY')
            if not words[0].startswith('--from=')]


def variables(file):
    """Return the variables that the image sets."""
    return dict(word.split('=', 1) for words in instructions(file, 'ENV') for word in words)


def let_through():
    """Return the paths that .dockerignore, which leaves out all else, lets through."""
    lines = pages.read('.dockerignore').split()
    assert lines[0] == '*'
    return [line[1:] for line in lines if line.startswith('!')]


@pytest.mark.parametrize('file, sources',
                         [('Dockerfile', ['requirements/registry-py27.txt', '.', 'config']),
                          ('Dockerfile.service', ['requirements/service-py3.txt', '.'])])
def test_what_is_copied_is_there_and_not_left_out_of_the_context(file, sources):
    assert [source for source, _ in copied(file)] == sources
    for source in sources:
        assert os.path.exists(os.path.join(pages.ROOT, source))
        assert source == '.' or source in let_through()


def test_what_is_let_through_is_there_and_has_what_the_package_is_built_from():
    for path in let_through():
        assert os.path.exists(os.path.join(pages.ROOT, path)), path
    read_by_setup = re.findall(r'^(?:long_description = file:|license_files =) *(\S+)$',
                               pages.read('setup.cfg'), re.MULTILINE)
    assert len(read_by_setup) == 2
    assert set(let_through()) >= set(read_by_setup) | {'setup.py', 'setup.cfg',
                                                       'docker_registry_index'}


@pytest.mark.parametrize('file', FILES)
def test_the_pins_that_are_installed_were_copied_before(file):
    [(source, folder)] = [pair for pair in copied(file) if pair[0].startswith('requirements/')]
    [installed] = re.findall(r'pip install [^&\n]*-r (\S+)', text(file))
    assert installed == folder + os.path.basename(source)
    assert text(file).index('COPY %s' % source) < text(file).index('-r %s' % installed)


@pytest.mark.parametrize('file', FILES)
def test_what_is_installed_is_what_the_second_stage_takes_and_runs(file):
    [folder, _] = [words[1:] for words in instructions(file, 'COPY')
                   if words[0] == '--from=build'][0]
    assert variables(file)['PATH'] == folder + '/bin:$PATH'
    assert re.findall(r'(\S+)/bin/pip install', text(file)) == [folder, folder]


def test_the_configuration_and_its_flavour_are_there():
    [folder] = [target for source, target in copied('Dockerfile') if source == 'config']
    path = variables('Dockerfile')['DOCKER_REGISTRY_CONFIG']
    assert os.path.dirname(path) == folder
    configuration = yaml.safe_load(pages.read('config/%s' % os.path.basename(path)))
    assert variables('Dockerfile')['SETTINGS_FLAVOR'] in configuration


def test_the_backend_is_a_module_of_the_package():
    assert os.path.exists(os.path.join(pages.ROOT,
                                       variables('Dockerfile')['SEARCH_BACKEND'].replace('.', '/')
                                       + '.py'))


@pytest.mark.parametrize('variable',
                         sorted(set(variables('Dockerfile')) - {'PATH', 'DOCKER_REGISTRY_CONFIG',
                                                                'SETTINGS_FLAVOR'}))
def test_every_variable_that_is_set_is_read_by_the_configuration_or_the_registry(variable):
    in_configuration = '_env:%s' % variable in pages.read('config/config_dynamo.yml')
    assert in_configuration or "'%s'" % variable in pages.read(REGISTRY)


def test_the_settings_of_its_example_are_read_by_the_configuration():
    named = set(re.findall(r'-e (\w+)=', text('Dockerfile'))) - {'SETTINGS_FLAVOR'}
    assert named
    for variable in named:
        assert '_env:%s' % variable in pages.read('config/config_dynamo.yml'), variable


def test_the_service_listens_where_the_container_is_asked():
    existing = set(option.variable for option in service_settings.OPTIONS)
    assert set(variables('Dockerfile.service')) - {'PATH'} == {'LISTEN'} <= existing
    port = variables('Dockerfile.service')['LISTEN'].rpartition(':')[2]
    assert instructions('Dockerfile.service', 'EXPOSE') == [[port]]
