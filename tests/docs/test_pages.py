"""Links, paths, versions, line widths and examples in the documents are right."""
import os
import re
import shlex
import urllib.parse

import pytest
import yaml

from dev import figures
from dev.storage import oci_images
from docker_registry_index import __version__
from docker_registry_index.engine.store import postings
from docker_registry_index.service.settings import settings_of
from tests.contract import oracle
from tests.docs import pages

#: Hosts that the pages may name: public documentation, this machine, and those of examples.
HOSTS = {'aws.amazon.com', 'docs.aws.amazon.com', 'arn', '127.0.0.1', 'HOST', 'registry',
         'registry-index', 'registry.example.com', 'distribution.github.io',
         'dynamodb.eusc-de-east-1.amazonaws.eu',
         'dynamodb-fips.us-east-1.amazonaws.com', 'docs.pypi.org'}
#: Other files that name files of the checkout.
OTHERS = ['Makefile', 'compose.yaml', 'Dockerfile', 'Dockerfile.service', 'docs/openapi.yml',
          'config/config_dynamo.yml', 'config/nginx.conf', 'config/distribution.yml',
          'config/cloudformation.yml', 'config/kubernetes.yml']
SECRET = '5c9f6f3a0c4d47b8a1d2e3f405162738'
RELEASES = re.findall(r'^## (\d\S+)', pages.read('CHANGELOG.md'), re.MULTILINE)
COUNTS = {'two': 2, 'both': 2, 'three': 3, 'four': 4, 'five': 5}
#: A URL or a link on a line of its own, perhaps after a comment sign.
UNBREAKABLE = re.compile(r'\W*\S*(://|\]\()\S*')


@pytest.mark.parametrize('page', pages.ALL)
def test_links_lead_to_files_and_headings_and_to_no_private_host_or_path(page):
    for target in re.findall(r'\]\((?!\w+://)([^)]+)\)', pages.read(page)):
        path, _, anchor = target.partition('#')
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert pages.exists(path), target
        assert not anchor or anchor in pages.anchors(path), target
    assert set(re.findall(r'https?://([^/:\s\'"<>)`]+)', pages.read(page))) <= HOSTS
    assert not re.search(r'(?<![\w.>])/(work|root|home)/', pages.read(page))


@pytest.mark.parametrize('page', pages.ALL)
def test_links_have_one_form_and_no_heading_hides_another(page):
    text = re.sub(r'(?s)```.*?```|`[^`]*`', '', pages.read(page))
    # Reference links, HTML and bare addresses would escape the test above.
    assert not re.findall(r'\]\[|^\[[^]]+\]:|<(?:a|img) |(?<![(<])https?://\S+', text,
                          re.MULTILINE)
    assert len(re.findall(r'\]\(', text)) == len(re.findall(r'\]\([^()\s]+\)', text))
    headings = pages.anchors(page)
    if page != 'CHANGELOG.md':
        assert len(headings) == len(set(headings)), 'GitHub would number their anchors'


@pytest.mark.parametrize('path', pages.ALL + OTHERS + [path for path, _ in pages.modules()])
def test_an_external_address_is_well_formed_and_uses_https(path):
    addresses = re.findall(r'(?<![`\w\'"])https://[^\s<>`\'"]+', pages.read(path))
    addresses += re.findall(r'\]\((\w+://[^)]+)\)', pages.read(path))
    for address in addresses:
        address = re.sub(r'[).,;:]+$', '', address)
        parts = urllib.parse.urlsplit(address)
        assert parts.scheme == 'https' and re.fullmatch(r'[\w.{}-]+(:\d+)?', parts.netloc), address
        assert not re.search(r'[()\[\],;\\]', parts.path), address


def test_every_page_is_linked_from_the_readme():
    targets = re.findall(r'\]\(([^)#]+)', pages.read('README.md'))
    assert set(pages.ALL[1:]) | {'docs/openapi.yml'} <= set(targets)


