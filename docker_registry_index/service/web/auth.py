"""Decides who may read: the users of the registry's htpasswd file, by the registry's own rules.

https://distribution.github.io/distribution/about/configuration/#htpasswd
https://github.com/distribution/distribution/blob/v2.8.2/registry/auth/htpasswd/htpasswd.go"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import os
import threading
import time

from passlib.hash import bcrypt

from ...engine.errors import SettingError

logger = logging.getLogger(__name__)

#: Seconds for which a correct password is remembered, and the most passwords that are remembered.
_REMEMBERED, _MOST_REMEMBERED = 300, 1000
#: The most passwords that are hashed at once, and the bytes of a password that bcrypt reads.
_AT_ONCE, _LONGEST = 2, 72


class Busy(Exception):
    """Raised if a password is not checked, because too many others are being checked."""


def same_secret(given: str, wanted: str) -> bool:
    """Return True if two texts are equal; takes the same time for all texts of the same length."""
    return hmac.compare_digest(given.encode('utf-8', 'replace'), wanted.encode('utf-8'))


def basic_credentials(header: str) -> tuple[str, str] | tuple[None, None]:
    """Return the user and the password in an Authorization header; (None, None) if it is not Basic,
    not base64 or not UTF-8. https://www.rfc-editor.org/rfc/rfc7617"""
    kind, _, rest = header.partition(' ')
    if kind.lower() != 'basic':
        return None, None
    try:
        content = base64.b64decode(rest.strip(' \t'), validate=True)
        user, _, password = content.decode('utf-8').partition(':')
    except ValueError:
        return None, None
    return user, password


class Users:
    """The users in an htpasswd file, which is read again when it changes.

    :param anonymous: True if clients without credentials may read.
    :param limit: the most threads that check passwords, so that a flood of passwords leaves other
        threads free.
    :raises SettingError: the file cannot be read."""

    def __init__(self, path: str, anonymous: bool = False, limit: int = 8) -> None:
        self._path = path
        self._anonymous = anonymous
        self._lock = threading.Lock()
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        self._limit = threading.BoundedSemaphore(limit)
        # A random key, so that the remembered digests reveal no password.
        self._key = os.urandom(32)
        self._logged: str | None = None
        self._read()

    def may_read(self, user: str | None, password: str | None) -> bool:
        """Return True if a client may read; ``user`` is None if it sent no credentials.

        An unknown user takes as long as a wrong password, so the time reveals no user.

        :raises Busy: too many passwords are being checked."""
        if user is None:
            return self._anonymous
        self._read_if_changed()
        name, secret = _bytes(user), _bytes(password or '')
        with self._lock:
            users, dummies = self._users, self._dummies
            remembered, key = self._remembered, self._digest(name, secret)
            if remembered.get(key, 0) > time.monotonic():
                return True
        if not self._is_correct(secret, users.get(name), dummies):
            return False
        with self._lock:
            if len(remembered) >= _MOST_REMEMBERED:
                remembered.clear()
            remembered[key] = time.monotonic() + _REMEMBERED
        return True

    def _is_correct(self, password: bytes, hashed: bytes | None, dummies: dict[int, bytes]) -> bool:
        if not self._limit.acquire(blocking=False):
            raise Busy()
        try:
            with self._computing:
                return _verify(password, hashed, dummies)
        finally:
            self._limit.release()

    def _digest(self, user: bytes, password: bytes) -> bytes:
        content = b'%d:%b:%b' % (len(user), user, password)
        return hmac.new(self._key, content, hashlib.sha256).digest()

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
        usable = {name: hashed for name, hashed in users.items() if is_usable(hashed)}
        if len(usable) < len(users):
            logger.warning('%d of %d users of %s have no bcrypt hash, so neither the service nor '
                           'the registry accepts them; hash their passwords with htpasswd -B',
                           len(users) - len(usable), len(users), self._path)
        dummies = {cost(each): each for each in list(usable.values()) or [dummy_hash()]}
        with self._lock:
            self._users, self._dummies = usable, dummies
            self._changed = changed
            self._remembered: dict[bytes, float] = {}
            self._logged = None


def _verify(password: bytes, hashed: bytes | None, dummies: dict[int, bytes]) -> bool:
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
    found = {}
    for line in content.splitlines():
        line = line.strip()
        if not line or line.startswith(b'#'):
            continue
        name, colon, hashed = line.partition(b':')
        if not colon:
            raise ValueError('a line is not NAME:HASH')
        found[name] = hashed
    return found


def is_usable(hashed: bytes) -> bool:
    """Return True if ``hashed`` is a complete bcrypt hash, so that its user can log in."""
    try:
        return bcrypt.from_string(hashed).checksum is not None
    except ValueError:
        return False


def cost(hashed: bytes) -> int:
    """Return the bcrypt cost of a usable hash; each further cost takes twice the time."""
    return int(bcrypt.from_string(hashed).rounds)


def matches(password: bytes, hashed: bytes) -> bool:
    """Return True if a usable hash is the hash of a password."""
    try:
        return bool(bcrypt.verify(password[:_LONGEST], hashed))
    except ValueError:
        # The password contains NUL, for example.
        return False


def dummy_hash() -> bytes:
    """Return a usable hash that belongs to no user."""
    return str(bcrypt.hash('nobody')).encode('ascii')


def _bytes(text: str) -> bytes:
    return text.encode('utf-8', 'replace')


def _stamp(path: str) -> tuple[int, int, int]:
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
