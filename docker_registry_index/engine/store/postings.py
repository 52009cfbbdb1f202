"""The postings of a repository: the suffix index. Pure, no I/O.

There is one posting for each suffix of a name, and a search reads a range of the postings of one
gram. docs/design.md explains why::

    gram    the class + the first character of the suffix  (hash key)
    suffix  the suffix + END + the name before the suffix  (range key)
    d       the description, so that a search needs no further request
    n       the name, if the range key does not contain it
    v       1: a search has to read the repository's row, see write/plan.py

Classes: ``s`` a suffix at a word start, ``i`` elsewhere in a word, ``d`` a word of the description.
The gram ``/`` lists all names in the order of a registry's catalog: as if ``/`` came before all
other characters. A name's item there is its witness: it is written together with the other
postings, and proves which of them a repository has."""

from __future__ import unicode_literals

import collections
import hashlib

from . import text

__all__ = [
    'CATALOG', 'CLASSES', 'DESCRIBED', 'FORMAT', 'INSIDE', 'START', 'Posting', 'Range',
    'best_class', 'catalog_key', 'gram', 'is_gram', 'name_of', 'postings', 'range_of', 'to_item',
    'witness', 'witness_key',
]

#: The number of the format of postings. Each format has a search table of its own. Formats 1 and 2
#: were those of releases 0.2.0 and 0.4.0.
FORMAT = 3

START, INSIDE, DESCRIBED, CATALOG = 's', 'i', 'd', '/'
#: In the order in which a limited search prefers them.
CLASSES = (START, INSIDE, DESCRIBED)

#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_RANGE_KEY_BYTES = 1024

# Names contain no control characters (text.check_name), so the keys can use these.
_END = '\x01'
_CODES = '\x02\x03\x04\x05'
_ENCODE = dict(zip(map(ord, text.SEPARATORS), _CODES))
_DECODE = dict(zip(map(ord, _CODES), text.SEPARATORS))

#: One item of the search table, without the types of DynamoDB.
Posting = collections.namedtuple('Posting', 'gram suffix name description')
#: The postings of one gram whose range keys begin with a prefix.
Range = collections.namedtuple('Range', 'gram prefix')


def postings(name, description=''):
    """Return a list of all postings of a repository, except its witness.

    :param name: a name that text.check_name accepts.
    :param description: a clean description, or ''."""
    folded = text.fold(name)
    found = [_posting(kind, folded[position:], name, position, description)
             for position, kind in _positions(folded)]
    for tail in sorted(set(text.word_tails(description))):
        found.append(Posting(gram(DESCRIBED, tail), _key(tail, name, name), name, description))
    return found


def witness(name, description=''):
    """Return the posting that lists a name, and proves that its other postings exist."""
    return Posting(CATALOG, catalog_key(name), name, description)


def witness_key(name):
    """Return the DynamoDB key of the witness of a name."""
    return {'gram': {'S': CATALOG}, 'suffix': {'S': catalog_key(name)}}


def catalog_key(name):
    """Return the range key of a name, or of any text, in the order of a registry's catalog.

    https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go"""
    return name.replace('/', _END)


def gram(kind, rest):
    """Return the hash key of the postings of a class whose suffixes begin with ``rest``."""
    return kind + text.CHARACTER.match(rest).group()


def is_gram(gram):
    """Return True if a hash key is that of postings, and not of markers."""
    return gram[:1] in CLASSES or gram == CATALOG


def range_of(kind, word):
    """Return the Range of the postings of one class that match ``word``."""
    return Range(gram(kind, word), word if kind == DESCRIBED else word.translate(_ENCODE))


def best_class(word, name, description):
    """Return the index of the best class in which a repository matches a word, and the range keys
    of the postings of that class that match."""
    found = postings(name, description)
    for place, kind in enumerate(CLASSES):
        wanted = range_of(kind, word)
        suffixes = [posting.suffix for posting in found if posting.gram == wanted.gram
                    and posting.suffix.startswith(wanted.prefix)]
        if suffixes:
            return place, suffixes
    return len(CLASSES), ['']


def name_of(item):
    """Return the repository name of a stored posting."""
    if 'n' in item:
        return item['n']['S']
    return _name_in_keys(item['gram']['S'], item['suffix']['S'])


def to_item(posting):
    """Return the item of DynamoDB for a posting."""
    item = {'gram': {'S': posting.gram}, 'suffix': {'S': posting.suffix}}
    if posting.description:
        item['d'] = {'S': posting.description}
    if _name_in_keys(posting.gram, posting.suffix) != posting.name:
        item['n'] = {'S': posting.name}
    return item


def _name_in_keys(gram, suffix):
    """Return the name that the keys of a posting contain."""
    if gram == CATALOG:
        return suffix.replace(_END, '/')
    rest, _, before = suffix.partition(_END)
    return before if gram[0] == DESCRIBED else before + rest.translate(_DECODE)


def _posting(kind, rest, name, position, description):
    # The range key contains the name only if the name is in lower case.
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
    """Return (position, class) of each suffix that needs a posting. A suffix is left out if an
    earlier suffix begins with it and has a class that is as good. Each term that matches the
    later suffix also matches the earlier one."""
    kinds = [(position, START if _starts_word(folded, position) else INSIDE)
             for position in (character.start() for character in text.CHARACTER.finditer(folded))]
    return [(position, kind) for position, kind in kinds
            if not _is_redundant(folded, position, kind, kinds)]


def _starts_word(folded, position):
    return position == 0 or folded[position - 1] in text.SEPARATORS


def _is_redundant(folded, position, kind, kinds):
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
