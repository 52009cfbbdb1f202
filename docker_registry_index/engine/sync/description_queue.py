"""The description queue: repositories whose descriptions are still to be read.

For a program that reads descriptions one by one, after a load. A note for each is written to the
search table before the repository is: so whatever is killed when, none is forgotten. A note that is
done is deleted."""

from __future__ import unicode_literals

import collections
import uuid

from .. import errors
from ..store.records import MARKERS, name_of_key, pending_key

__all__ = ['DescriptionQueue', 'Note']


class Note(collections.namedtuple('Note', 'name number is_expected')):
    """A note.

    :param name: of the repository.
    :param number: a random text that no other note of this name has.
    :param is_expected: whether to wait for the repository for a while, if it is not there: somebody
        has announced it."""
    __slots__ = ()


class DescriptionQueue(object):
    """The notes of one index.

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def note(self, names, is_expected=False):
        """Note that the descriptions of these are to be read.

        :param is_expected: as of Note.
        :returns: a list of Note.

        Costs a write unit for each, and a BatchWriteItem for each 25.

        :raises RequestFailed: some are not noted."""
        notes = [Note(name, uuid.uuid4().hex, is_expected) for name in sorted(set(names))]
        self._store.batch_write(self._store.search_table, [
            {'PutRequest': {'Item': _item(note)}} for note in notes])
        return notes

    def notes(self, limit, after=None):
        """Return a list of Note, in the order of their names.

        Costs a Query: half a read unit when there is none.

        :param limit: at most so many, 1 or more.
        :param after: a name; those after it."""
        page = self._store.query(
            MARKERS, prefix=pending_key('')['suffix']['S'], limit=limit,
            start=None if after is None else pending_key(after))
        return [Note(name_of_key(item, pending_key), item['number']['S'],
                     item.get('expected', {}).get('BOOL', False)) for item in page['Items']]

    def done(self, note):
        """Delete a note; one that was written anew meanwhile stays. Costs a DeleteItem: a write
        unit."""
        try:
            self._store.delete_numbered(pending_key(note.name), note.number)
        except errors.ConditionFailed:
            # It is being written anew.
            pass


def _item(note):
    item = dict(pending_key(note.name), number={'S': note.number})
    if note.is_expected:
        item['expected'] = {'BOOL': True}
    return item
