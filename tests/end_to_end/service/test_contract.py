"""The contract of search through the service: changed by the notifications of its registry, asked
over HTTP."""
import concurrent.futures
import json
import random
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.contract import oracle
from tests.contract.suite import SearchContract
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import FakeRegistry, deleted, pushed

#: Control characters, marks of direction, and what breaks a line.
UNSAFE = [chr(number) for number in [*range(0x20), *range(0x7f, 0xa0), 0x200e, 0x200f,
                                     *range(0x2028, 0x202f), *range(0x2066, 0x206a)]]


class HTTPIndex:
    """The adapter of the contract: a push and a delete are notifications, a search is what docker
    asks."""

    def __init__(self, beside):
        self._beside = beside
        self.there = {}

    def fill(self, repositories):
        # If a push carries no description, the existing one is kept. Therefore each repository
        # whose description differs is deleted first.
        gone = [name for name, text in self.there.items() if repositories.get(name, '') != text]
        new = [name for name, text in repositories.items() if self.there.get(name, '') != text]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(self.remove, gone))
            list(pool.map(self.add, new, [repositories[name] for name in new]))

    def add(self, name, description=None):
        self._beside.registry.repositories[name] = self.there[name] = description
        assert self._beside.post([pushed(name)]).status_code == 200

    def remove(self, name):
        self.there.pop(name, None)
        self._beside.registry.repositories.pop(name, None)
        assert self._beside.post([deleted(name)]).status_code == 200

    def search(self, term, limit=None):
        """Up to 100 are one page; more, or all, are several of 100."""
        size = min(limit or 100, 100)
        found, page = [], 1
        while limit is None or len(found) < limit:
            answer = self._beside.search(term, n=size, page=page)
            found += [(result['name'], result['description']) for result in answer['results']]
            if answer['num_pages'] == page:
                break
            page += 1
        return found[:limit]


@pytest.fixture(scope='module')
def shared(beside):
    index = HTTPIndex(beside)
    yield index
    index.fill({})


@pytest.fixture
def index(shared):
    return shared


class TestService(SearchContract):
    """Everything that the contract asks for."""

    DESCRIBED = {'team/web': 'The Node.js front end, (c) ACME',
                 'team/db': 'PostgreSQL with extensions; web-scale', 'team/plain': None,
                 'node/other': 'nothing like it', 'team/spaces': '  a\tlot \n of   room '}

    @pytest.mark.parametrize('term', ['node', 'node.js', '.js', 'ront', '(c', 'acme', 'web', 'it',
                                      'team node', 'room', 'lot of'])
    def test_the_description_in_a_manifest_is_found_by_the_starts_of_its_words(self, index, term):
        index.fill(self.DESCRIBED)
        assert index.search(term) == oracle.answer(self.DESCRIBED, term)


SYLLABLES = ['api', 'web', 'sql', 'my', 'a', 'aa', 'aaa', 'ng', 'inx', 'proxy', '1', '2', 'x', 'db']


def random_names(seed, count):
    """Return so many names that a registry takes; the same for the same seed."""
    dice = random.Random(seed)

    def part():
        return dice.choice(['', '-', '_', '.', '__', '--']).join(dice.choice(SYLLABLES)
                                                                 for _ in range(dice.randint(1, 3)))
    names = set()
    while len(names) < count:
        names.add('/'.join(part() for _ in range(dice.randint(1, 2))))
    return sorted(names)


@pytest.fixture(scope='module')
def many(dynamodb_local):
    """A service that loaded 1 000 repositories from the catalog of its registry."""
    repositories = dict.fromkeys(random_names(2026, 1000))
    with FakeRegistry(repositories) as registry, Beside(dynamodb_local.url, registry) as place:
        yield repositories, place


