"""Check: proof that rows and postings agree, and with the storage.

Pushes go on meanwhile, so what seems wrong is inspected, by itself and consistently, before it is
reported as a problem."""

from __future__ import unicode_literals

import collections
import hashlib
import json

from .._compat import sleep
from ..store import postings, text
from ..store.records import Row, repository_key
from ..store.store import GET_BATCH
from ..sync.snapshot import Survey, scratch_database
from ..sync.source import has
from ..write.writer import Writer

__all__ = ['Checker', 'Checksums', 'Finding', 'Inspection', 'Problem', 'wanted_items']

#: How often a repository is inspected that is changed meanwhile.
_ATTEMPTS = 5
_SUMS = 'name TEXT PRIMARY KEY, number INTEGER, digest INTEGER'


class Problem(collections.namedtuple('Problem', 'name kind detail repaired')):
    """Something that is not as it should be.

    :param name: of the repository.
    :param kind: postings, row, storage or index: where row and postings differ; where the row was
        never indexed, or a change of it was broken off; where the storage has the repository, or
        only the index has it.
    :param detail: what is wrong, for people.
    :param repaired: whether it is not so any more."""
    __slots__ = ()


class Checker(object):
    """Checks one index, once.

    :param store: a Store.
    :param source: a Source; None to leave the storage out.
    :param progress: called now and then with (done, total), total 0 until it was counted."""

    def __init__(self, store, source=None, progress=None, sleep=sleep):
        store = store.retrying(sleep=sleep)
        self._writer = Writer(store)
        self._survey = Survey(store, source, sleep=sleep)
        self._inspection = Inspection(store)
        self._source = source
        self._progress = progress or (lambda done, total: None)
        #: How many rows, and how many postings, were read.
        self.rows = self.postings = 0

    def check(self, repair=False):
        """Yield a Problem for each repository that is not right.

        :param repair: repair what rows and postings alone can decide; what only the storage can
            decide is the task of a load.
        :raises RequestFailed: the check has not ended.
        :raises StorageUnreadable: nothing of the storage can be read.

        Costs a Scan of the rows and one of the postings, a second one of the postings when
        something seems wrong, and some requests for each repository that does."""
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
        snapshot = self._survey.take()
        try:
            for entry in snapshot.entries():
                if entry.state.row is not None:
                    self.rows += 1
                    checksums.expect(entry.name, wanted_items(entry.name, entry.state.row))
                if not entry.state.is_current or (self._source and not entry.is_listed):
                    checksums.suspect(entry.name)
        finally:
            snapshot.close()

    def _note_postings(self, checksums):
        for item in self._survey.postings():
            self.postings += 1
            if self.postings % 1000 == 0:
                self._progress(self.postings, 0)
            # Whether a search must ask the row does not matter for what the posting contains.
            item.pop('v', None)
            checksums.find(postings.name_of(item), item)

    def _note_keys(self, checksums):
        for item in self._survey.postings():
            name = postings.name_of(item)
            if checksums.is_suspect(name):
                checksums.note_key(name, item['gram']['S'], item['suffix']['S'])

    def _problem(self, name, keys, repair):
        found = self._inspection.of(name, keys)
        if found is not None and found.detail:
            repaired = repair and self._repair(name, found)
            return Problem(name, found.kind, found.detail, repaired)
        if found is None or not self._source or name in self._source.doubtful():
            return None
        is_there = has(self._source, name)
        if is_there and found.row is None:
            return Problem(name, 'storage', 'is in the storage and not in the index: a load adds '
                           'it', False)
        if not is_there and found.row is not None and not self._writer.is_recent(found.row):
            return Problem(name, 'index', 'is in the index and not in the storage: a load removes '
                           'it', False)
        return None

    def _repair(self, name, found):
        """Write all postings anew, and delete those too many."""
        planner = self._writer.planner

        def plan_anew(state):
            if state.row is None:
                change = planner.delete(name, state)
            else:
                # Nothing that is there is believed.
                state = state._replace(row=state.row._replace(is_indexed=False))
                change = planner.put(name, None, state)
            # The witness has its own action, with a condition.
            there = set(_key(action) for action in change.body)
            there.add((postings.CATALOG, postings.catalog_key(name)))
            return change._replace(body=change.body + [
                planner.delete_posting(gram, suffix) for gram, suffix in found.surplus
                if (gram, suffix) not in there])

        self._writer.change(name, plan_anew, sure=True)
        again = self._inspection.of(name, found.surplus)
        return again is not None and not again.detail


class Finding(collections.namedtuple('Finding', 'row kind detail missing surplus')):
    """What was found of a repository.

    :param row: its Row; None when there is none.
    :param kind: row or postings.
    :param detail: what is wrong, for people; '' for nothing.
    :param missing: how many postings are missing, or have other contents.
    :param surplus: the keys of those that are too many."""
    __slots__ = ()


