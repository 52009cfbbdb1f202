"""What to write so that one repository's postings follow its row. Pure.

A change is a list of TransactWriteItems actions: the head (the row, the
witness, the tombstone), each on the condition that what was read still
stands, and the body (the other postings). A change whose conditions fail
changes nothing, and is planned again from what is there now.
"""

from __future__ import unicode_literals

import collections

from ..store import text
from .actions import Actions, posting_item, updated

__all__ = ['Change', 'Planner', 'posting_item']


class Change(collections.namedtuple('Change',
                                    'name known format description target '
                                    'head body')):
    """One repository's change, in one format.

    :param format: the Format of the postings.
    :param description: what the row's becomes; None leaves it.
    :param target: what the postings will say; None when they will be gone.
    :param head: the actions with conditions; the row's comes first, the
        witness's second.
    :param body: the actions without.
    """

    __slots__ = ()

    @property
    def actions(self):
        return self.head + self.body

    @property
    def takes_row(self):
        """Whether no row will be left."""
        return 'Delete' in self.head[0]


class Planner(Actions):
    """Plans changes for the tables of one index, in one format."""

    def put(self, name, description, known, guard=()):
        """The change after which ``name`` is there, whole.

        :param description: clean text; None keeps what the row has.
        :param guard: further actions with conditions.
        """
        target = description
        if target is None:
            target = text.clean_description(
                known.row.description if known.row else None)
        wanted = self.format.postings(name, target)
        trusted = self._by_key(name, known.witness) if known.is_proven else {}
        body = [self.put_posting(posting) for posting in wanted
                if trusted.get(posting[:2]) != posting]
        body += self._deletes(name, known, keep=wanted)
        sets, removes = self.marks(target)
        row = self.row_update(name, known.row, description,
                              sets + [self.touched()],
                              removes + [self.format.writing])
        head = [row, self._witness_put(name, target, known)] + list(guard)
        return Change(name, known, self.format, description, target, head,
                      body)

    def touch(self, name, row):
        """An Update that notes that the row was touched now, if it is still
        as it was read."""
        return updated(self.on_row(name, row), [self.touched()], [])

    def delete(self, name, known, tombstone=None):
        """The change after which ``name`` and its postings are gone.

        :param tombstone: the action that leaves a tombstone, or None.
        """
        row = {'Delete': self.on_row(name, known.row, whole=True)}
        return self._gone(name, known, row, tombstone)

    def withdraw(self, name, known):
        """The change after which nothing of this format is left of ``name``;
        a row stays."""
        if known.row is None:
            return self.delete(name, known)
        row = updated(self.on_row(name, known.row), [],
                      self.format.attributes)
        return self._gone(name, known, {'Update': row})

    def _gone(self, name, known, row, tombstone=None):
        head = [row, {'Delete': self.on_witness(name, known.witness)}]
        if tombstone:
            head.append(tombstone)
        return Change(name, known, self.format, None, None, head,
                      self._deletes(name, known, keep=()))

    def _witness_put(self, name, description, known):
        action = self.on_witness(name, known.witness)
        if known.witness == description:
            return {'ConditionCheck': action}
        del action['Key']
        action['Item'] = posting_item(
            self.format.witness(name, description), self.format)
        return {'Put': action}

    def _deletes(self, name, known, keep):
        # Those of the name before those of the description: where they need
        # several transactions, the name is gone with the first.
        stays = set(posting[:2] for posting in keep)
        goes = set()
        for description in known.descriptions:
            goes.update(self._by_key(name, description))
        return [self.forget(gram, suffix)
                for gram, suffix in sorted(goes - stays, reverse=True)]

    def _by_key(self, name, description):
        return {posting[:2]: posting
                for posting in self.format.postings(name, description)}