def test_parts_of_a_thousand_names_find_what_the_oracle_finds(many):
    repositories, place = many
    index, dice = HTTPIndex(place), random.Random(1976)
    for name in dice.sample(sorted(repositories), 80):
        start = dice.randrange(len(name))
        term = dice.choice([str, str.upper])(name[start:start + dice.randint(1, 9)])
        limit = dice.choice([1, 10, 25, 100])
        oracle.check_limited(repositories, term, limit, index.search(term, limit))


@pytest.mark.parametrize('term, size', [('a', 100), ('api', 25), ('', 100), ('/', 60), ('pi', 7),
                                        ('web sql', 25), ('a a', 100), ('db_', 3), ('sql', 100),
                                        ('nothing', 10), ('', 3)])
def test_all_pages_together_are_what_there_is_each_once(many, term, size):
    repositories, place = many
    found, page = [], 1
    while True:
        answer = place.search(term, n=size, page=page)
        assert (answer['page'], answer['page_size']) == (page, size)
        assert answer['num_results'] == len(found) + len(answer['results'])
        found += [result['name'] for result in answer['results']]
        if answer['num_pages'] == page or page == 100:
            break
        assert answer['num_pages'] == page + 1 and len(answer['results']) == size
        page += 1
    wanted = [name for name, _ in oracle.answer(repositories, term)]
    assert len(set(found)) == len(found), 'a page repeats what was on another'
    if page < 100:
        assert sorted(found) == sorted(wanted)
    else:
        assert len(found) == 100 * size and set(found) <= set(wanted)
    # What comes first is what a limit prefers.
    oracle.check_limited(repositories, term, size, [(name, '') for name in found[:size]])


