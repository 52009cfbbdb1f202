"""What to write so that one repository's postings follow its row. Pure.

A change is a list of TransactWriteItems actions: the head (the row, the
witness, the tombstone), each on the condition that what was read still
stands, and the body (the other postings). A change whose conditions fail
changes nothing, and is planned again from what is there now.
"""

from __future__ import unicode_literals

import collections

from . import postings, schema, text

__all__ = ['Change', 'Planner', 'marks', 'posting_item', 'updated']


class Change(collections.namedtuple('Change',
                                    'name known description target '
                                    'head body')):
    """One repository's change.

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


class Planner(object):
    """Plans changes for the tables of one index.

    :param tables: what schema.tables gives.
    :param clock: gives Unix seconds; 0 is long ago.
    """

    def __init__(self, tables, clock=lambda: 0):
        self._clock = clock
        self.row_table = tables['repository'].name
        self.search_table = tables['search'].name

    def put(self, name, description, known, guard=()):
        """The change after which ``name`` is there, whole.

        :param description: clean text; None keeps what the row has.
        :param guard: further actions with conditions.
        """
        target = description
        if target is None:
            target = text.clean_description(
                known.row.description if known.row else None)
        wanted = postings.postings(name, target)
        trusted = _by_key(name, known.witness) if known.is_proven else {}
        body = [self._put(posting) for posting in wanted
                if trusted.get(posting[:2]) != posting]
        body += self._deletes(name, known, keep=wanted)
        sets, removes = marks(target)
        row = self.row_update(name, known.row, description,
                              sets + [self.touched()],
                              removes + ['writing'])
        head = [row, self._witness_put(name, target, known)] + list(guard)
        return Change(name, known, description, target, head, body)

    def touch(self, name, row):
        """An Update that notes that the row was touched now, if it is still
        as it was read."""
        return updated(self.on_row(name, row), [self.touched()], [])

    def delete(self, name, known, tombstone=None):
        """The change after which ``name`` and its postings are gone.

        :param tombstone: the action that leaves a tombstone, or None.
        """
        head = [{'Delete': self.on_row(name, known.row)},
                {'Delete': self.on_witness(name, known.witness)}]
        if tombstone:
            head.append(tombstone)
        return Change(name, known, None, None, head,
                      self._deletes(name, known, keep=()))

    def forget(self, gram, suffix):
        """A Delete of one posting."""
        return {'Delete': {'TableName': self.search_table, 'Key': {
            'gram': {'S': gram}, 'suffix': {'S': suffix}}}}

    def tombstone(self, name, number, expires):
        """Leaves word that ``name`` was removed.

        :param number: a random text that tells this removal from others.
        :param expires: Unix time after which it may go; only a matter of
            tidiness, no decision depends on it.
        """
        return {'Put': {'TableName': self.search_table, 'Item': {
            'gram': {'S': schema.MARKS},
            'suffix': {'S': schema.TOMBSTONE + name},
            'number': {'S': number}, 'expires': {'N': str(expires)}}}}

    def not_removed_since(self, name, number):
        """Holds while the tombstone of ``name`` is still the one seen.

        :param number: what the tombstone said before the registry's storage
            was listed; None when there was none.
        """
        check = {'TableName': self.search_table, 'Key': {
            'gram': {'S': schema.MARKS},
            'suffix': {'S': schema.TOMBSTONE + name}},
            'ConditionExpression': 'attribute_not_exists(gram)'}
        if number is not None:
            check['ConditionExpression'] += ' OR #number = :number'
            check['ExpressionAttributeNames'] = {'#number': 'number'}
            check['ExpressionAttributeValues'] = {':number': {'S': number}}
        return {'ConditionCheck': check}

    def row_update(self, name, row, description=None, sets=(), removes=()):
        """An Update of the row, if it is still as it was read.

        :param description: None leaves it, '' takes it out: an empty one
            would be a key of the secondary index that 0.1.0 made, which
            DynamoDB refuses.
        :param sets: further (attribute, typed value) pairs.
        :param removes: further attributes that go.
        """
        sets, removes = list(sets), list(removes)
        if description:
            sets.append(('description', {'S': description}))
        elif description is not None:
            removes.append('description')
        return {'Update': updated(self.on_row(name, row), sets, removes)}

    def on_row(self, name, row):
        """An action on the row, if it is still as it was read."""
        action = {'TableName': self.row_table, 'Key': {'name': {'S': name}}}
        if row is None:
            action['ConditionExpression'] = 'attribute_not_exists(#name)'
            action['ExpressionAttributeNames'] = {'#name': 'name'}
            return action
        tests, names, values = ['attribute_exists(#name)'], {}, {}
        names['#name'] = 'name'
        # As they stand there, of whatever type.
        for attribute in 'description', 'postings', 'writing', 'touched':
            names['#' + attribute] = attribute
            if attribute in row.item:
                values[':was_' + attribute] = row.item[attribute]
                tests.append('#%s = :was_%s' % (attribute, attribute))
            else:
                tests.append('attribute_not_exists(#%s)' % attribute)
        action['ConditionExpression'] = ' AND '.join(tests)
        action['ExpressionAttributeNames'] = names
        if values:
            action['ExpressionAttributeValues'] = values
        return action

    def on_witness(self, name, witness):
        """An action on the witness, if it is still as it was read."""
        action = {'TableName': self.search_table, 'Key': {
            'gram': {'S': postings.LISTED}, 'suffix': {'S': name}}}
        if witness is None:
            action['ConditionExpression'] = 'attribute_not_exists(gram)'
        elif witness:
            action['ConditionExpression'] = 'd = :witness'
            action['ExpressionAttributeValues'] = {
                ':witness': {'S': witness}}
        else:
            action['ConditionExpression'] = (
                'attribute_exists(gram) AND attribute_not_exists(d)')
        return action

    def touched(self):
        """The attribute, with its value, of a row that is touched now."""
        return 'touched', {'N': str(int(self._clock()))}

    def _witness_put(self, name, description, known):
        action = self.on_witness(name, known.witness)
        if known.witness == description:
            return {'ConditionCheck': action}
        del action['Key']
        action['Item'] = posting_item(postings.witness(name, description))
        return {'Put': action}

    def _put(self, posting):
        return {'Put': {'TableName': self.search_table,
                        'Item': posting_item(posting)}}

    def _deletes(self, name, known, keep):
        # Those of the name before those of the description: where they need
        # several transactions, the name is gone with the first.
        stays = set(posting[:2] for posting in keep)
        goes = set()
        for description in known.descriptions:
            goes.update(_by_key(name, description))
        return [self.forget(gram, suffix)
                for gram, suffix in sorted(goes - stays, reverse=True)]


def marks(description):
    """What a row says when its postings were written with ``description``:
    the attributes to set, and those to remove."""
    sets = [('postings', {'N': str(postings.FORMAT)})]
    if description:
        return sets + [('indexed', {'S': description})], []
    return sets, ['indexed']


def updated(action, sets, removes):
    """``action`` with the UpdateExpression of these attributes."""
    for attribute, value in sets:
        action.setdefault('ExpressionAttributeValues', {})[
            ':' + attribute] = value
    for attribute in [attribute for attribute, _ in sets] + removes:
        action['ExpressionAttributeNames']['#' + attribute] = attribute
    action['UpdateExpression'] = 'SET ' + ', '.join(
        '#%s = :%s' % (attribute, attribute) for attribute, _ in sets)
    if removes:
        action['UpdateExpression'] += ' REMOVE ' + ', '.join(
            '#' + attribute for attribute in removes)
    return action


def posting_item(posting):
    """A posting as DynamoDB keeps it."""
    item = {'gram': {'S': posting.gram}, 'suffix': {'S': posting.suffix}}
    if posting.description:
        item['d'] = {'S': posting.description}
    if postings.name_of(posting.gram, posting.suffix) != posting.name:
        item['n'] = {'S': posting.name}
    return item


def _by_key(name, description):
    return {posting[:2]: posting
            for posting in postings.postings(name, description)}
