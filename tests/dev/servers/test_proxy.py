"""The proxy refuses as DynamoDB on AWS does: as boto3 sees it."""
import json
import time
import zlib

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError

from dev.servers.dynamodb_refusals import rights_of
from dev.servers.proxy import Proxy
from tests.helpers.scripted_server import ScriptedServer, page

TABLE = 'test-proxy'


def client_of(url, key_id='AKIAFIRST', **more):
    return boto3.client('dynamodb', endpoint_url=url, region_name='eu-west-1',
                        aws_access_key_id=key_id, aws_secret_access_key='dummy',
                        config=Config(retries={'total_max_attempts': 1}, **more))


@pytest.fixture(scope='module')
def written():
    """The (operation, document) of each request that has reached the server behind the proxy."""
    return []


@pytest.fixture(scope='module')
def proxy(written):
    with ScriptedServer() as server, Proxy(server.url) as made:
        def answer(handler):
            operation = handler.headers['X-Amz-Target'].rpartition('.')[2]
            document = json.loads(server.bodies[-1][1])
            written.append((operation, document))
            content = json.dumps(response(operation, document)).encode()
            page(content, x_amz_crc32=str(zlib.crc32(content)))(handler)

        server.answers['*'] = answer
        yield made


def response(operation, document):
    if operation == 'BatchGetItem':
        return {'Responses': {TABLE: document['RequestItems'][TABLE]['Keys']},
                'UnprocessedKeys': {}}
    return {'UnprocessedItems': {}} if operation == 'BatchWriteItem' else {
        'Table': {'TableName': TABLE}, 'Padding': 'x' * 100}


@pytest.fixture(scope='module')
def client(proxy):
    """A client behind the proxy, without retries."""
    return client_of(proxy.url)


@pytest.fixture(autouse=True)
def cleared(proxy, written):
    proxy.clear()
    del written[:]


def key(suffix, gram='a'):
    return {'gram': {'S': gram}, 'suffix': {'S': suffix}}


def on(suffix):
    return {'TableName': TABLE, 'Key': key(suffix)}


def put(suffix):
    return {'Put': {'TableName': TABLE, 'Item': key(suffix)}}


def refused(call, **arguments):
    """Return the status, the code and the whole answer of a call that is refused."""
    with pytest.raises(ClientError) as failed:
        call(**arguments)
    answer = failed.value.response
    return answer['ResponseMetadata']['HTTPStatusCode'], answer['Error']['Code'], answer


def test_a_denied_action_is_refused_with_the_message_of_iam_and_others_pass(
        proxy, client, written):
    with proxy.denying('DeleteItem'):
        status, code, answer = refused(client.delete_item, **on('x'))
        client.put_item(**put('x')['Put'])
    assert (status, code) == (400, 'AccessDeniedException')
    assert answer['Error']['Message'] == (
        'User: arn:aws:iam::123456789012:user/registry is not authorized to perform: '
        'dynamodb:DeleteItem on resource: arn:aws:dynamodb:eu-west-1:123456789012:table/test-proxy '
        'because no identity-based policy allows the dynamodb:DeleteItem action')
    assert proxy.outcomes == {'denied': 1, 'passed': 1}
    client.delete_item(**on('x'))
    assert [operation for operation, _ in written] == ['PutItem', 'DeleteItem']


@pytest.mark.parametrize('action, details', [
    ('PutItem', put('t')), ('DeleteItem', {'Delete': on('t')}),
    ('ConditionCheckItem', {'ConditionCheck': dict(
        on('t'), ConditionExpression='attribute_not_exists(gram)')}),
    ('UpdateItem', {'Update': dict(on('t'), UpdateExpression='REMOVE x')})])
def test_a_transaction_needs_the_rights_of_the_actions_inside(proxy, client, action, details):
    with proxy.denying(action):
        _, code, answer = refused(client.transact_write_items, TransactItems=[details])
        assert code == 'AccessDeniedException' and ':%s on' % action in answer['Error']['Message']
        # The right for an action is not that for a batch.
        client.batch_write_item(RequestItems={TABLE: [{'DeleteRequest': {'Key': key('u')}}]})
    with proxy.denying('TransactWriteItems'):  # IAM has no such right
        client.transact_write_items(TransactItems=[details])


def test_a_batch_and_a_described_table_need_rights_of_their_own(proxy, client):
    with proxy.denying('BatchGetItem', 'DescribeTable'):
        codes = [refused(client.batch_get_item, RequestItems={TABLE: {'Keys': [key('u')]}})[1],
                 refused(client.describe_table, TableName=TABLE)[1]]
    assert codes == ['AccessDeniedException'] * 2


def test_all_rights_that_are_not_granted_are_denied_and_all_that_are_needed_are_recorded(
        proxy, client, written):
    policy = {'Statement': [
        {'Action': 'dynamodb:PutItem', 'Resource': 'arn:aws:dynamodb:eu-west-1:1:table/' + TABLE},
        {'Action': ['dynamodb:GetItem', 's3:ListBucket'],
         'Resource': ['arn:aws:dynamodb:eu-west-1:1:table/other']}]}
    assert rights_of(policy) == {('PutItem', TABLE), ('GetItem', 'other')}
    with proxy.granting(rights_of(policy)):
        client.put_item(**put('x')['Put'])
        client.transact_write_items(TransactItems=[put('x')])
        for call, arguments in ((client.get_item, on('x')), (client.list_tables, {}), (
                client.transact_write_items, {'TransactItems': [put('x'), {'Delete': on('x')}]})):
            assert refused(call, **arguments)[1] == 'AccessDeniedException'
    assert [operation for operation, _ in written] == ['PutItem', 'TransactWriteItems']
    assert proxy.rights == {('PutItem', TABLE), ('GetItem', TABLE), ('ListTables', '*'),
                            ('DeleteItem', TABLE)}


