"""What to write so that one repository's postings follow its row. Pure.

A change is a list of TransactWriteItems actions: the head (the row, the witness, the tombstone),
each on the condition that what was read still stands, and the body (the other postings). A change
whose conditions fail changes nothing, and is planned again from what is there now.

A change too long for one transaction becomes several. The first one writes a token into the row,
the last one removes it; each between holds only while the token stands. The postings carry ``v``:
a search uses them only if the row shows that they are indexed, as the last one does."""

from __future__ import unicode_literals

import collections

from ..store import postings, text
from ..store.records import Row, repository_key, tombstone_key

__all__ = ['Change', 'LONGEST', 'Planner', 'descriptions', 'is_short']

#: Actions a transaction may have:
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
LONGEST = 100
#: The row, the witness, and a tombstone or a loader's guard.
_LONGEST_HEAD = 3


class Change(collections.namedtuple('Change', 'name state description target head body')):
    """One repository's change.

    :param state: the RepositoryState that it was planned from.
    :param description: what the row's becomes; None leaves it.
    :param target: the description that the postings will have; None when they will be gone.
    :param head: the actions with conditions; the row's comes first, the witness's second.
    :param body: the actions without."""
    __slots__ = ()

    @property
    def actions(self):
        """All actions, for one transaction."""
        return self.head + self.body


def is_short(change):
    """Return whether one transaction makes ``change``. A name that one could add, but not remove
    because the tombstone does not fit, is a long one from the beginning: its postings need
    ``v``."""
    return len(change.body) <= LONGEST - _LONGEST_HEAD


def descriptions(change):
    """Return the descriptions that postings may have while ``change`` is under way: a set. None of
    a short one, which is made or not."""
    return set() if is_short(change) else _descriptions(change)


