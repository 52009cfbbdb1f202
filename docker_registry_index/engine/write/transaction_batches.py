"""A change too long for one transaction, as several. Pure.

DynamoDB takes 100 actions a transaction; names from about 97 characters on
need more. The first transaction writes a token into the row, the last one
takes it out; each between holds only while the token stands, so whoever
changes the repository meanwhile ends this attempt. The postings carry
``v``: a search believes them only when the row is marked as indexed, which
happens in the last transaction. So such a name, too, is found by all its
substrings or by none, and a change broken off is known by its token.
"""

from __future__ import unicode_literals

from .actions import updated

__all__ = ['LONGEST', 'descriptions', 'is_short', 'transactions']

#: Actions a transaction may have:
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
LONGEST = 100
#: The row, the witness, and a tombstone or a loader's guard.
_LONGEST_HEAD = 3


def is_short(change):
    """Whether one transaction makes ``change``.

    A name that one could add, but not remove for want of room for the
    tombstone, is a long one from the beginning: its postings need ``v``.
    """
    return len(change.body) <= LONGEST - _LONGEST_HEAD


def descriptions(change):
    """Those that postings may say while ``change`` is under way: a set.

    None of a short one, which is made or not.
    """
    return set() if is_short(change) else _descriptions(change)


def transactions(planner, change, token):
    """Yield the lists of actions that make ``change``, in order.

    :param token: a random text that no other change has.
    """
    steps = _Steps(planner, change, token)
    yield steps.begin()
    body = [_verified(action) for action in change.body]
    for first in range(0, len(body), LONGEST - 1):
        yield [steps.still_ours()] + body[first:first + LONGEST - 1]
    yield steps.end()


class _Steps(object):

    def __init__(self, planner, change, token):
        self._planner = planner
        self._change = change
        self._token = token

    def begin(self):
        """Put the token in. A repository on its way out loses mark and
        witness; one that is whole is marked, also where 0.1.0 wrote over its
        row."""
        change, format = self._change, self._planner.format
        writing = {'L': [{'S': part} for part in self._writing()]}
        sets, removes = [(format.writing, writing)], []
        if change.target is None:
            removes = [format.mark]
        elif change.known.is_whole:
            sets += self._planner.marks(change.known.witness)[0]
        row = self._planner.row_update(
            change.name, change.known.row, change.description, sets, removes,
            whole=change.takes_row)
        witness = change.head[1]
        if change.target is not None:
            witness = {'ConditionCheck': self._planner.on_witness(
                change.name, change.known.witness)}
        return [row, witness] + change.head[2:]

    def still_ours(self):
        """Holds while nobody else has begun to change the repository."""
        return {'ConditionCheck': self._on_own_row()}

    def end(self):
        """The row and its witness, as the change wants them, at once."""
        change, planner = self._change, self._planner
        if change.takes_row:
            row = change.known.row
            return [{'Delete': self._on_own_row(row.item if row else {})}]
        if change.target is None:
            return [{'Update': updated(self._on_own_row(), [],
                                       planner.format.attributes)}]
        sets, removes = planner.marks(change.target)
        sets.append(planner.touched())
        removes.append(planner.format.writing)
        witness = planner.format.witness(change.name, change.target)
        return [{'Update': updated(self._on_own_row(), sets, removes)},
                _verified(planner.put_posting(witness))]

    def _on_own_row(self, as_read=None):
        return self._planner.on_own_row(self._change.name, self._token,
                                        as_read)

    def _writing(self):
        return [self._token] + sorted(_descriptions(self._change))


def _descriptions(change):
    found = set(change.known.descriptions)
    if change.target is not None:
        found.add(change.target)
    return found


def _verified(action):
    if 'Put' in action:
        action = {'Put': dict(action['Put'], Item=dict(
            action['Put']['Item'], v={'N': '1'}))}
    return action
