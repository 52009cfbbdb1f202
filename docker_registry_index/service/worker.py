"""gunicorn's worker with threads, which no client holds up.

gunicorn gives a connection to a thread at the first byte and waits for the
rest without an end, and looks at no connection any more when there are too
many. Here a thread gets a request whose head is whole; a connection that
says nothing is closed after a time, and sooner where another one comes.

It builds on what gunicorn 23 has inside, as the versions before.
"""

from __future__ import unicode_literals

import collections
import errno
import selectors
import socket
import sys
import time
from functools import partial

from gunicorn.workers.gthread import ThreadWorker

from .connection import Connection

__all__ = ['CONNECTIONS', 'Worker']

#: Connections at once: half of what a process may usually open, and twice
#: the most threads.
CONNECTIONS = 512
_NOBODY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR)


class Worker(ThreadWorker):
    """See the module."""

    def __init__(self, *arguments, **more):
        super(Worker, self).__init__(*arguments, **more)
        # At its limit the loop would look at nothing: ours is in accept.
        self._limit, self.worker_connections = (
            self.worker_connections, sys.maxsize)
        # Those without a whole head, the oldest first. Those that have had
        # an answer are in _keep, until the next request begins. Threads
        # end connections, too.
        self._watched = collections.OrderedDict()
        self._looked_at = 0

    def accept(self, server, listener):
        """Take a connection, at the expense of the oldest that is idle."""
        try:
            sock, client = listener.accept()
        except OSError as error:
            if error.errno not in _NOBODY and not self._drop_oldest():
                # No file is left, and none of ours can be spared.
                self.log.error('no connection can be taken: %s', error)
                time.sleep(0.1)
            return
        if self.nr_conns >= self._limit and not self._drop_oldest():
            sock.close()
            return
        self.nr_conns += 1
        conn = Connection(self.cfg, sock, client, server)
        self._watch(conn)

    def on_client_socket_readable(self, conn, client):
        """Read on; with the head of a request, a thread goes on."""
        with self._lock:
            if conn in self._keep:
                self._keep.remove(conn)
                conn.expect_head()
                self._watched[conn] = None
            elif conn not in self._watched:
                # It was dropped after it had been seen.
                return
        is_whole = conn.read()
        if is_whole:
            self._unwatch(conn)
            self.enqueue_req(conn)
        elif is_whole is not None:
            self._drop(conn)

    def murder_keepalived(self):
        """Close those whose time is over."""
        super(Worker, self).murder_keepalived()
        now = time.monotonic()
        if now < self._looked_at + 1:
            return
        self._looked_at = now
        with self._lock:
            late = [conn for conn in self._watched if conn.until <= now]
        for conn in late:
            self._drop(conn)

    def handle_request(self, req, conn):
        conn.watch_body(req)
        try:
            return super(Worker, self).handle_request(req, conn)
        except socket.timeout:
            self.log.debug('a client does not take its answer')
            return False

    def finish_request(self, fs):
        """As gunicorn; where a client may still be sending, it is heard."""
        conn = fs.conn
        if self.alive and not fs.cancelled() and conn.is_left:
            try:
                conn.begin_to_end()
                self._watch(conn)
                return
            except Exception:
                # It has ended, or we have.
                pass
        super(Worker, self).finish_request(fs)

    def handle_exit(self, sig, frame):
        """Stop what goes on in the background beside what is answered: both
        have the same time."""
        super(Worker, self).handle_exit(sig, frame)
        self.app.begin_to_stop()

    def handle_quit(self, sig, frame):
        """The same: gunicorn would leave from within whatever is under way,
        and could wait for a lock that it holds itself."""
        self.handle_exit(sig, frame)

    def _watch(self, conn):
        with self._lock:
            self.poller.register(
                conn.sock, selectors.EVENT_READ,
                partial(self.on_client_socket_readable, conn))
            self._watched[conn] = None

    def _unwatch(self, conn):
        with self._lock:
            del self._watched[conn]
            self.poller.unregister(conn.sock)

    def _drop(self, conn):
        self._unwatch(conn)
        self.nr_conns -= 1
        conn.close()

    def _drop_oldest(self):
        """Close a connection that is idle; whether there was one."""
        with self._lock:
            if not self._watched and self._keep:
                self._watched[self._keep.popleft()] = None
            if not self._watched:
                return False
            self._drop(next(iter(self._watched)))
        return True
