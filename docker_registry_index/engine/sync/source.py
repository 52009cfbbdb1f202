"""What the index asks of a registry's storage. The plugin and the service each have their own."""

from __future__ import unicode_literals

from .. import errors

__all__ = ['ListSource', 'Source', 'as_source', 'has', 'listed']


class Source(object):
    """A registry's storage, as a load reads it. Its methods may be called from several threads at
    once. They may raise anything: what cannot be read is logged and left as it is in the index, and
    the load does not count as complete."""

    #: Whether descriptions are read later, one by one: a load then notes what it adds for that, see
    #: description_queue.py.
    describes_later = False

    def namespaces(self):
        """Return the namespaces, which can be listed independently: any objects whose text names
        them in the log."""
        raise NotImplementedError

    def repositories(self, namespace):
        """Return the repositories of one namespace: (name, description or None) pairs. A storage
        that has no descriptions returns None for them: those in the index stay."""
        raise NotImplementedError

    def has(self, name):
        """Return whether the storage has a repository of this name now."""
        raise NotImplementedError

    def doubtful(self):
        """Return the names of the last listing of which it is unknown whether the storage has them,
        for reasons of their own: a set. A load neither adds nor removes them, and is complete all
        the same; where descriptions are read later, these repositories are read, too."""
        return frozenset()


class ListSource(Source):
    """A Source of one namespace.

    :param listing: a function that returns (name, description or None) pairs, each time anew."""

    def __init__(self, listing):
        self._listing = listing

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return self._listing()

    def has(self, name):
        return any(name == listed for listed, _ in self._listing())


def as_source(source):
    """Return ``source`` itself, or the ListSource of a function."""
    return source if isinstance(source, Source) else ListSource(source)


def has(source, name):
    """Return whether the storage of ``source`` has a repository now.

    :raises StorageUnreadable: that is unknown."""
    try:
        return source.has(name)
    except Exception as error:
        raise errors.StorageUnreadable('whether it has %.80r' % name, error)


def listed(what, listing):
    """Return a list of what a function yields that lists ``what`` of a storage.

    :raises StorageUnreadable: it raised something."""
    try:
        return list(listing())
    except Exception as error:
        raise errors.StorageUnreadable(what, error)
