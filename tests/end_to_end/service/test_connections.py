"""Connections that send nothing, too little, too much or too slowly: others are answered meanwhile,
and no thread is held for ever."""
import concurrent.futures
import contextlib
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
from tests.end_to_end.service.place import wait_until
from tests.end_to_end.service.test_events_hostile import body_of, chunked, memory, raw

THREADS = 4
HEALTH = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
HALF_HEAD = b'GET /healthz HTTP/1.1\r\nHo'


@pytest.fixture(scope='module')
def place(dynamodb_local):
    with Beside(dynamodb_local.url, THREADS=str(THREADS)) as made:
        yield made
    assert 'Traceback' not in made.service.log_text(), made.service.log_text()[-3000:]


@pytest.fixture
def connect(place):
    """Opens connections, and closes them."""
    with connections(place) as opened:
        yield opened


@contextlib.contextmanager
def connections(place):
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(
            socket.create_connection(('127.0.0.1', place.service.port), timeout=IDLE_SECONDS + 20))


def seconds_of_health(place):
    began = time.monotonic()
    # A connection of its own: it must be accepted, too.
    assert raw(place, 'GET /healthz HTTP/1.1\nHost: x',
               timeout=IDLE_SECONDS + 20).startswith(b'HTTP/1.1 200 ')
    return time.monotonic() - began


def is_closed(connection):
    """Whether the server ends it, having sent nothing more; waits for that."""
    try:
        return connection.recv(1000) == b''
    except ConnectionError:
        return True


def answer_of(connection):
    """One answer with its body."""
    received = b''
    while b'}\n' not in received:
        part = connection.recv(1000)
        assert part, received
        received += part
    return received


def event(place, length, secret=None):
    return ('POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: '
            '%d\r\n\r\n' % (secret or place.secret, length)).encode()


def searches(place, count=20):
    """The seconds of each of some searches, each on a connection of its own."""
    taken = []
    for _ in range(count):
        began = time.monotonic()
        assert raw(place, 'GET /v1/search?q=nothing HTTP/1.1\nHost: x',
                   timeout=20).startswith(b'HTTP/1.1 200 ')
        taken.append(time.monotonic() - began)
    return sorted(taken)


def test_hundreds_of_idle_half_headed_and_half_bodied_connections_delay_nobody(place, connect):
    before = searches(place)
    began, opened = time.monotonic(), [connect() for _ in range(900)]
    half_bodied = [event(place, 1000) + b'{', event(place, LARGEST, 'wrong') + b'x' * 5000,
                   b'POST /nowhere HTTP/1.1\r\nContent-Length: 9\r\n\r\n',
                   b'POST /events HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel',
                   b'PUT /v1/search?q=x HTTP/1.1\r\nContent-Length: 9\r\n\r\n']
    for number, connection in enumerate(opened[300:]):
        connection.sendall(HALF_HEAD[:1 + number % len(HALF_HEAD)] if number < 300
                           else half_bodied[number % len(half_bodied)])
    time.sleep(0.2)
    beside_them = searches(place)
    print('\na search takes %.0f ms, beside 900 connections %.0f ms, at most %.0f ms' % (
        1000 * before[10], 1000 * beside_them[10], 1000 * beside_them[-1]))
    assert beside_them[10] < 0.5 and beside_them[-1] < 2
    assert time.monotonic() - began < IDLE_SECONDS - 1, 'they are all open'
    assert [is_closed(connection) for connection in opened] == [True] * len(opened)
    assert IDLE_SECONDS - 1 < time.monotonic() - began < IDLE_SECONDS + 15


def test_a_byte_now_and_then_holds_no_thread(place, connect):
    dripping = [connect() for _ in range(4 * THREADS)]
    for number, connection in enumerate(dripping):
        connection.sendall(event(place, 1000, 'wrong') if number % 2
                           else b'GET /healthz HTTP/1.1\r\nX: ')
    for _ in range(10):
        for connection in dripping:
            connection.sendall(b'x')
        assert seconds_of_health(place) < 2
        time.sleep(0.1)


