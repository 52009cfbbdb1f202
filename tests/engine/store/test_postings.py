# -*- coding: utf-8 -*-
"""The suffix index: every substring is found, no item is double, every key fits."""
from __future__ import unicode_literals

import hashlib
import re

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.search import ranking
from docker_registry_index.engine.store import postings, text
from docker_registry_index.engine.store.records import MARKERS, PENDING, TOMBSTONE, marker_key
from tests.contract import oracle

#: make check runs Python 3 only, and fewer examples.
EXAMPLES = settings(max_examples=100 if PY2 else 30)

FEW = st.text(st.sampled_from('aab/-_.AÉéİK\u212aȺς日\U0001f433'), min_size=1, max_size=14)
NAMES = FEW | st.text(st.characters(blacklist_categories=('Cs', 'Cc')), min_size=1, max_size=14)
DESCRIPTIONS = st.one_of(st.just(''), st.text(st.sampled_from('aab .-É日('), max_size=30),
                         st.text(max_size=30)).map(text.clean_description)


def all_of(name, description=''):
    return postings.postings(name, description) + [postings.witness(name, description)]


def hits(found, word):
    """Return the range keys that a Query for ``word`` returns, in their order."""
    wanted = postings.range_of(word)
    return sorted((posting.suffix for posting in found if posting.gram == wanted.gram
                   and posting.suffix.startswith(wanted.prefix)),
                  key=lambda suffix: suffix.encode('utf-8'))


@EXAMPLES
@given(NAMES, NAMES)
@example('a-a-a', 'a-a')
@example('aa.a', 'a/aa')
@example('Foo/foo', 'FOO')
@example('web-api-web', 'web-zoo')
@example('ȺȺ', 'Ⱥ')
def test_every_substring_finds_its_name_and_a_limit_keeps_the_best_groups(name, other):
    """A limit keeps the first keys of a range. The groups are those of the oracle."""
    folded, found, of_other = text.fold(name), postings.postings(name), postings.postings(other)
    # A later Unicode may have further capitals.
    assume(all(oracle.fold(text.fold(each)) == text.fold(each) for each in (name, other)))
    for word in set(folded[start:end] for start in range(len(folded))
                    for end in range(start + 1, len(folded) + 1)):
        if PY2 and text.to_text(word) != word:
            # Half a character of a narrow build.
            continue
        [first], of_others = hits(found, word)[:1], hits(of_other, word)[:1]
        group = oracle.group(word, name)
        # The first character after the word.
        assert first[len(word)] == ['\x01', '\x01', '\x02'][group] if group < 3 else (
            first[len(word)] > '\x02'), word
        for key in of_others:
            if group < oracle.group(word, other):
                assert first.encode('utf-8') < key.encode('utf-8')


@EXAMPLES
@given(NAMES, DESCRIPTIONS, NAMES)
def test_a_posting_matches_only_words_of_its_repository(name, description, term):
    found = postings.postings(name, description)
    for word in text.split_words(term):
        assert bool(hits(found, word)) == (word in text.fold(name) or any(
            tail.startswith(word) for tail in text.word_tails(description)))


@pytest.mark.parametrize('first, later', [
    # The best matches, then what follows in the name, then descriptions.
    ('sql', 'x/sql'), ('SQL', 'a/sql'), ('z/sql', 'a/my-sql'), ('a/my-sql', 'sql/a'),
    ('sql/z', 'sql-a'), ('sql-z', 'sql_a'), ('sql_z', 'sql.a'), ('sql.z', 'a/mysql'),
    ('z/mysql', 'sqla'), ('sqlz', ('a', 'sql')), (('a', 'sql'), 'sqlé'), ('mysqla', 'sqlite')])
def test_a_range_is_in_the_order_of_the_matches(first, later):
    keys = [hits(postings.postings(*(each if isinstance(each, tuple) else (each,))), 'sql')[0]
            for each in (first, later)]
    assert keys[0].encode('utf-8') < keys[1].encode('utf-8')


ODD = ['/', '//', '/a', 'a/', 'a//b', '-', '.', '_', '!', '*', ' ', 'ready', 'removed x', 'FOO/foo',
       'Team/Web', 'K', '\u212a', '\U0001f433', '\U0001f433/' * 100, 'É' * 255, 'x' * 255,
       '/'.join('a' * 100)]


