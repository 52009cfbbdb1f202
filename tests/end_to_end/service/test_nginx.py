"""config/nginx.conf in a real nginx, between clients and two stand-ins that record the requests
that reach them."""
import contextlib
import hashlib
import http.client
import os
import re
import socket
import time

import pytest

from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK, ROOT, ServerError, free_port
from docker_registry_index.service.server import IDLE_SECONDS
from tests.end_to_end.service.programs import needs
from tests.end_to_end.service.stand_in import StandIn
from tests.helpers.waiting import wait_until

BIG = 8 * 1024 * 1024
CHUNK = b'0123456789abcdef' * 4096

pytestmark = needs('nginx')


@pytest.fixture(scope='module')
def upstreams():
    pair = StandIn('registry'), StandIn('service')
    yield pair
    for each in pair:
        each.close()


@pytest.fixture(scope='module')
def nginx(upstreams):
    with Nginx(*[each.port for each in upstreams]) as server:
        yield server


@pytest.fixture
def seen(upstreams):
    for each in upstreams:
        del each.seen[:]
    return dict((each.name, each.seen) for each in upstreams)


def ask(nginx, path, method='GET', body=None, headers=(), chunked=False):
    """Return the status and the text of an answer; the path is sent as it is."""
    with contextlib.closing(http.client.HTTPConnection(LOOPBACK, nginx.port, timeout=60)) as client:
        client.request(method, path, body, dict(headers), encode_chunked=chunked)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def connect(nginx):
    return socket.create_connection((LOOPBACK, nginx.port), timeout=10)


def configuration():
    with open(os.path.join(ROOT, 'config', 'nginx.conf')) as source:
        return source.read()


@pytest.mark.parametrize('path', [
    '/v1/_ping', '/v1/search?q=app&n=25', '/v1/search?q=a%2Fb%20c%26d', '/v1/', '/v2/_catalog',
    '/v2/_catalog?n=5&last=a%2Fb'])
def test_search_and_catalog_go_to_the_service(nginx, seen, path):
    assert ask(nginx, path) == (200, 'service')
    assert [request[1] for request in seen['service']] == [path]
    assert not seen['registry']


@pytest.mark.parametrize('path', [
    '/v2/', '/v2', '/', '/v2/_catalog/', '/v2/_catalogue', '/v2/a/_catalog/manifests/latest',
    '/v2/v1/search/tags/list', '/v11/search', '/v2/a/b/tags/list?n=1',
    '/v2/a/blobs/uploads/5b2f?_state=a%2Fb%3D%3D', '/v2/events/tags/list',
    '/v2/metrics/manifests/1', '/v2/a%2Fb/tags/list', '/eventslist'])
def test_every_other_path_goes_to_the_registry_unchanged(nginx, seen, path):
    assert ask(nginx, path) == (200, 'registry')
    assert [request[1] for request in seen['registry']] == [path]
    assert not seen['service']


@pytest.mark.parametrize('name', ['events', 'metrics', 'healthz', 'readyz'])
@pytest.mark.parametrize('form', [
    '/%s', '/%s?q=1', '/%s/', '//%s', '/./%s', '/v1/../%s', '/v1/%%2e%%2e/%s', '/v2/../%s',
    '/v2/_catalog/../../%s', '/%s#/../v1/search'])
@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_paths_that_are_not_for_clients_do_not_exist(nginx, seen, name, form, method):
    status, text = ask(nginx, form % name, method)
    assert status == 404
    assert text not in ('registry', 'service')
    assert not seen['service'] and not seen['registry']


@pytest.mark.parametrize('path', [
    '/events/../v1/search', '/events/..%2fv1/search', '/events%3f/../v1/search',
    '/events%23/../v1/search', '/v1/x/../search', '/metrics/../v2/_catalog', '/v2/./_catalog',
    '/v2/%5fcatalog', '/%76%31/search', '//v1//search'])
def test_the_service_gets_the_normalized_path(nginx, seen, path):
    with connect(nginx) as client:
        client.sendall(b'GET %b HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n'
                       % path.encode())
        assert int(client.makefile('rb').readline().split()[1]) == 200
    assert [request[1] for request in seen['service']] in (['/v1/search'], ['/v2/_catalog'])


@pytest.mark.parametrize('path', ['/v1/search', '/v2/_catalog', '/v2/a/manifests/latest'])
def test_the_registry_and_the_service_get_the_headers_they_need(nginx, seen, path):
    ask(nginx, path, headers={'Authorization': 'Basic dTpw', 'Host': 'registry.example.com:8443',
                              'X-Forwarded-Proto': 'gopher', 'Accept': 'application/x',
                              'Connection': 'close'})
    (_, _, headers, _), = seen['service'] + seen['registry']
    assert headers['Authorization'] == 'Basic dTpw'
    assert headers['Host'] == 'registry.example.com:8443'
    assert headers.get_all('X-Forwarded-Proto') == ['http']
    assert headers['X-Forwarded-For'] == headers['X-Real-IP'] == LOOPBACK
    assert headers['Accept'] == 'application/x'
    assert headers['Connection'] is None


