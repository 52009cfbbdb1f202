"""The connection to DynamoDB: the one importer of boto3 and botocore.

Every request of the engine goes through Client.call, which turns whatever
boto3 raises into the engine's own errors.
"""

from __future__ import unicode_literals

import threading
import time

from . import errors

try:
    import boto3.session
    import botocore.config
    import botocore.exceptions
except ImportError as error:
    raise errors.MissingDependency(
        'boto3 (%s)' % error, 'pip install docker-registry-index-dynamodb')

__all__ = ['Client', 'batch_get', 'pages', 'side_by_side', 'slowest']

#: More than a gevent worker is likely to have under way at once.
CONNECTIONS = 50

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_RETRYABLE = frozenset([
    'InternalServerError', 'LimitExceededException', 'ServiceUnavailable',
    'TransactionConflictException', 'TransactionInProgressException',
])


class Client(object):
    """One connection pool to DynamoDB, safe to use from several threads.

    :param settings: a Settings; without a key pair in it, credentials come
        from botocore's chain:
        https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
    :raises SettingError: botocore's own configuration cannot be used.
    """

    def __init__(self, settings):
        try:
            #: The low-level boto3 client; its event hooks see every request.
            self.dynamodb = _connected(settings)
        except botocore.exceptions.BotoCoreError as error:
            # A profile that is not there, half a key pair, a file with a slip
            # of the pen: found when the client is made, not when it asks.
            raise errors.SettingError(
                'access_key', 'the AWS configuration of this machine: '
                'environment variables AWS_*, boto and AWS files',
                'cannot be used: %s' % _first_line(error),
                'correct it there, or set access_key and secret_access_key')

    def call(self, operation, **arguments):
        """Make one request and return its answer.

        :param operation: a method of the boto3 client, such as ``query``.
        :raises MissingTable, TransactionCancelled, RequestFailed: after the
            attempts of this client are used up.
        """
        method = getattr(self.dynamodb, operation)
        try:
            answer = method(**arguments)
        except botocore.exceptions.ClientError as error:
            raise _refused(operation, arguments, error)
        except botocore.exceptions.BotoCoreError as error:
            raise errors.RequestFailed(
                operation, _tables(arguments), type(error).__name__,
                _first_line(error),
                isinstance(error, (botocore.exceptions.HTTPClientError,
                                   botocore.exceptions.ConnectionError)))
        except Exception as error:
            # What botocore's parser stumbles over when a proxy, or any other
            # web server, answers.
            raise _foreign(operation, arguments, type(error).__name__)
        metadata = answer.get('ResponseMetadata', {})
        if 'HTTPHeaders' in metadata and 'RequestId' not in metadata:
            # boto3 takes any page for an empty answer; AWS numbers each.
            raise _foreign(operation, arguments, 'ForeignAnswer')
        return answer

    def pages(self, operation, **arguments):
        """Yield the items of a Query or Scan, page after page."""
        return pages(self.call, operation, arguments)

    def batch_get(self, wanted, enough=lambda left: not left,
                  sleep=time.sleep):
        """The items of a BatchGetItem: a list for each table that has some.
        See batch_get."""
        return batch_get(self.call, wanted, enough, sleep)


def batch_get(call, wanted, enough=lambda left: not left, sleep=time.sleep):
    """The items of a BatchGetItem: a list for each table that has some.

    DynamoDB leaves out keys of tables that are throttled; these are asked
    for again, with growing pauses.

    :param call: makes one request, as Client.call does.
    :param wanted: its RequestItems.
    :param enough: of those still left out, whether to do without them.
    :raises RequestFailed: after six rounds not enough was read.
    """
    found = {}
    for attempt in range(6):
        if attempt:
            sleep(0.02 * 2 ** attempt)
        page = call('batch_get_item', RequestItems=wanted)
        for table, items in page['Responses'].items():
            found.setdefault(table, []).extend(items)
        wanted = page.get('UnprocessedKeys') or {}
        if enough(wanted):
            return found
    raise errors.RequestFailed(
        'batch_get_item', sorted(wanted),
        'ProvisionedThroughputExceededException',
        'keys were left out again and again', retryable=True)


def slowest(settings):
    """Seconds that one request takes at the worst, its attempts included.

    Between two attempts botocore waits up to 1 s, 2 s, 4 s, ... and 20 s:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
    """
    pauses = [min(2 ** attempt, 20) for attempt in range(settings.attempts)]
    return (settings.attempts * (settings.connect_timeout +
                                 settings.read_timeout) + sum(pauses[:-1]))


def pages(call, operation, arguments):
    """Yield the items of a Query or Scan, page after page.

    :param call: makes one request, as Client.call does.
    """
    while True:
        page = call(operation, **arguments)
        for item in page['Items']:
            yield item
        if 'LastEvaluatedKey' not in page:
            return
        arguments['ExclusiveStartKey'] = page['LastEvaluatedKey']


def _connected(settings):
    session = boto3.session.Session(
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_access_key,
        region_name=settings.region)
    return session.client(
        'dynamodb', endpoint_url=settings.endpoint_url,
        config=botocore.config.Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            max_pool_connections=CONNECTIONS,
            retries={'total_max_attempts': settings.attempts,
                     'mode': 'standard'}))


def side_by_side(calls):
    """Run ``calls`` at the same time and return their answers in order.

    The caller waits once. Under gevent's patching the threads are greenlets.

    :param calls: functions without arguments.
    :raises: what the first of them in order raised, after all have ended.
    """
    answers = [None] * len(calls)

    def run(place):
        try:
            answers[place] = (calls[place](), None)
        except Exception as error:
            answers[place] = (None, error)

    threads = [threading.Thread(target=run, args=(place,))
               for place in range(1, len(calls))]
    for thread in threads:
        thread.daemon = True
        thread.start()
    if calls:
        run(0)
    for thread in threads:
        thread.join()
    for _, error in answers:
        if error is not None:
            raise error
    return [answer for answer, _ in answers]


def _refused(operation, arguments, error):
    code = error.response.get('Error', {}).get('Code', 'Unknown')
    tables = _tables(arguments)
    if code == 'ResourceNotFoundException':
        return errors.MissingTable(operation, tables, code, _first_line(error),
                                   retryable=False)
    if code == 'TransactionCanceledException':
        reasons = [
            None if reason.get('Code') in (None, 'None') else reason['Code']
            for reason in error.response.get('CancellationReasons', [])]
        return errors.TransactionCancelled(
            operation, tables, code, ', '.join(filter(None, reasons)),
            reasons)
    status = error.response.get('ResponseMetadata', {}).get(
        'HTTPStatusCode', 0)
    return errors.RequestFailed(operation, tables, code, _first_line(error),
                                code in _RETRYABLE or status >= 500)


def _foreign(operation, arguments, code):
    return errors.RequestFailed(
        operation, _tables(arguments), code, 'something else than DynamoDB '
        'answered; look at endpoint_url and at proxies', retryable=True)


def _tables(arguments):
    """The names of the tables a request is about, for messages."""
    if 'TableName' in arguments:
        return [arguments['TableName']]
    names = set(arguments.get('RequestItems', ()))
    for action in arguments.get('TransactItems', ()):
        names.update(part['TableName'] for part in action.values())
    return sorted(names)


def _first_line(error):
    # A refused signature is explained by quoting the request, token and all,
    # from the second line on.
    # Python 2.7 can log an error only if it is ASCII.
    lines = ('%s' % error).splitlines() or ['']
    return lines[0][:300].encode('unicode_escape').decode('ascii')
