"""The records in the tables besides postings, and the meaning of their attributes. Pure.

Only this module contains the names of their attributes as they are stored."""

from __future__ import unicode_literals

import collections
import json

from . import postings, text

#: The gram of items that are not postings; no class of postings begins with it.
MARKERS = '!'
#: The kinds of such items: how their suffixes begin, before a name or a number.
TOMBSTONE, PENDING, INTENT = 'removed ', 'describe ', 'loading '

#: The keys of the ready marker, of the place where an interrupted first load resumes, and of the
#: one row of the version table.
READY_KEY = {'gram': {'S': MARKERS}, 'suffix': {'S': 'ready'}}
PLACE_KEY = {'gram': {'S': MARKERS}, 'suffix': {'S': 'place'}}
VERSION_KEY = {'version': {'N': '1'}}

#: The slices of the search table, of which each load verifies one.
SLICES = 16
#: The most unreadable namespaces whose names the ready marker keeps.
_SHOWN = 20


def repository_key(name):
    """Return the key of a repository's row."""
    return {'name': {'S': name}}


def marker_key(kind, name):
    """Return the key of the TOMBSTONE that a removal writes, of the note that the description of a
    repository is PENDING, or of the INTENT with this number."""
    return {'gram': {'S': MARKERS}, 'suffix': {'S': kind + name}}


def name_of_marker(kind, key):
    """Return the name or the number in a key; None if it is not that of a marker of this kind."""
    suffix = key['suffix']['S']
    return suffix[len(kind):] if suffix.startswith(kind) else None


def removal_of(number):
    """Return the part of a tombstone's number that identifies the removal, '' if there was none. A
    process that deletes postings without a removal adds another part."""
    return (number or '').partition('.')[0]


class Row(collections.namedtuple(
        'Row', 'description is_indexed indexed writing touched origin item')):
    """The row of a repository, as it was read.

    Other programs may have written attributes of other types; such an attribute counts as absent.

    :param description: as stored, or None.
    :param is_indexed: True if the row records that all postings exist, in the format of this
        release. A row that release 0.1.0 wrote does not.
    :param indexed: the description that the postings were written with, or ''. To update a row, a
        worker of release 0.1.0 writes back all attributes that it read, except the description.
    :param writing: [token, description, ...] while a change of several transactions is under way
        or was broken off; else None.
    :param touched: when the repository was last pushed or changed, in Unix seconds, accurate to
        half an hour; 0 if unknown.
    :param origin: the source of the description, a text in the form of the program that wrote it;
        None if unknown.
    :param item: the whole row as DynamoDB returned it, for conditions."""
    __slots__ = ()

    #: The attributes that this package writes into a row, beside the description.
    POSTINGS, INDEXED, WRITING, TOUCHED, ORIGIN = (
        'postings', 'indexed', 'writing', 'touched', 'origin')

    @classmethod
    def of(cls, item):
        """Return the Row of an item of the repository table; None if there is no item."""
        if item is None:
            return None
        touched = item.get(cls.TOUCHED, {}).get('N', '')
        writing = [each.get('S') for each in item.get(cls.WRITING, {}).get('L', ())]
        return cls(item.get('description', {}).get('S'),
                   item.get(cls.POSTINGS, {}).get('N') == str(postings.FORMAT),
                   item.get(cls.INDEXED, {}).get('S', ''),
                   None if not writing or None in writing else writing,
                   int(touched) if touched.isdigit() else 0,
                   item.get(cls.ORIGIN, {}).get('S'), item)


class Intent(collections.namedtuple('Intent', 'number repositories is_settled')):
    """A record of the repositories that a load is writing. While it exists, their postings may be
    incomplete, out of date, or without a row.

    :param number: a random text that no other intent has.
    :param repositories: a list of (name, descriptions whose postings may exist).
    :param is_settled: True if the load has ended, and all its requests were answered."""
    __slots__ = ()

    def __new__(cls, number, repositories, is_settled=False):
        return super(Intent, cls).__new__(cls, number, repositories, is_settled)

    @property
    def item(self):
        """The item of the search table."""
        item = dict(marker_key(INTENT, self.number), names={'S': json.dumps(self.repositories)})
        return dict(item, settled={'BOOL': True}) if self.is_settled else item

    @classmethod
    def of(cls, item):
        """Return the Intent of an item."""
        return cls(name_of_marker(INTENT, item), json.loads(item['names']['S']), 'settled' in item)


class RepositoryState(collections.namedtuple('RepositoryState', 'row witness begun')):
    """The state of a repository, as it was read before a change.

    :param row: a Row; None if there is none.
    :param witness: the description in the witness ('' for none), which proves which postings
        exist; None if there is no witness.
    :param begun: descriptions whose postings may exist because an attempt at this change was
        interrupted."""
    __slots__ = ()

    def __new__(cls, row, witness, begun=frozenset()):
        return super(RepositoryState, cls).__new__(cls, row, witness, begun)

    @property
    def is_current(self):
        """True if the row and the postings agree."""
        return (self.row is not None and self.row.writing is None and self.row.is_indexed and
                not self.begun and self.witness == text.clean_description(self.row.description))

    @property
    def is_half_added(self):
        """True if the row has the token of a change that adds or removes the repository, and does
        not record that all postings exist. Perhaps only some of them exist."""
        return (self.row is not None and self.row.writing is not None and
                Row.POSTINGS not in self.row.item)

    @property
    def has_all_postings(self):
        """True if all postings of the name exist, even if the row does not record that."""
        return self.witness is not None and not (self.row is not None and self.row.writing)

    @property
    def has_exact_postings(self):
        """True if exactly the postings exist that the witness proves. A row that does not record
        its postings may have lost the token of an interrupted change."""
        return (self.has_all_postings and self.row is not None and self.row.is_indexed and
                not self.begun)

    @property
    def descriptions(self):
        """The set of all descriptions whose postings may exist now."""
        found = set(self.begun)
        if self.witness is not None:
            found.add(self.witness)
        if self.row is not None and self.row.writing:
            found.update(self.row.writing[1:])
        return found


