"""The sources that list a registry's storage: a local directory or an S3 bucket.

The registry's own walk of a bucket costs a request for each directory. This walk costs at most one
request for each 1 000 objects, and lists several ranges at once. It needs s3:ListBucket."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import boto3.session
import botocore.config

from ...engine._compat import aws_options
from ...engine.sync.source import Source
from ..registry import layout

logger = logging.getLogger(__name__)

#: The namespaces that the engine lists at once.
SIDE_BY_SIDE = 8
#: The most times that links to one directory are followed.
LINKS = 100


class StorageSource(Source):
    """A Source of names only; the descriptions are read from the registry later."""

    describes_later = True

    def tagged(self, namespace: Any) -> Iterator[str]:
        """Yield the names in a namespace that have a tag, valid or not."""
        raise NotImplementedError

    def repositories(self, namespace: Any) -> Iterator[tuple[str, None]]:
        """Yield (name, None) for each valid name in a namespace that has a tag; log invalid ones.

        :raises: as ``tagged``, after all readable names."""
        count, example = 0, None
        try:
            for name in self.tagged(namespace):
                if layout.is_name(name):
                    yield name, None
                else:
                    count, example = count + 1, example or name
        finally:
            if count:
                logger.warning(
                    '%d repositories in %.200r of the storage are left out of the search index, '
                    'for example %.80r; their names are not valid', count, str(namespace), example)


class FilesSource(StorageSource):
    """A Source of the repositories with a tag in the registry's filesystem.rootdirectory."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._folder = os.path.join(root, layout.folder('').rstrip('/'))

    def namespaces(self) -> list[str]:
        """Return the top-level directories; a new registry has none, but a root."""
        os.stat(self._root)
        return [entry.name for entry in _directories(self._folder)]

    def may_contain(self, namespace: str, name: str) -> bool:
        """Return True if a repository would be in a top-level directory."""
        return name.partition('/')[0] == namespace

    def has(self, name: str) -> bool:
        """Return True if a repository has a tag now; raise OSError for an empty storage."""
        if not layout.is_name(name):
            return False
        os.stat(self._folder)
        return self._has_tag(name)

    def tagged(self, namespace: str) -> Iterator[str]:
        """Yield the names with a tag in a top-level directory, the outer ones first.

        :raises OSError: a directory cannot be read; raised after all readable names."""
        problems = []
        visits: Counter[tuple[int, int]] = Counter()
        left: list[tuple[str, tuple[tuple[int, int], ...], bool]] = [(namespace, (), False)]
        while left:
            name, above, is_link = left.pop()
            path = os.path.join(self._folder, name)
            try:
                with _ignoring_removals():
                    status = os.stat(path)
                    here = status.st_dev, status.st_ino
                    # Skip links to a directory above, and paths that are too long for a name.
                    if here in above or len(name) > layout.NAME_LENGTH:
                        continue
                    visits[here] += is_link
                    if visits[here] > LINKS and is_link:
                        raise OSError(errno.ELOOP, f'more than {LINKS} links lead here', path)
                    if self._has_tag(name):
                        yield name
                    left.extend((f'{name}/{entry.name}', above + (here,), entry.is_symlink())
                                for entry in _directories(path))
            except OSError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]

    def _has_tag(self, name: str) -> bool:
        tags = os.path.join(self._folder, layout.tags_of(name))
        for entry in _entries(tags):
            with _ignoring_removals():
                if stat.S_ISREG(os.stat(f'{entry.path}/current/link').st_mode):
                    return True
        return False


