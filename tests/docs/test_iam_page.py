"""docs/iam.md and its policy grant what the engine asks for in a whole life, and nothing more."""
import ast
import json

import botocore.session
import pytest

from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store.records import TOMBSTONE, marker_key
from tests.docs import pages
from tests.helpers.engine import EngineIndex

LONG = 'team/' + '.'.join('%02x' % number for number in range(36))
WRITES = {'BatchWriteItem', 'DeleteItem', 'PutItem', 'UpdateItem'}


def granted(feature=''):
    """Return (right, table) for each row of docs/iam.md whose feature begins so."""
    return {(right, kind) for row in pages.table('docs/iam.md', 'Feature')
            if row[0].startswith(feature) for kind in row[1].split(', ')
            for right in pages.code(row[2])}


@pytest.fixture(scope='module')
def asked(in_process_dynamodb):
    """What the engine asks for, by what was done: a dict of sets of (operation, right, table)."""
    index = EngineIndex(in_process_dynamodb.url)
    engine, tables = index.engine, index.settings
    queue, other = engine.description_queue, index.another()
    #: What damages the tables; its requests are not noted.
    damage = other.dynamodb
    kinds = dict(zip(index.tables(), ('repository', 'version', 'search')))
    noted, made = {}, set()

    def note(params, model, **_):
        parts = [(kind + 'Item', part['TableName']) for action in params.get('TransactItems', [])
                 for kind, part in action.items()] or [
            (model.name, table) for table in params.get('RequestItems', [params.get('TableName')])]
        made.update((model.name, right, kinds[table]) for right, table in parts)

    def during(what, *calls):
        made.clear()
        for call in calls:
            call()
        noted[what] = set(made)

    def check_and_repair():
        lost = other.postings()[0]
        damage.delete_item(TableName=tables.search_table, Key={
            key: lost[key] for key in ('gram', 'suffix')})
        [problem] = engine.checker(lambda: [('acme/web', None)]).check(repair=True)
        assert problem.repaired

    def status():
        report = engine.status(lambda: [('acme/web', None)])
        report.tables(), report.marker(), report.lease(), report.inspect(report.counts()[2])

    def touch():
        other.change_item(tables.repository_table, {'name': {'S': 'acme/web'}}, touched={'N': '1'})
        engine.add('acme/web')

    def live():
        """Do what a program does that keeps running."""
        engine.start(lambda: [('acme/web', None)])
        assert engine.apply_change('acme/pushed', True) and engine.apply_change('acme/web', True)
        assert engine.apply_change('acme/pushed', False)
        engine.close()

    engine.client.dynamodb.meta.events.register('provide-client-params.dynamodb.*', note)
    during('start', lambda: index.ensure_ready(lambda: [('acme/web', None)]))
    during('warm', lambda: index.ensure_ready(lambda: []))
    during('push', lambda: engine.add('acme/api', 'text'), lambda: engine.add('acme/api'),
           lambda: engine.add(LONG),
           # As a worker of 0.1.0 would: the first guess of the next change is wrong.
           lambda: damage.delete_item(TableName=tables.repository_table,
                                      Key={'name': {'S': 'acme/web'}}),
           lambda: engine.add('acme/web'))
    during('notes', lambda: queue.note(['acme/web']), lambda: queue.done(queue.notes(1)[0]),
           lambda: engine.catalog(limit=1))
    during('search', lambda: engine.search('web', 25), lambda: engine.search('', 1),
           lambda: engine.catalog(limit=1))
    during('long', lambda: engine.search(LONG, 25), lambda: engine.search(''),
           lambda: engine.catalog())
    during('touch', touch)
    during('delete', lambda: engine.remove('acme/api'), lambda: engine.remove(LONG))
    damage.put_item(TableName=tables.search_table, Item=dict(
        marker_key(TOMBSTONE, 'acme/old'), number={'S': 'x'}, expires={'N': '1'}))
    during('sync', lambda: engine.sync(lambda: [('acme/web', None), ('acme/new', None)]))
    during('life', live)
    during('status', status)
    during('check', check_and_repair)
    during('lease', lambda: Lease(index.store).acquire(), lambda: Lease(index.store).acquire())
    damage.delete_table(TableName=tables.repository_table)
    damage.delete_item(TableName=tables.version_table, Key={'version': {'N': '1'}})
    during('again', lambda: index.ensure_ready(lambda: [('acme/web', None)]))
    return noted


def rights(*noted):
    return {(right, table) for each in noted for _, right, table in each}


def test_the_page_grants_exactly_the_rights_that_are_used(asked):
    assert rights(*asked.values()) == granted()
    assert rights(asked['search']) == {('Query', 'search')}


@pytest.mark.parametrize('done, features', [
    ('search', ['search']), ('long', ['search']), ('warm', ['start']), ('push', ['push']),
    ('delete', ['push']), ('notes', ['search', 'push', 'the service']),
    ('touch', ['push']), ('life', ['start', 'push', 'load', 'search']),
    ('status', ['start', 'push', 'load', 'search']),
    ('check', ['start', 'push', 'load', 'search']),
    ('sync', ['start', 'push', 'load', 'search']), ('lease', ['load']),
    ('start', ['start', 'push', 'load', 'search', 'creating']),
    ('again', ['start', 'push', 'load', 'search', 'creating'])])
def test_a_feature_needs_no_more_than_its_rows_list(asked, done, features):
    assert rights(asked[done]) <= set.union(*[granted(feature) for feature in features])


def test_the_page_lists_the_writes_that_are_made_outside_of_transactions(asked):
    made = {(operation, table) for noted in asked.values() for operation, _, table in noted
            if operation in WRITES}
    assert made == {(pages.code(row[0])[0], row[1])
                    for row in pages.table('docs/iam.md', 'Write outside of a transaction')}


def test_the_engine_makes_no_request_that_was_not_made_here(asked):
    named = {node.args[0].value for _, tree in pages.modules('engine') for node in ast.walk(tree)
             if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
             and getattr(node.func, 'attr', None) in ('call', '_until_processed')}
    assert {name.title().replace('_', '') for name in named} == {
        operation for noted in asked.values() for operation, _, _ in noted}


def test_each_region_of_the_page_is_in_the_partition_that_the_page_names():
    session = botocore.session.get_session()
    for regions, prefix in pages.table('docs/iam.md', 'Region'):
        for region in pages.code(regions):
            partition = session.get_partition_for_region(region)
            assert pages.code(prefix) == ['arn:%s:' % partition], region


def test_the_policy_file_matches_the_table():
    in_policy = set()
    for statement in json.loads(pages.read('docs/iam-policy.json'))['Statement']:
        resources = statement['Resource']
        for resource in resources if isinstance(resources, list) else [resources]:
            table = resource.split('/docker-registry-')[1].replace('search-4', 'search')
            in_policy |= {(action.split(':')[1], table) for action in statement['Action']}
    assert in_policy == granted()
