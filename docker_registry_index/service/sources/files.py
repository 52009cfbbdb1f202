"""The repositories in the directory of a registry on this machine."""

from __future__ import unicode_literals

import errno
import os

from ..registry import layout
from .names import StorageSource, legal

__all__ = ['FilesSource']


class FilesSource(StorageSource):
    """What has a tag below a directory.

    :param root: the registry's storage.filesystem.rootdirectory.
    """

    def __init__(self, root):
        self._root = root
        self._folder = os.path.join(root, layout.folder('').rstrip('/'))

    def namespaces(self):
        """The top-level directories; none for a new registry.

        :raises OSError: the root is not there, or cannot be read.
        """
        os.stat(self._root)
        return [entry.name for entry in _directories(self._folder)]

    def repositories(self, namespace):
        """(name, None) for each repository of a top-level directory.

        :raises OSError: a directory in it cannot be read; after the names
            that can.
        """
        return legal(self._tagged(namespace), namespace)

    def has(self, name):
        """Whether a repository has a tag now.

        :raises OSError: that cannot be told; as when there is no repository
            at all: a disk that is not mounted says nothing of what it has.
        """
        if not layout.is_name(name):
            return False
        os.stat(self._folder)
        return self._has_tag(name)

    def _has_tag(self, name):
        tags = os.path.join(self._folder, layout.tags_of(name))
        return any(True for _ in _directories(tags))

    def _tagged(self, top):
        """Yield the names below a directory, first those of the outside."""
        problems = []
        left = [(top, ())]
        while left:
            name, above = left.pop()
            try:
                here = _identity(os.path.join(self._folder, name))
                # Links that lead back; and what is too long for a name.
                if here in above or len(name) > layout.NAME_LENGTH:
                    continue
                if self._has_tag(name):
                    yield name
                inner = _directories(os.path.join(self._folder, name))
                left.extend(('%s/%s' % (name, entry.name), above + (here,))
                            for entry in inner)
            except OSError as problem:
                if not _is_gone(problem):
                    problems.append(problem)
        if problems:
            raise problems[0]


def _directories(path):
    """The directories in one, without the registry's own; [] if it is gone.

    :raises OSError: it cannot be read.
    """
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries
                    if entry.name[:1] != '_' and _is_directory(entry)]
    except OSError as problem:
        if not _is_gone(problem):
            raise
        return []


def _is_directory(entry):
    # A link that leads nowhere is one: to a disk that is not mounted.
    return entry.is_dir() or (entry.is_symlink() and
                              not os.path.exists(entry.path))


def _identity(path):
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _is_gone(problem):
    """Whether it is the end of a directory that was removed meanwhile."""
    return (problem.errno in (errno.ENOENT, errno.ENOTDIR) and
            not _is_behind_a_dead_link(problem.filename))


def _is_behind_a_dead_link(path):
    """Whether a link on the way leads nowhere, as to an unmounted disk."""
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return os.path.islink(path) and not os.path.exists(path)
