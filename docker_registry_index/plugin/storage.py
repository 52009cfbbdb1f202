"""The repositories in the storage of docker-registry 0.9.1.

The storage has a directory for each namespace, which contains a directory for each repository, with
its tags and its list of images. A delete removes the directory of the repository.

list_directory of a driver raises FileNotFoundError for a missing directory. A driver that does not
use boto also raises it for a directory that it cannot read."""

from __future__ import unicode_literals

import errno
import itertools
import logging
import os
import threading
import time
import urllib

from docker_registry import storage
from docker_registry.core import driver, exceptions
from docker_registry.drivers import file as file_driver
from docker_registry.lib import config

from ..engine import Source

logger = logging.getLogger(__name__)

#: The directories of the names . and ..
_DOTS = {'%2E': '.', '%2E%2E': '..'}
#: Not imported here, because the import patches the process for gevent.
_BOTO = 'docker_registry.core.boto'
#: The errors of a missing directory, or of a file in its place.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class RegistrySource(Source):
    """A Source of the repositories in the storage of a docker-registry.

    Directory names are quoted: a namespace once, a repository twice, because the registry quotes
    the repository first. A directory that is not a quoted name is left out and logged.

    :param store: a storage driver; by default that of the registry's configuration, created when it
        is first used."""

    def __init__(self, store=None):
        self._loaded_listing = _listing_of(store) if store else _import_driver()
        self._lock = threading.Lock()

    def namespaces(self):
        """Yield the quoted directory of each namespace.

        :raises: the errors of the driver. For a directory that exists and cannot be listed:
            OSError for local files, UnreachableError for other storages."""
        return (each for each, _ in self._named(self._listing.root, False))

    def repositories(self, namespace):
        """Yield (name, None) for each repository of a namespace.

        :param namespace: as namespaces() yields it.
        :raises: as namespaces()."""
        path = '%s/%s' % (self._listing.root, namespace)
        left = _name_of(namespace, False)
        for directory, right in self._named(path, True):
            if self._listing.holds(path, directory):
                yield '%s/%s' % (left, right), None

    def may_contain(self, namespace, name):
        """Return True if a repository would be in the directory of a namespace."""
        return _directory_of(name.partition('/')[0], False) == namespace

    def has(self, name):
        """Return True if the storage has any file of a repository.

        Takes one listing, or up to three if the driver hides errors.

        :raises: as namespaces(); also if a driver that hides errors reports an empty storage."""
        namespace, _, repository = name.partition('/')
        if not namespace or not repository:
            return False
        return self._listing.is_there('%s/%s/%s' % (
            self._listing.root, _directory_of(namespace, False), _directory_of(repository, True)))

    @property
    def _listing(self):
        with self._lock:
            if self._loaded_listing is None:
                self._loaded_listing = _listing_of(storage.load())
            return self._loaded_listing

    def _named(self, path, are_repositories):
        """Yield (directory, name) for each directory in a path that is a quoted name."""
        nameless, example = 0, None
        for directory in self._listing.children(path):
            name = _name_of(directory, are_repositories)
            if _directory_of(name, are_repositories) == directory:
                yield directory, name
            else:
                nameless, example = nameless + 1, example or directory
        if nameless:
            logger.warning('%d directories in %.200s of the storage are left out of the search '
                           'index, as their names are not valid: %.80r', nameless, path, example)


class _Listing(object):
    """Lists directories with a driver that raises its errors."""

    def __init__(self, store):
        self._store = store
        self.root = store.repositories

    def children(self, path):
        # Some drivers also list the directories below the children.
        firsts = (rest.split('/', 1)[0] for rest in self._below(path))
        return (child for child, _ in itertools.groupby(firsts))

    def is_there(self, path):
        """Return True if a directory exists and is not empty."""
        return any(self._below(path))

    def holds(self, path, child):
        """Return True if a child is not empty. Only a child with the name of a file is checked."""
        return child[0] not in '._' or self.is_there('%s/%s' % (path, child))

    def _below(self, path):
        listed = False
        try:
            # Not unicode: storage_path may be bytes beyond ASCII.
            for given in self._store.list_directory(path=str(path)):
                listed = True
                given = text_of(given).strip('/')
                rest = _rest_of(given, path)
                if rest:
                    yield rest
                elif given and path[1:] not in given:
                    raise exceptions.UnreachableError(
                        'the listing of %s is that of another path: %.200s' % (path, given))
        except exceptions.FileNotFoundError:
            if listed:
                raise exceptions.UnreachableError('the listing of %s broke off' % path)


