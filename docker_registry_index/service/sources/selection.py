"""Selects the source that the settings name: a bucket, a directory or the registry's catalog."""

from __future__ import annotations

import ssl

from ...engine.errors import SettingError
from ..registry.client import RegistryClient
from ..registry.connection import Tls
from ..settings import ServiceSettings, bucket_of
from .catalog import CatalogSource
from .storage import FilesSource, S3Source, StorageSource, s3_client


def tls_of(settings: ServiceSettings) -> Tls:
    """Return the certificates of the settings; raise SettingError if they are unusable."""
    ca, cert, key = settings.registry_ca, settings.registry_cert, settings.registry_key
    _check('registry_ca', ca, Tls(ca))
    _check('registry_cert', f'{cert} and {key}', Tls(None, cert, key),
           'set REGISTRY_CERT and REGISTRY_KEY to a certificate and its key, both in PEM format '
           'and without a passphrase')
    return Tls(ca, cert, key)


def _check(name: str, files: str | None, tls: Tls,
           way_out: str = 'write the path of a file with certificates in PEM format') -> None:
    try:
        tls.context()
    except OSError as error:
        raise SettingError(name, None, f'names {files}, which cannot be used: {_cause(error)}',
                           way_out) from None


def _cause(error: OSError) -> str:
    if not isinstance(error, ssl.SSLError):
        return error.strerror or str(error)
    return ('the key does not belong to the certificate'
            if error.reason == 'KEY_VALUES_MISMATCH' else
            'the file contains no certificate, or no key that can be read')


def registry_of(settings: ServiceSettings) -> RegistryClient:
    """Return a RegistryClient for the settings; raise SettingError for unusable certificates."""
    return RegistryClient(settings.registry_url, settings.registry_username,
                          settings.registry_password, tls_of(settings))


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
    _check('storage_ca', settings.storage_ca, Tls(settings.storage_ca))
    bucket, root = found
    return S3Source(bucket, root, lambda: s3_client(
        settings.storage_endpoint_url, settings.storage_region,
        settings.storage_access_key, settings.storage_secret_key,
        settings.storage_addressing, settings.storage_ca))
