"""Entries: the changes that wait, one a repository, in their order. Pure."""

from __future__ import unicode_literals

import collections

__all__ = ['Entries', 'Entry']


class Entry(object):
    """One repository's newest change."""

    __slots__ = ('name', 'is_there', 'is_fresh', 'is_made', 'due', 'tries',
                 'ended')

    def __init__(self, name, is_there):
        self.name = name
        self.is_there = is_there
        # Its host still waits: nothing later can have happened.
        self.is_fresh = True
        self.is_made = False
        self.due = self.tries = 0
        self.ended = None


class Entries(object):
    """The entries that wait: first those whose hosts wait, too."""

    def __init__(self):
        self._fresh = collections.OrderedDict()
        self._late = collections.OrderedDict()

    def __len__(self):
        return len(self._fresh) + len(self._late)

    def names(self):
        """All names, in order."""
        return list(self._fresh) + list(self._late)

    def add(self, entry):
        """Have a repository's newest change wait."""
        self._fresh[entry.name] = entry

    def drop(self, name):
        """Take the entry of a repository away; return it, or None."""
        return self._fresh.pop(name, None) or self._late.pop(name, None)

    def make_late(self, entry):
        """Its host waits no more: what it says may be out of date by the
        time it is made."""
        entry.is_fresh = False
        if self._fresh.get(entry.name) is entry:
            self._late[entry.name] = self._fresh.pop(entry.name)

    def put_back(self, entry):
        """Have it wait once more, unless there is a newer one."""
        if entry.name not in self._fresh:
            self._late.setdefault(entry.name, entry)

    def take(self, now, other_than):
        """Take the first one that is due; None when there is none.

        :param now: on the clock of ``due``; None for any.
        :param other_than: names not to take.
        """
        for entries in self._fresh, self._late:
            for name, entry in _pairs(entries):
                if name not in other_than and (
                        now is None or entry.due <= now):
                    return entries.pop(name)
        return None


def _pairs(entries):
    # items() of Python 2.7 copies them.
    return ((name, entries[name]) for name in entries)
