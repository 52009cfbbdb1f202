"""Requests to a registry: bounded in time and size, with credentials.

Nothing here knows what the answers mean.
"""

from __future__ import unicode_literals

import base64
import json
import time
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import requests.adapters
import urllib3

from ...engine.concurrency import SingleFlight
from .errors import CredentialsRefused, RegistryUnavailable
from .tokens import Tokens, challenge_of, token_url
from .problems import problem_of

__all__ = ['Answer', 'Connection']

_CHUNK = 16 * 1024
_REDIRECTS = 5


class Answer(object):
    """What came back.

    :param url: where from, after redirects.
    :param body: bytes; None when there were more than allowed.
    """

    def __init__(self, url, status, headers, body, was_redirected):
        self.url = url
        self.status = status
        self.headers = headers
        self.body = body
        self.was_redirected = was_redirected

    def json(self):
        """The decoded body; None where it is not JSON."""
        try:
            return json.loads((self.body or b'').decode('utf-8'))
        except (ValueError, RecursionError):
            return None


class Connection(object):
    """A registry's address, with a pool of connections to it.

    Safe from several threads. Neither proxies nor credentials are taken
    from the environment or ~/.netrc: all there is stands in the settings.
    See RegistryClient for the arguments.
    """

    def __init__(self, url, username, password, ca_file, connect_timeout,
                 read_timeout, pool):
        parts = urlsplit(url.rstrip('/'))
        host = parts.netloc.rpartition('@')[2]
        #: Without credentials: they would end up in messages.
        self.url = urlunsplit((parts.scheme, host, parts.path, '', ''))
        self._basic = _basic(
            unquote(parts.username) if parts.username and not username
            else username, password or unquote(parts.password or ''))
        self._timeouts = connect_timeout, read_timeout
        # A second attempt takes time that a caller in a hurry has not got.
        self._patient = _session(ca_file, pool, 1)
        self._hasty = _session(ca_file, pool, 0)
        self._tokens = Tokens()
        self._wants_bearer = False

    def get(self, url, scope, accept, limit, timeout=None, read_timeout=None):
        """GET, as the user of the settings.

        :param scope: of the token, where the registry wants one.
        :param limit: how many bytes of the body are read at most.
        :param timeout: seconds for all of it.
        :param read_timeout: seconds for the first byte, if not the usual.
        :raises RegistryUnavailable: no answer in time; or its kind
            CredentialsRefused.
        """
        read_timeout = read_timeout or self._timeouts[1]
        session, total = self._hasty, max(0, timeout or 0)
        if timeout is None:
            session = self._patient
            total = 2 * self._timeouts[0] + 3 * read_timeout
        request = _Request(session, self._timeouts[0], read_timeout, total,
                           limit)
        try:
            return _within(total, lambda: self._authorized(
                request, url, scope, accept))
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise RegistryUnavailable(
                url.partition('?')[0], problem_of(error, total))

    def _authorized(self, request, url, scope, accept):
        sent = self._authorization(scope)
        answer = request.send(url, accept, sent)
        # A challenge of anybody else must not lead our password anywhere.
        if answer.status == 401 and not answer.was_redirected:
            challenge = challenge_of(answer.headers.get('WWW-Authenticate'))
            if challenge is not None:
                self._wants_bearer = True
                sent = 'Bearer ' + self._token(request, challenge, scope)
                answer = request.send(url, accept, sent)
            elif sent != self._basic:
                # It wants tokens no more.
                self._wants_bearer = False
                answer = request.send(url, accept, self._basic)
        if answer.status in (401, 403) and not answer.was_redirected:
            raise CredentialsRefused(url.partition('?')[0], answer.status,
                                     bool(self._basic))
        return answer

    def _authorization(self, scope):
        if self._wants_bearer:
            token = self._tokens.get(scope)
            return token and 'Bearer ' + token
        return self._basic

    def _token(self, request, challenge, scope):
        url = token_url(challenge, scope, self.url)
        if url is None:
            raise RegistryUnavailable(
                self.url, 'sends password holders to %.100r, which is not '
                'https' % challenge.get('realm'),
                "correct the realm in the registry's own configuration")
        answer = request.send(url, 'application/json', self._basic)
        shown = url.partition('?')[0]
        if answer.status in (401, 403):
            raise CredentialsRefused(shown, answer.status, bool(self._basic))
        try:
            return self._tokens.keep(scope, answer.json())
        except ValueError:
            raise RegistryUnavailable(
                shown, 'gives no token (status %d)' % answer.status)


class _Request(object):
    """What all the requests of one call share: time, size, session."""

    def __init__(self, session, connect_timeout, read_timeout, total, limit):
        self._session = session
        self._timeouts = connect_timeout, read_timeout
        self._deadline = time.monotonic() + total
        self._limit = limit

    def send(self, url, accept, authorization):
        headers = {'Accept': accept, 'Accept-Encoding': 'identity'}
        if authorization:
            headers['Authorization'] = authorization
        left = self._left()
        with self._session.get(
                url, headers=headers, stream=True,
                timeout=tuple(min(each, left) for each in self._timeouts)
                ) as response:
            return Answer(response.url, response.status_code,
                          response.headers, self._body(response),
                          bool(response.history))

    def _body(self, response):
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > self._limit:
                return None
            self._left()
        return bytes(body)

    def _left(self):
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout()
        return left


def _within(seconds, call):
    """What a call returns, or raises; Timeout where it takes longer.

    In a thread of its own: name servers, and peers that send a byte now and
    then, know no other bound.
    """
    answers = []
    if not SingleFlight(lambda: answers.append(call())).wait(seconds):
        raise requests.Timeout()
    return answers[0]


def _basic(username, password):
    if not username:
        return None
    pair = '%s:%s' % (username, password or '')
    return 'Basic ' + base64.b64encode(pair.encode('utf-8')).decode('ascii')


def _session(ca_file, pool, attempts_more):
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file or True
    session.max_redirects = _REDIRECTS
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = requests.adapters.HTTPAdapter(
        pool_connections=pool, pool_maxsize=pool,
        max_retries=urllib3.Retry(total=attempts_more, connect=attempts_more,
                                  read=False, redirect=False, status=0,
                                  other=False))
    session.mount('http://', adapter)
    session.mount('https://', adapter)
    return session
