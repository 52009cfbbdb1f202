"""Connections that send nothing, too little, too much, too slowly or what no client library would
send: others are answered meanwhile, no thread is held for ever, and no bytes are an error."""
import concurrent.futures
import contextlib
import http.client
import json
import re
import resource
import socket
import threading
import time

import pytest

from dev.servers.process import free_port
from docker_registry_index.service import server
from docker_registry_index.service.server import CONNECTIONS, IDLE_SECONDS
from docker_registry_index.service.web.notifications import LARGEST
from tests.end_to_end.service.place import ServiceProcess
from tests.helpers.registry import pushed
from tests.helpers.service import NOTIFICATION, SECRET
from tests.helpers.waiting import wait_until

THREADS = 4
HEALTH = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
HALF_HEAD = b'GET /healthz HTTP/1.1\r\nHo'
MEGABYTE = 1024 * 1024


@pytest.fixture(scope='module')
def place(dynamodb_local):
    with ServiceProcess(dynamodb_local.url, THREADS=str(THREADS)) as made:
        yield made
    assert 'Traceback' not in made.service.log_text(), made.service.log_text()[-3000:]


@pytest.fixture
def connect(place):
    """Return a function that opens a connection; all are closed after the test."""
    with connections(place.service.port) as opened:
        yield opened


@contextlib.contextmanager
def connections(port):
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(
            socket.create_connection(('127.0.0.1', port), timeout=IDLE_SECONDS + 20))


def answer_of(connection):
    """Return one answer with its JSON body."""
    received = b''
    while b'}\n' not in received:
        part = connection.recv(1000)
        assert part, received
        received += part
    return received


def seconds_of_health(port):
    """Return the seconds until a connection is accepted and its request answered."""
    began = time.monotonic()
    with connections(port) as connect:
        connection = connect()
        connection.sendall(HEALTH)
        assert answer_of(connection).startswith(b'HTTP/1.1 200 ')
    return time.monotonic() - began


def is_closed(connection):
    """Wait until the server sends something or closes; return True if it closes."""
    try:
        return connection.recv(1000) == b''
    except ConnectionError:
        return True


def head_of(length, secret=SECRET, path='/events'):
    """Return the head of a notification with a body of this length; None for a chunked one."""
    framing = 'Transfer-Encoding: chunked' if length is None else 'Content-Length: %d' % length
    return ('POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s\r\n'
            '\r\n' % (path, secret, NOTIFICATION, framing)).encode()


def chunked(*parts):
    return b''.join(b'%x\r\n%b\r\n' % (len(part), part) for part in parts) + b'0\r\n\r\n'


OTHER_CHUNKED = head_of(None).replace(NOTIFICATION.encode(), b'text/plain')
#: What connections send that begin a body and do not end it.
HALF_BODIED = [head_of(1000) + b'{', head_of(LARGEST, 'wrong') + b'x' * 5000,
               b'POST /nowhere HTTP/1.1\r\nContent-Length: 9\r\n\r\n',
               b'POST /events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
               b'PUT /v1/search?q=x HTTP/1.1\r\nContent-Length: 9\r\n\r\n']


def test_hundreds_of_silent_and_slow_connections_delay_no_other_client(place, connect):
    def cpu():
        return place.metrics()['process_cpu_seconds_total', '']

    began, opened = time.monotonic(), [connect() for _ in range(900)]
    for number, connection in enumerate(opened[300:]):
        connection.sendall(HALF_HEAD[:1 + number % len(HALF_HEAD)] if number < 300
                           else HALF_BODIED[number % len(HALF_BODIED)])
    seconds, slow = [], [connect() for _ in range(4 * THREADS)]
    for connection, head in zip(slow, [head_of(1000, 'wrong'), HALF_HEAD] * 2 * THREADS):
        connection.sendall(head)
    seconds_of_health(place.service.port)  # then, all are accepted
    for _ in range(20):
        for connection in slow:
            connection.sendall(b'x')
        seconds.append(seconds_of_health(place.service.port))
    assert sorted(seconds)[10] < 0.5 and max(seconds) < 2
    before = cpu()
    time.sleep(1)
    assert cpu() - before < 0.5
    assert time.monotonic() - began < IDLE_SECONDS, 'they are all open'
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert place.metrics()['process_max_fds', ''] >= min(hard, 2 * CONNECTIONS + 200)


def test_a_request_in_parts_is_answered_and_its_connection_kept(place, connect):
    connection, body = connect(), b'{"events": []}'
    head = head_of(len(body))
    for parts in [[HEALTH[:3], HEALTH[3:-3], HEALTH[-3:-1], HEALTH[-1:]], [head + body],
                  [head, body], [head + body[:5], body[5:]],
                  [head_of(None) + chunked(body[:5], body[5:])], [HEALTH]]:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 200 ')
        assert b'Connection: close' not in answer and b'Server:' not in answer


