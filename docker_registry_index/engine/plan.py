"""What to write so that one repository's postings follow its row. Pure.

A change is a list of TransactWriteItems actions: the head (the row, the
witness, the tombstone), each on the condition that what was read still
stands, and the body (the other postings). A change whose conditions fail
changes nothing, and is planned again from what is there now.
"""

from __future__ import unicode_literals

import collections

from . import postings, schema, text

__all__ = ['Change', 'Known', 'Planner', 'Row', 'posting_item']


class Row(collections.namedtuple('Row', 'description format writing')):
    """A repository's row as it was read.

    :param description: as it stands, or None.
    :param format: the postings format marked on it; None when release 0.1.0
        wrote it.
    :param writing: [token, description, ...] while a change of several
        transactions is under way or was broken off, else None.
    """

    __slots__ = ()

    @classmethod
    def of(cls, item):
        """The Row of an item of the repository table; None for None."""
        if item is None:
            return None
        writing = item.get('writing')
        return cls(item.get('description', {}).get('S'),
                   int(item['postings']['N']) if 'postings' in item else None,
                   writing and [part['S'] for part in writing['L']])


class Known(collections.namedtuple('Known', 'row witness')):
    """What is known of a repository before a change.

    :param row: a Row, or None when there is none.
    :param witness: the description on the witness posting ('' for none on
        it), or None when there is no witness.
    """

    __slots__ = ()

    @property
    def is_current(self):
        """Whether row and postings agree."""
        return (self.row is not None and self.row.writing is None and
                self.row.format == postings.FORMAT and
                self.witness == text.clean_description(self.row.description))

    @property
    def descriptions(self):
        """Every description whose postings may exist now."""
        found = set()
        if self.witness is not None:
            found.add(self.witness)
        if self.row is not None and self.row.writing:
            found.update(self.row.writing[1:])
        return found


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
    """

    def __init__(self, tables):
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
        # Only the witness proves that the old postings are all there.
        trusted = ({} if known.witness is None or known.descriptions !=
                   set([known.witness])
                   else _by_key(name, known.witness))
        body = [self._put(posting) for posting in wanted
                if trusted.get(posting[:2]) != posting]
        body += self._deletes(name, known, keep=wanted)
        row = self.row_update(
            name, known.row, description, sets=[
                ('postings', {'N': str(postings.FORMAT)})],
            removes=['writing'] if known.row and known.row.writing else [])
        head = [row, self._witness_put(name, target, known)] + list(guard)
        return Change(name, known, description, target, head, body)

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

        :param number: what the tombstone said before the registry's store
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
        action = self.on_row(name, row)
        sets, removes = list(sets), list(removes)
        if description:
            sets.append(('description', {'S': description}))
        elif description is not None:
            removes.append('description')
        for attribute, value in sets:
            action['ExpressionAttributeNames']['#' + attribute] = attribute
            action.setdefault('ExpressionAttributeValues', {})[
                ':' + attribute] = value
        for attribute in removes:
            action['ExpressionAttributeNames']['#' + attribute] = attribute
        expression = 'SET ' + ', '.join(
            '#%s = :%s' % (attribute, attribute) for attribute, _ in sets)
        if removes:
            expression += ' REMOVE ' + ', '.join(
                '#' + attribute for attribute in removes)
        action['UpdateExpression'] = expression
        return {'Update': action}

    def on_row(self, name, row):
        """An action on the row, if it is still as it was read."""
        action = {'TableName': self.row_table, 'Key': {'name': {'S': name}}}
        if row is None:
            action['ConditionExpression'] = 'attribute_not_exists(#name)'
            action['ExpressionAttributeNames'] = {'#name': 'name'}
            return action
        tests, names, values = ['attribute_exists(#name)'], {}, {}
        names['#name'] = 'name'
        for attribute, value in (
                ('description', _typed('S', row.description)),
                ('postings', _typed('N', row.format)),
                ('writing[0]', _typed('S', row.writing and row.writing[0]))):
            field = attribute.partition('[')[0]
            names['#' + field] = field
            if value is not None:
                values[':was_' + field] = value
                tests.append('#%s = :was_%s' % (attribute, field))
            else:
                tests.append('attribute_not_exists(#%s)' % field)
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
        stays = set(posting[:2] for posting in keep)
        goes = set()
        for description in known.descriptions:
            goes.update(_by_key(name, description))
        return [{'Delete': {'TableName': self.search_table, 'Key': {
            'gram': {'S': gram}, 'suffix': {'S': suffix}}}}
            for gram, suffix in sorted(goes - stays)]


def posting_item(posting):
    """A posting as DynamoDB keeps it."""
    item = {'gram': {'S': posting.gram}, 'suffix': {'S': posting.suffix}}
    if posting.description:
        item['d'] = {'S': posting.description}
    if postings.name_of(posting.gram, posting.suffix) != posting.name:
        item['n'] = {'S': posting.name}
    return item


def _typed(kind, value):
    return None if value is None else {kind: '%s' % value}


def _by_key(name, description):
    return {posting[:2]: posting
            for posting in postings.postings(name, description)}
