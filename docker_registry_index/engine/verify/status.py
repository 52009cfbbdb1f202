"""Status: reports on the tables, the load under way, and a sample of the repositories."""

from __future__ import unicode_literals

import random

from .. import errors
from .._compat import sleep, text_type
from ..lifecycle.lease import Lease
from ..lifecycle.start import Startup
from ..sync.snapshot import SnapshotReader
from ..sync.source import has, listed
from ..sync.verification import Inspector, expected_items

#: The number of repositories in a sample.
SAMPLE = 100
#: The most namespaces of the storage from which a sample is taken.
_NAMESPACES = 5
#: Seconds between two reads of a lease.
_READ_EVERY = 0.5


class Status(object):
    """Reports the status of one index.

    :param store: a Store.
    :param source: a Source; None to inspect without the storage.
    :param startup: as for Maintenance."""

    def __init__(self, store, source=None, startup=Startup, sleep=sleep, choice=random.Random()):
        self._store = store.retrying(sleep=sleep)
        self._reader = SnapshotReader(self._store, source, sleep=sleep)
        self._inspector = Inspector(self._store)
        self._source = source
        self._startup = startup(self._store, None)
        self._sleep = sleep
        self._random = choice

    def tables(self):
        """Return a list with a dictionary for each table: its status and units. Costs one
        DescribeTable for each table."""
        return [self._table(kind, table.name) for kind, table in self._store.tables.items()]

    def marker(self):
        """Return the ReadyMarker, or None if the index is not ready. Costs a BatchGetItem.

        :raises NewerDatabase, ForeignDatabase: the tables are those of another release."""
        self._startup.is_ready()
        return self._startup.marker

    def registry(self):
        """Return the registry that the tables record, as ``marker`` has read it, or None."""
        return self._startup.recorded_registry

    def lease(self):
        """Return {'seconds': how long the holder has been loading, 'alive': True if it sent a
        heartbeat}; None if no process loads. Waits for a heartbeat for a fifth of the lease time,
        by default nine seconds. Costs one GetItem, and one more each half second."""
        lease = Lease(self._store)
        try:
            if lease.read() is None:
                return None
            for _ in range(int(lease.holder_seconds / 5 / _READ_EVERY)):
                self._sleep(_READ_EVERY)
                if lease.read() is None:
                    return None
                if lease.is_alive:
                    break
        except errors.MissingTable:
            return None
        return {'seconds': lease.age, 'alive': lease.is_alive}

    def counts(self):
        """Return the number of names in the catalog, the number of rows, and a sample of the names.
        Costs a Query of all names and a Scan of the rows."""
        names, sample = 0, []
        for name, _ in self._reader.witnesses():
            names += 1
            self._sample(sample, names, name)
        rows = sum(1 for _ in self._reader.rows())
        return names, rows, sample

    def inspect(self, sample):
        """Inspect a sample of names and a sample of the storage.

        :returns: the number of names, their average number of postings, and what is wrong: a
            dictionary of a name, or of a namespace that cannot be read, to a text.
        :raises StorageUnreadable: none of the sampled namespaces can be read.

        Costs some requests for each name."""
        wrong, numbers = self._missing() if self._source else {}, []
        for name in sample:
            finding = self._inspector.inspect(name, ())
            if finding is not None and finding.detail:
                wrong[name] = finding.detail
            elif finding is not None and finding.row is not None:
                numbers.append(len(expected_items(name, finding.row.description)))
                try:
                    if self._source and not has(self._source, name):
                        wrong[name] = 'is not in the storage'
                except errors.StorageUnreadable as error:
                    wrong[name] = '%s' % error
        average = sum(numbers) / float(len(numbers)) if numbers else None
        return len(sample), average, wrong

    def _missing(self):
        """Take a sample of the storage; return what is wrong with it, as inspect."""
        namespaces = listed('its namespaces', self._source.namespaces)
        namespaces = self._random.sample(namespaces, min(_NAMESPACES, len(namespaces)))
        wrong, unreadable = {}, []
        for namespace in namespaces:
            try:
                for name in self._missing_of(namespace):
                    wrong[name] = 'is in the storage but not in the index'
            except errors.StorageUnreadable as error:
                wrong[text_type(namespace)] = '%s' % error
                unreadable.append(error)
        if unreadable and len(unreadable) == len(namespaces):
            raise unreadable[0]
        return wrong

    def _missing_of(self, namespace):
        """Take a sample of a namespace; yield the names that are not in the index."""
        names = [name for name, _ in listed(
            'its repositories', lambda: self._source.repositories(namespace))]
        for name in self._random.sample(names, min(SAMPLE // _NAMESPACES, len(names))):
            finding = self._inspector.inspect(name, ())
            if finding is not None and finding.row is None and has(self._source, name):
                yield name

    def _table(self, kind, name):
        table = {'kind': kind, 'name': name, 'status': 'MISSING'}
        try:
            found = self._store.call('describe_table', TableName=name)['Table']
        except errors.MissingTable:
            return table
        table['status'] = found['TableStatus']
        units = found.get('ProvisionedThroughput', {})
        if units.get('WriteCapacityUnits'):
            table['read_units'] = units['ReadCapacityUnits']
            table['write_units'] = units['WriteCapacityUnits']
        return table

    def _sample(self, sample, number, name):
        """Put a name into the sample or not, so that each name has the same chance."""
        if len(sample) < SAMPLE:
            sample.append(name)
            return
        place = self._random.randrange(number)
        if place < SAMPLE:
            sample[place] = name
