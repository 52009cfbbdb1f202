"""The retries of loads, checks and status, which wait for throttled tables, and the advice that
their log lines give."""

from __future__ import unicode_literals

import logging

from .. import errors
from .._compat import monotonic, sleep
from ..concurrency import Backoff

logger = logging.getLogger(__name__)

#: Seconds of throttling after which a check or a status fails; a load never fails because of it.
THROTTLED_SECONDS, FOREVER = 600, float('inf')
#: Seconds of other faults, such as lost connections, after which a load fails: its lease has ended.
FAULT_SECONDS = 20
#: Seconds between two attempts: well below the time of a lease.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 4
#: The most seconds without a heartbeat, and between two log lines about the same operation.
_BEAT_EVERY, _LOG_EVERY = 1, 600

_LEFT_OUT = {'batch_get_item': 'UnprocessedKeys', 'batch_write_item': 'UnprocessedItems'}
_READS = frozenset(['batch_get_item', 'get_item', 'query', 'scan'])


class RetryingClient(object):
    """A Client for loads and checks, which retries throttled and failed requests.

    Tables of release 0.1.0 have five read and five write units. The load of a large registry needs
    more than a burst of these.

    :param client: a Client.
    :param heartbeat: called before each attempt, and each second between two; raises to stop.
    :param throttled_seconds: how long a throttled request is retried; negative for never. A batch
        of which DynamoDB processes nothing counts as throttled."""

    def __init__(self, client, heartbeat, sleep=sleep, clock=monotonic,
                 throttled_seconds=THROTTLED_SECONDS):
        self._client = client
        self._throttled_seconds = throttled_seconds
        self.thread = client.thread
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._clock = clock
        self._log_at = {}

    def call(self, operation, **arguments):
        """Make a request as Client.call does, and retry it: for ``throttled_seconds`` if it is
        throttled, for up to 20 seconds after another fault."""
        backoff, allowed, since = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE), None, 0
        while True:
            self._heartbeat()
            began = self._clock()
            try:
                response = self._client.call(operation, **arguments)
                stuck = without_progress(operation, arguments.get('RequestItems'), response)
                if stuck is None:
                    return response
                raise stuck
            except errors.RequestFailed as error:
                seconds = self._seconds_to_retry(error)
                if seconds != allowed:
                    # DynamoDB throttles again after an outage, or the other way round.
                    allowed, since = seconds, began
                if self._clock() > since + allowed:
                    raise
                if error.throttled:
                    self._log(error)
            self._pause(backoff.next())

    def _seconds_to_retry(self, error):
        if error.throttled:
            return self._throttled_seconds
        is_fault = error.retryable and not isinstance(error, errors.ConditionFailed)
        return FAULT_SECONDS if is_fault else -1

    def _pause(self, seconds):
        while seconds > 0:
            self._sleep(min(seconds, _BEAT_EVERY))
            seconds -= _BEAT_EVERY
            if seconds > 0:
                self._heartbeat()

    def _log(self, error):
        """Log the first throttled request of each operation, and then one every ten minutes."""
        now = self._clock()
        if now < self._log_at.get(error.operation, now):
            return
        self._log_at[error.operation] = now + _LOG_EVERY
        logger.warning('DynamoDB throttles %s on %s; the request is retried%s', error.operation,
                       ', '.join(error.tables), self._advice(error))

    def _advice(self, error):
        """Return what can be done about a throttled request; '' if its tables cannot be described.
        Costs a DescribeTable for each of them."""
        try:
            described = [self._client.call('describe_table', TableName=table)['Table']
                         for table in error.tables]
        except errors.RequestFailed:
            return ''
        return advice(described, error.operation in _READS)


def advice(described, is_read):
    """Return the end of a log line: what to do about the throttled requests of these tables.

    :param described: the tables, as DescribeTable returns them.
    :param is_read: True if they were read, False if they were written."""
    kind = 'Read' if is_read else 'Write'
    provisioned = [table['TableName'] for table in described if table.get(
        'BillingModeSummary', {}).get('BillingMode') != 'PAY_PER_REQUEST']
    if provisioned:
        return ('; to speed it up, switch %s to on-demand billing, or raise its %s units' % (
            ' and '.join(provisioned), kind.lower()))
    limited = [table['TableName'] for table in described if table.get(
        'OnDemandThroughput', {}).get('Max%sRequestUnits' % kind, -1) > 0]
    if limited:
        return '; to speed it up, raise the maximum of %s units of %s' % (
            kind.lower(), ' and '.join(limited))
    return ('; the billing is on-demand, so DynamoDB raises this limit by itself; a higher warm '
            'throughput would raise it at once')


def left_out(operation, response):
    """Return the keys or items that DynamoDB left out of a batch, in the form of RequestItems."""
    return response.get(_LEFT_OUT.get(operation)) or {}


def without_progress(operation, wanted, response):
    """Return a RequestFailed if DynamoDB throttles a batch and has processed nothing of it; None
    for any other response.

    :param wanted: the RequestItems of the request."""
    left = left_out(operation, response)
    if not left or _size(left) < _size(wanted):
        return None
    return errors.RequestFailed(
        operation, sorted(left), 'ProvisionedThroughputExceededException',
        'DynamoDB left everything unprocessed', retryable=True)


def _size(items):
    return sum(len(each.get('Keys', ()) if isinstance(each, dict) else each)
               for each in items.values())
