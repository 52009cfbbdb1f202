"""The catalog beside version 3, and its costs; tests/end_to_end/service/test_catalog.py compares it
with that of the real registry."""
import time
from urllib.parse import quote

import pytest

from docker_registry_index.engine.search import search
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.web import catalog as web_catalog
from docker_registry_index.service.web.catalog import Dialect, DialectProbe, page_size
from tests.helpers.registry import FakeRegistry
from tests.helpers.requests_made import RequestsMade
from tests.helpers.scripted_server import drip, page, reset
from tests.helpers.waiting import Hanging, wait_until

#: Nine short names, and two whose rows a page must read.
NAMES = ['a/%d' % number for number in range(8)] + ['b', 'b/%s1' % ('x' * 98), 'c/%s1' % ('x' * 98)]


@pytest.fixture(scope='module')
def third(start):
    """A service beside a registry that answers as version 3 does."""
    made = start(dict.fromkeys(NAMES), CATALOG_LIMIT='11')
    made.registry.content_type = 'application/json'
    with made:
        made.get('/v2/_catalog')  # The dialect is remembered.
    return made  # Its background has ended, and makes no request that is counted.


@pytest.mark.parametrize('query, shown', [
    ('n=-1', '"-1"'), ('n=abc', '"abc"'), ('n=%205', '" 5"'), ('n=+5', '" 5"'), ('n=5.0', '"5.0"'),
    ('n=1e1', '"1e1"'), ('n=0x5', '"0x5"'), ('n=1_0', '"1_0"'),
    ('n=99999999999999999999', '"99999999999999999999"'), ('n=abc&n=3', '"abc"'),
    ('n=12', '12'), ('n=9223372036854775807', '9223372036854775807'),
    ('n=<b>%26', r'"\u003cb\u003e\u0026"'), ('n="', r'"\""'), ('n=%C3%A9', '"é"'),
    ('n=%EF%BF%BD', '"\ufffd"'), ('n=%FF', r'"\ufffd"'),
    ('n=a%E2%82b%ED%A0%80', r'"a\ufffd\ufffdb\ufffd\ufffd\ufffd"')])
def test_version_3_refuses_an_invalid_number(third, query, shown):
    answer = third.request_bytes('GET', b'/v2/_catalog?' + query.encode())
    assert answer.status_code == 400 and answer.headers['Content-Type'] == 'application/json'
    assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
    assert answer.text == (
        '{"errors":[{"code":"PAGINATION_NUMBER_INVALID",'
        '"message":"invalid number of results requested","detail":{"n":%s}}]}\n' % shown)


@pytest.mark.parametrize('query, count', [('', 11), ('n=', 11), ('n', 11), ('N=2', 11), ('n=0', 0),
                                          ('n=-0', 0), ('n=%2B5', 5), ('n=05', 5), ('n=%zz', 11),
                                          ('n=2;last=a', 11), ('n=&n=3', 11), ('n=2&n=3', 2),
                                          ('n=10', 10)])
def test_version_3_accepts_any_other_number(third, query, count):
    answer = third.request_bytes('GET', b'/v2/_catalog?' + query.encode())
    assert (answer.status_code, answer.headers['Content-Type']) == (200, 'application/json')
    assert answer.json() == {'repositories': NAMES[:count]}
    assert answer.headers.get('Link') == (
        '</v2/_catalog?last=%s&n=%d>; rel="next"' % (quote(NAMES[count - 1], safe=''), count)
        if 0 < count < len(NAMES) else None)


@pytest.mark.parametrize('query, queries, found', [
    ('n=1', 1, NAMES[:1]), ('last=c&n=1', 1, NAMES[-1:]), ('n=0', 0, []), ('n=9', 1, NAMES[:9]),
    ('', 1, NAMES), ('last=zzz', 1, []), ('n=12', 0, None)])
def test_a_page_costs_a_query(third, query, queries, found):
    made = RequestsMade(third.service.index)
    assert third.get('/v2/_catalog?' + query).json().get('repositories') == found
    assert made.operations == ['Query'] * queries


def test_a_page_of_long_names_is_shorter_and_links_to_the_next(third, monkeypatch):
    # As if three names could cost as much as a page may.
    monkeypatch.setattr(search, '_SHORTEST_PAGE', 1)
    monkeypatch.setattr(search, 'LARGEST_POSTING', 40000)
    monkeypatch.setattr(search, 'MOST_QUERIES', 1)
    found, path, pages = [], '/v2/_catalog?n=9', 0
    while path:
        answer = third.get(path)
        found += answer.json()['repositories']
        path, pages = answer.headers.get('Link', '').partition('>')[0].strip('<'), pages + 1
    assert (found, pages) == (NAMES, 4)
    # Unless the operator allows larger pages.
    monkeypatch.setattr(web_catalog, '_BOUNDED', 10)
    assert third.get('/v2/_catalog?n=9').json()['repositories'] == NAMES[:9]