def test_connections_to_the_service_and_the_registry_are_kept(nginx, upstreams):
    for path in ('/v1/_ping', '/v2/'):
        ask(nginx, path)
    before = [each.connections for each in upstreams]
    for _ in range(20):
        for path in ('/v1/_ping', '/v2/'):
            ask(nginx, path)
    assert [each.connections for each in upstreams] == before


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'POST'])
@pytest.mark.parametrize('headers', [{'Content-Length': str(BIG)},
                                     {'Transfer-Encoding': 'chunked'}], ids=['length', 'chunked'])
def test_a_large_push_arrives_whole(nginx, seen, method, headers):
    """By default, nginx refuses bodies of more than a megabyte."""
    parts = (CHUNK for _ in range(BIG // len(CHUNK)))
    assert ask(nginx, '/v2/a/blobs/uploads/1?digest=sha256:0', method, parts, headers,
               'Transfer-Encoding' in headers) == (200, 'registry')
    (got, _, _, digest), = seen['registry']
    assert got == method
    assert digest == hashlib.sha256(CHUNK * (BIG // len(CHUNK))).hexdigest()


def test_the_registry_sees_a_push_before_its_end(nginx, upstreams, seen):
    registry = upstreams[0]
    registry.first_byte.clear()
    with connect(nginx) as connection:
        connection.sendall(b'PUT /v2/a/blobs/uploads/1 HTTP/1.1\r\nHost: here\r\nContent-Length: '
                           b'%d\r\n\r\n' % (2 * len(CHUNK)) + CHUNK)
        assert registry.first_byte.wait(10)
        assert not seen['registry']
        connection.sendall(CHUNK)
        assert b'200' in connection.makefile('rb').readline()


HALF = b'%b HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n{'


@pytest.mark.parametrize('line', [b'POST /v1/search?q=a', b'GET /v2/_catalog'])
def test_the_service_gets_only_complete_requests(nginx, upstreams, seen, line):
    before = upstreams[1].connections
    for content in (b'', b'GET /v1/sea', line + b' HTTP/1.1\r\nHost: x\r\n', HALF % line):
        with connect(nginx) as connection:
            connection.sendall(content)
            time.sleep(0.05)
    assert upstreams[1].connections == before and not seen['service']


@pytest.mark.parametrize('path', ['/v1/search?q=a', '/v2/_catalog'])
def test_a_body_for_the_service_has_at_most_64_kilobytes(nginx, seen, path):
    assert ask(nginx, path, 'POST', b'x' * 64 * 1024) == (200, 'service')
    assert ask(nginx, path, 'POST', b'x' * (64 * 1024 + 1))[0] == 413
    assert len(seen['service']) == 1 and not seen['registry']


@pytest.mark.parametrize('path', ['/v1/search?q=a', '/v2/_catalog'])
def test_one_address_has_at_most_32_requests_under_way(nginx, seen, path):
    with contextlib.ExitStack() as opened:
        for _ in range(32):
            opened.enter_context(connect(nginx)).sendall(HALF % b'POST /v1/search')
        wait_until(lambda: ask(nginx, path)[0], 'a request is not refused', 10, expected=429)
        del seen['registry'][:]
        assert ask(nginx, '/v2/a/tags/list') == (200, 'registry'), 'pushes and pulls have no limit'
    wait_until(lambda: ask(nginx, path), 'requests stay refused', 10, expected=(200, 'service'))
    assert [request[1] for request in seen['registry']] == [
        '/v2/a/tags/list'], 'the registry does not have to answer in place of the service'


def test_nginx_closes_idle_connections_before_the_service_does():
    seconds = int(re.search(r'^ *keepalive_timeout ([0-9]+)s;', configuration(), re.MULTILINE)[1])
    assert seconds + 2 < IDLE_SECONDS


def test_without_the_service_the_registry_answers_the_catalog_and_search_is_502(upstreams, seen):
    with Nginx(upstreams[0].port, free_port()) as nginx:
        assert ask(nginx, '/v2/_catalog?n=5&last=a%2Fb') == (200, 'registry')
        assert seen['registry'][0][1] == '/v2/_catalog?n=5&last=a%2Fb'
        assert ask(nginx, '/v1/search?q=a')[0] == 502
        assert ask(nginx, '/v2/a/tags/list') == (200, 'registry')


def test_without_the_registry_searches_continue(upstreams):
    with Nginx(free_port(), upstreams[1].port) as nginx:
        assert ask(nginx, '/v1/search?q=a') == (200, 'service')
        assert ask(nginx, '/v2/')[0] == 502


def test_the_three_addresses_to_change_occur_once():
    addresses = re.findall(r'^(?!\s*#).*127\.0\.0\.1:([0-9]+)', configuration(), re.MULTILINE)
    assert sorted(addresses) == ['5000', '5080', '8080']


def test_a_taken_port_is_an_error_that_leaves_nothing():
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        server = Nginx(free_port(), free_port(), port=holder.getsockname()[1])
        with pytest.raises(ServerError, match='is taken'):
            server.start()
    assert server.folder is None
