"""The client of DynamoDB. No other module of the engine imports boto3 or botocore.

The engine makes every request with Client.call, which raises the engine's errors in place of
boto3's."""

from __future__ import unicode_literals

import logging
import os
import threading

from .. import errors
from .._compat import monotonic, sleep
from ..concurrency import Backoff, SingleFlight
from ..errors import first_line

try:
    import boto3.session
    import botocore.config
    import botocore.exceptions
except ImportError as error:
    raise errors.MissingDependency(
        'boto3 (%s)' % error, 'pip install docker-registry-index-dynamodb')

logger = logging.getLogger(__name__)

#: More than the requests that a gevent worker is likely to make at once.
CONNECTIONS = 50
#: Seconds before the end of credentials in which botocore requires new ones.
_LAST_SECONDS = 600
#: Seconds of throttling after which a load fails.
THROTTLED_SECONDS = 600
#: Seconds of other faults, such as lost connections, after which a load fails: its lease has ended.
FAULT_SECONDS = 20
#: Seconds between two attempts of a load: well below the time of a lease.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 4

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_RETRYABLE = frozenset(['InternalServerError', 'LimitExceededException', 'ServiceUnavailable',
                        'TransactionInProgressException'])
#: The error codes of a single write, and the reasons that a cancelled transaction gives instead.
_CONDITIONS = {'ConditionalCheckFailedException': 'ConditionalCheckFailed',
               'TransactionConflictException': 'TransactionConflict'}


class Client(object):
    """A DynamoDB client with one connection pool; several threads may use it.

    :param settings: a Settings; without a key pair in it, credentials come from botocore's chain:
        https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
    :param connect_now: True to find credentials now, which may take requests to a service of the
        machine; False to leave that to the first call.
    :raises SettingError: botocore's own configuration cannot be used."""

    def __init__(self, settings, connect_now=True):
        self._settings = settings
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connected = None
        #: For each thread: ``is_uncertain`` becomes True when an attempt of a request gets no
        #: answer, so that DynamoDB may carry it out at any time.
        self.thread = threading.local()
        if connect_now:
            self._connect()

    @property
    def dynamodb(self):
        """The low-level boto3 client, whose event hooks are called for every request."""
        return self._connect()[0]

    def call(self, operation, **arguments):
        """Make one request and return the response.

        :param operation: a method of the boto3 client, such as ``query``.
        :raises MissingTable, ConditionFailed, RequestFailed: all attempts of this client failed.
        :raises Stopped: this process was forked from the client's process, and would share its
            connections."""
        if self._process != os.getpid():
            raise errors.Stopped()
        dynamodb, credentials = self._connect()
        method = getattr(dynamodb, operation)
        try:
            if not credentials.are_available():
                raise errors.RequestFailed(
                    operation, _tables(arguments), 'CredentialsTimeout',
                    'no credentials within %g seconds' % credentials.seconds, retryable=True)
            response = method(**arguments)
        except errors.RequestFailed:
            raise
        except botocore.exceptions.ClientError as error:
            raise _refused(operation, arguments, error)
        except botocore.exceptions.BotoCoreError as error:
            raise errors.RequestFailed(
                operation, _tables(arguments), type(error).__name__, _reason(error),
                isinstance(error, (botocore.exceptions.HTTPClientError,
                                   botocore.exceptions.ConnectionError)))
        except Exception as error:
            # botocore's parser fails on the answer of a proxy or another web server.
            self.thread.is_uncertain = True
            raise _foreign(operation, arguments, type(error).__name__)
        metadata = response.get('ResponseMetadata', {})
        if 'HTTPHeaders' in metadata and 'RequestId' not in metadata:
            # boto3 reads any page as an empty response; AWS adds a request ID.
            self.thread.is_uncertain = True
            raise _foreign(operation, arguments, 'ForeignAnswer')
        return response

    def _connect(self):
        with self._lock:
            if self._connected is None:
                self._connected = _connected(self._settings)
                self._connected[0].meta.events.register('needs-retry.dynamodb', self._note_attempt)
            return self._connected

    def _note_attempt(self, response=None, caught_exception=None, **_):
        if caught_exception is not None or response[0].status_code >= 500:
            self.thread.is_uncertain = True


class Credentials(object):
    """The credentials of a client, which may expire and be renewed.

    botocore requests them from STS, with five attempts within a minute, and does not use the
    timeouts of the client. So another thread makes this request.
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html#assume-role-provider

    :param found: the credentials that botocore found, or None.
    :param seconds: the longest time that a request waits for them."""

    def __init__(self, found, seconds):
        self._needs_refresh = getattr(found, 'refresh_needed', lambda *_: False)
        self._refresh = SingleFlight(lambda: found.get_frozen_credentials())
        self.seconds = seconds

    def are_available(self):
        """Return True if a request can be signed now.

        :raises: the error of botocore if STS refuses them."""
        if not self._needs_refresh():
            return True
        if self._refresh.is_running and not self._needs_refresh(_LAST_SECONDS):
            return True
        return self._refresh.wait(self.seconds) or not self._needs_refresh(_LAST_SECONDS)


