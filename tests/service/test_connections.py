"""Connections that say nothing, too little, too much or too slowly: others are answered meanwhile, and no thread is held for ever."""
import concurrent.futures
import contextlib
import re
import resource
import socket
import time

import pytest

from docker_registry_index.service.connection import SECONDS
from docker_registry_index.service.worker import CONNECTIONS
from tests.service.beside import Beside
from tests.service.test_events_hostile import body_of, chunked, raw

THREADS = 4
HEALTH = b'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'


@pytest.fixture(scope='module')
def place(dynamodb_local):
    with Beside(dynamodb_local.url, THREADS=str(THREADS)) as made:
        yield made
    assert 'Traceback' not in made.service.log_text(), made.service.log_text()[-3000:]


@pytest.fixture
def connect(place):
    """Opens connections, and closes them."""
    with contextlib.ExitStack() as opened:
        yield lambda: opened.enter_context(socket.create_connection(('127.0.0.1', place.service.port), timeout=SECONDS + 20))


def seconds_of_health(place):
    began = time.monotonic()
    # A connection of its own: it must be accepted, too.
    assert raw(place, 'GET /healthz HTTP/1.1\nHost: x', patience=SECONDS + 20).startswith(b'HTTP/1.1 200 ')
    return time.monotonic() - began


def is_closed(connection):
    """Whether the server ends it, having said no more; waits for that."""
    try:
        return connection.recv(1000) == b''
    except ConnectionError:
        return True


def answer_of(connection):
    """One answer with its body."""
    said = b''
    while b'}\n' not in said:
        part = connection.recv(1000)
        assert part, said
        said += part
    return said


def event(place, length, secret=None):
    return ('POST /events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Length: %d\r\n\r\n' % (secret or place.secret, length)).encode()


def test_half_a_head_takes_no_thread_and_is_closed_after_a_time(place, connect):
    began, opened = time.monotonic(), [connect() for _ in range(4 * THREADS)]
    for connection in opened:
        connection.sendall(b'G')
    time.sleep(0.2)
    assert seconds_of_health(place) < 2
    dripping = connect()
    with pytest.raises(OSError):
        for byte in b'GET /healthz HTTP/1.1\r\nX: ' + b'x' * 200:
            dripping.sendall(bytes([byte]))
            time.sleep(0.25)
            assert time.monotonic() - began < SECONDS + 15, 'a byte now and then keeps it open'
    assert [is_closed(connection) for connection in opened] == [True] * len(opened)
    assert SECONDS - 1 < time.monotonic() - began


def test_a_head_in_parts_is_answered_and_its_connection_kept(place, connect):
    connection = connect()
    for _ in range(2):
        for part in (HEALTH[:3], HEALTH[3:-3], HEALTH[-3:-1], HEALTH[-1:]):
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 200 ') and b'Connection: keep-alive' in answer
    body = body_of()
    for parts in ([event(place, len(body)) + body], [event(place, len(body)), body], [event(place, len(body)) + body[:5], body[5:]]):
        for part in parts:
            connection.sendall(part)
            time.sleep(0.05)
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 200 ') and b'Connection: keep-alive' in answer
    connection.sendall(event(place, 1).replace(b'Content-Length: 1', b'Transfer-Encoding: chunked') + chunked(body))
    assert b'Connection: keep-alive' in answer_of(connection)
    connection.sendall(HEALTH)
    assert answer_of(connection).startswith(b'HTTP/1.1 200 ')


@pytest.mark.parametrize('head', [b'POST /events', b'PUT /healthz', b'POST /nowhere', b'GET /v1/search?q=x'])
def test_a_body_that_nobody_reads_is_not_waited_for(place, connect, head):
    opened = [connect() for _ in range(4 * THREADS)]
    began = time.monotonic()
    for connection in opened:
        connection.sendall(head + b' HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n')
        assert b'Connection: close' in answer_of(connection)
        with contextlib.suppress(ConnectionError):
            connection.sendall(b'x')
    assert seconds_of_health(place) < 2
    assert [is_closed(connection) for connection in opened] == [True] * len(opened)
    assert time.monotonic() - began < SECONDS


def test_what_is_left_of_a_body_is_no_request(place, connect):
    before = place.service.log_text().count('/forged')
    for length in (b'Content-Length: 400', b'Transfer-Encoding: chunked'):
        connection = connect()
        connection.sendall(b'POST /events HTTP/1.1\r\nHost: x\r\n' + length + b'\r\n\r\n')
        assert answer_of(connection).startswith(b'HTTP/1.1 401 ')
        connection.sendall(b'GET /forged HTTP/1.1\r\nHost: x\r\n\r\n' * 3)
        assert is_closed(connection)
    assert place.service.log_text().count('/forged') == before


