"""docs/iam.md and its policy grant what the engine asks for, and nothing more."""
import ast
import json
import os

import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store.records import tombstone_key
from docker_registry_index.engine.store.tables import definition, tables
from tests.docs import aws_cli, pages
from tests.helpers.engine import EngineIndex

KINDS = ('repository', 'version', 'search')
OF_AN_ACTION = {'Put': 'PutItem', 'Update': 'UpdateItem', 'Delete': 'DeleteItem',
                'ConditionCheck': 'ConditionCheckItem'}
LONG = 'team/' + '.'.join('%02x' % number for number in range(70))


def granted(feature=''):
    """Return (right, table) for each row of docs/iam.md whose feature begins so."""
    return set((right, kind) for row in pages.table('docs/iam.md', 'Feature')
               if row[0].startswith(feature) for kind in row[1].split(', ')
               for right in pages.code(row[2]))


class Asked(object):
    """The rights that the requests of an engine need, as they are made: a set of (right, table)."""

    def __init__(self, index):
        self.rights = set()
        self.operations = set()
        self._kinds = dict(zip(index.tables(), KINDS))
        index.engine.client.dynamodb.meta.events.register('provide-client-params.dynamodb.*',
                                                          self._note)

    def _note(self, params, model, **_):
        self.operations.add(str(model.name))
        if model.name == 'TransactWriteItems':
            for action in params['TransactItems']:
                [(kind, part)] = action.items()
                self.rights.add((OF_AN_ACTION[kind], self._kinds[part['TableName']]))
            return
        for table in params.get('RequestItems', [params.get('TableName')]):
            self.rights.add((str(model.name), self._kinds[table]))


@pytest.fixture(scope='module')
def everything(ministack):
    """All that the engine can ask for, by what was done: start, push, search, delete, load."""
    index = EngineIndex(ministack.url)
    asked = {}

    def during(what, *calls):
        # One recorder for each: later requests are not counted here.
        recorder = Asked(index)
        for call in calls:
            call()
        asked[what] = set(recorder.rights), set(recorder.operations)

    engine, version = index.engine, index.settings.version_table
    during('start', lambda: index.ensure_ready(lambda: [('acme/web', None)]))
    during('warm', lambda: index.ensure_ready(lambda: []))
    during('push', lambda: engine.add('acme/api', 'text'), lambda: engine.add('acme/api'),
           lambda: engine.add(LONG),
           # As a worker of 0.1.0 would: the first guess of the next change is wrong.
           lambda: engine.client.dynamodb.delete_item(TableName=index.settings.repository_table,
                                                      Key={'name': {'S': 'acme/web'}}),
           lambda: engine.add('acme/web'))
    queue = engine.description_queue
    during('notes', lambda: queue.note(['acme/web']), lambda: queue.done(queue.notes(1)[0]),
           lambda: engine.catalog(limit=1))
    during('search', lambda: engine.search('web', 25), lambda: engine.search('', 1),
           lambda: engine.catalog(limit=1))
    during('long', lambda: engine.search(LONG, 25), lambda: engine.search(''),
           lambda: engine.catalog())
    during('delete', lambda: engine.remove('acme/api'), lambda: engine.remove(LONG))
    engine.client.dynamodb.put_item(TableName=index.settings.search_table, Item=dict(
        tombstone_key('acme/old'), number={'S': 'x'}, expires={'N': '1'}))
    during('sync', lambda: engine.sync(lambda: [('acme/web', None), ('acme/new', None)]))
    during('lease', lambda: Lease(index.store).acquire(), lambda: Lease(index.store).acquire(),
           lambda: engine.client.dynamodb.delete_table(TableName=index.settings.repository_table))
    engine.client.dynamodb.delete_item(TableName=version, Key={'version': {'N': '1'}})
    during('again', lambda: index.ensure_ready(lambda: [('acme/web', None)]))
    index.delete_tables()
    # The one request that is the test's own.
    asked['lease'][0].discard(('DeleteTable', 'repository'))
    asked['lease'][1].discard('DeleteTable')
    return asked


def test_what_is_asked_is_what_is_granted(everything):
    assert set.union(*[rights for rights, _ in everything.values()]) == granted()


@pytest.mark.parametrize('done, features', [
    ('search', ['search']), ('long', ['search']), ('warm', ['start']), ('push', ['push']),
    ('delete', ['push']), ('notes', ['search', 'push', 'the service']),
    ('sync', ['start', 'push', 'load', 'search']), ('lease', ['load']),
    ('start', ['start', 'push', 'load', 'search', 'creating']),
    ('again', ['start', 'push', 'load', 'search', 'creating'])])
def test_a_feature_needs_no_more_than_its_rows_list(everything, done, features):
    assert everything[done][0] <= set.union(*[granted(feature) for feature in features])


def test_a_short_name_is_searched_with_one_right(everything):
    assert everything['search'][0] == {('Query', 'search')}


def test_the_engine_makes_no_request_that_was_not_made_here(everything):
    made = set.union(*[operations for _, operations in everything.values()])
    assert called() == made


def called():
    """Return the operations that the modules of the engine name in their requests."""
    found = set()
    for folder, _, names in os.walk(os.path.join(pages.ROOT, 'docker_registry_index', 'engine')):
        for name in names:
            if name.endswith('.py'):
                found.update(named_in(os.path.join(folder, name)))
    return set(''.join(part.capitalize() for part in operation.split('_')) for operation in found)


def named_in(path):
    """Yield the first argument of each call('operation', ...) and its like in a module."""
    for node in ast.walk(ast.parse(pages.read(path))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            if getattr(node.func, 'attr', None) in ('call', '_until_processed'):
                yield node.args[0].value


def test_the_policy_is_the_table():
    statements = json.loads(pages.read('docs/iam-policy.json'))['Statement']
    in_policy = set()
    for statement in statements:
        resources = (statement['Resource'] if isinstance(statement['Resource'], list)
                     else [statement['Resource']])
        tables = [resource.split('/docker-registry-')[1].replace('search-3', 'search')
                  for resource in resources]
        in_policy.update((action.replace('dynamodb:', ''), table)
                         for action in statement['Action'] for table in tables)
    assert in_policy == granted()


def test_tables_made_by_hand_are_those_that_the_engine_makes():
    made = [arguments for method, arguments in aws_cli.requests('docs/iam.md')
            if method == 'create_table']
    assert made == [definition(table) for table in tables(Settings()).values()]
