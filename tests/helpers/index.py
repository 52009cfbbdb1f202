"""The search index as the background of the service uses it."""
from unittest.mock import Mock

from docker_registry_index.engine.errors import RequestFailed
from docker_registry_index.engine.sync.description_queue import Note

THROTTLED = RequestFailed('query', ['table'], 'ThrottlingException', 'slow down', True)


class FakeIndex(dict):
    """A SearchIndex in memory: names to descriptions. It is its own description queue. It replaces
    all descriptions, whatever their origins.

    :ivar kept: the notes in the queue.
    :ivar lease: a Mock; each lease is acquired.
    :ivar before_change: a Mock, called before a repository is added or removed.
    :ivar before_read: a Mock, called before notes are read.
    :ivar sync_soon: a Mock.
    :ivar ready: True, see SearchIndex."""

    def __init__(self):
        self.description_queue, self.kept = self, []
        self.lease, self.before_change, self.before_read = Mock(), Mock(), Mock()
        self.sync_soon, self.ready = Mock(), True

    def add(self, name, description=None, origin=None, may_replace=None):
        self.before_change()
        self[name] = description or None

    def remove(self, name):
        self.before_change()
        self.pop(name, None)

    def has(self, name):
        return name in self

    def note(self, names, is_expected):
        notes = [Note(name, '1', is_expected) for name in names]
        self.kept += notes
        return notes

    def notes(self, limit, after=None):
        self.before_read()
        return [note for note in self.kept if note.name > (after or '')][:limit]

    def done(self, note):
        self.kept.remove(note)

    @property
    def noted(self):
        """The names of the notes in the queue."""
        return [note.name for note in self.kept]
