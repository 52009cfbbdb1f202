"""The storage of docker-registry 0.9.1, as the index reads it.

Only list_directory is used, which every storage driver has.
"""

from __future__ import unicode_literals

import errno
import os
import threading
import urllib

from docker_registry import storage
from docker_registry.core import exceptions
from docker_registry.drivers import file as file_driver

from .engine import Source

__all__ = ['RegistrySource', 'text_of', 'unquoted']

#: A file among the directories is no repository either.
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
#: What the storage makes of names that a path must not have.
_DOTS = {'.': '%2E', '..': '%2E%2E'}
_NO_DOTS = {quoted: dots for dots, quoted in _DOTS.items()}


class RegistrySource(Source):
    """The repositories in a docker-registry's storage.

    The storage keeps a namespace quoted once and a repository twice, because
    the registry quotes the latter before the storage does.

    :param store: a storage driver; by default, that of the registry's
        configuration, made when it is needed first.
    """

    def __init__(self, store=None):
        self._given = store
        self._lock = threading.Lock()

    def namespaces(self):
        """The names of the namespaces' directories, quoted as they are."""
        return self._children(self._store.repositories)

    def repositories(self, namespace):
        """(name, None) for each repository of a namespace.

        :raises: what the driver raises; OSError for local files that are
            there and cannot be listed.
        """
        path = '%s/%s' % (self._store.repositories, namespace)
        left = unquoted(namespace)
        left = _NO_DOTS.get(left, left)
        for repository in self._children(path):
            yield '%s/%s' % (left, unquoted(unquoted(repository))), None

    def has(self, name):
        """Whether there is anything of a repository of this name.

        :raises: as repositories().
        """
        namespace, _, repository = name.partition('/')
        if not namespace or not repository:
            return False
        path = '%s/%s/%s' % (self._store.repositories, _checked(namespace),
                             _checked(_quoted(repository)))
        found = self._children(path, must_have_root=True)
        return next(found, None) is not None

    @property
    def _store(self):
        with self._lock:
            if self._given is None:
                self._given = storage.load()
            return self._given

    def _children(self, path, must_have_root=False):
        """Yield the names in a directory; some drivers say where it begins
        wrongly, so nothing but the last part of what they list is used."""
        try:
            for child in self._store.list_directory(path=path):
                yield text_of(child).rstrip('/').rsplit('/', 1)[-1]
        except exceptions.FileNotFoundError:
            if isinstance(self._store, file_driver.Storage):
                self._check_local(path, must_have_root)

    def _check_local(self, path, must_have_root):
        """The driver of local files says of all that it cannot list that it
        is not there; find out.

        :param must_have_root: a disk that is not mounted says nothing of
            what was on it.
        """
        root = self._store._root_path
        if must_have_root:
            os.listdir(os.path.join(root, self._store.repositories))
        try:
            os.listdir(os.path.join(root, path))
        except OSError as error:
            if error.errno not in _GONE:
                raise


def text_of(value):
    """``value`` as text, whatever bytes are in it."""
    return value.decode('utf-8', 'replace') if isinstance(
        value, bytes) else value


def unquoted(part):
    """``part`` without one layer of the registry's quoting."""
    if not isinstance(part, bytes):
        part = part.encode('utf-8')
    return urllib.unquote_plus(part).decode('utf-8', 'replace')


def _quoted(part):
    return urllib.quote_plus(part.encode('utf-8')).decode('ascii')


def _checked(part):
    """``part`` as docker_registry.core.driver.check quotes it."""
    return _quoted(_DOTS.get(part, part))
