"""The aws commands of the documents do what is stated, and docs/operations.md lists the log lines
that are written."""
import ast
import contextlib
import os
import re
import sqlite3

import pytest

from benchmarks.names import names
from benchmarks.results import Results
from dev import figures
from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine.search.search import MOST
from docker_registry_index.engine.store import text
from docker_registry_index.engine.store.client import attempt_timeout, request_timeout
from docker_registry_index.engine.store.records import SLICES
from docker_registry_index.engine.store.tables import definition, tables
from docker_registry_index.engine.sync import snapshot, verification
from docker_registry_index.engine.write import change_queue, plan
from tests.docs import pages
from tests.docs.aws_commands import commands, problems, request, run
from tests.helpers.engine import EngineIndex
from tests.helpers.release_0_1_0 import update_as_0_1_0

PAGE = 'docs/operations.md'
#: The method of a logger, and its level on the page.
LEVELS = {'info': 'info', 'warning': 'warning', 'error': 'error', 'exception': 'error'}
ARN = 'arn:aws:dynamodb:us-east-1:123456789012:table/registry-repository/backup/0123'
TABLES = {table.name for database in ('docker-registry', 'registry')
          for table in tables(Settings(database=database)).values()}
TABLES.add('docker-registry-search')  # that of the releases before 0.5.0


@pytest.mark.parametrize('page', [page for page in pages.ALL if pages.commands(page, 'aws')])
def test_every_aws_command_is_one_of_the_api_on_a_table_of_the_index(page):
    for words in commands(page):
        if words[1] not in ('wait', 'deploy'):  # these are more than a request
            assert problems([word.replace('BACKUP_ARN', ARN) for word in words]) == '', words
    named = {word for words in commands(page) for option, word in zip(words, words[1:])
             if option.endswith('table-name')}
    assert named <= TABLES | {'docker-registry-restored-repository'}


def test_tables_made_by_hand_are_those_that_the_engine_makes():
    made = [request(words) for words in commands('docs/iam.md') if words[1] == 'create-table']
    assert [given for _, _, given in made] == [
        definition(table) for table in tables(Settings()).values()]


@pytest.fixture
def index(in_process_dynamodb):
    return EngineIndex(in_process_dynamodb.url).ready([('acme/web', None), ('acme/gone', None)])


def do(index, section, backup_arn=''):
    """Run the commands below a heading of the page on the tables of an index."""
    for words in commands(PAGE, section):
        run(index.engine.client.dynamodb, [
            word.replace('docker-registry', index.settings.database).replace(
                'BACKUP_ARN', backup_arn) for word in words])


def test_the_index_recovers_from_deleted_and_from_restored_tables(index):
    call = index.engine.client.call
    do(index, 'Rebuild the index')
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


def load_twice(index):
    """Load, and load again after an hour; return the names that only the first load keeps."""
    storage = ['acme/later', 'acme/web']
    index.another(region=index.settings.region).load(lambda: [(name, None) for name in storage])
    kept = set(index.names()) - set(storage)
    for name in kept:
        index.change_item(index.settings.repository_table, {'name': {'S': name}},
                          touched={'N': '1'})
    index.another(region=index.settings.region).load(lambda: [(name, None) for name in storage])
    assert index.names() == storage
    return sorted(kept)


def test_a_backup_replaces_the_table_and_the_next_load_repairs_the_rest(index):
    dynamodb, table = index.engine.client.dynamodb, index.settings.repository_table
    index.engine.add('acme/web', 'my text')
    do(index, 'Back up the descriptions')
    status = dynamodb.describe_continuous_backups(TableName=table)['ContinuousBackupsDescription']
    assert status['PointInTimeRecoveryDescription']['PointInTimeRecoveryStatus'] == 'ENABLED'
    [backup] = dynamodb.list_backups(TableName=table)['BackupSummaries']
    index.engine.add('acme/later')
    index.engine.add('acme/web', 'another text')
    index.engine.remove('acme/gone')
    dynamodb.update_table(TableName=table, DeletionProtectionEnabled=True)
    with pytest.raises(dynamodb.exceptions.ClientError):
        do(index, 'Restore a backup', backup['BackupArn'])
    restore = commands(PAGE, 'Restore a backup')
    run(dynamodb, [word.replace('docker-registry', index.settings.database)
                   for word in restore.pop()])
    do(index, 'Restore a backup', backup['BackupArn'])
    assert load_twice(index) == ['acme/gone']
    assert sorted(index.search('')) == [('acme/later', ''), ('acme/web', 'my text')]
    assert index.search('another') == []
    assert not list(index.engine.checker(
        lambda: [('acme/web', None), ('acme/later', None)]).check())


