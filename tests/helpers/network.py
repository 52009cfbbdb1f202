"""What goes wrong between boto3 and DynamoDB, below boto3's event hooks."""

from __future__ import unicode_literals

import contextlib
import socket
import threading

import botocore.exceptions


class LostAnswer(object):
    """Inside the block, the answer to an engine's next request gets lost.

    The request itself is done; boto3 sees a connection closed.
    """

    def __init__(self, engine):
        self._session = engine.client.dynamodb._endpoint.http_session
        self.count = 0

    def __enter__(self):
        self._send = self._session.send
        self._session.send = self._lose
        return self

    def __exit__(self, *failure):
        self._session.send = self._send

    def _lose(self, request):
        answer = self._send(request)
        if self.count == 0:
            self.count += 1
            raise botocore.exceptions.ConnectionClosedError(endpoint_url=request.url)
        return answer


@contextlib.contextmanager
def listening(answer):
    """A server on 127.0.0.1 that answers each connection; give its URL.

    :param answer: the bytes sent to each; None for never a byte.
    """
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
                connection.sendall(answer)
                connection.close()

    thread = threading.Thread(target=serve)
    thread.daemon = True
    thread.start()
    try:
        yield 'http://127.0.0.1:%d' % server.getsockname()[1]
    finally:
        # Wakes the thread in its accept, which close alone does not.
        try:
            server.shutdown(socket.SHUT_RDWR)
        except (OSError, IOError):
            pass
        server.close()
        thread.join(5)
        for connection in accepted:
            connection.close()
        assert not thread.is_alive()