def test_the_rest_of_a_body_is_no_request(place, connect):
    for length in 400, None:
        connection = connect()
        connection.sendall(head_of(length, 'wrong') + HEALTH.replace(b'healthz', b'forged') * 3)
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1000)
        assert '/forged' not in place.service.log_text()


def test_a_refusal_arrives_while_the_body_is_still_being_sent(place):
    for size in [900 * 1000] * 10 + [LARGEST] * 2:
        assert place.post(b' ' * size, Authorization='Bearer wrong').status_code == 401


def test_bodies_without_the_secret_are_kept_out_of_memory(place, connect):
    def memory():
        return place.metrics()['process_resident_memory_bytes', '']

    before = memory()
    for _ in range(20):
        connect().sendall(head_of(LARGEST, 'wrong') + b'x' * 8 * MEGABYTE)
    assert memory() - before < 32 * MEGABYTE and seconds_of_health(place.service.port) < 2


@pytest.mark.parametrize('content, status', [
    (head_of(size, secret, path), 413) for size in (LARGEST + 1, 99999999999999)
    for secret in ('wrong', SECRET) for path in ('/events', '/v1/search')] + [
    (OTHER_CHUNKED + chunked(*[b' ' * 65536] * 17), 400), (OTHER_CHUNKED + b'zz\r\n', 400)])
def test_a_body_that_is_too_large_or_malformed_is_refused_before_it_ends(connect, content, status):
    began, connection = time.monotonic(), connect()
    connection.sendall(content)
    answer = connection.recv(1000)
    assert answer.startswith(b'HTTP/1.1 %d ' % status) and time.monotonic() - began < 3
    # A body that has arrived whole is no reason to close.
    assert b'Connection: close' in answer or content.endswith(chunked())


def test_a_registry_may_send_32_megabytes(place):
    place.registry.repositories['large/body'] = None
    event = pushed('large/body', url='')
    event['target']['url'] = 'x' * (LARGEST - len(json.dumps({'events': [event]})))
    body = json.dumps({'events': [event]}).encode()
    assert len(body) == LARGEST and place.post(body).status_code == 200
    assert place.found('large') == ['large/body']


ROUTES = ('/v1/search', '/v2/_catalog', '/v1/_ping', '/events', '/healthz', '/readyz', '/metrics')


def asked(place, target, *lines):
    """Return (status, headers, body) of the answer to a request with these lines in its header."""
    with connections(place.service.port) as connect:
        connection = connect()
        connection.sendall(b'\r\n'.join((b'GET ' + target + b' HTTP/1.1', b'Host: registry',
                                         b'Connection: close') + lines) + b'\r\n\r\n')
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status, answer.headers, answer.read()


@pytest.mark.parametrize('path', ROUTES)
def test_no_header_changes_where_the_service_is_mounted(place, path):
    plain = asked(place, path.encode())
    for line in (b'SCRIPT_NAME: /other', b'Script_Name: /v1', b'SCRIPT_NAME: \xff',
                 b'PATH_INFO: /metrics', b'PATH_INFO: \xff', b'REMOTE_USER: alice',
                 b'SCRIPT-NAME: /other', b'X-Forwarded-Proto: https', b'X-Script-Name: /x',
                 b'X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off', b'X-Forwarded-For: \xff',
                 b'X-Forwarded-Prefix: /other', b'X-Forwarded-Host: other', b'Forwarded: for=\xff',
                 b'X-Forwarded-Port: 443', b'X-Forwarded-By: 192.0.2.1',
                 b'Forwarded: for=192.0.2.1;host=other;proto=https'):
        changed = asked(place, path.encode(), line)
        assert changed[0] == plain[0], line
        assert path == '/metrics' or changed[2] == plain[2], line


@pytest.mark.parametrize('query, line, status', [
    (b'', b'X: a\0b', 400), (b'', b'\xff: x', 400), (b'', b'no colon', 400),
    (b'', b'X: ' + b'a' * 66000, 431), (b'', b'Authorization: Basic \x01', 400),
    (b'', b'Transfer-Encoding: foo', 501), (b'?q=\xff', b'X: x', 400),
    (b'?q=w\xc3\xa9b', b'X: x', 400), (b'?\xe9=1', b'X: x', 400)])
def test_the_server_answers_what_is_not_http(place, query, line, status):
    for path in ROUTES:
        changed, headers, _ = asked(place, path.encode() + query, line)
        assert (changed, headers['Content-Type']) == (status, 'text/plain; charset=utf-8'), path


