"""A test runs each example of the README: every block of shell commands, YAML or nginx lines, and
every command in a sentence."""
import ast
import os
import re
import shutil
import subprocess

import pytest

from docker_registry_index.service.settings import settings_of
from tests.docs import pages

README = 'README.md'
IMAGES, SERVICE = 'tests/end_to_end/images/', 'tests/end_to_end/service/'
#: The first line of each block, and the tests that run it.
BLOCKS = {
    '$ docker search registry.example.com/nginx': [
        'tests/docs/test_pages.py::test_the_search_of_the_readme_finds_images_of_make_run_service',
        SERVICE + 'test_make_run_service.py::'
        'test_it_shows_that_pushes_are_found_and_stops_cleanly'],
    'docker compose up --detach --wait': [
        IMAGES + 'test_compose.py::test_the_lines_of_the_readme_push_and_find_an_image'],
    'notifications:': [
        IMAGES + 'test_service.py::test_docker_search_and_podman_search_find_what_is_pushed'],
    'docker build -t registry-index -f Dockerfile.service .': [
        IMAGES + 'test_service.py::test_docker_search_and_podman_search_find_what_is_pushed'],
    'location /v1/ {': [
        SERVICE + 'test_nginx.py::'
        'test_beside_the_recipe_nobody_without_a_password_reaches_the_service'],
    'docker build -t docker-registry-dynamodb .': [
        IMAGES + 'test_plugin.py::'
        'test_the_readme_has_the_line_of_0_1_0_with_the_tag_that_it_builds',
        IMAGES + 'test_plugin.py::test_the_line_of_0_1_0_pushes_and_searches_and_stops'],
}
#: The same for the commands in sentences.
COMMANDS = {
    'curl -i http://HOST:5000/v2/': [
        SERVICE + 'test_end_to_end.py::test_the_registry_names_its_api_as_the_readme_states'],
    'docker compose up --detach docker-registry': [
        IMAGES + 'test_compose.py::test_docker_registry_0_9_1_runs_with_its_images_in_a_volume'],
    'make run-service': BLOCKS['$ docker search registry.example.com/nginx'][1:],
    'make run': ['tests/end_to_end/plugin/test_make_run.py::'
                 'test_it_shows_the_load_and_a_search_and_stops_cleanly_at_ctrl_c'],
    'openssl rand -hex 32': ['tests/docs/test_examples.py::test_openssl_makes_a_valid_secret'],
    'pip install .': ['tests/end_to_end/packaging/test_distributions.py::'
                      'test_the_source_package_installs_what_is_for_its_python'],
}
PROGRAMS = r'(?:aws|curl|docker|docker-registry-index|make|openssl|pip) '


def examples():
    """Return the first line of each block of the README whose language is stated."""
    return [block.splitlines()[0] for language in ('sh', 'yaml', 'nginx')
            for block in pages.blocks(README, language)]


def test_every_block_and_every_command_of_the_readme_is_run_by_a_test():
    assert sorted(examples()) == sorted(BLOCKS)
    prose = re.sub(r'```.*?```', '', pages.read(README), flags=re.DOTALL)
    commands = {text for text in pages.code(' '.join(prose.split()))
                if re.match(PROGRAMS, text) and text != 'docker search'}
    assert commands == set(COMMANDS)


@pytest.mark.parametrize('name', sorted(set(sum([*BLOCKS.values(), *COMMANDS.values()], []))))
def test_the_test_that_runs_an_example_exists_and_is_a_test_of_make(name):
    path, _, function = name.partition('::')
    assert function in {node.name for node in ast.parse(pages.read(path)).body
                        if isinstance(node, ast.FunctionDef)}
    folder = '/'.join(path.split('/')[:3]) if 'end_to_end' in path else 'tests'
    assert re.search(r'(?m)^\t.*\b%s\b' % re.escape(folder), pages.read('Makefile'))


@pytest.mark.skipif(not (shutil.which('openssl') or os.environ.get('CI')),
                    reason='openssl is not installed')
def test_openssl_makes_a_valid_secret():
    secret = subprocess.run(['openssl', 'rand', '-hex', '32'], capture_output=True, text=True,
                            check=True).stdout.strip()
    settings_of({'REGISTRY_URL': 'http://registry:5000', 'EVENTS_SECRET': secret}, {})[
        0].check_serving()


@pytest.mark.parametrize('path', sorted({name.partition('::')[0] for name in sum(
    BLOCKS.values(), [])} - {SERVICE + 'test_make_run_service.py'}))
def test_a_test_of_a_block_reads_it_from_the_readme(path):
    """Or imports a module of tests that does."""
    imported = [name.replace('.', '/') + '.py' for name in re.findall(
        r'(?m)^from (tests\.[\w.]+) import', pages.read(path))]
    assert any("'%s'" % README in pages.read(each)
               for each in [path] + imported if pages.exists(each))
