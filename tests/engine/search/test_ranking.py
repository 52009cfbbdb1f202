# -*- coding: utf-8 -*-
"""The words of a term, and how well a repository matches them."""
from __future__ import unicode_literals

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.search import ranking
from docker_registry_index.engine.store import text
from tests.contract import oracle

NAMES = st.text(st.sampled_from('aabb/-_.ABéÉ日\U0001f433'), min_size=1, max_size=14)
DESCRIPTIONS = st.text(st.sampled_from('aab .-É日('), max_size=20)
#: make check runs Python 3 only, and fewer examples.
FEWER = settings(max_examples=100 if PY2 else 50)
TERMS = st.text(st.sampled_from('aab/-_.AÉ日\U0001f433 '), max_size=6)


@pytest.mark.parametrize('term, words', [
    (None, ()), ('', ()), (' \t ', ()), ('SQL', ('sql',)), (b'sql', ('sql',)), ('%_*', ('%_',)),
    ('*', ()), ('*api* a*b', ('api', 'a*b')), ('*' + 'a' * 255, ('a' * 255,)),
    (' b  a b ', ('b', 'a')), ('a' * 255, ('a' * 255,)), ('a' * 256, None),
    ('\U0001f433' * 255, ('\U0001f433' * 255,)), ('a ' + 'b' * 256, None), ('a\x00', None),
    ('ok \x1b[2J', None), ('a\x05', None), ('a ' * 9999, ('a',))], ids=lambda value: None)
def test_a_term_is_parsed_into_words(term, words):
    assert ranking.parse(term) == words


@FEWER
@given(NAMES, DESCRIPTIONS, TERMS)
@example('team/sql', '', 'sql')
@example('mysqld/sqlite', '', 'sql')
@example('a/b', 'a SQL server', 'sql')
@example('a/b', 'MySQL', 'sql')
@example('a/mysqlite', 'zoo', 'sql z')
def test_the_rank_is_that_of_the_oracle(name, description, term):
    clean, words = text.clean_description(description), ranking.parse(term)
    assume(words)
    found = oracle.answer({name: description}, term)
    ranks = [oracle.rank(word, name, clean) for word in oracle.words(term)]
    assert ranking.rank(words, name, clean) == (max(ranks) if found else None)
    for word, rank in zip(words, ranks):
        assert ranking.rank((word,), name, clean) == rank
