"""What DynamoDB on AWS refuses, and local engines never do: requests without a right, with expired
keys or for throttled items. Proxy answers in its place.

Does no I/O. Runs on Python 3; standard library only.
"""
import collections
import re

__all__ = ['BATCHES', 'Refusals', 'Throttled', 'refusal', 'rights', 'rights_of', 'split_batch',
           'throttled_batch']

#: The batch operations, and the field of their responses for what was not processed.
BATCHES = {'BatchWriteItem': 'UnprocessedItems', 'BatchGetItem': 'UnprocessedKeys'}

_TABLE = 'arn:aws:dynamodb:%s:123456789012:table/%s'
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
_DENIED = ('User: arn:aws:iam::123456789012:user/registry is not authorized to perform: '
           'dynamodb:%s on resource: %s because no identity-based policy allows the dynamodb:%s '
           'action')
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
_REJECTED = {'ExpiredTokenException': 'The security token included in the request is expired',
             'UnrecognizedClientException':
                 'The security token included in the request is invalid.'}
# The error code, its message, and the reason for a cancelled transaction, of a provisioned and of
# an on-demand table:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
_PROVISIONED = ('ProvisionedThroughputExceededException', 'ProvisionedThroughputExceeded',
                'The level of configured provisioned throughput for the table was exceeded. '
                'Consider increasing your provisioning level with the UpdateTable API.')
_ON_DEMAND = ('ThrottlingException', 'ThrottlingError',
              'Throughput exceeds the current capacity of your table or index. DynamoDB is '
              'automatically scaling your table or index so please try again shortly.')
# Only these use the throughput of a table; a table itself is described at any time:
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html
_WITH_THROUGHPUT = {'GetItem', 'PutItem', 'UpdateItem', 'DeleteItem', 'Query', 'Scan',
                    'TransactGetItems', 'TransactWriteItems'}
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
_CREDENTIAL = re.compile(r'Credential=([^/,\s]+)/\d+/([^/]+)/')

#: A table that is throttled, or an item of it: `key` contains its typed key attributes, or only the
#: partition key, for all items of a partition. None for the whole table.
Throttled = collections.namedtuple('Throttled', 'table key is_on_demand')

#: denied: IAM actions without "dynamodb:", such as 'DeleteItem'. rejected: access key ID to error
#: code. throttled: a tuple of Throttled. granted: the only (action, table) pairs that are not
#: denied, or None.
Refusals = collections.namedtuple('Refusals', 'denied rejected throttled granted',
                                  defaults=(frozenset(), {}, (), None))


def refusal(refusals, operation, authorization, document):
    """Return (outcome, error code, message, further fields) if DynamoDB refuses a request, or None.

    operation: such as 'PutItem'. authorization: the value of that header. document: the request.
    """
    scope = _CREDENTIAL.search(authorization or '')
    key_id, region = scope.groups() if scope else ('', 'us-east-1')
    if key_id in refusals.rejected:
        code = refusals.rejected[key_id]
        return 'rejected', code, _REJECTED[code], {}
    for action, table in rights(operation, document):
        if action in refusals.denied or (
                refusals.granted is not None and (action, table) not in refusals.granted):
            message = _DENIED % (action, _TABLE % (region, table), action)
            return 'denied', 'AccessDeniedException', message, {}
    if operation not in _WITH_THROUGHPUT:
        return None  # a batch is divided, see split_batch
    return _throttle(refusals.throttled, operation, document)


def split_batch(refusals, operation, document, is_left_out=lambda: False):
    """Divide a batch; return (what to process, what to leave unprocessed), both as RequestItems.

    is_left_out: decides for an item that is not throttled. At least one of these is processed, so
    that a client that retries makes progress.
    """
    chosen, others, throttled = [], [], []
    for table, item in _batch_items(operation, document):
        if _throttling(refusals.throttled, table, _key(item)):
            throttled.append((table, item))
        else:
            (others if is_left_out() else chosen).append((table, item))
    if not chosen and others:
        chosen.append(others.pop(0))
    return [_request_items(operation, document, items) for items in (chosen, others + throttled)]


def _throttling(throttled, table, item):
    """Return the first Throttled that applies to an item, or None.

    item: its attributes, with the key among them; None if the request names no item.
    """
    for each in throttled:
        if each.table == table and (each.key is None or (
                item is not None and each.key.items() <= item.items())):
            return each
    return None


def throttled_batch(refusals, operation, document):
    """Return (outcome, error code, message, fields) of a batch without one item to process:
    https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html"""
    table, item = next(_batch_items(operation, document))
    return _throttled(_throttling(refusals.throttled, table, _key(item)))


def _throttle(throttled, operation, document):
    if 'TransactItems' not in document:
        item = document.get('Key') or document.get('Item')
        found = _throttling(throttled, document.get('TableName'), item)
        return _throttled(found) if found else None
    found = [_throttling(throttled, action['TableName'], action.get('Key') or action.get('Item'))
             for each in document['TransactItems'] for action in each.values()]
    if not any(found):
        return None
    reasons = [{'Code': 'None'} if each is None else
               dict(zip(('Code', 'Message'), _kind(each)[1:])) for each in found]
    message = ('Transaction cancelled, please refer cancellation reasons for specific reasons [%s]'
               % ', '.join(reason['Code'] for reason in reasons))
    return 'throttled', 'TransactionCanceledException', message, {'CancellationReasons': reasons}


def _throttled(found):
    code, _, message = _kind(found)
    return 'throttled', code, message, {}


def _kind(throttled):
    return _ON_DEMAND if throttled.is_on_demand else _PROVISIONED


def rights_of(policy):
    """Return the (IAM action, table) pairs that the document of a policy grants in DynamoDB. Each
    resource is one table, and no action has a wildcard."""
    found = set()
    for statement in policy['Statement']:
        actions, resources = (
            [value] if isinstance(value, str) else value
            for value in (statement['Action'], statement['Resource']))
        found.update((action[len('dynamodb:'):], resource.rpartition(':table/')[2])
                     for action in actions if action.startswith('dynamodb:')
                     for resource in resources)
    assert not any('*' in part for pair in found for part in pair), found
    return found


def rights(operation, document):
    """Yield the (IAM action, table) pairs of a request. A transaction needs those of its actions:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis-iam.html"""
    if 'TransactItems' in document:
        for each in document['TransactItems']:
            for action, details in each.items():
                yield action + 'Item', details['TableName']
    elif operation in BATCHES:
        for table in document['RequestItems']:
            yield operation, table
    else:
        yield operation, document.get('TableName', '*')


def _batch_items(operation, document):
    """Yield (table, put or delete request) or (table, key) of a batch."""
    for table, wanted in document['RequestItems'].items():
        for each in wanted['Keys'] if operation == 'BatchGetItem' else wanted:
            yield table, each


def _key(item):
    """Return the attributes of an item of a batch."""
    for request, part in ('PutRequest', 'Item'), ('DeleteRequest', 'Key'):
        if request in item:
            return item[request][part]
    return item


def _request_items(operation, document, items):
    found = {}
    for table, item in items:
        if operation == 'BatchGetItem':
            wanted = document['RequestItems'][table]
            found.setdefault(table, dict(wanted, Keys=[]))['Keys'].append(item)
        else:
            found.setdefault(table, []).append(item)
    return found
