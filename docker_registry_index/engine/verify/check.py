"""Check: compares rows, postings and the storage, and repairs postings.

Pushes continue during a check. So each repository that seems wrong is read again, consistently,
before it is reported as a problem."""

from __future__ import unicode_literals

import collections

from .._compat import sleep
from ..store import postings
from ..sync.snapshot import SnapshotReader
from ..sync.source import has
from ..sync.verification import Checksums, Inspector, Repairer, expected_items
from ..write.writer import Writer


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
        self._repairer = Repairer(store, self._writer)
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
                for item in self._reader.postings():
                    checksums.note_key_of_suspect(item)
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
                    for item in expected_items(entry.name, entry.state.row.description):
                        checksums.add(entry.name, item, -1)
                if not entry.state.is_current or (self._source and not entry.is_listed):
                    checksums.add_suspect(entry.name)
        finally:
            snapshot.close()

    def _note_postings(self, checksums):
        for item in self._reader.postings():
            self.postings += 1
            if self.postings % 1000 == 0:
                self._progress(self.postings, 0)
            checksums.add(postings.name_of(item), item, 1)

    def _problem(self, name, keys, repair):
        found = self._inspector.inspect(name, keys)
        if found is not None and found.detail:
            repaired = repair and self._repairer.repair(name, found)
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
