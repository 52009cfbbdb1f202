"""Check: proof that rows and postings agree, and with the storage.

Pushes go on meanwhile, so what looks wrong is looked at again, by itself and
consistently, before it is called a problem.
"""

from __future__ import unicode_literals

import collections

from ..store import formats
from .._compat import sleep
from ..write.changes import Changes
from .inspection import Evidence
from ..store.retrying import PatientClient
from ..sync.storage import has
from ..sync.survey import Survey
from .checksum import Tally

__all__ = ['Checker', 'Problem']


class Problem(collections.namedtuple('Problem', 'name kind detail mended')):
    """Something that is not as it should be.

    :param name: of the repository.
    :param kind: postings, row, storage or index: where row and postings
        differ; where the row was never indexed, or a change of it was broken
        off; where the storage has the repository, or only the index has it.
    :param detail: what is wrong, for people.
    :param mended: whether it is not so any more.
    """

    __slots__ = ()


class Checker(object):
    """Checks one index, once.

    :param client: a Client.
    :param tables: what schema.tables gives.
    :param source: a Source; None to leave the storage out.
    :param tell: called now and then with (done, total), total 0 while it is
        not known.
    :param format: the Format to check; the current one by default.
    """

    def __init__(self, client, tables, source=None, tell=None,
                 sleep=sleep, format=None):
        self._format = format or formats.CURRENT
        self._client = PatientClient(client, lambda: None, sleep)
        self._changes = Changes(self._client, tables)
        self._writer = self._changes.writer.beside(self._format)
        self._survey = Survey(self._client, tables, source, lambda: None,
                              sleep, self._format)
        self._evidence = Evidence(self._client, tables, self._format)
        self._tables = tables
        self._source = source
        self._tell = tell or (lambda done, total: None)
        #: How many rows, and how many postings, were looked at.
        self.rows = self.postings = 0

    def check(self, repair=False):
        """Yield a Problem for each repository that is not right.

        :param repair: mend what rows and postings alone can tell; what only
            the storage can tell is the task of a load.
        :raises RequestFailed: the check has not ended.
        :raises StorageUnreadable: nothing of the storage can be read.

        Costs a Scan of the rows and one of the postings, a second one of the
        postings when something looks wrong, and some requests for each
        repository that does.
        """
        tally = Tally()
        try:
            self._note_rows(tally)
            self._note_postings(tally)
            total = tally.compare()
            if total:
                self._note_keys(tally)
            for done, (name, keys) in enumerate(tally.suspects()):
                self._tell(done, total)
                problem = self._problem(name, keys, repair)
                if problem:
                    yield problem
            self._tell(total, total)
        finally:
            tally.close()

    def _note_rows(self, tally):
        ledger = self._survey.take()
        try:
            for entry in ledger.entries():
                row = entry.known.row
                if row is not None:
                    self.rows += 1
                    tally.expect(entry.name,
                                 self._evidence.wanted(entry.name, row))
                if not entry.known.is_current or (
                        self._source and not entry.is_listed):
                    tally.suspect(entry.name)
        finally:
            ledger.close()

    def _note_postings(self, tally):
        for name, item in self._found():
            self.postings += 1
            if self.postings % 1000 == 0:
                self._tell(self.postings, 0)
            tally.find(name, item)

    def _note_keys(self, tally):
        for name, item in self._found():
            if tally.is_suspect(name):
                tally.note_key(name, item['gram']['S'], item['suffix']['S'])

    def _found(self):
        """(name, item) of each posting, as it should be written."""
        for item in self._survey.items('scan', 'search'):
            gram, suffix = item['gram']['S'], item['suffix']['S']
            if self._format.owns(gram):
                # Whether a search must ask the row is no matter of what the
                # posting says.
                item.pop('v', None)
                yield self._format.name_of(
                    gram, suffix, item.get('n', {}).get('S')), item

    def _problem(self, name, keys, repair):
        found = self._evidence.of(name, keys)
        if found is not None and found.detail:
            mended = repair and self._mend(name, found)
            return Problem(name, found.kind, found.detail, mended)
        if found is None or not self._source:
            return None
        if name in self._source.doubtful():
            return None
        is_there = has(self._source, name)
        if is_there and found.row is None:
            return Problem(name, 'storage', 'is in the storage and not in '
                           'the index: a load adds it', False)
        if not is_there and found.row is not None and (
                not self._changes.is_recent(found.row)):
            return Problem(name, 'index', 'is in the index and not in the '
                           'storage: a load removes it', False)
        return None

    def _mend(self, name, found):
        """Write all postings anew, and take away those too many."""
        def plan_anew(known):
            if known.row is None:
                change = self._writer.planner.delete(name, known)
            else:
                # Nothing that is there is believed.
                known = known._replace(row=known.row._replace(format=None))
                change = self._writer.planner.put(name, None, known)
            # The witness has its own action, with a condition.
            there = set(_key(action) for action in change.body)
            there.add((self._format.listed, name))
            return change._replace(body=change.body + [
                self._writer.planner.forget(gram, suffix)
                for gram, suffix in found.surplus
                if (gram, suffix) not in there])

        self._writer.change(name, plan_anew, sure=True)
        again = self._evidence.of(name, found.surplus)
        return again is not None and not again.detail


def _key(action):
    [part] = action.values()
    key = part.get('Key') or part['Item']
    return key['gram']['S'], key['suffix']['S']
