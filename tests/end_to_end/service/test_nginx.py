"""config/nginx.conf in a real nginx, between clients and two stand-ins that record the requests
that reach them; and the README's lines of nginx within Distribution's recipe."""
import contextlib
import http.client
import re
import socket
import time

import pytest

from dev.servers.nginx import Nginx
from dev.servers.process import LOOPBACK, free_port
from docker_registry_index.service.server import IDLE_SECONDS
from tests.docs import pages
from tests.end_to_end.service.clients import basic
from tests.end_to_end.service.nginx_recipe import (
    PASSWORD, USER, CompleteNginx, PagePageNginx, ReadmeNginx, ServicePageNginx)
from tests.end_to_end.service.place import ServiceProcess, needs
from tests.helpers.registry import FakeRegistry
from tests.helpers.scripted_server import ScriptedServer, page
from tests.helpers.waiting import Hanging, in_threads, wait_until

pytestmark = needs('nginx')
CONFIGURATION = pages.read('config/nginx.conf')
#: A body larger than the megabyte that nginx accepts by default, and the size of a part of it.
LARGE, PART = b'0123456789abcdef' * 2 ** 19, 2 ** 16
HALF = b'%b HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\n{'


@pytest.fixture(scope='module')
def servers():
    """Stand-ins that answer "registry" and "service"."""
    with ScriptedServer({'*': page('registry')}) as registry, ScriptedServer(
            {'*': page('service')}) as service:
        yield registry, service


@pytest.fixture(scope='module')
def nginx(servers):
    with Nginx(*[each.port for each in servers]) as server:
        yield server


@pytest.fixture
def registry(servers):
    del servers[0].requests[:], servers[0].bodies[:]
    return servers[0]


@pytest.fixture
def service(servers):
    del servers[1].requests[:], servers[1].bodies[:]
    return servers[1]


def ask(nginx, path, method='GET', body=None, headers=(), chunked=False):
    """Return the status and the text of an answer; the path is sent as it is."""
    with contextlib.closing(http.client.HTTPConnection(LOOPBACK, nginx.port, timeout=60)) as client:
        client.request(method, path, body, dict(headers), encode_chunked=chunked)
        answer = client.getresponse()
        return answer.status, answer.read().decode()


def connect(nginx):
    return socket.create_connection((LOOPBACK, nginx.port), timeout=10)


def test_search_and_catalog_go_to_the_service_and_every_other_path_to_the_registry(
        nginx, registry, service):
    of_service = ['/v1/_ping', '/v1/search?q=app&n=25', '/v1/search?q=a%2Fb%20c%26d', '/v1/',
                  '/v2/_catalog', '/v2/_catalog?n=5&last=a%2Fb', '/', '/?q=a%2Fb&page=2',
                  '/-/', '/-/r/a/b', '/-/r/events', '/-/static/page.css?v=1']
    assert {ask(nginx, path) for path in of_service} == {(200, 'service')}
    others = ['/v2/', '/v2', '/-x/', '/v2/-/x', '/v2/_catalog/', '/v2/_catalogue',
              '/v2/a/tags/list?n=1',
              '/v2/a/_catalog/manifests/latest', '/v2/v1/search/tags/list', '/v11/search',
              '/v2/a/blobs/uploads/5b2f?_state=a%2Fb%3D%3D', '/v2/events/tags/list',
              '/v2/metrics/manifests/1', '/v2/a%2Fb/tags/list', '/eventslist']
    assert {ask(nginx, path) for path in others} == {(200, 'registry')}
    assert service.paths == of_service and registry.paths == others


@pytest.mark.parametrize('name', ['events', 'metrics', 'healthz', 'readyz'])
def test_paths_that_are_not_for_clients_do_not_exist(nginx, registry, service, name):
    for form in ('/%s', '/%s?q=1', '/%s/', '//%s', '/./%s', '/v1/../%s', '/v1/%%2e%%2e/%s',
                 '/v2/../%s', '/v2/_catalog/../../%s', '/%s#/../v1/search',
                 '/-/../%s', '/-/%%2e%%2e/%s'):
        assert ask(nginx, form % name)[0] == ask(nginx, form % name, 'POST')[0] == 404, form
    assert not service.requests and not registry.requests


def test_the_service_gets_the_normalized_path(nginx, service):
    for path in (b'/events/../v1/search', b'/events/..%2fv1/search', b'/events%3f/../v1/search',
                 b'/events%23/../v1/search', b'/v1/x/../search', b'/%76%31/search',
                 b'//v1//search', b'/metrics/../v2/_catalog', b'/v2/./_catalog',
                 b'/v2/%5fcatalog', b'/-/%72/a%2Fb/../c'):
        with connect(nginx) as client:
            client.sendall(b'GET ' + path + b' HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n')
            assert client.recv(12) == b'HTTP/1.1 200'
    assert service.paths == ['/v1/search'] * 7 + ['/v2/_catalog'] * 3 + ['/-/r/a/c']


