"""Plans the writes that make the postings of one repository match its row. Does no I/O.

A change is a list of TransactWriteItems actions. The head writes the row, the witness and the
tombstone, each on the condition that it is still as it was read. The body writes the other
postings. If a condition fails, nothing changes, and the change is planned again.

A change too long for one transaction becomes several. The first writes a token into the row, and
the last removes it; the others succeed only while the row has the token. Meanwhile, a search may
find the repository by some of its postings only."""

from __future__ import unicode_literals

import collections

from ..store import postings, text
from ..store.records import TOMBSTONE, Row, marker_key, repository_key

#: The most actions of a transaction:
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
LONGEST = 100
#: Seconds after which a load may delete a tombstone: longer than any load takes. No other decision
#: depends on them.
TOMBSTONE_SECONDS = 7 * 24 * 3600


class Change(collections.namedtuple(
        'Change', 'name state description origin target head body')):
    """The planned change of one repository.

    :param state: the RepositoryState that the change was planned from.
    :param description: the new description of the row; None keeps the existing one.
    :param origin: that of the new description, see Row; None if unknown.
    :param target: the description that the postings will have; None if they will be deleted.
    :param head: the actions with conditions: of the row, then of the witness, then others.
    :param body: the actions without conditions."""
    __slots__ = ()

    @property
    def actions(self):
        """All actions, in one list."""
        return self.head + self.body

    @property
    def is_short(self):
        """True if one transaction can make the change."""
        return len(self.actions) <= LONGEST

    @property
    def descriptions(self):
        """The set of the descriptions that postings may have while the change is being made, if not
        in one transaction."""
        return self.state.descriptions | (set() if self.target is None else {self.target})