class Inspection(object):
    """Inspects repositories one by one.

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def of(self, name, keys):
        """Return a Finding; None when the repository is changed again and again.

        :param keys: of postings that it was seen to have.

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
        items = {} if row is None else {_key_of(each): each for each in wanted_items(name, row)}
        there = self._get(set(items) | set(map(tuple, keys)) | {
            (postings.CATALOG, postings.catalog_key(name))})
        missing = sum(there.get(key) != each for key, each in items.items())
        surplus = sorted(set(there) - set(items))
        kind, detail = _judge(row, missing, surplus)
        return Finding(row, kind, detail, missing, surplus)

    def _row(self, name):
        return self._store.get(self._store.repository_table, repository_key(name))

    def _get(self, keys):
        """Return those of the items that are there, by key."""
        found, keys, table = {}, sorted(keys), self._store.search_table
        for first in range(0, len(keys), GET_BATCH):
            page = self._store.batch_get({table: {
                'Keys': [{'gram': {'S': gram}, 'suffix': {'S': suffix}}
                         for gram, suffix in keys[first:first + GET_BATCH]],
                'ConsistentRead': True}})
            for item in page.get(table, ()):
                item.pop('v', None)
                found[_key_of(item)] = item
        return found


class Checksums(object):
    """Expected and found postings, and the names of which they differ.

    Of each name only the number of its postings and a sum of their digests are kept, in a temporary
    file: so any number of postings are compared in little memory.

    :param names: how many names are kept in memory at a time.
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
        """Note a name that is to be inspected in any case."""
        self._database.execute('INSERT OR IGNORE INTO suspects VALUES (?)', (name,))

    def compare(self):
        """Suspect each name whose items differ; return how many are suspected."""
        for table in self._sums:
            self._flush(table)
        for one, other in ('expected', 'found'), ('found', 'expected'):
            self._database.execute(
                'INSERT OR IGNORE INTO suspects SELECT name FROM ('
                'SELECT * FROM %s EXCEPT SELECT * FROM %s)' % (one, other))
        return self._database.execute('SELECT count(*) FROM suspects').fetchone()[0]

    def is_suspect(self, name):
        """Return whether a name is to be inspected."""
        return self._database.execute(
            'SELECT 1 FROM suspects WHERE name = ?', (name,)).fetchone() is not None

    def note_key(self, name, gram, suffix):
        """Keep the key of an item of a suspect."""
        self._database.execute('INSERT OR IGNORE INTO keys VALUES (?, ?, ?)', (name, gram, suffix))

    def suspects(self):
        """Yield (name, the keys kept of it) of each suspect, in order."""
        for (name,) in self._database.execute('SELECT name FROM suspects ORDER BY name'):
            yield name, self._database.execute(
                'SELECT gram, suffix FROM keys WHERE name = ?', (name,)).fetchall()

    def _add(self, table, name, item):
        sums = self._sums[table]
        number, digest = sums.get(name, (0, 0))
        sums[name] = number + 1, digest + _digest(item)
        if len(sums) >= self._names:
            self._flush(table)

    def _flush(self, table):
        sums = self._sums[table]
        self._database.executemany('INSERT OR IGNORE INTO %s VALUES (?, 0, 0)' % table,
                                   [(name,) for name in sums])
        self._database.executemany(
            'UPDATE %s SET number = number + ?, digest = digest + ? WHERE name = ?' % table,
            [(number, digest, name) for name, (number, digest) in sums.items()])
        sums.clear()


def _key(action):
    [arguments] = action.values()
    return _key_of(arguments.get('Key') or arguments['Item'])


def _digest(item):
    """Return 48 bits, so that a million of them add up within SQLite's integers."""
    written = json.dumps(item, sort_keys=True, default=repr)
    return int(hashlib.md5(written.encode('ascii')).hexdigest()[:12], 16)


def wanted_items(name, row):
    """Return the items that a repository should have in the search table, by its row."""
    description = text.clean_description(row.description)
    return [postings.to_item(posting) for posting in
            postings.postings(name, description) + [postings.witness(name, description)]]


def _key_of(item):
    return item['gram']['S'], item['suffix']['S']


def _judge(row, missing, surplus):
    """Return (kind, detail) of what is wrong, or detail ''."""
    counts = '%d postings missing or wrong, %d too many' % (missing, len(surplus))
    if row is None:
        if not surplus:
            return 'row', ''
        return 'postings', '%d postings and no row' % len(surplus)
    if row.writing is not None:
        return 'row', 'a change was broken off; ' + counts
    if not row.is_indexed:
        return 'row', 'was never indexed; ' + counts
    if row.indexed != text.clean_description(row.description):
        return 'row', 'its description was changed past the index; ' + counts
    return 'postings', counts if missing or surplus else ''
