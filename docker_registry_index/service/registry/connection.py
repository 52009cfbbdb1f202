"""Connection, which sends requests to a registry with credentials, and limits time and size."""

from __future__ import annotations

import copy
import json
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
from urllib3.util.ssl_ import create_urllib3_context
from werkzeug.datastructures import WWWAuthenticate

from ...engine.concurrency import TimedOut, call_with_timeout
from ...engine.errors import DynamoDBIndexError
from .tokens import Token, basic, challenges_of, token_in, token_url

#: Sent with each request; and the status of the answer if it reaches the service itself.
USER_AGENT, LOOP_DETECTED = 'docker-registry-index-dynamodb', 508
#: The most seconds for an attempt to connect, and between two pieces of an answer.
CONNECT_TIMEOUT, _READ_TIMEOUT = 2, 10
_ADDRESS = re.compile(r'https?://\S+|\?\S+')
_Client = TypeVar('_Client', bound='Connection')


class RegistryUnavailable(DynamoDBIndexError):
    """Raised if the registry does not answer, or another server does; ``url`` was requested."""

    def __init__(self, url: str, problem: str, way_out: str = 'the service retries later; check '
                 'that the registry runs and that REGISTRY_URL is its address') -> None:
        # A query may contain a signature.
        self.url = url.partition('?')[0]
        super().__init__(  # type: ignore[no-untyped-call]
            f'the registry cannot be read at {self.url:.300}: it {problem}; {way_out}')


class CredentialsRefused(RegistryUnavailable):
    """Raised if the registry refuses the credentials, or requires some and got none; ``has_token``
    is True if a token server has accepted them, so they lack a right."""

    def __init__(self, url: str, status: int, has_credentials: bool,
                 has_token: bool = False) -> None:
        self.status, self.has_token = status, has_token
        problem = ('refuses REGISTRY_USERNAME and REGISTRY_PASSWORD' if has_credentials
                   else 'requires credentials')
        super().__init__(url, f'{problem} (status {status})',
                         'set REGISTRY_USERNAME and REGISTRY_PASSWORD to those of a user who may '
                         'pull every repository and read the catalog')


class Answer(NamedTuple):
    """The answer of a server: ``url`` is that after redirects, ``body`` is None if too long."""

    url: str
    status: int
    headers: urllib3.response.HTTPHeaderDict
    body: bytes | None
    was_redirected: bool

    @property
    def challenges(self) -> Sequence[str]:
        """The lines of the header WWW-Authenticate."""
        return [''.join(line.splitlines()) for line in self.headers.getlist('WWW-Authenticate')]

    def json(self) -> Any:
        """Return the body decoded from JSON; None if it is not JSON."""
        try:
            return json.loads((self.body or b'').decode('utf-8'))
        except (ValueError, RecursionError):
            return None


class Tls(NamedTuple):
    """The files for https: certificates to trust, and the certificate and key of the client."""

    ca: str | None = None
    cert: str | None = None
    key: str | None = None

    def context(self, with_cert: bool = True) -> ssl.SSLContext:
        """Return a context that also trusts the certificates of the system, with or without the
        certificate of the client; raise OSError if a file cannot be used."""
        context: ssl.SSLContext = create_urllib3_context()
        context.load_default_certs()
        if self.ca:
            context.load_verify_locations(self.ca)
        if self.cert and with_cert:
            # Without a password, OpenSSL would ask the terminal for that of an encrypted key.
            context.load_cert_chain(self.cert, self.key, password='')
        return context


