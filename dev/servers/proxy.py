"""Proxy, which counts, delays, refuses, drops or fails the requests between two real programs.

    with Proxy(aws.url) as s3, Distribution(s3_storage(s3.url, 'images')) as registry:
        ...  # s3.counts['LIST'], s3.total

It forwards to a local DynamoDB, S3 or registry, listens on 127.0.0.1 only, and runs in this
process. Runs on Python 3; standard library only.
"""
import collections
import contextlib
import http.client
import http.server
import json
import random
import socket
import struct
import threading
import time
from urllib.parse import parse_qs, urlsplit

from dev.servers.process import LOOPBACK

__all__ = ['FAULTS', 'Proxy', 'operation_of']

#: The faults that a request may have in faults(): DynamoDB throttles it or fails; it is never
#: answered; its connection is reset before or after the request is forwarded.
FAULTS = ('throttle', 'server error', 'time-out', 'reset before', 'reset after')

_ERRORS = {'throttle': (400, 'ProvisionedThroughputExceededException'),
           'server error': (500, 'InternalServerError')}
_HOP_BY_HOP = ('connection', 'keep-alive', 'transfer-encoding', 'content-length')
# The parameters that only a GET of a bucket has:
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
_LIST_PARAMETERS = {'list-type', 'prefix', 'delimiter', 'marker', 'max-keys'}
_LONGEST_HANG = 60


def operation_of(method, path, headers):
    """Return the operation of a request: that of DynamoDB, LIST of S3, or else its method."""
    target = headers.get('X-Amz-Target')
    if target:
        return target.rpartition('.')[2]
    is_list = (method == 'GET'
               and _LIST_PARAMETERS & set(parse_qs(urlsplit(path).query, keep_blank_values=True)))
    return 'LIST' if is_list else method


