"""Who may read: the htpasswd file of the registry, and its kind of answer.

The file is that of the registry's own option auth.htpasswd: bcrypt only.
https://distribution.github.io/distribution/about/configuration/#htpasswd
"""

from __future__ import unicode_literals

import hashlib
import hmac
import logging
import os
import threading
import time

from passlib.apache import HtpasswdFile
from passlib.context import CryptContext

from ..engine.errors import SettingError

__all__ = ['Anybody', 'Users', 'same_secret']

logger = logging.getLogger(__name__)

#: What bcrypt looks at of a password, in bytes.
_LONGEST = 72
#: Seconds for which a password that was right is not computed again.
_REMEMBERED = 300
_MOST_REMEMBERED = 1000
#: Passwords computed at once: each takes a processor for some time.
_AT_ONCE = 2
_CONTEXT = CryptContext(['bcrypt'])


def same_secret(given, wanted):
    """Whether two texts are the same; takes as long when they are not."""
    return hmac.compare_digest(given.encode('utf-8', 'replace'),
                               wanted.encode('utf-8'))


class Anybody(object):
    """Reading without credentials; those that are given do not matter."""

    def may_read(self, user, password):
        return True


class Users(object):
    """The users of an htpasswd file, which is read anew when it changes.

    :param path: of the file.
    :param anonymous: whether to let in those who give no credentials.
    :raises SettingError: it cannot be read.
    """

    def __init__(self, path, anonymous=False, clock=time.monotonic):
        self._path = path
        self._anonymous = anonymous
        self._clock = clock
        self._lock = threading.Lock()
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        # Of this process alone: nothing that it keeps tells a password.
        self._key = os.urandom(32)
        self._changed = None
        self._read()

    def may_read(self, user, password):
        """Whether to let somebody in.

        An unknown user takes as long as a wrong password: time does not tell
        which names there are.

        :param user: None without credentials.
        """
        if user is None:
            return self._anonymous
        self._read_if_changed()
        with self._lock:
            users, stand_in = self._users, self._stand_in
            remembered, key = self._remembered, self._digest(user, password)
            if remembered.get(key, 0) > self._clock():
                return True
        with self._computing:
            is_right = _verify(users, stand_in, user, password)
        if is_right:
            with self._lock:
                if len(remembered) >= _MOST_REMEMBERED:
                    remembered.clear()
                remembered[key] = self._clock() + _REMEMBERED
        return is_right

    def _digest(self, user, password):
        told = '%d:%s:%s' % (len(user), user, password)
        return hmac.new(self._key, told.encode('utf-8', 'replace'),
                        hashlib.sha256).digest()

    def _read_if_changed(self):
        try:
            if _stamp(self._path) != self._changed:
                self._read()
        except (SettingError, OSError) as error:
            logger.error('the htpasswd file cannot be read, and its users '
                         'stay as they are: %s', error)

    def _read(self):
        try:
            changed = _stamp(self._path)
            users = HtpasswdFile(self._path, context=_CONTEXT)
        except (OSError, ValueError) as error:
            raise SettingError(
                'htpasswd', None, 'names %s, which cannot be read: %s' % (
                    self._path, getattr(error, 'strerror', None) or
                    'a line of it is not NAME:HASH'),
                'make it with: htpasswd -Bc FILE NAME')
        hashes = [users.get_hash(name) for name in users.users()]
        usable = [each for each in hashes if _CONTEXT.identify(each)]
        if len(usable) < len(hashes):
            logger.warning('%d of %d users of %s have no bcrypt hash, and '
                           'cannot log in, neither here nor in the registry',
                           len(hashes) - len(usable), len(hashes), self._path)
        # Of the same cost as theirs.
        stand_in = usable[0] if usable else _CONTEXT.hash('nobody')
        with self._lock:
            self._users, self._stand_in = users, stand_in
            self._changed, self._remembered = changed, {}


def _verify(users, stand_in, user, password):
    wanted = users.get_hash(user)
    is_known = wanted is not None and bool(_CONTEXT.identify(wanted))
    given = password.encode('utf-8', 'replace')[:_LONGEST]
    try:
        is_same = _CONTEXT.verify(given, wanted if is_known else stand_in)
    except ValueError:
        # Such as a password with a NUL in it, which no hash has.
        return False
    return is_same and is_known


def _stamp(path):
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
