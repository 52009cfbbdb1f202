"""What a load knows: the storage's repositories, the index's, side by side.

Kept in a temporary file, so that a load of any number of repositories needs
the same memory; read in small pieces, so that the load shows that it lives.
"""

from __future__ import unicode_literals

import collections
import marshal

from ..store.repository_state import Known, Row
from .scratch import Binary, scratch_database

__all__ = ['Entry', 'Ledger']

#: Entries that are read from the file at a time.
_PAGE = 500
#: Names that are counted at a time.
_COUNTED = 5000

_TABLES = {'listed': 'description TEXT, place INTEGER', 'rows': 'item BLOB',
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
        self._places = self._taken_to = 0
        #: How many entries take_listed has given.
        self.taken = 0
        self._database = scratch_database()
        self._database.execute('BEGIN')
        for table, columns in _TABLES.items():
            self._database.execute(
                'CREATE TABLE %s (name TEXT PRIMARY KEY, %s) WITHOUT ROWID'
                % (table, columns))
        self._database.execute('CREATE INDEX places ON listed (place)')

    def close(self):
        """Give the disk back."""
        self._database.close()

    def note_listed(self, pairs):
        """Note (name, description or None) pairs of the storage; of a name
        that comes twice, the first."""
        triples = []
        for name, description in pairs:
            self._places += 1
            triples.append((name, description, self._places))
        self._database.executemany(
            'INSERT OR IGNORE INTO listed VALUES (?, ?, ?)', triples)

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
        return self._database.execute(
            'SELECT count(*) FROM %s' % table).fetchone()[0]

    def count_all(self, beat=lambda: None):
        """How many entries there are, those that were taken among them.

        :param beat: called now and then meanwhile.
        """
        total, last = 0, ''
        while last is not None:
            beat()
            counted, last = self._database.execute(
                'SELECT count(*), max(name) FROM (%s)' % _NAMES,
                (last, _COUNTED)).fetchone()
            total += counted
        return total

    def entries(self):
        """Yield an Entry for each name that was not taken, in the order of
        their UTF-8."""
        last, page = '', [None]
        while page:
            page = self._database.execute(
                _ENTRIES % _NAMES, (last, _PAGE)).fetchall()
            for place, entry in self._read(page):
                if place is None or place > self._taken_to:
                    yield entry
                last = entry.name

    def take_listed(self, count):
        """The next so many entries that the storage listed, in the order in
        which they were noted; entries() leaves them out."""
        page = self._database.execute(
            _ENTRIES % _LISTED, (self._taken_to, count)).fetchall()
        found = list(self._read(page))
        self._taken_to = max([self._taken_to] + [place for place, _ in found])
        self.taken += len(found)
        return [entry for _, entry in found]

    def _read(self, page):
        """Yield (place or None, Entry) of each line."""
        for line in page:
            yield line[-1], _entry(self._format, *line[:-1])

    def _note(self, table, pairs):
        self._database.executemany(
            'INSERT OR REPLACE INTO %s VALUES (?, ?)' % table, pairs)


# Of each table the next few: all of it would be sorted as one piece.
_NAMES = 'SELECT name FROM (%s) ORDER BY name LIMIT ?2' % ' UNION '.join(
    'SELECT name FROM (SELECT name FROM %s WHERE name > ?1 ORDER BY name '
    'LIMIT ?2)' % table for table in ('listed', 'rows', 'witnesses'))
_LISTED = ('SELECT name FROM listed WHERE place > ?1 ORDER BY place '
           'LIMIT ?2')
_ENTRIES = '''
    SELECT names.name, listed.name IS NOT NULL, listed.description, rows.item,
           witnesses.description, removals.number, listed.place
    FROM (%s) AS names LEFT JOIN listed USING (name)
    LEFT JOIN rows USING (name) LEFT JOIN witnesses USING (name)
    LEFT JOIN removals USING (name) ORDER BY names.name'''


def _entry(format, name, is_listed, description, item, witness, removal):
    row = None if item is None else Row.of(marshal.loads(bytes(item)),
                                           format)
    return Entry(name, bool(is_listed), description, Known(row, witness),
                 removal)
