"""No push and no start waits longer than documented, whatever DynamoDB's network does.

The time limits of boto3 include neither the resolution of a name nor the whole of a body."""
from __future__ import unicode_literals

import socket
import threading

import pytest

from docker_registry_index.engine import SearchIndex, Settings
from docker_registry_index.engine._compat import monotonic
from docker_registry_index.engine.concurrency import start_thread
from docker_registry_index.engine.store.client import request_timeout

HEAD = (b'HTTP/1.1 200 OK\r\nContent-Type: application/x-amz-json-1.0\r\n'
        b'x-amzn-RequestId: A\r\nContent-Length: 100000\r\n\r\n')
#: Seconds of a limit, and what a busy machine may add.
PUSH_WAIT, SLACK = 0.3, 2


@pytest.fixture
def over():
    """An Event that ends all that hangs."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def unknown_host(over, monkeypatch):
    """The URL of a host whose name no name server resolves."""
    def getaddrinfo(*_):
        over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, 'Temporary failure in name resolution')

    monkeypatch.setattr(socket, 'getaddrinfo', getaddrinfo)
    return 'http://dynamodb.test:8000'


@pytest.fixture
def slow_body(over):
    """The URL of a server that sends a byte now and then, and never the last one."""
    server = socket.socket()
    server.bind(('127.0.0.1', 0))
    server.listen(20)

    def answer(connection):
        try:
            connection.sendall(HEAD)
            while not over.wait(0.05):
                connection.sendall(b' ')
        except (OSError, IOError):
            pass  # the client has left
        connection.close()

    def accept():
        try:
            while True:
                start_thread(answer, server.accept()[0])
        except (OSError, IOError):
            pass  # the server is closed

    start_thread(accept)
    yield 'http://127.0.0.1:%d' % server.getsockname()[1]
    try:
        server.shutdown(socket.SHUT_RDWR)
    except (OSError, IOError):
        pass
    server.close()


@pytest.mark.parametrize('endpoint', ['unknown_host', 'slow_body'])
def test_the_limits_of_starts_and_pushes_include_slow_names_and_bodies(request, over, endpoint):
    settings = Settings(
        endpoint_url=request.getfixturevalue(str(endpoint)), access_key='AKIADUMMY',
        secret_access_key='dummy', connect_timeout=0.2, read_timeout=0.2, attempts=1,
        push_wait=PUSH_WAIT)
    index, began = SearchIndex(settings), monotonic()
    assert index.start(lambda: [], wait=30) is False
    # The first check may take a second longer than a request.
    assert monotonic() - began < request_timeout(settings) + 1 + SLACK
    for is_there in True, False, True:
        began = monotonic()
        assert index.apply_change('acme/web', is_there) is False
        assert monotonic() - began < PUSH_WAIT + SLACK
    over.set()
    index.close()
