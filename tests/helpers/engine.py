"""EngineIndex: an engine on a database of its own, for one test or module."""
from __future__ import unicode_literals

import uuid

from docker_registry_index.engine import SearchIndex, Settings, errors
from docker_registry_index.engine.lifecycle.start import Startup
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import (
    MARKERS, READY_KEY, TOMBSTONE, Row, name_of_marker)
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.store.text import clean_description
from docker_registry_index.engine.sync.loader import Loader
from docker_registry_index.engine.sync.source import as_source
from docker_registry_index.engine.sync.verification import expected_items
from tests.helpers.clock import Clock, SkippingClock


class EngineIndex(object):
    """The engine, with what the contract suite and the engine's tests read and change.

    :param endpoint: the URL of a local DynamoDB.
    :param database: of another EngineIndex, to share its tables.
    :param more: further settings."""

    def __init__(self, endpoint, database=None, **more):
        database = database or 'test-' + uuid.uuid4().hex[:12]
        # In moto, a region of its own: moto's transactions take longer the more a region has.
        region = more.pop('region', None) or (
            database if endpoint.endswith('.amazonaws.com') else 'us-east-1')
        self.endpoint = endpoint
        #: Whether moto answers, in the process of the test.
        self.is_in_process = endpoint.endswith('.amazonaws.com')
        self.settings = Settings(
            database=database, region=region, access_key='AKIADUMMY', secret_access_key='dummy',
            endpoint_url=endpoint.replace('us-east-1', region), **more)
        self.engine = SearchIndex(self.settings)
        self.store = Store(self.settings, self.engine.client)
        self._locks = {}
        self._filled = None

    def another(self, **more):
        """A further engine on the same tables, as in another process."""
        return EngineIndex(self.endpoint, self.settings.database, **more)

    def thinned_on_moto(self, cases, every, first):
        """Return the cases of a test. On moto, where each takes longer, return only every second
        (or third, ...) of them, from the first on."""
        return cases[first % every::every] if self.is_in_process else cases

    def ready(self, repositories=()):
        """Create the tables and load (name, description) pairs."""
        self.ensure_ready(lambda: repositories)
        return self

    def ensure_ready(self, source, **times):
        """Create what is missing, and load if that is new; return whether it is ready.

        :param times: the sleep and the clock of the Startup."""
        return self.starter(source, **times).ensure_ready()

    def take_over(self, source):
        """The same, once the lease of a killed process has ended."""
        clock = Clock()
        return self.ensure_ready(source, clock=clock, sleep=lambda _: clock.sleep(60))

    def starter(self, source, **times):
        """Return a Startup with a lock of its own, as in a process of its own."""
        return Startup(
            self.store, lambda heartbeat, slices, on_listed: self.load(
                source, heartbeat, slices=slices, on_listed=on_listed),
            locks=self._locks, **times)

    def load(self, source, heartbeat=lambda: None, **more):
        """Make the index equal to the storage, and return the LoadReport.

        :param more: further arguments of the Loader, which has no threads by default, so that its
            requests have an order, and does not really wait for long."""
        clock = SkippingClock()
        return Loader(self.store, as_source(source), heartbeat, **dict(
            {'threads': 0, 'clock': clock, 'sleep': clock.sleep}, **more)).load()

    def fill(self, repositories):
        """Make the index contain exactly these repositories."""
        if repositories == self._filled:
            return
        self.ready()
        before = dict(self.engine.search(''))
        for name in set(before) - set(repositories):
            self.engine.remove(name)
        # The removals are older than this listing, so the load may add again.
        self.load(lambda: repositories.items())
        for name in set(before) & set(repositories):
            if clean_description(repositories[name]) != before[name]:
                self.engine.add(name, repositories[name] or '')
        self._filled = dict(repositories)

    def add(self, name, description):
        self._filled = None
        return self.engine.add(name, description)

    def remove(self, name):
        self._filled = None
        return self.engine.remove(name)

    def search(self, term, limit=None):
        return self.engine.search(term, limit)

    def names(self):
        """All names in the index, in their lexical order."""
        return sorted(self.engine.catalog())

    def delete_tables(self):
        """Delete the tables, of which a test may have lost some."""
        for table in self.tables():
            try:
                self.engine.client.call('delete_table', TableName=table)
            except errors.MissingTable:
                pass

    def put_row(self, name, **attributes):
        """Write a row of the repository table as another program might."""
        self.engine.client.call('put_item', TableName=self.settings.repository_table,
                                Item=dict(attributes, name={'S': name}))

    def clear(self):
        """Delete all rows, postings, tombstones and notes, but not the ready marker; return the
        items."""
        self._filled, found = None, []
        for table, keys in ((self.settings.repository_table, ['name']),
                            (self.settings.search_table, ['gram', 'suffix'])):
            items = [item for item in self.items(table)
                     if item.get('suffix') != READY_KEY['suffix']]
            self.store.batch_write(table, [
                {'DeleteRequest': {'Key': {key: item[key] for key in keys}}} for item in items])
            found += items
        return found

    def change_item(self, table, key, **attributes):
        """Set attributes of an item, in DynamoDB's notation, as another program would."""
        self.store.call(
            'update_item', TableName=table, Key=key,
            UpdateExpression='SET ' + ', '.join('#%s = :%s' % (name, name) for name in attributes),
            ExpressionAttributeNames={'#' + name: name for name in attributes},
            ExpressionAttributeValues={':' + name: value for name, value in attributes.items()})

    def write_format(self, number):
        """Change the format in the ready marker."""
        self.change_item(self.settings.search_table, READY_KEY, format={'N': str(number)})

    @property
    def dynamodb(self):
        """The boto3 client, for a Release010."""
        return self.engine.client.dynamodb

    def table(self, kind):
        """Return the name that release 0.1.0 gives a table."""
        return '%s-%s' % (self.settings.database, kind)

    def tables(self):
        return [self.settings.repository_table, self.settings.version_table,
                self.settings.search_table]

    def items(self, table):
        """Everything in a table, in the order of its keys."""
        return sorted(self.store.scan_all(table), key=repr)

    def postings(self):
        """The items of the search table that are postings."""
        return [item for item in self.items(self.settings.search_table)
                if item['gram']['S'] != MARKERS]

    def tombstones(self):
        """The items of the search table that are tombstones."""
        return [item for item in self.items(self.settings.search_table)
                if name_of_marker(TOMBSTONE, item) is not None]

    def rows(self):
        """The items of the repository table, by name."""
        return {row['name']['S']: row for row in self.items(self.settings.repository_table)}

    def assert_whole(self):
        """Assert that the postings are those of the rows, and no others; return the names."""
        rows = self.rows()
        expected = []
        for name, item in rows.items():
            row = Row.of(item)
            expected.extend(expected_items(name, row.description))
            assert row.is_indexed and row.writing is None, item
            assert row.indexed == postings.fields_of(expected[-1])[1], item
        assert sorted(self.postings(), key=_key) == sorted(expected, key=_key)
        assert self.names() == sorted(rows)
        return sorted(rows)


def _key(item):
    return item['gram']['S'], item['suffix']['S']
