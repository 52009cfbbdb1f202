# -*- coding: utf-8 -*-
"""The suffix index: every substring is found, no item is double, every key fits."""

from __future__ import unicode_literals

import random
import string

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from docker_registry_index.engine import Settings
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store import postings, text
from docker_registry_index.engine.store.records import (
    MARKERS, NOTHING, RepositoryState, Row, pending_key, tombstone_key)
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.write import plan

#: make check runs Python 3 only, and fewer examples.
EXAMPLES = settings(max_examples=100 if PY2 else 40)
PLANNER = plan.Planner(Store(Settings(region='us-east-1'), None))

FEW = st.text(st.sampled_from('aab/-_.AÉéİK\u212aȺς日\U0001f433'), min_size=1, max_size=14)
ANY = st.text(st.characters(blacklist_categories=('Cs', 'Cc')), min_size=1, max_size=14)
NAMES = st.one_of(FEW, ANY)
DESCRIPTIONS = st.one_of(st.just(''), st.text(st.sampled_from('aab .-É日('), max_size=30),
                         st.text(max_size=30)).map(text.clean_description)


def all_of(name, description=''):
    return postings.postings(name, description) + [postings.witness(name, description)]


def hits(found, kind, word):
    """Return those of the postings that a Query for ``word`` returns."""
    wanted = postings.range_of(kind, word)
    return [posting for posting in found if posting.gram == wanted.gram
            and posting.suffix.startswith(wanted.prefix)]


def substrings(folded):
    return set(folded[start:end] for start in range(len(folded))
               for end in range(start + 1, len(folded) + 1))


def starts(folded, word):
    """Return the positions of ``word`` at which a word of the name starts."""
    return [place for place in range(len(folded)) if folded.startswith(word, place)
            and (place == 0 or folded[place - 1] in '/-_.')]


# Searching

@EXAMPLES
@given(NAMES)
@example('a-a-a')
@example('aa.a')
@example('Foo/foo')
@example('ȺȺ')
def test_every_substring_has_a_posting_in_its_best_class(name):
    folded, found = text.fold(name), postings.postings(name)
    for word in substrings(folded):
        started = hits(found, postings.START, word)
        if not starts(folded, word):
            assert started == [], word
            assert hits(found, postings.INSIDE, word), word
            continue
        assert started, word
        if any(folded[place + len(word):][:1] in ('', '/', '-', '_', '.')
               for place in starts(folded, word)):
            # A whole word sorts before all that only begin with it.
            prefix = postings.range_of(postings.START, word).prefix
            assert any(posting.suffix[len(prefix)] <= '\x05' for posting in started), word


@EXAMPLES
@given(NAMES, DESCRIPTIONS, NAMES)
def test_a_posting_matches_only_words_of_its_repository(name, description, term):
    found = postings.postings(name, description)
    for word in text.split_words(term):
        for kind in (postings.START, postings.INSIDE):
            assert not hits(found, kind, word) or word in text.fold(name)
        assert bool(hits(found, postings.DESCRIBED, word)) == any(
            tail.startswith(word) for tail in text.word_tails(description))


@EXAMPLES
@given(FEW, FEW)
def test_the_range_key_sorts_ends_then_whole_words_then_the_rest(name, other):
    word = text.fold(name)[:1]
    keyed = sorted(hits(postings.postings(name) + postings.postings(other), postings.START, word),
                   key=lambda posting: posting.suffix.encode('utf-8'))
    # The character after the term, as the key has it.
    groups = [min(posting.suffix[len(postings.range_of(postings.START, word).prefix)], '\x06')
              for posting in keyed]
    assert groups == sorted(groups)
    assert set(groups) <= set('\x01\x02\x03\x04\x05\x06')


# What an item contains

def assert_read_back(name, description):
    for posting in all_of(name, description):
        item = postings.to_item(posting)
        assert postings.name_of(item) == name
        assert item.get('d', {}).get('S', '') == description
        assert {'S': ''} not in item.values()
        assert postings.is_gram(item['gram']['S'])


@EXAMPLES
@given(NAMES, DESCRIPTIONS)
def test_an_item_contains_its_name_and_description(name, description):
    assert_read_back(name, description)


