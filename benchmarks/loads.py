"""Measures a load beside the most that DynamoDB accepts. Python 2.7 and 3.

usage: python -m benchmarks.loads < INPUT > RESULT, both in JSON, by benchmarks.run

The ceilings are BatchWriteItem and TransactWriteItems with the same postings and nothing else."""
from __future__ import unicode_literals

import json
import sys
import timeit
from multiprocessing.pool import ThreadPool

from benchmarks.meter import Meter, index_settings, percentile
from docker_registry_index.engine import SearchIndex
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.store import WRITE_BATCH, Store

_TRANSACTION = 100
_THREADS = 8
_ROUNDS = 3


def parts(items, size):
    """Yield lists of so many items."""
    for first in range(0, len(items), size):
        yield items[first:first + size]


class Ceilings(object):
    """Writes the postings of names into a table of its own.

    :param names: with all postings, and nothing else."""

    def __init__(self, endpoint, database, names):
        settings = index_settings(endpoint, database)
        SearchIndex(settings).sync(lambda: [('library/first', None)])
        self._client = SearchIndex(settings).client
        self._table = Store(settings, self._client).search_table
        self._items = [postings.to_item(each) for name in names
                       for each in postings.postings(name) + [postings.witness(name)]]
        self._client.dynamodb  # connects

    def batches(self):
        """Write all postings with BatchWriteItem, in eight threads."""
        self._write(WRITE_BATCH, lambda items: self._client.call(
            'batch_write_item', RequestItems={self._table: [
                {'PutRequest': {'Item': item}} for item in items]}))

    def transactions(self):
        """The same with TransactWriteItems."""
        self._write(_TRANSACTION, lambda items: self._client.call(
            'transact_write_items', TransactItems=[
                {'Put': {'TableName': self._table, 'Item': item}} for item in items]))

    def _write(self, size, write):
        pool = ThreadPool(_THREADS)
        pool.map(write, list(parts(self._items, size)), 1)
        pool.close()
        pool.join()


def seconds(function):
    """Return the seconds that a call takes."""
    start = timeit.default_timer()
    function()
    return timeit.default_timer() - start


def measure(given):
    """Return the repositories per second of each, and the units of a repository of a load."""
    names, endpoint, times, units = given['names'], given['endpoint'], {}, 0
    for number in range(_ROUNDS):
        ceilings = Ceilings(endpoint, '%s-ceiling-%d' % (given['prefix'], number), names)
        index = SearchIndex(index_settings(endpoint, '%s-load-%d' % (given['prefix'], number)))
        meter = Meter(index.client.dynamodb)
        for what, function in [
                ('BatchWriteItem', ceilings.batches),
                ('this index', lambda: index.sync(lambda: [(name, None) for name in names])),
                ('TransactWriteItems', ceilings.transactions)]:
            times.setdefault(what, []).append(seconds(function))
        units = meter.counts['write'] / float(len(names))
    rates = dict((what, len(names) / percentile(found, 0.5)) for what, found in times.items())
    return dict(rates=rates, units=units, count=len(names))


if __name__ == '__main__':
    json.dump(measure(json.load(sys.stdin)), sys.stdout)
