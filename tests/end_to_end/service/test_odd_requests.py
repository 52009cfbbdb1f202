"""Requests that no client library would send, byte by byte through a socket: each has an answer,
and none is an error of the service."""
import base64
import http.client
import json
import re
import socket
from urllib.parse import parse_qsl, quote_from_bytes

import bcrypt
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from docker_registry_index.service.web.auth import basic_credentials
from docker_registry_index.service.web.responses import first_of
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import FakeRegistry

MANY = settings(max_examples=150, deadline=None,
                suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
GUARDED = ('/v1/search', '/v2/_catalog')
ROUTES = GUARDED + ('/v1/_ping', '/events', '/healthz', '/readyz', '/metrics')
NAMES = {'team/web': None, 'team/a-b': None}


@pytest.fixture(scope='module')
def open_to_all(dynamodb_local):
    """A service where anybody may read."""
    with FakeRegistry(NAMES) as registry, Beside(dynamodb_local.url, registry) as place:
        yield place
    assert 'Traceback' not in place.service.log_text()


@pytest.fixture(scope='module')
def guarded(open_to_all, dynamodb_local, tmp_path_factory):
    """One with users: alice, whose password is right."""
    users = tmp_path_factory.mktemp('users') / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with Beside(dynamodb_local.url, open_to_all.registry, open_to_all.database,
                HTPASSWD=str(users)) as place:
        yield place
    assert 'Traceback' not in place.service.log_text()


def asked(place, target, *lines, method=b'GET'):
    """The (status, headers, body) that answers these bytes. lines: of the header."""
    with socket.create_connection(('127.0.0.1', place.service.port), timeout=30) as connection:
        connection.sendall(b'\r\n'.join((method + b' ' + target + b' HTTP/1.1', b'Host: registry',
                                         b'Connection: close') + lines) + b'\r\n\r\n')
        answer = http.client.HTTPResponse(connection, method=method.decode())
        answer.begin()
        return answer.status, answer.headers, answer.read()


def without(*bad):
    """Any bytes but these."""
    return st.lists(st.sampled_from(sorted(set(range(256)) - set(b''.join(bad)))),
                    max_size=25).map(bytes)


#: What stands in the first line, in a value of the header.
IN_ADDRESS, IN_VALUE = without(b'\0\r\n #'), without(b'\0\r\n')


@pytest.mark.parametrize('query, term', [
    (b'q=%FF', '\ufffd'), (b'q=we%E9b', 'we\ufffdb'), (b'%e9=1', ''), (b'%ff', ''),
    (b'q=web&%ff=%fe', 'web'), (b'q=w%C3%A9b', 'w\xe9b'),
    (b'q=%ed%a0%80', '\ufffd' * 3), (b'q=%e2%82', '\ufffd'), (b'q=a+b%2Bc', 'a b+c'),
    (b'q=\x01%00', '??'),
    (b'q=a;b', 'a;b'), (b'q=a%3Bb;n=0', 'a;b;n=0'), (b'q=100%', '100%'), (b'q=%zz', '%zz'),
    (b'q=a=b', 'a=b'), (b'q=&q=web', ''), (b'%71=web', 'web')])
def test_a_search_reads_any_bytes(open_to_all, query, term):
    status, _, body = asked(open_to_all, b'/v1/search?' + query)
    assert status == 200, body
    assert json.loads(body)['query'] == term
    assert ('\ufffd' in term) <= (json.loads(body)['num_results']
                                  == 0), 'no name contains what is no text'


@pytest.mark.parametrize('query', [b'q=\xff', b'q=w\xc3\xa9b', b'\xe9=1', b'q=%e2\x82'])
def test_an_address_that_is_no_ascii_is_no_http(open_to_all, query):
    for path in ROUTES:
        assert asked(open_to_all, path.encode() + b'?' + query)[:1] == (400,), path


def test_a_wrong_host_in_an_address_ends_the_connection_and_nothing_else(open_to_all):
    for target in (b'http://[x/v1/search', b'http://x]/healthz'):
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            asked(open_to_all, target)
    assert asked(open_to_all, b'http://x/healthz')[0] == 200


@pytest.mark.parametrize('query', [b'n=\xff', b'n=%FF', b'page=\xe9', b'page=%B2', b'n=1\xff'])
def test_a_number_that_is_no_text_is_no_number(open_to_all, query):
    assert asked(open_to_all, b'/v1/search?' + query)[0] == 400


@MANY
@given(query=IN_ADDRESS | IN_ADDRESS.map(lambda value: b'q=' + value))
@example(query=b'q=\xff')
@example(query=b'\xe9=1')
def test_no_bytes_of_a_query_are_an_error(open_to_all, query):
    assert asked(open_to_all, b'/v1/search?' + query)[0] in (200, 400)
    assert asked(open_to_all, b'/v2/_catalog?' + query)[0] in (200, 400)


@settings(max_examples=300, deadline=None)
@given(pairs=st.lists(st.tuples(st.sampled_from('qn'), st.text())), escaped=st.booleans())
def test_text_is_read_as_forms_are(pairs, escaped):
    query = '&'.join('%s=%s' % (name, quote_from_bytes(value.encode('utf-8', 'replace')) if escaped
                                else value) for name, value in pairs)
    content = query.encode('utf-8', 'replace')
    wanted = [value for name, value in parse_qsl(content.decode(), keep_blank_values=True)
              if name == 'q']
    assert first_of(content, b'q') == (wanted or [''])[0]


def basic(content):
    return b'Basic ' + base64.b64encode(content)


ODD = [b'', b' ', b'Basic', b'Basic ', b'basic =', b'Basic \xff', b'Basic \xc3\xa9',
       b'BASIC \x80\x81', b'Basic YWxpY2U6cmlnaHQ=\xff', b'\xe9', b'\xff \xff',
       b'Basic YWxpY2U6cmlnaHQ', b'Basic YWxpY2U6cmlnaHQ==', b'Basic !!!', b'Basic a',
       b'Basic ' + b'A' * 5000, basic(b'\xff:\xff'), basic(b'alice:right\xff'), basic(b'alice'),
       basic(b':'), basic(b'\0:\0'), b'Digest \xff', b'Digest username="\xff', b'Digest a=\xe9, b',
       b'Digest username*=utf-8\'\'%FF', b'Bearer \xe9', b'Digest =', b'Digest "',
       b'Negotiate ,,,===', b'Basic\tYWxpY2U6cmlnaHQ=', b'"', b'=', b'Basic ,',
       b'Basic YWxpY2U6cmlnaHQ=, Basic YWxpY2U6cmlnaHQ=']


def check_who_may_read(open_to_all, guarded, value):
    """That the value of the header Authorization is refused where there are users, and ignored
    elsewhere."""
    if re.search(b'[\x01-\x08\x0b-\x1f\x7f]', value):
        # No HTTP: the server answers for both.
        return [check_is_refused(place, path, value) for place in (open_to_all, guarded)
                for path in ROUTES]
    for path in GUARDED:
        assert asked(open_to_all, path.encode(), b'Authorization: ' + value)[0] == 200, path
        status, headers, body = asked(guarded, path.encode(), b'Authorization: ' + value)
        assert status == 401 and headers['WWW-Authenticate'].startswith('Basic realm="'), path
        json.loads(body)
    assert asked(open_to_all, b'/events', b'Authorization: ' + value, b'Content-Length: 0',
                 method=b'POST')[0] == 401


def check_is_refused(place, path, value):
    status, headers, _ = asked(place, path.encode(), b'Authorization: ' + value)
    assert status == 400 and headers['Content-Type'].startswith('text/plain'), path


@pytest.mark.parametrize('value', ODD)
def test_odd_credentials_are_none(open_to_all, guarded, value):
    check_who_may_read(open_to_all, guarded, value)


@settings(MANY, max_examples=60)
@given(value=st.tuples(st.sampled_from([b'', b'Basic ', b'basic ', b'Bearer ', b'Digest ',
                                        b'Digest a=']), IN_VALUE).map(b''.join)
       | st.binary().map(basic))
def test_any_bytes_of_credentials_are_none(open_to_all, guarded, value):
    check_who_may_read(open_to_all, guarded, value)


def test_right_credentials_count_beside_them(guarded):
    for value in (basic(b'alice:right'), b'bAsIc  ' + base64.b64encode(b'alice:right') + b' '):
        for path in GUARDED:
            assert asked(guarded, path.encode(), b'Authorization: ' + value)[0] == 200


@settings(max_examples=300, deadline=None)
@given(st.binary() | st.binary().map(basic) | st.binary().map(lambda value: b'Basic ' + value))
def test_the_header_gives_two_texts_or_nothing(value):
    user, password = basic_credentials(value.decode('latin-1'))
    assert (user is None and password is None) or isinstance(user + password, str)


@pytest.mark.parametrize('line', [b'SCRIPT_NAME: /other', b'Script_Name: /v1', b'SCRIPT_NAME: \xff',
                                  b'PATH_INFO: /metrics', b'PATH_INFO: \xff', b'REMOTE_USER: alice',
                                  b'SCRIPT-NAME: /other', b'X-Forwarded-Proto: https',
                                  b'X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off',
                                  b'X-Forwarded-Prefix: /other', b'X-Forwarded-For: \xff',
                                  b'X-Script-Name: /x', b'Forwarded: for=\xff',
                                  b'Forwarded: for=192.0.2.1;host=other;proto=https',
                                  b'X-Forwarded-Host: other', b'X-Forwarded-Port: 443',
                                  b'X-Forwarded-By: 192.0.2.1'])
def test_no_header_changes_where_the_service_is_mounted(open_to_all, line):
    for path in ROUTES:
        plain, changed = [asked(open_to_all, path.encode(), *lines) for lines in ((), (line,))]
        assert changed[0] == plain[0], path
        assert path == '/metrics' or changed[2] == plain[2], path


@pytest.mark.parametrize('line, status', [(b'X: a\0b', 400), (b'\xff: x', 400), (b'no colon', 400),
                                          (b'X: ' + b'a' * 66000, 431),
                                          (b'Transfer-Encoding: foo', 501)])
def test_what_is_no_http_is_answered_by_the_server(open_to_all, line, status):
    for path in ROUTES:
        changed, headers, _ = asked(open_to_all, path.encode(), line)
        assert (changed, headers['Content-Type']) == (status, 'text/plain; charset=utf-8'), path


TOKEN = st.text(alphabet='abcdefghijklmnopqrstuvwxyzABC-_!#$%&*', min_size=1,
                max_size=12).map(str.encode)
FIELD = st.sampled_from([b'Host', b'Accept', b'Accept-Encoding', b'Content-Type', b'Cookie',
                         b'Range', b'If-None-Match', b'If-Modified-Since', b'User-Agent', b'Origin',
                         b'SCRIPT_NAME', b'PATH_INFO', b'X-Forwarded-Host', b'X-Forwarded-Proto',
                         b'X-HTTP-Method-Override', b'Authorization', b'Date', b'Referer'])
BEGINNING = st.sampled_from([b'//', b'/v1//', b'/v2/', b'http://x', b'*', b'/%', b'/\xff', b'/..',
                             b'/v1/search/', b'/v1/%73earch?', b'/'])


@MANY
@given(method=st.sampled_from([b'GET', b'POST', b'HEAD', b'OPTIONS', b'PUT', b'DELETE', b'PATCH',
                               b'TRACE', b'FOO']),
       target=st.sampled_from([path.encode() for path in ROUTES])
       | st.tuples(BEGINNING, IN_ADDRESS).map(b''.join),
       lines=st.lists(st.tuples(FIELD | TOKEN, IN_VALUE).map(b': '.join), max_size=4))
def test_no_request_is_an_error_of_the_service(open_to_all, method, target, lines):
    assert asked(open_to_all, target, *lines, method=method)[0] < 500
