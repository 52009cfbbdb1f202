"""The formats of postings that this release knows. Pure.

Each is an overlay of its own over the same rows: attributes of the row, grams
and a witness of its own. So a writer that knows one format leaves the others
as they are; what it misses of them, a load finds, as it finds what release
0.1.0 has written. An index is brought into a new format by a load, while
searches go on reading the old one.
"""

from __future__ import unicode_literals

import collections

from . import postings

__all__ = ['CURRENT', 'KNOWN', 'Format', 'older', 'others', 'read_by']


class Format(collections.namedtuple(
        'Format', 'number mark indexed writing listed catalog classes postings '
        'name_of range_of catalog_key')):
    """A format of postings.

    :param number: 1 or more; a later format has a greater one.
    :param mark: the attribute of a row that says the number when all
        postings are there.
    :param indexed: that with the description which they have.
    :param writing: that with the token of a change of several transactions.
    :param listed: the gram of the list of names, whose items are the
        witnesses.
    :param catalog: the gram of the same in the order of a registry.
    :param classes: the characters that the other grams begin with, each a
        class, in the order in which a limited search prefers them.
    :param postings: a function of a name and a clean description that
        returns the postings but the witness; see postings.postings.
    :param name_of: a function of gram, suffix and the attribute ``n``; see
        postings.name_of.
    :param range_of: a function of a class and a word; see postings.range_of.
    :param catalog_key: a function of a text; see postings.catalog_key.
    """

    __slots__ = ()

    @property
    def attributes(self):
        """Those of a row."""
        return [self.mark, self.indexed, self.writing]

    def suffixes(self, word, name, description):
        """The first class in which a repository answers a word, and the
        range keys of its postings that do so there."""
        postings = self.postings(name, description)
        for place, kind in enumerate(self.classes):
            wanted = self.range_of(kind, word)
            found = [posting.suffix for posting in postings
                     if posting.gram == wanted.gram
                     and posting.suffix.startswith(wanted.prefix)]
            if found:
                return place, found
        return len(self.classes), ['']

    def witness(self, name, description=''):
        """The posting that lists the name, and proves that all others
        exist."""
        return postings.Posting(self.listed, name, name, description)

    def owns(self, gram):
        """Whether a gram is of this format, not of another, nor a mark."""
        return (gram in (self.listed, self.catalog) or
                gram[:1] in self.classes)


SUFFIXES = Format(
    postings.FORMAT, 'postings', 'indexed', 'writing', postings.LISTED,
    postings.CATALOG,
    (postings.START, postings.INSIDE, postings.DESCRIBED), postings.postings,
    postings.name_of, postings.range_of, postings.catalog_key)

#: By number. No two share an attribute or the first character of a gram.
KNOWN = {SUFFIXES.number: SUFFIXES}
#: The one that loads and changes are made in.
CURRENT = SUFFIXES


def others(format):
    """All known formats but one."""
    return [other for other in KNOWN.values() if other != format]


def older():
    """The known formats before the current one, in order."""
    return [KNOWN[number] for number in sorted(KNOWN)
            if number < CURRENT.number]


def read_by(number):
    """The Format that searches read.

    :param number: what the mark says; None without a mark.
    """
    return KNOWN.get(number, CURRENT)
