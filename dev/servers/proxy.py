"""Proxy, which counts, delays, refuses, drops or fails the requests between two real programs.

    with Proxy(aws.url) as s3, Distribution(s3_storage(s3.url, 'images')) as registry:
        ...  # s3.counts['LIST'], s3.total

    with Proxy(dynamodb.url) as proxy, proxy.denying('DeleteItem'), proxy.unprocessed(0.5):
        ...  # what DynamoDB on AWS refuses: also rejecting, throttling; proxy.outcomes

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
import zlib
from urllib.parse import parse_qs, urlsplit

from dev.servers.dynamodb_refusals import (
    BATCHES, Refusals, Throttled, refusal, rights, split_batch, throttled_batch)
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
        self._rights = set()
        self._delay, self._delayed = 0, ''
        self._share, self._kinds = 0, FAULTS
        self._dropped = ()
        self._unanswered = None
        self._refusals, self._unprocessed = Refusals(), 0
        self._pieces, self._seconds_between, self._slow = 1, 0, ''
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
        """The number of requests with each of FAULTS, in a 'black hole', 'denied', 'rejected',
        'throttled', 'unprocessed' (in part), or 'passed', a new Counter."""
        with self._changed:
            return self._outcomes.copy()

    @property
    def rights(self):
        """The rights that all requests to DynamoDB needed, a new set of (IAM action, table)."""
        with self._changed:
            return set(self._rights)

    @property
    def total(self):
        """The number of all requests."""
        return sum(self.counts.values())

    def clear(self):
        """Reset all counts to 0."""
        with self._changed:
            self._counts.clear()
            self._outcomes.clear()
            self._rights.clear()

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
        with self._changed_to(_share=share, _kinds=kinds):
            yield

    @contextlib.contextmanager
    def black_hole(self, operation=''):
        """In the block, accept connections and never answer requests.

        operation: leave only requests of this operation unanswered, such as 'Query'.
        """
        with self._changed_to(_unanswered=operation):
            yield

    @contextlib.contextmanager
    def denying(self, *actions):
        """In the block, DynamoDB denies these IAM actions, such as 'DeleteItem', also inside of
        transactions."""
        with self._refusing(denied=self._refusals.denied | set(actions)):
            yield

    @contextlib.contextmanager
    def granting(self, granted):
        """In the block, DynamoDB denies all rights but these, pairs of IAM action and table, also
        inside of transactions. See rights_of() in dynamodb_refusals."""
        with self._refusing(granted=frozenset(granted)):
            yield

    @contextlib.contextmanager
    def rejecting(self, key_id, code='ExpiredTokenException'):
        """In the block, DynamoDB rejects requests that are signed with this access key ID.

        code: 'ExpiredTokenException' or 'UnrecognizedClientException'.
        """
        with self._refusing(rejected=dict(self._refusals.rejected, **{key_id: code})):
            yield

    @contextlib.contextmanager
    def throttling(self, table, key=None, is_on_demand=False):
        """In the block, DynamoDB throttles a table, or the items of one key: requests and
        transactions that name one fail, and batches leave them unprocessed.

        key: typed attributes, such as {'gram': {'S': 'sa'}}; the partition key alone stands for all
        of its items. is_on_demand: the error is that of an on-demand table.
        """
        throttled = Throttled(table, key, is_on_demand)
        with self._refusing(throttled=self._refusals.throttled + (throttled,)):
            yield

    @contextlib.contextmanager
    def unprocessed(self, share):
        """In the block, batches leave this share of their items unprocessed, at random; 1 for all
        but one. So every item is processed in the end."""
        with self._changed_to(_unprocessed=share):
            yield

    @contextlib.contextmanager
    def dropping(self, *parameters):
        """In the block, remove parameters from the query of each request, as if the server did not
        support them."""
        with self._changed_to(_dropped=parameters):
            yield

    @contextlib.contextmanager
    def slow_bodies(self, pieces, seconds, only=''):
        """In the block, each response arrives in so many pieces, with pauses of so many seconds
        between them.

        only: a part of the operation or of the path.
        """
        with self._changed_to(_pieces=pieces, _seconds_between=seconds, _slow=only):
            yield

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

    @contextlib.contextmanager
    def _changed_to(self, **options):
        before = {name: getattr(self, name) for name in options}
        self._change(**options)
        try:
            yield
        finally:
            self._change(**before)

    def _refusing(self, **changed):
        return self._changed_to(_refusals=self._refusals._replace(**changed))

    def add_connection(self, connection):
        """Remember a connection, to reset it in close()."""
        with self._changed:
            self._connections.add(connection)

    def remove_connection(self, connection):
        """Forget a connection that has ended."""
        with self._changed:
            self._connections.discard(connection)

    def admit(self, operation, path):
        """Count a request and its fault; return the fault, or None, once the request may be passed
        on. A request in a black hole waits until the options change."""
        arrived = time.monotonic()
        with self._changed:
            self._counts[operation] += 1
            outcome = self._outcome(operation)
            if outcome:
                self._outcomes[outcome] += 1
            if outcome in ('time-out', 'black hole'):
                generation = self._generation
                self._changed.wait_for(lambda: self._generation is not generation, _LONGEST_HANG)
            else:
                self._pause(arrived, operation, path)
        return outcome

    def refuse(self, operation, headers, document):
        """Return (outcome, error code, message, fields) if DynamoDB refuses a request. Otherwise
        return ('passed' or 'unprocessed', the RequestItems to process, those to leave out)."""
        with self._changed:
            refusals, share = self._refusals, self._unprocessed
            self._rights.update(rights(operation, document))
            found = refusal(refusals, operation, headers.get('Authorization'), document)
            if found is None and operation in BATCHES:
                chosen, left_out = split_batch(
                    refusals, operation, document, lambda: self._random.random() < share)
                found = (('unprocessed' if left_out else 'passed', chosen, left_out) if chosen
                         else throttled_batch(refusals, operation, document))
            return found or ('passed', None, None)

    def known(self, path):
        """Return the path of a request without the dropped parameters."""
        with self._changed:
            dropped = self._dropped
        path, mark, query = path.partition('?')
        return path + mark + '&'.join(pair for pair in query.split('&')
                                      if pair.partition('=')[0] not in dropped)

    def note(self, outcome):
        """Count the outcome of a request that admit() has found no fault for."""
        with self._changed:
            self._outcomes[outcome] += 1

    def pieces(self, operation, path):
        """Return the pieces of the response to a request, and the seconds between them."""
        with self._changed:
            is_slow = self._slow in operation or self._slow in path
            return (self._pieces if is_slow else 1), self._seconds_between

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
        self.operation = operation_of(self.command, self.path, self.headers)
        fault = self.server.proxy.admit(self.operation, self.path)
        if fault in _ERRORS:
            status, code = _ERRORS[fault]
            self.respond_with_error(status, code, 'as ordered')
        elif fault in ('time-out', 'black hole', 'reset before'):
            self.reset()
        elif fault:
            self.pass_on(body, fault)
        else:
            self.handle_without_fault(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

    def handle_without_fault(self, body):
        outcome, *found = (
            self.server.proxy.refuse(self.operation, self.headers, json.loads(body))
            if 'X-Amz-Target' in self.headers else ['passed'])
        self.server.proxy.note(outcome)
        if outcome == 'passed':
            self.pass_on(body)
        elif outcome == 'unprocessed':
            self.pass_on_in_part(body, *found)
        else:
            code, message, fields = found
            self.respond_with_error(400, code, message, **fields)

    def pass_on(self, body, fault=None):
        response = self.forward(body)
        content = response.read()
        if fault:
            self.reset()
        else:
            self.respond(response.status, response.getheaders(), content)

    def pass_on_in_part(self, body, chosen, left_out):
        """Forward a part of a batch, and add the rest to what the server left out itself."""
        response = self.forward(json.dumps(dict(json.loads(body), RequestItems=chosen)).encode())
        content = response.read()
        if response.status == 200:
            document = json.loads(content)
            field = BATCHES[self.operation]
            for table, wanted in document.get(field, {}).items():
                if self.operation == 'BatchGetItem':
                    wanted['Keys'] += left_out.get(table, {}).get('Keys', [])
                else:
                    wanted += left_out.get(table, [])
                left_out[table] = wanted
            document[field] = left_out
            content = json.dumps(document).encode()
        headers = [(name, value) for name, value in response.getheaders()
                   if name.lower() != 'x-amz-crc32']
        checksum = str(zlib.crc32(content) & 0xffffffff)
        self.respond(response.status, headers + [('x-amz-crc32', checksum)], content)

    def forward(self, body):
        for is_last in (False, True):
            try:
                self.upstream.putrequest(self.command, self.server.proxy.known(self.path),
                                         skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() != 'content-length':
                        self.upstream.putheader(name, value)
                if 'Content-Length' in self.headers:
                    self.upstream.putheader('Content-Length', str(len(body)))
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
        pieces, seconds = self.server.proxy.pieces(self.operation, self.path)
        size = max(1, -(-len(content) // pieces))
        for start in range(0, len(content), size):
            if start:
                self.wfile.flush()
                time.sleep(seconds)
            self.wfile.write(content[start:start + size])

    def respond_with_error(self, status, code, message, **fields):
        content = json.dumps(dict(fields, __type='com.amazonaws.dynamodb.v20120810#' + code,
                                  message=message)).encode()
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
