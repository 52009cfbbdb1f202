"""docs/command-line.md, http.md, openapi.yml, search.md, service.md and settings.md describe what
exists; tests/cli compares the help."""
import ast
import re

import pytest
import yaml

from docker_registry_index import __version__, configuration
from docker_registry_index.cli import output
from docker_registry_index.cli.commands import main
from docker_registry_index.engine.errors import SettingError
from docker_registry_index.engine.settings.options import OPTIONS
from docker_registry_index.service import settings as service_settings
from tests.contract import oracle
from tests.docs import pages
from tests.helpers.engine import EngineIndex
from tests.helpers.service import InProcessService

COMMAND_LINE = 'docs/command-line.md'
STATUSES = {row[0] for row in pages.table(COMMAND_LINE, 'Status')}


@pytest.mark.parametrize('page', pages.ALL)
def test_the_commands_options_and_exit_statuses_that_are_named_exist(page):
    examples = '\n'.join(pages.code(pages.prose(page)) + pages.blocks(page, 'sh'))
    for words in re.findall(r'docker-registry-index((?: +[\w-]+)+)', examples):
        name, *more = words.split()
        options = {each for option in main.commands[name].params for each in option.opts}
        assert {word for word in more if word.startswith('--')} <= options | {'--help'}, words
    # From 200 on, they are those of HTTP.
    assert {status for status in re.findall(r'status (\d+)', pages.prose(page))
            if int(status) < 200} <= STATUSES


def test_the_page_lists_the_exit_statuses_that_exist():
    numbers = {str(value) for name, value in vars(output).items()
               if name.isupper() and isinstance(value, int) and name != 'THREADS_END'}
    assert STATUSES == numbers | {
        str(node.args[0].value) for _, tree in pages.modules('cli') for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') == 'exit' and node.args
        and isinstance(node.args[0], ast.Constant)}


def test_the_page_states_what_the_sample_of_status_costs(in_process_dynamodb):
    index = EngineIndex(in_process_dynamodb.url).ready([('library/nginx', None)])
    read, postings = [], index.postings()
    index.engine.client.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.*', lambda params, **_: read.extend(
            [1] if 'Key' in params else list(params['RequestItems'].values())[0]['Keys']))
    index.engine.status().inspect(['library/nginx'])
    assert len(read) == len(postings) + 2
    average = float(pages.table('docs/cost.md', '48 names of 21 characters on average')[0][1])
    assert 'about {:,} units for 100 repositories'.format(round(100 * (average + 2), -2)).replace(
        ',', ' ').replace('.0', '') in pages.prose(COMMAND_LINE)


HTTP = 'docs/http.md'
REFERENCE = yaml.safe_load(pages.read('docs/openapi.yml'))
METRICS = {pages.code(row[0])[0]: row for row in pages.table(HTTP, 'Metric')}


@pytest.fixture(scope='module')
def service(in_process_dynamodb):
    """A service that is not started."""
    return InProcessService(EngineIndex(in_process_dynamodb.url))


def test_page_and_reference_have_the_addresses_and_statuses_of_this_release(service):
    assert REFERENCE['info']['version'] == __version__
    # Browsers follow the links of the page, so no program needs its addresses.
    assert set(REFERENCE['paths']) == {rule.rule for rule in service.app.url_map.iter_rules()
                                       if not rule.endpoint.startswith('page.')}
    addresses = {pages.code(row[0])[0]: row[2].split(', ') for row in pages.table(HTTP, 'Address')}
    assert addresses == {'%s %s' % (method.upper(), path): sorted(operation['responses'])
                         for path, operations in REFERENCE['paths'].items()
                         for method, operation in operations.items()}
    assert {row[0] for row in pages.table(HTTP, 'Status')} >= set(
        sum(addresses.values(), [])) - {'200'}


def test_the_page_lists_the_metrics_that_exist_and_no_page_names_another(service):
    shown = re.findall(r'(?m)^# TYPE (registry_index_\w+) (\w+)$', service.get('/metrics').text)
    # The time when a counter or histogram was created is no metric of its own.
    assert {name: row[1] for name, row in METRICS.items()} == {
        name: kind for name, kind in shown if not name.endswith('_created')}
    for page in pages.CURRENT:
        assert set(re.findall(r'registry_index_\w+', pages.read(page))) <= set(METRICS), page