class S3Source(StorageSource):
    """A Source of the repositories with a tag in a bucket. All methods raise boto3's errors.

    :param bucket, root: the registry's storage.s3.bucket and storage.s3.rootdirectory.
    :param connect: returns an S3 client, see s3_client. It is called for each load, because a
        client that finds no credentials when it is created never looks for them again."""

    def __init__(self, bucket: str, root: str, connect: Callable[[], Any]) -> None:
        self._bucket, self._folder, self._connect = bucket, layout.folder(root), connect
        self._client: Any = None
        self._ignores_start = False

    def namespaces(self) -> Iterator[layout.KeyRange]:
        """Return ranges with about equal numbers of folders. Costs a request for each 1 000 folders
        at the top level. If there are fewer than 8, also costs one for each of them."""
        self._client = self._connect()
        cuts = list(self._folders(''))
        if len(cuts) < SIDE_BY_SIDE:
            cuts = [inner for cut in cuts for inner in [cut, *(
                each for each in self._folders(cut) if not each[len(cut):].startswith('_'))]]
        return layout.key_ranges(cuts, SIDE_BY_SIDE)

    def may_contain(self, namespace: layout.KeyRange, name: str) -> bool:
        """Return True if the keys of a repository's tags would be in a range."""
        return namespace.may_contain(layout.tags_of(name))

    def tagged(self, namespace: layout.KeyRange) -> Iterator[str]:
        """Yield the name of each repository in a range that has a tag."""
        return layout.walk(partial(self._page_after, self._client, ''), namespace.after,
                           namespace.before)

    def has(self, name: str) -> bool:
        """Return True if a repository has a tag now. Costs one request, unless the first tags are
        damaged."""
        if not layout.is_name(name):
            return False
        tags = layout.tags_of(name)
        client = self._client or self._connect()
        return name in layout.walk(partial(self._page_after, client, tags), tags)

    def _folders(self, folder: str) -> Iterator[str]:
        """Yield the folders in a folder, in order."""
        last = folder
        for page in self._client.get_paginator('list_objects_v2').paginate(
                Bucket=self._bucket, Prefix=self._folder + folder, Delimiter='/'):
            keys = layout.checked(sorted(self._keys(page, folder)), last, page['IsTruncated'])
            yield from (key for key in keys if key.endswith('/'))
            last = keys[-1] if keys else last

    def _page_after(self, client: Any, prefix: str, place: str) -> tuple[list[str], bool]:
        """Return the keys with a prefix after a place, and True if more follow."""
        where = {'Bucket': self._bucket, 'Prefix': self._folder + prefix}
        start = self._folder + place
        # Each S3 supports the older request, because that has no other way to the next page.
        by_marker = self._ignores_start
        page = (client.list_objects(Marker=start, **where) if by_marker
                else client.list_objects_v2(StartAfter=start, **where))
        keys = self._keys(page, place)
        if keys and keys[0] < place and not by_marker:
            logger.warning('this S3 ignores start-after; the older ListObjects is used instead')
            self._ignores_start = True
            return self._page_after(client, prefix, place)
        return keys, page['IsTruncated']

    def _keys(self, page: Any, without: str) -> list[str]:
        """Return the keys and folders in a page, without one that some S3s add to it: the folder
        itself, or the key at which the page starts."""
        if 'IsTruncated' not in page:
            raise layout.ListingError('S3 returns no list of keys; check STORAGE_ENDPOINT_URL and '
                                      'STORAGE_ADDRESSING')
        found = [each['Key'] for each in page.get('Contents') or ()] + [
            each['Prefix'] for each in page.get('CommonPrefixes') or ()]
        return [key[len(self._folder):] for key in found if key != self._folder + without]


def s3_client(endpoint_url: str | None = None, region: str | None = None,
              access_key: str | None = None, secret_key: str | None = None,
              addressing: str = 'auto', ca: str | None = None) -> Any:
    """Return a boto3 client of S3, which several threads may use. See the settings.

    :param access_key: None to let botocore find credentials."""
    session = boto3.session.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region)
    style = 'path' if addressing == 'auto' and endpoint_url else addressing
    return session.client('s3', endpoint_url=endpoint_url, verify=ca, config=botocore.config.Config(
        connect_timeout=5, read_timeout=30, max_pool_connections=2 * SIDE_BY_SIDE,
        s3={'addressing_style': style},
        retries={'total_max_attempts': 5, 'mode': 'standard'},
        **aws_options(botocore.config.Config.OPTION_DEFAULTS)))


def _directories(path: str) -> list[os.DirEntry[str]]:
    """Return the directories in a path, except those with "_"; [] if the path was removed."""
    # A dangling link counts: it may lead to a disk that is not mounted.
    return [entry for entry in _entries(path) if entry.name[:1] != '_' and (
        entry.is_dir() or (entry.is_symlink() and not os.path.exists(entry.path)))]


def _entries(path: str) -> list[os.DirEntry[str]]:
    with _ignoring_removals():
        return list(os.scandir(path))
    return []


@contextlib.contextmanager
def _ignoring_removals() -> Iterator[None]:
    """Suppress an error that shows that a directory was removed, but not one of a dangling link."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as problem:
        path = problem.filename
        while path and not os.path.lexists(path):
            path = os.path.dirname(path)
        if os.path.islink(path) and not os.path.exists(path):
            raise
