"""Decides who may read: users whom the registry accepts, or those of an htpasswd file.

https://distribution.github.io/distribution/about/configuration/#auth"""

from __future__ import annotations

import contextlib
import hmac
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Optional
from urllib.parse import urlsplit

import bcrypt
from cachetools import TLRUCache
from werkzeug.datastructures import Authorization

from ...engine.errors import SettingError
from ..registry.connection import (
    LOOP_DETECTED, Answer, Connection, CredentialsRefused, RegistryUnavailable)
from ..registry.tokens import challenges_of, is_token
from .responses import RETRY, Refusal

logger = logging.getLogger(__name__)

#: Seconds for which these are remembered: a correct password of the htpasswd file; a permission of
#: the registry; a refusal, and that the registry asks for no credentials; and that the registry
#: does not answer.
_CORRECT, _PERMITTED, _REFUSED, _UNAVAILABLE = 300, 60, 5, 1
_MOST_REMEMBERED = 2000
_KEY = os.urandom(32)
#: The most seconds that a request waits for others whose credentials are being checked; the seconds
#: for an answer of the registry; and the number of locks that its callers share.
_WAIT, _TIMEOUT, _LOCKS = 0.2, 5, 64
#: The most passwords that are hashed at once, and the bytes of a password that bcrypt reads.
_AT_ONCE, _LONGEST = 2, 72
# One of the registry's own bcrypt versions, then the cost, the salt and the checksum.
_BCRYPT = re.compile(rb'\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}\Z')
# Addresses that need the scope but no storage, and that make no cache ask its upstream.
_BASE, _CATALOG, _UPLOAD = '/v2/', '/v2/_catalog?n=0', '/v2/%s/blobs/uploads/0'


class Busy(Refusal):
    """Raised if too many other requests are under way. After 503, nginx and podman would read the
    catalog of the registry, which costs more."""

    def __init__(self) -> None:
        super().__init__(429, 'too many requests are under way, try again later', RETRY)


class Refused(Refusal):
    """Raised if a caller may not read; ``challenges`` are the values of WWW-Authenticate, and
    ``path`` is the address of the registry that has sent them."""

    def __init__(self, challenges: Sequence[str], path: str = '') -> None:
        super().__init__(401, 'this registry requires credentials',
                         [('WWW-Authenticate', each) for each in challenges])
        self.challenges, self.path = challenges, path


#: Returns the name of the user who sent these credentials, and may read; None if no name was
#: checked. Raises Refused, Busy or RegistryUnavailable.
Guard = Callable[[Optional[Authorization]], Optional[str]]


def credentials_in(header: str | None) -> Authorization | None:
    """Return the credentials in a header Authorization; None if it contains none."""
    try:
        return Authorization.from_header(header)
    except ValueError:
        return None


def keyed_hash(text: str) -> bytes:
    """Return a key for a cache. It reveals no password, because it depends on a random key."""
    return hmac.digest(_KEY, text.encode('utf-8', 'replace'), 'sha256')


@contextlib.contextmanager
def one_of(places: threading.Semaphore, seconds: float) -> Iterator[None]:
    """Hold a place; raise Busy if none becomes free within so many seconds."""
    if not places.acquire(timeout=seconds):
        raise Busy()
    try:
        yield
    finally:
        places.release()


class _Verdict(NamedTuple):
    """Permits, unless it has an error, or what makes a Refused. It is remembered for so many
    seconds."""

    seconds: float
    refused: tuple[Sequence[str], str] | None = None
    error: RegistryUnavailable | None = None


