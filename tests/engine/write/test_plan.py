"""The plans of changes: how many transactions they need, and which actions each has."""

from __future__ import unicode_literals

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
    return RepositoryState(Row.of({
        'name': {'S': name}, 'postings': {'N': str(postings.FORMAT)}, 'indexed': {'S': words}}),
        words)


@pytest.mark.parametrize('count, transactions', [
    (80, 1), (96, 1), (97, 1), (98, 3), (99, 3), (100, 4), (198, 4), (199, 5), (255, 5)])
def test_more_than_97_postings_need_several_transactions_which_hold_while_the_token_stands(
        count, transactions):
    name = name_with_postings(count)
    assert len(postings.postings(name)) == count
    for change in [PLANNER.put(name, None, NOTHING),
                   PLANNER.delete(name, whole(name), PLANNER.tombstone(name, 'number', 0))]:
        assert plan.is_short(change) == (transactions == 1)
        if plan.is_short(change):
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
    assert plan.descriptions(PLANNER.put(name, 'few', whole(name))) == set()
    assert plan.descriptions(PLANNER.put(name, words, whole(name, 'few'))) == {'few', words}
    assert plan.descriptions(PLANNER.delete(name, whole(name, words))) == {words}
