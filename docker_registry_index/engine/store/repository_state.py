"""What is known of a repository before it is changed. Pure."""

from __future__ import unicode_literals

import collections

from . import formats, text

__all__ = ['Known', 'NOTHING', 'Row']


class Row(collections.namedtuple(
        'Row', 'description format indexed writing others touched item')):
    """A repository's row as it was read.

    What others have written into it may be of any type; what is not of ours
    counts as absent.

    :param description: as it stands, or None.
    :param format: the number of the format it was read for, when it says
        that all postings of this one are there; else None, as when release
        0.1.0 wrote it.
    :param indexed: the description that the postings were written with, or
        ''. A worker of release 0.1.0 updates a row by writing back all that
        it read, so our marks too, but without the description.
    :param writing: [token, description, ...] while a change of several
        transactions is under way or was broken off, else None.
    :param others: whether another format is marked on it.
    :param touched: when it was last pushed or changed, in Unix seconds, give
        or take half an hour; 0 when nobody noted it.
    :param item: all of the row as DynamoDB gave it, for conditions.
    """

    __slots__ = ()

    @classmethod
    def of(cls, item, format=None):
        """The Row of an item of the repository table; None for None.

        :param format: a Format to read it for; the current one by default.
        """
        if item is None:
            return None
        format = format or formats.CURRENT
        touched = item.get('touched', {}).get('N', '')
        writing = [part.get('S') for part in
                   item.get(format.writing, {}).get('L', ())]
        return cls(item.get('description', {}).get('S'),
                   format.number if _is_marked(item, format) else None,
                   item.get(format.indexed, {}).get('S', ''),
                   None if not writing or None in writing else writing,
                   any(_is_marked(item, other)
                       for other in formats.others(format)),
                   int(touched) if touched.isdigit() else 0, item)

    def has_any(self, format):
        """Whether the row says anything of a format."""
        return any(attribute in self.item for attribute in format.attributes)


class Known(collections.namedtuple('Known', 'row witness begun')):
    """What is known of a repository before a change, in one format.

    :param row: a Row, or None when there is none.
    :param witness: the description on the witness posting ('' for none on
        it), or None when there is no witness.
    :param begun: descriptions that an attempt at this change, which was
        broken off, may have left postings of.
    """

    __slots__ = ()

    def __new__(cls, row, witness, begun=frozenset()):
        return super(Known, cls).__new__(cls, row, witness, begun)

    @property
    def is_current(self):
        """Whether row and postings agree."""
        return (self.row is not None and self.row.writing is None and
                self.row.format is not None and
                self.witness == text.clean_description(self.row.description))

    @property
    def is_half(self):
        """Whether some postings may be there and the name must not be found:
        a change of several transactions was broken off before it put the
        mark, or after it took it away; and no other format has it whole."""
        return (self.row is not None and self.row.writing is not None and
                self.row.format is None and not self.row.others)

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
                self.row.format is not None)

    @property
    def descriptions(self):
        """Every description whose postings may exist now."""
        found = set(self.begun)
        if self.witness is not None:
            found.add(self.witness)
        if self.row is not None and self.row.writing:
            found.update(self.row.writing[1:])
        return found


def _is_marked(item, format):
    return item.get(format.mark, {}).get('N') == str(format.number)


#: Of a repository that has neither row nor witness.
NOTHING = Known(None, None)
