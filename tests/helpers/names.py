"""Repository names and descriptions of a chosen size in the index."""

#: A description of many words, each with a posting of its own.
MANY_WORDS = ' '.join('%x' % number for number in range(16, 49))


def name_with_postings(count):
    """Return a name of ``count`` characters with as many postings, one for each suffix: every
    suffix ends in the only z, so none begins another."""
    return ('%s/' % ('ab-cd.' * 50)[:count - 2])[:count - 1] + 'z'
