"""Counts the requests of an engine to DynamoDB, at boto3's event hooks."""

from __future__ import unicode_literals

import collections
import contextlib

Request = collections.namedtuple('Request', 'operation units actions')


class RequestsMade(object):
    """Records every request that an engine sends, including retries.

    :param engine: a SearchIndex.
    """

    def __init__(self, engine):
        self._events = engine.client.dynamodb.meta.events
        self._params = collections.deque()
        self.sent = []
        self.answered = []
        self._events.register('provide-client-params.dynamodb.*', self._ask)
        self._events.register('request-created.dynamodb.*', self._send)
        self._events.register('after-call.dynamodb.*', self._answer)

    @contextlib.contextmanager
    def counted(self):
        """Count only the requests inside the block."""
        del self.sent[:], self.answered[:]
        yield self

    @property
    def operations(self):
        """The operations that were sent, in order: names of the API."""
        return list(self.sent)

    @property
    def units(self):
        """The read units of each answer, as DynamoDB billed them."""
        return [request.units for request in self.answered]

    @property
    def actions(self):
        """The number of actions of each transaction."""
        return [request.actions for request in self.answered
                if request.operation == 'TransactWriteItems']

    def _ask(self, params, model, context, **_):
        if 'ReturnConsumedCapacity' in model.input_shape.members:
            params['ReturnConsumedCapacity'] = 'TOTAL'
        context['actions'] = len(params.get('TransactItems', ()))
        return params

    def _send(self, operation_name, **_):
        self.sent.append(str(operation_name))

    def _answer(self, parsed, model, context, **_):
        consumed = parsed.get('ConsumedCapacity') or []
        if isinstance(consumed, dict):
            consumed = [consumed]
        self.answered.append(Request(str(model.name), sum(each['CapacityUnits'] for each
                                                          in consumed), context.get('actions')))
