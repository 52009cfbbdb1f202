"""A proxy before a registry that is as slow as told, or says nothing at all."""
import http.client
import time

from tests.service.odd_server import OddServer

__all__ = ['SlowRegistry']

_HOP_BY_HOP = ('connection', 'keep-alive', 'transfer-encoding', 'content-length')


class SlowRegistry(OddServer):
    """Passes GETs on to the registry at a port of 127.0.0.1, after a pause.

    seconds: the pause. of: only paths that hold this text are slow. Both may change at any time.
    """

    def __init__(self, port, seconds=0, of=''):
        super().__init__({'*': self._pass})
        self._port, self.seconds, self.of = port, seconds, of

    def _pass(self, handler):
        if self.of in handler.path:
            started = time.monotonic()
            while time.monotonic() < started + self.seconds:
                time.sleep(0.01)
        upstream = http.client.HTTPConnection('127.0.0.1', self._port, timeout=30)
        try:
            upstream.request('GET', handler.path, headers=dict(handler.headers))
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        handler.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                handler.send_header(name, value)
        handler.send_header('Content-Length', str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)
