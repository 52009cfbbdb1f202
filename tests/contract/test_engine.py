# -*- coding: utf-8 -*-
"""The contract of search, checked on the engine and every local DynamoDB."""
from __future__ import unicode_literals

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.helpers.engine import EngineIndex

from . import oracle
from .suite import SearchContract


@pytest.fixture(scope='module')
def shared(dynamodb_endpoint):
    engine = EngineIndex(dynamodb_endpoint).ready()
    yield engine
    engine.delete_tables()


@pytest.fixture
def index(shared):
    return shared


class TestEngine(SearchContract):

    DESCRIBED = {
        'team/web': 'The Node.js front end, (c) ACME',
        'team/db': 'PostgreSQL with extensions; web-scale',
        'team/plain': None,
        'node/other': 'nothing like it',
        'team/cut': 'x' * 99 + ' beyond the cut',
        'team/spaces': '  a\tlot \n of   room\x1b[31m ',
    }

    def test_a_description_is_found_by_the_starts_of_its_words(self, index):
        described = {name: text and text.replace('\x1b', '')
                     for name, text in self.DESCRIBED.items()}
        index.fill(self.DESCRIBED)
        for term in ['node', 'node.js', 'js', '.js', 'front', 'ront', 'c', '(c', 'acme', 'web',
                     'scale', 'post', 'sql', 'it', 'team node', 'beyond', 'room', 'x' * 99,
                     'x' * 100, 'lot of', 'ACME FRONT']:
            assert index.search(term) == oracle.answer(described, term), term

    def test_a_name_of_255_characters_is_found_by_its_substrings(self, index):
        index.fill({})
        name = ('a/' + ''.join('%02x.' % number for number in range(128)))[:255]
        index.add(name, 'a long one')
        step = 61 if index.is_in_process else 1
        for term in set(name[start:start + length] for length in (1, 2, 3, 7, 100, 255)
                        for start in range(0, 256 - length, step if length < 4 else 13 + step)):
            assert index.search(term) == [(name, 'a long one')], term
        index.remove(name)
        assert index.postings() == []

    def test_an_invalid_limit_is_refused(self, index):
        for limit in (0, -1, 'abc', 2.5, True):
            with pytest.raises(ValueError) as refused:
                index.search('a', limit)
            assert 'limit' in str(refused.value)


# Latin, Greek and Cyrillic letters with a lower case of one character. U+037F has one in later
# Unicodes than that of Python 2.7.
CAPITALS = [letter for letter in ('%c' % number for number in range(0x500))
            if letter.lower() != letter and len(letter.lower()) == 1 and letter != '\u037f']
OTHER_CASE = dict([(letter.lower(), letter) for letter in CAPITALS]
                  + [(letter, letter.lower()) for letter in CAPITALS])
# Few letters, so that terms match; separators, case, other scripts, and characters with a meaning
# in SQL, in regular expressions or in our keys.
LETTERS = st.sampled_from('aabbc/-_.AB%*!é日\U0001f433~ "\'ÉΣσςЖж')
# Pythons differ in which other capitals have a lower case, and U+180E is white space to Python 2.7
# alone. U+FFFD is in no name.
ANY_LETTERS = st.characters(blacklist_categories=('Cs', 'Cc', 'Lu', 'Lt'),
                            blacklist_characters='\u180e\ufffd') | st.sampled_from(CAPITALS)


def test_random_repositories_are_found_by_random_terms(shared):
    examples, most, longest = (8, 6, 10) if shared.is_in_process else (150, 25, 24)
    names = (st.text(LETTERS, min_size=1, max_size=longest)
             | st.text(ANY_LETTERS, min_size=1, max_size=longest // 2))
    descriptions = st.none() | st.text(st.sampled_from('aabc .-é日('), max_size=5 * longest)

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(repositories=st.dictionaries(names, descriptions, max_size=most),
           terms=st.lists(st.text(LETTERS, max_size=8), min_size=1, max_size=most // 2),
           limit=st.integers(1, most // 2), data=st.data())
    @example(repositories={'b%s%d' % ('-a' * 10, n): None for n in range(most // 2 + 1)},
             terms=['a', 'a-a', '-a'], limit=most // 2 - 1, data=None)
    def check(repositories, terms, limit, data):
        shared.fill(repositories)
        if data is not None and repositories:
            # Terms that are inside some name, too.
            name = data.draw(st.sampled_from(sorted(repositories)))
            start = data.draw(st.integers(0, len(name) - 1))
            swapped = ''.join(OTHER_CASE.get(letter, letter) for letter in name)
            terms = terms + [name[start:], name[:start + 1], swapped[start:]]
        for term in terms:
            assert shared.search(term) == oracle.answer(repositories, term), term
            oracle.check_limited(repositories, term, limit, shared.search(term, limit))

    check()
