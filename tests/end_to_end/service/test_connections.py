"""Connections that send nothing, too little, too much or too slowly: others are answered meanwhile,
and no thread is held for ever."""
import concurrent.futures
import contextlib
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
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import deleted, pushed
from tests.helpers.service import NOTIFICATION, SECRET
from tests.helpers.waiting import wait_until

THREADS = 4
HEALTH = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
HALF_HEAD = b'GET /healthz HTTP/1.1\r\nHo'
MEGABYTE = 1024 * 1024


@pytest.fixture(scope='module')
def place(dynamodb_local):
    with Beside(dynamodb_local.url, THREADS=str(THREADS)) as made:
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


def raw(port, head, body=b'', timeout=5):
    """Send bytes as they are; return the answer, up to its end or the timeout."""
    with socket.create_connection(('127.0.0.1', port), timeout=timeout) as connection:
        connection.sendall(head.replace('\n', '\r\n').encode('latin-1') + b'\r\n\r\n' + body)
        answer = b''
        with contextlib.suppress(socket.timeout, ConnectionError):
            while b'}\n' not in answer:
                part = connection.recv(65536)
                answer += part
                if not part:
                    break
        return answer


def chunked(*parts):
    return b''.join(b'%x\r\n%b\r\n' % (len(part), part) for part in parts) + b'0\r\n\r\n'


def memory(place):
    return place.metrics()['process_resident_memory_bytes', '']


def seconds_of_health(port):
    """Return the seconds until a connection is accepted and its request answered."""
    began = time.monotonic()
    assert raw(port, 'GET /healthz HTTP/1.1\nHost: x',
               timeout=IDLE_SECONDS + 20).startswith(b'HTTP/1.1 200 ')
    return time.monotonic() - began


def is_closed(connection):
    """Wait until the server sends something or closes; return True if it closes."""
    try:
        return connection.recv(1000) == b''
    except ConnectionError:
        return True


def answer_of(connection):
    """Return one answer with its body."""
    received = b''
    while b'}\n' not in received:
        part = connection.recv(1000)
        assert part, received
        received += part
    return received


def event(length, secret=SECRET):
    """Return the head of a notification."""
    return ('POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n'
            'Content-Length: %d\r\n\r\n' % (secret, NOTIFICATION, length)).encode()


def searches(place, count=20):
    """Return the seconds of each of some searches, each on a connection of its own."""
    taken = []
    for _ in range(count):
        began = time.monotonic()
        assert raw(place.service.port, 'GET /v1/search?q=nothing HTTP/1.1\nHost: x',
                   timeout=20).startswith(b'HTTP/1.1 200 ')
        taken.append(time.monotonic() - began)
    return sorted(taken)


#: What connections send that begin a body and do not end it.
HALF_BODIED = [event(1000) + b'{', event(LARGEST, 'wrong') + b'x' * 5000,
               b'POST /nowhere HTTP/1.1\r\nContent-Length: 9\r\n\r\n',
               b'POST /events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
               b'PUT /v1/search?q=x HTTP/1.1\r\nContent-Length: 9\r\n\r\n']


def test_hundreds_of_idle_half_headed_and_half_bodied_connections_delay_nobody(place, connect):
    before = searches(place)
    began, opened = time.monotonic(), [connect() for _ in range(900)]
    for number, connection in enumerate(opened[300:]):
        connection.sendall(HALF_HEAD[:1 + number % len(HALF_HEAD)] if number < 300
                           else HALF_BODIED[number % len(HALF_BODIED)])
    time.sleep(0.2)
    beside_them = searches(place)
    print('\na search takes %.0f ms, beside 900 connections %.0f ms, at most %.0f ms' % (
        1000 * before[10], 1000 * beside_them[10], 1000 * beside_them[-1]))
    assert beside_them[10] < 0.5 and beside_them[-1] < 2
    assert time.monotonic() - began < IDLE_SECONDS, 'they are all open'


def test_a_byte_now_and_then_holds_no_thread(place, connect):
    dripping = [connect() for _ in range(4 * THREADS)]
    for number, connection in enumerate(dripping):
        connection.sendall(event(1000, 'wrong') if number % 2
                           else b'GET /healthz HTTP/1.1\r\nX: ')
    for _ in range(10):
        for connection in dripping:
            connection.sendall(b'x')
        assert seconds_of_health(place.service.port) < 2
        time.sleep(0.05)


