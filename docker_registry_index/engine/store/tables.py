"""The three tables: their names and keys, and how missing ones are created.

`<database>-repository` is the source of truth, and has the keys of release 0.1.0.
`<database>-version` has one row, which 0.1.0 reads, too. `<database>-search-<format>` contains the
postings. docs/design.md describes all three."""

from __future__ import unicode_literals

import collections
import functools
import hashlib
import json
import logging

from .. import errors
from .._compat import PY2, monotonic, sleep
from ..settings.options import WARM_READS

logger = logging.getLogger(__name__)

#: The version number of release 0.1.0, which refuses every other.
VERSION = '1'
#: The most seconds until a new table is active; it takes five to ten on AWS.
CREATION_SECONDS = 120

#: A table: its name, and (attribute, type) of each of its keys.
Table = collections.namedtuple('Table', 'name hash_key range_key')


def tables(settings):
    """Return the tables that ``settings`` name: a dictionary of role to Table."""
    return collections.OrderedDict([
        ('repository', Table(settings.repository_table, ('name', 'S'), None)),
        ('version', Table(settings.version_table, ('version', 'N'), None)),
        ('search', Table(settings.search_table, ('gram', 'S'), ('suffix', 'S'))),
    ])


def definition(table):
    """Return the arguments of CreateTable for a table, billed on demand."""
    keys = [(key, kind) for key, kind in ((table.hash_key, 'HASH'), (table.range_key, 'RANGE'))
            if key]
    return {
        'TableName': table.name,
        'KeySchema': [{'AttributeName': key[0], 'KeyType': kind} for key, kind in keys],
        'AttributeDefinitions': [
            {'AttributeName': key[0], 'AttributeType': key[1]} for key, _ in keys],
        'BillingMode': 'PAY_PER_REQUEST',
    }


def check_version(store):
    """Return the rows of the version table; refuse another version, as release 0.1.0 does.

    Costs a consistent Scan of the version table, of one row.

    :raises NewerDatabase: a row has another version."""
    try:
        rows = list(store.scan_all(store.version_table))
    except errors.MissingTable:
        return []
    for row in rows:
        if row['version']['N'] != VERSION:
            raise errors.NewerDatabase(store.version_table, row['version']['N'], VERSION)
    return rows


def create_missing(store, before_creating=lambda: False, sleep=sleep, clock=monotonic):
    """Create the missing tables, and wait until all are active.

    All are created before any wait. Costs a DescribeTable for each table, one more for each check
    of a table that is not active, and a CreateTable for each missing table.

    :param store: a Store.
    :param before_creating: called before the first CreateTable, if some tables exist and others
        do not. If it returns True, the tables are described again, and it is called again.
    :returns: the names of the new tables, and the identity of all; see identity.
    :raises ForeignDatabase: a table has other keys than those of this index; nothing was created.
    :raises SettingError: the setting warm_throughput cannot be used; its table was not created.
    :raises TableError: a table did not become active within two minutes."""
    pause = functools.partial(_pause, clock() + CREATION_SECONDS, sleep, clock)
    is_settled = False
    while not is_settled:
        found = _describe_all(store, pause)
        missing = [table for table in store.tables.values() if not found[table.name]]
        is_settled = len(missing) in (0, len(store.tables)) or not before_creating()
    created = [table for table in missing if _create(store, table)]
    described = [_wait_active(store, table, found[table.name], pause)
                 for table in store.tables.values()]
    return [table.name for table in created], _identity(described)


def identity(store):
    """Return the identity of the tables, a text. Tables that were created again or restored from a
    backup, and replicas in another region, have another identity. None if a table is missing, or if
    the engine gives tables no ids. Costs a DescribeTable for each table.

    :param store: a Store."""
    described = [_describe(store, table) for table in store.tables.values()]
    return _identity(described) if all(described) else None


def are_restored(before, now):
    """Return True if a table was restored between two identities of tables in the same region."""
    return None not in (before, now) and before != now and (
        before.partition(' ')[0] == now.partition(' ')[0])


def _describe_all(store, pause):
    """Return a dictionary of table name to the table's description; None for a missing table. Wait
    while a table is being deleted."""
    found = {}
    for table in store.tables.values():
        description = _describe(store, table)
        while description and description['TableStatus'] == 'DELETING':
            pause(table, 'is still being deleted')
            description = _describe(store, table)
        if description:
            _check_keys(table, description)
        found[table.name] = description
    return found


def _describe(store, table):
    try:
        return store.call('describe_table', TableName=table.name)['Table']
    except errors.MissingTable:
        return None


def _check_keys(table, description):
    found, wanted = _keys_of(description), _keys_of(definition(table))
    if found != wanted:
        raise errors.ForeignDatabase(table.name, 'has the keys %s instead of %s' % tuple(
            ', '.join('%s (%s, %s)' % key for key in keys) for keys in (found, wanted)))


def _keys_of(description):
    """Return (attribute, kind, type) of each key, sorted."""
    types = {attribute['AttributeName']: attribute['AttributeType']
             for attribute in description['AttributeDefinitions']}
    return sorted((key['AttributeName'], key['KeyType'], types.get(key['AttributeName']))
                  for key in description['KeySchema'])


def _create(store, table):
    """Create a table; return False if another process was faster."""
    writes = store.settings.warm_throughput if table.name == store.search_table else None
    warm = {'WarmThroughput': {
        'ReadUnitsPerSecond': WARM_READS, 'WriteUnitsPerSecond': writes}} if writes else {}
    try:
        store.call('create_table', **dict(definition(table), **warm))
    except errors.RequestFailed as error:
        if error.code == 'ResourceInUseException':
            return False
        if warm and error.code in ('ParamValidationError', 'ValidationException'):
            raise _warm_throughput_refused(writes, error)
        raise
    logger.info('created the DynamoDB table %s with on-demand billing', table.name)
    return True


def _warm_throughput_refused(writes, error):
    if error.invalid:
        problem, way_out = 'DynamoDB refuses (%s)' % error, 'write another value'
    else:
        problem = 'the boto3 of this Python does not support'
        # No boto3 for Python 2.7 supports it.
        way_out = ('create the table with docker-registry-index load on Python 3' if PY2
                   else 'upgrade boto3')
    return errors.SettingError('warm_throughput', None, 'is %d, which %s' % (writes, problem),
                               way_out + ', or remove the setting')


def _wait_active(store, table, description, pause):
    if description is None:
        description = _describe(store, table)
    while not description or description['TableStatus'] not in ('ACTIVE', 'UPDATING'):
        pause(table, 'is not active yet')
        description = _describe(store, table)
    return description


def _identity(described):
    ids = [[found.get('TableArn'), found.get('TableId')] for found in described]
    if not all(table_id for _, table_id in ids):
        return None
    # arn:aws:dynamodb:REGION:ACCOUNT:table/NAME
    region = ((ids[0][0] or '') + ':::').split(':')[3]
    return '%s %s' % (
        region, hashlib.sha256(json.dumps(ids).encode('ascii')).hexdigest()[:16])


def _pause(deadline, sleep, clock, table, problem):
    if clock() > deadline:
        raise errors.TableError(table.name, '%s after %d seconds' % (problem, CREATION_SECONDS),
                                'check it in the AWS console, and try again')
    sleep(0.5)
