# -*- coding: utf-8 -*-
"""The contract of search: inherit it, and define an `index` fixture."""
from __future__ import unicode_literals

import pytest

from . import oracle

REPOSITORIES = {
    'library/ubuntu': None, 'library/mysql': None, 'team/sqlalchemy': None, 'team/sql': None,
    'sql/server': None, 'acme/web-api': None, 'acme/api': None, 'acme/api-gateway': None,
    'api/api': None, 'acme/therapist': None, 'acme/my_app.v2': None, 'acme/100percent': None,
    'x/y': None, 'zeta/banana': None, 'nginx/nginx': None, 'team-a/foo--bar': None,
    'team/a.b.c': None, 'aaaa/aaaaaa': None}

TERMS = [
    '', ' ', 'sql', 'SQL', 'Sql', 'api', 'a', 'x', 'z', '1', 'ub', 'buntu', 'library', 'library/',
    '/', '/api', 'y/', 'acme/api', '-', '--', '_', '.', '.v2', 'a.b', '%', '*', 'a%', 'a_', '_a',
    'api*', '.*', '[a]', '\\', '"', "'", 'o--b', 'ana', 'aa', 'aaa', 'aaaa/aaaaaa', 'nginx/nginx',
    'nginx/nginx/', ' api ', 'acme api', 'api acme', 'api api', 'web  api', 'acme nothing', 'e a',
    'nothing', 'é', '日本', '\U0001f433', 'ß', 'İ',
    'library/ubuntu and much more than any name here has', 'u' * 255, 'u' * 256, 'u' * 1000,
    'acme ' + 'u' * 1000, '\x00', 'a\x1bb', 'a\x00', '\x7f', 'ubuntu\n', '\tubuntu', '!', '! ready',
    'removed ', '\u2028', '*api', '**', 'a*b', '*acme* *api']

LIMITS = [1, 2, 5, 3000000000]


class SearchContract(object):
    """Every program and every local DynamoDB passes these tests.

    The fixture `index` gives an object with `fill(repositories)`, which leaves exactly these in the
    index, `add(name, description)`, `remove(name)` and `search(term, limit=None)`, which returns a
    list of (name, description)."""

    @pytest.mark.parametrize('term', TERMS, ids=lambda term: None)
    def test_a_search_finds_what_the_oracle_finds_in_its_order(self, index, term):
        index.fill(REPOSITORIES)
        assert index.search(term) == oracle.answer(REPOSITORIES, term)

    @pytest.mark.parametrize('limit', LIMITS)
    def test_a_limit_keeps_the_best_groups(self, index, limit):
        index.fill(REPOSITORIES)
        for term in (term for term in TERMS if len(oracle.answer(REPOSITORIES, term)) > 1):
            oracle.check_limited(REPOSITORIES, term, limit, index.search(term, limit))

    def test_a_search_of_an_empty_index_finds_nothing(self, index):
        index.fill({})
        for term in TERMS[::3]:
            assert index.search(term) == []

    def test_every_substring_of_every_name_finds_it(self, index):
        names = {'web/a-pi': None, 'aab/ba_b.a': None}
        index.fill(names)
        for term in set(name[start:end] for name in names for start in range(len(name))
                        for end in range(start + 1, len(name) + 1)):
            assert index.search(term) == oracle.answer(names, term)

    def test_an_added_repository_is_found_and_a_removed_one_is_not(self, index):
        index.fill({})
        index.add('acme/web', None)
        assert index.search('web') == [('acme/web', '')]
        index.add('acme/web', None)
        assert index.search('web') == [('acme/web', '')]
        index.remove('acme/web')
        assert index.search('web') == []
        assert index.search('') == []
        index.add('acme/web', None)
        assert index.search('acme') == [('acme/web', '')]