def test_a_head_in_parts_is_answered_and_its_connection_kept(place, connect):
    connection = connect()
    for _ in range(2):
        for part in (HEALTH[:3], HEALTH[3:-3], HEALTH[-3:-1], HEALTH[-1:]):
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 200 ') and b'Connection: close' not in answer
        assert b'Server:' not in answer
    body = body_of()
    for parts in ([event(place, len(body)) + body], [event(place, len(body)), body],
                  [event(place, len(body)) + body[:5], body[5:]]):
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        assert answer_of(connection).startswith(b'HTTP/1.1 200 ')
    connection.sendall(event(place, 1).replace(b'Content-Length: 1', b'Transfer-Encoding: chunked')
                       + chunked(body))
    assert answer_of(connection).startswith(b'HTTP/1.1 200 ')
    connection.sendall(HEALTH)
    assert answer_of(connection).startswith(b'HTTP/1.1 200 ')


@pytest.mark.parametrize('length', [b'Content-Length: 400', b'Transfer-Encoding: chunked'])
def test_what_is_left_of_a_body_is_no_request(place, connect, length):
    before = place.service.log_text().count('/forged')
    connection = connect()
    connection.sendall(b'POST /events HTTP/1.1\r\nHost: x\r\n' + length + b'\r\n\r\n'
                       + b'GET /forged HTTP/1.1\r\nHost: x\r\n\r\n' * 3)
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1000)
    assert place.service.log_text().count('/forged') == before


def test_a_refusal_arrives_though_the_body_is_still_being_sent(place):
    for size in [900 * 1000] * 10 + [LARGEST] * 2:
        answer = place.session.post(place.url + '/events', data=b' ' * size,
                                    headers={'Authorization': 'Bearer wrong'}, timeout=30)
        assert answer.status_code == 401


def test_bodies_without_the_secret_are_kept_out_of_memory(place, connect):
    before = memory(place)
    for _ in range(20):
        connect().sendall(event(place, LARGEST, 'wrong') + b'x' * (8 * 1024 * 1024))
    grown = memory(place) - before
    print('\n160 MB of bodies took %.0f MB' % (grown / 1e6))
    assert grown < 32 * 1024 * 1024
    assert seconds_of_health(place) < 2


def test_a_head_that_is_too_large_is_refused(place, connect):
    connection = connect()
    connection.sendall(b'GET /healthz HTTP/1.1\r\nX: ' + b'x' * 64 * 1024)
    assert connection.recv(12) == b'HTTP/1.0 431'
    assert raw(place, 'GET /v1/search?n=%s HTTP/1.1\nHost: x' % ('x' * 10000)).startswith(
        b'HTTP/1.1 400 ')


def test_a_client_that_does_not_take_its_answers_holds_no_thread(monkeypatch):
    monkeypatch.setattr(server, 'IDLE_SECONDS', 2)

    def megabyte(environ, start_response):
        start_response('200 OK', [('Content-Length', '1000000')])
        return [b'x' * 1000000]
    listener = server.listen('127.0.0.1:%d' % free_port())
    made = server.make_server(megabyte, listener, 1)
    threading.Thread(target=made.run, daemon=True).start()
    with socket.create_connection(listener.getsockname()) as stuck:
        # More than the server and the kernel keep.
        stuck.sendall(HEALTH * 40)
        with socket.create_connection(listener.getsockname(), timeout=20) as other:
            time.sleep(0.5)
            began = time.monotonic()
            other.sendall(HEALTH)
            assert other.recv(12) == b'HTTP/1.1 200'
            assert 0.5 < time.monotonic() - began < 10, 'its thread is freed after two seconds'


