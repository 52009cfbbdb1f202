"""The aws commands of the documents do what is stated, and docs/operations.md lists the log lines
that are written."""
import ast
import re
import shlex

import botocore.session
import botocore.validate
import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine.search.search import MOST
from docker_registry_index.engine.store import text
from docker_registry_index.engine.store.client import attempt_timeout, request_timeout
from docker_registry_index.engine.store.tables import definition, tables
from docker_registry_index.engine.write import change_queue, plan
from tests.docs import pages
from tests.helpers.engine import EngineIndex
from tests.helpers.release_0_1_0 import update_as_0_1_0

PAGE = 'docs/operations.md'
#: The method of a logger, and its level on the page.
LEVELS = {'info': 'info', 'warning': 'warning', 'error': 'error', 'exception': 'error'}
TABLES = {table.name for database in ('docker-registry', 'registry')
          for table in tables(Settings(database=database)).values()}
TABLES.add('docker-registry-search')  # that of the releases before 0.5.0


def requests(page):
    """Return (operation, arguments) for each `aws dynamodb` command of a page but the waits."""
    made = [shlex.split(command)[2:] for command in pages.commands(page, 'aws dynamodb')]
    return [(words[0].title().replace('-', ''), {
        option.title().replace('-', ''): given.strip() if '=' not in given else [
            dict(pair.split('=') for pair in word.split(',')) for word in given.split()]
        for option, given in re.findall(r'--(\S+)((?: (?!--)\S+)+)', ' '.join(words))
    }) for words in made if words[0] != 'wait']


@pytest.mark.parametrize('page', [page for page in pages.ALL if 'aws dynamodb' in pages.read(page)])
def test_every_aws_command_is_one_of_the_api(page):
    model = botocore.session.get_session().get_service_model('dynamodb')
    for operation, given in requests(page):
        assert botocore.validate.ParamValidator().validate(
            given, model.operation_model(operation).input_shape).generate_report() == ''
        assert given['TableName'] in TABLES


def test_tables_made_by_hand_are_those_that_the_engine_makes():
    made = [given for operation, given in requests('docs/iam.md') if operation == 'CreateTable']
    assert made == [definition(table) for table in tables(Settings()).values()]


@pytest.fixture
def index(in_process_dynamodb):
    return EngineIndex(in_process_dynamodb.url).ready([('acme/web', None), ('acme/gone', None)])


def test_the_index_recovers_from_deleted_and_from_restored_tables(index):
    call = index.engine.client.call
    assert requests(PAGE)[0] == ('DeleteTable', {'TableName': Settings().repository_table})
    call('delete_table', TableName=index.settings.repository_table)
    assert index.search('web') == [('acme/web', '')], 'searches go on'
    index.another().ready([('acme/web', None), ('acme/missed', None)])
    assert index.search('') == [('acme/missed', ''), ('acme/web', '')]
    index.engine.add('acme/web', 'restored text')
    for table in index.settings.version_table, index.settings.search_table:
        call('delete_table', TableName=table)
    index.another().ready([('acme/web', None)])
    assert index.search('restored') == [('acme/web', 'restored text')]


def test_descriptions_of_the_plugin_are_in_rows_and_only_repeated_in_postings(index):
    def describe():
        index.put_row('acme/web', description={'S': 'My Text'})
        index.another().load(lambda: [('acme/web', None)])
        assert index.search('text') == [('acme/web', 'My Text')]

    describe()
    index.engine.client.call('delete_table', TableName=index.settings.repository_table)
    assert index.search('text') == [('acme/web', 'My Text')], 'from the postings'
    index.another().ready([('acme/web', None)])
    assert index.search('web') == [('acme/web', '')] and index.search('text') == []
    describe()
    index.engine.remove('acme/web')
    index.engine.add('acme/web')
    assert index.search('web') == [('acme/web', '')]
    describe()
    update_as_0_1_0(index, 'acme/web')
    index.another().load(lambda: [('acme/web', None)])
    assert index.search('web') == [('acme/web', '')]


