"""Requests to a registry: bounded in time and size, with credentials.

Nothing here knows what the answers mean.
"""

from __future__ import annotations

import base64
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import requests.adapters
import urllib3

from ...engine.concurrency import SingleFlight
from .errors import CredentialsRefused, RegistryUnavailable
from .tokens import Tokens, challenge_of, token_url

__all__ = ['Answer', 'Connection', 'new_session']

_CHUNK = 16 * 1024
_ADDRESS = re.compile(r'https?://\S+|\?\S+')


@dataclass(frozen=True)
class Answer:
    """What a server answered.

    :param url: the address that answered, after redirects.
    :param body: None if it is longer than allowed.
    """

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes | None
    was_redirected: bool

    def json(self) -> Any:
        """The decoded body; None if it is not JSON."""
        try:
            return json.loads((self.body or b'').decode('utf-8'))
        except (ValueError, RecursionError):
            return None


class Connection:
    """The address of a registry, with a pool of connections to it.

    Safe to use from several threads. See RegistryClient for the arguments.
    """

    def __init__(self, url: str, username: str | None, password: str | None, ca_file: str | None,
                 connect_timeout: float, read_timeout: float, pool: int) -> None:
        self.url = url.rstrip('/')
        self._basic = None
        if username:
            pair = f"{username}:{password or ''}".encode()
            self._basic = 'Basic ' + base64.b64encode(pair).decode('ascii')
        self._timeouts = connect_timeout, read_timeout
        # A caller with a timeout has no time for a second attempt.
        self._session = new_session(ca_file, pool)
        self._retrying_session = new_session(ca_file, pool, retries=1)
        self._tokens = Tokens()
        self._wants_bearer = False

    def get(self, url: str, scope: str, accept: str, limit: int, timeout: float | None = None,
            read_timeout: float | None = None) -> Answer:
        """GET, with the credentials of the settings.

        :param scope: the scope of a token, if the registry requires one.
        :param limit: the most bytes of the body that are read.
        :param timeout: seconds for the whole call; None for no limit but those of its parts, and a
            second attempt to connect.
        :param read_timeout: seconds between two pieces of the answer, if not the usual.
        :raises RegistryUnavailable: no answer in time; or its subclass CredentialsRefused.
        """
        connect, read = self._timeouts[0], read_timeout or self._timeouts[1]
        if timeout is None:
            session, total = self._retrying_session, 2 * connect + 3 * read
        else:
            session, total = self._session, max(0, timeout)
        call = _Call(session, (connect, read), time.monotonic() + total, limit)
        try:
            return _within(total, lambda: self._authorized(call, url, scope, accept))
        except (OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise RegistryUnavailable(_shown(url), _problem(error, total)) from error

    def _authorized(self, call: _Call, url: str, scope: str, accept: str) -> Answer:
        sent = self._authorization(scope)
        answer = call.get(url, accept, sent)
        # Our password must not follow the challenge of another server.
        if answer.status == 401 and not answer.was_redirected:
            challenge = challenge_of(answer.headers.get('WWW-Authenticate'))
            if challenge is not None:
                self._wants_bearer = True
                answer = call.get(url, accept, 'Bearer ' + self._token(call, challenge, scope))
            elif sent != self._basic:
                # The registry does not use tokens any more.
                self._wants_bearer = False
                answer = call.get(url, accept, self._basic)
        if not answer.was_redirected:
            self._check_allowed(answer, url)
        return answer

    def _authorization(self, scope: str) -> str | None:
        if not self._wants_bearer:
            return self._basic
        token = self._tokens.get(scope)
        return token and 'Bearer ' + token

    def _token(self, call: _Call, challenge: Mapping[str, str], scope: str) -> str:
        url = token_url(challenge, scope, self.url)
        if url is None:
            raise RegistryUnavailable(
                self.url, 'wants passwords sent to %.100r, which is not https'
                % challenge.get('realm'), "correct the realm in the registry's own configuration")
        answer = call.get(url, 'application/json', self._basic)
        self._check_allowed(answer, url)
        try:
            return self._tokens.keep(scope, answer.json())
        except ValueError:
            raise RegistryUnavailable(
                _shown(url), f'gives no token (status {answer.status})') from None

    def _check_allowed(self, answer: Answer, url: str) -> None:
        if answer.status in (401, 403):
            raise CredentialsRefused(_shown(url), answer.status, bool(self._basic))


@dataclass(frozen=True)
class _Call:
    """What all requests of one call share: their time, the size of their answers, the session."""

    session: requests.Session
    timeouts: tuple[float, float]
    deadline: float
    limit: int

    def get(self, url: str, accept: str, authorization: str | None) -> Answer:
        headers = {'Accept': accept, 'Accept-Encoding': 'identity'}
        if authorization:
            headers['Authorization'] = authorization
        left = self._left()
        connect, read = (min(each, left) for each in self.timeouts)
        with self.session.get(url, headers=headers, stream=True,
                              timeout=(connect, read)) as response:
            return Answer(response.url, response.status_code, response.headers,
                          self._body(response), bool(response.history))

    def _body(self, response: requests.Response) -> bytes | None:
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > self.limit:
                return None
            self._left()
        return bytes(body)

    def _left(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise requests.Timeout()
        return left


def new_session(ca_file: str | None, pool: int = 1, retries: int = 0) -> requests.Session:
    """A Session that takes neither proxies, credentials nor cookies from its surroundings.

    :param ca_file: certificates that sign the server's; None for certifi's.
    :param pool: connections that are kept open.
    :param retries: attempts to connect after the first.
    """
    session = requests.Session()
    session.trust_env = False
    session.verify = ca_file or True
    session.max_redirects = 5
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = requests.adapters.HTTPAdapter(pool, pool, max_retries=urllib3.Retry(
        retries, read=False, respect_retry_after_header=False))
    session.mount('http://', adapter)
    session.mount('https://', adapter)
    return session


def _within(seconds: float, call: Callable[[], Answer]) -> Answer:
    """Return or raise what a call does; raise Timeout if it takes longer.

    It runs in a thread of its own: no other timeout bounds a name server, or a peer that sends a
    byte now and then.
    """
    answers: list[Answer] = []
    if not SingleFlight(lambda: answers.append(call())).wait(seconds):
        raise requests.Timeout()
    return answers[0]


def _shown(url: str) -> str:
    """An address without its query, which may contain a signature."""
    return url.partition('?')[0]


def _problem(error: Exception, seconds: float) -> str:
    """A clause that says why there is no answer, without anything secret.

    :param error: what requests raised.
    :param seconds: how long the answer was waited for.
    """
    if isinstance(error, requests.exceptions.SSLError):
        return f'shows no certificate to trust: {_reason(error)}'
    if isinstance(error, requests.Timeout):
        return f'does not answer within {seconds:.3g} seconds'
    if isinstance(error, requests.TooManyRedirects):
        return 'redirects without end'
    return f'gives no answer: {_reason(error)}'


def _reason(error: Exception) -> str:
    """The innermost cause in one short line, without addresses: that of a blob in S3 contains a
    signature."""
    inner = error.args[0] if error.args else error
    inner = getattr(inner, 'reason', None) or inner
    text = ' '.join(str(inner).split()).rpartition('>: ')[2]
    return f"{type(error).__name__}: {_ADDRESS.sub('...', text):.200}"