def test_a_slow_client_gets_its_whole_answer_before_the_process_ends():
    size = 8000000

    def large(environ, start_response):
        start_response('200 OK', [('Content-Length', str(size))])
        return [b'x' * size]
    listener = server.listen('127.0.0.1:%d' % free_port())
    made = server.make_server(large, listener, 1)
    threading.Thread(target=made.run, daemon=True).start()
    with socket.create_connection(listener.getsockname(), timeout=20) as slow:
        slow.sendall(HEALTH)
        received = len(slow.recv(1000))
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            finished = pool.submit(server.finish, made, 20)
            time.sleep(0.5)
            assert not finished.done(), 'the rest is not written yet'
            while received < size and (part := slow.recv(1000000)):
                received += len(part)
            finished.result(5)
        assert received >= size


def test_more_idle_connections_than_it_keeps(place, connect):
    opened = [connect() for _ in range(CONNECTIONS + 200)]
    assert seconds_of_health(place) < IDLE_SECONDS + 5, 'the oldest had to go'
    for connection in opened:
        connection.close()
    wait_until(lambda: seconds_of_health(place) < 1, 'it does not recover', 10)
    used = [connect() for _ in range(CONNECTIONS - 100)]
    for connection in used:
        connection.sendall(HEALTH)
    assert seconds_of_health(place) < 10
    assert place.search('nothing')['results'] == []


def test_with_few_files_it_takes_fewer_connections(dynamodb_local):
    made = Beside(dynamodb_local.url, THREADS=str(THREADS))
    serve = made.service.command
    made.service.command = lambda: ['prlimit', '--nofile=300:300'] + serve()
    with made, connections(made) as connect:
        opened = [connect() for _ in range(70)]
        assert seconds_of_health(made) < IDLE_SECONDS + 5
        for connection in opened:
            connection.close()
        wait_until(lambda: seconds_of_health(made) < 1, 'it does not recover', 10)
        assert made.search('nothing')['results'] == []
    assert 'Too many open files' not in made.service.log_text()
    assert 'Traceback' not in made.service.log_text()


def test_without_disk_space_for_a_body_its_connection_ends_and_no_other(dynamodb_local):
    made = Beside(dynamodb_local.url, THREADS=str(THREADS))
    serve = made.service.command
    # As a full disk: no file of this process gets larger.
    made.service.command = lambda: ['prlimit', '--fsize=3000000'] + serve()
    with made, connections(made) as connect:
        kept, large = connect(), connect()
        with contextlib.suppress(ConnectionError):
            large.sendall(event(made, LARGEST) + b' ' * 8 * 1024 * 1024)
        assert is_closed(large)
        kept.sendall(HEALTH)
        assert answer_of(kept).startswith(b'HTTP/1.1 200 ')
        assert seconds_of_health(made) < 2 and made.search('nothing')['results'] == []


def test_the_limit_of_open_files_is_raised(place):
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert place.metrics()['process_max_fds', ''] >= min(hard, 2 * CONNECTIONS + 200)


def test_the_processor_is_at_rest_while_connections_are_idle(place, connect):
    def used():
        return place.metrics()['process_cpu_seconds_total', '']
    opened = [connect() for _ in range(CONNECTIONS - 100)]
    before = used()
    time.sleep(2)
    assert used() - before < 1 and opened


def test_nothing_that_a_client_sends_steers_a_terminal_or_forges_a_line(place):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda head: raw(place, head, timeout=2),
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
    time.sleep(0.3)
    log = place.service.log_text()
    assert re.findall('.*[\x00-\x09\x0b-\x1f\x7f-\uffff].*', log) == []
    assert r'"GET /v1/search?q=\x1b[31mred HTTP/1.1" ' in log
    assert r'"GET /\x1b[31m/%1b HTTP/1.1" 404' in log
    assert r'"GET /back\\slash\x22 HTTP/1.1" 404' in log and '\nforged' not in log


def test_the_log_has_one_line_for_each_request(place):
    def lines():
        return re.findall(r'^127\.0\.0\.1 "GET /counted HTTP/1\.1" 404 \d+ \d+ms$',
                          place.service.log_text(), re.MULTILINE)
    before = len(lines())
    for _ in range(25):
        assert place.get('/counted').status_code == 404
    assert len(lines()) - before == 25
