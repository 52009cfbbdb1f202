"""Everything that the engine asks of DynamoDB in the life of an index, step by step, on moto."""
from docker_registry_index.engine.lifecycle.lease import Lease
from docker_registry_index.engine.store.records import TOMBSTONE, marker_key

#: A name whose postings do not fit into one transaction.
LONG = 'team/' + '.'.join('%02x' % number for number in range(36))


class WholeLife:
    """The steps of a life.

    :param index: an EngineIndex without tables.
    :ivar steps: what is done to a list of functions that do it, in order."""

    def __init__(self, index):
        self._index, self._engine, self._other = index, index.engine, index.another()
        self._tables = index.settings
        engine, queue = index.engine, index.engine.description_queue
        self.steps = {
            'start': [lambda: index.ensure_ready(lambda: [('acme/web', None)])],
            'warm': [lambda: index.ensure_ready(lambda: [])],
            'push': [lambda: engine.add('acme/api', 'text'), lambda: engine.add('acme/api'),
                     lambda: engine.add(LONG), self._delete_row, lambda: engine.add('acme/web')],
            'notes': [lambda: queue.note(['acme/web']), lambda: queue.done(queue.notes(1)[0]),
                      lambda: engine.catalog(limit=1)],
            'search': [lambda: engine.search('web', 25), lambda: engine.search('', 1),
                       lambda: engine.catalog(limit=1)],
            'long': [lambda: engine.search(LONG, 25), lambda: engine.search(''), engine.catalog],
            'touch': [self._age_row, lambda: engine.add('acme/web')],
            'delete': [lambda: engine.remove('acme/api'), lambda: engine.remove(LONG)],
            'sync': [self._put_old_tombstone,
                     lambda: engine.sync(lambda: [('acme/web', None), ('acme/new', None)])],
            'life': [self._keep_running],
            'status': [self._status],
            'check': [self._delete_posting, self._check_and_repair],
            'lease': [Lease(index.store).acquire, Lease(index.store).acquire],
            'again': [self._lose_tables, lambda: index.ensure_ready(lambda: [('acme/web', None)])]}

    def _delete_row(self):
        """Do what a worker of 0.1.0 would: the first guess of the next change is wrong."""
        self._other.dynamodb.delete_item(TableName=self._tables.repository_table,
                                         Key={'name': {'S': 'acme/web'}})

    def _age_row(self):
        self._other.change_item(self._tables.repository_table, {'name': {'S': 'acme/web'}},
                                touched={'N': '1'})

    def _put_old_tombstone(self):
        self._other.dynamodb.put_item(TableName=self._tables.search_table, Item=dict(
            marker_key(TOMBSTONE, 'acme/old'), number={'S': 'x'}, expires={'N': '1'}))

    def _delete_posting(self):
        lost = self._other.postings()[0]
        self._other.dynamodb.delete_item(TableName=self._tables.search_table, Key={
            key: lost[key] for key in ('gram', 'suffix')})

    def _lose_tables(self):
        self._other.dynamodb.delete_table(TableName=self._tables.repository_table)
        self._other.dynamodb.delete_item(TableName=self._tables.version_table,
                                         Key={'version': {'N': '1'}})

    def _keep_running(self):
        """Do what a program does that keeps running."""
        engine = self._engine
        engine.start(lambda: [('acme/web', None)])
        assert engine.apply_change('acme/pushed', True) and engine.apply_change('acme/web', True)
        assert engine.apply_change('acme/pushed', False)
        engine.close()

    def _status(self):
        report = self._engine.status(lambda: [('acme/web', None)])
        report.tables(), report.marker(), report.lease(), report.inspect(report.counts()[2])

    def _check_and_repair(self):
        [problem] = self._engine.checker(lambda: [('acme/web', None)]).check(repair=True)
        assert problem.repaired