def test_the_labels_and_results_are_those_of_the_code():
    web = 'docker_registry_index/service/web/'
    labels = {label for row in METRICS.values() for label in pages.code(row[2])}
    assert all("'%s'" % label in pages.read(web + 'monitoring.py') for label in labels)
    results = re.findall(r"count\('(\w+)'(?: if \w+ else '(\w+)')?\)",
                         pages.read(web + 'notifications.py'))
    assert set(pages.code(METRICS['registry_index_notifications_total'][3])) == set(
        sum(results, ())) - {''}


def test_the_examples_are_what_the_oracle_of_the_contract_answers():
    described = {'team/reports': 'SQL and charts'}
    examples = {name: int(row[0]) for row in pages.table('docs/search.md', 'Rank')
                for name in pages.code(row[2])}
    assert set(examples.values()) == {0, 1, 2, 3, 4, 5}
    for name, rank in examples.items():
        assert oracle.rank('sql', name, described.get(name, '')) == rank, name
    assert oracle.group('sql', 'acme/my-sql') == 2
    assert {oracle.group('sql', name) for name in ('team/sqlalchemy', 'team/mysql-client')} == {3}
    assert [word for word in ('front', 'ront', 'node.j', 'node.js', 'js') if oracle.answer(
        {'team/web': 'The Node.js front end'}, word)] == ['front', 'node.j', 'node.js', 'js']


PAGES = {'docs/settings.md': OPTIONS, 'docs/service.md': service_settings.OPTIONS}


@pytest.mark.parametrize('page', PAGES)
def test_the_table_lists_each_setting_with_its_variable_default_and_meaning(page):
    expected = []
    for option in PAGES[page]:
        default = '`%s`' % re.sub('{(.*)}', r'<\1>', option.default) if option.default else 'none'
        places = ["the registry's `%s`" % option.fallback] if option.fallback else []
        places += ['`%s`' % variable for variable in option.aws]
        if option.name == 'region':
            places[-1] += ' (these two for the service alone)'
        default = ', else '.join(places + [default])
        expected.append(['`%s`' % option.name, '`%s`' % option.variable, default, option.meaning])
    assert pages.table(page, 'Setting') == expected


@pytest.mark.parametrize('page', pages.ALL)
def test_each_variable_that_is_named_is_read(page):
    named = re.findall(r'\b(?:DYNAMODB|REGISTRY|EVENTS|STORAGE|CATALOG|ANONYMOUS)_[A-Z_]*[A-Z]\b',
                       pages.read(page))
    every = [option for options in PAGES.values() for option in options]
    # These are the registry's own, examples of mistakes, and one of release 0.4.0.
    others = {'STORAGE_PATH', 'REGISTRY_HTTP_ADDR', 'REGISTRY_USER', 'ANONYMOUS_READ'}
    assert set(named) - others <= {option.variable for option in every} | {
        option.variable + '_FILE' for option in every if option.secret}


@pytest.mark.parametrize('block', pages.blocks('docs/settings.md', 'yaml'))
def test_an_example_is_read_without_a_warning(block, tmp_path):
    (tmp_path / 'config.yml').write_text(block)
    for flavour in {'dev', 'prod'} & set(yaml.safe_load(block)):
        environ = {'SETTINGS_FLAVOR': flavour, 'DYNAMODB_ACCESS_KEY': 'AKIA' + 16 * 'X',
                   'DYNAMODB_SECRET_ACCESS_KEY': 'secret'}
        assert configuration.load(str(tmp_path / 'config.yml'), environ)[1] == []


def test_the_example_of_the_service_is_read_without_a_warning():
    block = yaml.safe_load(pages.blocks('docs/service.md', 'yaml')[1])
    settings, warnings = service_settings.settings_of({}, block)
    settings.check_serving()
    assert warnings == []


def test_the_error_that_is_shown_is_raised(tmp_path):
    path = tmp_path / 'registry.yml'
    path.write_text('extensions: {dynamodb_index: {region: "_env:DYNAMODB_REGION"}}\ndev: {}\n')
    with pytest.raises(SettingError) as caught:
        configuration.load(str(path), {'DYNAMODB_REGION': 'us-east-1a'})
    assert ' '.join(re.findall(r'(?m)^> (.*)', pages.read('docs/settings.md'))) == str(
        caught.value).replace(str(path), '/etc/registry.yml')
