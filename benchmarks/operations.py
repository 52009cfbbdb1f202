"""Counts the requests, units, items and bytes of each operation, on an index that is ready."""
import time

from benchmarks.meter import Meter, index_settings
from docker_registry_index.engine import SearchIndex
from docker_registry_index.engine.lifecycle.start import Startup
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.write.writer import Writer

__all__ = ['operations']

#: A name of average length, which the index does not contain.
_NAME = 'acme/checkout-service-eu'
_HALF_AN_HOUR = 1801


def operations(endpoint, database):
    """Return the counts of each operation, in order: a list of (operation, requests, counts)."""
    settings = index_settings(endpoint, database)
    index = SearchIndex(settings)
    meter, store = Meter(index.client.dynamodb), Store(settings, index.client)
    later = Writer(store, clock=lambda: time.time() + _HALF_AN_HOUR)
    found = []
    for what, function in [
            ('a start of a worker, and each check', Startup(store, None).is_ready),
            ('the first push of `%s`' % _NAME, lambda: index.add(_NAME)),
            ('another push of it', lambda: index.add(_NAME)),
            ('a push after half an hour', lambda: later.add(_NAME)),
            ('a push with a new description of four words',
             lambda: index.add(_NAME, 'Takes orders and payments')),
            ('a delete', lambda: index.remove(_NAME)),
            ('a page of 100 names of the catalog', lambda: index.catalog(limit=100))]:
        meter.clear()
        function()
        found.append([what, ', '.join(meter.operations), dict(meter.counts)])
    return found
