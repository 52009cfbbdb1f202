"""Decides who may read: whom the registry accepts, or the users of an htpasswd file.

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
from cachetools import TLRUCache, TTLCache
from werkzeug.datastructures import Authorization

from ...engine.errors import SettingError
from ..registry.connection import (
    LOOP_DETECTED, Answer, Connection, CredentialsRefused, RegistryUnavailable)
from ..registry.tokens import challenges_of, is_token

logger = logging.getLogger(__name__)

#: Seconds for which these are remembered: a correct password of the htpasswd file; a permission of
#: the registry; its refusal, and whether it asks for credentials at all; and that it cannot be
#: asked.
_CORRECT, _PERMITTED, _REFUSED, _UNAVAILABLE = 300, 60, 5, 1
_MOST_REMEMBERED = 2000
_KEY = os.urandom(32)
#: The most seconds that a request waits for others whose credentials are being checked; the seconds
#: for an answer of the registry; and the number of locks that its callers share.
_WAIT, _TIMEOUT, _LOCKS = 0.2, 5, 64
#: The most passwords that are hashed at once, and the bytes of a password that bcrypt reads.
_AT_ONCE, _LONGEST = 2, 72
# With one of the registry's own bcrypt versions, the cost, the salt and the checksum.
_BCRYPT = re.compile(rb'\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53}\Z')
#: A hash of no password.
_NOBODY = b'$2b$12$' + 53 * b'.'
# Addresses that need the scope but no storage, and that make no cache ask its upstream.
_BASE, _CATALOG, _UPLOAD = '/v2/', '/v2/_catalog?n=0', '/v2/%s/blobs/uploads/0'


class Busy(Exception):
    """Raised if credentials are not checked, because too many others are being checked."""


class Refused(Exception):
    """Raised if a caller may not read; ``challenges`` are the values of WWW-Authenticate."""

    def __init__(self, challenges: Sequence[str]) -> None:
        super().__init__('these credentials may not read')
        self.challenges = challenges


#: Returns the name of the user who sent these credentials, and may read; None if nobody has checked
#: a name. Raises Refused, Busy or RegistryUnavailable.
Guard = Callable[[Optional[Authorization]], Optional[str]]


def same_secret(given: str, wanted: str) -> bool:
    """Return True if two texts are equal; takes the same time for all texts of the same length."""
    return hmac.compare_digest(given.encode('utf-8', 'replace'), wanted.encode('utf-8'))


def credentials_in(header: str | None) -> Authorization | None:
    """Return the credentials in a header Authorization; None if it contains none."""
    try:
        return Authorization.from_header(header)
    except ValueError:
        return None


def _digest(text: str) -> bytes:
    """Return a key for a cache. It reveals no password, because it depends on a random key."""
    return hmac.digest(_KEY, text.encode('utf-8', 'replace'), 'sha256')


@contextlib.contextmanager
def _one_of(places: threading.Semaphore) -> Iterator[None]:
    if not places.acquire(timeout=_WAIT):
        raise Busy()
    try:
        yield
    finally:
        places.release()


class _Verdict(NamedTuple):
    """What the registry has answered, or the error if it could not be asked; and the seconds for
    which this is remembered."""

    is_permitted: bool = False
    challenges: Sequence[str] = ()
    error: RegistryUnavailable | None = None
    seconds: float = _REFUSED


class RegistryUsers:
    """Permits what the registry permits. The registry is asked with the caller's own credentials.

    :param connection: to the registry; its credentials are not used.
    :param scope: what a token must permit, if the registry requires tokens.
    :param limit: the most threads that ask the registry, or wait for such an answer.
    :param has_cert: True if the connection has a certificate of its own, which permits no caller.
    """

    def __init__(self, connection: Connection, scope: str, limit: int = 8, has_cert: bool = False,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._connection, self._scope, self._has_cert = connection, scope, has_cert
        kind, name, _ = scope.split(':')
        self._scoped = _CATALOG if kind == 'registry' else _UPLOAD % name
        self._places, self._is_open = threading.BoundedSemaphore(limit), False
        self._lock, self._locks = threading.Lock(), [threading.Lock() for _ in range(_LOCKS)]
        self._verdicts: TLRUCache[bytes, _Verdict] = TLRUCache(
            _MOST_REMEMBERED, lambda _, verdict, now: now + verdict.seconds, clock)

    def user(self, given: Authorization | None) -> str | None:
        """See Guard. If the registry asks for no credentials, nobody needs any."""
        sent = _header_of(given)
        known = sent and self._remembered(_digest(sent))
        if not known or not known.is_permitted:
            asked = self._verdict('', self._ask_without)
            if asked.is_permitted:
                return None
            verdict = sent and self._verdict(sent, lambda: self._ask_with(sent, asked.challenges))
            if not verdict or not verdict.is_permitted:
                raise Refused((verdict or asked).challenges)
        return given.username if given else None

    def _verdict(self, sent: str, ask: Callable[[], _Verdict]) -> _Verdict:
        """Return what the registry answers, at most once at a time for the same credentials."""
        key = _digest(sent)
        verdict = self._remembered(key)
        if verdict is None:
            with _one_of(self._places), self._locks[key[0] % _LOCKS]:
                verdict = self._remembered(key) or self._remember(key, ask)
        if verdict.error is not None:
            raise verdict.error
        return verdict

    def _remembered(self, key: bytes) -> _Verdict | None:
        with self._lock:
            return self._verdicts.get(key)

    def _remember(self, key: bytes, ask: Callable[[], _Verdict]) -> _Verdict:
        try:
            verdict = ask()
        except RegistryUnavailable as error:
            verdict = _Verdict(error=error, seconds=_UNAVAILABLE)
        with self._lock:
            self._verdicts[key] = verdict
        return verdict

    def _ask_without(self) -> _Verdict:
        answer = self._connection.ask(_BASE, None, _TIMEOUT)
        if answer.status == 200 or 'bearer' in challenges_of(answer.challenges):
            # A proxy may protect the catalog alone, and only this Bearer challenge names the scope.
            self._read(answer, _REFUSED)
            answer = self._connection.ask(self._scoped, None, _TIMEOUT)
        verdict = self._read(answer, _REFUSED)
        if verdict.is_permitted and self._has_cert:
            raise RegistryUnavailable(
                answer.url, 'accepts the certificate in REGISTRY_CERT, and asks callers for no '
                'credentials', 'set AUTH to htpasswd or none')
        if verdict.is_permitted and not self._is_open:
            logger.warning('the registry at %s asks for no credentials, so everybody who reaches '
                           'the service may search and read the catalog', self._connection.url)
        self._is_open = verdict.is_permitted
        return verdict

    def _ask_with(self, sent: str, challenges: Sequence[str]) -> _Verdict:
        asked = challenges_of(challenges)
        bearer, is_basic = asked.get('bearer'), sent.startswith('Basic ')
        if bearer is None and not (is_basic and 'basic' in asked):
            return _Verdict(challenges=challenges)
        path = _BASE if bearer is None else self._scoped
        try:
            answer = self._connection.ask(path, sent, _TIMEOUT, bearer if is_basic else None,
                                          self._scope)
        except CredentialsRefused:  # by the token server
            return _Verdict(challenges=challenges)
        return self._read(answer, _PERMITTED, challenges)

    def _read(self, answer: Answer, seconds: float, challenges: Sequence[str] = ()) -> _Verdict:
        # A page of another server, such as that of a login, permits nothing.
        is_registry = ('Docker-Distribution-Api-Version' in answer.headers
                       and urlsplit(answer.url).hostname == urlsplit(self._connection.url).hostname)
        # An upload that does not exist is reported to those who may pull.
        if is_registry and (answer.status == 200 or b'"BLOB_UPLOAD_' in (answer.body or b'')):
            return _Verdict(True, seconds=seconds)
        if answer.status in (401, 403):
            return _Verdict(challenges=answer.challenges or challenges)
        problem = ('is the address of this service itself' if answer.status == LOOP_DETECTED else
                   f'does not answer as a registry (status {answer.status})')
        raise RegistryUnavailable(answer.url, problem + ', when it is asked who may read')


def _header_of(given: Authorization | None) -> str | None:
    """Return the header to send to the registry; None if it would understand none."""
    if given is not None and (given.type == 'basic' or (
            given.type == 'bearer' and is_token(given.token))):
        return given.to_header()
    return None


class HtpasswdUsers:
    """The users in an htpasswd file, which is read again when it changes.

    :param limit: the most threads that check passwords.
    :raises SettingError: the file cannot be read."""

    _CHALLENGES = ('Basic realm="registry"',)

    def __init__(self, path: str, limit: int = 8) -> None:
        self._path = path
        self._lock, self._places = threading.Lock(), threading.BoundedSemaphore(limit)
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        self._logged: str | None = None
        self._read()

    def user(self, given: Authorization | None) -> str | None:
        """See Guard. An unknown user takes as long as a wrong password, so the time reveals no
        user."""
        if given is None or given.type != 'basic':
            raise Refused(self._CHALLENGES)
        self._read_if_changed()
        key = _digest(given.to_header())
        name, password = (str(each).encode() for each in (given.username, given.password))
        with self._lock:
            users, dummies, remembered = self._users, self._dummies, self._remembered
            if key in remembered:
                return given.username
        with _one_of(self._places), self._computing:
            is_correct = _verify(password, users.get(name), dummies)
        if not is_correct:
            raise Refused(self._CHALLENGES)
        with self._lock:
            remembered[key] = True
        return given.username

    def _read_if_changed(self) -> None:
        try:
            if _stamp(self._path) != self._changed:
                self._read()
        except (SettingError, OSError) as error:
            if str(error) != self._logged:
                self._logged = str(error)
                logger.error('the changed htpasswd file cannot be read; its former users stay '
                             'valid: %s', error)

    def _read(self) -> None:
        try:
            changed = _stamp(self._path)
            with open(self._path, 'rb') as source:
                users = parse_htpasswd(source.read())
        except (OSError, ValueError) as error:
            raise SettingError(
                'htpasswd', None, f'names {self._path}, which cannot be read: '
                f'{getattr(error, "strerror", None) or error}',
                'create it with: htpasswd -Bc FILE NAME')
        usable = {name: hashed for name, hashed in users.items() if cost(hashed) is not None}
        if len(usable) < len(users):
            logger.warning('%d of %d users of %s have no bcrypt hash, so neither the service nor '
                           'the registry accepts them; hash their passwords with htpasswd -B',
                           len(users) - len(usable), len(users), self._path)
        dummies = {cost(each): each for each in list(usable.values()) or [_NOBODY]}
        with self._lock:
            self._users, self._dummies = usable, dummies
            self._changed = changed
            self._remembered = TTLCache[bytes, bool](_MOST_REMEMBERED, _CORRECT)
            self._logged = None


def _verify(password: bytes, hashed: bytes | None, dummies: dict[int | None, bytes]
            ) -> bool:
    """Return True if a password is correct. For any user, a hash of each cost in the file is
    computed, so the time reveals neither which users exist nor their costs.

    :param hashed: the hash of the user; None if the user is unknown.
    :param dummies: a hash of each cost."""
    own = hashed and cost(hashed)
    results = [matches(password, hashed if hashed and each == own else dummy) and each == own
               for each, dummy in dummies.items()]
    return any(results)


def parse_htpasswd(content: bytes) -> dict[bytes, bytes]:
    """Return a dictionary of user to hash from the lines of a file; the last line of a user counts.

    :raises ValueError: a line is not NAME:HASH."""
    lines = [line.strip() for line in content.splitlines()]
    pairs = [line.partition(b':') for line in lines if line and not line.startswith(b'#')]
    if not all(colon for _, colon, _ in pairs):
        raise ValueError('a line is not NAME:HASH')
    return {name: hashed for name, _, hashed in pairs}


def cost(hashed: bytes) -> int | None:
    """Return the bcrypt cost of a complete hash, so that its user can log in; otherwise None. Each
    further cost takes twice the time."""
    found = _BCRYPT.match(hashed)
    return int(found[1]) if found else None


def matches(password: bytes, hashed: bytes) -> bool:
    """Return True if a usable hash is the hash of a password."""
    try:
        return bcrypt.checkpw(password[:_LONGEST], hashed)
    except ValueError:
        # The password contains NUL, for example.
        return False


def _stamp(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
