"""The repositories of a registry, asked from itself.

Needs nothing but the registry's address, and is as slow as its catalog: see
source_s3 and source_files for the storage itself.
"""

from __future__ import unicode_literals

import itertools

from .errors import CredentialsRefused
from .layout import is_name
from .source_names import StorageSource, legal

__all__ = ['RegistrySource']

#: Names whose tags are asked for one after the other, by one thread.
CHUNK = 50
#: One broken repository keeps no other out; a dead registry is left alone.
FAILURES = 3


class RegistrySource(StorageSource):
    """What /v2/_catalog lists, if it has a tag.

    One request for each 1 000 names, then one for each repository.

    :param client: a RegistryClient.
    """

    def __init__(self, client):
        self._client = client

    def namespaces(self):
        """The catalog in chunks of 50 names, as its pages come in.

        :raises RegistryUnavailable: a page cannot be read.
        """
        names = itertools.chain.from_iterable(self._client.catalog())
        for chunk in iter(lambda: list(itertools.islice(names, CHUNK)), []):
            yield Chunk(chunk)

    def repositories(self, namespace):
        """(name, None) for each of a chunk's names that has a tag.

        :raises RegistryUnavailable: after those that can be read.
        """
        return legal(self._tagged(namespace.names), namespace)

    def has(self, name):
        """Whether the registry knows a tag of this repository; one request.

        :raises RegistryUnavailable: that cannot be told.
        """
        return self._client.has(name)

    def _tagged(self, names):
        errors, failures = [], 0
        for name in names:
            try:
                # What is no name is not asked for: the log names it.
                if not is_name(name) or self._client.has(name):
                    yield name
            except Exception as error:
                errors.append(error)
                # One that is refused says nothing of the others.
                failures += not isinstance(error, CredentialsRefused)
                if failures == FAILURES:
                    break
        if errors:
            raise errors[0]


class Chunk(object):
    """Consecutive names of the catalog."""

    def __init__(self, names):
        self.names = names

    def __str__(self):
        return '%s to %s' % (self.names[0], self.names[-1])
