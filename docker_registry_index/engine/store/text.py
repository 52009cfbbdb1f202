# -*- coding: utf-8 -*-
"""The text in the index: lower case, words, names and descriptions. Pure.

All Pythons must agree on every character, because one may remove what another has written. So this
module lists white space, word characters and letters with a lower case, and does not use the
interpreter's own Unicode tables. A character counts once, even if a narrow build of Python 2.7
stores it as two."""

from __future__ import unicode_literals

import collections
import re

from .. import errors
from .._compat import NARROW, text_type

#: The longest name that Distribution accepts; names of docker-registry are much shorter.
NAME_CHARACTERS = 255
#: The most bytes of a name that fit into a range key (1 024 bytes) beside two marks and a digest:
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
NAME_BYTES = 1000
#: The most characters of the short description of Docker Hub, and of a description in
#: docker-registry's own SQLAlchemy index.
DESCRIPTION_CHARACTERS = 100
#: The characters between the words of a repository name.
SEPARATORS = '/-_.'

#: Matches one whole character in any build.
CHARACTER = re.compile('[\ud800-\udbff][\udc00-\udfff]|.', re.DOTALL)

# The letters that have a lower case in the Unicode 5.2 of Python 2.7, except Deseret, which narrow
# builds cannot convert. Letters of later Unicodes are not folded: an older Python would write them
# unfolded.
_CASED = re.compile(
    '[A-Z\xc0-\u024e\u0370-\u037e\u0386-\u0525\u0531-\u0556\u10a0-\u10c5'
    '\u1e00-\u1ffc\u2126-\u2183\u24b6-\u24cf\u2c00-\u2c2e\u2c60-\u2ced'
    '\ua640-\ua65f\ua662-\ua697\ua722-\ua78c\uff21-\uff3a]')
_CASE = re.compile('([0-9]+)([^0-9]+)')
_SPACE = ' \t\n\r\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
_SPACES = re.compile('[%s]+' % _SPACE)
_CONTROL = re.compile('[\x00-\x1f\x7f-\x9f]')
# In a narrow build, half a surrogate pair is invalid; in others, any surrogate is.
_SURROGATE = re.compile(
    '(?<![\ud800-\udbff])[\udc00-\udfff]|[\ud800-\udbff](?![\udc00-\udfff])'
    if NARROW else '[\ud800-\udfff]')
# A tail begins at a letter or digit that follows neither, and ends at the next space.
_WORD = '0-9A-Za-z\x80-\U0010ffff' if not NARROW else '0-9A-Za-z\x80-\uffff'
_TAIL = re.compile('(?<![%s])(?=([%s][^ ]*))' % (_WORD, _WORD))


def to_text(value):
    """Return ``value`` as well-formed text; invalid bytes and surrogates become U+FFFD."""
    if value is None:
        return ''
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    return _SURROGATE.sub('\ufffd', text_type(value))


def fold(text):
    """Return ``text`` in lower case, converted character by character. The lower case of a name
    must contain that of each substring. Python 3 would convert a final sigma by its neighbours, and
    the letter U+0130 into two characters."""
    return _CASED.sub(lambda letter: letter.group().lower()[:1], text)


def split_case(text):
    """Return ``text`` in lower case, and what join_case needs to restore it, the places of its
    capitals: "Node.js API" gives "node.js api" and "0N8API"."""
    folded = fold(text)
    case, following = [], None
    for letter in _CASED.finditer(text):
        place = letter.start()
        # The expression also matches letters in lower case.
        if letter.group() != folded[place]:
            case += [letter.group()] if place == following else [
                '%d' % length(text[:place]), letter.group()]
            following = place + 1
    return folded, ''.join(case)


def join_case(folded, case):
    """Return the text that split_case has split."""
    letters = CHARACTER.findall(folded) if NARROW else list(folded)
    for place, capitals in _CASE.findall(case):
        end = int(place) + len(capitals)
        # Another program may have changed one of the two.
        if end <= len(letters):
            letters[int(place):end] = capitals
    return ''.join(letters)


def length(text):
    """Return the number of characters in ``text``."""
    return len(text.encode('utf-32-le')) // 4


def split_words(term):
    """Return the folded words of a search term, in order, each once, without the wildcards around
    them."""
    words = (word.strip('*') for word in _SPACES.split(fold(to_text(term))))
    return list(collections.OrderedDict.fromkeys(word for word in words if word))


def has_control(text):
    """Return True if ``text`` has a character that could control a terminal."""
    return _CONTROL.search(text) is not None


def check_name(name):
    """Return ``name`` as text if the index can contain it.

    :raises InvalidName: the name is empty, longer than 255 characters or 1 000 bytes, has a control
        character, or is not well-formed."""
    checked = to_text(name)
    if not checked:
        raise errors.InvalidName(name, 'is empty')
    if '\ufffd' in checked:
        raise errors.InvalidName(name, 'is not well-formed Unicode')
    if has_control(checked):
        raise errors.InvalidName(name, 'has a control character')
    # A few lower case letters take a byte more than their upper case.
    size = max(len(form.encode('utf-8')) for form in (checked, fold(checked)))
    if length(checked) > NAME_CHARACTERS or size > NAME_BYTES:
        raise errors.InvalidName(name, 'is too long')
    return checked


def cut_to_key(text):
    """Return the beginning of ``text``, short enough for a condition on a key. Every name is
    shorter than that, so a comparison of names with the beginning has the same result."""
    size = NAME_BYTES + 4
    return to_text(text).encode('utf-8')[:size].decode('utf-8', 'ignore')


def first_after(prefix):
    """Return the first text, in the order of code points, that is greater than each text that
    begins with ``prefix``; None if it ends with one of the rare characters from U+D7FF on."""
    if prefix[-1] >= '\ud7ff':
        return None
    following = '\\u%04x' % (ord(prefix[-1]) + 1)
    return prefix[:-1] + following.encode('ascii').decode('unicode_escape')


def clean_description(description):
    """Return ``description`` in a form for terminals and index keys: without control characters,
    with single spaces for white space, and cut to 100 characters."""
    if not description:
        return ''
    # Some white space is a control character, and a control character may be between two spaces.
    spaced = _SPACES.sub(' ', to_text(description))
    clean = _SPACES.sub(' ', _CONTROL.sub('', spaced)).strip(' ')
    return ''.join(CHARACTER.findall(clean)[:DESCRIPTION_CHARACTERS]).rstrip(' ')


def word_tails(description):
    """Return the text from each word start in a clean description to the next space. "Node.js API"
    gives "node.js", "js" and "api". A term matches a word start if one of them begins with it."""
    return [match.group(1) for match in _TAIL.finditer(fold(description))]
