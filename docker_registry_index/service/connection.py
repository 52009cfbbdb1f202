"""A connection of a client: the head of a request is read as it comes, and
nobody waits for it; what was left of a body is known."""

from __future__ import unicode_literals

import socket
import time

from gunicorn.workers.gthread import TConn

__all__ = ['Body', 'Connection']

#: Seconds for the whole head of a request, for each read of a body, and for
#: a client to take an answer.
SECONDS = 15
#: Seconds for what a client still sends when it has had its answer. To
#: close at once would reset the connection, and the answer be lost.
_LINGER = 3
#: More than the proxies before it let pass.
_HEAD_BYTES = 64 * 1024
_TOO_LARGE = (b'HTTP/1.1 431 Request Header Fields Too Large\r\n'
              b'Connection: close\r\nContent-Length: 0\r\n\r\n')


class Connection(TConn):
    """One of gunicorn's connections, with a time for all that is awaited.

    :ivar until: when it is closed, by the monotonic clock, if what it waits
        for has not come.
    """

    def __init__(self, cfg, sock, client, server):
        super(Connection, self).__init__(cfg, sock, client, server)
        # Who is gone without a word is found out.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._head = b''
        self._body = None
        self._is_ending = False
        self.expect_head()

    def expect_head(self):
        """The time for the head of a request begins now."""
        self.until = time.monotonic() + SECONDS

    def read(self):
        """Take what has come, and never wait.

        :returns: True when a head is whole, None when something is missing,
            False when the connection is of no use any more.
        """
        try:
            data = self.sock.recv(_HEAD_BYTES)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return False
        if not data:
            return False
        if self._is_ending:
            return None
        # The end may have come in two parts.
        start = max(0, len(self._head) - 3)
        self._head += data
        if self._head.find(b'\r\n\r\n', start) >= 0:
            return True
        if len(self._head) < _HEAD_BYTES:
            return None
        self._refuse()
        return False

    def init(self):
        """Be ready for the parser, which has the head at once."""
        super(Connection, self).init()
        self.sock.settimeout(SECONDS)
        self.parser.unreader.unread(self._head)
        self._head = b''

    def watch_body(self, req):
        """Have the answer say that the connection is closed, and close it,
        when the body of this request was not read: what is left of it would
        be taken for the next request, or be waited for.

        :param req: a request that gunicorn has parsed.
        """
        body = self._body = req.body = Body(req.body, req.headers)
        should_close = req.should_close
        req.should_close = lambda: not body.is_read or should_close()

    @property
    def is_left(self):
        """Whether the client may still be sending what nobody reads."""
        return self._body is not None and not self._body.is_read

    def begin_to_end(self):
        """Send no more, and take for a moment what still comes.

        :raises OSError: it has ended already.
        """
        self._is_ending = True
        self.sock.setblocking(False)
        self.sock.shutdown(socket.SHUT_WR)
        self.until = time.monotonic() + _LINGER

    def _refuse(self):
        try:
            self.sock.send(_TOO_LARGE)
        except OSError:
            pass


class Body(object):
    """The body of a request, and whether it was read to its end.

    :param body: as gunicorn gives it to applications.
    :param headers: of the request: (NAME, value) pairs.
    """

    def __init__(self, body, headers):
        self._body = body
        given = dict(headers)
        self.is_read = ('TRANSFER-ENCODING' not in given and
                        given.get('CONTENT-LENGTH', '0').strip('0') == '')

    def read(self, size=None):
        """As of a file; it says the end when it gives less than wanted."""
        data = self._body.read(size)
        if size is None or size < 0 or len(data) < size:
            self.is_read = True
        return data

    def __getattr__(self, name):
        return getattr(self._body, name)

    def __iter__(self):
        return iter(self._body)