def test_the_registry_and_the_service_get_the_headers_they_need(nginx, registry, service):
    for path in '/v1/search', '/v2/_catalog', '/', '/-/r/a', '/v2/a/manifests/latest':
        ask(nginx, path, headers={
            'Authorization': 'Basic dTpw', 'Host': 'registry.example.com:8443', 'Accept': 'a/b',
            'X-Forwarded-Proto': 'gopher', 'Connection': 'close'})
    assert len(service.requests) == 4 and len(registry.requests) == 1
    for _, headers in service.requests + registry.requests:
        assert headers['Authorization'] == 'Basic dTpw' and headers['Accept'] == 'a/b'
        assert headers['Host'] == 'registry.example.com:8443' and headers['Connection'] is None
        assert headers.get_all('X-Forwarded-Proto') == ['http']
        assert headers['X-Forwarded-For'] == headers['X-Real-IP'] == LOOPBACK


def test_connections_to_the_service_and_the_registry_are_kept(nginx, servers):
    def ask_both(times):
        for path in ['/v1/_ping', '/v2/'] * times:
            ask(nginx, path)
        return [each.connections for each in servers]
    assert ask_both(1) == ask_both(20)


@pytest.mark.parametrize('method', ['PUT', 'PATCH', 'POST'])
@pytest.mark.parametrize('chunked', [False, True])
def test_a_large_push_arrives_whole(nginx, registry, method, chunked):
    headers = {'Transfer-Encoding': 'chunked'} if chunked else {'Content-Length': str(len(LARGE))}
    parts = (LARGE[start:start + PART] for start in range(0, len(LARGE), PART))
    assert ask(nginx, '/v2/a/blobs/uploads/1?digest=sha256:0', method, parts, headers,
               chunked) == (200, 'registry')
    [(sent, body)] = registry.bodies
    is_whole = body == LARGE
    assert sent == method and is_whole


def test_the_registry_sees_a_push_before_its_end(nginx, registry):
    with connect(nginx) as connection:
        connection.sendall(HALF % b'PUT /v2/a/blobs/uploads/1')
        wait_until(lambda: registry.requests, seconds=10)
        assert not registry.bodies
        connection.sendall(b'x' * 999)
        assert connection.recv(12) == b'HTTP/1.1 200'


def test_the_service_gets_only_complete_and_small_requests(nginx, registry, service):
    before = service.connections
    for line in b'POST /v1/search?q=a', b'GET /v2/_catalog', b'GET /', b'GET /-/r/a':
        for content in (b'', b'GET /v1/sea', line + b' HTTP/1.1\r\nHost: x\r\n', HALF % line):
            with connect(nginx) as connection:
                connection.sendall(content)
                time.sleep(0.05)
    assert service.connections == before and not service.requests
    for path in '/v1/search?q=a', '/v2/_catalog', '/', '/-/r/a':
        assert ask(nginx, path, 'POST', b'x' * 64 * 1024) == (200, 'service')
        assert ask(nginx, path, 'POST', b'x' * (64 * 1024 + 1))[0] == 413
    assert len(service.requests) == 4 and not registry.requests


@pytest.mark.parametrize('path', ['/v1/search?q=a', '/v2/_catalog', '/', '/-/r/a'])
def test_one_address_has_at_most_32_requests_under_way(nginx, registry, path):
    with contextlib.ExitStack() as opened:
        for _ in range(32):
            opened.enter_context(connect(nginx)).sendall(HALF % b'POST /v1/search')
        wait_until(lambda: ask(nginx, path)[0], 'a request is not refused', 10, expected=429)
        assert registry.paths == [], 'the registry does not answer in place of the service'
        assert ask(nginx, '/v2/a/tags/list') == (200, 'registry'), 'pushes and pulls have no limit'
    wait_until(lambda: ask(nginx, path), 'requests stay refused', 10, expected=(200, 'service'))


def test_if_the_service_or_the_registry_is_down_the_other_still_answers(registry, service):
    with Nginx(registry.port, free_port()) as nginx:
        assert ask(nginx, '/v2/_catalog?n=5&last=a%2Fb') == (200, 'registry')
        assert registry.paths == ['/v2/_catalog?n=5&last=a%2Fb']
        assert ask(nginx, '/v1/search?q=a')[0] == 502
    with Nginx(free_port(), service.port) as nginx:
        assert ask(nginx, '/v1/search?q=a') == (200, 'service') and ask(nginx, '/v2/')[0] == 502


def test_idle_connections_are_closed_before_the_service_does_and_each_address_occurs_once():
    [seconds] = re.findall(r'^ *keepalive_timeout ([0-9]+)s;', CONFIGURATION, re.MULTILINE)
    assert int(seconds) + 2 < IDLE_SECONDS
    addresses = re.findall(r'^(?!\s*#).*127\.0\.0\.1:([0-9]+)', CONFIGURATION, re.MULTILINE)
    assert sorted(addresses) == ['5000', '5080', '8080']