@pytest.mark.parametrize('name', [
    '/', '//', '/a', 'a/', 'a//b', '-', '.', '_', '!', '*', ' ', 'ready', 'removed x', 'FOO/foo',
    'Team/Web', 'K', '\u212a', '\U0001f433', '\U0001f433/' * 100, 'É' * 255, 'x' * 255,
    '/'.join('a' * 100)], ids=lambda value: None)
def test_an_item_contains_an_odd_name_too(name):
    for description in '', 'a described / one':
        assert_read_back(name, description)
    item = postings.to_item(postings.witness(name))
    assert {key: item[key] for key in ('gram', 'suffix')} == postings.witness_key(name)
    assert sorted(item) == ['gram', 'suffix']


def test_the_keys_alone_spell_a_lower_case_name():
    for posting in all_of('team/web-api_v.2'):
        assert sorted(postings.to_item(posting)) == ['gram', 'suffix']


def test_the_postings_of_a_name_one_by_one():
    end, slash, hyphen = '\x01', '\x02', '\x03'
    assert [tuple(posting[:2]) for posting in
            postings.postings('ab/a-b', 'Big (b)')] == [
        ('sa', 'ab' + slash + 'a' + hyphen + 'b' + end),
        ('ib', 'b' + slash + 'a' + hyphen + 'b' + end + 'a'),
        ('i/', slash + 'a' + hyphen + 'b' + end + 'ab'),
        ('sa', 'a' + hyphen + 'b' + end + 'ab/'),
        ('i-', hyphen + 'b' + end + 'ab/a'),
        ('sb', 'b' + end + 'ab/a-'),
        ('db', 'b)' + end + 'ab/a-b'),
        ('db', 'big' + end + 'ab/a-b')]


@pytest.mark.parametrize('name, kept', [
    ('aaaa', ['aaaa']),
    # "web/..." begins with "web" as a whole word, too.
    ('web/web', ['web/web', 'eb/web', 'b/web', '/web']),
    # "web" at the end sorts before "website": it must stay.
    ('website/web', ['website/web', 'ebsite/web', 'bsite/web', 'site/web',
                     'ite/web', 'te/web', 'e/web', '/web', 'web', 'eb', 'b'])])
def test_a_suffix_that_matches_nothing_more_is_left_out(name, kept):
    assert [posting.suffix.split('\x01')[0].replace('\x02', '/')
            for posting in postings.postings(name)] == kept


def test_the_witness_lists_the_name_as_it_is_written():
    assert postings.witness('Team/Web', 'd') == (postings.CATALOG, 'Team\x01Web', 'Team/Web', 'd')
    assert postings.name_of(postings.to_item(postings.witness('Team/Web'))) == 'Team/Web'


@EXAMPLES
@given(FEW, FEW)
def test_witnesses_are_in_the_order_of_a_registry(name, other):
    keys = [postings.catalog_key(each).encode('utf-8') for each in (name, other)]
    names = [each.replace('/', '\x00').encode('utf-8') for each in (name, other)]
    assert (keys[0] < keys[1]) == (names[0] < names[1])


def test_no_posting_shares_a_gram_with_markers_or_witnesses():
    for posting in postings.postings('!/*', '! *a'):
        assert posting.gram not in (MARKERS, postings.CATALOG)
    assert not postings.is_gram(MARKERS)


@pytest.mark.parametrize('word, name, description, place, suffixes', [
    ('web', 'a/web', 'web of all', 0, ['web\x01a/']),
    ('web', 'a/web-web', '', 0, ['web\x03web\x01a/']),
    ('eb', 'a/web-web', '', 1, ['eb\x03web\x01a/w']),
    ('of', 'a/web', 'web of all', 2, ['of\x01a/web']),
    ('nothing', 'a/web', '', 3, [''])], ids=lambda value: None)
def test_the_best_class_of_a_match_is_the_first_one(word, name, description, place, suffixes):
    assert postings.best_class(word, name, description) == (place, suffixes)


# Keys

def keys(name, description=''):
    return [posting[:2] for posting in all_of(name, description)]


