"""The description queue: notes of the repositories whose descriptions are still to be read.

It is for a program that reads descriptions one by one after a load. The note of a repository is
written to the search table before the repository, so a crash loses no description. The note is
deleted when the description has been read. The reader keeps a Schedule of its notes in memory."""

from __future__ import unicode_literals

import collections
import uuid

from .. import errors
from .._compat import monotonic
from ..store.records import MARKERS, PENDING, marker_key, name_of_marker

#: The most seconds for reading one repository.
LONG_SECONDS = 120
#: Seconds for which an expected repository is awaited.
EXPECTED_SECONDS = 300
#: The pause before a repository is read again: seconds at first, later a share of the time passed.
#: The first pair is for an expected repository, the second after a failure. The longest pause.
_EXPECTED_PAUSE, _FAILED_PAUSE, LONGEST_PAUSE = (0.25, 0.125), (10, 0.5), 600
#: The most notes in a schedule; others are read from DynamoDB again.
_MOST_SCHEDULED = 1000


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


class _Wait(object):
    """The times at which a note was first read and is due, and whether the last attempt failed."""

    def __init__(self, now):
        self.since = self.due = now
        self.has_failed = False


class Schedule(dict):
    """The times at which this process reads notes again, by Note; several threads may use it.

    The time of a note begins when this process reads it first.

    :param clock: returns seconds that never go back."""

    def __init__(self, clock=monotonic):
        super(Schedule, self).__init__()
        self._clock = clock

    def add(self, note):
        """Add a note, due now, unless it is already scheduled."""
        if len(self) < _MOST_SCHEDULED:
            self.setdefault(note, _Wait(self._clock()))

    def take_due(self, has_failed):
        """Return the notes that are due, after a failure or otherwise. All stay scheduled."""
        now = self._clock()
        due = [(note, wait) for note, wait in list(self.items())
               if wait.due <= now and wait.has_failed == has_failed]
        for _, wait in due:
            # If the caller does not read the note, it is due again after this time.
            wait.due = now + 2 * LONG_SECONDS
        return [note for note, _ in due]

    def postpone(self, note, has_failed):
        """Let a note be due later; the longer it waits, the longer is the pause."""
        self.add(note)
        wait = self.get(note)
        if wait is not None:
            now = self._clock()
            first, share = _FAILED_PAUSE if has_failed else _EXPECTED_PAUSE
            wait.has_failed = has_failed
            wait.due = now + min(max(first, share * (now - wait.since)), LONGEST_PAUSE)

    def hasten(self):
        """Let the notes that have failed be due now."""
        for wait in list(self.values()):
            if wait.has_failed:
                wait.due = min(wait.due, self._clock())

    def has_expired(self, note):
        """Return True if a note was scheduled for EXPECTED_SECONDS."""
        wait = self.get(note)
        return wait is not None and self._clock() - wait.since >= EXPECTED_SECONDS

    def seconds(self, has_failed):
        """Return the seconds until the next note is due; infinity if there is none."""
        due = [wait.due for wait in list(self.values()) if wait.has_failed == has_failed]
        return max(0, min(due) - self._clock()) if due else float('inf')
