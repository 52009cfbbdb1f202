# -*- coding: utf-8 -*-
"""Changes of several transactions, killed and overtaken at each of them."""

from __future__ import unicode_literals

import itertools
import threading

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.store import postings
from docker_registry_index.engine.write.plan import LONGEST as TRANSACTION
from tests.helpers.faults import KillAfter, Killed, Meanwhile, Throttle
from tests.helpers.hooks import taken_back
from tests.helpers.requests_made import RequestsMade
from tests.helpers.names import MANY_WORDS, name_with_postings
from tests.helpers.release_0_1_0 import put_as_0_1_0, update_as_0_1_0


LONGEST = name_with_postings(255)
LONG = name_with_postings(120)
#: Its own postings fit one transaction, those of its description do not.
SHORT = name_with_postings(80)
OTHER_WORDS = ' '.join('%x' % number for number in range(80, 113))


def terms(name):
    """The name, all of its ends, and pieces of two characters."""
    return [name] + [name[start:start + length] for start in range(0, len(name) - 1, 23) for length
                     in (2, 300)]


def found_by(index, name):
    """The share of the terms that find ``name``: 0 for none, 1 for all."""
    found = [name in [result[0] for result in index.search(term)] for term in terms(name)]
    return sum(found) / float(len(found))


def killed_at_each(index, change):
    """Run ``change``, killed before its first transaction, its second, ...;
    yield the number of those that were made."""
    for count in itertools.count():
        with taken_back(index.engine):
            KillAfter(index.engine, count, 'TransactWriteItems')
            try:
                change()
            except Killed:
                pass
            else:
                return
        yield count


@pytest.mark.parametrize('count', [80, 97, 98, 255])
def test_the_names_here_have_the_postings_they_should(count):
    assert len(postings.postings(name_with_postings(count))) == count


# Whole

@pytest.mark.parametrize('count, transactions', [
    (96, 1), (97, 1), (98, 3), (99, 3), (100, 4), (198, 4), (199, 5)])
def test_a_long_name_needs_several_transactions(index, count, transactions):
    name = name_with_postings(count)
    made = RequestsMade(index.engine)
    assert index.engine.add(name) is True
    assert made.operations.count('TransactWriteItems') == transactions
    assert max(made.actions) <= TRANSACTION
    index.assert_whole()
    # Its postings are to be checked if and only if removing it takes several.
    checked = set('v' in item for item in index.postings() if item['gram']['S'] != postings.CATALOG)
    assert checked == {transactions > 1}
    made = RequestsMade(index.engine)
    assert index.engine.remove(name) is True
    assert made.operations.count('TransactWriteItems') == transactions
    assert max(made.actions) <= TRANSACTION
    assert index.rows() == {} and index.postings() == []


@pytest.mark.parametrize('name', [LONGEST, SHORT], ids=['long', 'short'])
def test_a_long_change_is_made_once(index, name):
    for description in (MANY_WORDS, OTHER_WORDS, '', 'few words'):
        assert index.engine.add(name, description) is True
        index.assert_whole()
        with taken_back(index.engine):
            made = RequestsMade(index.engine)
            assert index.engine.add(name, description) is False
        assert made.operations == ['GetItem']
        assert found_by(index, name) == 1


# Killed

REPAIRS = {
    'add': lambda index, name: index.engine.add(name),
    'remove': lambda index, name: index.engine.remove(name),
    'load': lambda index, name: index.load(lambda: [(name, None)]),
}
#: The name, the description before (None: not there), the change.
CHANGES = {
    'add': (LONGEST, None, lambda index, name: index.engine.add(name)),
    'add words': (SHORT, None,
                  lambda index, name: index.engine.add(name, MANY_WORDS)),
    'describe': (LONG, OTHER_WORDS,
                 lambda index, name: index.engine.add(name, MANY_WORDS)),
    'describe words': (SHORT, 'few',
                       lambda index, name: index.engine.add(name, MANY_WORDS)),
    'remove': (LONG, None, lambda index, name: index.engine.remove(name)),
    # 98 postings fit a transaction, but not with the tombstone's.
    'remove the first': (name_with_postings(98), '', lambda index, name:
                         index.engine.remove(name)),
    'remove words': (SHORT, MANY_WORDS, lambda index, name:
                     index.engine.remove(name)),
}


def put_before(index, name, before, kind):
    if before is None and not kind.startswith('remove'):
        index.engine.remove(name)
    else:
        index.engine.add(name, before or '')


@pytest.mark.parametrize('repair', sorted(REPAIRS))
@pytest.mark.parametrize('kind', sorted(CHANGES))
def test_a_killed_change_is_whole_or_nothing_and_repaired_by_the_next(index, other, kind, repair):
    name, before, change = CHANGES[kind]
    shares = []
    put_before(other, name, before, kind)
    for count in killed_at_each(index, lambda: change(index, name)):
        if repair == 'add':
            # What a search finds does not depend on the repair.
            share = found_by(other, name)
            assert share in (0, 1), (count, share)
            assert (name in other.names()) == share
            shares.append(share)
        REPAIRS[repair](other, name)
        other.assert_whole()
        assert (name in other.rows()) == (repair != 'remove')
        put_before(other, name, before, kind)
    if repair == 'add':
        was_there = before is not None or kind.startswith('remove')
        assert len(shares) >= 3 and shares[0] == was_there
        if was_there and not kind.startswith('remove'):
            assert set(shares) == {1}
    other.assert_whole()
    assert (name in other.rows()) != kind.startswith('remove')


