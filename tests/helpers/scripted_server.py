"""A web server in the test process that answers, or misbehaves, as the test demands."""
import http.server
import json
import socket
import struct
import threading
import time


class ScriptedServer:
    """A server on 127.0.0.1 whose answers are functions of its request handler.

    :param answers: path (with its query, else without, else '*') to a function of the handler.
    :param tls: an ssl.SSLContext to serve https, or None.
    :ivar requests: (path, headers) of each request, when its head has arrived.
    :ivar lines: the method and path of each request, such as 'GET /v2/'.
    :ivar bodies: (method, body) of each request except GET and HEAD, when it is complete.
    :ivar connections: how many clients have opened."""

    def __init__(self, answers=None, tls=None):
        self.answers = answers or {}
        self.requests, self.lines, self.bodies, self.connections = [], [], [], 0
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True

            def setup(self):
                super().setup()
                server.connections += 1

            def answer(self):
                server.requests.append((self.path, self.headers))
                server.lines.append('%s %s' % (self.command, self.path))
                if self.command not in ('GET', 'HEAD'):
                    server.bodies.append((self.command, self.body()))
                for path in (self.path, self.path.partition('?')[0], '*'):
                    if path in server.answers:
                        return server.answers[path](self)
                self.send_error(500, 'not expected: ' + self.path)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = answer

            def body(self):
                if self.headers['Transfer-Encoding'] != 'chunked':
                    return self.rfile.read(int(self.headers['Content-Length'] or 0))
                parts, size = [], -1
                while size:
                    size = int(self.rfile.readline(), 16)
                    parts.append(self.rfile.read(size + 2)[:size])
                return b''.join(parts)

            def log_message(self, *arguments):
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True
            # More connections at once than the five that are usual.
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass  # a client that left

        self._server = Quiet(('127.0.0.1', 0), Handler)
        self.port = self._server.server_address[1]
        self.url = '%s://127.0.0.1:%d' % ('https' if tls else 'http', self.port)
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *failure):
        self._server.shutdown()
        self._server.server_close()

    @property
    def paths(self):
        return [path for path, _ in self.requests]


def page(body, status=200, **headers):
    """Return an answer with a body (bytes, text, or a JSON document) and headers (_ becomes -)."""
    if not isinstance(body, (bytes, str)):
        body = json.dumps(body)
    content = body if isinstance(body, bytes) else body.encode()

    def answer(handler):
        handler.send_response(status)
        handler.send_header('Content-Length', str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace('_', '-'), value)
        handler.end_headers()
        if handler.command != 'HEAD':
            handler.wfile.write(content)
    return answer


def error_page(*codes, status=404, **headers):
    """Return the answer of a registry that reports errors with these codes."""
    return page({'errors': [{'code': code, 'message': 'so it is'} for code in codes]}, status,
                **headers)


def late(seconds, answer=page('{}')):
    """Return an answer that comes after some seconds."""
    def slow(handler):
        time.sleep(seconds)
        answer(handler)
    return slow


def drip(in_headers, every=0.05, times=100):
    """Return an answer that comes a byte at a time and never ends."""
    def answer(handler):
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nX-Long: ' if in_headers
                            else b'HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n')
        for _ in range(times):
            handler.wfile.write(b' ')
            handler.wfile.flush()
            time.sleep(every)
    return answer


def reset(handler):
    """Reset the connection instead of answering."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    handler.connection.close()
    handler.close_connection = True
