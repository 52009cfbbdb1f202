"""The three tables: their keys, and the names of what is in them. Pure.

`<database>-repository` is the truth and has the keys of release 0.1.0;
`<database>-version` has one row, which 0.1.0 reads too; `<database>-search`
holds the postings. docs/design.md draws all three.
"""

from __future__ import unicode_literals

import collections

__all__ = [
    'MARKS', 'READY', 'TOMBSTONE', 'UNDESCRIBED', 'VERSION', 'Table',
    'definition', 'key_schema', 'tables',
]


#: The gram of items that are no postings; no name begins a class with it.
MARKS = '!'
#: The range key of the mark that the index is loaded and whole.
READY = 'ready'
#: What the range key of a removed repository's tombstone begins with.
TOMBSTONE = 'removed '
#: And that of a note that a description is to be read.
UNDESCRIBED = 'describe '
#: The version number of release 0.1.0, which refuses every other.
VERSION = '1'


class Table(collections.namedtuple('Table', 'name hash_key range_key')):
    """A table: its name, and (attribute, type) of each of its keys."""

    __slots__ = ()


def tables(settings):
    """The tables of ``settings``, as a dictionary by what they are for."""
    return collections.OrderedDict([
        ('repository',
         Table(settings.repository_table, ('name', 'S'), None)),
        ('version',
         Table(settings.version_table, ('version', 'N'), None)),
        ('search',
         Table(settings.search_table, ('gram', 'S'), ('suffix', 'S'))),
    ])


def key_schema(table):
    """The KeySchema that DynamoDB reports for such a table."""
    schema = [{'AttributeName': table.hash_key[0], 'KeyType': 'HASH'}]
    if table.range_key:
        schema.append({'AttributeName': table.range_key[0],
                       'KeyType': 'RANGE'})
    return schema


def definition(table):
    """The arguments of CreateTable: on demand, nothing to size."""
    keys = [key for key in (table.hash_key, table.range_key) if key]
    return {
        'TableName': table.name,
        'KeySchema': key_schema(table),
        'AttributeDefinitions': [
            {'AttributeName': name, 'AttributeType': kind}
            for name, kind in keys],
        'BillingMode': 'PAY_PER_REQUEST',
    }
