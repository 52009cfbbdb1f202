"""Source, the interface of a registry's storage; the plugin and the service implement it."""

from __future__ import unicode_literals

from .. import errors

__all__ = ['ListSource', 'Source', 'as_source', 'has', 'listed']


class Source(object):
    """A registry's storage, as a load reads it. Several threads may call its methods at the same
    time. The methods may raise anything: what cannot be read is logged and left as it is in the
    index, and the load does not count as complete."""

    #: True if descriptions are read later, one by one. A load then notes each repository that it
    #: adds, see description_queue.py.
    describes_later = False

    def namespaces(self):
        """Return the namespaces, which are listed independently: any objects. Their text is their
        name in the log."""
        raise NotImplementedError

    def repositories(self, namespace):
        """Return the repositories of one namespace: (name, description or None) pairs. None keeps
        the description that the index has."""
        raise NotImplementedError

    def has(self, name):
        """Return True if the storage has a repository of this name now."""
        raise NotImplementedError

    def doubtful(self):
        """Return a set of the names that the last listing could not decide: the storage may have
        them or not. A load neither adds nor removes them, and counts as complete. If descriptions
        are read later, these repositories are read, too."""
        return frozenset()


class ListSource(Source):
    """A Source of one namespace.

    :param listing: called for each listing; returns (name, description or None) pairs."""

    def __init__(self, listing):
        self._listing = listing

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return self._listing()

    def has(self, name):
        return any(name == listed for listed, _ in self._listing())


def as_source(source):
    """Return ``source`` if it is a Source; return the ListSource of a function."""
    return source if isinstance(source, Source) else ListSource(source)


def has(source, name):
    """Return True if the storage of ``source`` has a repository now.

    :raises StorageUnreadable: the storage failed."""
    try:
        return source.has(name)
    except Exception as error:
        raise errors.StorageUnreadable('whether it has %.80r' % name, error)


def listed(what, listing):
    """Return what a function yields that lists ``what`` of a storage, as a list.

    :raises StorageUnreadable: the function raised something."""
    try:
        return list(listing())
    except Exception as error:
        raise errors.StorageUnreadable(what, error)
