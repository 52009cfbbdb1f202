# -*- coding: utf-8 -*-
"""What text means to the index: folding, words, names, descriptions. Pure.

All Pythons must agree on every character, because one of them may remove what another has written.
So white space, word characters and letters with a lower case are listed here, instead of being
asked from each interpreter's own Unicode tables; and a character is one, also where a narrow build
of Python 2.7 makes it of two."""

from __future__ import unicode_literals

import re

from .. import errors
from .._compat import NARROW, text_type

__all__ = [
    'CHARACTER', 'NAME_CHARACTERS', 'NAME_BYTES', 'DESCRIPTION_CHARACTERS',
    'SEPARATORS', 'check_name', 'clean_description', 'cut_to_key', 'fold',
    'has_control', 'length', 'split_words', 'to_text', 'word_tails',
]

#: The longest name Distribution accepts; docker-registry's end far below.
NAME_CHARACTERS = 255
#: So that a whole name fits a range key (1 024 bytes) beside its separators:
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
NAME_BYTES = 1000
#: As much as the short description of Docker Hub, and the column of docker-registry's own
#: SQLAlchemy index, hold.
DESCRIPTION_CHARACTERS = 100
#: The characters between the words of a repository name.
SEPARATORS = '/-_.'

#: Matches one character, whole, in any build.
CHARACTER = re.compile('[\ud800-\udbff][\udc00-\udfff]|.', re.DOTALL)

# The letters that have a lower case in the Unicode 5.2 of Python 2.7, but not Deseret, which narrow
# builds cannot lower. Later ones are left as they are: a newer Python would fold what an older one
# has written unfolded.
_CASED = re.compile(
    '[A-Z\xc0-\u024e\u0370-\u037e\u0386-\u0525\u0531-\u0556\u10a0-\u10c5'
    '\u1e00-\u1ffc\u2126-\u2183\u24b6-\u24cf\u2c00-\u2c2e\u2c60-\u2ced'
    '\ua640-\ua65f\ua662-\ua697\ua722-\ua78c\uff21-\uff3a]')
_SPACE = ' \t\n\r\x0b\x0c\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000'
_SPACES = re.compile('[%s]+' % _SPACE)
_CONTROL = re.compile('[\x00-\x1f\x7f-\x9f]')
# In a narrow build half a pair is wrong; elsewhere any surrogate is.
_SURROGATE = re.compile(
    '(?<![\ud800-\udbff])[\udc00-\udfff]|[\ud800-\udbff](?![\udc00-\udfff])'
    if NARROW else '[\ud800-\udfff]')
# A tail runs from a letter or digit that follows none to the next space.
_WORD = '0-9A-Za-z\x80-\U0010ffff' if not NARROW else '0-9A-Za-z\x80-\uffff'
_TAIL = re.compile('(?<![%s])(?=([%s][^ ]*))' % (_WORD, _WORD))


def to_text(value):
    """Return ``value`` as well-formed text; wrong bytes and halves become U+FFFD."""
    if value is None:
        return ''
    if isinstance(value, bytes):
        value = value.decode('utf-8', 'replace')
    return _SURROGATE.sub('\ufffd', text_type(value))


def fold(text):
    """Return ``text`` in lower case, one character for one. Character by character, because a
    name's lower case must contain the lower case of each substring; Python 3 lowers a final
    sigma by what stands around it, and one letter (U+0130) into two characters."""
    return _CASED.sub(lambda letter: letter.group().lower()[:1], text)


def length(text):
    """Return how many characters ``text`` has."""
    return len(text.encode('utf-32-le')) // 4


def split_words(term):
    """Return the folded words of a search term, in order, each once."""
    words = []
    for word in _SPACES.split(fold(to_text(term))):
        if word and word not in words:
            words.append(word)
    return words


def has_control(text):
    """Return whether ``text`` has a character that could steer a terminal."""
    return _CONTROL.search(text) is not None


def check_name(name):
    """Return ``name`` as text, if the index can hold it.

    :raises InvalidName: when empty, longer than 255 characters or 1 000 bytes, with a control
        character, or not well-formed."""
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
    """Return ``text`` cut so that a key may be compared with it. No name is as long as what is
    left, so each is before or after it as it is before or after the whole."""
    size = NAME_BYTES + 4
    return to_text(text).encode('utf-8')[:size].decode('utf-8', 'ignore')


def clean_description(description):
    """Return ``description`` fit for a terminal and an index key. Control characters go, white
    space becomes single spaces, and what is beyond 100 characters is cut."""
    if not description:
        return ''
    # Some white space is a control character, and a control character may have stood between two
    # spaces.
    spaced = _SPACES.sub(' ', to_text(description))
    clean = _SPACES.sub(' ', _CONTROL.sub('', spaced)).strip(' ')
    return ''.join(CHARACTER.findall(clean)[:DESCRIPTION_CHARACTERS]).rstrip(' ')


def word_tails(description):
    """Return, for each word start in a clean description, the text to the next space. "Node.js API"
    gives "node.js", "js" and "api": a term that a word starts with is the beginning of one of
    them."""
    return [match.group(1) for match in _TAIL.finditer(fold(description))]
