# -*- coding: utf-8 -*-
"""The suffix index: every substring is found, no item is double, every key fits."""
from __future__ import unicode_literals

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store import postings, text
from docker_registry_index.engine.store.records import MARKERS, pending_key, tombstone_key

#: make check runs Python 3 only, and fewer examples.
EXAMPLES = settings(max_examples=100 if PY2 else 30)

FEW = st.text(st.sampled_from('aab/-_.AÉéİK\u212aȺς日\U0001f433'), min_size=1, max_size=14)
NAMES = FEW | st.text(st.characters(blacklist_categories=('Cs', 'Cc')), min_size=1, max_size=14)
DESCRIPTIONS = st.one_of(st.just(''), st.text(st.sampled_from('aab .-É日('), max_size=30),
                         st.text(max_size=30)).map(text.clean_description)


def all_of(name, description=''):
    return postings.postings(name, description) + [postings.witness(name, description)]


def hits(found, kind, word):
    """Return those of the postings that a Query for ``word`` returns."""
    wanted = postings.range_of(kind, word)
    return [posting for posting in found if posting.gram == wanted.gram
            and posting.suffix.startswith(wanted.prefix)]


def after_term(posting, word):
    """Return the character after the term, as the key has it."""
    return posting.suffix[len(postings.range_of(postings.START, word).prefix)]


@EXAMPLES
@given(NAMES)
@example('a-a-a')
@example('aa.a')
@example('Foo/foo')
@example('ȺȺ')
def test_every_substring_has_a_posting_in_its_best_class(name):
    folded, found = text.fold(name), postings.postings(name)
    for word in set(folded[start:end] for start in range(len(folded))
                    for end in range(start + 1, len(folded) + 1)):
        # The positions at which a word of the name starts.
        starts = [place for place in range(len(folded)) if folded.startswith(word, place)
                  and (place == 0 or folded[place - 1] in '/-_.')]
        started = hits(found, postings.START, word)
        assert bool(started) == bool(starts), word
        assert starts or hits(found, postings.INSIDE, word), word
        if any(folded[place + len(word):][:1] in ('', '/', '-', '_', '.') for place in starts):
            # A whole word sorts before all that only begin with it.
            assert any(after_term(posting, word) <= '\x05' for posting in started), word


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
    groups = [min(after_term(posting, word), '\x06') for posting in keyed]
    assert groups == sorted(groups) and set(groups) <= set('\x01\x02\x03\x04\x05\x06')


@pytest.mark.parametrize('word, name, description, place, suffixes', [
    ('web', 'a/web', 'web of all', 0, ['web\x01a/']),
    ('web', 'a/web-web', '', 0, ['web\x03web\x01a/']),
    ('eb', 'a/web-web', '', 1, ['eb\x03web\x01a/w']),
    ('of', 'a/web', 'web of all', 2, ['of\x01a/web']),
    ('nothing', 'a/web', '', 3, [''])], ids=lambda value: None)
def test_the_best_class_of_a_match_is_the_first_one(word, name, description, place, suffixes):
    assert postings.best_class(word, name, description) == (place, suffixes)


ODD = ['/', '//', '/a', 'a/', 'a//b', '-', '.', '_', '!', '*', ' ', 'ready', 'removed x', 'FOO/foo',
       'Team/Web', 'K', '\u212a', '\U0001f433', '\U0001f433/' * 100, 'É' * 255, 'x' * 255,
       '/'.join('a' * 100)]


def assert_read_back(name, description):
    for posting in all_of(name, description):
        item = postings.to_item(posting)
        assert postings.name_of(item) == name
        assert item.get('d', {}).get('S', '') == description
        assert {'S': ''} not in item.values() and postings.is_gram(item['gram']['S'])
    # No posting shares a gram with markers or witnesses.
    grams = [posting.gram for posting in postings.postings(name, description)]
    assert postings.CATALOG not in grams and not postings.is_gram(MARKERS)