class Planner(object):
    """Plans changes for the tables of one index.

    :param store: a Store, for the names of its tables.
    :param clock: returns Unix seconds; 0 is long ago."""

    def __init__(self, store, clock=lambda: 0):
        self._clock = clock
        self._rows = store.repository_table
        self._search = store.search_table

    def put(self, name, description, state, guard=(), origin=None):
        """Return the Change that adds ``name`` with all postings, or updates it.

        :param description: clean text; None keeps that of the row, and its origin.
        :param guard: further actions with conditions.
        :param origin: that of the description, see Row."""
        target = description
        if target is None:
            target = text.clean_description(state.row.description if state.row else None)
        wanted = postings.postings(name, target)
        trusted = _by_key(name, state.witness) if state.has_exact_postings else {}
        body = [self._put_posting(posting) for posting in wanted
                if trusted.get(posting[:2]) != posting]
        body += self._deletes(name, state, keep=wanted)
        sets, removes = _indexed(target)
        row = self._row_update(name, state.row, description, origin, sets + [self._touched()],
                               removes + [Row.WRITING])
        head = [row, self._put_witness(name, target, state)] + list(guard)
        return Change(name, state, description, origin, target, head, body)

    def delete(self, name, state, tombstone):
        """Return the Change that deletes ``name`` and its postings.

        :param tombstone: the action that writes a tombstone. Without it, a load could not see that
            postings which it has written no longer exist."""
        head = [{'Delete': self._on_row(name, state.row)},
                {'Delete': self._on_witness(name, state.witness)}, tombstone]
        return Change(name, state, None, None, None, head, self._deletes(name, state, keep=()))

    def touch(self, name, row, origin=None):
        """Return an Update that writes the time of this push into the row, and the origin of its
        description unless that is None, if the row is still as it was read."""
        sets = [(Row.ORIGIN, {'S': origin})] if origin else []
        return _updated(self._on_row(name, row), sets + [self._touched()], [])

    def tombstone(self, name, number):
        """Return the action that writes the tombstone of a removal of ``name``.

        :param number: a random text that no other removal has."""
        expires = str(int(self._clock()) + TOMBSTONE_SECONDS)
        return {'Put': {'TableName': self._search, 'Item': dict(
            marker_key(TOMBSTONE, name), number={'S': number}, expires={'N': expires})}}

    def changed_tombstone(self, name, was, number):
        """Return the action that changes the tombstone of ``name`` if its number is still ``was``.

        :param was: a number; None if there was no tombstone."""
        put = self.tombstone(name, number)['Put']
        condition = self.not_removed_since(name, was)['ConditionCheck']
        del condition['Key']
        return {'Put': dict(condition, **put)}

    def not_removed_since(self, name, number):
        """Return a ConditionCheck that ``name`` was not removed since a load began.

        :param number: that of its tombstone before the load listed the registry's storage; None if
            there was none."""
        check = {'TableName': self._search, 'Key': marker_key(TOMBSTONE, name),
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
        """Yield the actions of each transaction of a ``change`` that is not short, in order.

        :param token: a random text that no other change has."""
        yield self._first_transaction(change, token)
        has_token = {'ConditionCheck': self._on_row_with_token(change.name, token)}
        for first in range(0, len(change.body), LONGEST - 1):
            yield [has_token] + change.body[first:first + LONGEST - 1]
        yield self._last_transaction(change, token)

    def _first_transaction(self, change, token):
        """Return the actions of the first transaction, which writes the token. A repository that is
        being removed loses its witness, and its row no longer records postings. If all postings
        exist, the row records that, even if 0.1.0 has overwritten it."""
        writing = [token] + sorted(change.descriptions)
        sets, removes = [(Row.WRITING, {'L': [{'S': each} for each in writing]})], []
        if change.target is None:
            removes = [Row.POSTINGS]
        elif change.state.has_all_postings:
            sets += _indexed(change.state.witness)[0]
        elif change.state.row is not None and not change.state.is_half_added:
            # If this change is broken off, the row is still not that of a name that is half added.
            sets.append((Row.POSTINGS, {'N': '0'}))
        row = self._row_update(change.name, change.state.row, change.description, change.origin,
                               sets, removes)
        witness = change.head[1]
        if change.target is not None:
            witness = {'ConditionCheck': self._on_witness(change.name, change.state.witness)}
        return [row, witness] + change.head[2:]

    def _last_transaction(self, change, token):
        """Return the actions of the last transaction, which writes or deletes row and witness."""
        own_row = self._on_row_with_token(change.name, token)
        if change.target is None:
            return [{'Delete': own_row}]
        sets, removes = _indexed(change.target)
        witness = postings.witness(change.name, change.target)
        return [{'Update': _updated(own_row, sets + [self._touched()], removes + [Row.WRITING])},
                self._put_posting(witness)]

    def _touched(self):
        return Row.TOUCHED, {'N': str(int(self._clock()))}

    def _row_update(self, name, row, description, origin, sets, removes):
        """Return an Update of the row, if it is still as it was read.

        :param description: None keeps the existing one, '' removes it: DynamoDB refuses an empty
            text as a key of the secondary index that 0.1.0 made.
        :param origin: that of a new description.
        :param sets: further (attribute, typed value) pairs.
        :param removes: further attributes to remove."""
        sets, removes = list(sets), list(removes)
        if description:
            sets.append(('description', {'S': description}))
        elif description is not None:
            removes.append('description')
        if description and origin:
            sets.append((Row.ORIGIN, {'S': origin}))
        elif description is not None:
            removes.append(Row.ORIGIN)
        return {'Update': _updated(self._on_row(name, row), sets, removes)}

    def _on_row(self, name, row):
        """Return an action on the row, if it is still as it was read."""
        if row is None:
            return self._on_item(name, ['attribute_not_exists(#name)'], {'#name': 'name'}, {})
        tests, names, values = ['attribute_exists(#name)'], {'#name': 'name'}, {}
        # Other programs may have written attributes of any type; they are compared as read.
        for attribute in 'description', Row.POSTINGS, Row.WRITING, Row.TOUCHED, Row.ORIGIN:
            names['#' + attribute] = attribute
            if attribute in row.item:
                values[':was_' + attribute] = row.item[attribute]
                tests.append('#%s = :was_%s' % (attribute, attribute))
            else:
                tests.append('attribute_not_exists(#%s)' % attribute)
        return self._on_item(name, tests, names, values)

    def _on_row_with_token(self, name, token):
        """Return an action on the row, if the row has this token."""
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
            return action
        item = postings.to_item(postings.witness(name, witness))
        found = [attribute for attribute in 'tc' if attribute in item]
        # Or another program has removed the text.
        action['ConditionExpression'] = (
            '(%s) OR (attribute_exists(gram) AND attribute_not_exists(t))' % ' AND '.join(
                ['%s = :%s' % (attribute, attribute) for attribute in found] +
                ['attribute_not_exists(c)'] * ('c' not in item)))
        action['ExpressionAttributeValues'] = {
            ':' + attribute: item[attribute] for attribute in found}
        return action

    def _put_posting(self, posting):
        return {'Put': {'TableName': self._search, 'Item': postings.to_item(posting)}}

    def _put_witness(self, name, description, state):
        action = self._on_witness(name, state.witness)
        del action['Key']
        action['Item'] = postings.to_item(postings.witness(name, description))
        return {'Put': action}

    def _deletes(self, name, state, keep):
        kept = set(posting[:2] for posting in keep)
        existing = set()
        for description in state.descriptions:
            existing.update(_by_key(name, description))
        return [self.delete_posting(*key) for key in sorted(existing - kept)]


def _by_key(name, description):
    return {posting[:2]: posting for posting in postings.postings(name, description)}


def _indexed(description):
    """Return the attributes to set and to remove in a row, to record that its postings have this
    description."""
    sets = [(Row.POSTINGS, {'N': str(postings.FORMAT)})]
    if description:
        return sets + [(Row.INDEXED, {'S': description})], []
    return sets, [Row.INDEXED]


def _updated(action, sets, removes):
    """Return ``action`` with an UpdateExpression that sets and removes these attributes."""
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