class Connection:
    """Sends requests to one registry; several threads may use it.

    :param url, username, password: from the settings. Credentials are sent as Basic, or exchanged
        for a token if the registry requires one.
    :param tls: certificates, in addition to those of the system.
    :param token_host: the host of a token server outside of the registry's domain, or None."""

    def __init__(self, url: str, username: str | None = None, password: str | None = None,
                 tls: Tls = Tls(), token_host: str | None = None) -> None:
        self.url = url.rstrip('/')
        #: The header with the credentials, and its scheme.
        self._own = basic(username, password or '') if username else None
        self._own_scheme = 'basic'
        self._session, self._token_host = _session_of(url, tls), token_host
        self._tokens: dict[str, Token] = {}
        #: The scheme of the credentials that the registry has asked for. Before it asks, it gets
        #: none, because a token registry must not see a password.
        self.scheme: str | None = None

    def get(self, url: str, scope: str, accept: str, limit: int, timeout: float | None = None,
            read_timeout: float = _READ_TIMEOUT, method: str = 'GET') -> Answer:
        """Return the Answer to a GET or HEAD with the credentials of the settings.

        :param scope: the scope of a token, if the registry requires one.
        :param limit: the most bytes of the body that are read.
        :param timeout: seconds for the whole call; None for the sum of its steps.
        :param read_timeout: seconds between two pieces of the answer.
        :raises RegistryUnavailable: no answer came in time; or its subclass CredentialsRefused."""
        return self._in_time(url, limit, timeout, read_timeout,
                             lambda call: self._authorized(call, url, scope, accept, method))

    def ask(self, path: str, authorization: str | None, timeout: float,
            challenge: WWWAuthenticate | None = None, scope: str = '') -> Answer:
        """Return the Answer to a GET with the credentials of a caller.

        :param authorization: the header; None for none.
        :param challenge: a Bearer challenge, to exchange the credentials for a token.
        :raises: as get."""
        def send(call: _Call) -> Answer:
            sent = authorization if challenge is None else (
                'Bearer ' + self._exchange(call, challenge, scope, authorization).text)
            return call.get(self.url + path, '*/*', sent)
        return self._in_time(self.url + path, 64 * 1024, timeout, _READ_TIMEOUT, send)

    def of_caller(self: _Client, authorization: str | None) -> _Client:
        """Return a copy that sends the credentials of a caller, a header Authorization, in place of
        those of the settings. As these, they are sent only if the registry asks for them."""
        other = copy.copy(self)
        other._own, other._tokens, other.scheme = authorization, {}, None
        other._own_scheme = (authorization or 'basic').partition(' ')[0].lower()
        return other

    def _in_time(self, url: str, limit: int, timeout: float | None, read_timeout: float,
                 send: Callable[[_Call], Answer]) -> Answer:
        total = CONNECT_TIMEOUT + 3 * read_timeout if timeout is None else max(0, timeout)
        call = _Call(self._session, read_timeout, time.monotonic() + total, limit)
        try:
            # Only this also limits a slow name server, or a server that sends single bytes.
            answer: Answer = call_with_timeout(lambda: send(call), total)
            return answer
        except (TimedOut, OSError, ValueError, urllib3.exceptions.HTTPError) as error:
            raise RegistryUnavailable(url, _problem(error, total)) from error

    def _authorized(self, call: _Call, url: str, scope: str, accept: str,
                    method: str) -> Answer:
        token = self._tokens.get(scope)
        is_valid = self.scheme == 'bearer' and token and time.monotonic() < token.until
        sent = ('Bearer ' + token.text if token and is_valid else
                self._own if self.scheme == self._own_scheme else None)
        answer = call.get(url, accept, sent, method)
        # The password must not be sent for the challenge of another server.
        if answer.status == 401 and not answer.was_redirected:
            wanted = self._credentials(call, challenges_of(answer.challenges), scope)
            if wanted != sent:
                answer = call.get(url, accept, wanted, method)
        if not answer.was_redirected:
            self._check_allowed(answer, url)
        return answer

    def _credentials(self, call: _Call, asked: Mapping[str, WWWAuthenticate],
                     scope: str) -> str | None:
        """Return the header that a registry with these challenges asks for; None for none."""
        self.scheme = next((each for each in ('bearer', 'basic') if each in asked), None)
        if self.scheme == 'bearer' != self._own_scheme:
            if len(self._tokens) >= 1000:
                self._tokens.clear()
            self._tokens[scope] = self._exchange(call, asked['bearer'], scope, self._own)
            return 'Bearer ' + self._tokens[scope].text
        return self._own if self.scheme == self._own_scheme else None

    def _exchange(self, call: _Call, challenge: WWWAuthenticate, scope: str,
                  authorization: str | None) -> Token:
        """Return the token for credentials."""
        try:
            url = token_url(challenge, scope, self.url, self._token_host)
        except ValueError as error:
            raise RegistryUnavailable(
                self.url, f"names the token server {challenge.get('realm')!r:.100}, which {error}, "
                'so no password is sent', 'if the server may get the passwords, set '
                'REGISTRY_TOKEN_HOST to its host; it must use https') from None
        answer = call.get(url, 'application/json', authorization)
        self._check_allowed(answer, url)
        try:
            return token_in(answer.json())
        except ValueError:
            raise RegistryUnavailable(url, f'sends no token (status {answer.status})') from None

    def _check_allowed(self, answer: Answer, url: str) -> None:
        if answer.status in (401, 403):
            raise CredentialsRefused(url, answer.status, bool(self._own and self.scheme),
                                     bool(self._own and self._tokens))


