"""What a load did, as it is returned, logged and kept. Pure."""

from __future__ import unicode_literals

import collections

__all__ = ['LoadReport']


class LoadReport(collections.namedtuple(
        'LoadReport',
        'found added adopted cleaned removed recent unchanged failed '
        'unreadable seconds')):
    """What a load did.

    :param found: repositories in the registry's storage.
    :param added: those that were not in the index.
    :param adopted: rows that had no postings, or others, such as those of
        release 0.1.0.
    :param cleaned: names whose postings went because their row was gone, or
        whose removal had been broken off.
    :param removed: repositories removed, because the storage has them no
        more.
    :param recent: repositories that the storage has not, and that stay for
        now, because they were pushed or changed within the last hour.
    :param unchanged: repositories that were right already.
    :param failed: those that could not be written, or not be removed; the
        log says why.
    :param unreadable: a tuple of the namespaces that could not be listed.
    :param seconds: how long it took.
    """

    __slots__ = ()

    @property
    def complete(self):
        """Whether the index equals the storage now, as far as it must."""
        return not (self.failed or self.unreadable)

    @property
    def summary(self):
        """The counts in a line, for people."""
        counts = '%d repositories in the storage: %s' % (
            self.found, ', '.join(
                '%d %s' % (getattr(self, kind), kind) for kind in _KINDS))
        if self.complete:
            return counts
        return '%s; NOT COMPLETE: %d namespaces could not be read' % (
            counts, len(self.unreadable))


_KINDS = ('added', 'adopted', 'cleaned', 'removed', 'recent', 'unchanged',
          'failed')