@settings(max_examples=50, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(term=st.lists(st.sampled_from(SYLLABLES + ['/', '-', '_', '.', ' ', 'p', 'é', '\x00', '%',
                                                  '+', '&', '#']),
                     max_size=5).map(''.join)
       | st.text(st.characters(blacklist_characters=':@', blacklist_categories=('Cs', 'Lu', 'Lt')),
                 max_size=12), limit=st.integers(1, 100))
def test_random_terms_find_what_the_oracle_finds(many, term, limit):
    repositories, place = many
    oracle.check_limited(repositories, term, limit, HTTPIndex(place).search(term, limit))


def test_a_reference_finds_what_its_name_finds(index):
    index.fill({'team/web': None, 'team/web-api': None, 'library/nginx': None})
    assert index.search('team/web') == [('team/web', ''), ('team/web-api', '')]
    for term in ('team/web:1.0', 'team/web:latest', 'team/web@sha256:' + 'ab' * 32,
                 'team/web:1@sha256:' + 'cd' * 32, 'TEAM/WEB:', 'team/web:a\nb'):
        assert index.search(term) == index.search('team/web'), term
    for term in (':', ':latest', '@sha256:' + 'ab' * 32, ' :1 '):
        assert index.search(term) == [], 'a tag alone is of no repository'


@pytest.mark.parametrize('query', ['', '?', '?q=', '?q=%20', '?n=', '?page=', '?n=&page=&q=', '?q',
                                   '?x=1'])
def test_no_term_finds_everything_in_the_order_of_names(index, beside, query):
    index.fill({'b/b': None, 'a/b': None, 'a': None})
    answer = beside.get('/v1/search' + query)
    assert answer.status_code == 200
    assert [result['name'] for result in answer.json()['results']] == ['a', 'a/b', 'b/b']


BAD = ['0', '-1', '101', 'abc', '1.0', '1e1', '%2B5', ' 5', '5 ', '%D9%A3', '%C2%B2',
       '00000000000000000001', '9' * 30, '%00', '0x10', '1_0', 'true', '%FF', "5'"]


@pytest.mark.parametrize('name', ['n', 'page'])
@pytest.mark.parametrize('value', BAD)
def test_a_number_that_is_none_is_refused_with_a_sentence(beside, name, value):
    answer = beside.get('/v1/search?q=a&%s=%s' % (name, value))
    assert answer.status_code == 400 and answer.headers['Content-Type'] == 'application/json'
    assert answer.json() == {'error': 'parameter %s must be a whole number from 1 to 100' % name}


@pytest.mark.parametrize('query, size', [('', 25), ('?n=1', 1), ('?n=007', 7), ('?n=100', 100),
                                         ('?n=3&n=9', 3)])
def test_the_number_asked_for_is_the_number_given(many, query, size):
    assert len(many[1].get('/v1/search' + query).json()['results']) == size


def test_the_answer_byte_for_byte(index, beside):
    index.fill({'team/web': 'The "front" end é', 'team/web-api': None})
    answer = beside.get('/v1/search?q=web&n=2')
    one = ('{"name":"%s","description":"%s","star_count":0,'
           '"is_official":false,"is_automated":false,"is_trusted":false}')
    assert answer.text == (
        '{"query":"web","page":1,"page_size":2,"num_pages":2,"num_results":2,"results":[%s,%s]}\n'
        % (one % ('team/web', r'The \"front\" end \u00e9'), one % ('team/web-api', '')))
    assert answer.status_code == 200 and answer.headers['Content-Type'] == 'application/json'
    assert beside.get('/v1/search?q=nothing').text == (
        '{"query":"nothing","page":1,"page_size":25,"num_pages":1,"num_results":0,"results":[]}\n')
    ping = beside.get('/v1/_ping')
    assert (ping.status_code, ping.text) == (200, 'true\n')
    assert ping.headers['Content-Type'] == 'application/json'


def test_what_steers_a_terminal_is_in_no_answer(index, beside):
    evil = 'red \x1b[31m bell \x07 \u202e back \u2066 line\u2028 \x9b1m end \u200f'
    index.fill({'team/evil': evil})
    # As another writer of the tables, such as one of an older release, may have left it.
    beside.index.engine.add('team/raw' + UNSAFE[-1], evil)
    try:
        assert [name for name, _ in index.search('raw')] == ['team/raw?']
        for term in ('', 'team', 'end', *UNSAFE, evil):
            answer = beside.get('/v1/search?q=' + quote(term))
            assert answer.status_code == 200, repr(term)
            assert not re.search(rb'[\x00-\x09\x0b-\x1f\x7f-\xff]', answer.content), repr(term)
            body = json.loads(answer.content)
            shown = ''.join(result['name'] + result['description'] for result in body['results'])
            assert not set(UNSAFE) & set(shown + body['query']), repr(term)
        assert 'red' in index.search('evil')[0][1]
    finally:
        beside.index.engine.remove('team/raw' + UNSAFE[-1])


@pytest.mark.parametrize('query', ['?q=%FF%FE', '?q=%ED%A0%80', '?q=' + 'a' * 3000, '?q=%',
                                   '?q=%zz', '?q=a&q=b', '?q=a;n=0', '?q=%00', '?%00=1', '?=',
                                   '?&&&'])
def test_odd_queries_are_answered(beside, query):
    assert beside.get('/v1/search' + query).status_code == 200


@pytest.mark.parametrize('method, path, status', [
    ('HEAD', '/v1/search', 200), ('POST', '/v1/search', 405), ('DELETE', '/v1/search', 405),
    ('PUT', '/v1/_ping', 405), ('GET', '/v1/search/', 404),
    ('GET', '/v1/', 404), ('GET', '/', 404), ('GET', '/v1/search/x', 404), ('GET', '/v2/', 404),
    ('GET', '/static/x', 404), ('GET', '/events', 405)])
def test_other_methods_and_addresses(beside, method, path, status):
    answer = beside.session.request(method, beside.url + path, timeout=10)
    assert answer.status_code == status
    if method != 'HEAD':
        assert answer.headers['Content-Type'] == 'application/json'
        assert set(answer.json()) == {'error'}
    if status == 405 and path != '/events':
        assert 'GET' in answer.headers['Allow']
