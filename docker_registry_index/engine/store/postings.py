"""The postings of a repository: the suffix index. Pure, no I/O.

There is one posting for each suffix of a name, and a search reads the postings whose suffixes begin
with a word of the term. docs/design.md explains why::

    gram    "s" + the first character of the suffix  (hash key)
    suffix  the suffix + an end mark + the name before the suffix  (range key)
    t       the name and the description in lower case, so that a search needs no further request
    c       the places of their capitals

The end mark depends on where the suffix starts. So the best matches come first in a range: names
whose last part is the word, then names that end with it as a whole word. The words of a description
are further suffixes, with the last of the end marks and the whole name.

The gram ``/`` lists all names in the order of a registry's catalog: as if ``/`` came before all
other characters. A name's item there is its witness: it is written together with the other
postings, and proves which of them a repository has."""

from __future__ import unicode_literals

import collections
import hashlib
import re

from . import text

#: The number of the format of postings. Each format has a search table of its own. Format 1 was
#: that of release 0.2.0, and 2 and 3 those of 0.4.0 and its successor.
FORMAT = 4

CATALOG = '/'
_SUFFIX = 's'

#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_RANGE_KEY_BYTES = 1024

# Names and descriptions contain no control characters, so the keys can use these, in this order.
# The suffix is the name or its last part; starts at a later word; starts inside a word; is from a
# description.
_PART, _WORD, _INSIDE, _DESCRIBED = '\x01\x02\x07\x7f'
_ENCODE = dict(zip(map(ord, text.SEPARATORS), '\x03\x04\x05\x06'))
_DECODE = dict(zip(map(ord, '\x03\x04\x05\x06'), text.SEPARATORS))
# A key that contains the name before the suffix, and not a digest.
_KEY = re.compile('([^\x01\x02\x07\x7f]+)([\x01\x02\x07\x7f])(?![\x01\x02])(.*)\\Z', re.DOTALL)
#: The attributes that a result is made of.
TEXT = 't, c'
#: Stands for the name of a damaged posting. It matches no word, and no repository has it.
UNKNOWN = '\x01'

#: One item of the search table, without the types of DynamoDB.
Posting = collections.namedtuple('Posting', 'gram suffix name description')
#: The postings of one gram whose range keys begin with a prefix.
Range = collections.namedtuple('Range', 'gram prefix')


def postings(name, description='', is_wanted=lambda gram: True):
    """Return a list of all postings of a repository, except its witness.

    :param name: a name that text.check_name accepts.
    :param description: a clean description, or ''.
    :param is_wanted: a function of a gram; returns False to leave out its postings."""
    folded = text.fold(name)
    keys = [(folded[place:], mark, name[:place]) for place, mark in _places(folded, is_wanted)]
    keys += [(tail, _DESCRIBED, name) for tail in _tails(folded, description)
             if is_wanted(_gram(tail))]
    return [Posting(_gram(suffix), _key(suffix, mark, before, name), name, description)
            for suffix, mark, before in keys]


def witness(name, description=''):
    """Return the posting that lists a name, and proves that its other postings exist."""
    return Posting(CATALOG, catalog_key(name), name, description)


def witness_key(name):
    """Return the DynamoDB key of the witness of a name."""
    return {'gram': {'S': CATALOG}, 'suffix': {'S': catalog_key(name)}}


def catalog_key(name):
    """Return the range key of a name, or of any text, in the order of a registry's catalog.

    https://github.com/distribution/distribution/blob/v2.8.2/registry/storage/catalog.go"""
    return name.replace('/', '\x01')


def is_gram(gram):
    """Return True if a hash key is that of postings, and not of markers."""
    return gram[:1] == _SUFFIX or gram == CATALOG


def range_of(word):
    """Return the Range of the postings that match ``word``, in lower case."""
    return Range(_gram(word), word.translate(_ENCODE))


def to_item(posting):
    """Return the item of DynamoDB for a posting."""
    folded, case = text.split_case('%s\n%s' % (posting.name, posting.description))
    item = {'gram': {'S': posting.gram}, 'suffix': {'S': posting.suffix},
            't': {'S': folded.rstrip('\n')}}
    if case:
        item['c'] = {'S': case}
    return item


def fields_of(item):
    """Return the name and the description of a stored posting. If another program has removed its
    text, the name is that of its key, or UNKNOWN if the key is not read or has only a digest."""
    folded = item.get('t', {}).get('S')
    if folded is None:
        return _name_in_key(item) if 'gram' in item else UNKNOWN, ''
    case = item.get('c', {}).get('S')
    name, _, description = (text.join_case(folded, case) if case else folded).partition('\n')
    return name, description


def name_of(item):
    """Return the name of a stored posting."""
    return fields_of(item)[0]


def _gram(suffix):
    return _SUFFIX + text.CHARACTER.match(suffix).group()


def _key(suffix, mark, before, name):
    key = suffix.translate(_ENCODE) + mark
    if text.fold(name) == name and len((key + before).encode('utf-8')) <= _RANGE_KEY_BYTES:
        return key + before
    # The whole name still comes before its namesakes in other namespaces.
    digest = hashlib.sha256(name.encode('utf-8')).hexdigest()[:16]
    return key + ('\x02' if before else '\x01') + digest


def _name_in_key(item):
    suffix = item['suffix']['S']
    if item['gram']['S'] == CATALOG:
        return suffix.replace('\x01', '/')
    found = _KEY.match(suffix)
    if not found:
        return UNKNOWN
    tail, mark, before = found.groups()
    return before if mark == _DESCRIBED else before + tail.translate(_DECODE)


def _places(folded, is_wanted):
    """Yield (place, end mark) of each suffix that needs a posting. A suffix that starts inside a
    word is left out if an earlier suffix begins with it: each word that matches the later one also
    matches the earlier one."""
    for character in text.CHARACTER.finditer(folded):
        if not is_wanted(_SUFFIX + character.group()):
            continue
        place = character.start()
        before = folded[:place][-1:]
        mark = _WORD if before in text.SEPARATORS else _INSIDE
        if before in ('', '/'):
            mark = _PART
        if mark != _INSIDE or folded.find(folded[place:]) == place:
            yield place, mark


def _tails(folded, description):
    """Return the texts from word starts of a description that need a posting: those that the name
    does not contain, and that are not the beginning of another one."""
    tails = sorted(set(text.word_tails(description)))
    # In sorted order, a text is followed by those that begin with it.
    return [tail for tail, following in zip(tails, tails[1:] + [''])
            if tail not in folded and not following.startswith(tail)]
