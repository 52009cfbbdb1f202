"""An htpasswd file, read as the registry reads it: bcrypt only. Pure.

https://github.com/distribution/distribution/blob/v2.8.2/registry/auth/htpasswd/htpasswd.go
"""

from __future__ import unicode_literals

from passlib.hash import bcrypt

__all__ = ['cost', 'is_usable', 'is_right', 'made', 'parse']

#: What bcrypt looks at of a password, in bytes.
_LONGEST = 72


def parse(content):
    """{name: hash} of the lines of a file, all of it bytes.

    Of a name that comes twice, the last line counts, as in the registry.

    :raises ValueError: a line is not NAME:HASH.
    """
    found = {}
    for line in content.splitlines():
        line = line.strip()
        if not line or line.startswith(b'#'):
            continue
        name, colon, hashed = line.partition(b':')
        if not colon:
            raise ValueError('a line of it is not NAME:HASH')
        found[name] = hashed
    return found


def is_usable(hashed):
    """Whether it is a whole bcrypt hash, so that somebody may log in."""
    try:
        return bcrypt.from_string(hashed).checksum is not None
    except ValueError:
        return False


def cost(hashed):
    """The cost of a usable hash: one more takes twice the time."""
    return bcrypt.from_string(hashed).rounds


def is_right(password, hashed):
    """Whether a password, in bytes, is that of a usable hash."""
    try:
        return bcrypt.verify(password[:_LONGEST], hashed)
    except ValueError:
        # Such as a password with a NUL in it, which no hash has.
        return False


def made():
    """A usable hash of nobody's password."""
    return bcrypt.hash('nobody').encode('ascii')