def test_a_refusal_arrives_though_the_body_is_still_being_sent(place):
    for _ in range(10):
        answer = place.session.post(place.url + '/events', data=b' ' * 900 * 1000, headers={'Authorization': 'Bearer wrong'}, timeout=30)
        assert answer.status_code == 401


def test_a_body_that_stalls_is_given_up_though_the_secret_is_right(place, connect):
    opened = [connect() for _ in range(THREADS)]
    for connection in opened:
        connection.sendall(event(place, 1000) + b'{')
    time.sleep(0.2)
    assert seconds_of_health(place) < SECONDS + 5
    for connection in opened:
        answer = answer_of(connection)
        assert answer.startswith(b'HTTP/1.1 400 ') and b'Connection: close' in answer and b'in time' in answer


def test_a_head_that_is_too_large_is_refused(place, connect):
    connection = connect()
    connection.sendall(b'GET /healthz HTTP/1.1\r\nX: ' + b'x' * 64 * 1024)
    assert connection.recv(12) == b'HTTP/1.1 431'
    assert raw(place, 'GET /v1/search?q=%s HTTP/1.1\nHost: x' % ('x' * 10000)).startswith(b'HTTP/1.1 400 ')


def test_more_idle_connections_than_it_keeps(place, connect):
    keeping = connect()
    keeping.sendall(HEALTH)
    answer_of(keeping)
    opened = [connect() for _ in range(CONNECTIONS + 200)]
    for _ in range(3):
        assert seconds_of_health(place) < 2
        time.sleep(0.3)
    keeping.sendall(HEALTH)
    assert answer_of(keeping).startswith(b'HTTP/1.1 200 '), 'who had an answer goes last'
    # The oldest had to go.
    assert is_closed(opened[0]) and is_closed(opened[100])
    used = [connect() for _ in range(CONNECTIONS + 200)]
    for connection in used:
        connection.sendall(HEALTH)
    assert seconds_of_health(place) < 10
    for connection in opened + used:
        connection.close()
    time.sleep(2)
    assert seconds_of_health(place) < 2
    assert place.search('nothing')['results'] == []


def test_without_files_for_more_it_goes_on(place, connect):
    worker = int(re.findall(r'Booting worker with pid: (\d+)', place.service.log_text())[-1])
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE, (100, resource.prlimit(worker, resource.RLIMIT_NOFILE)[1]))
    try:
        opened = [connect() for _ in range(200)]
        time.sleep(0.5)
        assert seconds_of_health(place) < 5
        for connection in opened:
            connection.close()
        time.sleep(1)
        assert seconds_of_health(place) < 2
    finally:
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    assert place.service.log_text().count('Booting worker') == 1


def test_the_processor_is_at_rest_while_connections_are_idle(place, connect):
    def used():
        return place.metrics()['process_cpu_seconds_total', '']
    opened = [connect() for _ in range(CONNECTIONS)]
    before = used()
    time.sleep(2)
    assert used() - before < 1 and opened


def test_nothing_that_a_client_says_steers_a_terminal_or_forges_a_line(place):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda head: raw(place, head, patience=2), [
            'GET /v1/search?q=\x1b[31mred HTTP/1.1\nHost: x', 'GET /v1/search?q=%1b%0aforged HTTP/1.1\nHost: x', 'GET /\x1b[31m\x9b/%1b HTTP/1.1\nHost: x',
            'GET /a\x85b\u00e9\x08\x7f HTTP/1.1\nHost: x', 'G\x1bT / HTTP/1.1\nHost: x', 'G\x9bT / HTTP/1.1\nHost: x', 'GET / HTTP/1.1\x1b\nHost: x',
            'GET / HTTP/1.1\nHo\x1bst: x', 'GET / HTTP/1.1\nHost: \x1b[31mx\x9b', 'POST /\x1b HTTP/1.1\nContent-Length: \x1b1', '\x1b]0;title\x07',
            'GET /back\\slash" HTTP/1.1\nHost: x', 'GET / HTTP/1.1\nTransfer-Encoding: \x1b']))
    time.sleep(0.3)
    log = place.service.log_text()
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\uffff]', log), re.findall('.*[\x00-\x09\x0b-\x1f\x7f-\uffff].*', log)
    assert r'"GET /v1/search?q=\x1b[31mred HTTP/1.1" ' in log and r'"GET /\x1b[31m\x9b/%1b HTTP/1.1" 404' in log
    assert '\nforged' not in log
