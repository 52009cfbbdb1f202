"""Changes of several transactions, killed and overtaken at each of them.

The fixture `limit` keeps transactions short on moto; names and descriptions are as long in
proportion."""
from __future__ import unicode_literals

import itertools

import pytest

from tests.helpers.faults import (
    KillAfter, Killed, Meanwhile, Throttle, killed_at_each, taken_back)
from tests.helpers.names import many_words, name_with_postings
from tests.helpers.release_0_1_0 import delete_as_0_1_0, put_as_0_1_0, update_as_0_1_0
from tests.helpers.requests_made import RequestsMade


class Sizes(object):
    """Names and descriptions for transactions of at most so many actions."""

    def __init__(self, limit):
        self.longest = name_with_postings(2 * limit - 1)
        self.long = name_with_postings(limit + limit // 5)
        #: Its own postings fit one transaction, those of its description do not.
        self.short = name_with_postings(limit * 7 // 10)
        #: Its postings fit one transaction, but not with the tombstone.
        self.first_long = name_with_postings(limit - 2)
        self.words = many_words(limit // 3)
        self.other_words = many_words(limit // 3, 80)
        self.few = 'few'
        self.none = ''


@pytest.fixture(autouse=True)
def sizes(limit):
    return Sizes(limit)


def share_found(index, name):
    """Return the share of some pieces of a name that find it: 0 for none, 1 for all."""
    middle = len(name) // 2
    terms = [name[:2], name[middle:middle + 2], name[-1:]]
    found = [name in [result[0] for result in index.search(term)] for term in terms]
    return sum(found) / float(len(found))


def kill_after(index, count, change):
    """Kill a change before its transaction of this number, from 0 on."""
    with taken_back(index.engine):
        KillAfter(index.engine, count, 'TransactWriteItems')
        with pytest.raises(Killed):
            change()


@pytest.mark.parametrize('size', ['longest', 'short'])
def test_a_long_change_is_made_once(index, sizes, size):
    name, made = getattr(sizes, size), RequestsMade(index.engine)
    for description in (sizes.words, sizes.other_words, ''):
        assert index.engine.add(name, description) is True
        index.assert_whole()
        with made.counted():
            assert index.engine.add(name, description) is False
        assert made.operations == ['GetItem'] and share_found(index, name) == 1


REPAIRS = {
    'add': lambda index, name: index.engine.add(name),
    'remove': lambda index, name: index.engine.remove(name),
    'load': lambda index, name: index.load(lambda: [(name, None)])}
#: The name, the description before (None: not there), the one after (None: not there).
CHANGES = {
    'add': ('longest', None, 'none'), 'add words': ('short', None, 'words'),
    'describe': ('long', 'other_words', 'words'), 'describe words': ('short', 'few', 'words'),
    'remove': ('long', 'none', None), 'remove the first': ('first_long', 'none', None),
    'remove words': ('short', 'words', None)}


def set_to(index, name, description):
    """Make the index contain a repository with this description, or not if it is None."""
    if description is None:
        index.engine.remove(name)
    else:
        index.engine.add(name, description)


class LongChange(object):
    """A change of several transactions: `prepare` writes what is there before."""

    def __init__(self, sizes, kind):
        name, before, after = CHANGES[kind]
        self.number = sorted(CHANGES).index(kind)
        self.name = name = getattr(sizes, name)
        before, self.after = [text and getattr(sizes, text) for text in (before, after)]
        self.was_there, self.is_there = before is not None, self.after is not None
        self.prepare = lambda index: set_to(index, name, before)
        self.make = lambda index: set_to(index, name, self.after)


@pytest.fixture(params=sorted(CHANGES))
def change(request, sizes):
    return LongChange(sizes, request.param)


def test_after_a_killed_change_the_next_change_or_load_leaves_it_whole_or_nothing_of_it(
        index, other, change):
    change.prepare(other)
    # Each kill is followed by another repair; on a server, each repair follows each kill.
    for first in index.thinned_on_moto([0, 1, 2], 3, change.number):
        shares = []
        for count in killed_at_each(index, lambda: change.make(index), 'TransactWriteItems'):
            shares.append(share_found(other, change.name))
            repair = sorted(REPAIRS)[(first + count) % 3]
            REPAIRS[repair](other, change.name)
            other.assert_whole()
            assert (change.name in other.rows()) == (repair != 'remove')
            change.prepare(other)
        assert len(shares) >= 3 and shares[0] == change.was_there
        # A repository that was there, and stays, is found by every part of its name all the time.
        assert set(shares) == {1} or not (change.was_there and change.is_there)
        other.assert_whole()
        assert (change.name in other.rows()) == change.is_there
        change.prepare(other)


def test_a_name_stays_found_when_a_change_of_a_row_of_0_1_0_is_killed(index, other, sizes):
    def start(theirs):
        other.engine.add(sizes.short, '')
        theirs(other, sizes.short)

    for theirs in put_as_0_1_0, update_as_0_1_0:
        start(theirs)
        for count in killed_at_each(index, lambda: index.engine.add(sizes.short, sizes.words),
                                    'TransactWriteItems'):
            assert share_found(other, sizes.short) == 1
            start(theirs)
        assert count >= 2


def test_a_row_of_0_1_0_outlives_a_killed_load_and_one_that_may_remove_nothing(index, other, sizes):
    row = {'description': {'S': 'theirs'}}
    index.put_row(sizes.long, **row)
    for count in killed_at_each(index, lambda: index.load(lambda: [(sizes.long, None)])):
        other.load(lambda: [])  # a storage that lists nothing is not trusted
        assert other.rows()[sizes.long]['description'] == row['description']
        index.clear()
        index.put_row(sizes.long, **row)
    assert count >= 6


def test_a_killed_removal_after_a_killed_change_leaves_nothing_after_the_next(index, other, sizes):
    def start():
        other.engine.add(sizes.short)
        kill_after(index, 1, lambda: index.engine.add(sizes.short, sizes.words))

    start()
    shares = []
    for _ in killed_at_each(index, lambda: index.engine.remove(sizes.short), 'TransactWriteItems'):
        shares.append(share_found(other, sizes.short))
        other.engine.remove(sizes.short)
        assert other.assert_whole() == []
        start()
    assert shares[0] == 1 and shares == sorted(shares, reverse=True)


@pytest.mark.parametrize('before, after', [('words', 'none'), ('none', None)])
def test_a_write_of_0_1_0_over_a_killed_change_leaves_nothing_of_it(
        index, other, sizes, before, after):
    name = sizes.short if after else sizes.long
    before, after = getattr(sizes, before), after and getattr(sizes, after)
    other.engine.add(name, before)
    for count in killed_at_each(index, lambda: set_to(index, name, after), 'TransactWriteItems'):
        # The token goes with the row; the witness may still have the words.
        put_as_0_1_0(other, name)
        other.engine.add(name, before)
        other.assert_whole()
    assert count >= 2


def test_a_change_killed_again_and_again_leaves_nothing_of_any_attempt(index, other, sizes, limit):
    other.engine.add(sizes.short, 'few')
    for words in sizes.words, sizes.other_words, many_words(limit // 3, 144):
        kill_after(index, 2, lambda: index.engine.add(sizes.short, words))
    other.engine.add(sizes.short, 'few')
    other.assert_whole()


def at_transaction(index, place, action):
    """Run ``action`` once, before the transaction at ``place``."""
    seen = []

    def count(params, **_):
        first = list(params['TransactItems'][0])[0]
        # The row's own action comes first, and last again.
        here = (first != 'ConditionCheck' and bool(seen) if place == 'last' else len(seen) == place)
        seen.append(first)
        if here and 'ran' not in seen:
            seen.append('ran')
            Meanwhile(index.engine, 'TransactWriteItems', action)

    index.engine.client.dynamodb.meta.events.register(
        'provide-client-params.dynamodb.TransactWriteItems', count)


def test_a_change_overtaken_between_two_transactions_is_planned_again(index, other, change):
    cases = list(itertools.product([1, 'last'], ['add', 'remove']))
    for place, sneak in index.thinned_on_moto(cases, 4, change.number):
        change.prepare(other)
        ran = []
        with taken_back(index.engine):
            at_transaction(index, place, lambda: ran.append(REPAIRS[sneak](other, change.name)))
            change.make(index)
        assert ran
        index.assert_whole()
        # The overtaken change ends last, so its state remains.
        row = index.rows().get(change.name)
        assert (row is not None) == change.is_there
        assert not change.after or row['description']['S'] == change.after


def test_a_long_change_that_is_throttled_between_two_transactions_is_planned_again(index, limit):
    name = name_with_postings(2 * limit)
    Meanwhile(index.engine, 'TransactWriteItems', lambda: Throttle(
        index.engine, 'TransactWriteItems', 1, ['ThrottlingError']), 'after-call')
    assert index.engine.add(name, 'kept') is True
    assert index.assert_whole() == [name]


def test_a_row_deleted_under_a_long_change_leaves_none_of_its_words(index, other, sizes):
    index.put_row(sizes.short, description={'S': sizes.words})
    ran = []
    at_transaction(index, 'last', lambda: ran.append(delete_as_0_1_0(other, sizes.short)))
    index.engine.add(sizes.short)
    assert ran and index.search(sizes.words[:2]) == []
