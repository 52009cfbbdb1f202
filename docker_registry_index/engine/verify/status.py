"""Status: what there is, in numbers, and a sample of whether it is right."""

from __future__ import unicode_literals

import random

from .. import errors
from ..store import formats
from .._compat import sleep
from .inspection import Evidence
from ..lifecycle.lease import Lease
from ..store.ready_marker import KEY, Mark
from ..store.retrying import PatientClient
from ..sync.storage import has, listed
from ..sync.survey import Survey

__all__ = ['Status']

#: Repositories of a sample.
SAMPLE = 100
#: Namespaces of the storage that a sample is taken from.
_NAMESPACES = 5
#: Seconds between two looks at a lease.
_LOOK_AGAIN = 0.5


class Status(object):
    """The status of one index.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param source: a Source; None to leave the storage out.
    :param format: the Format to look at; the current one by default.
    """

    def __init__(self, client, tables, source=None, sleep=sleep,
                 choice=random.Random(), format=None):
        self._client = PatientClient(client, lambda: None, sleep)
        self._survey = Survey(self._client, tables, source, lambda: None,
                              sleep)
        self._evidence = Evidence(self._client, tables, format)
        self._format = format or formats.CURRENT
        self._tables = tables
        self._source = source
        self._sleep = sleep
        self._random = choice

    def tables(self):
        """What DescribeTable tells of each table: a list of dictionaries.

        Costs a DescribeTable for each.
        """
        return [self._table(kind) for kind in self._tables]

    def mark(self):
        """The Mark, or None. Costs a GetItem."""
        try:
            return Mark.of(self._client.call(
                'get_item', TableName=self._tables['search'].name, Key=KEY,
                ConsistentRead=True).get('Item'))
        except errors.MissingTable:
            return None

    def lease(self):
        """None when nobody loads; else for how many seconds somebody has, and
        whether it shows signs of life. Takes a fifth of its time then, at
        most: four heartbeats, by default nine seconds.

        Costs one GetItem, and one more each half second that it takes.
        """
        lease = Lease(self._client, self._tables['version'].name)
        try:
            if lease.look() is None:
                return None
            for _ in range(int(lease.seconds_seen / 5 / _LOOK_AGAIN)):
                self._sleep(_LOOK_AGAIN)
                if lease.look() is None:
                    return None
                if lease.is_alive:
                    break
        except errors.MissingTable:
            return None
        return {'seconds': lease.age, 'alive': lease.is_alive}

    def counts(self):
        """How many names are listed, how many rows there are, and a sample of
        the names. Costs a Query of all names and a Scan of the rows."""
        names, sample = 0, []
        for name, _ in self._survey.listed(self._format):
            names += 1
            self._maybe_keep(sample, names, name)
        rows = sum(1 for _ in self._survey.items('scan', 'repository'))
        return names, rows, sample

    def drift(self, sample):
        """Of a sample of names: how many were looked at, how many postings
        they have on average, and which are wrong, and why.

        Costs some requests for each.
        """
        wrong, numbers = {}, []
        for name in sample:
            finding = self._evidence.of(name, ())
            if finding is not None and finding.detail:
                wrong[name] = finding.detail
            elif finding is not None and finding.row is not None:
                numbers.append(len(self._evidence.wanted(name, finding.row)))
                if self._source and not has(self._source, name):
                    wrong[name] = 'is not in the storage'
        if self._source:
            wrong.update(self._missing())
        average = sum(numbers) / float(len(numbers)) if numbers else None
        return len(sample), average, wrong

    def _missing(self):
        """Those of a sample of the storage that the index has not."""
        namespaces = listed('its namespaces', self._source.namespaces)
        for namespace in self._random.sample(
                namespaces, min(_NAMESPACES, len(namespaces))):
            names = [name for name, _ in listed(
                'its repositories',
                lambda: self._source.repositories(namespace))]
            for name in self._random.sample(names, min(
                    SAMPLE // _NAMESPACES, len(names))):
                finding = self._evidence.of(name, ())
                if finding is not None and finding.row is None and has(
                        self._source, name):
                    yield name, 'is in the storage and not in the index'

    def _table(self, kind):
        name = self._tables[kind].name
        told = {'kind': kind, 'name': name, 'status': 'MISSING'}
        try:
            found = self._client.call('describe_table',
                                      TableName=name)['Table']
        except errors.MissingTable:
            return told
        told['status'] = found['TableStatus']
        units = found.get('ProvisionedThroughput', {})
        if units.get('WriteCapacityUnits'):
            told['read_units'] = units['ReadCapacityUnits']
            told['write_units'] = units['WriteCapacityUnits']
        return told

    def _maybe_keep(self, sample, number, name):
        """Keep each of all names with the same chance."""
        if len(sample) < SAMPLE:
            sample.append(name)
            return
        place = self._random.randrange(number)
        if place < SAMPLE:
            sample[place] = name
