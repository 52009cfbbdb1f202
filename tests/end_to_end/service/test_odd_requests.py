"""Requests that no client library would send, byte by byte through a socket: each is answered, and
none is an error of the service."""
import http.client
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.end_to_end.service.beside import Beside
from tests.helpers.waiting import wait_until

ROUTES = ('/v1/search', '/v2/_catalog', '/v1/_ping', '/events', '/healthz', '/readyz', '/metrics')


@pytest.fixture(scope='module')
def place(dynamodb_local):
    with Beside(dynamodb_local.url) as made:
        yield made


def asked(place, target, *lines, method=b'GET'):
    """Return the (status, headers, body) that answers a request made of bytes.

    :param lines: of its header."""
    with socket.create_connection(('127.0.0.1', place.service.port), timeout=30) as connection:
        connection.sendall(b'\r\n'.join((method + b' ' + target + b' HTTP/1.1', b'Host: registry',
                                         b'Connection: close') + lines) + b'\r\n\r\n')
        answer = http.client.HTTPResponse(connection, method=method.decode('latin-1'))
        answer.begin()
        return answer.status, answer.headers, answer.read()


def test_a_wrong_host_in_an_address_ends_the_connection_and_nothing_else(place):
    for target in (b'http://[x/v1/search', b'http://x]/healthz'):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            asked(place, target)
    assert asked(place, b'http://x/healthz')[0] == 200


@pytest.mark.parametrize('line', [b'SCRIPT_NAME: /other', b'Script_Name: /v1', b'SCRIPT_NAME: \xff',
                                  b'PATH_INFO: /metrics', b'PATH_INFO: \xff', b'REMOTE_USER: alice',
                                  b'SCRIPT-NAME: /other', b'X-Forwarded-Proto: https',
                                  b'X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off',
                                  b'X-Forwarded-Prefix: /other', b'X-Forwarded-For: \xff',
                                  b'X-Script-Name: /x', b'Forwarded: for=\xff',
                                  b'Forwarded: for=192.0.2.1;host=other;proto=https',
                                  b'X-Forwarded-Host: other', b'X-Forwarded-Port: 443',
                                  b'X-Forwarded-By: 192.0.2.1'])
def test_no_header_changes_where_the_service_is_mounted(place, line):
    for path in ROUTES:
        plain, changed = [asked(place, path.encode(), *lines) for lines in ((), (line,))]
        assert changed[0] == plain[0], path
        assert path == '/metrics' or changed[2] == plain[2], path


@pytest.mark.parametrize('query, line, status', [
    (b'', b'X: a\0b', 400), (b'', b'\xff: x', 400), (b'', b'no colon', 400),
    (b'', b'X: ' + b'a' * 66000, 431), (b'', b'Authorization: Basic \x01', 400),
    (b'', b'Transfer-Encoding: foo', 501), (b'?q=\xff', b'X: x', 400),
    (b'?q=w\xc3\xa9b', b'X: x', 400), (b'?\xe9=1', b'X: x', 400)])
def test_the_server_answers_what_is_not_http(place, query, line, status):
    for path in ROUTES:
        changed, headers, _ = asked(place, path.encode() + query, line)
        assert (changed, headers['Content-Type']) == (status, 'text/plain; charset=utf-8'), path


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=st.sampled_from(b'GET POST HEAD OPTIONS PUT DELETE PATCH TRACE FOO'.split()),
       target=st.sampled_from([path.encode() for path in ROUTES] + [b'http://x', b'*', b'//']),
       lines=st.lists(st.tuples(st.sampled_from([
           b'Host', b'Accept', b'Cookie', b'Range', b'If-Modified-Since', b'SCRIPT_NAME', b'X',
           b'X-Forwarded-Host', b'Authorization', b'X-HTTP-Method-Override']), st.binary(
               max_size=25)).map(b': '.join).map(lambda line: re.sub(b'[\r\n]', b'', line)),
           max_size=4))
def test_no_bytes_in_a_header_are_an_error_of_the_service(place, method, target, lines):
    assert asked(place, target, *lines, method=method)[0] < 500


def test_nothing_that_a_client_sends_steers_a_terminal_or_forges_a_line(place):
    for head in (b'GET /v1/search?q=%1b%0aforged HTTP/1.1', b'GET /\x1b[31m HTTP/1.1',
                 b'GET /a\x85b\xe9\x08\x7f HTTP/1.1', b'G\x1bT / HTTP/1.1', b'G\x9bT / HTTP/1.1',
                 b'GET / HTTP/1.1\x1b', b'GET / HTTP/1.1\r\nHo\x1bst: x', b'\x1b]0;title\x07',
                 b'GET / HTTP/1.1\r\nHost: \x1b[31mx\x9b', b'GET / HTTP/1.1\nforged',
                 b'POST / HTTP/1.1\r\nContent-Length: \x1b1', b'GET /%0aforged/%1b%22 HTTP/1.1'):
        with socket.create_connection(('127.0.0.1', place.service.port), timeout=5) as connection:
            connection.sendall(head + b'\r\n\r\n')
            assert connection.recv(1000).startswith(b'HTTP/1.'), head
    for line in r'"GET /\x1b[31m HTTP/1.1" 404', '"GET /%0aforged/%1b%22 HTTP/1.1" 404':
        wait_until(lambda: line in place.service.log_text(), line)
    log = place.service.log_text()
    assert re.findall('.*[\x00-\x09\x0b-\x1f\x7f-\uffff].*|^forged', log, re.MULTILINE) == []
    assert 'Traceback' not in log