class Proxy:
    """A proxy before the server at `target`, a URL of 127.0.0.1.

    It runs from its creation to close(), or to the end of a `with` block. At first, it passes every
    request unchanged. Each option may change while requests are under way. seed: the seed of the
    choice of faults.
    """

    def __init__(self, target, seed=1):
        self.address = urlsplit(target).netloc
        self._random = random.Random(seed)
        self._changed = threading.Condition()  # guards all that follows
        self._counts, self._outcomes = collections.Counter(), collections.Counter()
        self._delay, self._delayed = 0, ''
        self._share, self._kinds = 0, FAULTS
        self._unanswered = None
        self._generation = object()
        self._connections = set()
        self._listen(0)
        self.port = self._server.server_address[1]
        self.url = 'http://%s:%d' % (LOOPBACK, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    @property
    def counts(self):
        """The number of requests of each operation, a new Counter."""
        with self._changed:
            return self._counts.copy()

    @property
    def outcomes(self):
        """The number of requests with each of FAULTS, in a 'black hole', or 'passed', a new
        Counter."""
        with self._changed:
            return self._outcomes.copy()

    @property
    def total(self):
        """The number of all requests."""
        return sum(self.counts.values())

    def clear(self):
        """Reset all counts to 0."""
        with self._changed:
            self._counts.clear()
            self._outcomes.clear()

    def delay(self, seconds, only=''):
        """From now on, pass each request on after a pause.

        seconds: from the arrival of a request, even of one that waits already; 0 ends all pauses.
        only: a part of the operation or of the path, such as 'PUT' or '/manifests/'; all other
        requests pass at once.
        """
        self._change(_delay=seconds, _delayed=only)

    @contextlib.contextmanager
    def faults(self, share, kinds=FAULTS):
        """In the block, this share of all requests has a fault of `kinds`."""
        self._change(_share=share, _kinds=kinds)
        yield
        self._change(_share=0)

    @contextlib.contextmanager
    def black_hole(self, operation=''):
        """In the block, accept connections and never answer requests.

        operation: leave only requests of this operation unanswered, such as 'Query'.
        """
        self._change(_unanswered=operation)
        yield
        self._change(_unanswered=None)

    @contextlib.contextmanager
    def refusing(self):
        """In the block, refuse new connections; existing ones are reset at its start."""
        self.close()
        yield
        self._listen(self.port)

    def close(self):
        """Stop listening and reset all connections."""
        self._server.shutdown()
        self._server.server_close()
        with self._changed:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _reset(connection)
        self._change()

    def _listen(self, port):
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _change(self, **options):
        with self._changed:
            vars(self).update(options)
            self._generation = object()
            self._changed.notify_all()

    def add_connection(self, connection):
        """Remember a connection, to reset it in close()."""
        with self._changed:
            self._connections.add(connection)

    def remove_connection(self, connection):
        """Forget a connection that has ended."""
        with self._changed:
            self._connections.discard(connection)

    def admit(self, operation, path):
        """Count a request; return its fault, or None, once it may be passed on. A request in a
        black hole waits until the options change."""
        arrived = time.monotonic()
        with self._changed:
            self._counts[operation] += 1
            outcome = self._outcome(operation)
            self._outcomes[outcome or 'passed'] += 1
            if outcome in ('time-out', 'black hole'):
                generation = self._generation
                self._changed.wait_for(lambda: self._generation is not generation, _LONGEST_HANG)
            else:
                self._pause(arrived, operation, path)
        return outcome

    def _outcome(self, operation):
        if self._unanswered in ('', operation):
            return 'black hole'
        return self._random.choice(self._kinds) if self._random.random() < self._share else None

    def _pause(self, arrived, operation, path):
        def seconds_left():
            is_delayed = self._delayed in operation or self._delayed in path
            return arrived + self._delay - time.monotonic() if is_delayed else 0

        while seconds_left() > 0:
            self._changed.wait(seconds_left())


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Ignore clients that disconnect, because tests make them do that."""


class _Handler(http.server.BaseHTTPRequestHandler):
    """Handles one connection of a client, with one connection of its own to the target."""

    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of a response in one piece

    def setup(self):
        super().setup()
        self.server.proxy.add_connection(self.connection)
        self.upstream = http.client.HTTPConnection(self.server.proxy.address, timeout=120)

    def finish(self):
        self.upstream.close()
        self.server.proxy.remove_connection(self.connection)
        with contextlib.suppress(OSError):  # the connection was reset
            super().finish()

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        outcome = self.server.proxy.admit(operation_of(self.command, self.path, self.headers),
                                          self.path)
        if outcome in _ERRORS:
            self.respond_with_error(*_ERRORS[outcome])
        elif outcome in ('time-out', 'black hole', 'reset before'):
            self.reset()
        else:
            response = self.forward(body)
            content = response.read()
            if outcome:
                self.reset()
            else:
                self.respond(response.status, response.getheaders(), content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def forward(self, body):
        for is_last in (False, True):
            try:
                self.upstream.putrequest(self.command, self.path, skip_host=True,
                                         skip_accept_encoding=True)
                for name, value in self.headers.items():
                    self.upstream.putheader(name, value)
                self.upstream.endheaders(body or None)
                return self.upstream.getresponse()
            except (http.client.HTTPException, ConnectionError):
                self.upstream.close()  # the server had closed it, because it was idle for long
                if is_last:
                    raise

    def respond(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        # The length in a response to HEAD is that of a body that does not follow.
        length = (dict(headers).get('Content-Length', '0') if self.command == 'HEAD'
                  else str(len(content)))
        self.send_header('Content-Length', length)
        self.end_headers()
        self.wfile.write(content)

    def respond_with_error(self, status, code):
        content = json.dumps({'__type': 'com.amazonaws.dynamodb.v20120810#' + code,
                              'message': 'as ordered'}).encode()
        headers = [('Content-Type', 'application/x-amz-json-1.0'), ('x-amzn-RequestId', 'ORDERED')]
        self.respond(status, headers, content)

    def reset(self):
        self.close_connection = True
        _reset(self.connection)

    def log_message(self, *_):
        pass


def _reset(connection):
    """Close a connection with a reset, as if its machine had crashed."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
