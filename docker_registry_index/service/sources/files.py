"""Lists the repositories in the directory of a registry on this machine."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from ..registry import layout
from .base import StorageSource

__all__ = ['FilesSource']


class FilesSource(StorageSource):
    """The repositories with a tag below the registry's storage.filesystem.rootdirectory."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folder = os.path.join(root, layout.folder('').rstrip('/'))

    def namespaces(self) -> list[str]:
        """The top-level directories; none in a new registry.

        :raises OSError: the root does not exist, or cannot be read.
        """
        os.stat(self._root)
        return [entry.name for entry in _directories(self._folder)]

    def has(self, name: str) -> bool:
        """Whether a repository has a tag now.

        :raises OSError: a directory cannot be read, or there is no repository at all: the disk may
            not be mounted.
        """
        if not layout.is_name(name):
            return False
        os.stat(self._folder)
        return self._has_tag(name)

    def tagged(self, namespace: str) -> Iterator[str]:
        """Yield the names with a tag in a top-level directory, the outer ones first.

        :raises OSError: a directory in it cannot be read; after the names that can be.
        """
        problems = []
        left: list[tuple[str, tuple[tuple[int, int], ...]]] = [(namespace, ())]
        while left:
            name, above = left.pop()
            path = os.path.join(self._folder, name)
            try:
                status = os.stat(path)
                here = status.st_dev, status.st_ino
                # Skip links that lead back, and what is too long for a name.
                if here in above or len(name) > layout.NAME_LENGTH:
                    continue
                if self._has_tag(name):
                    yield name
                left.extend((f'{name}/{entry.name}', above + (here,))
                            for entry in _directories(path))
            except OSError as problem:
                if not _is_gone(problem):
                    problems.append(problem)
        if problems:
            raise problems[0]

    def _has_tag(self, name: str) -> bool:
        return bool(_directories(os.path.join(self._folder, layout.tags_of(name))))


def _directories(path: str) -> list[os.DirEntry[str]]:
    """The directories in one, without the registry's own; [] if it does not exist any more."""
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.name[:1] != '_' and _is_directory(entry)]
    except OSError as problem:
        if not _is_gone(problem):
            raise
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    # So is a dangling link: it may lead to a disk that is not mounted.
    return entry.is_dir() or (entry.is_symlink() and not os.path.exists(entry.path))


def _is_gone(problem: OSError) -> bool:
    """Whether a directory was removed meanwhile: it is not behind a dangling link."""
    if problem.errno not in (errno.ENOENT, errno.ENOTDIR):
        return False
    path = problem.filename
    while path and not os.path.lexists(path):
        path = os.path.dirname(path)
    return not os.path.islink(path) or os.path.exists(path)