def test_the_paths_and_targets_of_make_that_are_named_exist():
    missing = ['%s names %s' % (page, path) for page in pages.CURRENT + OTHERS for path in
               re.findall(r'(?<![\w/.])((?:tests|docs|config|requirements|benchmarks|dev)/'
                          r'[\w/.-]*\w)', pages.read(page)) if not pages.exists(path)]
    missing += ['%s names %s' % (module, name) for module, _ in pages.modules() for name in
                re.findall(r'(?<![\w/.])docs/[\w-]+\.\w+', pages.read(module))
                if not pages.exists(name)]
    targets = set(re.findall(r'^([a-z0-9-]+):', pages.read('Makefile'), re.MULTILINE))
    missing += ['%s names make %s' % (page, target) for page in pages.CURRENT for target in
                re.findall(r'(?m)(?:`|^)make ([a-z][a-z0-9-]*)', pages.read(page))
                if target not in targets]
    assert not missing, '\n'.join(missing)


def test_no_line_is_too_long():
    # Those of the modules are measured by flake8.
    paths = ['.ci/run'] + [os.path.join(folder, name) for folder in (
        '', 'docs', 'config', 'requirements') for name in os.listdir(os.path.join(
            pages.ROOT, folder)) if os.path.isfile(os.path.join(pages.ROOT, folder, name))]
    found = ['%s:%d' % (path, number) for path in paths
             for number, line in enumerate(pages.read(path).split('\n'), 1)
             if len(line) > 100 and not UNBREAKABLE.fullmatch(line)
             and not (path.endswith('.md') and line.startswith('|'))]
    assert len(paths) > 30 and not found, '\n'.join(found)


@pytest.mark.parametrize('pattern, expected', [
    # "Install 0.1.0 again" goes back.
    (r'(?i)(?:install(?:s|ed|ing)?|upgrade to|this release,?|the current release|version:?|'
     r'index-dynamodb[=-]{1,2})(?: is| release)?,? `?(0\.\d+\.\d+)\b(?! again)', [__version__]),
    (r'(?i)(?:releases?|from|of|to|since|beside) (0\.\d+\.\d+)', RELEASES),
    (r'Python (3\.\d+)(?: or| and) later', re.findall(r"'>=(3\.\d+)'", pages.read('setup.py'))),
    (r'docker-registry (\d\.\d\.\d)', re.findall(r'docker-registry==(\S+)', pages.read(
        'requirements/registry-py27.txt'))),
    (r'-search-(\d+)', [str(postings.FORMAT)])])
def test_a_version_that_is_named_is_that_of_the_package(pattern, expected):
    assert RELEASES[0] == __version__
    for page in set(pages.CURRENT) - {'CONTRIBUTING.md'}:
        assert set(re.findall(pattern, pages.prose(page))) <= set(expected), page


def test_each_fault_is_in_the_contents_and_has_what_holds_its_limits_and_its_tests():
    contents, *sections = re.split(r'^### ', pages.read('docs/faults.md'), flags=re.MULTILINE)
    assert re.findall(r'^- \[(.+)\]\(#.+\)$', contents, re.MULTILINE) == [
        section.splitlines()[0] for section in sections]
    for section in sections:
        assert re.match(r'.+\n\n\w(?s:.+)\n\n- \*\*Limits\*\*: (?s:.+)\n- \*\*Tests?\*\*: `tests/',
                        section), section


def test_the_figures_are_what_the_engine_counts():
    assert figures.stale() == []


@pytest.mark.parametrize('page', pages.CURRENT)
def test_a_count_of_commands_is_that_of_the_example(page):
    text, words = pages.read(page), '(%s)' % '|'.join(COUNTS)
    pairs = re.findall(r'\b%s (?:commands|nginx locations)\b[^#`]*```\w*\n([^`]+)' % words, text,
                       re.IGNORECASE)
    pairs += [(word, example) for example, word in re.findall(
        r'```\w*\n([^`]+)```\n\n(?:All )?%s ' % words, text, re.IGNORECASE)]
    for word, example in pairs:
        lines = re.findall(r'^\w', example.replace('\\\n', ''), re.MULTILINE)
        assert len(lines) == COUNTS[word.lower()], example


