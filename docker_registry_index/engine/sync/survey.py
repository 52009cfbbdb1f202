"""Survey: all that a load must know, noted before it writes anything."""

from __future__ import unicode_literals

import logging

from .. import errors
from ..store import formats, schema, text
from .._compat import monotonic, sleep
from .snapshot import Ledger
from .listing import Lister
from ..store.ready_marker import Mark
from .progress import Listing

__all__ = ['Survey']

logger = logging.getLogger(__name__)

#: Items of a page read: small, because a page is decoded without a pause,
#: and a gevent worker serves nobody meanwhile.
_PAGE = 1000
#: Items after which other greenlets get their turn.
_TURN = 100


class Survey(object):
    """A survey of a storage and of its index.

    :param client: a PatientClient.
    :param tables: what schema.tables gives.
    :param source: a Source; None to leave the storage out.
    :param beat: called often; raises to stop.
    :param format: the Format to survey; the current one by default.
    """

    def __init__(self, client, tables, source, beat, sleep=sleep,
                 format=None, clock=monotonic):
        self._format = format or formats.CURRENT
        self._client = client
        self._tables = tables
        self._source = source
        self._beat = beat
        self._sleep = sleep
        self._clock = clock
        #: The namespaces that could not be read.
        self.unreadable = ()

    def take(self, meanwhile=None):
        """Return a Ledger with everything in it, to be closed.

        :param meanwhile: called with the Ledger while the storage is being
            listed, if the index was never loaded completely; returns whether
            it had anything to do.
        :raises RequestFailed, LeaseLost: as the client and the beat do.
        :raises StorageUnreadable: nothing of the storage can be read.
        """
        ledger = Ledger(self._format)
        try:
            # Before the storage is listed: a tombstone that is newer tells
            # that the listing is out of date.
            if self._note_marks(ledger) or not meanwhile:
                self._note_storage(ledger)
                self._note_index(ledger)
            else:
                self._note_index(ledger)
                self._note_storage(ledger, lambda: meanwhile(ledger))
        except BaseException:
            ledger.close()
            raise
        return ledger

    def tombstones(self, only):
        """(name, number) of each tombstone whose name begins so."""
        prefix = schema.TOMBSTONE + only
        for item in self.items(
                'query', 'search', KeyConditionExpression=(
                    'gram = :gram AND begins_with(suffix, :prefix)'),
                ExpressionAttributeValues={':gram': {'S': schema.MARKS},
                                           ':prefix': {'S': prefix}}):
            yield (item['suffix']['S'][len(schema.TOMBSTONE):],
                   item['number']['S'])

    def _note_marks(self, ledger):
        """Note the tombstones; return whether the index was ever loaded
        completely, in this format."""
        mark = None
        for item in self.items(
                'query', 'search', KeyConditionExpression='gram = :gram',
                ExpressionAttributeValues={':gram': {'S': schema.MARKS}}):
            suffix = item['suffix']['S']
            if suffix.startswith(schema.TOMBSTONE):
                ledger.note_removal(suffix[len(schema.TOMBSTONE):],
                                    item['number']['S'])
            elif suffix == schema.READY:
                mark = Mark.of(item)
        return (mark is not None and mark.format == self._format.number and
                mark.synced is not None)

    def _note_storage(self, ledger, meanwhile=lambda: False):
        if not self._source:
            return
        lister, listing = Lister(self._source), Listing(self._clock)

        def beat():
            self._beat()
            listing.tell(ledger.taken)

        for batch in lister.batches(beat, meanwhile):
            listing.count += len(batch)
            ledger.note_listed(
                (text.to_text(name), text.clean_description(description))
                for name, description in batch if _fits(name))
        self.unreadable = tuple(lister.unreadable)

    def _note_index(self, ledger):
        for item in self.items('scan', 'repository'):
            if _fits(item['name']['S']):
                ledger.note_row(item)
        for name, description in self.listed(self._format):
            ledger.note_witness(name, description)

    def listed(self, format):
        """(name, description or '') of each witness of a format."""
        for item in self.items(
                'query', 'search', KeyConditionExpression='gram = :gram',
                ExpressionAttributeValues={':gram': {'S': format.listed}}):
            yield item['suffix']['S'], item.get('d', {}).get('S', '')

    def items(self, operation, table, **arguments):
        """Yield the items of a Scan or Query, consistently, so that others
        get their turn between them."""
        arguments.update(TableName=self._tables[table].name, Limit=_PAGE,
                         ConsistentRead=True)
        for place, item in enumerate(
                self._client.pages(operation, **arguments)):
            if place % _TURN == 0:
                self._sleep(0)
                self._beat()
            yield item


def _fits(name):
    try:
        text.check_name(name)
    except errors.InvalidName as error:
        logger.warning('left out of the search index: %s', error)
        return False
    return True
