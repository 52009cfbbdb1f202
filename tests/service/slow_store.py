"""A proxy before a local S3 that makes every write take as long as told."""
import http.client
import http.server
import threading
import time

from dev.process import LOOPBACK

__all__ = ['SlowStore']

_HOP_BY_HOP = ('connection', 'keep-alive', 'transfer-encoding', 'content-length')


class SlowStore:
    """Passes everything on to the S3 at a port of 127.0.0.1, a PUT after a pause. seconds: the pause; it may change at any time."""

    def __init__(self, port, seconds):
        self.seconds = seconds
        store = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True

            def pass_on(self):
                body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                if self.command == 'PUT':
                    time.sleep(store.seconds)
                upstream = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
                try:
                    # As it was signed: with the host and the headers that the client wrote.
                    upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        if name.lower() != 'connection':
                            upstream.putheader(name, value)
                    upstream.endheaders(body or None)
                    answer = upstream.getresponse()
                    content = answer.read()
                finally:
                    upstream.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                length = answer.getheader('Content-Length') if self.command == 'HEAD' else None
                self.send_header('Content-Length', length or str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on

            def log_message(self, *arguments):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass  # a client that left

        self._server = Quiet((LOOPBACK, 0), Handler)
        self.url = 'http://%s:%d' % self._server.server_address

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *failure):
        self._server.shutdown()
        self._server.server_close()
