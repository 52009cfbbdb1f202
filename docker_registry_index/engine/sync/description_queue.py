"""The description queue: notes of the repositories whose descriptions are still to be read.

It is for a program that reads descriptions one by one after a load. The note of a repository is
written to the search table before the repository, so a crash loses no description. The note is
deleted when the description has been read."""

from __future__ import unicode_literals

import collections
import uuid

from .. import errors
from ..store.records import MARKERS, PENDING, marker_key, name_of_marker


class Note(collections.namedtuple('Note', 'name number is_expected')):
    """A note that the description of a repository is still to be read.

    :param name: the name of the repository.
    :param number: a random text that no other note of this name has.
    :param is_expected: True if the registry announced the repository: if the storage does not have
        it yet, the reader waits for a while."""
    __slots__ = ()


class DescriptionQueue(object):
    """Writes, reads and deletes the notes of one index.

    :param store: a Store."""

    def __init__(self, store):
        self._store = store

    def note(self, names, is_expected=False):
        """Write a note for each of these repositories, and return the list of notes.

        :param is_expected: see Note.

        Costs a write unit for each name, and a BatchWriteItem for each 25.

        :raises RequestFailed: some names are not noted."""
        notes = [Note(name, uuid.uuid4().hex, is_expected) for name in sorted(set(names))]
        more = {'expected': {'BOOL': True}} if is_expected else {}
        items = [dict(marker_key(PENDING, note.name), number={'S': note.number}, **more)
                 for note in notes]
        self._store.batch_write(self._store.search_table, [
            {'PutRequest': {'Item': item}} for item in items])
        return notes

    def notes(self, limit, after=None):
        """Return a list of the notes, in the order of their names.

        Costs a Query: half a read unit if there is no note.

        :param limit: the most notes, 1 or more.
        :param after: a name; only notes of later names are returned."""
        page = self._store.query(
            MARKERS, prefix=PENDING, limit=limit,
            start=None if after is None else marker_key(PENDING, after))
        return [Note(name_of_marker(PENDING, item), item['number']['S'],
                     item.get('expected', {}).get('BOOL', False)) for item in page['Items']]

    def done(self, note):
        """Delete a note, unless a newer note of the name has replaced it. Costs a DeleteItem, a
        write unit."""
        try:
            self._store.delete_numbered(marker_key(PENDING, note.name), note.number)
        except errors.ConditionFailed:
            pass
