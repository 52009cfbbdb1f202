"""The storage layout of Distribution: the keys of repositories, and a walk over them. Pure.

    ROOT/docker/registry/v2/repositories/NAME/_layers/...
                                             /_manifests/revisions/...
                                             /_manifests/tags/TAG/...
                                             /_uploads/...

https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/paths.go

A name may contain slashes, and a repository others; no component of a name starts with "_". A tag
is a file TAG/current/link, which the registry writes last, and without which it answers 404. All
keys are relative to the folder of repositories, and sorted by their bytes, as in S3."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

NAME_LENGTH = 255

#: The most folders in one range, so that no thread runs out of ranges.
RANGE_NAMES = 125

_TAGS = '_manifests/tags/'
_TAG = re.compile(rf'{_TAGS}[^/]+/current/link\Z')
# https://github.com/distribution/distribution/blob/v2.8.2/reference/regexp.go
_COMPONENT = '[a-z0-9]+(?:(?:[.]|__|_|-+)[a-z0-9]+)*'
_NAME = re.compile(rf'{_COMPONENT}(?:/{_COMPONENT})*\Z')


class ListingError(Exception):
    """Raised if a storage lists keys in a way that can hide names, or never ends."""


def is_name(value: object) -> bool:
    """Return True if Distribution accepts a value as the name of a repository."""
    return isinstance(value, str) and len(value) <= NAME_LENGTH and bool(_NAME.match(value))


def folder(root: str) -> str:
    """Return the folder of the repositories in a rootdirectory, such as '', 'a/b' or '/a/b'."""
    root = root.strip('/')
    return (root + '/' if root else '') + 'docker/registry/v2/repositories/'


def tags_of(name: str) -> str:
    """Return the folder of the tags of a repository."""
    return f'{name}/{_TAGS}'


def tagged(key: str) -> str | None:
    """Return the name of the repository if a key makes one of its tags, otherwise None."""
    name, inner = _split(key)
    return name if name and _TAG.match(inner) else None


def checked(keys: Sequence[str], after: str, is_more: bool) -> Sequence[str]:
    """Return the keys of a page if they are in order, and after a key.

    :param is_more: True if another page follows; this page must then have a key.
    :raises ListingError: the next page may hide keys, or repeat these."""
    if (is_more and not keys) or any(key <= last for last, key in zip([after, *keys], keys)):
        raise ListingError(f'S3 lists keys after {after[:200]!r} out of order or not at all, so '
                           'names may be missing; remove STORAGE to load the catalog instead')
    return keys


def walk(page_after: Callable[[str], tuple[Sequence[str], bool]], after: str = '',
         before: str | None = None) -> Iterator[str]:
    """Yield each name that has a tag, and whose keys are between two keys.

    Costs at most one request for each 1 000 keys, and three for each repository. At the end of a
    page, the walk skips keys that cannot belong to a tag.

    :param page_after: makes one request; returns the keys after a key, and True if more follow.
    :param before: the first key after the range; None for no end.
    :raises ListingError: the keys are out of order, so the walk might never end."""
    name, is_more = None, True
    while is_more:
        keys, is_more = page_after(after)
        for key in checked(keys, after, is_more):
            if before is not None and key >= before:
                return
            found = tagged(key)
            if found and found != name:
                name = found
                yield name
        if keys:
            after = _next_place(keys[-1], name)
        if before is not None and after >= before:
            return


class KeyRange(NamedTuple):
    """The keys after one key and before another."""

    after: str
    before: str | None

    def __str__(self) -> str:
        return f'{self.after or "the first key"} to {self.before or "the last key"}'

    def may_contain(self, folder: str) -> bool:
        """Return True if the keys in a folder of a repository are in this range."""
        return folder > self.after and (self.before is None or folder < self.before)


def key_ranges(cuts: Sequence[str], count: int) -> Iterator[KeyRange]:
    """Yield at least ``count`` ranges that cover all keys, cut at some of the keys ``cuts``."""
    size = max(1, min(RANGE_NAMES, -(-len(cuts) // count)))
    for start in range(0, len(cuts), size):
        yield KeyRange(cuts[start] if start else '', next(iter(cuts[start + size:]), None))


def _next_place(key: str, tagged_name: str | None) -> str:
    """Return where to continue after a key: at the tags of its repository, or after it.

    :param tagged_name: the last name with a tag."""
    name, inner = _split(key)
    if not name or (inner.startswith(_TAGS) and name != tagged_name):
        return key
    # In the order of bytes, no name sorts between NAME/_... and NAME/`.
    return f'{name}/{_TAGS if inner < _TAGS else "`"}'


def _split(key: str) -> tuple[str, str]:
    """Return (name, rest); the name is '' if the key does not belong to a repository."""
    name, slash, inner = key.partition('/_')
    return (name, '_' + inner) if slash else ('', '')
