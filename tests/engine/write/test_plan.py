# -*- coding: utf-8 -*-
"""The plans of changes: how many transactions they need, and which actions each has."""
from __future__ import unicode_literals

import random
import string

import pytest

from docker_registry_index.engine import Settings
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.store.records import NOTHING, RepositoryState, Row
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.write import plan
from tests.helpers.names import many_words, name_with_postings

PLANNER = plan.Planner(Store(Settings(region='us-east-1'), None))


def whole(name, words=''):
    """Return the state of a repository whose postings are there."""
    item = {'name': {'S': name}, 'postings': {'N': str(postings.FORMAT)}, 'indexed': {'S': words}}
    return RepositoryState(Row.of(dict(item, description={'S': words})), words)


def changes(name, description=''):
    """Return every change that a repository may need."""
    return [PLANNER.put(name, description, NOTHING),
            PLANNER.put(name, description, NOTHING, [PLANNER.not_removed_since(name, 'number')]),
            PLANNER.put(name, None, RepositoryState(Row.of({'name': {'S': name}}), None)),
            PLANNER.delete(name, whole(name, description), PLANNER.tombstone(name, 'number')),
            PLANNER.delete(name, RepositoryState(None, description),
                           PLANNER.changed_tombstone(name, 'number', 'another'))]


def v1_name(characters):
    """Return a name as long as docker-registry 0.9.1 accepts."""
    return characters[:30] + '/' + characters[30:94]


def random_name(seed):
    """Return a name of which hardly any suffix begins another one, or of which many do."""
    chance = random.Random(seed)
    letters = 'abc-_.' if seed % 2 else string.ascii_lowercase + string.digits + '-_.'
    return v1_name(''.join(chance.choice(letters) for _ in range(94)))


V1_NAMES = [random_name(seed) for seed in range(12)] + [v1_name(letters) for letters in (
    '-' * 94, 'ab' * 47, 'a-' * 47, (string.digits + string.ascii_lowercase + '-_.') * 3)]


def test_every_change_of_a_v1_name_is_one_transaction_that_touches_no_item_twice():
    made = [change for name in V1_NAMES for change in changes(name)]
    # The worst case: 95 suffixes, row, witness, tombstone.
    assert max(len(change.actions) for change in made) == 98
    for name in 'a', 'A/a', '-', 'aa/aa', 'É/É.', '\U0001f433', ' ':
        made += changes(name, 'aab A (b) a-a')
    for change in made:
        assert change.is_short
        touched = []
        for part in [part for action in change.actions for part in action.values()]:
            key = part.get('Key') or {each: part['Item'][each] for each in ('gram', 'suffix')}
            touched.append((part['TableName'], repr(sorted(key.items()))))
        assert len(set(touched)) == len(touched)


# Row, witness and, of a removal, tombstone come with the postings.
@pytest.mark.parametrize('count, put, deleted', [
    (80, 1, 1), (97, 1, 1), (98, 1, 3), (99, 3, 3), (100, 4, 4), (198, 4, 4), (199, 5, 5),
    (255, 5, 5)])
def test_more_than_97_postings_need_several_transactions_which_hold_while_the_token_stands(
        count, put, deleted):
    name = name_with_postings(count)
    assert len(postings.postings(name)) == count
    for change, transactions in zip(changes(name)[::3], [put, deleted]):
        assert change.is_short == (transactions == 1)
        if change.is_short:
            assert len(change.actions) <= 100
            continue
        planned = list(PLANNER.transactions(change, 'token'))
        assert len(planned) == transactions and max(map(len, planned)) <= 100
        assert sum(map(len, planned)) >= len(change.actions)
        first, others = [[list(actions[0].values())[0] for actions in part]
                         for part in (planned[:1], planned[1:])]
        [written] = [value for value in first[0]['ExpressionAttributeValues'].values()
                     if 'L' in value]
        assert written['L'][0] == {'S': 'token'}
        for each in others:
            assert each['ConditionExpression'] == '#own[0] = :token'
            assert each['ExpressionAttributeValues'][':token'] == {'S': 'token'}


def test_the_descriptions_of_a_change_under_way_are_those_before_and_after():
    name, words = name_with_postings(70), many_words(33)
    assert PLANNER.put(name, 'few', NOTHING).descriptions == {'few'}
    assert PLANNER.put(name, words, whole(name, 'few')).descriptions == {'few', words}
    removal = PLANNER.delete(name, whole(name, words), PLANNER.tombstone(name, 'number'))
    assert removal.descriptions == {words}
