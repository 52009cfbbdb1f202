"""Wrong searches: each gets a defined answer, and never status 500."""
import http.client
import json

import pytest

from tests.end_to_end.plugin.conftest import SEEDED


@pytest.fixture
def ask(seeded):
    """A function that sends a query string exactly as it stands, and returns the status and the
    body of the answer."""
    def send(query):
        connection = http.client.HTTPConnection('127.0.0.1', seeded[1].registry.port, timeout=30)
        try:
            connection.request('GET', '/v1/search?' + query, headers={'Connection': 'close'})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()
    return send


def names(answer):
    status, body = answer
    assert status == 200, body
    return [result['name'] for result in json.loads(body)['results']]


def test_a_term_that_no_name_contains_finds_nothing_whatever_its_bytes(ask):
    for term in ('a' * 3000, '%C3%A9' * 600, 'a%00', '%1b%5b31m', '%ff', 'a%ff', '%ed%a0%80',
                 '%f4%90%80%80', '%c0%af', '%', '%zz', '%F0%9F%90%B3'):
        assert names(ask('q=' + term)) == names(ask('q=%s&n=25' % term)) == [], term
    status, body = ask('q=' + 'a' * 100 * 1024)
    assert (status, 'Request Line is too large' in body) == (400, True)


@pytest.mark.parametrize('query', ['', 'q', 'q=', 'q=+', 'q=%0a', 'q=%20%09', 'term=a', 'q[]=a',
                                   '&&', '='])
def test_a_search_without_a_term_lists_everything(ask, query):
    assert names(ask(query)) == SEEDED


@pytest.mark.parametrize('limit', ['-1', 'abc', '0', '1e3', '1.5', '0x1', '1_0', '%ff', '%00', '-',
                                   '1%201', 'None', '-' + '9' * 3000], ids=lambda limit: limit[:8])
def test_a_wrong_limit_is_refused_with_a_sentence_that_names_it(ask, limit):
    status, body = ask('q=a&n=' + limit)
    assert status == 400
    assert 'parameter n ' in json.loads(body)['error']


def test_a_limit_is_kept_however_large_and_an_empty_one_is_none(ask):
    for limit in '1', '01', '2', '3', '1000000', '9' * 40, '9' * 3000:
        assert names(ask('q=acme&n=' + limit)) == SEEDED[:min(2, int(limit))]
    for query in 'q=acme&n=', 'q=acme&n', 'q=acme', 'q=acme&N=1':
        assert names(ask(query)) == SEEDED[:2]


def test_the_first_of_two_equal_parameters_counts(ask):
    assert names(ask('q=webs&q=billing')) == ['acme/webshop-frontend']
    assert names(ask('q=acme&n=1&n=2')) == SEEDED[:1]
    assert ask('q=acme&n=abc&n=2')[0] == 400