def test_a_head_in_parts_is_answered_and_its_connection_kept(place, connect):
    connection = connect()
    for _ in range(2):
        for part in (HEALTH[:3], HEALTH[3:-3], HEALTH[-3:-1], HEALTH[-1:]):
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 200 ') and b'Connection: close' not in answer
        assert b'Server:' not in answer
    body = b'{"events": []}'
    for parts in ([event(len(body)) + body], [event(len(body)), body],
                  [event(len(body)) + body[:5], body[5:]]):
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        assert answer_of(connection).startswith(b'HTTP/1.1 200 ')
    connection.sendall(event(1).replace(b'Content-Length: 1', b'Transfer-Encoding: chunked')
                       + chunked(body))
    assert answer_of(connection).startswith(b'HTTP/1.1 200 ')
    connection.sendall(HEALTH)
    assert answer_of(connection).startswith(b'HTTP/1.1 200 ')


@pytest.mark.parametrize('length', [b'Content-Length: 400', b'Transfer-Encoding: chunked'])
def test_the_rest_of_a_body_is_no_request(place, connect, length):
    before = place.service.log_text().count('/forged')
    connection = connect()
    connection.sendall(b'POST /events HTTP/1.1\r\nHost: x\r\n' + length + b'\r\n\r\n'
                       + b'GET /forged HTTP/1.1\r\nHost: x\r\n\r\n' * 3)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1000)
    assert place.service.log_text().count('/forged') == before


def test_a_refusal_arrives_while_the_body_is_still_being_sent(place):
    for size in [900 * 1000] * 10 + [LARGEST] * 2:
        assert place.post(b' ' * size, Authorization='Bearer wrong').status_code == 401


def test_bodies_without_the_secret_are_kept_out_of_memory(place, connect):
    before = memory(place)
    for _ in range(20):
        connect().sendall(event(LARGEST, 'wrong') + b'x' * 8 * MEGABYTE)
    grown = memory(place) - before
    print('\n160 MB of bodies took %.0f MB' % (grown / 1e6))
    assert grown < 32 * MEGABYTE
    assert seconds_of_health(place.service.port) < 2


@pytest.mark.parametrize('secret', ['wrong', SECRET])
@pytest.mark.parametrize('path', ['/events', '/v1/search'])
@pytest.mark.parametrize('size', [LARGEST + 1, 99999999999999])
def test_a_body_that_is_too_large_is_refused_before_it_is_read(place, secret, path, size):
    began = time.monotonic()
    answer = raw(place.service.port, 'POST %s HTTP/1.1\nHost: x\nAuthorization: Bearer %s\n'
                 'Content-Type: %s\nContent-Length: %d' % (path, secret, NOTIFICATION, size))
    assert answer.startswith(b'HTTP/1.1 413 ') and b'Connection: close' in answer
    assert time.monotonic() - began < 3


def test_a_large_body_of_no_registry_is_kept_out_of_memory(place):
    before = memory(place)
    for size in [MEGABYTE + 1] + [LARGEST] * 4:
        assert place.post(b' ' * size, **{'Content-Type': 'application/json'}).status_code == 413
    assert memory(place) - before < LARGEST


def test_a_registry_may_send_32_megabytes(place):
    place.registry.repositories['large/body'] = None
    event = pushed('large/body', url='')
    event['target']['url'] = 'x' * (LARGEST - len(json.dumps({'events': [event]})))
    body = json.dumps({'events': [event]}).encode()
    assert len(body) == LARGEST and place.post(body).status_code == 200
    assert place.found('large') == ['large/body']
    assert place.post(body[:-1]).status_code == 202


def test_a_chunked_body_is_read_and_measured(place):
    head = 'POST /events HTTP/1.1\nHost: x\nAuthorization: Bearer %s\nTransfer-Encoding: chunked'
    head, body = head % SECRET, json.dumps({'events': [deleted('none/such')]}).encode()
    assert raw(place.service.port, head, chunked(body[:7], body[7:50], body[50:]),
               30).startswith(b'HTTP/1.1 200 ')
    assert raw(place.service.port, head, chunked(*[b' ' * 65536] * 17),
               30).startswith(b'HTTP/1.1 413 ')
    assert raw(place.service.port, head, b'zz\r\n', 1).startswith(b'HTTP/1.1 400 ')
    assert place.get('/healthz').status_code == 200


def test_a_head_that_is_too_large_is_refused(place, connect):
    connection = connect()
    connection.sendall(b'GET /healthz HTTP/1.1\r\nX: ' + b'x' * 64 * 1024)
    assert connection.recv(12) == b'HTTP/1.0 431'
    assert raw(place.service.port, 'GET /v1/search?n=%s HTTP/1.1\nHost: x'
               % ('x' * 10000)).startswith(b'HTTP/1.1 400 ')


