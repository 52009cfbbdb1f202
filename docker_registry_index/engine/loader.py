"""Load: make the index follow the registry's storage, as a difference.

What is there already costs no write, so a load that was killed goes on
where it stopped, and running one again does no harm.
"""

from __future__ import unicode_literals

import collections
import logging
import time

from . import errors, parts, postings, schema, text
from ._compat import monotonic
from .changes import Changes
from .known import NOTHING, Known, Row
from .patience import PatientClient

__all__ = ['LoadReport', 'Loader']

logger = logging.getLogger(__name__)

#: Seconds between two lines of progress in the log.
_PROGRESS = 10


class LoadReport(collections.namedtuple(
        'LoadReport',
        'found added adopted removed unchanged failed seconds')):
    """What a load did.

    :param found: repositories in the registry's storage.
    :param added: those that were not in the index.
    :param adopted: rows that had no postings, or others, such as those of
        release 0.1.0.
    :param removed: names whose postings went because their row was gone, or
        whose removal had been broken off.
    :param unchanged: repositories that were right already.
    :param failed: those that could not be written; the log says why.
    :param seconds: how long it took.
    """

    __slots__ = ()


class Loader(object):
    """Loads one index.

    :param client: a Client; throttling slows this load down only.
    :param tables: what schema.tables gives.
    :param beat: called often while working; raises to stop the load.
    """

    def __init__(self, client, tables, beat=lambda: None, sleep=time.sleep,
                 clock=monotonic):
        self._client = PatientClient(client, beat, sleep)
        self._tables = tables
        self._changes = Changes(self._client, tables)
        self._planner = self._changes.planner
        self._beat = beat
        self._clock = clock

    def load(self, source):
        """Make every repository of ``source`` and every row be indexed.

        :param source: a function that returns an iterable of (name,
            description or None). A name that the index cannot hold is
            logged and left out.
        :raises RequestFailed, LeaseLost: what was written until then stays;
            load again.

        Costs a Scan of the rows, a Query of all names and one of the
        tombstones, and a TransactWriteItems for what is missing, several
        repositories in each.
        """
        started = self._clock()
        # Before the storage is listed: a tombstone that is newer tells that
        # the listing is out of date.
        self._removals = self._tombstones()
        self._listing = self._list(source)
        logger.info('loading the search index: %d repositories in the '
                    'storage', len(self._listing))
        counts = collections.Counter()
        self._make_all_follow(self._knowledge(), counts)
        return LoadReport(
            len(self._listing), counts['added'], counts['adopted'],
            counts['removed'], counts['unchanged'], counts['failed'],
            self._clock() - started)

    def _make_all_follow(self, knowledge, counts):
        batch = []
        names = sorted(set(self._listing) | set(knowledge))
        report_at = self._clock() + _PROGRESS
        for done, name in enumerate(names):
            self._beat()
            if self._clock() >= report_at:
                report_at = self._clock() + _PROGRESS
                logger.info('loading the search index: %d of %d done', done,
                            len(names))
            known = knowledge.get(name, NOTHING)
            kind, change = self._plan(name, known)
            if change is None:
                counts[kind] += 1
                continue
            if _size(batch) + len(change.actions) > parts.LONGEST:
                self._flush(batch, counts)
                batch = []
            batch.append((kind, change))
        self._flush(batch, counts)

    def _plan(self, name, known):
        """What to do about a repository, as (what it counts as, Change)."""
        is_listed = name in self._listing
        if known.is_current or not is_listed and known == NOTHING:
            return 'unchanged', None
        if known.row is not None and not known.is_half:
            return 'adopted', self._planner.put(name, None, known)
        if is_listed:
            guard = self._planner.not_removed_since(
                name, self._removals.get(name))
            return 'added', self._planner.put(
                name, self._listing[name] or None, known, [guard])
        return 'removed', self._planner.delete(name, known)

    def _flush(self, batch, counts):
        """Write a batch at once, or one by one where others interfere."""
        self._beat()
        if len(batch) > 1 and self._changes.write_together(
                [change for _, change in batch]):
            counts.update(kind for kind, _ in batch)
            return
        for kind, change in batch:
            counts[self._write(change.name, kind)] += 1

    def _write(self, name, kind):
        """Write one repository, planned anew; return what it counts as.

        One that cannot be written does not keep the others out.
        """
        try:
            if kind == 'added' and self._was_removed(name):
                return 'unchanged'
            self._changes.change(
                name, lambda known: self._plan(name, known)[1], sure=True)
            return kind
        except errors.ChangeConflict as error:
            if self._was_removed(name):
                return 'unchanged'
            problem = error
        except errors.RequestFailed as error:
            if not error.invalid:
                raise
            problem = error
        logger.error('left out of the search index: %.80r: %s', name, problem)
        return 'failed'

    def _was_removed(self, name):
        """Whether it was removed since the load began."""
        return (self._tombstones(name).get(name) !=
                self._removals.get(name))

    def _list(self, source):
        listing = {}
        for name, description in source():
            self._beat()
            if _fits(name):
                listing[text.to_text(name)] = text.clean_description(
                    description)
        return listing

    def _tombstones(self, only=''):
        """The number of each tombstone whose name begins with ``only``."""
        prefix = schema.TOMBSTONE + only
        return {
            item['suffix']['S'][len(schema.TOMBSTONE):]: item['number']['S']
            for item in self._client.pages(
                'query', TableName=self._tables['search'].name,
                ConsistentRead=True, KeyConditionExpression=(
                    'gram = :gram AND begins_with(suffix, :prefix)'),
                ExpressionAttributeValues={':gram': {'S': schema.MARKS},
                                           ':prefix': {'S': prefix}})}

    def _knowledge(self):
        """What is known of each repository that has a row or a witness."""
        rows, witnesses = {}, {}
        for item in self._client.pages(
                'scan', TableName=self._tables['repository'].name,
                ConsistentRead=True):
            self._beat()
            if _fits(item['name']['S']):
                rows[item['name']['S']] = Row.of(item)
        for item in self._client.pages(
                'query', TableName=self._tables['search'].name,
                ConsistentRead=True, KeyConditionExpression='gram = :gram',
                ExpressionAttributeValues={
                    ':gram': {'S': postings.LISTED}}):
            self._beat()
            witnesses[item['suffix']['S']] = item.get('d', {}).get('S', '')
        return {name: Known(rows.get(name), witnesses.get(name))
                for name in set(rows) | set(witnesses)}


def _fits(name):
    try:
        text.check_name(name)
    except errors.InvalidName as error:
        logger.warning('left out of the search index: %s', error)
        return False
    return True


def _size(batch):
    return sum(len(change.actions) for _, change in batch)