def test_nothing_that_a_client_sends_steers_a_terminal_or_forges_a_line(place, connect):
    for head in (b'GET /v1/search?q=%1b%0aforged HTTP/1.1', b'GET /\x1b[31m HTTP/1.1',
                 b'GET /a\x85b\xe9\x08\x7f HTTP/1.1', b'G\x1bT / HTTP/1.1', b'G\x9bT / HTTP/1.1',
                 b'GET / HTTP/1.1\x1b', b'GET / HTTP/1.1\r\nHo\x1bst: x', b'\x1b]0;title\x07',
                 b'GET / HTTP/1.1\r\nHost: \x1b[31mx\x9b', b'GET / HTTP/1.1\nforged',
                 b'POST / HTTP/1.1\r\nContent-Length: \x1b1', b'GET /%0aforged/%1b%22 HTTP/1.1'):
        connection = connect()
        connection.sendall(head + b'\r\n\r\n')
        assert connection.recv(1000).startswith(b'HTTP/1.'), head
    for line in r'"GET /\x1b[31m HTTP/1.1" 404', '"GET /%0aforged/%1b%22 HTTP/1.1" 404':
        wait_until(lambda: line in place.service.log_text(), line)
    log = place.service.log_text()
    assert re.findall('.*[\x00-\x09\x0b-\x1f\x7f-\uffff].*|^forged', log, re.MULTILINE) == []


@contextlib.contextmanager
def serving(size):
    """Run a server with one thread in this process, whose answers have so many bytes; give it and
    its port."""
    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', str(size))])
        return [b'x' * (size - 2) + b'}\n']
    listener = server.listen('listen', '127.0.0.1:%d' % free_port())
    made = server.make_server(app, listener, 1)
    threading.Thread(target=made.run, daemon=True).start()
    yield made, listener.getsockname()[1]


def test_connections_without_a_whole_request_are_closed_after_a_while(monkeypatch):
    monkeypatch.setattr(server, 'IDLE_SECONDS', 1)
    with serving(9) as (_, port), connections(port) as connect:
        opened, began = [connect() for _ in range(8)], time.monotonic()
        for connection, content in zip(opened, [b'', HALF_HEAD[:1], HALF_HEAD] + HALF_BODIED):
            connection.sendall(content)
        assert [is_closed(connection) for connection in opened] == [True] * 8
        assert 0.5 < time.monotonic() - began < 10


def test_if_there_are_too_many_connections_the_idle_ones_make_room(monkeypatch):
    monkeypatch.setattr(server, 'IDLE_SECONDS', 1)
    monkeypatch.setattr(server, 'CONNECTIONS', 30)
    with serving(9) as (_, port), connections(port) as connect:
        idle = [connect() for _ in range(50)]
        assert seconds_of_health(port) < 10
        for connection in idle:
            connection.close()
        wait_until(lambda: seconds_of_health(port) < 0.5, 'the server does not recover', 10)
        for _ in range(25):
            connect().sendall(HEALTH)
        assert seconds_of_health(port) < 10


def test_a_client_that_reads_no_answers_holds_no_thread(monkeypatch):
    monkeypatch.setattr(server, 'IDLE_SECONDS', 2)
    with serving(MEGABYTE) as (_, port), connections(port) as connect:
        # More than the server and the kernel keep.
        connect().sendall(HEALTH * 40)
        time.sleep(0.5)
        other, began = connect(), time.monotonic()
        other.sendall(HEALTH)
        assert other.recv(12) == b'HTTP/1.1 200'
        assert 0.5 < time.monotonic() - began < 10, 'the thread is freed after two seconds'


def test_a_slow_client_gets_its_whole_answer_before_the_process_ends():
    with serving(8 * MEGABYTE) as (made, port), connections(port) as connect, \
            concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = connect()
        slow.sendall(HEALTH)
        received = len(slow.recv(1000))
        finished = pool.submit(server.finish, made, 20)
        time.sleep(0.2)
        assert not finished.done(), 'the rest is not written yet'
        while received < 8 * MEGABYTE and (part := slow.recv(MEGABYTE)):
            received += len(part)
        finished.result(5)
        assert received >= 8 * MEGABYTE


def test_with_few_files_and_a_full_disk_only_the_connections_concerned_end(dynamodb_local):
    made = ServiceProcess(dynamodb_local.url, THREADS=str(THREADS))
    serve = made.service.command
    # As on a full disk, no file of this process grows beyond 3 MB.
    made.service.command = lambda: ['prlimit', '--nofile=300:300', '--fsize=3000000'] + serve()
    with made, connections(made.service.port) as connect:
        kept, large = connect(), connect()
        with contextlib.suppress(ConnectionError):
            large.sendall(head_of(LARGEST) + b' ' * 8 * MEGABYTE)
        assert is_closed(large)
        kept.sendall(HEALTH)
        assert answer_of(kept).startswith(b'HTTP/1.1 200 ')
        for connection in [connect() for _ in range(70)]:
            connection.close()
        wait_until(lambda: seconds_of_health(made.service.port) < 1, 'it does not recover', 10)
        assert made.search('nothing')['results'] == []
    for trouble in 'Too many open files', 'Traceback':
        assert trouble not in made.service.log_text()
