"""Repository names and descriptions of a chosen size in the index."""

from __future__ import unicode_literals


def many_words(count, first=16):
    """Return a description of so many words, each with a posting of its own.

    :param first: the number that the first word stands for; other numbers are other words.
    """
    return ' '.join('%x' % number for number in range(first, first + count))


#: About as many words as a description may have.
MANY_WORDS = many_words(33)


def name_with_postings(count):
    """Return a name of ``count`` characters with as many postings, one for each suffix: every
    suffix ends in the only z, so none begins another."""
    return ('%s/' % ('ab-cd.' * 50)[:count - 2])[:count - 1] + 'z'
