"""Tables: created when missing, all at once, and waited for; never beside
those of a newer release."""

from __future__ import unicode_literals

import logging

from .. import errors
from . import schema
from .._compat import monotonic, sleep

__all__ = ['check_version', 'create_missing']

logger = logging.getLogger(__name__)

#: Seconds until a new table should be active; it takes five to ten on AWS.
PATIENCE = 120


def check_version(client, table):
    """Refuse a database of another version, as release 0.1.0 does.

    Costs a consistent Scan of the version table, of one row.

    :raises NewerDatabase: it is one.
    """
    try:
        rows = client.call('scan', TableName=table,
                           ConsistentRead=True)['Items']
    except errors.MissingTable:
        return
    for row in rows:
        if row['version']['N'] != schema.VERSION:
            raise errors.NewerDatabase(table, row['version']['N'],
                                       schema.VERSION)


def create_missing(client, tables, before_creating=lambda: False,
                   sleep=sleep):
    """Make all tables exist and be active; return the names of the new ones.

    All are asked for before the first is waited for. Costs a DescribeTable
    for each table and one more for each look while one is not active, and a
    CreateTable and an UpdateTimeToLive where something is missing.

    :param tables: what schema.tables gives.
    :param before_creating: called before the first CreateTable, when some
        tables exist and others do not. When it returns true, they are looked
        at anew, and it is called again.
    :raises ForeignDatabase: a table has other keys than ours; nothing was
        created then.
    :raises TableError: a table did not become active within two minutes.
    """
    deadline = monotonic() + PATIENCE
    is_settled = False
    while not is_settled:
        found = _look(client, tables, deadline, sleep)
        missing = [table for table in tables.values()
                   if not found[table.name]]
        is_settled = (len(missing) in (0, len(tables)) or
                      not before_creating())
    created = [table for table in missing if _create(client, table)]
    for table in tables.values():
        _wait_active(client, table, found[table.name], deadline, sleep)
    if tables['search'] in created:
        _expire_tombstones(client, tables['search'])
    return [table.name for table in created]


def _look(client, tables, deadline, sleep):
    """What there is of each table by its name, None for nothing."""
    found = {}
    for table in tables.values():
        found[table.name] = _gone_or_staying(client, table, deadline, sleep)
        _check_keys(table, found[table.name])
    return found


def _describe(client, table):
    try:
        return client.call('describe_table', TableName=table.name)['Table']
    except errors.MissingTable:
        return None


def _gone_or_staying(client, table, deadline, sleep):
    """The table's description, None if missing; one being deleted is waited
    for until it is gone."""
    description = _describe(client, table)
    while description and description['TableStatus'] == 'DELETING':
        _pause(table, 'is still being deleted', deadline, sleep)
        description = _describe(client, table)
    return description


def _check_keys(table, description):
    if description is None:
        return
    expected = schema.definition(table)
    kinds = {attribute['AttributeName']: attribute['AttributeType']
             for attribute in description['AttributeDefinitions']}
    found = [(key['AttributeName'], key['KeyType'],
              kinds.get(key['AttributeName']))
             for key in description['KeySchema']]
    kinds = {attribute['AttributeName']: attribute['AttributeType']
             for attribute in expected['AttributeDefinitions']}
    wanted = [(key['AttributeName'], key['KeyType'],
               kinds[key['AttributeName']])
              for key in expected['KeySchema']]
    if sorted(found) != sorted(wanted):
        raise errors.ForeignDatabase(
            table.name, 'has the keys %s where %s are needed' % (
                _spell(found), _spell(wanted)))


def _spell(keys):
    return ', '.join('%s (%s, %s)' % key for key in keys)


def _create(client, table):
    """Ask for a table; False when another process was faster."""
    try:
        client.call('create_table', **schema.definition(table))
    except errors.RequestFailed as error:
        if error.code != 'ResourceInUseException':
            raise
        return False
    logger.info('created the DynamoDB table %s, billed on demand', table.name)
    return True


def _wait_active(client, table, description, deadline, sleep):
    if description is None:
        description = _describe(client, table)
    while not description or description['TableStatus'] not in (
            'ACTIVE', 'UPDATING'):
        _pause(table, 'is not active yet', deadline, sleep)
        description = _describe(client, table)


def _pause(table, problem, deadline, sleep):
    if monotonic() > deadline:
        raise errors.TableError(
            table.name, '%s after %d seconds' % (problem, PATIENCE),
            'look at it in the AWS console and start again')
    sleep(0.5)


def _expire_tombstones(client, table):
    """Let DynamoDB delete old tombstones by itself; a convenience only."""
    try:
        client.call('update_time_to_live', TableName=table.name,
                    TimeToLiveSpecification={'Enabled': True,
                                             'AttributeName': 'expires'})
    except errors.RequestFailed as error:
        logger.warning('tombstones of removed repositories will stay in %s '
                       '(a few bytes each): %s', table.name, error)
