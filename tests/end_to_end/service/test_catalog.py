"""The catalog is that of the real registry, byte by byte, for names whose order is not that of
their bytes."""
import http.client
import itertools
import json
import re
from urllib.parse import quote, urlsplit

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dev.servers.registry_v2 import Distribution
from tests.end_to_end.service.place import ServiceProcess, needs
from tests.end_to_end.service.clients import basic, write_htpasswd
from tests.helpers.listing import make_repositories

pytestmark = needs('docker-registry')

#: The headers that belong to the connection, and are not compared; and all others are.
OF_CONNECTION = {'Connection', 'Content-Length', 'Date', 'Server', 'Transfer-Encoding'}
#: What shows that the service has answered.
MARK = 'Answered-By'
#: What the operator of a registry adds to its answers, as browsers and their user interfaces need.
ADDED = {'http': {'headers': {
    'X-Content-Type-Options': ['nosniff'], 'Access-Control-Allow-Origin': ['https://ui.test'],
    'Access-Control-Allow-Methods': ['HEAD', 'GET', 'OPTIONS', 'DELETE'],
    'Access-Control-Expose-Headers': ['Docker-Content-Digest'], 'cache-control': ['no-store'],
    'Content-Security-Policy': ["default-src 'self'"], 'X-Latin': ['é']}}}
PREFIX = '/of/images'
COMPONENTS = ['a', 'b', 'ab', 'a-b', 'a--b', 'a.b', 'a_b', 'a__b', 'a0', 'a-0', 'foo', 'foo-bar',
              'foo.bar', 'z', '0', '9x']
# No child begins with a digit: the real registry itself loses such names.
NAMES = sorted({'a', 'a/b/c', 'a-b/c', 'a_b', 'a__b/x/y', 'a0', 'ab', '9/x', 'foo', 'foo-bar'} | {
    '/'.join(pair) for pair in itertools.product(COMPONENTS, COMPONENTS[:9])},
    key=lambda name: name.replace('/', '\0'))
COUNT = len(NAMES)


