"""The repositories of a registry, asked from itself.

Needs nothing but the registry's address, and is as slow as its catalog: see
source_s3 and source_files for the storage itself.
"""

from __future__ import unicode_literals

import itertools
import logging
import threading

from ..registry.errors import CredentialsRefused
from ..registry.layout import is_name
from .names import StorageSource, legal

__all__ = ['RegistrySource']

logger = logging.getLogger(__name__)

#: Names whose tags are asked for one after the other, by one thread.
CHUNK = 50
#: Names that cannot be read, one after the other, after which it may be the
#: registry: a dead one is left alone.
FAILURES = 3
#: Of names that cannot be read, the log shows so many of a load.
_SHOWN = 10


class RegistrySource(StorageSource):
    """What /v2/_catalog lists, if it has a tag.

    One request for each 1 000 names, then one for each repository. Where the
    tags of one cannot be read, but those of others can, it is doubtful.

    :param client: a RegistryClient.
    """

    def __init__(self, client):
        self._client = client
        self._lock = threading.Lock()
        self._doubtful = {}
        # That was readable, in this load or an earlier one.
        self._good = None

    def namespaces(self):
        """The catalog in chunks of 50 names, as its pages come in.

        :raises RegistryUnavailable: a page cannot be read.
        """
        with self._lock:
            self._doubtful = {}
        names = itertools.chain.from_iterable(self._client.catalog())
        for chunk in iter(lambda: list(itertools.islice(names, CHUNK)), []):
            yield Chunk(chunk)

    def repositories(self, namespace):
        """(name, None) for each of a chunk's names that has a tag.

        :raises RegistryUnavailable: after those that can be read, where it
            seems that none can be any more.
        """
        return legal(self._tagged(namespace.names), namespace)

    def has(self, name):
        """Whether the registry knows a tag of this repository; one request.

        :raises RegistryUnavailable: that cannot be told.
        """
        return self._client.has(name)

    def doubtful(self):
        """The names of the catalog whose tags cannot be read."""
        with self._lock:
            return frozenset(self._doubtful)

    def _tagged(self, names):
        other = next((name for name in reversed(names) if is_name(name)), None)
        failed, failures = [], 0
        for name in names:
            # What is no name is not asked for: the log names it.
            if not is_name(name):
                yield name
                continue
            try:
                is_there = self._client.has(name)
            except Exception as error:
                failed.append((name, error))
                # One that is refused says nothing of the others.
                failures += not isinstance(error, CredentialsRefused)
                if failures >= FAILURES - (self._good is None):
                    self._doubt(failed, other)
                    failed, failures = [], 0
                continue
            self._doubt_all(failed)
            failed, failures, self._good = [], 0, name
            if is_there:
                yield name
        self._doubt(failed, other)

    def _doubt(self, failed, other):
        """Doubt these, if it is not the registry that cannot be read.

        :param failed: (name, error) pairs, one after the other.
        :param other: a name to ask for where none was ever readable.
        """
        if failed:
            good = self._good or other
            self._client.has(good)
            self._good = good
            self._doubt_all(failed)

    def _doubt_all(self, failed):
        for name, error in failed:
            with self._lock:
                self._doubtful[name] = error
                count = len(self._doubtful)
            if count <= _SHOWN:
                logger.warning(
                    'the tags of %.80r cannot be read, and it is left as it '
                    'is in the search index: %s%s', name, error,
                    '; others are not named' if count == _SHOWN else '')


class Chunk(object):
    """Consecutive names of the catalog."""

    def __init__(self, names):
        self.names = names

    def __str__(self):
        return '%s to %s' % (self.names[0], self.names[-1])
