"""What is in the directories of docker-registry's storage, or an error.

Every driver has list_directory, which raises FileNotFoundError for what is
not there. What that word is worth differs: boto's drivers raise an error of
their own when they cannot tell, that of local files and most of the others
never do. Here "not there" means it, or something is raised.
"""

from __future__ import unicode_literals

import errno
import os
import time

from docker_registry.core import exceptions
from docker_registry.drivers import file as file_driver

__all__ = ['Listing', 'listing_of', 'text_of']

#: Its drivers, S3 and GCS among them, let errors through. Not imported: that
#: would patch the whole process for gevent.
_BOTO = 'docker_registry.core.boto'
#: A file among the directories is no directory; it is there for no error.
_NO_DIRECTORY = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


def listing_of(store):
    """The Listing that fits a storage driver."""
    if isinstance(store, file_driver.Storage):
        return _LocalListing(store)
    modules = [base.__module__ for base in type(store).__mro__]
    return (Listing if _BOTO in modules else _DoubtfulListing)(store)


class Listing(object):
    """The directories of a driver that raises what goes wrong.

    Safe in several threads: each listing of boto's takes a connection of its
    own, from a pool with a lock.

    :param store: the storage driver.
    """

    def __init__(self, store):
        self._store = store
        #: The directory of all namespaces.
        self.root = store.repositories

    def children(self, path):
        """Yield the names in a directory; none when it is not there.

        One listing, in pages as long as the driver's, 1 000 names in S3.

        :raises: what the driver raises; UnreachableError for a listing that
            ended before its end.
        """
        last = None
        for rest in self._below(path):
            child = rest.split('/', 1)[0]
            # Some drivers list what is further down, too.
            if child and child != last:
                last = child
                yield child

    def is_there(self, path):
        """Whether a directory is there and not empty, as surely as the
        driver can tell.

        :raises: as children().
        """
        return next(self._below(path), None) is not None

    def holds(self, path, child):
        """Whether a child that was listed is a directory with anything in
        it; object storages are asked only where the name makes it unlikely,
        as with ``.DS_Store``.

        :raises: as children().
        """
        return child[0] not in '._' or self.is_there('%s/%s' % (path, child))

    def _below(self, path):
        for given in self._listed(path):
            rest = _rest_of(given, path)
            if rest is not None:
                yield rest

    def _listed(self, path):
        listed = False
        try:
            # The registry's own paths are no unicode, and neither is a
            # storage_path beyond ASCII that they are joined to.
            for given in self._store.list_directory(path=str(path)):
                listed = True
                yield given
        except exceptions.FileNotFoundError as error:
            if listed:
                raise exceptions.UnreachableError(
                    'the listing of %s broke off: %r' % (path, error))


class _DoubtfulListing(Listing):
    """Of a driver that may say "not there" of what it could not read."""

    def children(self, path):
        listed = False
        for child in super(_DoubtfulListing, self).children(path):
            listed = True
            yield child
        if not listed:
            self._check_empty(path)

    def is_there(self, path):
        """Costs three listings where nothing is there."""
        is_there = super(_DoubtfulListing, self).is_there
        if is_there(path):
            return True
        if not is_there(self.root):
            raise exceptions.UnreachableError(
                'the storage lists nothing at all, so it may be away')
        return is_there(path)

    def _check_empty(self, path):
        """A new registry is empty, and so is a file; a directory is not, in
        most storages, as long as the one above it lists it."""
        above, _, directory = path.rpartition('/')
        if not above or self._store.exists(str(path)):
            return
        if directory in super(_DoubtfulListing, self).children(above):
            raise exceptions.UnreachableError(
                '%s is there and cannot be listed' % path)


class _LocalListing(Listing):
    """Local files. Their driver says "not there" of all that it cannot list,
    so the directories are read without it."""

    def children(self, path):
        """:raises OSError: it is there and cannot be read."""
        return iter(self._entries(path))

    def is_there(self, path):
        """:raises OSError: as children(), or the root is not there: a disk
            that is not mounted says nothing of what is on it."""
        if self._entries(path):
            return True
        os.listdir(self._local(self.root))
        return bool(self._entries(path))

    def holds(self, path, child):
        """What cannot be read is taken to be something."""
        # Under gevent, nobody else runs while files are read.
        time.sleep(0)
        try:
            return bool(os.listdir(self._local('%s/%s' % (path, child))))
        except OSError as error:
            return error.errno not in _NO_DIRECTORY

    def _entries(self, path):
        local = self._local(path)
        harmless = _NO_DIRECTORY if path != self.root else (errno.ENOENT,)
        try:
            return [text_of(entry) for entry in os.listdir(local)]
        except OSError as error:
            if error.errno not in harmless or _is_behind_a_dead_link(local):
                raise
            return []

    def _local(self, path):
        return self._store._init_path(str(path))


def _is_behind_a_dead_link(path):
    """Whether a path is not there because a link on its way leads nowhere,
    as to a disk that is not mounted."""
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.islink(path) and not os.path.exists(path)


def _rest_of(given, path):
    """What stands behind a path in what its listing gave: '' for the path
    itself, None for what is not below it.

    Drivers give paths or names. Some end a path with a slash, some lose its
    first character (S3 when storage_path ends with a slash), some list what
    only begins alike, and S3 itself lists a directory as a file in it when
    the AWS console made it.
    """
    given = text_of(given).strip('/')
    if '/' not in given and given != path:
        return given or None
    _, found, rest = (given + '/').partition(path[1:] + '/')
    return rest.rstrip('/') if found else None


def text_of(value):
    """``value`` as text, whatever bytes are in it."""
    return value.decode('utf-8', 'replace') if isinstance(
        value, bytes) else value
