"""Selects the source of the settings: a bucket, a directory, a file, or the registry's catalog."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable

from ...engine.errors import SettingError
from ..registry.client import CacheClient, RegistryClient
from ..registry.connection import Tls
from ..settings import ServiceSettings, bucket_of
from .catalog import CatalogSource
from .storage import FilesSource, S3Source, StorageSource, s3_client


def _check(name: str, tls: Tls) -> None:
    try:
        tls.context()
    except OSError as error:
        raise SettingError(
            name, None, f'names {" and ".join(filter(None, tls))}, which cannot be used: '
            f'{error.strerror}', 'write the path of a file in PEM format; a key must belong to its '
            'certificate, and have no passphrase') from None


def registry_of(settings: ServiceSettings) -> RegistryClient:
    """Return a RegistryClient for the settings; raise SettingError for unusable certificates."""
    ca, *pair = settings.registry_ca, settings.registry_cert, settings.registry_key
    _check('registry_ca', Tls(ca))
    _check('registry_cert', Tls(None, *pair))
    client = CacheClient if settings.pull_through_cache else RegistryClient
    return client(settings.registry_url, settings.registry_username, settings.registry_password,
                  Tls(ca, *pair), settings.registry_token_host)


def source_of(settings: ServiceSettings, names: Callable[[], Iterable[str]] | None = None
              ) -> StorageSource:
    """Return the Source that a load reads; raise SettingError if the settings name none.

    :param names: as for CatalogSource, instead of the storage of the settings."""
    if names is None and os.path.isfile(settings.storage or ''):
        names = functools.partial(open, settings.storage, encoding='utf-8')
    if names is not None or settings.storage is None:
        if settings.registry_url is None:
            raise SettingError('registry_url', None, 'is missing', 'set REGISTRY_URL; or set '
                               'STORAGE to a bucket or to the directory of the registry')
        source: StorageSource = CatalogSource(registry_of(settings), names)
    elif bucket := bucket_of(settings.storage):
        _check('storage_ca', Tls(settings.storage_ca))
        source = S3Source(*bucket, lambda: s3_client(
            settings.storage_endpoint_url, settings.storage_region,
            settings.storage_access_key, settings.storage_secret_key,
            settings.storage_addressing, settings.storage_ca))
    else:
        source = FilesSource(settings.storage)
    # The descriptions of a cache are in the manifests that notifications name.
    source.describes_later = not settings.pull_through_cache
    return source