@pytest.mark.parametrize('text, limit, is_version_2, size', [
    ('', 1000, False, 100), ('', 7, False, 7), ('7', 7, False, 7), ('x', 7, True, 7),
    ('0' * 30 + '5', 7, False, 5)])
def test_a_page_has_no_more_names_than_the_limit(text, limit, is_version_2, size):
    assert page_size(text, limit, Dialect(is_version_2)) == size


def probe_of(url):
    return DialectProbe(RegistryClient(url))


def test_a_dialect_is_remembered_and_so_is_a_failure_to_read_it():
    with FakeRegistry(content_type='application/json; charset=utf-8') as registry:
        probe = probe_of(registry.url + '/')
        registry.answers['/v2/'] = reset
        assert probe() == Dialect() and probe() == Dialect(), 'of version 3, until one is read'
        assert registry.paths == ['/v2/'], 'a failure is remembered for a while'
        probe = probe_of(registry.url)
        registry.answers['/v2/'] = page('{}', 401, Content_Type='application/json; charset=utf-8')
        assert probe() == Dialect(True)
        assert probe() == probe() and len(registry.paths) == 2


def test_the_headers_of_a_registry_are_those_that_belong_to_no_message():
    added = (('Access-Control-Allow-Origin', '*'), ('X-Two', '1'), ('X-Two', '2'),
             ('Content-Security-Policy', "default-src 'self'"), ('cache-control', 'no-store'))
    others = ('Docker-Distribution-Api-Version', 'Date', 'Server', 'Set-Cookie', 'Vary', 'ETag',
              'WWW-Authenticate', 'Connection', 'Content-Encoding', 'Via', 'Keep-Alive', 'Link')
    with FakeRegistry() as registry:
        def answer(handler):
            handler.send_response(401)
            for name, value in (*added, *((name.lower(), 'x') for name in others),
                                ('X-Folded', 'a\r\n b'), ('Content-Length', '0')):
                handler.send_header(name, value)
            handler.end_headers()
        registry.answers['/v2/'] = answer
        assert probe_of(registry.url)().headers == added
        for status in 404, 403, 502:
            registry.answers['/v2/'] = page('', status, X_Proxy='its own')
            assert probe_of(registry.url)() == Dialect(), 'another server answers'


def test_all_that_is_answered_for_the_registry_has_its_headers(start):
    service = start()
    service.registry.answers['/v2/'] = page('{}', Access_Control_Allow_Origin='*', X_Own='1')
    for path in '/v2/_catalog', '/v2/_catalog?n=x', '/v1/search', '/v1/_ping', '/v1/search?n=0':
        for method in 'GET', 'OPTIONS', 'PUT':
            assert service.request(method, path).headers['Access-Control-Allow-Origin'] == '*'
    for path in '/healthz', '/readyz', '/metrics', '/events':
        assert 'X-Own' not in service.get(path).headers


def test_only_the_first_request_waits_for_the_registry(monkeypatch):
    with FakeRegistry() as registry:
        probe = probe_of(registry.url)
        first = probe()
        monkeypatch.setattr(probe, '_until', 0)
        with Hanging(page('{}', X_Own='1')) as registry.answers['/v2/']:
            began = time.monotonic()
            assert probe() is first and time.monotonic() - began < 1.5
        wait_until(lambda: probe().headers == (('X-Own', '1'),))


def test_a_page_may_be_as_large_as_that_of_the_registry(start):
    with start({'a': None, 'b': None}, CATALOG_LIMIT='100000') as service:
        assert service.get('/v2/_catalog?n=100000').json() == {'repositories': ['a', 'b']}
        assert service.get('/v2/_catalog?n=100001').status_code == 400


def test_a_registry_that_answers_byte_by_byte_does_not_delay_the_catalog(monkeypatch):
    monkeypatch.setattr(web_catalog, '_TIMEOUT', 0.3)
    with FakeRegistry() as registry:
        registry.answers['/v2/'] = drip(True)
        began = time.monotonic()
        assert probe_of(registry.url)() == Dialect()
        assert time.monotonic() - began < 2
