"""The Source that the settings name: catalog, bucket or directory."""

from __future__ import unicode_literals

import ssl

from ...engine.errors import SettingError
from ..settings import bucket_of
from ..registry.client import RegistryClient
from .files import FilesSource
from .catalog import RegistrySource
from .s3 import S3Source, s3_client

__all__ = ['registry_of', 'source_of']


def registry_of(settings):
    """The RegistryClient of the settings.

    :param settings: a ServiceSettings.
    :raises SettingError: its file of certificates is none.
    """
    if settings.registry_ca is not None:
        _check_certificates(settings.registry_ca)
    return RegistryClient(settings.registry_url, settings.registry_username,
                          settings.registry_password, settings.registry_ca)


def source_of(settings):
    """The Source that a load reads.

    :param settings: a ServiceSettings.
    :raises SettingError: there is none.
    """
    if settings.storage is None:
        if settings.registry_url is None:
            raise SettingError(
                'registry_url', None, 'is missing, as is storage', 'set one '
                'of them, by REGISTRY_URL or STORAGE')
        return RegistrySource(registry_of(settings))
    found = bucket_of(settings.storage)
    if found is None:
        return FilesSource(settings.storage)
    bucket, root = found
    return S3Source(bucket, root, s3_client(
        settings.storage_endpoint_url, settings.storage_region,
        settings.storage_access_key, settings.storage_secret_key))


def _check_certificates(path):
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise SettingError(
            'registry_ca', None, 'names %s, which cannot be used: %s' % (
                path, error.strerror or 'no certificate is in it'),
            'write the path of a file of certificates, in PEM')
