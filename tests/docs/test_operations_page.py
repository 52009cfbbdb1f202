"""The commands of docs/operations.md do what it states, and the log lines it explains are those
that are written."""
import ast
import os
import re

import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import client
from docker_registry_index.engine.store.records import READY_KEY
from docker_registry_index.engine.write import change_queue, plan, writer
from tests.docs import aws_cli, pages
from tests.helpers.engine import EngineIndex


@pytest.mark.parametrize('page', [page for page in pages.ALL if 'aws dynamodb' in pages.read(page)])
def test_every_aws_command_is_one_of_the_api(page):
    for method, arguments in aws_cli.requests(page):
        assert aws_cli.problems(method, arguments) == ''
        assert arguments['TableName'] in (Settings().repository_table, Settings().version_table,
                                          Settings().search_table)


@pytest.fixture
def index(ministack):
    """An index of three repositories, each found; one of them is to be missing in the storage."""
    index = EngineIndex(ministack.url).ready([('acme/web', None), ('acme/api', None),
                                              ('acme/gone', None)])
    yield index
    index.delete_tables()


def make(method, index):
    """Make the one request of the page with this method, on the tables of the index."""
    [arguments] = [arguments for each, arguments in aws_cli.requests('docs/operations.md')
                   if each == method]
    kind = arguments['TableName'].replace('docker-registry-', '')
    getattr(index.engine.client.dynamodb,
            method)(**dict(arguments, TableName='%s-%s' % (index.settings.database, kind)))


def start_a_worker(index, *names):
    """Start another one on the same tables, its storage with these names; whatever the first holds
    in memory does not help."""
    EngineIndex(index.engine.client.dynamodb.meta.endpoint_url,
                index.settings.database).ready([(name, None) for name in names])


def test_a_worker_that_starts_does_not_load_by_itself(index):
    start_a_worker(index, 'acme/web', 'acme/missed')
    assert index.search('missed') == []


def test_without_its_ready_marker_the_index_is_loaded_and_serves_meanwhile(index):
    index.engine.client.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
    assert index.search('web') == [('acme/web', '')]
    start_a_worker(index, 'acme/web', 'acme/api', 'acme/missed')
    assert index.search('missed') == [('acme/missed', '')]
    assert index.search('gone') == [('acme/gone', '')]


def test_without_its_rows_the_index_becomes_equal_to_the_storage_and_serves_meanwhile(index):
    make('delete_table', index)
    assert index.search('web') == [('acme/web', '')]
    start_a_worker(index, 'acme/web', 'acme/api', 'acme/missed')
    assert index.search('') == [('acme/api', ''), ('acme/missed', ''), ('acme/web', '')]
    assert index.search('gone') == []


def sentences():
    """Yield the texts of the package's modules, what is filled in as three dots."""
    for folder, _, names in os.walk(os.path.join(pages.ROOT, 'docker_registry_index')):
        for name in names:
            if name.endswith('.py'):
                for node in ast.walk(ast.parse(pages.read(os.path.join(folder, name)))):
                    if isinstance(node, ast.Constant) and isinstance(node.value, str):
                        yield re.sub(r'%[.\d]*[sdrf]', '...', node.value)


@pytest.mark.parametrize('line', [pages.code(row[0])[0]
                                  for row in pages.table('docs/operations.md', 'Line')])
def test_a_line_of_the_log_is_written_so(line):
    pattern = '.*'.join(re.escape(part.strip()) for part in line.split('...'))
    assert [text for text in sentences() if re.match(pattern, text)]


def test_the_times_and_counts_are_those_of_the_engine():
    operations, design = pages.prose('docs/operations.md'), pages.prose('docs/design.md')
    settings, role = Settings(access_key='AKIADUMMY', secret_access_key='dummy'), Settings()
    assert ('gives up a connection after %d s and an answer after %d s, and is tried %d times with '
            'pauses of up to 1 s and 2 s: %d s at the worst' % (
                settings.connect_timeout, settings.read_timeout, settings.attempts,
                client.slowest(settings))) in operations
    assert 'and %d s where the keys are those of a role' % client.slowest(role) in operations
    assert 'first search waits up to %d s' % client.one_attempt(settings) in operations
    assert ('three requests at their slowest, %d seconds by default and %d with the keys of a role'
            % (3 * client.slowest(settings), 3 * client.slowest(role))) in design
    assert 'waits for its change %d s at most' % settings.push_wait in operations
    assert 'up to {:,} repositories a process'.format(change_queue.LIMIT).replace(
        ',', ' ') in operations
    assert 'wait up to %d seconds' % settings.startup_wait in design
    assert 'expire after a week' in design and writer.TOMBSTONE_SECONDS == 7 * 24 * 3600
    assert 'has %d actions at most' % plan.LONGEST in design


def test_a_search_asks_for_as_many_postings_as_the_page_on_cost_states(index):
    asked = []
    index.engine.client.dynamodb.meta.events.register('provide-client-params.dynamodb.Query',
                                                      lambda params, **_: asked.append(
                                                          params['Limit']))
    index.search('acme', 25)
    assert len(asked) == 3 and 'A search with `n=25` reads %d of a kind' % asked[0] in pages.prose(
        'docs/cost.md')
