"""Counts the requests of an engine to DynamoDB, at boto3's event hooks."""
from __future__ import unicode_literals

import contextlib


class RequestsMade(object):
    """Records every request that an engine sends, including retries.

    :param engine: a SearchIndex.
    :ivar operations: that were sent, in order: names of the API.
    :ivar units: the read units of each answer, as DynamoDB billed them.
    :ivar actions: the number of actions of each transaction that was answered.
    :ivar are_billed: True if the units are those of AWS."""

    are_billed = False

    def __init__(self, engine):
        self.operations, self.units, self.actions = [], [], []
        events = engine.client.dynamodb.meta.events
        events.register('provide-client-params.dynamodb.*', self._ask)
        events.register('request-created.dynamodb.*', self._send)
        events.register('after-call.dynamodb.*', self._answer)

    @contextlib.contextmanager
    def counted(self):
        """Count only the requests inside the block."""
        self.operations, self.units, self.actions = [], [], []
        yield self

    def _ask(self, params, model, context, **_):
        if 'ReturnConsumedCapacity' in model.input_shape.members:
            params['ReturnConsumedCapacity'] = 'TOTAL'
        context['actions'] = len(params.get('TransactItems', ()))
        return params

    def _send(self, operation_name, **_):
        self.operations.append(str(operation_name))

    def _answer(self, parsed, context, **_):
        consumed = parsed.get('ConsumedCapacity') or []
        self.units.append(sum(each['CapacityUnits'] for each in (
            [consumed] if isinstance(consumed, dict) else consumed)))
        if context.get('actions'):
            self.actions.append(context['actions'])
