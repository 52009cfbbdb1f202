"""Faults between an engine and DynamoDB, at boto3's own event hooks."""
from __future__ import unicode_literals

import collections
import contextlib
import copy
import itertools
import json

from botocore.exceptions import ReadTimeoutError

#: What botocore reads of the HTTP response of an error.
Answer = collections.namedtuple('Answer', 'status_code')


class Killed(BaseException):
    """The process died. It is no Exception, so that no handler catches it."""


def _register(engine, operation, handler, event='before-call'):
    engine.client.dynamodb.meta.events.register('%s.dynamodb.%s' % (event, operation), handler)


@contextlib.contextmanager
def taken_back(engine):
    """Take back what is registered at an engine's hooks inside the block. A boto3 client takes a
    tenth of a second to make, too long for each test."""
    events = engine.client.dynamodb.meta.events
    register, registered = events.register, []

    def recording(event_name, handler, *arguments, **named):
        registered.append((event_name, handler))
        register(event_name, handler, *arguments, **named)

    events.register = recording
    try:
        yield
    finally:
        events.register = register
        for event_name, handler in registered:
            events.unregister(event_name, handler)


class KillAfter(object):
    """Let ``count`` requests of an engine pass, then raise Killed at each, as if its process were
    dead: requests of its `finally` clauses fail, too.

    :param operation: count only requests of this operation."""

    def __init__(self, engine, count, operation='*'):
        self.left, self._operation = count, operation
        _register(engine, '*', self._die_or_pass)

    def _die_or_pass(self, model, **_):
        if self.left == 0:
            raise Killed()
        if self._operation in ('*', model.name):
            self.left -= 1


def killed_at_each(index, change, operation='*', every=1):
    """Run a change killed before its first request, before its second, and so on until it ends;
    yield the number of requests that were made.

    :param index: the EngineIndex whose engine makes the change.
    :param operation: count only requests of this operation.
    :param every: on moto, where each attempt takes longer, kill before every second (or third, ...)
        request only."""
    for count in itertools.count(0, every if index.is_in_process else 1):
        with taken_back(index.engine):
            KillAfter(index.engine, count, operation)
            try:
                change()
            except Killed:
                pass
            else:
                return
        yield count


class Meanwhile(object):
    """Run ``action`` once, just before an engine's next request of an operation, or, if ``event``
    is ``after-call``, just after it. An error of ``action`` interrupts the engine there."""

    def __init__(self, engine, operation, action, event='before-call'):
        self._action = action
        _register(engine, operation, self._run_once, event)

    def _run_once(self, **_):
        action, self._action = self._action, None
        if action:
            action()


class AtRequest(object):
    """Run ``action`` once, before an engine's request of this number, from 0 on."""

    def __init__(self, engine, number, action):
        self.left, self._action = number, action
        _register(engine, '*', self._count)

    def _count(self, **_):
        if self.left == 0:
            self._action()
        self.left -= 1


class Throttle(object):
    """Answer the next ``count`` attempts of an operation with a throttle, or another error code."""

    def __init__(self, engine, operation, count, reasons=None,
                 code='ProvisionedThroughputExceededException', status=400):
        self.left, self._status = count, status
        self._document = {'Error': {'Code': code, 'Message': 'not now'},
                          'ResponseMetadata': {'HTTPStatusCode': status}}
        if reasons:
            self._document['Error']['Code'] = 'TransactionCanceledException'
            self._document['CancellationReasons'] = [{'Code': reason} for reason in reasons]
        _register(engine, operation, self._refuse)

    def _refuse(self, **_):
        if self.left:
            self.left -= 1
            return Answer(self._status), copy.deepcopy(self._document)


class LateWrites(object):
    """Let BatchWriteItem requests of an engine time out; DynamoDB makes them at the call of `make`.

    :param numbers: of the requests, from 0 on.
    :ivar pending: the items of the requests that are still to be made."""

    def __init__(self, engine, numbers):
        self._engine, self._numbers, self._count, self.pending = engine, numbers, 0, []
        _register(engine, 'BatchWriteItem', self._hold, 'before-send')

    def _hold(self, request, **_):
        self._count += 1
        if self._count - 1 in self._numbers:
            self.pending.append(json.loads(request.body.decode('utf-8'))['RequestItems'])
            raise ReadTimeoutError(endpoint_url=request.url)

    def make(self, index):
        """:param index: an EngineIndex without faults."""
        while self.pending:
            index.engine.client.call('batch_write_item', RequestItems=self.pending.pop())
