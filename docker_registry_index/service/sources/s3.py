"""Lists the repositories in the S3 bucket of a registry.

The registry's own walk costs a request for each directory; this one costs at most a request for
each 1 000 objects, and lists several parts side by side. It needs the right s3:ListBucket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3.session
import botocore.config

from ..registry import layout
from .base import StorageSource

__all__ = ['S3Source', 's3_client']

#: The engine lists eight parts at once.
SIDE_BY_SIDE = 8


class S3Source(StorageSource):
    """The repositories with a tag in a bucket. All methods raise what boto3 raises.

    :param bucket, root: the registry's storage.s3.bucket and storage.s3.rootdirectory.
    """

    def __init__(self, bucket: str, root: str, client: Any) -> None:
        self._bucket = bucket
        self._folder = layout.folder(root)
        self._client = client

    def namespaces(self) -> Iterator[layout.Part]:
        """Return parts of about equal numbers of folders.

        Costs a request for each 1 000 folders of the top level; if there are less than eight, the
        same for each of them.
        """
        cuts = list(self._folders(''))
        if len(cuts) < SIDE_BY_SIDE:
            cuts = [inner for cut in cuts for inner in layout.cuts_below(cut, self._folders(cut))]
        return layout.parts(cuts, SIDE_BY_SIDE)

    def tagged(self, namespace: layout.Part) -> Iterator[str]:
        """Yield the name of each repository in a part that has a tag."""
        return layout.walk(self._page_after, namespace.after, namespace.before)

    def has(self, name: str) -> bool:
        """Whether a repository has a tag now: one request for one key."""
        if not layout.is_name(name):
            return False
        tags = self._folder + layout.tags_of(name)
        # StartAfter: the console makes an object of the folder itself.
        return bool(self._client.list_objects_v2(
            Bucket=self._bucket, Prefix=tags, StartAfter=tags, MaxKeys=1).get('Contents'))

    def _folders(self, folder: str) -> Iterator[str]:
        """Yield the folders inside one, in order."""
        pages = self._client.get_paginator('list_objects_v2').paginate(
            Bucket=self._bucket, Prefix=self._folder + folder, Delimiter='/')
        for page in pages:
            for each in page.get('CommonPrefixes') or ():
                yield each['Prefix'][len(self._folder):]

    def _page_after(self, place: str) -> tuple[list[str], bool]:
        page = self._client.list_objects_v2(
            Bucket=self._bucket, Prefix=self._folder, StartAfter=self._folder + place)
        keys = [each['Key'][len(self._folder):] for each in page.get('Contents') or ()]
        return keys, bool(page.get('IsTruncated') and keys)


def s3_client(endpoint_url: str | None = None, region: str | None = None,
              access_key: str | None = None, secret_key: str | None = None) -> Any:
    """A boto3 client of S3, safe to use from several threads.

    :param endpoint_url: of another S3 than Amazon's; the bucket is then in the path.
    :param access_key: None for botocore's own search for credentials.
    """
    session = boto3.session.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name=region)
    return session.client('s3', endpoint_url=endpoint_url, config=botocore.config.Config(
        connect_timeout=5, read_timeout=30, max_pool_connections=2 * SIDE_BY_SIDE,
        s3={'addressing_style': 'path'} if endpoint_url else {},
        retries={'total_max_attempts': 5, 'mode': 'standard'}))