def test_a_point_in_time_is_restored_under_another_database_with_its_descriptions(index):
    index.engine.add('acme/web', 'my text')
    do(index, 'Back up the descriptions')
    do(index, 'Restore a point in time')
    restored = EngineIndex(index.endpoint, index.settings.database + '-restored',
                           region=index.settings.region)
    restored.ready([('acme/web', None), ('acme/later', None)])
    assert load_twice(restored) == ['acme/gone']
    assert sorted(restored.search('')) == [('acme/later', ''), ('acme/web', 'my text')]
    assert restored.search('my text') == [('acme/web', 'my text')]


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


def text_of(node):
    """Return the text of a string or of a format string, placeholders as %s; otherwise ''."""
    if isinstance(node, ast.JoinedStr):
        return ''.join(text_of(part) or '%s' for part in node.values)
    return node.value if isinstance(getattr(node, 'value', None), str) else ''


def warned():
    """Yield each warning about a setting, which the caller logs; placeholders as in `written`."""
    for path, tree in pages.modules():
        if os.path.basename(path) in ('configuration.py', 'settings.py', 'resolution.py'):
            nodes = list(ast.walk(tree))
            parts = [id(part) for node in nodes if isinstance(node, ast.JoinedStr)
                     for part in node.values]
            for found in [text_of(node) for node in nodes if id(node) not in parts]:
                if re.search(r' is ignored| counts as AUTH', found):
                    yield found.replace('%s', '\u2026')


def variable():
    """Return (module, level) of each call that logs a text that is made elsewhere."""
    return {(os.path.basename(path), node.func.attr) for path, tree in pages.modules()
            for node in ast.walk(tree)
            if getattr(getattr(node, 'func', None), 'attr', None) in LEVELS and node.args
            and (isinstance(node.args[0], ast.Constant) and node.args[0].value == '%s'
                 or getattr(node.args[0], 'id', None) == 'warning')}


#: These texts are those of two errors, and warnings about settings.
INDIRECT = {('change_queue.py', 'info'): [errors.ChangeConflict.message],
            ('maintenance.py', 'warning'): [errors.LeaseLost.message],
            ('start.py', 'warning'): [errors.LeaseLost.message],
            ('dynamodb.py', 'warning'): list(warned()),
            ('settings.py', 'warning'): list(warned())}
WRITTEN = list(written()) + [
    (level, re.sub(r'%\(\w+\)[sdr]', '\u2026', text))
    for (_, level), texts in INDIRECT.items() for text in texts]
LINES = [(pages.code(row[0])[0], row[1]) for row in pages.table(PAGE, 'Line')]


def test_every_call_that_logs_a_text_from_elsewhere_is_known():
    assert variable() == set(INDIRECT) and len(list(warned())) > 4


def test_the_lines_of_the_page_are_those_that_are_logged_at_their_level():
    for line, shown in LINES:
        levels = {level for level, logged in WRITTEN if is_line(line, logged)}
        assert levels and levels - {None} <= set(shown.split(', or ')), line
    missing = [logged for _, logged in WRITTEN
               if not any(is_line(line, logged) for line, _ in LINES)]
    assert not missing, '\n'.join(missing)


def test_a_load_needs_no_more_disk_than_the_page_states(index, monkeypatch):
    scratch, made, most = snapshot.scratch_database, [], [0]

    def counted(*arguments):
        made.append(scratch(*arguments))
        return made[-1]

    def measure():
        sizes = []
        for database in made:
            with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                [[count], [size]] = [database.execute('PRAGMA ' + what).fetchone()
                                     for what in ('page_count', 'page_size')]
                sizes.append(count * size)
        most[0] = max(most[0], sum(sizes))

    for module in snapshot, verification:
        monkeypatch.setattr(module, 'scratch_database', counted)
    listed = [(name, figures.DESCRIPTION) for name in names(400)]
    index.load(lambda: listed, measure)
    # This load reads all rows and verifies all postings.
    index.load(lambda: listed, measure, slices=range(SLICES))
    assert 400 * 100 < most[0] <= 400 * figures.SNAPSHOT_BYTES
    assert 'at most 1 KB for each repository' in pages.prose(PAGE)


def test_the_page_repeats_what_was_measured():
    results = Results.read()
    [http], [load] = results['http'].values(), results['load'].values()
    answered = http['the service']['search']['8']['rate']
    assert 'answered about %d searches per second' % round(answered, -2) in pages.prose(PAGE)
    written = load['py3']['rates']['this index']
    assert 'wrote about %d repositories per second' % round(written, -1) in pages.prose(PAGE)


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