def assert_fit(name, description=''):
    found = keys(name, description)
    assert len(set(found)) == len(found)
    for gram, suffix in found:
        assert 0 < len(gram.encode('utf-8')) <= 2048
        assert 0 < len(suffix.encode('utf-8')) <= 1024
    for key in tombstone_key(name), pending_key(name):
        assert len(key['suffix']['S'].encode('utf-8')) <= 1024


@EXAMPLES
@given(NAMES, DESCRIPTIONS)
def test_keys_are_unique_and_within_the_limits(name, description):
    assert_fit(name, description)


@pytest.mark.parametrize('name', [
    'a' * 255, '\U0001f433' * 250, '\U0001f433' * 249 + 'A', 'Ⱥ' * 255,
    'Ⱥ' * 9 + '\U0001f433' * 242, 'A/' + 'é' * 253, '日' * 255,
    '/'.join('\U0001f433' * 125)], ids=lambda value: None)
@pytest.mark.parametrize('description', [
    '', '\U0001f433' * 100, ' '.join('\U0001f433' * 50), 'a' * 100])
def test_the_longest_names_and_descriptions_fit(name, description):
    assert text.check_name(name) == name
    assert_fit(name, description)


@EXAMPLES
@given(FEW, FEW, DESCRIPTIONS)
@example('Foo', 'foo', '')
@example('FOO', 'Foo', '')
@example('a/b', 'a.b', '')
@example('K', '\u212a', 'k')
def test_two_names_share_no_item(name, other, description):
    assume(name != other)
    assert set(keys(name, description)).isdisjoint(keys(other, description))


def test_long_names_that_differ_in_case_or_in_one_character_share_no_item():
    names = ['\U0001f433' * 200 + end for end in ('a', 'A', 'b', 'B')]
    listed = [key for name in names for key in keys(name, 'word ' * 20)]
    assert len(set(listed)) == len(listed)


# Transactions

def v1_name(characters):
    """Return a name as long as docker-registry 0.9.1 accepts."""
    return characters[:30] + '/' + characters[30:94]


def distinct(seed):
    """Return letters of which no suffix begins another one."""
    chance = random.Random(seed)
    return [chance.choice(string.ascii_lowercase + string.digits + '-_.') for _ in range(94)]


V1_WORST = [v1_name(''.join(distinct(seed))) for seed in range(12)] + [
    v1_name('-' * 94), v1_name('ab' * 47), v1_name('a-' * 47),
    v1_name(('0123456789' + string.ascii_lowercase + '-_.') * 3)[:95]]


def changes(name, description=''):
    """Return every change that a repository may need."""
    row = {'name': {'S': name}}
    old = RepositoryState(Row.of(row), None)
    marked = dict(row, postings={'N': str(postings.FORMAT)})
    if description:
        marked.update(indexed={'S': description}, description={'S': description})
    whole = RepositoryState(Row.of(marked), description)
    guard = PLANNER.not_removed_since(name, 'number')
    tombstone = PLANNER.tombstone(name, 'number', 1)
    return [PLANNER.put(name, description, NOTHING),
            PLANNER.put(name, description, NOTHING, [guard]),
            PLANNER.put(name, None, old),
            PLANNER.delete(name, whole, tombstone),
            PLANNER.delete(name, RepositoryState(None, description))]


def test_every_change_of_a_v1_name_is_one_transaction():
    most = 0
    for name in V1_WORST:
        for change in changes(name):
            assert plan.is_short(change)
            assert len(change.actions) <= 100
            most = max(most, len(change.actions))
    # The worst case: 95 suffixes, row, witness, tombstone.
    assert most == 98


@settings(max_examples=15)
@given(st.text(st.sampled_from('abc-_.'), min_size=94, max_size=94))
def test_every_change_of_a_random_v1_name_is_one_transaction(letters):
    for change in changes(v1_name(letters)):
        assert len(change.actions) <= 100


@EXAMPLES
@given(NAMES, DESCRIPTIONS)
def test_a_transaction_touches_no_item_twice(name, description):
    for change in changes(name, description):
        touched = []
        for action in change.actions:
            (part,) = action.values()
            key = part.get('Key') or {field: part['Item'][field] for field in ('gram', 'suffix')}
            touched.append((part['TableName'], repr(sorted(key.items()))))
        assert len(set(touched)) == len(touched)