def test_a_policy_with_a_wildcard_is_not_read():
    with pytest.raises(AssertionError):
        rights_of({'Statement': [{'Action': 'dynamodb:*', 'Resource': 'x:table/y'}]})


@pytest.mark.parametrize('code', ['ExpiredTokenException', 'UnrecognizedClientException'])
def test_requests_with_rejected_keys_are_refused_until_the_block_ends(proxy, client, code):
    with proxy.rejecting('AKIAFIRST', code):
        assert refused(client.get_item, **on('k'))[:2] == (400, code)
        client_of(proxy.url, 'AKIASECOND').get_item(**on('k'))
    client.get_item(**on('k'))
    assert proxy.outcomes == {'rejected': 1, 'passed': 2}


@pytest.mark.parametrize('share, least, most', [(0.5, 3, 12), (1, 20, 20)])
def test_a_batch_leaves_items_unprocessed_and_processes_each_once_in_the_end(
        proxy, client, written, share, least, most):
    keys = [key('b%d' % number) for number in range(20)]
    left = {TABLE: [{'PutRequest': {'Item': item}} for item in keys]}
    wanted = {TABLE: {'Keys': keys, 'ConsistentRead': True}}
    found = []
    with proxy.unprocessed(share):
        while left:
            left = client.batch_write_item(RequestItems=left)['UnprocessedItems']
        assert least <= len(written) <= most
        while wanted:
            answer = client.batch_get_item(RequestItems=wanted)
            found += answer['Responses'][TABLE]
            wanted = answer['UnprocessedKeys']
            assert not wanted or wanted[TABLE]['ConsistentRead'] is True
    puts = [request['PutRequest']['Item'] for operation, document in written
            if operation == 'BatchWriteItem' for request in document['RequestItems'][TABLE]]
    for items in puts, found:
        assert sorted(item['suffix']['S'] for item in items) == sorted(
            item['suffix']['S'] for item in keys)
    assert proxy.outcomes == {'unprocessed': len(written) - 2, 'passed': 2}


@pytest.mark.parametrize('is_on_demand, code, reason', [
    (False, 'ProvisionedThroughputExceededException', 'ProvisionedThroughputExceeded'),
    (True, 'ThrottlingException', 'ThrottlingError')])
def test_a_throttled_item_is_refused_everywhere_and_left_out_of_batches(
        proxy, client, is_on_demand, code, reason):
    hot, cold = {'DeleteRequest': {'Key': key('hot')}}, {'DeleteRequest': {'Key': key('cold')}}
    with proxy.throttling(TABLE, key('hot'), is_on_demand):
        assert refused(client.get_item, **on('hot'))[:2] == (400, code)
        assert refused(client.put_item, **put('hot')['Put'])[:2] == (400, code)
        client.get_item(**on('cold'))
        status, cancelled, answer = refused(
            client.transact_write_items, TransactItems=[put('cold'), put('hot')])
        assert (status, cancelled) == (400, 'TransactionCanceledException')
        assert [each['Code'] for each in answer['CancellationReasons']] == ['None', reason]
        assert client.batch_write_item(
            RequestItems={TABLE: [hot, cold]})['UnprocessedItems'] == {TABLE: [hot]}
        # No item could be processed.
        assert refused(client.batch_write_item, RequestItems={TABLE: [hot]})[:2] == (400, code)
        assert client.batch_get_item(RequestItems={TABLE: {'Keys': [key('cold'), key('hot')]}})[
            'UnprocessedKeys'] == {TABLE: {'Keys': [key('hot')]}}
    client.transact_write_items(TransactItems=[put('hot')])
    client.delete_item(**on('hot'))


def test_a_partition_or_a_whole_table_is_throttled_but_can_be_described(proxy, client):
    with proxy.throttling(TABLE, {'gram': {'S': 'a'}}):
        assert refused(client.get_item, **on('any'))[0] == 400
        client.get_item(TableName=TABLE, Key=key('any', gram='b'))
    with proxy.throttling(TABLE):
        assert refused(client.scan, TableName=TABLE)[0] == 400
        assert client.describe_table(TableName=TABLE)['Table']['TableName'] == TABLE
        with proxy.throttling('another'):
            assert refused(client.scan, TableName=TABLE)[0] == 400
        assert refused(client.scan, TableName=TABLE)[0] == 400
    client.scan(TableName=TABLE)


def test_a_slow_body_arrives_in_pieces_and_a_read_timeout_does_not_end_it(proxy, client):
    began = time.monotonic()
    with proxy.slow_bodies(5, 0.1, only='DescribeTable'):
        # Each piece arrives within the time.
        impatient = client_of(proxy.url, read_timeout=0.3)
        assert impatient.describe_table(TableName=TABLE)['Table']['TableName'] == TABLE
        assert time.monotonic() - began >= 0.4
        client.get_item(**on('x'))
    with proxy.slow_bodies(2, 2), pytest.raises((ConnectionError, HTTPClientError)):
        impatient.describe_table(TableName=TABLE)


def test_an_option_ends_with_its_block_even_if_the_block_fails(proxy, client):
    with pytest.raises(KeyError), proxy.denying('GetItem'), proxy.unprocessed(1):
        raise KeyError
    client.get_item(**on('x'))