class Pair:
    """The real registry and the service, which get the same requests."""

    def __init__(self, *servers, prefix=''):
        self.registry, self._path = servers[0], prefix + '/v2/_catalog'
        self.connections = [http.client.HTTPConnection(*urlsplit(server.url).netloc.split(':'),
                                                       timeout=30) for server in servers]

    def can_continue(self, last):
        """Return True if the registry can continue after a text.

        Version 3 makes a path of it; if that is impossible, it answers 500 or leaves names out."""
        can_be = ('\0' not in last and not last.startswith('/') and '//' not in last
                  and all(len(part.encode()) < 256 for part in last.split('/')))
        return can_be or not self.registry.is_version_3

    def same(self, query, method='GET', **headers):
        """Return (status, headers, body) of the answer to a request for the catalog, after checking
        that both answer the same. The query is sent as it is."""
        answers = []
        for connection in self.connections:
            connection.putrequest(method, self._path + query, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
            # A server may close an idle connection at any moment.
            connection.close()
            kept = {name.title(): answer.headers.get_all(name) for name in answer.headers
                    if name not in OF_CONNECTION | {MARK}}
            if answer.getheader('Content-Length') is not None and len(body) <= 2048:
                # Go sends no Content-Length with a longer body.
                kept['Content-Length'] = answer.getheader('Content-Length')
            answers.append((answer.status, kept, body))
        assert answers[0] == answers[1], query
        return answers[1]

    def names(self, query):
        """Return the names on all pages, from a query on."""
        found = []
        while query is not None:
            status, headers, body = self.same(query)
            assert status == 200
            found += json.loads(body)['repositories']
            [link] = headers.get('Link', [None])
            query = link and re.match('<%s(.*)>; rel="next"$' % self._path, link)[1]
        return found


class PrefixedDistribution(Distribution):
    """Distribution whose addresses have a prefix."""

    ready_path = PREFIX + '/v2/'

    @property
    def url(self):
        return super().url + PREFIX


@pytest.fixture(scope='module')
def pair(dynamodb_local, tmp_path_factory):
    root = tmp_path_factory.mktemp('store')
    make_repositories(root, *NAMES)
    with Distribution(root, additions=ADDED) as registry, ServiceProcess(
            dynamodb_local.url, registry, STORAGE=str(root)) as service:
        yield Pair(registry, service)


@pytest.mark.parametrize('size', [7, 99, 100, COUNT - 1, COUNT, COUNT + 1, 1000, None])
def test_all_pages_are_those_of_the_registry(pair, size):
    assert pair.names('' if size is None else '?n=%d' % size) == NAMES


def test_the_prefix_and_the_headers_of_the_registry_are_those_of_the_catalog(
        dynamodb_local, tmp_path):
    make_repositories(tmp_path, *NAMES)
    additions = {'http': dict(ADDED['http'], prefix=PREFIX + '/'), 'catalog': {'maxentries': 2000}}
    with PrefixedDistribution(tmp_path, additions=additions) as registry, ServiceProcess(
            dynamodb_local.url, registry, CATALOG_LIMIT='2000') as service:
        prefixed = Pair(registry, service, prefix=PREFIX)
        assert prefixed.names('?n=70') == prefixed.names('?n=1500') == NAMES
        for query, method in (('?n=2001', 'GET'), ('', 'OPTIONS'), ('', 'POST'), ('', 'TRACE')):
            prefixed.same(query, method)
        assert service.get('/v2/_catalog?n=2').headers['Link'].startswith('</v2/_catalog?last=')


LASTS = ['', 'a', 'a/', 'a-', 'a/b', 'a/bb', 'a-b', 'a.b/c', 'a_b', 'a0', 'A', 'Z', 'zz', 'zzz/zzz',
         '0', '9/x', '/', '-', '_', '~', 'é', '日本', 'a\0', 'a\0b', 'a\x01', 'a\x01b', 'a\x02',
         'a b', 'a&b', 'a+b', '%', '"', '\\', '<script>', '\x7f', '\n', 'foo.bar', 'foo/', 'a//b',
         '../..', 'a' * 255, 'z' * 3000, '\U0001f433', '\ufffd']


@pytest.mark.parametrize('size', [1, 3, 1000])
def test_any_last_continues_where_the_registry_does(pair, size):
    for last in filter(pair.can_continue, LASTS + NAMES[::10]):
        pair.same('?n=%d&last=%s' % (size, quote(last)))


@settings(max_examples=50, deadline=None, derandomize=True, database=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=st.integers(0, 1002), last=st.text(max_size=9) | st.lists(st.sampled_from(
    COMPONENTS + ['/', '-', '.', '_', '%', '\0', '\x01', ' ', 'é']), max_size=6).map(''.join))
def test_random_pages_are_those_of_the_registry(pair, size, last):
    assume(pair.can_continue(last))
    pair.same('?last=%s&n=%d' % (quote(last, safe='/'), size))


BAD = ['n=0', 'n=-0', 'n=+0', 'n=-1', 'n=1001', 'n=1000000', 'n=9223372036854775807',
       'n=9223372036854775808', 'n=-9223372036854775809', 'n=99999999999999999999',
       'n=000000000000000000000000000005', 'n=abc', 'n=', 'n', 'N=2', 'n=+5', 'n=%2B5', 'n=%205',
       'n=5%20', 'n=05', 'n=5.0', 'n=1e1', 'n=0x5', 'n=1_0', 'n=%D9%A3', 'n=%C2%B2', 'n=%00',
       'n=5%00', 'n=%FF', 'n="5"', 'n=<b>', 'n=--5', 'n=%2B-5', 'n=2&n=3', 'n=&n=3', 'n=abc&n=3',
       'n=2&last=a&last=foo', 'n=2&last=&last=foo', 'n=2;last=a', 'n=2&last=a;b', 'n=2&last=foo%zz',
       'n=%zz&last=foo', 'n=2&last=foo%', 'n=2&last=foo%2', 'n=2&%6Cast=foo', '%6e=2',
       'n=2&last=%FF%FE', 'n=2&last=a%C3', '&&n=2&&', 'n=2&last', 'n=2&last=a=b', 'n=2=3', '=2',
       'n=2?last=a', 'unknown=1', 'n=2&unknown=%zz', 'last=foo&n=2', 'n%20=2', 'n[]=2', '?n=2',
       'n=2&last=a%2Fb%2fc', 'n=2&last=foo+bar', 'n=3&last=sp%20ace', 'n=1&last=%26']


def test_odd_parameters_are_read_as_the_registry_reads_them(pair):
    for query in BAD + ['n=1&last=a%00'] * (not pair.registry.is_version_3):  # version 3 fails
        pair.same('?' + query)


def test_other_methods_are_refused_and_headers_ignored_as_by_the_registry(pair):
    for method in 'HEAD POST PUT PATCH DELETE OPTIONS TRACE PROPFIND FOO'.split():
        pair.same('?n=2', method)
    for header in 'Accept Origin X-Forwarded-Host X-Forwarded-Proto If-None-Match Cookie'.split():
        pair.same('?n=2', **{header: 'text/html'})
    for header, value in (('Accept-Encoding', 'gzip'), ('Range', 'bytes=0-1'),
                          ('Authorization', 'Basic dTpw')):
        pair.same('?n=2', **{header: value})


def test_clients_that_may_not_read_get_the_answer_of_the_registry(dynamodb_local, tmp_path):
    users, right = write_htpasswd(tmp_path, 'reader', 'right'), basic('reader', 'right')
    root, realm = str(tmp_path / 'store'), dict(
        ADDED, auth={'htpasswd': {'realm': 'its own'}})
    make_repositories(root, 'a', 'b', 'c')
    with Distribution(root, users, realm) as registry, ServiceProcess(
            dynamodb_local.url, registry, STORAGE=root) as service:
        closed = Pair(registry, service)
        for value in (None, basic('reader', 'wrong'), basic('nobody', 'right'), basic('', ''),
                      basic('reader', ''), 'Basic', 'Basic !!!', 'Bearer x', right + 'x',
                      right.replace('Basic', 'basic'), right):
            for method, query in itertools.product(('GET', 'POST', 'OPTIONS'), ('', '?n=1001')):
                status = closed.same(query, method, **{'Authorization': value} if value else {})[0]
                assert (status == 401) is (value is None or value[6:] != right[6:])