class _DoubtfulListing(_Listing):
    """Lists directories with a driver that may report unreadable directories as missing."""

    def children(self, path):
        child = None
        for child in super(_DoubtfulListing, self).children(path):
            yield child
        above, _, directory = path.rpartition('/')
        # A new registry and a file have no children. A directory in its parent's listing has some.
        if child or not above or self._store.exists(str(path)):
            return
        if directory in super(_DoubtfulListing, self).children(above):
            raise exceptions.UnreachableError('%s cannot be listed' % path)

    def is_there(self, path):
        is_there = super(_DoubtfulListing, self).is_there
        if not is_there(path) and not is_there(self.root):
            raise exceptions.UnreachableError('the storage lists nothing')
        return is_there(path)


class _LocalListing(_Listing):
    """Lists local directories without their driver, which hides all errors."""

    def children(self, path):
        local = self._store._init_path(str(path))
        try:
            return [text_of(entry) for entry in os.listdir(local)]
        except OSError as error:
            if error.errno not in _GONE or _has_dangling_link(local):
                raise
            return []

    def is_there(self, path):
        if not self.children(path):
            # Raises if the disk is not mounted, which may contain it.
            os.listdir(self._store._init_path(self.root))
        return bool(self.children(path))

    def holds(self, path, child):
        # With gevent, this lets other greenlets run; reading files does not.
        time.sleep(0)
        try:
            return bool(self.children('%s/%s' % (path, child)))
        except OSError:
            return True


def _listing_of(store):
    if isinstance(store, file_driver.Storage):
        return _LocalListing(store)
    modules = [base.__module__ for base in type(store).__mro__]
    return (_Listing if _BOTO in modules else _DoubtfulListing)(store)


def _has_dangling_link(path):
    """Return True if a link in the path is dangling, as one to an unmounted disk is."""
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.islink(path) and not os.path.exists(path)


def _rest_of(given, path):
    """Return the rest of an entry after the path that was listed; '' if there is none. Drivers list
    paths or names. Some drop the first character, as S3 if storage_path ends with a slash. Some add
    paths with the same beginning. S3 lists a directory of the AWS console as its own entry."""
    if '/' not in given and given != path:
        return given
    return given.partition(path[1:] + '/')[2]


def text_of(value):
    """Return text or bytes as text; replace invalid UTF-8."""
    return value.decode('utf-8', 'replace') if isinstance(value, bytes) else value


def unquoted(name):
    """Return ``name`` without one layer of the registry's quoting."""
    if not isinstance(name, bytes):
        name = name.encode('utf-8')
    return urllib.unquote_plus(name).decode('utf-8', 'replace')


def _name_of(directory, is_repository):
    name = unquoted(directory)
    name = _DOTS.get(name, name)
    return unquoted(name) if is_repository else name


def _directory_of(name, is_repository):
    name = name.encode('utf-8')
    return driver.check(urllib.quote_plus(name) if is_repository else name)


def drop_connections():
    """Drop the idle connections of the driver, because forked workers must not share them."""
    connection = getattr(storage.load(), '_boto_conn', None)
    if connection is not None:
        connection._pool.host_to_pool.clear()


def _import_driver():
    """Import the driver before threads start: boto's drivers patch the process for gevent."""
    try:
        kind = config.load().storage.lower()
        driver.fetch('file' if kind == 'local' else kind)
    except Exception:  # Raised again where the storage is read.
        logger.debug('the storage driver cannot be imported; the first load retries', exc_info=True)