def test_the_search_of_the_readme_finds_images_of_make_run_service():
    before, beside = oci_images.demonstration()
    images = {image['name']: (image['labels'] or {}).get(oci_images.DESCRIPTION, '')
              for image in before + beside}
    lines = [re.split(r' {3,}', line) for line in pages.read('README.md').split('```')[1]
             .splitlines()[3:]]
    assert oracle.answer(images, 'nginx') == [
        (line[0], line[1] if len(line) == 3 else '') for line in lines]


@pytest.mark.parametrize('name', ['docker-registry-dynamodb', 'registry-index'])
def test_an_image_of_the_readme_is_built_from_its_file_and_run_under_its_name(name):
    [build], [run] = [[line for line in pages.commands('README.md', 'docker ' + verb)
                       if name in line.split()] for verb in ('build', 'run')]
    words = build.split()
    file = words[words.index('-f') + 1] if '-f' in words else 'Dockerfile'
    assert words[words.index('-t') + 1] == name == run.split()[-1]
    assert ' '.join(words[:4]) in pages.read(file)
    variables = set(re.findall(r'-e (\w+)=', run)) - {'SETTINGS_FLAVOR'}
    assert variables and (name == 'registry-index' or all(
        '_env:%s' % each in pages.read('config/config_dynamo.yml') for each in variables))


#: The README's three additions to a registry v2 or v3: YAML, a container, two lines of nginx.
[YAML], [NGINX] = [pages.blocks('README.md', language) for language in ('yaml', 'nginx')]
[COMMAND] = [shlex.split(line) for line in pages.commands('README.md', 'docker run')
             if line.endswith(' registry-index')]


def test_the_yaml_is_the_block_of_the_complete_configuration_with_the_name_of_the_container():
    name = COMMAND[COMMAND.index('--name') + 1]
    complete = yaml.safe_load(pages.read('config/distribution.yml'))
    mine = yaml.safe_load(YAML.replace('//%s:' % name, '//127.0.0.1:'))
    assert mine == {'notifications': complete['notifications']}


def test_the_container_has_all_settings_that_the_service_needs_and_the_secret_of_the_yaml():
    environment = dict(word.replace('=SECRET', '=' + SECRET).split('=', 1)
                       for option, word in zip(COMMAND, COMMAND[1:]) if option == '-e')
    settings, warnings = settings_of(environment, {})
    settings.check_serving()
    assert not warnings
    [endpoint] = yaml.safe_load(YAML.replace('Bearer SECRET', 'Bearer ' + SECRET))[
        'notifications']['endpoints']
    assert endpoint['headers']['Authorization'] == ['Bearer ' + settings.events_secret]


def test_nginx_asks_the_container_where_it_is_published():
    published, port = COMMAND[COMMAND.index('-p') + 1].rsplit(':', 1)
    assert set(re.findall(r'proxy_pass http://([^/;]+)', NGINX)) == {published}
    assert ['LISTEN=0.0.0.0:' + port] == re.findall(r'LISTEN=\S+', pages.read('Dockerfile.service'))


def test_the_page_on_the_service_adds_to_a_registry_what_the_readme_adds():
    page = 'docs/service.md'
    for language, readme, read in ('yaml', YAML, yaml.safe_load), ('nginx', NGINX, str.split):
        assert read(pages.blocks(page, language)[0]) == read(readme)
    readme = [sorted(shlex.split(line)) for line in pages.commands('README.md', 'docker')]
    for line in pages.commands(page, 'docker'):
        assert sorted(shlex.split(line)) in readme
