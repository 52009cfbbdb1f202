"""docs/iam.md and its policy grant what the engine asks for in a whole life, and nothing more."""
import ast
import json

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse

from dev.servers.dynamodb_refusals import Refusals, refusal, rights as rights_needed, rights_of
from docker_registry_index.engine.errors import RequestFailed
from tests.docs import pages
from tests.helpers.engine import EngineIndex
from tests.helpers.whole_life import WholeLife

POLICY = pages.read('docs/iam-policy.json')
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
    kinds = dict(zip(index.tables(), ('repository', 'version', 'search')))
    noted, made = {}, set()

    def note(params, model, **_):
        made.update((model.name, right, kinds[table])
                    for right, table in rights_needed(model.name, params))

    index.dynamodb.meta.events.register('provide-client-params.dynamodb.*', note)
    for what, calls in WholeLife(index).steps.items():
        made.clear()
        for call in calls:
            call()
        noted[what] = set(made)
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
    in_policy = rights_of(json.loads(POLICY))
    assert {(right, table.replace('docker-registry-', '').replace('search-4', 'search'))
            for right, table in in_policy} == granted()


def deny_all_but(allowed, client):
    """Let a client of boto3 be denied all rights but these, as by AWS."""
    def refuse(model, params, **_):
        found = refusal(Refusals(granted=allowed), model.name, None, json.loads(params['body']))
        if found:
            _, code, message, _ = found
            return AWSResponse('', 400, {}, None), {
                'Error': {'Code': code, 'Message': message},
                'ResponseMetadata': {'HTTPStatusCode': 400, 'HTTPHeaders': {}}}

    client.meta.events.register('before-call.dynamodb', refuse)


@pytest.mark.parametrize('right', sorted(rights_of(json.loads(POLICY))), ids='-'.join)
def test_without_a_right_something_fails_and_the_error_names_the_right_and_the_table(
        right, in_process_dynamodb):
    index = EngineIndex(in_process_dynamodb.url)
    action, table = right[0], right[1].replace('docker-registry', index.settings.database)
    allowed = rights_of(json.loads(POLICY.replace(
        'docker-registry', index.settings.database)))
    deny_all_but(allowed - {(action, table)}, index.dynamodb)
    with pytest.raises(RequestFailed) as failed:
        for calls in WholeLife(index).steps.values():
            for call in calls:
                call()
    message = str(failed.value)
    assert 'AccessDeniedException' in message and table in message
    assert 'dynamodb:' + action in message and failed.value.code == 'AccessDeniedException'
