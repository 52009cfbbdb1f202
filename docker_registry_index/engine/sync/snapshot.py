"""The snapshot of a storage and its index, from which a load works.

A temporary file keeps it, so that a load needs the same memory for any number of repositories. It
is read in small pieces, so that the load's heartbeat continues. No other module uses sqlite3."""

from __future__ import unicode_literals

import collections
import hashlib
import logging
import marshal
import sqlite3

from .. import errors
from .._compat import monotonic, sleep
from ..store import postings, text
from ..store.records import (
    MARKERS, PLACE_KEY, READY_KEY, TOMBSTONE, ReadyMarker, RepositoryState, Row,
    name_of_marker)
from .listing import Listing, Progress

logger = logging.getLogger(__name__)

#: The error of a full or missing disk for temporary files.
ScratchError = sqlite3.Error

#: The kilobytes of a temporary database in memory; the rest is in the file.
_CACHE = 4096
#: The number of entries that are read from the file, and of names that are counted, at a time.
_ENTRIES_AT_ONCE, _COUNTED_AT_ONCE = 500, 5000
#: The items of a page: few, because a page is decoded without a pause, and a gevent worker serves
#: no request meanwhile.
_PAGE = 1000
#: The number of items that are read before other greenlets run.
_YIELD_EVERY = 100
#: The digits of the digest in front of each name of a scattered snapshot.
_DIGITS = 8

_TABLES = {'listed': 'description TEXT, is_taken INTEGER', 'rows': 'item BLOB',
           'witnesses': 'description TEXT', 'removals': 'number TEXT, expires INTEGER'}
# Selects the next names of each table, because SQLite would sort all names of a table at once.
_NAMES = 'SELECT name FROM (%s) ORDER BY name LIMIT ?2' % ' UNION '.join(
    'SELECT name FROM (SELECT name FROM %s WHERE name > ?1 ORDER BY name LIMIT ?2)' % table
    for table in ('listed', 'rows', 'witnesses'))
_LISTED = 'SELECT name FROM listed WHERE is_taken = 0 AND name > ?1 ORDER BY name LIMIT ?2'
_ENTRIES = '''
    SELECT names.name, listed.name IS NOT NULL, listed.description, rows.item,
           witnesses.description, removals.number, listed.is_taken
    FROM (%s) AS names LEFT JOIN listed USING (name) LEFT JOIN rows USING (name)
    LEFT JOIN witnesses USING (name) LEFT JOIN removals USING (name) ORDER BY names.name'''


def scratch_database(kilobytes=None):
    """Return a connection to a new, empty database, which is deleted when the connection is closed.

    :param kilobytes: those of the database that are kept in memory; by default 4 MB.

    SQLite creates its file, which has no name, in the folder of the environment variable
    SQLITE_TMPDIR or TMPDIR, otherwise in /var/tmp, /usr/tmp or /tmp. Any thread may use the
    connection, one at a time. https://www.sqlite.org/inmemorydb.html#temp_db

    :raises ScratchError: the disk is full or missing."""
    connection = sqlite3.connect('', check_same_thread=False)
    connection.isolation_level = None
    cache_size = 'cache_size = -%d' % (kilobytes or _CACHE)
    for pragma in cache_size, 'journal_mode = OFF', 'synchronous = OFF':
        connection.execute('PRAGMA ' + pragma).fetchall()
    return connection


class Entry(collections.namedtuple('Entry', 'name is_listed description state removal')):
    """One repository of the storage, of the index or of both.

    :param is_listed: True if the storage listed the repository.
    :param description: its description in the storage; None if there is none.
    :param state: its RepositoryState in the index.
    :param removal: the number of its tombstone before the storage was listed; None if there was
        none."""
    __slots__ = ()