@pytest.mark.parametrize('nginx_class', [ReadmeNginx, ServicePageNginx, CompleteNginx])
def test_beside_the_recipe_nobody_without_a_password_reaches_the_service(
        registry, service, nginx_class):
    right, wrong = basic(USER, PASSWORD), basic(USER, 'wrong')
    with nginx_class(registry.port, service.port) as nginx:
        for path in ('/v1/search?q=a', '/v1/_ping', '/v1/', '/v2/_catalog?n=5', '/v2/',
                     '/V1/search', '//v1//search', '/v1/../v1/search', '/%76%31/search',
                     '/v2/%5fcatalog', '/v2/./_catalog', '/v2/_catalog/', '/v2/a/../_catalog'):
            for headers in {}, {'Authorization': wrong}, {'Authorization': 'Bearer x'}:
                assert ask(nginx, path, headers=headers)[0] in (401, 404), path
        assert not service.requests and not registry.requests
        headers = {'Authorization': right, 'X-Forwarded-For': 'forged'}
        for path in '/v1/search?q=a%2Fb&n=25', '/v1/_ping', '/v2/_catalog?n=5&last=a%2Fb':
            assert ask(nginx, path, headers=headers) == (200, 'service')
        # Addresses that are not for clients do not reach the service in any spelling.
        for path in '/v2/', '/v2/a/tags/list', '/v2/_catalog/':
            assert ask(nginx, path, headers=headers) == (200, 'registry')
        for path in ('/events', '/v1/../events', '/v1/%2e%2e/metrics', '/v2/_catalog/../../events'):
            assert ask(nginx, path, headers=headers)[0] == 404
    assert {headers['Authorization'] for _, headers in service.requests} == {right}
    assert {headers['X-Forwarded-For'] for _, headers in service.requests} == {
        'forged, ' + LOOPBACK}, 'a client chooses only the first'


@pytest.mark.parametrize('status, headers, expected', [
    (503, {}, (200, 'registry')), (503, {'Retry-After': '1'}, (200, 'registry')),
    (502, {}, (200, 'registry')), (429, {'Retry-After': '1'}, (429, 'busy')),
    (508, {}, (508, 'busy')), (401, {'WWW-Authenticate': 'Basic realm="a"'}, (401, 'busy'))])
def test_an_overloaded_service_is_not_replaced_by_the_catalog_of_the_registry(
        nginx, registry, service, monkeypatch, status, headers, expected):
    monkeypatch.setitem(service.answers, '*', page('busy', status, **{
        name.replace('-', '_'): value for name, value in headers.items()}))
    assert ask(nginx, '/v2/_catalog') == expected
    assert registry.paths == ['/v2/_catalog'] * (expected[1] == 'registry')
    assert ask(nginx, '/v1/search')[0] == status, 'the registry has no search'


@pytest.mark.parametrize('nginx_class', [PagePageNginx, CompleteNginx])
def test_beside_the_recipe_nobody_without_a_password_sees_the_search_page(
        registry, service, nginx_class):
    paths = ['/', '/?q=a%2Fb', '/-/r/a/b', '/-/static/page.css?v=1']
    with nginx_class(registry.port, service.port) as nginx:
        for path in paths + ['//', '/-/../', '/%2D/r/a', '/v2/../']:
            for headers in {}, {'Authorization': basic(USER, 'wrong')}:
                assert ask(nginx, path, headers=headers)[0] == 401, path
        assert not service.requests and not registry.requests
        headers = {'Authorization': basic(USER, PASSWORD), 'Host': 'registry.example.com'}
        for path in paths:
            assert ask(nginx, path, headers=headers) == (200, 'service')
        assert ask(nginx, '/-/../events', headers=headers)[0] == 404
    assert service.paths == paths and not registry.requests
    assert {headers['Host'] for _, headers in service.requests} == {'registry.example.com'}


def test_a_flood_of_wrong_passwords_does_not_reach_the_catalog_of_the_registry(dynamodb_local):
    with FakeRegistry({'team/web': None}) as registry, Hanging(page('', 401)) as hanging, (
            ServiceProcess(dynamodb_local.url, registry, THREADS='2')) as service, Nginx(
            registry.port, service.service.port) as nginx:
        registry.answers['/v2/'] = hanging
        first = in_threads([lambda: ask(nginx, '/v2/_catalog')])
        wait_until(lambda: hanging.calls, seconds=10)
        asked = registry.paths.count('/v2/_catalog')
        assert ask(nginx, '/v2/_catalog')[0] == ask(nginx, '/v1/search?q=')[0] == 429
        hanging.go_on.set()
        assert first()[0][0] == 401
        assert registry.paths.count('/v2/_catalog') == asked


def test_after_many_requests_a_client_is_slowed_down_and_not_refused(servers, service):
    with Nginx(*[each.port for each in servers]) as nginx:
        began = time.monotonic()
        for path in ['/v1/search?q=a', '/v2/_catalog', '/', '/-/r/a'] * 5:
            assert ask(nginx, path) == (200, 'service')
        at_once = time.monotonic() - began
        for path in ['/v1/search?q=a', '/v2/_catalog'] * 10:
            assert ask(nginx, path) == (200, 'service')
        assert at_once < 0.5 < time.monotonic() - began - at_once
