"""Requests that no client library would send, byte by byte through a socket: each is answered, and
none is an error of the service."""
import http.client
import re
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROUTES = ('/v1/search', '/v2/_catalog', '/v1/_ping', '/events', '/healthz', '/readyz', '/metrics')


def asked(place, target, *lines, method=b'GET'):
    """Return the (status, headers, body) that answers a request made of bytes.

    :param lines: of its header."""
    with socket.create_connection(('127.0.0.1', place.service.port), timeout=30) as connection:
        connection.sendall(b'\r\n'.join((method + b' ' + target + b' HTTP/1.1', b'Host: registry',
                                         b'Connection: close') + lines) + b'\r\n\r\n')
        answer = http.client.HTTPResponse(connection, method=method.decode())
        answer.begin()
        return answer.status, answer.headers, answer.read()


def without(*bad):
    """Return a strategy of any bytes except these."""
    return st.lists(st.sampled_from(sorted(set(range(256)) - set(b''.join(bad)))),
                    max_size=25).map(bytes)


@pytest.mark.parametrize('query', [b'q=\xff', b'q=w\xc3\xa9b', b'\xe9=1', b'q=%e2\x82'])
def test_an_address_must_be_ascii(beside, query):
    for path in ROUTES:
        assert asked(beside, path.encode() + b'?' + query)[0] == 400, path


def test_a_wrong_host_in_an_address_ends_the_connection_and_nothing_else(beside):
    for target in (b'http://[x/v1/search', b'http://x]/healthz'):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            asked(beside, target)
    assert asked(beside, b'http://x/healthz')[0] == 200


@pytest.mark.parametrize('line', [b'SCRIPT_NAME: /other', b'Script_Name: /v1', b'SCRIPT_NAME: \xff',
                                  b'PATH_INFO: /metrics', b'PATH_INFO: \xff', b'REMOTE_USER: alice',
                                  b'SCRIPT-NAME: /other', b'X-Forwarded-Proto: https',
                                  b'X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off',
                                  b'X-Forwarded-Prefix: /other', b'X-Forwarded-For: \xff',
                                  b'X-Script-Name: /x', b'Forwarded: for=\xff',
                                  b'Forwarded: for=192.0.2.1;host=other;proto=https',
                                  b'X-Forwarded-Host: other', b'X-Forwarded-Port: 443',
                                  b'X-Forwarded-By: 192.0.2.1'])
def test_no_header_changes_where_the_service_is_mounted(beside, line):
    for path in ROUTES:
        plain, changed = [asked(beside, path.encode(), *lines) for lines in ((), (line,))]
        assert changed[0] == plain[0], path
        assert path == '/metrics' or changed[2] == plain[2], path


@pytest.mark.parametrize('line, status', [
    (b'X: a\0b', 400), (b'\xff: x', 400), (b'no colon', 400), (b'X: ' + b'a' * 66000, 431),
    (b'Authorization: Basic \x01', 400), (b'Transfer-Encoding: foo', 501)])
def test_the_server_answers_what_is_not_http(beside, line, status):
    for path in ROUTES:
        changed, headers, _ = asked(beside, path.encode(), line)
        assert (changed, headers['Content-Type']) == (status, 'text/plain; charset=utf-8'), path


TOKEN = st.text(alphabet='abcdefghijklmnopqrstuvwxyzABC-_!#$%&*', min_size=1,
                max_size=12).map(str.encode)
FIELD = st.sampled_from([b'Host', b'Accept', b'Accept-Encoding', b'Content-Type', b'Cookie',
                         b'Range', b'If-None-Match', b'If-Modified-Since', b'User-Agent', b'Origin',
                         b'SCRIPT_NAME', b'PATH_INFO', b'X-Forwarded-Host', b'X-Forwarded-Proto',
                         b'X-HTTP-Method-Override', b'Authorization', b'Date', b'Referer'])
BEGINNING = st.sampled_from([b'//', b'/v1//', b'/v2/', b'http://x', b'*', b'/%', b'/\xff', b'/..',
                             b'/v1/search/', b'/v1/%73earch?', b'/'])


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=st.sampled_from([b'GET', b'POST', b'HEAD', b'OPTIONS', b'PUT', b'DELETE', b'PATCH',
                               b'TRACE', b'FOO']),
       target=st.sampled_from([path.encode() for path in ROUTES])
       | st.tuples(BEGINNING, without(b'\0\r\n #')).map(b''.join),
       lines=st.lists(st.tuples(FIELD | TOKEN, without(b'\0\r\n')).map(b': '.join), max_size=4))
def test_no_request_is_an_error_of_the_service(beside, method, target, lines):
    assert asked(beside, target, *lines, method=method)[0] < 500
    assert not re.search('Traceback', beside.service.log_text()[-2000:])
