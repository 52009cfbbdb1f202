"""Selects the source that the settings name: a bucket, a directory or the registry's catalog."""

import ssl

from ...engine.errors import SettingError
from ..registry.client import RegistryClient
from ..settings import ServiceSettings, bucket_of
from .catalog import CatalogSource
from .storage import FilesSource, S3Source, StorageSource, s3_client


def registry_of(settings: ServiceSettings) -> RegistryClient:
    """Return a RegistryClient for the settings; raise SettingError for unusable certificates."""
    if settings.registry_ca is not None:
        try:
            ssl.create_default_context(cafile=settings.registry_ca)
        except OSError as error:
            why = error.strerror or 'it contains no certificate'
            raise SettingError(
                'registry_ca', None, f'names {settings.registry_ca}, which cannot be used: {why}',
                'write the path of a file with certificates in PEM format') from error
    return RegistryClient(settings.registry_url, settings.registry_username,
                          settings.registry_password, settings.registry_ca)


def source_of(settings: ServiceSettings) -> StorageSource:
    """Return the Source that a load reads; raise SettingError if the settings name none."""
    if settings.storage is None:
        if settings.registry_url is None:
            raise SettingError('registry_url', None, 'is missing, and so is storage',
                               'set REGISTRY_URL or STORAGE')
        return CatalogSource(registry_of(settings))
    found = bucket_of(settings.storage)
    if found is None:
        return FilesSource(settings.storage)
    bucket, root = found
    return S3Source(bucket, root, lambda: s3_client(
        settings.storage_endpoint_url, settings.storage_region,
        settings.storage_access_key, settings.storage_secret_key))
