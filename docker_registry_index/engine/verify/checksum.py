"""Tally: whether two large sets of postings are equal, name by name.

Of each name only the number of its postings and a sum of their digests are
kept, in a temporary file: so many postings are compared in little memory.
"""

from __future__ import unicode_literals

import hashlib
import json

from ..sync.scratch import scratch_database

__all__ = ['Tally']

#: Names whose sums are kept in memory at a time.
_NAMES = 20000
_SUMS = 'name TEXT PRIMARY KEY, number INTEGER, digest INTEGER'


class Tally(object):
    """Expected and found postings, and what differs.

    :raises scratch.Error: the disk for temporary files is full or missing.
    """

    def __init__(self):
        self._database = scratch_database()
        self._sums = {'expected': {}, 'found': {}}
        for command in (
                'BEGIN', 'CREATE TABLE expected (%s) WITHOUT ROWID' % _SUMS,
                'CREATE TABLE found (%s) WITHOUT ROWID' % _SUMS,
                'CREATE TABLE suspects (name TEXT PRIMARY KEY) WITHOUT ROWID',
                'CREATE TABLE keys (name TEXT, gram TEXT, suffix TEXT, '
                'PRIMARY KEY (name, gram, suffix)) WITHOUT ROWID'):
            self._database.execute(command)

    def close(self):
        """Give the disk back."""
        self._database.close()

    def expect(self, name, items):
        """Note the items that a name should have."""
        for item in items:
            self._add('expected', name, item)

    def find(self, name, item):
        """Note an item that is there."""
        self._add('found', name, item)

    def suspect(self, name):
        """Note a name that is to be looked at in any case."""
        self._database.execute('INSERT OR IGNORE INTO suspects VALUES (?)',
                               (name,))

    def compare(self):
        """Suspect each name whose items differ; return how many."""
        for table in self._sums:
            self._flush(table)
        for one, other in ('expected', 'found'), ('found', 'expected'):
            self._database.execute(
                'INSERT OR IGNORE INTO suspects SELECT name FROM ('
                'SELECT * FROM %s EXCEPT SELECT * FROM %s)' % (one, other))
        return self._database.execute(
            'SELECT count(*) FROM suspects').fetchone()[0]

    def is_suspect(self, name):
        """Whether a name is to be looked at."""
        return self._database.execute(
            'SELECT 1 FROM suspects WHERE name = ?',
            (name,)).fetchone() is not None

    def note_key(self, name, gram, suffix):
        """Keep the key of an item of a suspect."""
        self._database.execute('INSERT OR IGNORE INTO keys VALUES (?, ?, ?)',
                               (name, gram, suffix))

    def suspects(self):
        """Yield (name, the keys kept of it) of each suspect, in order."""
        for (name,) in self._database.execute(
                'SELECT name FROM suspects ORDER BY name'):
            yield name, self._database.execute(
                'SELECT gram, suffix FROM keys WHERE name = ?',
                (name,)).fetchall()

    def _add(self, table, name, item):
        sums = self._sums[table]
        number, digest = sums.get(name, (0, 0))
        sums[name] = number + 1, digest + _digest(item)
        if len(sums) >= _NAMES:
            self._flush(table)

    def _flush(self, table):
        sums = self._sums[table]
        self._database.executemany(
            'INSERT OR IGNORE INTO %s VALUES (?, 0, 0)' % table,
            [(name,) for name in sums])
        self._database.executemany(
            'UPDATE %s SET number = number + ?, digest = digest + ? '
            'WHERE name = ?' % table,
            [(number, digest, name)
             for name, (number, digest) in sums.items()])
        sums.clear()


def _digest(item):
    """48 bits, so that a million of them add up within SQLite's integers."""
    told = json.dumps(item, sort_keys=True, default=repr)
    return int(hashlib.md5(told.encode('ascii')).hexdigest()[:12], 16)
