"""Counts requests, units, items and bytes, and times calls in turns. Python 2.7 and 3."""
from __future__ import unicode_literals

import random
import threading
import timeit

__all__ = ['Meter', 'index_settings', 'in_turns', 'percentile']

#: A thing that takes more milliseconds is called in each tenth round only.
_SLOW = 50
_FEWEST = 5


def index_settings(endpoint, database, **more):
    """Return the settings of an index in a local DynamoDB."""
    from docker_registry_index.engine import Settings
    return Settings(database=database, region='us-east-1', access_key='AKIADUMMY',
                    secret_access_key='dummy', endpoint_url=endpoint, **more)


class Meter(object):
    """Counts what a boto3 client sends and receives.

    :param client: a boto3 client of DynamoDB; several threads may use it.
    :ivar counts: a dictionary of requests, read and write units, items and bytes.
    :ivar operations: the names of the requests that were answered, in order.

    DynamoDB Local reports a Query that finds nothing as 0 units, and a transaction by its tables.
    So all units except those of a Query or Scan are counted from the request: all items are smaller
    than the unit.
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """

    def __init__(self, client):
        self._lock = threading.Lock()
        self.clear()
        events = client.meta.events
        events.register('provide-client-params.dynamodb.*', self._note_parameters)
        events.register('before-send.dynamodb.*', self._note_bytes)
        events.register('after-call.dynamodb.*', self._note_answer)

    def clear(self):
        """Set all counts to zero."""
        self.operations = []
        self.counts = dict.fromkeys(
            ['requests', 'read', 'write', 'items', 'sent', 'received'], 0)

    def _add(self, **counts):
        with self._lock:
            for name, count in counts.items():
                self.counts[name] += count

    def _note_parameters(self, params, model, **_):
        self._add(write=_write_units(params, model.name), read=_read_units(params, model.name))
        if model.name in ('Query', 'Scan'):
            params['ReturnConsumedCapacity'] = 'TOTAL'
        return params

    def _note_bytes(self, request, **_):
        self._add(requests=1, sent=len(request.body or b''))

    def _note_answer(self, http_response, parsed, model, **_):
        self.operations.append(str(model.name))
        self._add(received=len(http_response.content), items=_items(parsed))
        if 'ConsumedCapacity' in parsed and model.name in ('Query', 'Scan'):
            self._add(read=max(0.5, parsed['ConsumedCapacity']['CapacityUnits']))


def _items(answer):
    """Return the number of items that were read."""
    if 'Responses' in answer:
        return sum(len(items) for items in answer['Responses'].values())
    return answer.get('ScannedCount', int('Item' in answer))


def _write_units(params, operation):
    if operation == 'BatchWriteItem':
        return sum(len(requests) for requests in params['RequestItems'].values())
    if operation == 'TransactWriteItems':
        return 2 * len(params['TransactItems'])
    return int(operation in ('PutItem', 'UpdateItem', 'DeleteItem'))


def _read_units(params, operation):
    if operation == 'BatchGetItem':
        return sum(_unit(each) * len(each['Keys']) for each in params['RequestItems'].values())
    return _unit(params) if operation == 'GetItem' else 0


def _unit(params):
    return 1 if params.get('ConsistentRead') else 0.5


def in_turns(things, seconds, clock=timeit.default_timer):
    """Call functions in turns, in another order in each round; return a dictionary of name to a
    list of milliseconds.

    :param things: a dictionary of name to function.
    :param seconds: the time for all rounds; at least five rounds are made."""
    times = dict((name, []) for name in things)
    for function in things.values():
        function()
    chance, order, number, end = random.Random(1), sorted(things), 0, clock() + seconds
    while clock() < end or number < _FEWEST:
        chance.shuffle(order)
        for name in order:
            if number % 10 and times[name] and times[name][0] > _SLOW:
                continue
            start = clock()
            things[name]()
            times[name].append((clock() - start) * 1000)
        number += 1
    return times


def percentile(values, share):
    """Return the value below which a share of the values lie; 0.5 for the median."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