def written():
    """Yield (level, line) of each call of the package that logs; placeholders as one character. The
    level is None if the call chooses it; a line that is all placeholder is left out."""
    for _, tree in pages.modules():
        constants = [node.value.value for node in tree.body if isinstance(node, ast.Assign)
                     and isinstance(node.value, ast.Constant)
                     and re.search(r'%(\(\w+\))?s', str(node.value.value))]
        for node in ast.walk(tree):
            level = LEVELS.get(getattr(getattr(node, 'func', None), 'attr', None))
            is_choosing = getattr(getattr(node, 'func', None), 'id', None) == 'log'
            for given in node.args[:1] if level or is_choosing else []:
                for line in [given.value] if isinstance(given, ast.Constant) else constants:
                    if is_choosing or line.strip('%s'):
                        yield level, re.sub(r'%(\(\w+\))?[.\d]*[sdrf]', '\u2026', line)


def is_line(line, logged):
    """Return True if a line of the page is this line of the code, or its beginning."""
    pattern = '.*'.join(re.escape(part) for part in line.split('...'))
    return bool(re.match(pattern, logged)) and line.startswith('...') == (logged[0] == '\u2026')


WRITTEN = list(written())
LINES = [(pages.code(row[0])[0], row[1]) for row in pages.table(PAGE, 'Line')]


def test_the_lines_of_the_page_are_those_that_are_logged_at_their_level():
    for line, shown in LINES:
        levels = {level for level, logged in WRITTEN if is_line(line, logged)}
        assert levels and levels - {None} <= set(shown.split(', or ')), line
    missing = [logged for _, logged in WRITTEN
               if not any(is_line(line, logged) for line, _ in LINES)]
    assert not missing, '\n'.join(missing)


KEYS, ROLE = Settings(access_key='AKIADUMMY', secret_access_key='dummy'), Settings()


@pytest.mark.parametrize('page, sentence', [
    (PAGE, 'waits at most %d s for a connection and %d s for a response. It makes %d attempts, '
           'with pauses of up to 1 s and 2 s: at most %d s in all' % (
               KEYS.connect_timeout, KEYS.read_timeout, KEYS.attempts, request_timeout(KEYS))),
    (PAGE, 'With the keys of a role, it takes at most %d s' % request_timeout(ROLE)),
    (PAGE, 'first search of a worker waits up to %d s' % attempt_timeout(KEYS)),
    (PAGE, 'waits for its change for at most %d s' % KEYS.push_wait),
    (PAGE, 'for up to %d 000 repositories' % (change_queue.LIMIT // 1000)),
    ('docs/design.md', 'three requests at their slowest, %d seconds by default and %d with the '
                       'keys of a role' % (3 * request_timeout(KEYS), 3 * request_timeout(ROLE))),
    ('docs/design.md', 'wait up to %d seconds' % KEYS.startup_wait),
    ('docs/design.md', 'expire after %s' % {7 * 24 * 3600: 'a week'}[plan.TOMBSTONE_SECONDS]),
    ('docs/design.md', 'has at most %d actions' % plan.LONGEST),
    ('docs/search.md', 'beyond %d characters is cut' % text.DESCRIPTION_CHARACTERS),
    ('docs/search.md', 'more than %d characters' % text.NAME_CHARACTERS)])
def test_a_number_of_a_page_is_that_of_the_engine(page, sentence):
    assert sentence in pages.prose(page)


def test_a_search_asks_for_as_many_postings_as_the_page_on_cost_states(index):
    limits = []
    index.engine.client.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.Query', lambda params, **_: limits.append(params['Limit']))
    index.search('acme', 25)
    index.search('acme web', 25)
    text = pages.prose('docs/cost.md')
    assert 'A search with `n=25` reads %d postings' % limits[0] in text
    assert 'one Query of the first %d postings of the longest word' % limits[1] in text
    assert 'read at most %d postings in total' % MOST in text and len(limits) == 2
