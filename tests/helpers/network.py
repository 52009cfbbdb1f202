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

    def serve():
        try:
            while True:
                connection, _ = server.accept()
                connection.recv(65536)
                connection.sendall(answer() if callable(answer) else answer)
                connection.close()
        except (OSError, IOError):
            pass  # the server is closed

    # Without a thread, the system opens connections, but nobody reads them.
    thread = answer and start_thread(serve)
    try:
        yield 'http://127.0.0.1:%d' % server.getsockname()[1]
    finally:
        try:
            server.shutdown(socket.SHUT_RDWR)  # it ends accept, which close alone does not
        except (OSError, IOError):
            pass
        server.close()
        if thread:
            thread.join(5)
