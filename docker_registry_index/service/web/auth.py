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

from ...engine.errors import SettingError
from . import htpasswd

__all__ = ['Anybody', 'Busy', 'Users', 'same_secret']

logger = logging.getLogger(__name__)

#: Seconds for which a password that was right is not computed again.
_REMEMBERED = 300
_MOST_REMEMBERED = 1000
#: Passwords computed at once: each takes a processor for some time.
_AT_ONCE = 2


class Busy(Exception):
    """Too many passwords are being looked at; nothing is said of this one."""


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
    :param room: how many threads may be busy with passwords: fewer than
        there are, so that a flood of them leaves some for all else.
    :raises SettingError: it cannot be read.
    """

    def __init__(self, path, anonymous=False, room=8, clock=time.monotonic):
        self._path = path
        self._anonymous = anonymous
        self._clock = clock
        self._lock = threading.Lock()
        self._computing = threading.BoundedSemaphore(_AT_ONCE)
        self._room = threading.BoundedSemaphore(room)
        # Of this process alone: nothing that it keeps tells a password.
        self._key = os.urandom(32)
        self._changed = self._told = None
        self._read()

    def may_read(self, user, password):
        """Whether to let somebody in.

        An unknown user takes as long as a wrong password: time does not tell
        which names there are.

        :param user: None without credentials.
        :raises Busy: that cannot be told now.
        """
        if user is None:
            return self._anonymous
        self._read_if_changed()
        user, password = _bytes(user), _bytes(password)
        with self._lock:
            users, stand_ins = self._users, self._stand_ins
            remembered, key = self._remembered, self._digest(user, password)
            if remembered.get(key, 0) > self._clock():
                return True
        is_right = self._is_right(password, users.get(user), stand_ins)
        if is_right:
            with self._lock:
                if len(remembered) >= _MOST_REMEMBERED:
                    remembered.clear()
                remembered[key] = self._clock() + _REMEMBERED
        return is_right

    def _is_right(self, password, hashed, stand_ins):
        if not self._room.acquire(blocking=False):
            raise Busy()
        try:
            with self._computing:
                return _verify(password, hashed, stand_ins)
        finally:
            self._room.release()

    def _digest(self, user, password):
        told = b'%d:%b:%b' % (len(user), user, password)
        return hmac.new(self._key, told, hashlib.sha256).digest()

    def _read_if_changed(self):
        try:
            if _stamp(self._path) != self._changed:
                self._read()
        except (SettingError, OSError) as error:
            if '%s' % error != self._told:
                self._told = '%s' % error
                logger.error('the htpasswd file cannot be read, and its '
                             'users stay as they are: %s', error)

    def _read(self):
        try:
            changed = _stamp(self._path)
            with open(self._path, 'rb') as source:
                users = htpasswd.parse(source.read())
        except (OSError, ValueError) as error:
            raise SettingError(
                'htpasswd', None, 'names %s, which cannot be read: %s' % (
                    self._path, getattr(error, 'strerror', None) or error),
                'make it with: htpasswd -Bc FILE NAME')
        usable = {name: hashed for name, hashed in users.items()
                  if htpasswd.is_usable(hashed)}
        if len(usable) < len(users):
            logger.warning('%d of %d users of %s have no bcrypt hash, and '
                           'cannot log in, neither here nor in the registry',
                           len(users) - len(usable), len(users), self._path)
        stand_ins = {htpasswd.cost(each): each
                     for each in list(usable.values()) or [htpasswd.made()]}
        with self._lock:
            self._users, self._stand_ins = usable, stand_ins
            self._changed, self._remembered = changed, {}
            self._told = None


def _verify(password, hashed, stand_ins):
    """Whether a password is right. Each cost that is in the file is computed
    once, whoever asks: so time does not tell users apart, nor their costs.

    :param hashed: None of an unknown user.
    :param stand_ins: a hash of each cost.
    """
    own = hashed and htpasswd.cost(hashed)
    right = [htpasswd.is_right(password, hashed if cost == own else stand_in)
             and cost == own for cost, stand_in in stand_ins.items()]
    return any(right)


def _bytes(text):
    return text.encode('utf-8', 'replace')


def _stamp(path):
    found = os.stat(path)
    return found.st_mtime_ns, found.st_size, found.st_ino
