"""What the pages state of settings, files, commands and each other is right."""
import os
import re

import pytest

from dev import figures
from dev.storage import oci_images
from docker_registry_index import __version__
from docker_registry_index.engine.settings.options import OPTIONS
from docker_registry_index.service import settings as service_settings
from tests.docs import pages

#: Hosts that the pages may name: public documentation, this machine, and those of examples.
HOSTS = {'aws.amazon.com', 'docs.aws.amazon.com', 'arn', '127.0.0.1', 'HOST', 'registry',
         'registry-index', 'registry.example.com'}


def test_the_figures_are_what_is_counted():
    assert figures.stale() == []


def test_the_search_of_the_readme_finds_images_of_make_run_service():
    before, beside = oci_images.demonstration()
    found = {image['name']: (image['labels'] or {}).get(oci_images.DESCRIPTION, '')
             for image in before + beside if 'nginx' in image['name']}
    lines = [re.split(r' {3,}', line) for line in pages.read('README.md').split('```')[1]
             .splitlines()[3:]]
    assert {line[0]: line[1] if len(line) == 3 else '' for line in lines} == found
    assert [line[0] for line in lines] == sorted(found)


def test_the_table_of_settings_lists_all_options_in_their_order():
    rows = [[pages.code(cell)[0] for cell in row[:2]]
            for row in pages.table('docs/settings.md', 'Setting')]
    assert rows == [[option.name, option.variable] for option in OPTIONS]


def test_the_defaults_are_those_of_the_options():
    for option, row in zip(OPTIONS, pages.table('docs/settings.md', 'Setting')):
        default = ('`%s`' % option.default.replace('{database}', '<database>') if option.default
                   else 'none')
        expected = ("the registry's `%s`, else %s" % (option.fallback, default) if option.fallback
                    else default)
        assert row[2] == expected


def test_the_changes_begin_with_this_release():
    assert re.search(r'^## (\S+)', pages.read('CHANGELOG.md'), re.MULTILINE).group(1) == __version__


def anchors(text):
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r'^#+ (.+)$', re.sub(r'```.*?```', '', text, flags=re.DOTALL),
                          re.MULTILINE)
    return set(re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-') for heading in headings)


@pytest.mark.parametrize('page', pages.ALL)
def test_links_lead_to_files_and_headings_that_are_there(page):
    for target in re.findall(r'\]\(([^)]+)\)', pages.read(page)):
        if '://' in target:
            continue
        path, _, anchor = target.partition('#')
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(pages.ROOT, path)), target
        assert not anchor or anchor in anchors(pages.read(path)), target


@pytest.mark.parametrize('page', pages.ALL)
def test_no_page_names_a_host_or_a_path_of_a_test(page):
    text = pages.read(page)
    assert set(re.findall(r'https?://([^/:\s\'"<>)]+)', text)) <= HOSTS
    assert not re.search(r'(?<![\w.>])/(work|root|home|tmp)/', text)


def test_every_page_is_linked_from_the_readme():
    for page in pages.ALL[1:]:
        assert re.search(r'\]\(%s[#)]' % page, pages.read('README.md')), page


def test_the_commands_of_the_readme_are_targets_of_make():
    named = set(re.findall(r'`make ([a-z0-9-]+)', pages.read('README.md')))
    targets = set(re.findall(r'^([a-z0-9-]+):', pages.read('Makefile'), re.MULTILINE))
    assert {'run', 'test'} <= named <= targets


def test_the_files_of_the_examples_are_there():
    for name in re.findall(r'(?:requirements|config)/[\w.-]+\.(?:txt|yml)',
                           pages.read('README.md')):
        assert os.path.exists(os.path.join(pages.ROOT, name)), name


@pytest.fixture(params=['docker-registry-dynamodb', 'registry-index'])
def image(request):
    """The name of an image, and the commands of the README that build and run it."""
    commands = [[line for line in pages.commands('README.md', 'docker ' + verb)
                 if request.param in line.split()] for verb in ('build', 'run')]
    assert [len(lines) for lines in commands] == [1, 1]
    return (request.param,) + tuple(lines[0] for lines in commands)


def test_an_image_of_the_readme_is_built_from_its_file_and_run_under_its_name(image):
    name, build, run = image
    words = build.split()
    file = words[words.index('-f') + 1] if '-f' in words else 'Dockerfile'
    assert words[words.index('-t') + 1] == name == run.split()[-1]
    assert ' '.join(words[:4]) in pages.read(file)


def test_the_variables_of_docker_run_are_settings(image):
    name, _, run = image
    variables = re.findall(r'-e (\w+)=', run)
    if name == 'registry-index':
        assert set(variables) <= set(option.variable for option in list(OPTIONS)
                                     + list(service_settings.OPTIONS))
        assert {'REGISTRY_URL', 'EVENTS_SECRET'} <= set(variables)
    else:
        assert len(variables) == 7
        for variable in set(variables) - {'SETTINGS_FLAVOR'}:
            assert '_env:%s' % variable in pages.read('config/config_dynamo.yml')


def test_the_settings_of_the_service_are_its_options():
    rows = [row for row in pages.table('docs/service.md', 'Setting')]
    assert [[pages.code(row[0])[0], pages.code(row[1])[0], row[2], row[3]] for row in rows] == [
        [option.name, option.variable, '`%s`' % option.default if option.default else 'none',
         option.meaning] for option in service_settings.OPTIONS]


def test_the_tests_that_the_pages_name_are_there():
    for page in pages.ALL:
        for name in re.findall(r'`(tests/[\w/.]+)`', pages.read(page)):
            assert os.path.exists(os.path.join(pages.ROOT, name)), '%s: %s' % (page, name)
