"""The words of a search term, and the rank of a repository that matches them. Pure.

docs/search.md has the rules."""

from __future__ import unicode_literals

import collections

from ..store import text

__all__ = ['Result', 'group', 'longest', 'parse', 'rank']

WHOLE_WORD, WORD_START, INSIDE_WORD, IN_DESCRIPTION = range(4)


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


def longest(words):
    """Return the four longest words, the longest first: they are probably the rarest, so a search
    reads their postings only."""
    return sorted(words, key=len, reverse=True)[:4]


def group(words, name):
    """Return the group of a match, from 0 to 3; a limit keeps lower groups first. The longest word
    is a whole word of the name (0), starts one (1), is inside one (2), or not in the name (3)."""
    best = _best_place(longest(words)[0], text.fold(name))
    return IN_DESCRIPTION if best is None else best


def rank(words, name, description):
    """Return the rank of a repository, from 0 (best) to 3; None if it does not match.

    0: the name ends with the word or has it as a whole word, 1: a word of the name starts with it,
    2: it is inside a word, 3: a word of the description starts with it. Of several words, the worst
    match counts."""
    worst = WHOLE_WORD
    folded = text.fold(name)
    for word in words:
        found = WHOLE_WORD if folded.endswith(word) else _best_place(word, folded)
        if found is None:
            if not _starts_description_word(word, description):
                return None
            found = IN_DESCRIPTION
        worst = max(worst, found)
    return worst


def _best_place(word, folded):
    """Return the best place of ``word`` in a name; None if the name does not contain it."""
    best, position = None, folded.find(word)
    while position >= 0:
        if position == 0 or folded[position - 1] in text.SEPARATORS:
            follower = folded[position + len(word):position + len(word) + 1]
            # At the end of the name, the follower is '', which is in any text.
            if follower in text.SEPARATORS:
                return WHOLE_WORD
            best = WORD_START
        elif best is None:
            best = INSIDE_WORD
        position = folded.find(word, position + 1)
    return best


def _starts_description_word(word, description):
    return any(tail.startswith(word) for tail in text.word_tails(description))