class _Users:
    """Checks credentials, and remembers the verdicts.

    :param limit: the most threads that check credentials, or wait for such a check."""

    def __init__(self, limit: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = threading.BoundedSemaphore(limit)
        self._lock, self._locks = threading.Lock(), [threading.Lock() for _ in range(_LOCKS)]
        self._verdicts: TLRUCache[bytes, _Verdict] = TLRUCache(
            _MOST_REMEMBERED, lambda _, verdict, now: now + verdict.seconds, clock)

    def _require(self, sent: str, check: Callable[[], float]) -> None:
        """Check credentials unless their verdict is remembered, at most once at a time.

        :param check: returns the seconds for which they may read.
        :raises Refused, RegistryUnavailable: as ``check``. Raises Busy, too."""
        key = keyed_hash(sent)
        verdict = self._remembered(key)
        if verdict is None:
            with one_of(self._places, _WAIT), self._locks[key[0] % _LOCKS]:
                verdict = self._remembered(key) or self._remember(key, check)
        if verdict.error is not None:
            raise verdict.error
        if verdict.refused is not None:
            raise Refused(*verdict.refused)

    def _remembered(self, key: bytes) -> _Verdict | None:
        with self._lock:
            return self._verdicts.get(key)

    def _remember(self, key: bytes, check: Callable[[], float]) -> _Verdict:
        try:
            verdict = _Verdict(check())
        except Refused as error:
            verdict = _Verdict(_REFUSED, (error.challenges, error.path))
        except RegistryUnavailable as error:
            verdict = _Verdict(_UNAVAILABLE, error=error)
        with self._lock:
            self._verdicts[key] = verdict
        return verdict


class RegistryUsers(_Users):
    """Permits what the registry permits. Sends the caller's own credentials to the registry.

    :param connection: to the registry; its credentials are not used.
    :param scope: what a token must permit, if the registry requires tokens.
    :param has_cert: True if the connection has a certificate of its own, which permits no caller.
    """

    def __init__(self, connection: Connection, scope: str, limit: int = 8, has_cert: bool = False,
                 clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(limit, clock)
        self._connection, self._scope, self._has_cert = connection, scope, has_cert
        kind, name, _ = scope.split(':')
        self._scoped = _CATALOG if kind == 'registry' else _UPLOAD % name
        self._is_open = False

    def user(self, given: Authorization | None) -> str | None:
        """See Guard. If the registry asks for no credentials, everybody may read."""
        sent = header_of(given)
        known = self._remembered(keyed_hash(sent)) if sent else None
        if known is None or known.refused or known.error:
            try:
                self._require('', self._ask_without)
                return None
            except Refused as refused:
                if sent is None:
                    raise
                challenges, path = refused.challenges, refused.path
            self._require(sent, lambda: self._ask_with(sent, challenges, path))
        return given.username if given else None

    def _ask_without(self) -> float:
        answer = self._connection.ask(_BASE, None, _TIMEOUT)
        if 'bearer' not in challenges_of(answer.challenges):
            self._check(answer, _BASE)
        # A proxy may protect the catalog alone, and only this Bearer challenge names the scope.
        answer = self._connection.ask(self._scoped, None, _TIMEOUT)
        self._check(answer, self._scoped)
        if self._has_cert:
            raise RegistryUnavailable(
                answer.url, 'accepts the certificate in REGISTRY_CERT, and asks callers for no '
                'credentials', 'set AUTH to htpasswd or none')
        if not self._is_open:
            logger.warning('the registry at %s asks for no credentials, so everybody who reaches '
                           'the service may search and read the catalog', self._connection.url)
        self._is_open = True
        return _REFUSED

    def _ask_with(self, sent: str, challenges: Sequence[str], path: str) -> float:
        asked = challenges_of(challenges)
        bearer, is_basic = asked.get('bearer'), sent.startswith('Basic ')
        if bearer is None and not (is_basic and 'basic' in asked):
            raise Refused(challenges)
        try:
            answer = self._connection.ask(path, sent, _TIMEOUT, bearer if is_basic else None,
                                          self._scope)
        except CredentialsRefused:  # by the token server
            raise Refused(challenges) from None
        self._check(answer, path, challenges)
        return _PERMITTED

    def _check(self, answer: Answer, path: str, challenges: Sequence[str] = ()) -> None:
        """Raise Refused or RegistryUnavailable, unless the answer permits reads."""
        # A page of another server, such as that of a login, permits nothing and asks for nothing.
        is_here = urlsplit(answer.url).hostname == urlsplit(self._connection.url).hostname
        if is_here and answer.status in (401, 403):
            raise Refused(answer.challenges or challenges, path)
        is_registry = is_here and 'Docker-Distribution-Api-Version' in answer.headers
        # The registry reports only to users who may pull that an upload does not exist.
        if not is_registry or answer.status != 200 and b'"BLOB_UPLOAD_' not in (answer.body or b''):
            problem = ('is the address of this service itself' if answer.status == LOOP_DETECTED
                       else f'does not answer as a registry (status {answer.status})')
            raise RegistryUnavailable(
                answer.url, problem, 'so it cannot decide who may read; check that the registry '
                'runs and that REGISTRY_URL is its address')


def header_of(given: Authorization | None) -> str | None:
    """Return the header to send to the registry; None if the registry accepts no such header."""
    if given is not None and (given.type == 'basic' or (
            given.type == 'bearer' and is_token(given.token))):
        return given.to_header()
    return None


class HtpasswdUsers(_Users):
    """The users in an htpasswd file, which is read again when it changes.

    :raises SettingError: the file cannot be read."""

    _CHALLENGES = ('Basic realm="registry"',)

    def __init__(self, path: str, limit: int = 8) -> None:
        super().__init__(limit)
        self._path, self._logged = path, ''
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        #: The time, the size and the number of the file, and the hashes of its users.
        self._file: tuple[tuple[int, ...], dict[bytes, bytes]] = ((), {})
        self._read_if_changed()

    def user(self, given: Authorization | None) -> str | None:
        """See Guard."""
        if given is None or given.type != 'basic':
            raise Refused(self._CHALLENGES)
        try:
            self._read_if_changed()
        except SettingError as error:
            if str(error) != self._logged:
                self._logged = str(error)
                logger.error('the changed htpasswd file cannot be read; its former users stay '
                             'valid: %s', error)
        stamp, users = self._file
        self._require(f'{stamp} {given.to_header()}', lambda: self._compute(users, given))
        return given.username

    def _compute(self, users: dict[bytes, bytes], given: Authorization) -> float:
        """Return how long a password counts as correct; raise Refused if it is wrong. For any user,
        a hash of each cost is computed, so the time reveals neither users nor their costs."""
        name, password = (str(each).encode() for each in (given.username, given.password))
        hashes = {cost(each): each for each in users.values()}
        own = users.get(name)
        if own is not None:
            hashes[cost(own)] = own
        with self._computing:
            results = [matches(password, each) and each is own for each in hashes.values()]
        if not any(results):
            raise Refused(self._CHALLENGES)
        return _CORRECT

    def _read_if_changed(self) -> None:
        try:
            found = os.stat(self._path)
            stamp = found.st_mtime_ns, found.st_size, found.st_ino
            if stamp == self._file[0]:
                return
            with open(self._path, 'rb') as source:
                users = parse_htpasswd(source.read())
        except (OSError, ValueError) as error:
            raise SettingError(
                'htpasswd', None, f'names {self._path}, which cannot be read: '
                f'{getattr(error, "strerror", None) or error}',
                'create it with: htpasswd -Bc FILE NAME')
        usable = {name: hashed for name, hashed in users.items() if cost(hashed)}
        if len(usable) < len(users):
            logger.warning('%d of %d users of %s have no bcrypt hash, so neither the service nor '
                           'the registry accepts them; hash their passwords with htpasswd -B',
                           len(users) - len(usable), len(users), self._path)
        self._file, self._logged = (stamp, usable), ''


def parse_htpasswd(content: bytes) -> dict[bytes, bytes]:
    """Return a dictionary of user to hash from the lines of a file; the last line of a user counts.

    :raises ValueError: a line is not NAME:HASH."""
    lines = [line.strip() for line in content.splitlines()]
    parts = [line.partition(b':') for line in lines if line and not line.startswith(b'#')]
    if not all(colon for _, colon, _ in parts):
        raise ValueError('a line is not NAME:HASH')
    return {name: hashed for name, _, hashed in parts}


def cost(hashed: bytes) -> int | None:
    """Return the cost of a bcrypt hash; None for any other hash, whose user cannot log in."""
    found = _BCRYPT.match(hashed)
    return int(found[1]) if found else None


def matches(password: bytes, hashed: bytes) -> bool:
    """Return True if a bcrypt hash is the hash of a password."""
    try:
        return bcrypt.checkpw(password[:_LONGEST], hashed)
    except ValueError:
        # The password contains NUL, for example.
        return False
