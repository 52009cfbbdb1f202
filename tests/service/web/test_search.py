"""The contract of search through the service: notifications change the index, and the addresses of
docker search are asked."""
import re
from urllib.parse import quote

import pytest

from docker_registry_index.engine.search import search
from tests.contract import oracle, suite
from tests.contract.suite import SearchContract

#: Control characters, marks of direction, and what breaks a line.
UNSAFE = [chr(number) for number in [*range(0x20), *range(0x7f, 0xa0), 0x200e, 0x200f,
                                     *range(0x2028, 0x202f), *range(0x2066, 0x206a)]]
#: Eleven names on pages of any size.
MANY = dict.fromkeys(['api/web', 'api/web-api', 'web', 'a/a', 'a/aa', 'my-sql/db_1', 'x/sql', 'sql',
                      'my/web.sql', 'proxy/nginx', 'pi/api'])


class HTTPIndex:
    """The adapter of the contract: pushes and deletes are notifications, and a search is a request
    of docker."""

    def __init__(self, service):
        self._service, self._there = service, {}

    def fill(self, repositories):
        if repositories != self._there:
            # A push without a description keeps the existing one.
            self.remove(*[name for name, text in self._there.items()
                          if repositories.get(name, '') != text])
            self._add({name: repositories[name] for name in set(repositories) - set(self._there)})

    def add(self, name, description=None):
        self._add({name: description})

    def _add(self, repositories):
        self._there.update(repositories)
        self._service.push(repositories)

    def remove(self, *names):
        for name in names:
            del self._there[name]
        self._service.delete(*names)

    def search(self, term, limit=None):
        """Read pages of 100 results, or of the limit if it is lower."""
        size = min(limit or 100, 100)
        return self.pages(term, size, last=limit and -(-limit // size))[:limit]

    def pages(self, term, size, last=None):
        """Return the results of all pages of a size, or of those up to the last."""
        found, page, count = [], 0, 1
        while page < (last or count) and page < count:
            page += 1
            answer = self._service.search(term, n=size, page=page)
            found += [(result['name'], result['description']) for result in answer['results']]
            count = answer['num_pages']
            assert (answer['page'], answer['page_size']) == (page, size)
            assert answer['num_results'] == len(found)
            assert count in (page, page + 1) and (count == page or len(found) == page * size)
        return found


@pytest.fixture(scope='module')
def index(service):
    made = HTTPIndex(service)
    yield made
    made.fill({})


@pytest.fixture
def many(index):
    index.fill(MANY)
    return index


class TestService(SearchContract):
    """The whole contract, with fewer limits and shorter names than the engine's own run."""

    DESCRIBED = {'team/web': 'The Node.js front end, (c) ACME',
                 'team/db': 'PostgreSQL with extensions; web-scale', 'team/plain': None,
                 'node/other': 'nothing like it', 'team/spaces': '  a\tlot \n of   room '}

    @pytest.fixture(autouse=True)
    def fewer_terms(self, monkeypatch):
        """Tests that search for all terms search for a third of them."""
        monkeypatch.setattr(suite, 'TERMS', suite.TERMS[::3])

    @pytest.mark.parametrize('limit', [2])
    def test_a_limit_keeps_the_best_groups(self, index, limit):
        super().test_a_limit_keeps_the_best_groups(index, limit)

    def test_every_substring_of_every_name_finds_it(self, index):
        index.fill({'a/b-ab': None})
        for term in ('a/b-ab'[start:end] for start in range(6) for end in range(start + 1, 7)):
            assert index.search(term) == [('a/b-ab', '')]

    def test_the_description_in_a_manifest_is_found_by_the_starts_of_its_words(self, index):
        index.fill(self.DESCRIBED)
        for term in ('node', 'node.js', '.js', 'ront', '(c', 'acme', 'web', 'it', 'team node',
                     'room', 'lot of'):
            assert index.search(term) == oracle.answer(self.DESCRIBED, term), term


@pytest.mark.parametrize('term, size', [('a', 100), ('api', 1), ('', 3), ('/', 2), ('web sql', 1),
                                        ('db_', 3), ('sql', 4), ('nothing', 10)])
def test_pages_together_are_all_results_each_once(many, term, size):
    found = many.pages(term, size)
    assert sorted(found) == sorted(oracle.answer(MANY, term))
    # The first page has what a limit prefers.
    oracle.check_limited(MANY, term, size, found[:size])


def test_a_reference_finds_what_its_name_finds(many):
    for term in ('api/web:1.0', 'api/web@sha256:' + 'ab' * 32, 'api/web:1@sha256:' + 'cd' * 32,
                 'API/WEB:', 'api/web:a\nb'):
        assert many.search(term) == [('api/web', ''), ('api/web-api', '')], term
    for term in (':', ':latest', '@sha256:' + 'ab' * 32, ' :1 '):
        assert many.search(term) == [], 'a tag alone belongs to no repository'


@pytest.mark.parametrize('query, size', [
    ('', 25), ('?q=', 25), ('?q=%20', 25), ('?n=', 25), ('?n=&page=&q=', 25), ('?q', 25),
    ('?x=1', 25), ('?n=1', 1), ('?n=007', 7), ('?n=100', 100), ('?n=3&n=9', 3),
    ('?n=101', 100), ('?n=500', 100), ('?n=' + '9' * 5000, 100), ('?n=200&page=1', 100)])
def test_an_empty_term_fills_a_page_in_the_order_of_names(many, service, query, size):
    answer = service.get('/v1/search' + query)
    assert answer.status_code == 200 and answer.json()['page_size'] == size
    assert [result['name'] for result in answer.json()['results']] == [
        name for name, _ in oracle.answer(MANY, '')][:size]


@pytest.mark.parametrize('name, must', [('n', '1 or more'), ('page', 'from 1 to 20')])
@pytest.mark.parametrize('value', ['0', '-1', 'abc', '1.0', '%2B5', ' 5', '5 ', '%D9%A3',
                                   '%C2%B2', '\xff', '%00', '%FF', '1\xff'])
def test_an_invalid_number_is_refused_with_a_sentence(service, name, must, value):
    target = '/v1/search?q=a&%s=%s' % (name, value)
    answer = service.request_bytes('GET', target.encode('latin-1'))
    assert answer.status_code == 400 and answer.headers['Content-Type'] == 'application/json'
    assert answer.json() == {
        'error': 'parameter %s must be a whole number, %s' % (name, must)}


def test_pages_end_where_searches_stop_reading(many, service, monkeypatch):
    for size, last in (1, 500), (3, 166), (25, 20), (100, 5), (500, 5):
        assert service.search('', n=size, page=last)['num_pages'] == last
        for page in last + 1, '9' * 30:
            assert service.get('/v1/search?n=%d&page=%s' % (size, page)).status_code == 400
    monkeypatch.setattr(search, 'MOST', 9)
    before = service.counted('incomplete_searches_total')
    answers = [service.search('', n=4, page=page) for page in (1, 2, 3)]
    assert [(len(answer['results']), answer['incomplete_results']) for answer in answers] == [
        (4, False), (4, False), (1, True)]
    assert [answer['num_results'] for answer in answers] == [4, 8, 9]
    assert service.counted('incomplete_searches_total') == before + 1


@pytest.mark.parametrize('query, term', [
    (b'q=%FF', '\ufffd'), (b'q=we%E9b', 'we\ufffdb'), (b'%ff', ''), (b'q=\xff', '\ufffd'),
    (b'q=web&%ff=%fe', 'web'), (b'q=w%C3%A9b', 'w\xe9b'), (b'q=%ed%a0%80', '\ufffd' * 3),
    (b'q=\x01%00', '??'), (b'q=a%3Bb;n=0', 'a;b;n=0'), (b'q=100%', '100%'), (b'q=&q=web', ''),
    (b'q=' + b'a' * 3000, 'a' * 3000), (b'&&&', '')])
def test_a_search_reads_any_bytes(many, service, query, term):
    answer = service.request_bytes('GET', b'/v1/search?' + query)
    assert answer.status_code == 200 and answer.json()['query'] == term
    assert ('\ufffd' in term) <= (answer.json()['results'] == []), 'no name contains U+FFFD'


def test_the_answer_byte_for_byte(index, service):
    index.fill({'team/web': 'The "front" end é', 'team/web-api': None})
    answer = service.get('/v1/search?q=web&n=2')
    one = ('{"name":"%s","description":"%s","star_count":0,'
           '"is_official":false,"is_automated":false,"is_trusted":false}')
    assert answer.text == (
        '{"query":"web","page":1,"page_size":2,"num_pages":2,"num_results":2,'
        '"incomplete_results":false,"results":[%s,%s]}\n'
        % (one % ('team/web', r'The \"front\" end \u00e9'), one % ('team/web-api', '')))
    assert answer.status_code == 200 and answer.headers['Content-Type'] == 'application/json'
    assert service.get('/v1/search?q=nothing').text == (
        '{"query":"nothing","page":1,"page_size":25,"num_pages":1,"num_results":0,'
        '"incomplete_results":false,"results":[]}\n')
    ping = service.get('/v1/_ping')
    assert (ping.status_code, ping.text) == (200, 'true\n')
    assert ping.headers['Content-Type'] == 'application/json'


def test_no_answer_contains_control_characters(index, service):
    evil = 'red \x1b[31m bell \x07 \u202e back \u2066 line\u2028 \x9b1m end \u200f'
    index.fill({'team/evil': evil})
    # Another writer of the tables, such as an older release, may have left such a name.
    service.index.engine.add('team/raw' + UNSAFE[-1], evil)
    try:
        assert [name for name, _ in index.search('raw')] == ['team/raw?']
        for term in ('', 'end', ''.join(UNSAFE[:40]), ''.join(UNSAFE[40:]), evil):
            answer = service.get('/v1/search?q=' + quote(term))
            assert answer.status_code == 200, repr(term)
            assert not re.search(rb'[\x00-\x09\x0b-\x1f\x7f-\xff]', answer.content), repr(term)
            shown = ''.join(result['name'] + result['description']
                            for result in answer.json()['results'])
            assert not set(UNSAFE) & set(shown + answer.json()['query']), repr(term)
        assert 'red' in index.search('evil')[0][1]
    finally:
        service.index.engine.remove('team/raw' + UNSAFE[-1])
