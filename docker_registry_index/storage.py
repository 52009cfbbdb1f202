"""The repositories in the storage of docker-registry 0.9.1.

The storage has a directory for each namespace, in it one for each repository,
in it the tags and the list of images. A delete leaves nothing of the latter.
"""

from __future__ import unicode_literals

import logging
import threading
import urllib

from docker_registry import storage
from docker_registry.core import driver
from docker_registry.lib import config

from .engine import Source
from .storage_listing import listing_of

__all__ = ['RegistrySource', 'text_of', 'unquoted']

logger = logging.getLogger(__name__)

#: What the storage makes of names that a path must not have.
_DOTS = {'.': '%2E', '..': '%2E%2E'}
_NO_DOTS = {quoted: dots for dots, quoted in _DOTS.items()}


class RegistrySource(Source):
    """The repositories in a docker-registry's storage.

    The storage keeps a namespace quoted once and a repository twice, because
    the registry quotes the latter before the storage does. A directory to
    which no name leads so is left out, and the log says it.

    :param store: a storage driver; by default, that of the registry's
        configuration, made when it is needed first.
    """

    def __init__(self, store=None):
        self._given = store and listing_of(store)
        if store is None:
            _import_driver()
        self._lock = threading.Lock()

    def namespaces(self):
        """The namespaces' directories, quoted as they are.

        None for a new registry, whose storage has nothing yet.

        :raises: what the driver raises; OSError for local files that are
            there and cannot be listed.
        """
        found = self._named(self._listing.root, _namespace_of,
                            _namespace_directory)
        return (directory for directory, _ in found)

    def repositories(self, namespace):
        """(name, None) for each repository of a namespace.

        :param namespace: as namespaces() gave it.
        :raises: as namespaces().
        """
        listing = self._listing
        path = '%s/%s' % (listing.root, namespace)
        found = self._named(path, _repository_of, _repository_directory)
        for directory, repository in found:
            if listing.holds(path, directory):
                yield '%s/%s' % (_namespace_of(namespace), repository), None

    def has(self, name):
        """Whether there is anything of a repository of this name.

        One listing, and two more where there is nothing and the driver hides
        errors. The registry's cache of the storage has no part in it.

        :raises: as namespaces(); OSError as well when all local files are
            gone, and UnreachableError when another storage seems empty.
        """
        namespace, _, repository = name.partition('/')
        if not namespace or not repository:
            return False
        return self._listing.is_there('%s/%s/%s' % (
            self._listing.root, _namespace_directory(namespace),
            _repository_directory(repository)))

    @property
    def _listing(self):
        with self._lock:
            if self._given is None:
                self._given = listing_of(storage.load())
            return self._given

    def _named(self, path, name_of, directory_of):
        """Yield (directory, name) of those in a path that have one."""
        nameless = []
        count = 0
        for directory in self._listing.children(path):
            name = name_of(directory)
            if directory_of(name) == directory:
                yield directory, name
            else:
                count += 1
                nameless = nameless or [directory]
        if count:
            logger.warning(
                'left out of the search index: %d in %.200r of the storage, '
                'such as %.80r: no name of a repository leads there', count,
                path, nameless[0])


def text_of(value):
    """``value`` as text, whatever bytes are in it."""
    return value.decode('utf-8', 'replace') if isinstance(
        value, bytes) else value


def unquoted(part):
    """``part`` without one layer of the registry's quoting."""
    if not isinstance(part, bytes):
        part = part.encode('utf-8')
    return urllib.unquote_plus(part).decode('utf-8', 'replace')


def _namespace_of(directory):
    left = unquoted(directory)
    return _NO_DOTS.get(left, left)


def _namespace_directory(namespace):
    return _checked(namespace)


def _repository_of(directory):
    return unquoted(unquoted(directory))


def _repository_directory(repository):
    return _checked(_quoted(repository))


def _quoted(part):
    return urllib.quote_plus(part.encode('utf-8')).decode('ascii')


def _checked(part):
    """``part`` as docker_registry.core.driver.check quotes it."""
    return _quoted(_DOTS.get(part, part))


def _import_driver():
    """Import the driver of the configuration now, in this thread.

    Those of boto patch the process for gevent as they are imported, which
    must not happen beside running threads.
    """
    try:
        kind = config.load().storage.lower()
        driver.fetch('file' if kind == 'local' else kind)
    except Exception:
        # Raised again where the storage is read.
        logger.debug('the storage driver cannot be imported', exc_info=True)
