"""Load: make the index follow the registry's store, as a difference.

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
from .known import Known, Row
from .patience import PatientClient

__all__ = ['LoadReport', 'Loader']

logger = logging.getLogger(__name__)

#: Seconds between two lines of progress in the log.
_PROGRESS = 10


class LoadReport(collections.namedtuple(
        'LoadReport', 'found added adopted removed unchanged seconds')):
    """What a load did.

    :param found: repositories in the registry's store.
    :param added: those that were not in the index.
    :param adopted: rows that had no postings, or others, such as those of
        release 0.1.0.
    :param removed: names whose postings went because their row was gone.
    :param unchanged: repositories that were right already.
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
        :raises RequestFailed, ChangeConflict, LeaseLost: what was written
            until then stays; load again.

        Costs a Scan of the rows, a Query of all names and one of the
        tombstones, and a TransactWriteItems for what is missing, several
        repositories in each.
        """
        started = self._clock()
        # Before the store is listed: a tombstone that is newer tells that
        # the listing is out of date.
        removals = self._removals()
        listing = self._listing(source)
        logger.info('loading the search index: %d repositories in the store',
                    len(listing))
        knowledge = self._knowledge()
        counts = collections.Counter()
        batch = []
        names = sorted(set(listing) | set(knowledge))
        report_at = started + _PROGRESS
        for done, name in enumerate(names):
            self._beat()
            if self._clock() >= report_at:
                report_at = self._clock() + _PROGRESS
                logger.info('loading the search index: %d of %d done', done,
                            len(names))
            known = knowledge.get(name, Known(None, None))
            kind, change = self._plan(name, known, listing, removals)
            if change is None:
                counts[kind] += 1
                continue
            if _size(batch) + len(change.actions) > parts.LONGEST:
                self._flush(batch, removals, counts)
                batch = []
            batch.append((kind, change))
        self._flush(batch, removals, counts)
        return LoadReport(
            len(listing), counts['added'], counts['adopted'],
            counts['removed'], counts['unchanged'],
            self._clock() - started)

    def _plan(self, name, known, listing, removals):
        if known.is_current:
            return 'unchanged', None
        if known.row is not None:
            return 'adopted', self._planner.put(name, None, known)
        if name in listing:
            guard = self._planner.not_removed_since(name, removals.get(name))
            return 'added', self._planner.put(name, listing[name] or None,
                                              known, [guard])
        return 'removed', self._planner.delete(name, known)

    def _flush(self, batch, removals, counts):
        """Write a batch at once, or one by one where others interfere."""
        self._beat()
        if len(batch) > 1 and self._changes.write_together(
                [change for _, change in batch]):
            counts.update(kind for kind, _ in batch)
            return
        for kind, change in batch:
            self._beat()
            if kind != 'added':
                self._changes.repair(change.known, change.name)
            elif not self._add(change, removals.get(change.name)):
                kind = 'unchanged'
            counts[kind] += 1

    def _add(self, change, removal):
        """Add a repository unless it was removed since the load began."""
        guard = self._planner.not_removed_since(change.name, removal)
        try:
            return (not self._was_removed(change.name, removal) and
                    self._changes.add(change.name, change.description,
                                      [guard]))
        except errors.ChangeConflict:
            if self._was_removed(change.name, removal):
                return False
            raise

    def _was_removed(self, name, removal):
        return self._removals(name).get(name) != removal

    def _listing(self, source):
        listing = {}
        for name, description in source():
            self._beat()
            try:
                name = text.check_name(name)
            except errors.InvalidName as error:
                logger.warning('left out of the index: %s', error)
                continue
            listing[name] = text.clean_description(description)
        return listing

    def _removals(self, only=''):
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


def _size(batch):
    return sum(len(change.actions) for _, change in batch)
