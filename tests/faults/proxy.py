"""A proxy before a DynamoDB that answers as asked, not at all, or with faults in a share of all cases."""
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

__all__ = ['Proxy', 'FAULTS']

#: What may happen to a request: refused for a while, failed, never answered (not done), cut off before it was done, cut off after it was done.
FAULTS = ('throttle', 'server error', 'time-out', 'reset before', 'reset after')

_CODES = {'throttle': (400, 'ProvisionedThroughputExceededException'), 'server error': (500, 'InternalServerError')}
_HOP_BY_HOP = ('connection', 'keep-alive', 'transfer-encoding')
_LONGEST_HANG = 60


class Proxy(object):
    """A proxy on 127.0.0.1. Everything passes at first.

    :param target: the URL of a DynamoDB.
    :param seed: of the choice of faults.
    """

    def __init__(self, target, seed=1):
        self._host, port = target.split('//')[1].split(':')
        self._port = int(port)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._connections = set()
        self._changed = threading.Event()
        self._share = 0
        self._hangs = False
        #: How many requests met which fault, or none ('passed').
        self.counts = collections.Counter()
        self._listen(0)
        self.port = self._server.server_address[1]
        self.url = 'http://127.0.0.1:%d' % self.port

    @contextlib.contextmanager
    def faults(self, share):
        """Inside the block, this share of all requests meets a fault."""
        self._share = share
        yield
        self._share = 0
        self._wake()

    @contextlib.contextmanager
    def black_hole(self, operation=None):
        """Inside the block connections are taken and nothing is ever answered; no requests of one operation, as 'Query', where that is given."""
        self._hangs = operation or True
        yield
        self._hangs = False
        self._wake()

    @contextlib.contextmanager
    def refusing(self):
        """Inside the block connections are refused."""
        self.close()
        yield
        self._listen(self.port)

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _reset(connection)
        self._wake()

    def _listen(self, port):
        self._server = _Server(('127.0.0.1', port), _Handler)
        self._server.proxy = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _wake(self):
        changed, self._changed = self._changed, threading.Event()
        changed.set()

    def fault(self, operation):
        """Choose what happens to a request of this operation: one of FAULTS, 'black hole' or None."""
        with self._lock:
            fault = None
            if self._hangs in (True, operation):
                fault = 'black hole'
            elif self._random.random() < self._share:
                fault = self._random.choice(FAULTS)
            self.counts[fault or 'passed'] += 1
            return fault

    def wait(self):
        """Wait until another mode begins."""
        self._changed.wait(_LONGEST_HANG)

    def slow_writes(self, seconds):
        """From here on, each transaction is made after so many seconds: a load takes long."""
        forward = self.forward

        def slowly(handler, body):
            if 'TransactWrite' in handler.headers['X-Amz-Target']:
                time.sleep(seconds)
            return forward(handler, body)

        self.forward = slowly

    def forward(self, handler, body):
        """Return (status, headers, body) of the real answer."""
        upstream = http.client.HTTPConnection(self._host, self._port, timeout=60)
        try:
            upstream.request(handler.command, handler.path, body, dict(handler.headers))
            answer = upstream.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            upstream.close()


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients go away; that is what this is about."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def setup(self):
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.server.proxy._lock:
            self.server.proxy._connections.add(self.connection)

    def finish(self):
        with self.server.proxy._lock:
            self.server.proxy._connections.discard(self.connection)
        super().finish()

    def do_POST(self):
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        fault = proxy.fault(self.headers.get('X-Amz-Target', '').rpartition('.')[2])
        if fault in _CODES:
            status, code = _CODES[fault]
            told = json.dumps({'__type': 'com.amazonaws.dynamodb.v20120810#' + code, 'message': 'as ordered'}).encode()
            self._answer(status, [('Content-Type', 'application/x-amz-json-1.0'), ('x-amzn-RequestId', 'ORDERED')], told)
        elif fault in ('time-out', 'black hole'):
            proxy.wait()
            self._cut()
        elif fault == 'reset before':
            self._cut()
        else:
            answer = proxy.forward(self, body)
            self._cut() if fault else self._answer(*answer)

    do_GET = do_POST

    def _answer(self, status, headers, body):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP + ('content-length',):
                self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _cut(self):
        self.close_connection = True
        _reset(self.connection)

    def log_message(self, *_):
        pass


def _reset(connection):
    """Close with a reset, as a machine does that died."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
