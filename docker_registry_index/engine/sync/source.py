"""Source, the interface to a registry's storage, which the plugin and the service implement."""

from __future__ import unicode_literals

from .. import errors


class Source(object):
    """The interface through which a load reads a registry's storage. Several threads may call its
    methods at the same time. The methods may raise any exception. If a namespace cannot be read,
    its repositories stay as they are in the index, and the load is repeated soon."""

    #: True if descriptions are read later, one by one. A load then notes each repository that it
    #: adds, see description_queue.py.
    describes_later = False

    def resume_at(self, place):
        """Make the next call of ``namespaces`` begin at a place; None for the start."""

    def namespaces(self):
        """Return the namespaces: any objects, whose text is their name in the log. Each is a part
        of the storage that is listed independently.

        A namespace may have an attribute ``place``, a text: where a listing can resume once this
        namespace and all in front of it were listed."""
        raise NotImplementedError

    def repositories(self, namespace):
        """Return the repositories of a namespace as (name, description or None) pairs. None keeps
        the description in the index."""
        raise NotImplementedError

    def may_contain(self, namespace, name):
        """Return True if a namespace would list the repository of a name, if it exists, or might do
        so. By default, each namespace may contain each name. Does no I/O."""
        return True

    def has(self, name):
        """Return True if the storage has a repository of this name now."""
        raise NotImplementedError

    def doubtful(self):
        """Return the set of the names that the storage may or may not have, after the last listing.
        A load neither adds nor removes them, and counts as complete. If descriptions are read
        later, these repositories are read, too."""
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
    """Return ``source`` if it is a Source, or the ListSource of a function."""
    return source if isinstance(source, Source) else ListSource(source)


def has(source, name):
    """Return True if the storage of ``source`` has a repository now.

    :raises StorageUnreadable: the storage failed."""
    try:
        return source.has(name)
    except Exception as error:
        raise errors.StorageUnreadable('whether it has %.80r' % name, error)


def listed(what, listing):
    """Return a list of what a function lists of a storage; ``what`` names that in the error.

    :raises StorageUnreadable: the function failed."""
    try:
        return list(listing())
    except Exception as error:
        raise errors.StorageUnreadable(what, error)
