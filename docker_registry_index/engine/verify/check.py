"""Check: compares rows, postings and the storage, and repairs postings.

Pushes continue during a check. So each repository that seems wrong is read again, consistently,
before it is reported as a problem."""

from __future__ import unicode_literals

import collections
import hashlib
import json

from .._compat import sleep
from ..store import postings, text
from ..store.records import Row, repository_key
from ..store.store import GET_BATCH
from ..sync.snapshot import SnapshotReader, scratch_database
from ..sync.source import has
from ..write.writer import Writer

#: Attempts to inspect a repository that changes meanwhile.
_ATTEMPTS = 5
_SUMS = 'name TEXT PRIMARY KEY, number INTEGER, digest INTEGER'


class Problem(collections.namedtuple('Problem', 'name kind detail repaired')):
    """A problem of one repository.

    :param name: the name of the repository.
    :param kind: ``postings`` if row and postings differ; ``row`` if the row was never indexed, or
        its last change was interrupted; ``storage`` if only the storage has the repository;
        ``index`` if only the index has it.
    :param detail: a description of the problem.
    :param repaired: True if the problem was repaired."""
    __slots__ = ()


class Checker(object):
    """Runs one check of one index.

    :param store: a Store.
    :param source: a Source; None to check without the storage.
    :param progress: called now and then with (done, total); total is 0 until it is counted."""

    def __init__(self, store, source=None, progress=None, sleep=sleep):
        store = store.retrying(sleep=sleep)
        self._writer = Writer(store)
        self._reader = SnapshotReader(store, source, sleep=sleep)
        self._inspector = Inspector(store)
        self._source = source
        self._progress = progress or (lambda done, total: None)
        #: The numbers of rows and postings that were read so far.
        self.rows = self.postings = 0

    def check(self, repair=False):
        """Yield a Problem for each repository that has one.

        :param repair: True to make the postings match the row. A load repairs the differences from
            the storage.
        :raises RequestFailed: the check did not end.
        :raises StorageUnreadable: no part of the storage can be read.

        Costs a Scan of the rows and a Scan of the postings. If a repository seems wrong, costs
        another Scan of the postings, and some requests for each such repository."""
        checksums = Checksums()
        try:
            self._note_rows(checksums)
            self._note_postings(checksums)
            total = checksums.compare()
            if total:
                self._note_keys(checksums)
            for done, (name, keys) in enumerate(checksums.suspects()):
                self._progress(done, total)
                problem = self._problem(name, keys, repair)
                if problem:
                    yield problem
            self._progress(total, total)
        finally:
            checksums.close()

    def _note_rows(self, checksums):
        snapshot = self._reader.take()
        try:
            for entry in snapshot.entries():
                if entry.state.row is not None:
                    self.rows += 1
                    for item in expected_items(entry.name, entry.state.row):
                        checksums.add('expected', entry.name, item)
                if not entry.state.is_current or (self._source and not entry.is_listed):
                    checksums.add_suspect(entry.name)
        finally:
            snapshot.close()

    def _note_postings(self, checksums):
        for item in self._reader.postings():
            self.postings += 1
            if self.postings % 1000 == 0:
                self._progress(self.postings, 0)
            checksums.add('found', postings.name_of(item), item)

    def _note_keys(self, checksums):
        for item in self._reader.postings():
            name = postings.name_of(item)
            if checksums.is_suspect(name):
                checksums.note_key(name, item['gram']['S'], item['suffix']['S'])

    def _problem(self, name, keys, repair):
        found = self._inspector.inspect(name, keys)
        if found is not None and found.detail:
            repaired = repair and self._repair(name, found)
            return Problem(name, found.kind, found.detail, repaired)
        if (found is None or not self._source or name in self._source.doubtful()
                or self._reader.may_have_missed(name)):
            return None
        is_there = has(self._source, name)
        if is_there and found.row is None:
            return Problem(name, 'storage', 'is in the storage but not in the index; a load adds '
                           'it', False)
        if not is_there and found.row is not None and not self._writer.is_recent(found.row):
            return Problem(name, 'index', 'is in the index but not in the storage; a load removes '
                           'it', False)
        return None

    def _repair(self, name, found):
        """Write all postings again, and delete surplus ones; return True if no problem remains."""
        planner = self._writer.planner

        def plan_again(state):
            if state.row is None:
                change = self._writer.clean(name, state, self._writer.removal(name))
            else:
                # No existing posting is trusted.
                state = state._replace(row=state.row._replace(is_indexed=False))
                change = planner.put(name, None, state)
            # The witness has its own action, with a condition.
            there = set(_key_of(part.get('Key') or part['Item'])
                        for action in change.body for part in action.values())
            there.add((postings.CATALOG, postings.catalog_key(name)))
            return change._replace(body=change.body + [
                planner.delete_posting(gram, suffix) for gram, suffix in found.surplus
                if (gram, suffix) not in there])

        self._writer.change(name, plan_again, read_witness=True)
        again = self._inspector.inspect(name, found.surplus)
        return again is not None and not again.detail


class Finding(collections.namedtuple('Finding', 'row kind detail surplus')):
    """The result of inspecting one repository.

    :param row: its Row, or None.
    :param kind: row or postings.
    :param detail: a description of what is wrong; '' if nothing is.
    :param surplus: the keys of the postings that should not exist."""
    __slots__ = ()


