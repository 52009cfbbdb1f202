"""What a load knows: the storage's repositories, the index's, side by side.

Kept in a temporary file, so that a load of any number of repositories needs
the same memory.
"""

from __future__ import unicode_literals

import collections
import marshal

from .known import Known, Row
from .scratch import Binary, scratch_database

__all__ = ['Entry', 'Ledger']

#: Entries that are read from the file at a time.
_PAGE = 500

_TABLES = {'listed': 'description TEXT', 'rows': 'item BLOB',
           'witnesses': 'description TEXT', 'removals': 'number TEXT'}


class Entry(collections.namedtuple(
        'Entry', 'name is_listed description known removal')):
    """One repository, of the storage or of the index or of both.

    :param is_listed: whether the storage listed it.
    :param description: what the storage said of it; None when it has none.
    :param known: a Known, of what the index has.
    :param removal: the number of its tombstone, noted before the storage was
        listed; None when there was none.
    """

    __slots__ = ()


class Ledger(object):
    """Notes names from several places, then gives them in order, joined.

    :param format: the Format that rows are read for; the current one by
        default.
    :raises scratch.Error: the disk for temporary files is full or missing.
    """

    def __init__(self, format=None):
        self._format = format
        self._database = scratch_database()
        self._database.execute('BEGIN')
        for table, column in _TABLES.items():
            self._database.execute(
                'CREATE TABLE %s (name TEXT PRIMARY KEY, %s) WITHOUT ROWID'
                % (table, column))

    def close(self):
        """Give the disk back."""
        self._database.close()

    def note_listed(self, pairs):
        """Note (name, description or None) pairs of the storage."""
        self._note('listed', pairs)

    def note_row(self, item):
        """Note a row as DynamoDB gave it."""
        self._note('rows', [(item['name']['S'],
                             Binary(marshal.dumps(item)))])

    def note_witness(self, name, description):
        """Note a witness and the description on it, '' for none."""
        self._note('witnesses', [(name, description)])

    def note_removal(self, name, number):
        """Note the number of a tombstone."""
        self._note('removals', [(name, number)])

    def count(self, table='listed'):
        """How many names were noted: in ``listed`` or ``rows``."""
        return self._one('SELECT count(*) FROM %s' % table)

    def count_all(self):
        """How many entries there will be."""
        return self._one('SELECT count(*) FROM (%s)' % _NAMES)

    def entries(self):
        """Yield an Entry for each name, in the order of their UTF-8."""
        found = self._database.execute(_ENTRIES)
        while True:
            page = found.fetchmany(_PAGE)
            for entry in page:
                yield _entry(self._format, *entry)
            if not page:
                return

    def _note(self, table, pairs):
        self._database.executemany(
            'INSERT OR REPLACE INTO %s VALUES (?, ?)' % table, pairs)

    def _one(self, query):
        return self._database.execute(query).fetchone()[0]


_NAMES = ('SELECT name FROM listed UNION SELECT name FROM rows '
          'UNION SELECT name FROM witnesses')
_ENTRIES = '''
    SELECT names.name, listed.name IS NOT NULL, listed.description, rows.item,
           witnesses.description, removals.number
    FROM (%s) AS names LEFT JOIN listed USING (name)
    LEFT JOIN rows USING (name) LEFT JOIN witnesses USING (name)
    LEFT JOIN removals USING (name) ORDER BY names.name''' % _NAMES


def _entry(format, name, is_listed, description, item, witness, removal):
    row = None if item is None else Row.of(marshal.loads(bytes(item)),
                                           format)
    return Entry(name, bool(is_listed), description, Known(row, witness),
                 removal)