@pytest.mark.parametrize('theirs', [put_as_0_1_0, update_as_0_1_0])
def test_a_name_stays_found_when_a_change_of_a_row_of_0_1_0_is_killed(index, other, theirs):
    other.engine.add(SHORT)
    theirs(other, SHORT)
    counts = []
    for count in killed_at_each(index, lambda: index.engine.add(SHORT, MANY_WORDS)):
        assert found_by(other, SHORT) == 1
        other.engine.add(SHORT, '')
        theirs(other, SHORT)
        counts.append(count)
    assert len(counts) >= 3


def test_a_killed_removal_after_a_killed_change_is_whole_or_nothing(index, other):
    def start():
        # Its postings need no check, until they are written again.
        other.engine.add(SHORT)
        with taken_back(index.engine):
            KillAfter(index.engine, 1, 'TransactWriteItems')
            with pytest.raises(Killed):
                index.engine.add(SHORT, MANY_WORDS)

    start()
    shares = []
    for count in killed_at_each(index, lambda: index.engine.remove(SHORT)):
        shares.append(found_by(other, SHORT))
        other.engine.remove(SHORT)
        start()
    assert set(shares) == {0, 1} and shares == sorted(shares, reverse=True)


def test_0_1_0_writing_over_a_killed_removal_brings_all_of_it_back(index, other):
    for count in range(1, 4):
        other.engine.add(LONG)
        with taken_back(index.engine):
            KillAfter(index.engine, count, 'TransactWriteItems')
            with pytest.raises(Killed):
                index.engine.remove(LONG)
        put_as_0_1_0(other, LONG)
        other.engine.add(LONG)
        other.assert_whole()


def test_0_1_0_writing_over_a_killed_change_loses_nothing_of_the_old_one(index, other):
    other.engine.add(SHORT, MANY_WORDS)
    counts = []
    for count in killed_at_each(index, lambda: index.engine.add(SHORT, '')):
        # The token goes with the row, the witness still has the words.
        put_as_0_1_0(other, SHORT)
        other.engine.add(SHORT, MANY_WORDS)
        other.assert_whole()
        counts.append(count)
    assert len(counts) >= 3


def test_one_killed_again_and_again_leaves_nothing_of_any_attempt(index, other):
    other.engine.add(SHORT, 'few')
    for attempt in range(4):
        # Cut to 25 words.
        words = ' '.join('%d%s' % (attempt, word) for word in MANY_WORDS.split())
        with taken_back(index.engine):
            KillAfter(index.engine, 2, 'TransactWriteItems')
            with pytest.raises(Killed):
                index.engine.add(SHORT, words)
    other.engine.add(SHORT, 'few')
    other.assert_whole()


@pytest.mark.parametrize('count', range(4))
def test_a_throttled_part_ends_in_an_error_and_is_repaired(index, other, count, monkeypatch):
    monkeypatch.setattr(index.engine._writer, '_sleep', lambda _: None)
    transactions = []

    def throttle(**_):
        transactions.append(1)
        if len(transactions) == count:
            Throttle(index.engine, 'TransactWriteItems', 1000, ['ThrottlingError'])

    if count:
        index.engine.client.dynamodb.meta.events.register(
            'after-call.dynamodb.TransactWriteItems', throttle)
    else:
        Throttle(index.engine, 'TransactWriteItems', 1000, ['ThrottlingError'])
    with pytest.raises(errors.RequestFailed) as failed:
        index.engine.add(LONG)
    assert failed.value.throttled
    assert found_by(other, LONG) == 0
    other.engine.add(LONG)
    other.assert_whole()


# Overtaken

@pytest.mark.parametrize('kind', sorted(CHANGES))
@pytest.mark.parametrize('sneak', ['add', 'remove'])
@pytest.mark.parametrize('place', [1, 'last'])
def test_one_overtaken_between_two_transactions_is_planned_again(index, other, kind, sneak, place):
    name, before, change = CHANGES[kind]
    put_before(other, name, before, kind)
    ran = []

    def overtake():
        ran.append(place)
        REPAIRS[sneak](other, name)

    at_transaction(index, place, overtake)
    change(index, name)
    assert ran
    index.assert_whole()
    # It ended last, so it is what it left.
    assert (name in index.rows()) != kind.startswith('remove')
    if 'words' in kind and not kind.startswith('remove'):
        assert index.rows()[name]['description']['S'] == MANY_WORDS


def at_transaction(index, place, action):
    """Run ``action`` once, before the transaction at ``place``."""
    seen = []

    def count(params, **_):
        first = list(params['TransactItems'][0])[0]
        # The row's own action comes first, and last again.
        here = (first != 'ConditionCheck' and len(seen) > 0
                if place == 'last' else len(seen) == place)
        seen.append(first)
        if here:
            Meanwhile(index.engine, 'TransactWriteItems', action_once)

    def action_once():
        if not done:
            done.append(1)
            action()

    done = []
    index.engine.client.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.TransactWriteItems', count)


def test_many_writers_of_a_long_name_leave_it_whole(index, engines):
    failures = []

    def work(engine, number):
        for step in range(4):
            try:
                if (step + number) % 3 == 0:
                    engine.engine.remove(LONG)
                else:
                    engine.engine.add(LONG, [None, MANY_WORDS, ''][(step * number) % 3])
            except errors.ChangeConflict:
                pass
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(engine, number))
               for number, engine in enumerate(engines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    # Whoever gave up has left a token, which a load takes out.
    index.load(lambda: [])
    index.assert_whole()
