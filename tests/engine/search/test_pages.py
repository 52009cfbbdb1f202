"""Pages of a search: put together they are the whole, each repository once."""

from __future__ import unicode_literals

import random

import pytest

from tests.helpers.engine import EngineIndex

NAMES = (['team-%02d/proxy-%d' % (number % 7, number) for number in range(60)] +
         ['reverse-proxy/app-%d' % number for number in range(30)] +
         ['acme/myproxy%d' % number for number in range(40)] +
         ['acme/web-%d' % number for number in range(20)])
DESCRIPTIONS = {name: 'proxy of all' for name in NAMES[-20:]}


@pytest.fixture(scope='module')
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint)
    made.ready([(name, DESCRIPTIONS.get(name)) for name in NAMES])
    yield made
    made.delete_tables()


@pytest.mark.parametrize('term', ['', 'proxy', 'roxy', 'team-0', 'p', 'web', 'nothing', 'myproxy3'])
@pytest.mark.parametrize('size', [1, 7, 25, 100])
def test_pages_have_each_repository_once(index, term, size):
    whole = index.search(term)
    found = []
    for skip in range(0, len(NAMES) + size, size):
        page = [tuple(result) for result in index.engine.search(term, size, skip)]
        assert len(page) == max(0, min(size, len(whole) - skip))
        found += page
    assert sorted(found) == sorted(whole)


def test_the_first_page_is_what_a_limit_keeps(index):
    assert index.engine.search('proxy', 25, 0) == index.engine.search('proxy', 25)


def odd_names(count):
    """Names that have the words of a term in many places; the same at every run."""
    dice = random.Random(2026)
    words = ['api', 'web', 'sql', 'a', 'aa', 'proxy', '1', 'x', 'db']

    def part():
        return dice.choice(['', '-', '_', '.']).join(
            dice.choice(words) for _ in range(dice.randint(1, 4)))

    names = set()
    while len(names) < count:
        names.add('%s/%s' % (part(), part()))
    return sorted(names)


@pytest.fixture(scope='module')
def odd(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready([(name, None) for name in odd_names(400)])
    yield made
    made.delete_tables()


@pytest.mark.parametrize('term', ['a proxy', 'web sql', 'api web a', 'proxy', 'a'])
@pytest.mark.parametrize('size', [3, 10, 25])
def test_pages_of_several_words_have_each_repository_once(odd, term, size):
    whole = [name for name, _ in odd.search(term)]
    found = [result.name for skip in range(0, len(whole), size)
             for result in odd.engine.search(term, size, skip)]
    assert sorted(found) == sorted(whole)
