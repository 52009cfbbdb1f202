"""The connection to DynamoDB: the one importer of boto3 and botocore.

Every request of the engine goes through Client.call, which turns whatever
boto3 raises into the engine's own errors.
"""

from __future__ import unicode_literals

import os
import threading

from .. import errors
from .._compat import sleep
from .credentials import Credentials
from ..redaction import first_line

try:
    import boto3.session
    import botocore.config
    import botocore.exceptions
except ImportError as error:
    raise errors.MissingDependency(
        'boto3 (%s)' % error, 'pip install docker-registry-index-dynamodb')

__all__ = ['Client', 'batch_get', 'one_attempt', 'pages', 'slowest']

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
    :param at_once: whether to look for them now, which may take requests to
        the machine they are for; else the first call does.
    :raises SettingError: botocore's own configuration cannot be used.
    """

    def __init__(self, settings, at_once=True):
        self._settings = settings
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._made = None
        if at_once:
            self._connect()

    @property
    def dynamodb(self):
        """The low-level boto3 client; its event hooks see every request."""
        return self._connect()[0]

    def call(self, operation, **arguments):
        """Make one request and return its answer.

        :param operation: a method of the boto3 client, such as ``query``.
        :raises MissingTable, TransactionCancelled, RequestFailed: after the
            attempts of this client are used up.
        :raises Stopped: this process was forked from the one of the client,
            and would use the same connections.
        """
        if self._process != os.getpid():
            raise errors.Stopped()
        dynamodb, credentials = self._connect()
        method = getattr(dynamodb, operation)
        try:
            if not credentials.are_there():
                raise errors.RequestFailed(
                    operation, _tables(arguments), 'CredentialsTimeout',
                    'no credentials within %g seconds' % credentials.patience,
                    retryable=True)
            answer = method(**arguments)
        except errors.RequestFailed:
            raise
        except botocore.exceptions.ClientError as error:
            raise _refused(operation, arguments, error)
        except botocore.exceptions.BotoCoreError as error:
            raise errors.RequestFailed(
                operation, _tables(arguments), type(error).__name__,
                _reason(error),
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

    def _connect(self):
        with self._lock:
            if self._made is None:
                self._made = _connected(self._settings)
            return self._made

    def pages(self, operation, **arguments):
        """Yield the items of a Query or Scan, page after page."""
        return pages(self.call, operation, arguments)

    def batch_get(self, wanted, enough=lambda left: not left,
                  sleep=sleep):
        """The items of a BatchGetItem: a list for each table that has some.
        See batch_get."""
        return batch_get(self.call, wanted, enough, sleep)


def batch_get(call, wanted, enough=lambda left: not left, sleep=sleep):
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


def one_attempt(settings):
    """Seconds that one attempt of a request takes at the worst."""
    return settings.connect_timeout + settings.read_timeout


def slowest(settings):
    """Seconds that one request takes at the worst, its attempts included,
    and one more for credentials that are not in the settings.

    Between two attempts botocore waits up to 1 s, 2 s, 4 s, ... and 20 s:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html
    """
    pauses = [min(2 ** attempt, 20) for attempt in range(settings.attempts)]
    return ((settings.attempts + (settings.access_key is None)) *
            one_attempt(settings) + sum(pauses[:-1]))


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
    """A boto3 client, and its Credentials."""
    try:
        session = boto3.session.Session(
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_access_key,
            region_name=settings.region)
        client = session.client(
            'dynamodb', endpoint_url=settings.endpoint_url,
            config=botocore.config.Config(
                connect_timeout=settings.connect_timeout,
                read_timeout=settings.read_timeout,
                max_pool_connections=CONNECTIONS,
                retries={'total_max_attempts': settings.attempts,
                         'mode': 'standard'}))
        return client, Credentials(session.get_credentials(),
                                   one_attempt(settings))
    except botocore.exceptions.BotoCoreError as error:
        # A profile that is not there, half a key pair, a file with a slip of
        # the pen: found when the client is made, not when it asks.
        raise errors.SettingError(
            'access_key', 'the AWS configuration of this machine: '
            'environment variables AWS_*, boto and AWS files',
            'cannot be used: %s' % _reason(error),
            'correct it there, or set access_key and secret_access_key')


def _refused(operation, arguments, error):
    code = error.response.get('Error', {}).get('Code', 'Unknown')
    tables = _tables(arguments)
    if code == 'ResourceNotFoundException':
        return errors.MissingTable(operation, tables, code, _reason(error),
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
    return errors.RequestFailed(operation, tables, code, _reason(error),
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


def _reason(error):
    """What botocore says of an error, in a line.

    Of parameters it says only in its second line what is wrong with them,
    and then which value they have, which is nobody's business.
    """
    if isinstance(error, botocore.exceptions.ParamValidationError):
        report = '%s' % error.kwargs.get('report', '')
        return 'wrong parameters: ' + first_line(report.split(', value:')[0])
    return first_line(error)