class Snapshot(object):
    """Collects the names of a storage and its index, then returns them joined, in order.

    :param is_scattered: True for the order of a digest of the names, so that names that follow each
        other are in different parts of DynamoDB's tables; False for that of the names in UTF-8.
    :raises ScratchError: the disk for temporary files is full or missing."""

    def __init__(self, is_scattered=False):
        self._prefix = _DIGITS if is_scattered else 0
        self._last_taken = ''
        #: The number of names that note_listed has added; of entries that take_listed has returned.
        self.listed = self.taken = 0
        self._database = scratch_database()
        self._database.execute('BEGIN')
        for table, columns in _TABLES.items():
            self._database.execute(
                'CREATE TABLE %s (name TEXT PRIMARY KEY, %s) WITHOUT ROWID' % (table, columns))
        self._database.execute('CREATE INDEX waiting ON listed (name) WHERE is_taken = 0')

    def close(self):
        """Delete the temporary file."""
        self._database.close()

    def note_listed(self, pairs):
        """Add (name, description or None) pairs of the storage; the first pair of a name counts."""
        rows = [(self._key_of(name), description) for name, description in pairs]
        self._database.executemany('INSERT OR IGNORE INTO listed VALUES (?, ?, 0)', rows)
        self.listed += len(rows)

    def note_row(self, item):
        """Add a row as DynamoDB returned it."""
        self._insert('rows', item['name']['S'], sqlite3.Binary(marshal.dumps(item)))

    def note_witness(self, name, description):
        """Add a witness and its description, '' for none."""
        self._insert('witnesses', name, description)

    def note_removal(self, name, number, expires=0):
        """Add a tombstone: its number, and the Unix time when it expires."""
        self._insert('removals', name, number, expires)

    def expired(self, now):
        """Yield (name, number) of each tombstone that has expired."""
        for key, number in self._database.execute(
                'SELECT name, number FROM removals WHERE expires < ?', (now,)):
            yield key[self._prefix:], number

    def count(self, table='listed'):
        """Return the number of names in a table, ``listed`` or ``rows``."""
        return self._database.execute('SELECT count(*) FROM %s' % table).fetchone()[0]

    def count_all(self, heartbeat=lambda: None):
        """Return the number of all entries, including those that were taken.

        :param heartbeat: called every 5 000 names."""
        total, last = 0, ''
        while last is not None:
            heartbeat()
            counted, last = self._database.execute(
                'SELECT count(*), max(name) FROM (%s)' % _NAMES,
                (last, _COUNTED_AT_ONCE)).fetchone()
            total += counted
        return total

    def entries(self):
        """Yield an Entry for each name that was not taken, in order."""
        last, page = '', [None]
        while page:
            page = self._database.execute(_ENTRIES % _NAMES, (last, _ENTRIES_AT_ONCE)).fetchall()
            for is_taken, entry in map(self._entry, page):
                if not is_taken:
                    yield entry
            last = page[-1][0] if page else None

    def take_listed(self, count):
        """Return the next ``count`` entries that the storage listed, in order; after the last one,
        begin again with those that were listed meanwhile. entries() leaves these out."""
        page = self._database.execute(_ENTRIES % _LISTED, (self._last_taken, count)).fetchall()
        self._database.executemany(
            'UPDATE listed SET is_taken = 1 WHERE name = ?', [line[:1] for line in page])
        self._last_taken = page[-1][0] if len(page) == count else ''
        self.taken += len(page)
        return [entry for _, entry in map(self._entry, page)]

    def _key_of(self, name):
        return hashlib.sha256(name.encode('utf-8')).hexdigest()[:self._prefix] + name

    def _insert(self, table, name, *values):
        self._database.execute('INSERT OR REPLACE INTO %s VALUES (?, %s)' % (
            table, ', '.join('?' * len(values))), (self._key_of(name),) + values)

    def _entry(self, line):
        """Return (is_taken or None, Entry) of a result row of the database."""
        key, is_listed, description, item, witness, removal, is_taken = line
        row = None if item is None else Row.of(marshal.loads(bytes(item)))
        return is_taken, Entry(key[self._prefix:], bool(is_listed), description,
                               RepositoryState(row, witness), removal)


