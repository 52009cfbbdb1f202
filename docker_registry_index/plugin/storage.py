"""The repositories in the storage of docker-registry 0.9.1.

The storage has a directory for each namespace. It contains one for each repository, which contains
the tags and the list of images. A delete leaves nothing of the latter.

Every driver has list_directory, which raises FileNotFoundError for what is not there. Drivers that
are not made with boto raise it for what they cannot read, too."""

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

__all__ = ['RegistrySource', 'drop_connections', 'text_of', 'unquoted']

logger = logging.getLogger(__name__)

#: How the storage writes two names.
_DOTS = {'%2E': '.', '%2E%2E': '..'}
#: Not imported here: the import patches the process for gevent.
_BOTO = 'docker_registry.core.boto'
#: The errors of a directory that is not there; a file is no directory either.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)


class RegistrySource(Source):
    """The repositories in a docker-registry's storage.

    The storage quotes a namespace once and a repository twice, because the registry quotes the
    latter first. A directory that no name is quoted to is left out, and logged.

    :param store: a storage driver; by default that of the registry's configuration, made when it is
        first needed."""

    def __init__(self, store=None):
        self._given = _listing_of(store) if store else _import_driver()
        self._lock = threading.Lock()

    def namespaces(self):
        """Yield the namespaces' directories, quoted; none for a new registry.

        :raises: what the driver raises; OSError for local files that exist and cannot be listed,
            UnreachableError for those of other storages."""
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

    def has(self, name):
        """Return whether there is anything of a repository of this name.

        One listing; up to three if the driver hides errors.

        :raises: as namespaces(), and if such a storage seems empty."""
        namespace, _, repository = name.partition('/')
        if not namespace or not repository:
            return False
        return self._listing.is_there('%s/%s/%s' % (
            self._listing.root, _directory_of(namespace, False), _directory_of(repository, True)))

    @property
    def _listing(self):
        with self._lock:
            if self._given is None:
                self._given = _listing_of(storage.load())
            return self._given

    def _named(self, path, are_repositories):
        """Yield (directory, name) of each directory in a path that has a name."""
        nameless, example = 0, None
        for directory in self._listing.children(path):
            name = _name_of(directory, are_repositories)
            if _directory_of(name, are_repositories) == directory:
                yield directory, name
            else:
                nameless, example = nameless + 1, example or directory
        if nameless:
            logger.warning('left out of the search index: %d in %.200s of the storage, such as '
                           '%.80r: no repository name has this directory', nameless, path, example)


class _Listing(object):
    """The directories of a driver that raises its errors."""

    def __init__(self, store):
        self._store = store
        self.root = store.repositories

    def children(self, path):
        # Some drivers list what is further down, too.
        firsts = (rest.split('/', 1)[0] for rest in self._below(path))
        return (child for child, _ in itertools.groupby(firsts))

    def is_there(self, path):
        """Return whether a directory is there and not empty."""
        return any(self._below(path))

    def holds(self, path, child):
        """Return the same of a child; the driver is asked only if the child's name is odd."""
        return child[0] not in '._' or self.is_there('%s/%s' % (path, child))

    def _below(self, path):
        listed = False
        try:
            # No unicode: storage_path may be bytes beyond ASCII.
            for given in self._store.list_directory(path=str(path)):
                listed = True
                given = text_of(given).strip('/')
                rest = _rest_of(given, path)
                if rest:
                    yield rest
                elif given and path[1:] not in given:
                    # The answer to another request: a connection is shared with another process.
                    raise exceptions.UnreachableError('%s: answered with %.200s' % (path, given))
        except exceptions.FileNotFoundError:
            if listed:
                raise exceptions.UnreachableError('%s broke off' % path)


class _DoubtfulListing(_Listing):
    """The directories of a driver that may report "not there" for what it could not read."""

    def children(self, path):
        child = None
        for child in super(_DoubtfulListing, self).children(path):
            yield child
        above, _, directory = path.rpartition('/')
        # A new registry is empty, and so is a file. A directory is not, as long as its parent
        # lists it.
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
    """The directories of local files, without their driver, which hides all errors."""

    def children(self, path):
        local = self._store._init_path(str(path))
        try:
            return [text_of(entry) for entry in os.listdir(local)]
        except OSError as error:
            if error.errno not in _GONE or _is_behind_a_dead_link(local):
                raise
            return []

    def is_there(self, path):
        if not self.children(path):
            # A disk that is not mounted may contain it: this raises then.
            os.listdir(self._store._init_path(self.root))
        return bool(self.children(path))

    def holds(self, path, child):
        # Under gevent, no other greenlet runs while files are read.
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


def _is_behind_a_dead_link(path):
    """Return whether a link in the path leads nowhere, as to an unmounted disk."""
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.islink(path) and not os.path.exists(path)


def _rest_of(given, path):
    """Return what follows a path in an entry of its listing; '' if nothing does. Drivers list paths
    or names. Some lose the first character, as S3 does if storage_path ends with a slash. Some list
    what only begins alike. S3 lists a directory that the AWS console made as an entry of itself."""
    if '/' not in given and given != path:
        return given
    return given.partition(path[1:] + '/')[2]


def text_of(value):
    """Return ``value`` as text, whatever bytes are in it."""
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
    """Drop the idle connections of the storage driver. Forked workers would share them, and read
    the answers to each other's requests."""
    connection = getattr(storage.load(), '_boto_conn', None)
    if connection is not None:
        connection._pool.host_to_pool.clear()


def _import_driver():
    """Import it now: boto's drivers patch the process for gevent, which running threads do not
    survive."""
    try:
        kind = config.load().storage.lower()
        driver.fetch('file' if kind == 'local' else kind)
    except Exception:  # Raised again where the storage is read.
        logger.debug('the storage driver cannot be imported', exc_info=True)
