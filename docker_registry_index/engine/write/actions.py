"""The actions of a transaction, on the condition that what was read stands.

Pure. What they are put together to is plan.py's.
"""

from __future__ import unicode_literals

from ..store import formats, schema

__all__ = ['Actions', 'posting_item', 'updated']


class Actions(object):
    """Makes actions on the tables of one index, in one format.

    :param tables: what schema.tables gives.
    :param clock: gives Unix seconds; 0 is long ago.
    :param format: a Format; the current one by default.
    """

    def __init__(self, tables, clock=lambda: 0, format=None):
        self._clock = clock
        self.format = format or formats.CURRENT
        self.row_table = tables['repository'].name
        self.search_table = tables['search'].name

    def marks(self, description):
        """What a row says when its postings were written with
        ``description``: the attributes to set, and those to remove."""
        sets = [(self.format.mark, {'N': str(self.format.number)})]
        if description:
            return sets + [(self.format.indexed, {'S': description})], []
        return sets, [self.format.indexed]

    def touched(self):
        """The attribute, with its value, of a row that is touched now."""
        return 'touched', {'N': str(int(self._clock()))}

    def row_update(self, name, row, description=None, sets=(), removes=(),
                   whole=False):
        """An Update of the row, if it is still as it was read.

        :param description: None leaves it, '' takes it out: an empty one
            would be a key of the secondary index that 0.1.0 made, which
            DynamoDB refuses.
        :param sets: further (attribute, typed value) pairs.
        :param removes: further attributes that go.
        :param whole: as for on_row.
        """
        sets, removes = list(sets), list(removes)
        if description:
            sets.append(('description', {'S': description}))
        elif description is not None:
            removes.append('description')
        return {'Update': updated(self.on_row(name, row, whole), sets,
                                  removes)}

    def on_row(self, name, row, whole=False):
        """An action on the row, if it is still as it was read.

        :param whole: whether what other formats say in it counts, too: a row
            is not deleted while another format is being written.
        """
        if row is None:
            return self._on_item(name, ['attribute_not_exists(#name)'],
                                 {'#name': 'name'}, {})
        attributes = ['description', self.format.mark, self.format.writing,
                      'touched']
        if whole:
            attributes += self._attributes_of_others()
        return self._on_item(name, ['attribute_exists(#name)'],
                             {'#name': 'name'}, {}, row.item, attributes)

    def on_own_row(self, name, token, as_read=None):
        """An action on the row, if our token stands in it.

        :param as_read: the item, when what other formats say in it counts.
        """
        return self._on_item(
            name, ['#own[0] = :token'], {'#own': self.format.writing},
            {':token': {'S': token}}, as_read,
            () if as_read is None else self._attributes_of_others())

    def on_witness(self, name, witness):
        """An action on the witness, if it is still as it was read."""
        action = {'TableName': self.search_table, 'Key': {
            'gram': {'S': self.format.listed}, 'suffix': {'S': name}}}
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

    def put_posting(self, posting):
        """A Put of one posting."""
        return {'Put': {'TableName': self.search_table,
                        'Item': posting_item(posting, self.format)}}

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

    def _on_item(self, name, tests, names, values, item=None, attributes=()):
        # As they stand there, of whatever type.
        for attribute in attributes:
            names['#' + attribute] = attribute
            if attribute in item:
                values[':was_' + attribute] = item[attribute]
                tests.append('#%s = :was_%s' % (attribute, attribute))
            else:
                tests.append('attribute_not_exists(#%s)' % attribute)
        action = {'TableName': self.row_table, 'Key': {'name': {'S': name}},
                  'ConditionExpression': ' AND '.join(tests),
                  'ExpressionAttributeNames': names}
        if values:
            action['ExpressionAttributeValues'] = values
        return action

    def _attributes_of_others(self):
        return [attribute for other in formats.others(self.format)
                for attribute in (other.mark, other.writing)]


def updated(action, sets, removes):
    """``action`` with the UpdateExpression of these attributes."""
    for attribute, value in sets:
        action.setdefault('ExpressionAttributeValues', {})[
            ':' + attribute] = value
    for attribute in [attribute for attribute, _ in sets] + list(removes):
        action['ExpressionAttributeNames']['#' + attribute] = attribute
    told = []
    if sets:
        told.append('SET ' + ', '.join(
            '#%s = :%s' % (attribute, attribute) for attribute, _ in sets))
    if removes:
        told.append('REMOVE ' + ', '.join(
            '#' + attribute for attribute in removes))
    action['UpdateExpression'] = ' '.join(told)
    return action


def posting_item(posting, format=None):
    """A posting as DynamoDB keeps it.

    :param format: of which it is; the current one by default.
    """
    item = {'gram': {'S': posting.gram}, 'suffix': {'S': posting.suffix}}
    if posting.description:
        item['d'] = {'S': posting.description}
    name_of = (format or formats.CURRENT).name_of
    if name_of(posting.gram, posting.suffix) != posting.name:
        item['n'] = {'S': posting.name}
    return item
