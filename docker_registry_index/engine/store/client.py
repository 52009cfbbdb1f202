"""The client of DynamoDB. The engine makes every request with Client.call, which raises the
engine's errors in place of boto3's, and notes when DynamoDB is unavailable."""

from __future__ import unicode_literals

import logging
import os
import threading

from .. import errors
from .._compat import monotonic
from ..errors import first_line
# Before botocore: it reports a missing boto3.
from .connection import Connection, NoCredentials
import botocore.exceptions

logger = logging.getLogger(__name__)

#: Seconds between two outages that are logged.
_LOG_SECONDS = 60

# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
_RETRYABLE = frozenset(['InternalServerError', 'LimitExceededException', 'ServiceUnavailable',
                        'TransactionInProgressException'])
#: The error codes of keys that AWS does not accept, or no longer:
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/CommonErrors.html
_REJECTED_KEYS = frozenset([
    'ExpiredTokenException', 'IncompleteSignatureException', 'InvalidClientTokenId',
    'InvalidSignatureException', 'MissingAuthenticationTokenException',
    'UnrecognizedClientException'])
#: The error codes of a single write, and the reasons that a cancelled transaction gives instead.
_CONDITIONS = {'ConditionalCheckFailedException': 'ConditionalCheckFailed',
               'TransactionConflictException': 'TransactionConflict'}


class Availability(object):
    """Notes whether DynamoDB is available, and logs one line when an outage begins and one when it
    ends. Several threads may use it.

    :ivar is_outage: True if the last request failed because DynamoDB is unavailable.
    :ivar is_silent: True to log nothing.
    :ivar on_outage: called without arguments when an outage begins.
    :ivar on_recovery: called without arguments when an outage has ended."""

    def __init__(self, clock=monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._log_at = clock()
        self._is_logged = False
        self.is_outage = self.is_silent = False
        self.on_outage = self.on_recovery = lambda: None

    def note_failure(self, error):
        """Note that a request has failed because DynamoDB is unavailable."""
        with self._lock:
            if self.is_outage:
                return
            now, self.is_outage = self._clock(), True
            # At most one line a minute, even if only some of the requests fail.
            self._is_logged = now >= self._log_at and not self.is_silent
            if self._is_logged:
                self._log_at = now + _LOG_SECONDS
        self.on_outage()
        if self._is_logged:
            logger.error('DynamoDB is unavailable; requests of the search index are retried: %s',
                         error)

    def note_success(self):
        """Note that DynamoDB has answered a request."""
        if not self.is_outage:
            return
        with self._lock:
            was_outage, self.is_outage = self.is_outage, False
        if was_outage:
            if self._is_logged:
                logger.info('DynamoDB is available again')
            self.on_recovery()


class Client(object):
    """A DynamoDB client; several threads may use it.

    :param settings: a Settings; without a key pair in it, credentials come from botocore's chain:
        https://boto3.amazonaws.com/v1/documentation/api/latest/guide/credentials.html
    :param connect_now: True to find credentials now, which may take requests to a service of the
        machine; False to leave that to the first call.
    :raises SettingError: botocore's own configuration has a mistake."""

    def __init__(self, settings, connect_now=True):
        self._process = os.getpid()
        #: The Connection; its method ``watch`` adds event hooks to each boto3 client.
        self.connection = Connection(settings)
        self.availability = Availability()
        #: For each thread: ``is_uncertain`` becomes True when an attempt of a request gets no
        #: answer, so that DynamoDB may carry it out at any time.
        self.thread = threading.local()
        self.connection.watch(self._watch)
        if connect_now:
            self.connection.open()

    @property
    def dynamodb(self):
        """The current boto3 client."""
        return self.connection.client()

    def call(self, operation, **arguments):
        """Make one request and return the response.

        :param operation: a method of the boto3 client, such as ``query``.
        :raises MissingTable, ConditionFailed, RequestFailed: all attempts of this client failed.
        :raises Stopped: this process was forked from the client's process, and would share its
            connections."""
        if self._process != os.getpid():
            raise errors.Stopped()
        try:
            response = self._call(operation, arguments)
        except errors.RequestFailed as error:
            if error.unavailable:
                self.availability.note_failure(error)
            else:
                self.availability.note_success()
            raise
        self.availability.note_success()
        return response

    def _call(self, operation, arguments):
        try:
            dynamodb = self.connection.client()
        except NoCredentials as problem:
            raise errors.RequestFailed(operation, _tables(arguments), problem.code, problem.detail,
                                       retryable=True)
        try:
            response = getattr(dynamodb, operation)(**arguments)
        except botocore.exceptions.ClientError as error:
            raise self._refused(dynamodb, operation, arguments, error)
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

    def _refused(self, dynamodb, operation, arguments, error):
        code = error.response.get('Error', {}).get('Code', 'Unknown')
        if code in _REJECTED_KEYS:
            return errors.RequestFailed(
                operation, _tables(arguments), code, '%s; %s' % (
                    _reason(error), self.connection.note_rejected(dynamodb)), retryable=True)
        return _refused(code, operation, arguments, error)

    def _watch(self, dynamodb):
        dynamodb.meta.events.register('needs-retry.dynamodb', self._note_attempt)

    def _note_attempt(self, response=None, caught_exception=None, **_):
        if caught_exception is not None or response[0].status_code >= 500:
            self.thread.is_uncertain = True


def attempt_timeout(settings):
    """Return the most seconds that one attempt of a request can take. boto3 limits neither the
    resolution of a host's name nor a response that comes byte by byte, so these take longer."""
    return settings.connect_timeout + settings.read_timeout


def request_timeout(settings):
    """Return the most seconds that a request with all its attempts can take, with the exceptions of
    attempt_timeout. Credentials that are not in the settings take the time of one more attempt.

    Between two attempts botocore waits up to 1 s, 2 s, 4 s, ... and 20 s:
    https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html"""
    pauses = [min(2 ** attempt, 20) for attempt in range(settings.attempts)]
    return ((settings.attempts + (settings.access_key is None)) * attempt_timeout(settings) +
            sum(pauses[:-1]))


def settle_timeout(settings):
    """Return the seconds after which DynamoDB has carried out a request that got no answer, or
    never will: as long as a lease, which depends on the same assumption."""
    return 3 * request_timeout(settings)


def _refused(code, operation, arguments, error):
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
