"""The connection to DynamoDB: the one importer of boto3 and botocore.

Every request of the engine goes through Client.call, which replaces whatever boto3 raises by the
engine's own errors."""

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

__all__ = ['Client', 'RetryingClient', 'one_attempt', 'slowest']

logger = logging.getLogger(__name__)

#: More than a gevent worker is likely to have under way at once.
CONNECTIONS = 50
#: Seconds before credentials expire in which botocore insists on new ones.
_LAST_SECONDS = 600
#: Seconds of nothing but throttling after which a load fails.
THROTTLED_SECONDS = 600
#: Seconds of other faults, such as lost connections: a lease is lost then.
FAULT_SECONDS = 20
#: Seconds between two attempts of a load: well below the time of a lease.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 4

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_RETRYABLE = frozenset(['InternalServerError', 'LimitExceededException', 'ServiceUnavailable',
                        'TransactionInProgressException'])
#: Error codes of a single write, and the reason that a cancelled transaction gives for the same.
_CONDITIONS = {'ConditionalCheckFailedException': 'ConditionalCheckFailed',
               'TransactionConflictException': 'TransactionConflict'}


class Client(object):
    """One connection pool to DynamoDB, safe to use from several threads.

    :param settings: a Settings; without a key pair in it, credentials come from botocore's chain:
        https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
    :param at_once: whether to search for credentials now, which may take requests to the machine
        that they are for; otherwise the first call does.
    :raises SettingError: botocore's own configuration cannot be used."""

    def __init__(self, settings, at_once=True):
        self._settings = settings
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._connected = None
        if at_once:
            self._connect()

    @property
    def dynamodb(self):
        """The low-level boto3 client; its event hooks see every request."""
        return self._connect()[0]

    def call(self, operation, **arguments):
        """Make one request and return the response.

        :param operation: a method of the boto3 client, such as ``query``.
        :raises MissingTable, ConditionFailed, RequestFailed: after the attempts of this client are
            used up.
        :raises Stopped: this process was forked from that of the client, and would use the same
            connections."""
        if self._process != os.getpid():
            raise errors.Stopped()
        dynamodb, credentials = self._connect()
        method = getattr(dynamodb, operation)
        try:
            if not credentials.are_there():
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
            # What botocore's parser stumbles over when a proxy, or any other web server, answers.
            raise _foreign(operation, arguments, type(error).__name__)
        metadata = response.get('ResponseMetadata', {})
        if 'HTTPHeaders' in metadata and 'RequestId' not in metadata:
            # boto3 takes any page for an empty response; AWS numbers each.
            raise _foreign(operation, arguments, 'ForeignAnswer')
        return response

    def _connect(self):
        with self._lock:
            if self._connected is None:
                self._connected = _connected(self._settings)
            return self._connected


class Credentials(object):
    """The credentials of a client, which may expire and be renewed.

    botocore gives STS, the service that has them, a minute and five attempts, whatever the
    time-outs of the client. So it is asked in another thread.
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html#assume-role-provider

    :param found: what botocore has found, or None.
    :param seconds: how long a request waits for them."""

    def __init__(self, found, seconds):
        self._needs_refresh = getattr(found, 'refresh_needed', lambda *_: False)
        self._refresh = SingleFlight(lambda: found.get_frozen_credentials())
        self.seconds = seconds

    def are_there(self):
        """Return whether a request can be signed without waiting for them.

        :raises: what botocore does when they are refused."""
        if not self._needs_refresh():
            return True
        if self._refresh.is_under_way and not self._needs_refresh(_LAST_SECONDS):
            return True
        return self._refresh.wait(self.seconds) or not self._needs_refresh(_LAST_SECONDS)


class RetryingClient(object):
    """A Client for loads: throttling slows it down, and a fault does not stop it at once.

    Tables of release 0.1.0 have five read and five write units, and a large registry has more
    repositories than a burst of these lasts for.

    :param client: a Client.
    :param heartbeat: called before each attempt; raises to stop."""

    def __init__(self, client, heartbeat, sleep=sleep, clock=monotonic):
        self._client = client
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._clock = clock
        self._warned = set()

    def call(self, operation, **arguments):
        """As Client.call, but retry throttled requests for up to ten minutes, and those that met
        another fault for up to 20 s."""
        began, backoff = self._clock(), Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            self._heartbeat()
            try:
                return self._client.call(operation, **arguments)
            except errors.RequestFailed as error:
                if self._clock() > began + _seconds_to_retry(error):
                    raise
                if error.throttled:
                    self._warn(error)
            self._sleep(backoff.next())

    def _warn(self, error):
        """Log once for each operation what would help."""
        if error.operation not in self._warned:
            self._warned.add(error.operation)
            logger.warning(
                'DynamoDB throttles %s on %s: the load goes on, slowly; on-demand billing of these '
                'tables would help', error.operation, ', '.join(error.tables))


def _seconds_to_retry(error):
    if error.throttled:
        return THROTTLED_SECONDS
    is_fault = error.retryable and not isinstance(error, errors.ConditionFailed)
    return FAULT_SECONDS if is_fault else -1


def one_attempt(settings):
    """Return the seconds that one attempt of a request takes at most."""
    return settings.connect_timeout + settings.read_timeout


def slowest(settings):
    """Return the seconds that one request takes at most, its attempts included, and one attempt
    more for credentials that are not in the settings.

    Between two attempts botocore waits up to 1 s, 2 s, 4 s, ... and 20 s:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html"""
    pauses = [min(2 ** attempt, 20) for attempt in range(settings.attempts)]
    return ((settings.attempts + (settings.access_key is None)) * one_attempt(settings) +
            sum(pauses[:-1]))


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
        return client, Credentials(session.get_credentials(), one_attempt(settings))
    except botocore.exceptions.BotoCoreError as error:
        # A profile that is not there, half a key pair, a file with a slip of the pen: found when
        # the client is made, not when it asks.
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
        return _cancelled(operation, tables, code, [
            None if reason.get('Code') in (None, 'None') else reason['Code']
            for reason in error.response.get('CancellationReasons', [])])
    status = error.response.get('ResponseMetadata', {}).get('HTTPStatusCode', 0)
    return errors.RequestFailed(operation, tables, code, _reason(error),
                                code in _RETRYABLE or status >= 500)


def _cancelled(operation, tables, code, reasons):
    is_invalid = 'ValidationError' in reasons
    is_condition = not is_invalid and not set(reasons).isdisjoint(_CONDITIONS.values())
    kind = errors.ConditionFailed if is_condition else errors.RequestFailed
    return kind(operation, tables, code, ', '.join(filter(None, reasons)), not is_invalid, reasons)


def _foreign(operation, arguments, code):
    return errors.RequestFailed(
        operation, _tables(arguments), code, 'something else than DynamoDB answered; check '
        'endpoint_url and the proxies', retryable=True)


def _tables(arguments):
    """Return the names of the tables that a request is about, for messages."""
    if 'TableName' in arguments:
        return [arguments['TableName']]
    names = set(arguments.get('RequestItems', ()))
    for action in arguments.get('TransactItems', ()):
        names.update(each['TableName'] for each in action.values())
    return sorted(names)


def _reason(error):
    """Return botocore's message in one line. For wrong parameters, only its second line contains
    the problem, and then their values, which are left out."""
    if isinstance(error, botocore.exceptions.ParamValidationError):
        report = '%s' % error.kwargs.get('report', '')
        return 'wrong parameters: ' + first_line(report.split(', value:')[0])
    return first_line(error)
