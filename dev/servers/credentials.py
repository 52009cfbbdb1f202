"""The services that give keys to programs on AWS: the metadata service of an EC2 instance, and the
agent of a container of ECS or of EKS Pod Identity.

    with CredentialsServer() as server:
        environment = local_environment(server.instance_environment())  # or container_environment
        with server.failing('hang'):  # or 'refuse', or a status such as 500
            ...
        server.issue('ASIASECOND', seconds=60)  # server.requests lists the requests

Both listen on one port of 127.0.0.1, in this process. Without keys in the environment, boto3 finds
the server through these variables. Runs on Python 2.7 and 3; standard library only.
"""
from __future__ import absolute_import

import contextlib
import json
import threading
import time

try:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from socketserver import ThreadingMixIn
except ImportError:  # Python 2.7
    from BaseHTTPServer import BaseHTTPRequestHandler, HTTPServer
    from SocketServer import ThreadingMixIn

from dev.servers.process import LOOPBACK

__all__ = ['CredentialsServer']

ROLE, SECRET = 'registry-role', 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
_TOKEN = '/latest/api/token'
_TOKEN_SECONDS, _TOKEN_HEADER = 'X-aws-ec2-metadata-token-ttl-seconds', 'X-aws-ec2-metadata-token'
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
_ROLES = '/latest/meta-data/iam/security-credentials/'
# https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
_CONTAINER = '/v1/credentials'
_NO_KEYS = {'AWS_ACCESS_KEY_ID': '', 'AWS_SECRET_ACCESS_KEY': ''}
_LONGEST_HANG = 60


class CredentialsServer(object):
    """A server that gives keys to programs of this machine. At first, it answers.

    key_id, seconds: as for issue(). A context manager that starts and stops it.
    """

    def __init__(self, key_id='ASIAFIRST', seconds=3600):
        self._changed = threading.Condition()
        #: The (method, path) of each request.
        self.requests = []
        self._fault = self._container_token = self._container_token_file = None
        self.issue(key_id, seconds)
        self._listen(0)
        self.port = self._server.server_address[1]
        self.url = 'http://%s:%d' % (LOOPBACK, self.port)

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.fail('refuse')

    def instance_environment(self):
        """Return the variables of a program on an EC2 instance. By default, boto3 makes each
        request once and waits for a second."""
        return dict(_NO_KEYS, AWS_EC2_METADATA_DISABLED='false',
                    AWS_EC2_METADATA_SERVICE_ENDPOINT=self.url + '/')

    def container_environment(self, token=None, token_file=None):
        """Return the variables of a program in a container. The server then requires the token.

        token: an authorization token. token_file: the path of a file with one, as on EKS; the old
        boto3 of Python 2.7 cannot read it.
        """
        self._container_token, self._container_token_file = token, token_file
        variables = dict(_NO_KEYS, AWS_CONTAINER_CREDENTIALS_FULL_URI=self.url + _CONTAINER)
        if token_file:
            variables['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'] = str(token_file)
        elif token:
            variables['AWS_CONTAINER_AUTHORIZATION_TOKEN'] = token
        return variables

    def issue(self, key_id, seconds=3600):
        """From now on, give keys with this access key ID.

        seconds: from now until the keys expire; negative for keys that have expired.
        """
        expiration = time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + seconds))
        self._keys = {
            'AccessKeyId': key_id, 'SecretAccessKey': SECRET, 'Token': 'token-of-' + key_id,
            'Expiration': expiration}

    def fail(self, fault):
        """From now on, fail: 'refuse' connections, 'hang', or answer each request with a status,
        such as 500 or 404. None to answer again."""
        with self._changed:
            before, self._fault = self._fault, fault
            self._changed.notify_all()
        if fault == 'refuse' and before != 'refuse':
            self._server.shutdown()
            self._server.server_close()
        elif before == 'refuse' and fault != 'refuse':
            self._listen(self.port)

    @contextlib.contextmanager
    def failing(self, fault):
        """In the block, fail as after fail(); then answer again."""
        self.fail(fault)
        try:
            yield
        finally:
            self.fail(None)

    def answer(self, method, path, headers):
        """Return (status, text) for a request, or None to close the connection."""
        self.requests.append((method, path))
        with self._changed:
            fault = self._fault
            if fault in ('hang', 'refuse'):
                end = time.time() + _LONGEST_HANG
                while self._fault == fault and time.time() < end:
                    self._changed.wait(1)
                return None
        if fault is not None:
            return fault, 'as ordered'
        if path == _CONTAINER:
            return self._container_answer(headers)
        return self._instance_answer(method, path, headers)

    def _instance_answer(self, method, path, headers):
        if path == _TOKEN:
            return (200, 'session') if method == 'PUT' and headers.get(_TOKEN_SECONDS) else (
                400, 'a PUT with a time to live is required')
        if headers.get(_TOKEN_HEADER) != 'session':
            return 401, 'Unauthorized'
        if path == _ROLES:
            return 200, ROLE
        if path == _ROLES + ROLE:
            return 200, json.dumps(dict(
                self._keys, Code='Success', Type='AWS-HMAC', LastUpdated='2024-01-01T00:00:00Z'))
        return 404, 'not found'

    def _container_answer(self, headers):
        wanted = self._container_token
        if self._container_token_file:
            with open(str(self._container_token_file)) as source:
                wanted = source.read()
        if wanted and headers.get('Authorization') != wanted:
            return 401, json.dumps({'code': 'AccessDeniedException', 'message': 'wrong token'})
        return 200, json.dumps(dict(
            self._keys, RoleArn='arn:aws:iam::123456789012:role/' + ROLE))

    def _listen(self, port):
        self._server = _Server((LOOPBACK, port), _Handler)
        self._server.answer = self.answer
        thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        thread.daemon = True
        thread.start()


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Ignore clients that disconnect, because they stop waiting."""


class _Handler(BaseHTTPRequestHandler):
    """Answers one request of a connection, and closes it, so that none survives a fault."""

    def handle_any(self):
        answer = self.server.answer(self.command, self.path, self.headers)
        if answer is None:
            return
        status, text = answer
        content = text.encode('ascii')
        self.send_response(status)
        self.send_header('Content-Length', str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = handle_any

    def log_message(self, *_):
        pass
