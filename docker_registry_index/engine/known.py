"""What is known of a repository before it is changed. Pure."""

from __future__ import unicode_literals

import collections

from . import postings, text

__all__ = ['Known', 'NOTHING', 'Row']


class Row(collections.namedtuple(
        'Row', 'description format indexed writing touched item')):
    """A repository's row as it was read.

    What others have written into it may be of any type; what is not of ours
    counts as absent.

    :param description: as it stands, or None.
    :param format: the postings format marked on it; None when release 0.1.0
        wrote it.
    :param indexed: the description that the postings were written with, or
        ''. A worker of release 0.1.0 updates a row by writing back all that
        it read, so our marks too, but without the description.
    :param writing: [token, description, ...] while a change of several
        transactions is under way or was broken off, else None.
    :param touched: when it was last pushed or changed, in Unix seconds, give
        or take half an hour; 0 when nobody noted it.
    :param item: all of the row as DynamoDB gave it, for conditions.
    """

    __slots__ = ()

    @classmethod
    def of(cls, item):
        """The Row of an item of the repository table; None for None."""
        if item is None:
            return None
        mark = item.get('postings', {}).get('N', '')
        touched = item.get('touched', {}).get('N', '')
        writing = [part.get('S') for part in
                   item.get('writing', {}).get('L', ())]
        return cls(item.get('description', {}).get('S'),
                   int(mark) if mark.isdigit() else None,
                   item.get('indexed', {}).get('S', ''),
                   None if not writing or None in writing else writing,
                   int(touched) if touched.isdigit() else 0, item)


class Known(collections.namedtuple('Known', 'row witness')):
    """What is known of a repository before a change.

    :param row: a Row, or None when there is none.
    :param witness: the description on the witness posting ('' for none on
        it), or None when there is no witness.
    """

    __slots__ = ()

    @property
    def is_current(self):
        """Whether row and postings agree."""
        return (self.row is not None and self.row.writing is None and
                self.row.format == postings.FORMAT and
                self.witness == text.clean_description(self.row.description))

    @property
    def is_half(self):
        """Whether some postings may be there and the name must not be found:
        a change of several transactions was broken off before it put the
        mark, or after it took it away."""
        return (self.row is not None and self.row.writing is not None and
                self.row.format is None)

    @property
    def is_whole(self):
        """Whether the name has all its postings, whatever the row says."""
        return self.witness is not None and not (
            self.row is not None and self.row.writing)

    @property
    def is_proven(self):
        """Whether the postings are exactly those that the witness tells.

        A row without our mark may have lost the token of a change that was
        broken off.
        """
        return (self.is_whole and self.row is not None and
                self.row.format == postings.FORMAT)

    @property
    def descriptions(self):
        """Every description whose postings may exist now."""
        found = set()
        if self.witness is not None:
            found.add(self.witness)
        if self.row is not None and self.row.writing:
            found.update(self.row.writing[1:])
        return found


#: Of a repository that has neither row nor witness.
NOTHING = Known(None, None)
