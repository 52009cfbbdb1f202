"""The postings of a repository: the suffix index. Pure, no I/O.

A term is found inside a name exactly when some suffix of the name begins
with the term. So there is one posting for every suffix, and a search is one
range of one item collection::

    gram    class + first character of the suffix       (hash key)
    suffix  the suffix + END + the part of the name before it  (range key)
    d       the description, so that a Query answers by itself
    n       the name, where the range key does not spell it
    v       1: ask the repository's row, see changes.py

Separators are written as the characters just above END. A range key is
ordered by its UTF-8 bytes, so within the range of a term come first the
names that end there, then those where a word ends there, then the rest.

Classes: ``s`` a suffix at a word start, ``i`` elsewhere in a word, ``d`` a
word of the description. The collection ``*`` lists all names in order; its
item is also the witness of which postings a repository has. ``/`` lists them
in the order of a registry's catalog: as if ``/`` came before all else.
"""

from __future__ import unicode_literals

import collections
import hashlib

from . import text

__all__ = [
    'CATALOG', 'DESCRIBED', 'FORMAT', 'INSIDE', 'LISTED', 'START',
    'Posting', 'Range', 'catalog_key', 'gram', 'name_of', 'postings',
    'range_of',
]

#: The number of this format; see formats.py. Format 1, of release 0.2.0, is
#: the same without the catalog: what is there of it answers searches.
FORMAT = 2

START, INSIDE, DESCRIBED, LISTED, CATALOG = 's', 'i', 'd', '*', '/'

#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_RANGE_KEY_BYTES = 1024

# Names hold no control characters (text.check_name), so these are free.
_END = '\x01'
_CODES = '\x02\x03\x04\x05'
_ENCODE = dict(zip(map(ord, text.SEPARATORS), _CODES))
_DECODE = dict(zip(map(ord, _CODES), text.SEPARATORS))


class Posting(collections.namedtuple('Posting',
                                     'gram suffix name description')):
    """One item of the search table, still without its types."""

    __slots__ = ()


class Range(collections.namedtuple('Range', 'gram prefix')):
    """The range keys beginning with a prefix under one gram."""

    __slots__ = ()


def postings(name, description=''):
    """All postings of a repository but its witness, as a list.

    :param name: a name that text.check_name has passed.
    :param description: a clean description, or ''.
    """
    folded = text.fold(name)
    found = [
        _posting(kind, folded[position:], name, position, description)
        for position, kind in _positions(folded)]
    for tail in sorted(set(text.word_tails(description))):
        found.append(Posting(gram(DESCRIBED, tail), _key(tail, name, name),
                             name, description))
    found.append(Posting(CATALOG, catalog_key(name), name, ''))
    return found


def catalog_key(name):
    """What stands for a name, or for any text, in a registry's order.

    https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go
    """
    return name.replace('/', _END)


def gram(kind, rest):
    """The hash key of what begins with ``rest``."""
    return kind + text.CHARACTER.match(rest).group()


def range_of(kind, word):
    """Where the postings of one class that answer ``word`` stand."""
    return Range(gram(kind, word),
                 word if kind == DESCRIBED else word.translate(_ENCODE))


def name_of(gram, suffix, spelled=None):
    """The repository name of an item of the search table.

    :param spelled: the item's attribute ``n``, or None.
    """
    if spelled is not None:
        return spelled
    if gram == LISTED:
        return suffix
    if gram == CATALOG:
        return suffix.replace(_END, '/')
    rest, _, before = suffix.partition(_END)
    if gram[0] == DESCRIBED:
        return before
    return before + rest.translate(_DECODE)


def _posting(kind, rest, name, position, description):
    # The range key spells the name when folding changed nothing in it.
    before = name[:position] if text.fold(name) == name else None
    suffix = _key(rest.translate(_ENCODE), before, name)
    return Posting(gram(kind, rest), suffix, name, description)


def _key(rest, ending, name):
    if ending is not None:
        key = rest + _END + ending
        if len(key.encode('utf-8')) <= _RANGE_KEY_BYTES:
            return key
    digest = hashlib.sha256(name.encode('utf-8')).hexdigest()[:16]
    return rest + _END + _END + digest


def _positions(folded):
    """The positions worth a posting, each with its class.

    Left out is a suffix that begins another one at least as good: every
    term it would answer, the other answers with the same name.
    """
    kinds = [
        (position, START if _starts_word(folded, position) else INSIDE)
        for position in (character.start() for character
                         in text.CHARACTER.finditer(folded))]
    return [(position, kind) for position, kind in kinds
            if not _is_answered(folded, position, kind, kinds)]


def _starts_word(folded, position):
    return position == 0 or folded[position - 1] in text.SEPARATORS


def _is_answered(folded, position, kind, kinds):
    suffix = folded[position:]
    for other, other_kind in kinds:
        if other >= position:
            return False
        if not folded.startswith(suffix, other):
            continue
        if kind == INSIDE and other_kind == START:
            return True
        follower = folded[other + len(suffix)]
        if kind == other_kind and follower in text.SEPARATORS:
            return True
    return False
