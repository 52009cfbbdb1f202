"""A RegistryClient's stand-in for a registry of one repository."""
from dev.storage.oci_images import DESCRIPTION
from docker_registry_index.service.registry.connection import RegistryUnavailable

__all__ = ['NAME', 'NEW', 'OLD', 'TaggedRepository']

NAME, OLD, NEW = 'acme/web', 'sha256:' + '0' * 64, 'sha256:' + '1' * 64


class TaggedRepository:
    """Answers as a RegistryClient does.

    :ivar listed: the tags of the repository.
    :ivar is_down: whether requests for tags fail."""

    is_down = False

    def __init__(self, *tags):
        self.listed = list(tags)
        self.described = {OLD: 'old words', NEW: 'new words', 'latest': 'new words'}

    def tags(self, name, timeout=None):
        if self.is_down:
            raise RegistryUnavailable('http://127.0.0.1', 'is tired')
        return list(self.listed)

    def has(self, name, timeout=None):
        return bool(self.tags(name))

    def manifest(self, name, reference, timeout=None):
        return {'annotations': {DESCRIPTION: self.described[reference]}}

    def config(self, name, digest, timeout=None):
        return None