#: The state of a repository that has neither row nor witness.
NOTHING = RepositoryState(None, None)


class SyncRequest(collections.namedtuple('SyncRequest', 'since last number')):
    """A request for a sync, as the version row contains it.

    :param since, last: Unix seconds of the first and of the last request that one sync will serve,
        by the clocks of the processes that made them.
    :param number: a random text."""
    __slots__ = ()

    @property
    def value(self):
        """The attribute of the version row."""
        return {'S': '%d %d %s' % self}

    @classmethod
    def of(cls, attribute):
        """Return the SyncRequest of an attribute; None if there is none."""
        if attribute is None:
            return None
        since, last, number = attribute['S'].split(' ')
        return cls(int(since), int(last), number)


class ReadyMarker(collections.namedtuple(
        'ReadyMarker', 'format number synced tried report failures resync slice verified '
                       'verified_all tables')):
    """The marker that an index is ready.

    It is stored beside the postings, so it is lost with them. docs/design.md describes when it is
    written and deleted.

    :param format: the format of the postings, an int.
    :param number: a random text that no other marker has.
    :param synced: when the last load ended that wrote everything it could read of the storage, in
        Unix seconds, or None.
    :param tried: when the last load ended, in Unix seconds, or None.
    :param report: the LoadReport of the last load as a dictionary, or None.
    :param failures: the number of consecutive incomplete loads, up to the last load.
    :param resync: True if the first such load found rows, perhaps of another release, whose workers
        may still write; another load follows soon.
    :param slice: the number of the slice that the next load verifies; those before it are verified.
    :param verified: when the last slice was verified, in Unix seconds, or None.
    :param verified_all: when all slices were last verified, in Unix seconds, or None.
    :param tables: the identity of the tables at the last load; see tables.identity."""
    __slots__ = ()

    @classmethod
    def none(cls):
        """Return the marker of an index that was never loaded."""
        return cls(postings.FORMAT, None, None, None, None, 0, False, 0, None, None, None)

    @classmethod
    def of(cls, item):
        """Return the ReadyMarker of an item of the search table; None for any other item."""
        if 'N' not in (item or {}).get('format', {}):
            return None
        return cls(int(item['format']['N']), item['number']['S'], _number(item, 'synced'),
                   _number(item, 'tried'), _report(item), _number(item, 'failures') or 0,
                   'resync' in item, _number(item, 'slice') or 0, _number(item, 'verified'),
                   _number(item, 'verified_all'), item.get('tables', {}).get('S'))

    def put(self, table):
        """Return the transaction action that writes the marker."""
        item = dict(READY_KEY, number={'S': self.number})
        for name in ('format', 'synced', 'tried', 'failures', 'slice', 'verified',
                     'verified_all'):
            number = getattr(self, name)
            if number is not None:
                item[name] = {'N': str(number)}
        if self.report is not None:
            item['report'] = {'S': json.dumps(self.report, sort_keys=True)}
        if self.resync:
            item['resync'] = {'BOOL': True}
        if self.tables is not None:
            item['tables'] = {'S': self.tables}
        return {'Put': {'TableName': table, 'Item': item}}

    def due_slices(self, tables):
        """Return the numbers of the slices that the next load verifies: all if the tables may have
        been restored or replicated since the last load, none if the index was never synced.

        :param tables: the identity of the tables now."""
        if self.synced is None:
            return []
        is_changed = self.tables is not None and self.tables != tables
        return list(range(SLICES)) if is_changed or self.resync else [self.slice % SLICES]

    def after(self, report, number, now, slices=(), tables=None):
        """Return the marker to write after a load.

        :param report: the LoadReport.
        :param slices: the numbers of the slices that the load has verified, in order.
        :param tables: the identity of the tables that it has loaded."""
        kept = dict(report._asdict(), unreadable=list(report.unreadable[:_SHOWN]))
        after = self._replace(number=number, tried=now, report=kept,
                              failures=0 if report.complete else self.failures + 1,
                              tables=tables)
        if slices:
            following = (slices[-1] + 1) % SLICES
            after = after._replace(slice=following, verified=now, verified_all=(
                self.verified_all if following else now))
        if report.failed:
            return after
        # Rows that existed before are those of another release, or of an interrupted load.
        return after._replace(
            synced=now, resync=self.synced is None and report.adopted + report.unchanged > 0)

    @property
    def unreadable(self):
        """The names of the namespaces that the last load could not read, at most 20."""
        return (self.report or {}).get('unreadable', [])


def _number(item, name):
    found = item.get(name, {}).get('N')
    return None if found is None else int(float(found))


def _report(item):
    try:
        return json.loads(item['report']['S'])
    except (KeyError, ValueError):
        return None
