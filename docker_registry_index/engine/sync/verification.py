"""Verification: compares all postings with what should exist, and repairs what differs.

Other programs may write into the search table, and a restored table or a replica may have items of
one transaction from different times. So each load verifies a slice of the table. A repository that
seems wrong is read again, consistently, because pushes and deletes continue meanwhile."""

from __future__ import unicode_literals

import collections
import hashlib

from ..store import postings, text
from ..store.records import SLICES, Row, repository_key
from ..store.store import GET_BATCH
from .snapshot import scratch_database

#: Attempts to inspect a repository that changes meanwhile.
_ATTEMPTS = 5
#: The names that a Verification keeps in memory at a time, and the kilobytes of its database.
_NAMES, _CACHE = 2000, 1024
#: Digests have so many bits, and so have their sums.
_MASK = 2 ** 48 - 1


class Verification(object):
    """Verifies some slices of the search table during a load.

    A slice is a segment of a parallel Scan. All postings of a gram are in the same segment:
    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan
    So all postings of the grams in a segment are compared with those that should exist. If all
    postings of a gram are lost, the gram is in no segment. Its last character decides for which
    slice a Query looks for it.

    :param reader: a SnapshotReader.
    :param store: a Store that retries.
    :param slices: the numbers of the slices."""

    def __init__(self, reader, store, slices):
        self._reader = reader
        self._store = store
        self._inspector = Inspector(store)
        self._slices = slices
        self._checksums = Checksums(_NAMES, _CACHE)
        # Whether the postings of a gram are compared.
        self._grams = {}

    def close(self):
        """Delete the temporary file."""
        self._checksums.close()

    def read(self):
        """Read the postings of the slices, after the witnesses were read, and before the load
        writes. Costs a Scan of a sixteenth of the search table for each slice."""
        for item in self._postings():
            self._grams[item['gram']['S']] = True
            self._checksums.add(postings.name_of(item), item, 1)

    def compare(self, name, witness):
        """Compare the postings of a repository with those that its witness proves.

        :param witness: the description in the witness; None if there is none.

        Costs a Query for each gram of which no posting exists, in one of sixteen loads."""
        if self._slices and witness is not None:
            for item in expected_items(name, witness, self._is_compared):
                self._checksums.add(name, item, -1)

    def problems(self):
        """Yield (name, Finding) of each repository with a problem, after the load has written.

        If a repository seems wrong, costs another Scan of the slices, and an inspection of each
        such repository."""
        if not self._checksums.compare():
            return
        for item in self._postings():
            self._checksums.note_key_of_suspect(item)
        for name, keys in self._checksums.suspects():
            found = self._inspector.inspect(name, keys)
            # A row with a token is being changed now: this load has ended all older changes.
            if found is not None and found.detail and not (found.row and found.row.writing):
                yield name, found

    def _postings(self):
        for number in self._slices:
            for item in self._reader.postings(Segment=number, TotalSegments=SLICES):
                yield item

    def _is_compared(self, gram):
        if gram not in self._grams:
            is_in_slice = ord(gram[-1]) % SLICES in self._slices
            self._grams[gram] = is_in_slice and not self._store.query(
                gram, limit=1, consistent=True)['Items']
        return self._grams[gram]


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
        items = {} if row is None else {
            _key_of(each): each for each in expected_items(name, row.description)}
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


class Repairer(object):
    """Makes the postings of single repositories match their rows.

    :param store: a Store.
    :param writer: a Writer."""

    def __init__(self, store, writer):
        self._writer = writer
        self._inspector = Inspector(store)

    def repair(self, name, found):
        """Write all postings of a repository again, and delete surplus ones; return True if no
        problem remains.

        :param found: the Finding of the repository.
        :raises ChangeConflict, RequestFailed: nothing changed.

        Costs some GetItem, a TransactWriteItems, and another inspection."""
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


class Checksums(object):
    """Compares the postings that exist with those that should exist, and lists the names whose
    postings differ.

    A temporary file keeps only one number for each name: the sum of the digests of the postings
    that exist, minus that of the postings that should exist. So the comparison needs little memory
    for any number of postings.

    :param names: the most names in memory at a time.
    :param kilobytes: those of the database that are kept in memory.
    :raises ScratchError: the disk for temporary files is full or missing."""

    def __init__(self, names=20000, kilobytes=None):
        self._names = names
        self._database = scratch_database(kilobytes)
        self._sums = {}
        for command in (
                'BEGIN',
                'CREATE TABLE sums (name TEXT PRIMARY KEY, sum INTEGER) WITHOUT ROWID',
                'CREATE TABLE suspects (name TEXT PRIMARY KEY) WITHOUT ROWID',
                'CREATE TABLE keys (name TEXT, gram TEXT, suffix TEXT, '
                'PRIMARY KEY (name, gram, suffix)) WITHOUT ROWID'):
            self._database.execute(command)

    def close(self):
        """Delete the temporary file."""
        self._database.close()

    def add(self, name, item, sign):
        """Add an item of a name.

        :param sign: 1 if the item exists, -1 if it should exist."""
        self._sums[name] = self._sums.get(name, 0) + sign * _digest(item)
        if len(self._sums) >= self._names:
            self._flush()

    def add_suspect(self, name):
        """Add a name to the suspects without comparing its postings."""
        self._database.execute('INSERT OR IGNORE INTO suspects VALUES (?)', (name,))

    def compare(self):
        """Add each name whose items differ to the suspects; return the number of all suspects."""
        self._flush()
        self._database.execute(
            'INSERT OR IGNORE INTO suspects SELECT name FROM sums WHERE sum <> 0')
        return self._database.execute('SELECT count(*) FROM suspects').fetchone()[0]

    def note_key_of_suspect(self, item):
        """If an item that exists is one of a suspect, keep its key."""
        name = postings.name_of(item)
        if self._database.execute('SELECT 1 FROM suspects WHERE name = ?', (name,)).fetchone():
            self._database.execute(
                'INSERT OR IGNORE INTO keys VALUES (?, ?, ?)', (name,) + _key_of(item))

    def suspects(self):
        """Yield (name, keys of its items) for each suspect, in the order of the names."""
        for (name,) in self._database.execute('SELECT name FROM suspects ORDER BY name'):
            yield name, self._database.execute(
                'SELECT gram, suffix FROM keys WHERE name = ?', (name,)).fetchall()

    def _flush(self):
        self._database.executemany(
            'INSERT OR IGNORE INTO sums VALUES (?, 0)', [(name,) for name in self._sums])
        self._database.executemany(
            'UPDATE sums SET sum = (sum + ?) & %d WHERE name = ?' % _MASK,
            [(total & _MASK, name) for name, total in self._sums.items()])
        self._sums.clear()


def expected_items(name, description, is_wanted=lambda gram: True):
    """Return the items of the search table that should exist for a repository.

    :param description: as stored in its row, or None.
    :param is_wanted: a function of a gram; returns False to leave out its items."""
    description = text.clean_description(description)
    found = postings.postings(name, description, is_wanted)
    if is_wanted(postings.CATALOG):
        found.append(postings.witness(name, description))
    return [postings.to_item(posting) for posting in found]


def _digest(item):
    written = '\n'.join(sorted(
        '%s %s' % (name, typed.get('S', typed)) for name, typed in item.items()))
    return int(hashlib.md5(written.encode('utf-8')).hexdigest()[:12], 16)


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