class RetryingClient(object):
    """A Client for loads and checks, which retries throttled and failed requests.

    Tables of release 0.1.0 have five read and five write units. The load of a large registry needs
    more than a burst of these.

    :param client: a Client.
    :param heartbeat: called before each attempt; raises to stop.
    :param throttled_seconds: how long a throttled request is retried; negative for never."""

    def __init__(self, client, heartbeat, sleep=sleep, clock=monotonic,
                 throttled_seconds=THROTTLED_SECONDS):
        self._client = client
        self._throttled_seconds = throttled_seconds
        self.thread = client.thread
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._clock = clock
        self._warned = set()

    def call(self, operation, **arguments):
        """Make a request as Client.call does, and retry it: for up to ten minutes if it is
        throttled, for up to 20 seconds after another fault."""
        began, backoff = self._clock(), Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            self._heartbeat()
            try:
                return self._client.call(operation, **arguments)
            except errors.RequestFailed as error:
                if self._clock() > began + self._seconds_to_retry(error):
                    raise
                if error.throttled:
                    self._warn(error)
            self._sleep(backoff.next())

    def _seconds_to_retry(self, error):
        if error.throttled:
            return self._throttled_seconds
        is_fault = error.retryable and not isinstance(error, errors.ConditionFailed)
        return FAULT_SECONDS if is_fault else -1

    def _warn(self, error):
        """Log the first throttled request of each operation, and the remedy."""
        if error.operation not in self._warned:
            self._warned.add(error.operation)
            logger.warning(
                'DynamoDB throttles %s on %s; the load continues slowly; to speed it up, switch '
                'the tables to on-demand billing', error.operation, ', '.join(error.tables))


def attempt_timeout(settings):
    """Return the most seconds that one attempt of a request can take."""
    return settings.connect_timeout + settings.read_timeout


def request_timeout(settings):
    """Return the most seconds that a request with all its attempts can take. Credentials that are
    not in the settings take the time of one more attempt.

    Between two attempts botocore waits up to 1 s, 2 s, 4 s, ... and 20 s:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html"""
    pauses = [min(2 ** attempt, 20) for attempt in range(settings.attempts)]
    return ((settings.attempts + (settings.access_key is None)) * attempt_timeout(settings) +
            sum(pauses[:-1]))


def settle_timeout(settings):
    """Return the seconds after which DynamoDB has carried out a request that got no answer, or
    never will: as long as a lease, which depends on the same assumption."""
    return 3 * request_timeout(settings)


def _connected(settings):
    """Return a boto3 client, and its Credentials."""
    try:
        session = boto3.session.Session(
            aws_access_key_id=settings.access_key,
            aws_secret_access_key=settings.secret_access_key,
            region_name=settings.region)
        client = session.client(
            'dynamodb', endpoint_url=settings.endpoint_url,
            config=botocore.config.Config(
                connect_timeout=settings.connect_timeout, read_timeout=settings.read_timeout,
                max_pool_connections=CONNECTIONS,
                retries={'total_max_attempts': settings.attempts, 'mode': 'standard'}))
        return client, Credentials(session.get_credentials(), attempt_timeout(settings))
    except botocore.exceptions.BotoCoreError as error:
        # A missing profile, half a key pair, or a typing error in a file: boto3 reports it when the
        # client is created, not at a request.
        raise errors.SettingError(
            'access_key', 'the AWS configuration of this machine: environment variables AWS_*, '
            'boto and AWS files', 'cannot be used: %s' % _reason(error),
            'correct it there, or set access_key and secret_access_key')


def _refused(operation, arguments, error):
    code = error.response.get('Error', {}).get('Code', 'Unknown')
    tables = _tables(arguments)
    if code == 'ResourceNotFoundException':
        return errors.MissingTable(operation, tables, code, _reason(error), retryable=False)
    if code in _CONDITIONS:
        return errors.ConditionFailed(operation, tables, code, _reason(error), retryable=True,
                                      reasons=[_CONDITIONS[code]])
    if code == 'TransactionCanceledException':
        reasons = [None if reason.get('Code') in (None, 'None') else reason['Code']
                   for reason in error.response.get('CancellationReasons', [])]
        is_invalid = 'ValidationError' in reasons
        is_condition = not is_invalid and not set(reasons).isdisjoint(_CONDITIONS.values())
        kind = errors.ConditionFailed if is_condition else errors.RequestFailed
        return kind(operation, tables, code, ', '.join(filter(None, reasons)), not is_invalid,
                    reasons)
    status = error.response.get('ResponseMetadata', {}).get('HTTPStatusCode', 0)
    return errors.RequestFailed(operation, tables, code, _reason(error),
                                code in _RETRYABLE or status >= 500)


def _foreign(operation, arguments, code):
    return errors.RequestFailed(
        operation, _tables(arguments), code, 'the answer is not from DynamoDB; check '
        'endpoint_url and the proxies', retryable=True)


def _tables(arguments):
    """Return the names of the tables of a request, for messages."""
    if 'TableName' in arguments:
        return [arguments['TableName']]
    names = set(arguments.get('RequestItems', ()))
    for action in arguments.get('TransactItems', ()):
        names.update(each['TableName'] for each in action.values())
    return sorted(names)


def _reason(error):
    """Return botocore's message in one line. For wrong parameters, its second line contains the
    problem, and then values, which are left out."""
    if isinstance(error, botocore.exceptions.ParamValidationError):
        report = '%s' % error.kwargs.get('report', '')
        return 'wrong parameters: ' + first_line(report.split(', value:')[0])
    return first_line(error)