@EXAMPLES
@given(NAMES, DESCRIPTIONS)
def test_an_item_contains_its_name_and_description(name, description):
    assert_read_back(name, description)


@pytest.mark.parametrize('name', ODD, ids=lambda value: None)
def test_an_item_contains_an_odd_name_too(name):
    for description in '', 'a described / one', '! *a':
        assert_read_back(name, description)


def test_the_keys_alone_spell_a_lower_case_name_and_every_witness():
    items = [postings.to_item(posting) for posting in all_of('team/web-api_v.2')]
    for name in ODD + ['Team/Web']:
        items.append(postings.to_item(postings.witness(name)))
        assert items[-1] == postings.witness_key(name)
    assert all(sorted(item) == ['gram', 'suffix'] for item in items)
    assert postings.witness('Team/Web', 'd') == (postings.CATALOG, 'Team\x01Web', 'Team/Web', 'd')


def test_the_postings_of_a_name_one_by_one():
    assert [tuple(posting[:2]) for posting in postings.postings('ab/a-b', 'Big (b)')] == [
        ('sa', 'ab\x02a\x03b\x01'), ('ib', 'b\x02a\x03b\x01a'), ('i/', '\x02a\x03b\x01ab'),
        ('sa', 'a\x03b\x01ab/'), ('i-', '\x03b\x01ab/a'), ('sb', 'b\x01ab/a-'),
        ('db', 'b)\x01ab/a-b'), ('db', 'big\x01ab/a-b')]


@pytest.mark.parametrize('name, kept', [
    ('aaaa', 'aaaa'),
    # "web/..." begins with "web" as a whole word, too.
    ('web/web', 'web/web eb/web b/web /web'),
    # "web" at the end sorts before "website": it must stay.
    ('website/web',
     'website/web ebsite/web bsite/web site/web ite/web te/web e/web /web web eb b')])
def test_a_suffix_that_matches_nothing_more_is_left_out(name, kept):
    assert [posting.suffix.split('\x01')[0].replace('\x02', '/')
            for posting in postings.postings(name)] == kept.split()


def keys(name, description=''):
    return [posting[:2] for posting in all_of(name, description)]


def assert_fit(name, description):
    """Assert that all keys of a repository differ and are within the limits of DynamoDB."""
    found = keys(name, description)
    assert len(set(found)) == len(found)
    sizes = [(len(gram.encode('utf-8')), len(suffix.encode('utf-8'))) for gram, suffix in found]
    assert all(0 < gram <= 2048 and 0 < suffix <= 1024 for gram, suffix in sizes)
    for key in tombstone_key(name), pending_key(name):
        assert len(key['suffix']['S'].encode('utf-8')) <= 1024


@EXAMPLES
@given(NAMES, NAMES, DESCRIPTIONS)
@example('Foo', 'foo', '')
@example('FOO', 'Foo', '')
@example('a/b', 'a.b', '')
@example('K', '\u212a', 'k')
@example('\U0001f433' * 200 + 'a', '\U0001f433' * 200 + 'A', 'word')
@example('\U0001f433' * 200 + 'a', '\U0001f433' * 200 + 'b', 'word')
def test_keys_are_within_the_limits_and_two_names_share_no_item(name, other, description):
    assume(name != other)
    assert_fit(name, description)
    assert set(keys(name, description)).isdisjoint(keys(other, description))


@pytest.mark.parametrize('name', [
    'a' * 255, '\U0001f433' * 250, '\U0001f433' * 249 + 'A', 'Ⱥ' * 255,
    'Ⱥ' * 9 + '\U0001f433' * 242, 'A/' + 'é' * 253, '日' * 255,
    '/'.join('\U0001f433' * 125)], ids=lambda value: None)
def test_the_longest_names_and_descriptions_fit(name):
    assert text.check_name(name) == name
    for description in '', '\U0001f433' * 100, ' '.join('\U0001f433' * 50), 'a' * 100:
        assert_fit(name, description)
