"""Failures between boto3 and DynamoDB: a lost answer, and a server that answers anything."""

from __future__ import unicode_literals

import contextlib
import socket

import botocore.exceptions
import botocore.httpsession

from docker_registry_index.engine.concurrency import start_thread


class LostAnswer(object):
    """Inside the block, the answer to an engine's next request is lost: DynamoDB executes the
    request, and boto3 sees a closed connection."""

    def __init__(self, engine):
        self._events = engine.client.dynamodb.meta.events
        self.count = 0

    def __enter__(self):
        self._events.register_last('before-send.dynamodb.*', self._lose)
        return self

    def __exit__(self, *failure):
        self._events.unregister('before-send.dynamodb.*', self._lose)

    def _lose(self, request, **_):
        if self.count:
            return
        self.count += 1
        # moto, itself a handler of this event, has answered a request to AWS already.
        if '.amazonaws.com' not in request.url:
            botocore.httpsession.URLLib3Session().send(request)
        raise botocore.exceptions.ConnectionClosedError(endpoint_url=request.url)


@contextlib.contextmanager
def listening(answer):
    """Run a server on 127.0.0.1 that answers each connection alike; give its URL.

    :param answer: the bytes to send, or a function that returns them; None to send nothing."""
    server = socket.socket()
    server.bind(('127.0.0.1', 0))
    server.listen(20)
    accepted = []

    def serve():
        while True:
            try:
                connection, _ = server.accept()
            except (OSError, IOError):
                return
            accepted.append(connection)
            if answer is not None:
                connection.recv(65536)
                connection.sendall(answer() if callable(answer) else answer)
                connection.close()

    thread = start_thread(serve)
    try:
        yield 'http://127.0.0.1:%d' % server.getsockname()[1]
    finally:
        # Ends the thread's accept, which close alone does not.
        try:
            server.shutdown(socket.SHUT_RDWR)
        except (OSError, IOError):
            pass
        server.close()
        thread.join(5)
        for connection in accepted:
            connection.close()
        assert not thread.is_alive()
