# -*- coding: utf-8 -*-
"""What the contract of search does not see: pages, repeats, keys that DynamoDB leaves out."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import errors
from tests.helpers.faults import Answer
from tests.helpers.hooks import taken_back
from tests.helpers.requests_made import RequestsMade
from tests.helpers.engine import EngineIndex

#: Ten names with eight words each that start with "a".
REPEATS = ['r%d/%s' % (number, '-'.join('a%d%d' % (word, number) for word in range(8))) for number
           in range(10)]
LONG = 'z/' + ''.join('%03d.' % number for number in range(60))


@pytest.fixture(scope='module')
def shared(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    made.ready([(name, None) for name in REPEATS + [LONG]])
    yield made
    made.delete_tables()


@pytest.fixture
def index(shared):
    with taken_back(shared.engine):
        yield shared


def test_names_that_repeat_the_term_fill_the_limit_all_the_same(index):
    made = RequestsMade(index.engine)
    for limit in range(1, 12):
        assert len(index.search('a', limit)) == min(limit, 10)
    # 14 postings of the first two names, then 28 more of the others.
    with made.counted():
        assert len(index.search('a', 5)) == 5
    assert made.operations.count('Query') <= 6


class LeaveOut(object):
    """Leave all keys out of the responses to so many BatchGetItems."""

    def __init__(self, engine, count):
        self.left = count
        events = engine.client.dynamodb.meta.events
        events.register('provide-client-params.dynamodb.BatchGetItem', self._note)
        events.register('before-call.dynamodb.BatchGetItem', self._answer)

    def _note(self, params, **_):
        self._wanted = params['RequestItems']

    def _answer(self, **_):
        if self.left == 0:
            return None
        self.left -= 1
        return Answer(200), {'Responses': {}, 'UnprocessedKeys': self._wanted}


@pytest.fixture
def pauses(index, monkeypatch):
    """The seconds that the store would have slept."""
    slept = []
    monkeypatch.setattr(index.engine._store, '_sleep', slept.append)
    return slept


def test_keys_left_out_of_a_batch_are_asked_for_again(index, pauses):
    fault = LeaveOut(index.engine, 2)
    assert index.search(LONG[10:100]) == [(LONG, '')]
    assert fault.left == 0 and len(pauses) == 2


def test_a_batch_that_stays_without_keys_is_an_error_and_no_part(index, pauses):
    LeaveOut(index.engine, 100)
    with pytest.raises(errors.RequestFailed) as failed:
        index.search(LONG[10:100])
    assert failed.value.throttled and failed.value.retryable
    assert index.settings.repository_table in str(failed.value)
    assert sum(pauses) < 8