class Inspector(object):
    """Compares the row and the postings of single repositories.

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def inspect(self, name, keys):
        """Return the Finding of a repository; None if the repository changes during each attempt.

        :param keys: the keys of the postings that a scan found.

        Costs two GetItem of the row and a BatchGetItem for each 100 postings."""
        before = self._row(name)
        for _ in range(_ATTEMPTS):
            finding = self._finding(name, before, keys)
            after = self._row(name)
            if after == before:
                return finding
            before = after
        return None

    def _finding(self, name, item, keys):
        row = Row.of(item)
        items = {} if row is None else {_key_of(each): each for each in expected_items(name, row)}
        there = self._existing_items(set(items) | set(map(tuple, keys)) | {
            (postings.CATALOG, postings.catalog_key(name))})
        missing = sum(there.get(key) != each for key, each in items.items())
        # If another program has damaged a posting, its key may be that of another repository.
        surplus = sorted(key for key, each in there.items()
                         if key not in items and postings.name_of(each) == name)
        kind, detail = _kind_and_detail(row, missing, surplus)
        return Finding(row, kind, detail, surplus)

    def _row(self, name):
        return self._store.get(self._store.repository_table, repository_key(name))

    def _existing_items(self, keys):
        """Return a dictionary of key to item, for each key with an item."""
        found, keys, table = {}, sorted(keys), self._store.search_table
        for first in range(0, len(keys), GET_BATCH):
            page = self._store.batch_get({table: {
                'Keys': [{'gram': {'S': gram}, 'suffix': {'S': suffix}}
                         for gram, suffix in keys[first:first + GET_BATCH]],
                'ConsistentRead': True}})
            for item in page.get(table, ()):
                found[_key_of(item)] = item
        return found


class Checksums(object):
    """Compares expected and found postings, and lists the names whose postings differ.

    A temporary file keeps only the number of postings of each name and the sum of their digests. So
    the comparison needs little memory for any number of postings.

    :param names: the most names in memory at a time.
    :raises ScratchError: the disk for temporary files is full or missing."""

    def __init__(self, names=20000):
        self._names = names
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
        """Delete the temporary file."""
        self._database.close()

    def add(self, kind, name, item):
        """Add an item of a name: ``expected`` if it should exist, ``found`` if it exists."""
        sums = self._sums[kind]
        number, digest = sums.get(name, (0, 0))
        sums[name] = number + 1, digest + _digest(item)
        if len(sums) >= self._names:
            self._flush(kind)

    def add_suspect(self, name):
        """Add a name to the suspects without comparing its postings."""
        self._database.execute('INSERT OR IGNORE INTO suspects VALUES (?)', (name,))

    def compare(self):
        """Add each name whose items differ to the suspects; return the number of all suspects."""
        for table in self._sums:
            self._flush(table)
        for one, other in ('expected', 'found'), ('found', 'expected'):
            self._database.execute(
                'INSERT OR IGNORE INTO suspects SELECT name FROM ('
                'SELECT * FROM %s EXCEPT SELECT * FROM %s)' % (one, other))
        return self._database.execute('SELECT count(*) FROM suspects').fetchone()[0]

    def is_suspect(self, name):
        """Return True if a name is a suspect."""
        return self._database.execute(
            'SELECT 1 FROM suspects WHERE name = ?', (name,)).fetchone() is not None

    def note_key(self, name, gram, suffix):
        """Keep the key of an item that exists for a suspect."""
        self._database.execute('INSERT OR IGNORE INTO keys VALUES (?, ?, ?)', (name, gram, suffix))

    def suspects(self):
        """Yield (name, keys of its items) for each suspect, in the order of the names."""
        for (name,) in self._database.execute('SELECT name FROM suspects ORDER BY name'):
            yield name, self._database.execute(
                'SELECT gram, suffix FROM keys WHERE name = ?', (name,)).fetchall()

    def _flush(self, table):
        sums = self._sums[table]
        self._database.executemany('INSERT OR IGNORE INTO %s VALUES (?, 0, 0)' % table,
                                   [(name,) for name in sums])
        self._database.executemany(
            'UPDATE %s SET number = number + ?, digest = digest + ? WHERE name = ?' % table,
            [(number, digest, name) for name, (number, digest) in sums.items()])
        sums.clear()


def _digest(item):
    """Return a digest of 48 bits, so that the sum of a thousand fits into an SQLite integer."""
    written = json.dumps(item, sort_keys=True, default=repr)
    return int(hashlib.md5(written.encode('ascii')).hexdigest()[:12], 16)


def expected_items(name, row):
    """Return the items of the search table that should exist for the row of a repository."""
    description = text.clean_description(row.description)
    return [postings.to_item(posting) for posting in
            postings.postings(name, description) + [postings.witness(name, description)]]


def _key_of(item):
    return item['gram']['S'], item['suffix']['S']


def _kind_and_detail(row, missing, surplus):
    """Return the kind and detail of a Finding."""
    counts = '%d postings missing or wrong, %d too many' % (missing, len(surplus))
    if row is None:
        if not surplus:
            return 'row', ''
        return 'postings', '%d postings without a row' % len(surplus)
    if row.writing is not None:
        return 'row', 'a change was interrupted; ' + counts
    if not row.is_indexed:
        return 'row', 'was never indexed; ' + counts
    if row.indexed != text.clean_description(row.description):
        return 'row', 'its description was changed without the index; ' + counts
    return 'postings', counts if missing or surplus else ''
