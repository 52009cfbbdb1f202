"""Makes the requests of release 0.1.0 of this package, to run it beside the current release.

0.1.0 used boto's dynamodb2 layer: it leaves out empty values, expects that a new item does not
exist, and overwrites an item as a whole. The requests here do the same."""

_INDEX = 'Repositories-By-Description-Index'
_FIVE = {'ReadCapacityUnits': 5, 'WriteCapacityUnits': 5}


class UnknownVersion(Exception):
    """0.1.0 does not start: the version table contains another number than 1."""


class Release010(object):
    """A worker of 0.1.0 on the tables of a place."""

    def __init__(self, place):
        self._dynamodb = place.dynamodb
        self._repositories, self._versions = place.table('repository'), place.table('version')

    def create_tables(self):
        """Create the two tables, as the first start of 0.1.0 did."""
        by_description = {
            'IndexName': _INDEX, 'KeySchema': _keys('description'),
            'Projection': {'ProjectionType': 'ALL'}, 'ProvisionedThroughput': _FIVE}
        self._create(self._repositories, 'name', {'name': 'S', 'description': 'S'},
                     GlobalSecondaryIndexes=[by_description])
        self._create(self._versions, 'version', {'version': 'N'})
        for table in self._repositories, self._versions:
            self._dynamodb.get_waiter('table_exists').wait(
                TableName=table, WaiterConfig={'Delay': 1, 'MaxAttempts': 20})

    def _create(self, table, key, types, **more):
        self._dynamodb.create_table(
            TableName=table, KeySchema=_keys(key), ProvisionedThroughput=_FIVE,
            AttributeDefinitions=[{'AttributeName': name, 'AttributeType': types[name]}
                                  for name in types], **more)

    def start(self):
        """Read the version, or write it if there is none. 0.1.0 uses the first row of a scan.

        :raises UnknownVersion: the version is not 1."""
        rows = self._dynamodb.scan(TableName=self._versions)['Items']
        if not rows:
            self._dynamodb.put_item(TableName=self._versions, Item={'version': {'N': '1'}})
        elif rows[0]['version']['N'] != '1':
            raise UnknownVersion(rows[0]['version']['N'])

    def load(self, names):
        """Put repositories without descriptions, in batches of 25, as the first start did."""
        for first in range(0, len(names), 25):
            self._dynamodb.batch_write_item(RequestItems={self._repositories: [
                {'PutRequest': {'Item': _row(name)}} for name in names[first:first + 25]]})

    def created(self, name):
        """Follow the signal repository_created: put the row, whose description is ''."""
        self._dynamodb.put_item(TableName=self._repositories, Item=_row(name), Expected={
            'name': {'Exists': False}, 'description': {'Exists': False}})

    def updated(self, name):
        """Follow repository_updated: get the row, and put it without its description, even if it
        has changed meanwhile."""
        row = self._dynamodb.get_item(TableName=self._repositories, Key=_row(name))['Item']
        row.pop('description', None)
        self._dynamodb.put_item(TableName=self._repositories, Item=row)

    def deleted(self, name):
        """Follow repository_deleted."""
        self._dynamodb.delete_item(TableName=self._repositories, Key=_row(name))

    def search(self, term=''):
        """Return the names that its search finds, sorted."""
        # Release 0.1.0 sends a ScanFilter with the ConditionalOperator OR, which ministack reads as
        # AND.
        matching = {'FilterExpression': 'contains(#name, :term) OR contains(description, :term)',
                    'ExpressionAttributeNames': {'#name': 'name'},
                    'ExpressionAttributeValues': {':term': {'S': term}}} if term else {}
        pages = self._dynamodb.get_paginator('scan').paginate(
            TableName=self._repositories, **matching)
        return sorted(row['name']['S'] for page in pages for row in page['Items'])

    def names(self):
        """Return the names that its empty search finds, sorted."""
        return self.search()

    def by_description(self, description):
        """Return the names that its secondary index contains for a description."""
        condition = {'AttributeValueList': [{'S': description}], 'ComparisonOperator': 'EQ'}
        return [row['name']['S'] for row in self._dynamodb.query(
            TableName=self._repositories, IndexName=_INDEX,
            KeyConditions={'description': condition})['Items']]


def _keys(name):
    return [{'AttributeName': name, 'KeyType': 'HASH'}]


def _row(name):
    return {'name': {'S': name}}


def put_as_0_1_0(index, name):
    """Put a row without a description, whatever is there."""
    Release010(index).load([name])


def update_as_0_1_0(index, name):
    """Read a row and put it without its description."""
    Release010(index).updated(name)


def delete_as_0_1_0(index, name):
    """Delete a row."""
    Release010(index).deleted(name)
