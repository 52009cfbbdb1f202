"""What the index asks of a registry's storage. Each host has its own."""

from __future__ import unicode_literals

from .. import errors

__all__ = ['ListSource', 'Source', 'as_source', 'has', 'listed']


class Source(object):
    """A registry's storage, as a load reads it.

    Its methods may be called from several threads at once. They may raise
    anything: what cannot be read is logged, left as it is in the index, and
    the load is not called complete.
    """

    #: Whether the host reads the descriptions later, one by one: a load notes
    #: what it adds for that, see undescribed.py.
    describes_later = False

    def namespaces(self):
        """The parts that can be listed apart from each other: any objects
        whose text names them in the log."""
        raise NotImplementedError

    def repositories(self, namespace):
        """The repositories of one part: (name, description or None) pairs.

        A storage that has no descriptions says None: those there are stay.
        """
        raise NotImplementedError

    def has(self, name):
        """Whether the storage has a repository of this name now."""
        raise NotImplementedError

    def doubtful(self):
        """A set of names of the last listing of which it cannot be told
        whether the storage has them, for reasons of their own.

        A load neither adds nor removes them, and is complete all the same;
        where the host reads descriptions later, it looks at them, too.
        """
        return frozenset()


class ListSource(Source):
    """A Source of one part.

    :param listing: a function that returns (name, description or None)
        pairs, each time anew.
    """

    def __init__(self, listing):
        self._listing = listing

    def namespaces(self):
        return ['all']

    def repositories(self, namespace):
        return self._listing()

    def has(self, name):
        return any(name == listed for listed, _ in self._listing())


def as_source(source):
    """``source`` itself, or the ListSource of a function."""
    return source if isinstance(source, Source) else ListSource(source)


def has(source, name):
    """Whether the storage of ``source`` has a repository now.

    :raises StorageUnreadable: that cannot be told.
    """
    try:
        return source.has(name)
    except Exception as error:
        raise errors.StorageUnreadable('whether it has %.80r' % name, error)


def listed(what, listing):
    """What a listing of a storage yields, as a list.

    :param what: it is of.
    :param listing: a function that returns it.
    :raises StorageUnreadable: it raised something.
    """
    try:
        return list(listing())
    except Exception as error:
        raise errors.StorageUnreadable(what, error)
