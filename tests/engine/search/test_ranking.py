# -*- coding: utf-8 -*-
"""The words of a term, and how well a repository matches them."""

from __future__ import unicode_literals

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.search import ranking
from docker_registry_index.engine.store import postings, text
from tests.contract import oracle

NAMES = st.text(st.sampled_from('aabb/-_.ABéÉ日\U0001f433'), min_size=1, max_size=14)
DESCRIPTIONS = st.text(st.sampled_from('aab .-É日('), max_size=20)
#: make check runs Python 3 only, and fewer examples.
FEWER = settings(max_examples=100 if PY2 else 50)
TERMS = st.text(st.sampled_from('aab/-_.AÉ日\U0001f433 '), max_size=6)


@pytest.mark.parametrize('term, words', [
    (None, ()), ('', ()), (' \t ', ()), ('SQL', ('sql',)), (b'sql', ('sql',)),
    (' b  a b ', ('b', 'a')), ('%_*', ('%_*',)), ('a' * 255, ('a' * 255,)),
    ('\U0001f433' * 255, ('\U0001f433' * 255,)), ('a' * 256, None),
    ('a ' + 'b' * 256, None), ('a\x00', None), ('ok \x1b[2J', None),
    ('a\x05', None), ('x' * 100000, None), ('a ' * 50000, ('a',))],
    ids=lambda value: None)
def test_a_term_is_parsed_into_words(term, words):
    assert ranking.parse(term) == words


def test_the_four_longest_words_are_read_longest_first():
    assert ranking.longest(('ab', 'abcd', 'abc')) == ['abcd', 'abc', 'ab']
    words = ('a', 'cc', 'bb', 'dddd', 'eee')
    assert ranking.longest(words) == ['dddd', 'eee', 'cc', 'bb']


@FEWER
@given(NAMES)
def test_the_range_of_a_word_has_one_gram(word):
    word = text.fold(word)
    for kind in postings.CLASSES:
        wanted = postings.range_of(kind, word)
        assert wanted.gram.startswith(kind) and text.length(wanted.gram) == 2
        assert text.length(wanted.prefix) == text.length(word)


@pytest.mark.parametrize('term, name, description, rank', [
    ('sql', 'team/sql', '', 0), ('sql', 'team/mysql', '', 0),
    ('sql', 'sql/team', '', 0), ('sql', 'a/sql-b', '', 0),
    ('sql', 'team/sqlite', '', 1), ('sql', 'a/mysqlite', '', 2),
    ('sql', 'mysqld/sqlite', '', 1), ('sql', 'a/b', 'a SQL server', 3),
    ('sql', 'a/b', 'MySQL', None), ('sql', 'a/b', '', None),
    ('sql a', 'a/mysqlite', '', 2), ('sql z', 'team/sql', 'zoo', 3),
    ('sql z', 'team/sql', '', None), ('', 'team/sql', '', 0),
    ('sql', 'TEAM/SQL', '', 0)], ids=lambda value: None)
def test_the_rank_depends_on_the_place_of_the_term(term, name, description, rank):
    assert ranking.rank(ranking.parse(term), name, description) == rank


@FEWER
@given(NAMES, DESCRIPTIONS, TERMS)
def test_the_rank_is_that_of_the_oracle(name, description, term):
    clean = text.clean_description(description)
    found = oracle.answer({name: description}, term)
    ranked = ranking.rank(ranking.parse(term), name, clean)
    assert (ranked is not None) == bool(found)
    for word in oracle.words(term):
        assert ranking.rank((word,), name, clean) == oracle.rank(word, name, clean)