@contextlib.contextmanager
def serving(size):
    """Run a server in this process, with one thread; give it and its port.

    :param size: bytes of its answers."""
    def app(environ, start_response):
        start_response('200 OK', [('Content-Length', str(size))])
        return [b'x' * (size - 2) + b'}\n']
    listener = server.listen('127.0.0.1:%d' % free_port())
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
    with serving(8 * MEGABYTE) as (made, port), connections(port) as connect:
        slow = connect()
        slow.sendall(HEALTH)
        received = len(slow.recv(1000))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            finished = pool.submit(server.finish, made, 20)
            time.sleep(0.2)
            assert not finished.done(), 'the rest is not written yet'
            while received < 8 * MEGABYTE and (part := slow.recv(MEGABYTE)):
                received += len(part)
            finished.result(5)
        assert received >= 8 * MEGABYTE


def test_with_few_files_and_a_full_disk_only_the_connections_concerned_end(dynamodb_local):
    made = Beside(dynamodb_local.url, THREADS=str(THREADS))
    serve = made.service.command
    # As on a full disk, no file of this process grows beyond 3 MB.
    made.service.command = lambda: ['prlimit', '--nofile=300:300', '--fsize=3000000'] + serve()
    with made, connections(made.service.port) as connect:
        kept, large = connect(), connect()
        with contextlib.suppress(ConnectionError):
            large.sendall(event(LARGEST) + b' ' * 8 * MEGABYTE)
        assert is_closed(large)
        kept.sendall(HEALTH)
        assert answer_of(kept).startswith(b'HTTP/1.1 200 ')
        assert seconds_of_health(made.service.port) < 2
        for connection in [connect() for _ in range(70)]:
            connection.close()
        wait_until(lambda: seconds_of_health(made.service.port) < 1, 'it does not recover', 10)
        assert made.search('nothing')['results'] == []
    assert 'Too many open files' not in made.service.log_text()
    assert 'Traceback' not in made.service.log_text()


def test_the_limit_of_open_files_is_raised(place):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert place.metrics()['process_max_fds', ''] >= min(hard, 2 * CONNECTIONS + 200)


def test_the_processor_is_at_rest_while_connections_are_idle(place, connect):
    def used():
        return place.metrics()['process_cpu_seconds_total', '']
    opened = [connect() for _ in range(CONNECTIONS - 100)]
    before = used()
    time.sleep(1)
    assert used() - before < 0.5 and opened


def test_nothing_that_a_client_sends_steers_a_terminal_or_forges_a_line(place):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda head: raw(place.service.port, head, timeout=0.5),
                      ['GET /v1/search?q=\x1b[31mred HTTP/1.1\nHost: x',
                       'GET /v1/search?q=%1b%0aforged HTTP/1.1\nHost: x',
                       'GET /\x1b[31m/%1b HTTP/1.1\nHost: x', 'GET /\x1b[31m\x9b HTTP/1.1\nHost: x',
                       'GET /a\x85b\u00e9\x08\x7f HTTP/1.1\nHost: x', 'G\x1bT / HTTP/1.1\nHost: x',
                       'G\x9bT / HTTP/1.1\nHost: x', 'GET / HTTP/1.1\x1b\nHost: x',
                       'GET / HTTP/1.1\nHo\x1bst: x', 'GET / HTTP/1.1\nHost: \x1b[31mx\x9b',
                       'POST /\x1b HTTP/1.1\nContent-Length: \x1b1', '\x1b]0;title\x07',
                       'GET /back\\slash" HTTP/1.1\nHost: x',
                       'GET / HTTP/1.1\nTransfer-Encoding: \x1b',
                       'GET /%0aforged/%1b%22 HTTP/1.1\nHost: x']))
    wait_until(lambda: '/%0aforged/' in place.service.log_text())
    log = place.service.log_text()
    assert re.findall('.*[\x00-\x09\x0b-\x1f\x7f-\uffff].*', log) == []
    for line in (r'"GET /v1/search?q=\x1b[31mred HTTP/1.1" ', r'"GET /\x1b[31m/%1b HTTP/1.1" 404',
                 r'"GET /back\\slash\x22 HTTP/1.1" 404'):
        wait_until(lambda: line in place.service.log_text(), line)
    assert '\nforged' not in log