class SnapshotReader(object):
    """Reads a storage and its index into a Snapshot.

    :param store: a Store that retries.
    :param source: a Source; None to leave the storage out.
    :param heartbeat: called often; raises to stop.
    :param on_listed: called each time that the storage has listed some repositories."""

    def __init__(self, store, source, heartbeat=lambda: None, sleep=sleep, clock=monotonic,
                 on_listed=lambda: None):
        self._store = store
        self._source = source
        self._heartbeat = heartbeat
        self._sleep = sleep
        self._clock = clock
        self._on_listed = on_listed
        #: The namespaces that could not be read, as the source returned them.
        self.unreadable = []
        #: The place that is stored, where the listing of this load has begun or a later load can
        #: resume; None for the start.
        self.place = None
        #: True if the listing has not begun at the start.
        self.is_resumed = False
        #: The Listing of the storage, once it has begun.
        self.listing = None

    def take(self, meanwhile=None, is_scattered=False):
        """Return a Snapshot of the storage and the index; the caller closes it.

        :param is_scattered: see Snapshot.
        :param meanwhile: called with the Snapshot while the storage is being listed, if the index
            was never loaded completely; returns True if it did any work.
        :raises RequestFailed, LeaseLost: as the store and the heartbeat do.
        :raises StorageUnreadable: no part of the storage can be read."""
        snapshot = Snapshot(is_scattered)
        try:
            # Read the tombstones before listing the storage: a newer tombstone shows that the
            # listing is out of date.
            if self._add_tombstones(snapshot) or not meanwhile:
                self._add_storage(snapshot)
                self._add_index(snapshot)
            else:
                self._add_index(snapshot)
                if self.place is not None:
                    logger.info('the load resumes after the names that an interrupted one has read')
                self._source.resume_at(self.place)
                self.is_resumed = self.place is not None
                self._add_storage(snapshot, lambda: meanwhile(snapshot))
        except BaseException:
            snapshot.close()
            raise
        return snapshot

    def may_have_missed(self, name):
        """Return True if a name may be in a namespace that could not be read."""
        return any(self._source.may_contain(each, name) for each in self.unreadable)

    def rows(self):
        """Yield the item of each row."""
        return self._cooperatively(self._store.scan_all(self._store.repository_table, _PAGE))

    def witnesses(self):
        """Yield (name, description or '') of each witness."""
        for item in self._cooperatively(self._store.query_all(postings.CATALOG, limit=_PAGE)):
            yield postings.fields_of(item)

    def postings(self, **segment):
        """Yield the item of each posting, including the witnesses.

        :param segment: the Segment and TotalSegments of a parallel Scan; by default, the whole
            table is read."""
        for item in self._cooperatively(self._store.scan_all(
                self._store.search_table, _PAGE, **segment)):
            if postings.is_gram(item['gram']['S']):
                yield item

    def _add_tombstones(self, snapshot):
        """Add the tombstones; return True if a load of the index was ever complete."""
        marker = None
        for item in self._cooperatively(self._store.query_all(MARKERS, limit=_PAGE)):
            name = name_of_marker(TOMBSTONE, item)
            if name is not None:
                snapshot.note_removal(name, item['number']['S'],
                                      int(item.get('expires', {}).get('N', 0)))
            elif item['suffix'] == PLACE_KEY['suffix']:
                self.place = item['place']['S']
            elif item['suffix'] == READY_KEY['suffix']:
                marker = ReadyMarker.of(item)
        return marker is not None and marker.synced is not None

    def _add_storage(self, snapshot, meanwhile=lambda: False):
        if not self._source:
            return
        self.listing = listing = Listing(self._source, clock=self._clock)
        progress = Progress(self._clock)

        def heartbeat():
            self._heartbeat()
            progress.note_listed(snapshot.listed, snapshot.taken)

        for batch in listing.batches(heartbeat, meanwhile):
            self._on_listed()
            snapshot.note_listed((text.to_text(name), text.clean_description(description))
                                 for name, description in batch if _is_valid(name))
        self.unreadable = listing.unreadable

    def _add_index(self, snapshot):
        for item in self.rows():
            if _is_valid(item['name']['S']):
                snapshot.note_row(item)
        for name, description in self.witnesses():
            snapshot.note_witness(name, description)

    def _cooperatively(self, items):
        """Yield items; after each hundred, let other greenlets run."""
        for place, item in enumerate(items):
            if place % _YIELD_EVERY == 0:
                self._sleep(0)
                self._heartbeat()
            yield item


def _is_valid(name):
    try:
        text.check_name(name)
    except errors.InvalidName as error:
        logger.warning('a repository is left out of the search index: %s', error)
        return False
    return True