class Planner(object):
    """Plans changes for the tables of one index.

    :param store: a Store, for the names of its tables.
    :param clock: gives Unix seconds; 0 is long ago."""

    def __init__(self, store, clock=lambda: 0):
        self._clock = clock
        self._rows = store.repository_table
        self._search = store.search_table

    def put(self, name, description, state, guard=()):
        """Return the change after which ``name`` is there, whole.

        :param description: clean text; None keeps what the row has.
        :param guard: further actions with conditions."""
        target = description
        if target is None:
            target = text.clean_description(state.row.description if state.row else None)
        wanted = postings.postings(name, target)
        trusted = _by_key(name, state.witness) if state.is_proven else {}
        body = [self._put_posting(posting) for posting in wanted
                if trusted.get(posting[:2]) != posting]
        body += self._deletes(name, state, keep=wanted)
        sets, removes = _indexed(target)
        row = self._row_update(name, state.row, description, sets + [self._touched()],
                               removes + [Row.WRITING])
        head = [row, self._put_witness(name, target, state)] + list(guard)
        return Change(name, state, description, target, head, body)

    def delete(self, name, state, tombstone=None):
        """Return the change after which ``name`` and its postings are gone.

        :param tombstone: the action that leaves a tombstone, or None."""
        head = [{'Delete': self._on_row(name, state.row)},
                {'Delete': self._on_witness(name, state.witness)}]
        if tombstone:
            head.append(tombstone)
        return Change(name, state, None, None, head, self._deletes(name, state, keep=()))

    def touch(self, name, row):
        """Return an Update that notes that the row was touched now, if it is still as it was
        read."""
        return _updated(self._on_row(name, row), [self._touched()], [])

    def tombstone(self, name, number, expires):
        """Return the action that notes that ``name`` was removed.

        :param number: a random text that no other removal has.
        :param expires: Unix time after which a load may delete the note; no other decision depends
            on it."""
        return {'Put': {'TableName': self._search, 'Item': dict(
            tombstone_key(name), number={'S': number}, expires={'N': str(expires)})}}

    def not_removed_since(self, name, number):
        """Return a check that holds while the tombstone of ``name`` is still the one seen.

        :param number: that of the tombstone before the registry's storage was listed; None if there
            was none."""
        check = {'TableName': self._search, 'Key': tombstone_key(name),
                 'ConditionExpression': 'attribute_not_exists(gram)'}
        if number is not None:
            check['ConditionExpression'] += ' OR #number = :number'
            check['ExpressionAttributeNames'] = {'#number': 'number'}
            check['ExpressionAttributeValues'] = {':number': {'S': number}}
        return {'ConditionCheck': check}

    def delete_posting(self, gram, suffix):
        """Return a Delete of one posting."""
        return {'Delete': {'TableName': self._search, 'Key': {
            'gram': {'S': gram}, 'suffix': {'S': suffix}}}}

    def transactions(self, change, token):
        """Yield the lists of actions that make ``change``, which is not short, in order.

        :param token: a random text that no other change has."""
        yield self._begin(change, token)
        body = [_verified(action) for action in change.body]
        still_ours = {'ConditionCheck': self._on_own_row(change.name, token)}
        for first in range(0, len(body), LONGEST - 1):
            yield [still_ours] + body[first:first + LONGEST - 1]
        yield self._end(change, token)

    def _begin(self, change, token):
        """Put the token in. A repository that is being removed is not indexed any more, and loses
        its witness; one that is whole is indexed, also where 0.1.0 wrote over its row."""
        writing = [token] + sorted(_descriptions(change))
        sets, removes = [(Row.WRITING, {'L': [{'S': each} for each in writing]})], []
        if change.target is None:
            removes = [Row.POSTINGS]
        elif change.state.is_whole:
            sets += _indexed(change.state.witness)[0]
        row = self._row_update(change.name, change.state.row, change.description, sets, removes)
        witness = change.head[1]
        if change.target is not None:
            witness = {'ConditionCheck': self._on_witness(change.name, change.state.witness)}
        return [row, witness] + change.head[2:]

    def _end(self, change, token):
        """Write the row and its witness, as the change plans them, at once."""
        own_row = self._on_own_row(change.name, token)
        if change.target is None:
            return [{'Delete': own_row}]
        sets, removes = _indexed(change.target)
        witness = postings.witness(change.name, change.target)
        return [{'Update': _updated(own_row, sets + [self._touched()], removes + [Row.WRITING])},
                _verified(self._put_posting(witness))]

    def _touched(self):
        return Row.TOUCHED, {'N': str(int(self._clock()))}

    def _row_update(self, name, row, description, sets, removes):
        """Return an Update of the row, if it is still as it was read.

        :param description: None leaves it, '' takes it out: an empty one would be a key of the
            secondary index that 0.1.0 made, which DynamoDB refuses.
        :param sets: further (attribute, typed value) pairs.
        :param removes: further attributes that go."""
        sets, removes = list(sets), list(removes)
        if description:
            sets.append(('description', {'S': description}))
        elif description is not None:
            removes.append('description')
        return {'Update': _updated(self._on_row(name, row), sets, removes)}

    def _on_row(self, name, row):
        """Return an action on the row, if it is still as it was read."""
        if row is None:
            return self._on_item(name, ['attribute_not_exists(#name)'], {'#name': 'name'}, {})
        tests, names, values = ['attribute_exists(#name)'], {'#name': 'name'}, {}
        # As they stand there, of whatever type.
        for attribute in 'description', Row.POSTINGS, Row.WRITING, Row.TOUCHED:
            names['#' + attribute] = attribute
            if attribute in row.item:
                values[':was_' + attribute] = row.item[attribute]
                tests.append('#%s = :was_%s' % (attribute, attribute))
            else:
                tests.append('attribute_not_exists(#%s)' % attribute)
        return self._on_item(name, tests, names, values)

    def _on_own_row(self, name, token):
        """Return an action on the row, if our token stands in it."""
        return self._on_item(name, ['#own[0] = :token'], {'#own': Row.WRITING},
                             {':token': {'S': token}})

    def _on_item(self, name, tests, names, values):
        action = {'TableName': self._rows, 'Key': repository_key(name),
                  'ConditionExpression': ' AND '.join(tests), 'ExpressionAttributeNames': names}
        if values:
            action['ExpressionAttributeValues'] = values
        return action

    def _on_witness(self, name, witness):
        """Return an action on the witness, if it is still as it was read."""
        action = {'TableName': self._search, 'Key': postings.witness_key(name)}
        if witness is None:
            action['ConditionExpression'] = 'attribute_not_exists(gram)'
        elif witness:
            action['ConditionExpression'] = 'd = :witness'
            action['ExpressionAttributeValues'] = {':witness': {'S': witness}}
        else:
            action['ConditionExpression'] = ('attribute_exists(gram) AND attribute_not_exists(d)')
        return action

    def _put_posting(self, posting):
        return {'Put': {'TableName': self._search, 'Item': postings.to_item(posting)}}

    def _put_witness(self, name, description, state):
        action = self._on_witness(name, state.witness)
        if state.witness == description:
            return {'ConditionCheck': action}
        del action['Key']
        action['Item'] = postings.to_item(postings.witness(name, description))
        return {'Put': action}

    def _deletes(self, name, state, keep):
        # Those of the name before those of the description: where they need several transactions,
        # the name is gone with the first.
        stays = set(posting[:2] for posting in keep)
        goes = set()
        for description in state.descriptions:
            goes.update(_by_key(name, description))
        return [self.delete_posting(*key) for key in sorted(goes - stays, reverse=True)]


def _descriptions(change):
    found = set(change.state.descriptions)
    if change.target is not None:
        found.add(change.target)
    return found


def _by_key(name, description):
    return {posting[:2]: posting for posting in postings.postings(name, description)}


def _indexed(description):
    """Return how a row records that its postings were written with ``description``: the attributes
    to set, and those to remove."""
    sets = [(Row.POSTINGS, {'N': str(postings.FORMAT)})]
    if description:
        return sets + [(Row.INDEXED, {'S': description})], []
    return sets, [Row.INDEXED]


def _updated(action, sets, removes):
    """Return ``action`` with the UpdateExpression of these attributes."""
    for attribute, value in sets:
        action.setdefault('ExpressionAttributeValues', {})[':' + attribute] = value
    for attribute in [attribute for attribute, _ in sets] + list(removes):
        action['ExpressionAttributeNames']['#' + attribute] = attribute
    clauses = []
    if sets:
        clauses.append('SET ' + ', '.join(
            '#%s = :%s' % (attribute, attribute) for attribute, _ in sets))
    if removes:
        clauses.append('REMOVE ' + ', '.join('#' + attribute for attribute in removes))
    action['UpdateExpression'] = ' '.join(clauses)
    return action


def _verified(action):
    """Return the action, a Put with the flag that has a search ask the row."""
    if 'Put' in action:
        action = {'Put': dict(action['Put'], Item=dict(action['Put']['Item'], v={'N': '1'}))}
    return action
