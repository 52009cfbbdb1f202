"""An HTTP server of a test's own, in this process, that writes down what it is asked."""
import hashlib
import http.server
import json
import threading

from dev.servers.process import LOOPBACK

_SHORT = 64 * 1024


class StandIn(http.server.ThreadingHTTPServer):
    """Answers everything with 200 and its name (or `answers`), and keeps (method, path as it was
    sent, headers, SHA-256 of the body).

    `bodies` keeps the bodies that are shorter than 64 KB. answers: dictionary of paths, without
    their queries, to what they answer, JSON.
    """

    daemon_threads = True

    def __init__(self, name, port=0, answers=None):
        super().__init__((LOOPBACK, port), _Answer)
        self.name, self.answers = name, answers or {}
        self.seen, self.bodies, self.connections = [], [], 0
        self.first_byte = threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def process_request(self, request, address):
        self.connections += 1
        super().process_request(request, address)

    def handle_error(self, request, address):
        pass  # nginx has closed an idle connection

    def close(self):
        self.shutdown()
        self.server_close()


class _Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self):
        digest, kept = hashlib.sha256(), b''
        for part in self.body():
            self.server.first_byte.set()
            digest.update(part)
            kept = (kept + part)[:_SHORT]
        self.server.bodies.append(kept if len(kept) < _SHORT else None)
        self.server.seen.append((self.command, self.path, self.headers, digest.hexdigest()))
        path = self.path.split('?')[0]
        content = (json.dumps(self.server.answers[path]) if path in self.server.answers
                   else self.server.name).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content if self.command != 'HEAD' else b'')

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer

    def body(self):
        if self.headers.get('Transfer-Encoding') == 'chunked':
            while True:
                size = int(self.rfile.readline(), 16)
                part = self.rfile.read(size)
                self.rfile.readline()
                if not size:
                    return
                yield part
        left = int(self.headers.get('Content-Length', 0))
        while left:
            part = self.rfile.read(min(left, _SHORT))
            left -= len(part)
            yield part

    def log_message(self, *arguments):
        pass
