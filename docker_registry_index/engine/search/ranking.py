"""The words of a search term, and the rank of a repository that matches them. Pure.

docs/search.md has the rules."""

from __future__ import unicode_literals

import collections

from ..store import text

NAME, LAST_PART, WHOLE_WORD, WORD_START, INSIDE_WORD, IN_DESCRIPTION = range(6)

#: A repository that was found: its name, and its description or ''.
Result = collections.namedtuple('Result', 'name description')


def parse(term):
    """Return the words that a repository must match, a tuple of text in lower case. It is empty for
    an empty term, which every repository matches. Return None if no repository can match, because a
    word is longer than any name or has a control character."""
    words = text.split_words(term)
    if any(text.length(word) > text.NAME_CHARACTERS or text.has_control(word) for word in words):
        return None
    return tuple(words)


def rank(words, name, description):
    """Return the rank of a repository, from 0 (best) to 5; None if it does not match.

    0: the word is the name, 1: its last part, 2: a whole word of it, 3: the start of a word, 4: it
    is inside a word, 5: it starts a word of the description. Of several words, the worst match
    counts."""
    folded = text.fold(name)
    ranks = [_rank(word, folded, description) for word in words]
    return None if None in ranks else max(ranks)


def _rank(word, folded, description):
    if folded == word:
        return NAME
    if folded.endswith('/' + word):
        return LAST_PART
    best, place = None, folded.find(word)
    while place >= 0:
        if place == 0 or folded[place - 1] in text.SEPARATORS:
            # At the end of the name, nothing follows: '' is in any text.
            if folded[place + len(word):][:1] in text.SEPARATORS:
                return WHOLE_WORD
            best = WORD_START
        elif best is None:
            best = INSIDE_WORD
        place = folded.find(word, place + 1)
    if best is None and any(tail.startswith(word) for tail in text.word_tails(description)):
        return IN_DESCRIPTION
    return best