def assert_read_back(name, description):
    for posting in all_of(name, description):
        item = postings.to_item(posting)
        assert postings.fields_of(item) == (name, description)
        assert {'S': ''} not in item.values() and postings.is_gram(item['gram']['S'])
        # Another program has removed the text.
        left = {key: item[key] for key in ('gram', 'suffix')}
        assert postings.name_of(left) in (name, postings.UNKNOWN)
        assert postings.name_of(left) == name or name != text.fold(name) or len(name) > 250
        assert posting.gram != postings.CATALOG or postings.fields_of(left) == (name, '')
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


def test_the_postings_of_a_name_one_by_one():
    assert [tuple(posting[:2]) for posting in postings.postings('ab/a-b', 'Big (b)')] == [
        ('sa', 'ab\x03a\x04b\x01'), ('sb', 'b\x03a\x04b\x07a'), ('s/', '\x03a\x04b\x07ab'),
        ('sa', 'a\x04b\x01ab/'), ('s-', '\x04b\x07ab/a'), ('sb', 'b\x02ab/a-'),
        ('sb', 'b)\x7fab/a-b'), ('sb', 'big\x7fab/a-b')]
    # No words of the description that the name contains or that another one begins with.
    assert [posting.suffix for posting in postings.postings('az', 'abc ab B-c b-cd z')] == [
        'az\x01', 'z\x07a', 'abc\x7faz', 'b\x04cd\x7faz', 'cd\x7faz']


def test_an_item_has_the_text_in_lower_case_for_filters_and_the_capitals():
    posting = postings.postings('Team/web', 'Big (B)')[0]
    digest = hashlib.sha256(b'Team/web').hexdigest()[:16]
    assert postings.to_item(posting) == {
        'gram': {'S': 'st'}, 'suffix': {'S': 'team\x03web\x01\x01' + digest},
        't': {'S': 'team/web\nbig (b)'}, 'c': {'S': '0T9B14B'}}
    assert postings.to_item(postings.witness('team/web')) == {
        'gram': {'S': '/'}, 'suffix': {'S': 'team\x01web'}, 't': {'S': 'team/web'}}
    assert postings.witness_key('Team/web') == {
        'gram': {'S': '/'}, 'suffix': {'S': 'Team\x01web'}}


@pytest.mark.parametrize('suffix', ['', 'web', '\x01', '\x01a/', 'web\x01\x01' + 'a' * 16])
def test_a_key_that_is_not_that_of_a_name_is_of_no_repository(suffix):
    assert postings.fields_of({'gram': {'S': 'sw'}, 'suffix': {'S': suffix}}) == (
        postings.UNKNOWN, '')
    assert ranking.rank(('a',), postings.UNKNOWN, '') is None


@pytest.mark.parametrize('name, kept', [
    ('aaaa', 'aaaa'),
    # What ends the name or one of its words stays: "web" alone sorts before "web/web".
    ('web/web', 'web/web eb/web b/web /web web'),
    ('web-x/web-x', 'web-x/web-x eb-x/web-x b-x/web-x -x/web-x x/web-x /web-x web-x x'),
    ('website/web', 'website/web ebsite/web bsite/web site/web ite/web te/web e/web /web web')])
def test_a_suffix_that_matches_nothing_more_is_left_out(name, kept):
    assert [re.split('[\x01\x02\x07]', posting.suffix)[0].translate({3: '/', 4: '-'})
            for posting in postings.postings(name)] == kept.split()


def keys(name, description=''):
    return [posting[:2] for posting in all_of(name, description)]


def assert_fit(name, description):
    """Assert that all keys of a repository differ and are within the limits of DynamoDB."""
    found = keys(name, description)
    assert len(set(found)) == len(found)
    sizes = [(len(gram.encode('utf-8')), len(suffix.encode('utf-8'))) for gram, suffix in found]
    assert all(0 < gram <= 2048 and 0 < suffix <= 1024 for gram, suffix in sizes)
    for key in marker_key(TOMBSTONE, name), marker_key(PENDING, name):
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