class _Call(NamedTuple):
    """The session and the limits that the requests of one call share."""

    session: requests.Session
    read_timeout: float
    deadline: float
    limit: int

    def get(self, url: str, accept: str, authorization: str | None,
            method: str = 'GET') -> Answer:
        headers = {'Accept': accept, 'Accept-Encoding': 'identity', 'Authorization': authorization}
        left = self._left()
        with self.session.request(
                method, url, headers=headers, stream=True, allow_redirects=True,
                timeout=(min(CONNECT_TIMEOUT, left), min(self.read_timeout, left))) as response:
            return Answer(response.url, response.status_code, response.raw.headers,
                          self._body(response), bool(response.history))

    def _body(self, response: requests.Response) -> bytes | None:
        body = bytearray()
        for chunk in response.iter_content(16 * 1024):
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


class _Adapter(requests.adapters.HTTPAdapter):
    """Connects with an SSLContext, to which requests adds the certificates of certifi."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        # More connections are kept open than calls are under way.
        super().__init__(40, 40)

    def init_poolmanager(self, *arguments: Any, **more: Any) -> None:
        super().init_poolmanager(  # type: ignore[no-untyped-call]
            *arguments, ssl_context=self._context, **more)


def _session_of(url: str, tls: Tls) -> requests.Session:
    """Return a Session that ignores cookies, and proxies and credentials in the environment. Only
    the server at the URL gets the client's certificate."""
    session = requests.Session()
    session.trust_env = False
    session.headers['User-Agent'] = USER_AGENT
    session.max_redirects = 5
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    scheme, host, *_ = urlsplit(url)
    session.mount('https://', _Adapter(tls.context(False)))
    session.mount(f'{scheme}://{host}/', _Adapter(tls.context()))
    return session


def _problem(error: Exception, seconds: float) -> str:
    """Return a clause on why no answer came within ``seconds``. It contains no secrets and no URLs,
    which may be signed."""
    if isinstance(error, requests.ConnectTimeout):
        return 'accepts no connection within the timeout'
    if isinstance(error, (TimedOut, requests.Timeout)):
        return f'does not answer within {seconds:.3g} seconds'
    is_untrusted = isinstance(error, requests.exceptions.SSLError)
    cause = error.args[0] if error.args else error
    cause = getattr(cause, 'reason', None) or cause
    text = _ADDRESS.sub('...', ' '.join(str(cause).split()).rpartition('>: ')[2])
    return (f"{'has a certificate that is not trusted' if is_untrusted else 'sends no answer'}: "
            f'{type(error).__name__}: {text:.200}')
