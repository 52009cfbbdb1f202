"""A proxy before a local S3 or DynamoDB that changes nothing and counts what passes.

    with CountingProxy(aws.url) as s3, Distribution(s3_storage(s3.url, 'images')) as registry:
        ...  # s3.counts['LIST'], s3.total

Listens on 127.0.0.1 only. Runs on Python 3; standard library only.
"""
import collections
import http.client
import http.server
import threading
from urllib.parse import parse_qs, urlsplit

from dev.process import LOOPBACK

__all__ = ['CountingProxy', 'kind_of']

_HOP_BY_HOP = ('connection', 'keep-alive', 'transfer-encoding', 'content-length')
# What only a GET of a bucket has: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjects.html
_OF_A_LIST = {'list-type', 'prefix', 'delimiter', 'marker', 'max-keys'}


def kind_of(method, path, headers):
    """Return what a request is: DynamoDB's operation, LIST, or else its method."""
    target = headers.get('X-Amz-Target')
    if target:
        return target.rpartition('.')[2]
    return 'LIST' if method == 'GET' and _OF_A_LIST & set(parse_qs(urlsplit(path).query, keep_blank_values=True)) else method


class CountingProxy:
    """A proxy before the server at `target`, a URL of 127.0.0.1; it runs inside a `with`. It keeps one connection for each of its clients'."""

    def __init__(self, target):
        self.address = urlsplit(target).netloc
        self._counts = collections.Counter()
        self._lock = threading.Lock()
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]
        self.url = 'http://%s:%d' % (LOOPBACK, self.port)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *failure):
        self._server.shutdown()
        self._server.server_close()

    @property
    def counts(self):
        """How many requests of each kind have come: a Counter of one's own."""
        with self._lock:
            return self._counts.copy()

    @property
    def total(self):
        """How many requests have come."""
        return sum(self.counts.values())

    def clear(self):
        """Count from 0 on."""
        with self._lock:
            self._counts.clear()

    def note(self, kind):
        """Count a request, before it is passed on."""
        with self._lock:
            self._counts[kind] += 1


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """Clients go away."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one piece

    def setup(self):
        super().setup()
        self.upstream = http.client.HTTPConnection(self.server.proxy.address, timeout=120)

    def finish(self):
        self.upstream.close()
        super().finish()

    def handle_one(self):
        self.server.proxy.note(kind_of(self.command, self.path, self.headers))
        body = self.rfile.read(int(self.headers.get('Content-Length', 0)))
        answer = self.answer_to(body)
        content = answer.read()
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        # The length that a HEAD tells is that of a body it does not bring.
        self.send_header('Content-Length', answer.getheader('Content-Length', '0') if self.command == 'HEAD' else str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def answer_to(self, body):
        for is_last in (False, True):
            try:
                self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    self.upstream.putheader(name, value)
                self.upstream.endheaders(body or None)
                return self.upstream.getresponse()
            except (http.client.HTTPException, ConnectionError):
                self.upstream.close()  # idle for long, it was closed by the server
                if is_last:
                    raise

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = handle_one

    def log_message(self, *_):
        pass
