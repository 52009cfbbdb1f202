# -*- coding: utf-8 -*-
"""Answers a search by brute force over all repositories."""
from __future__ import unicode_literals

import re

# The hyphen last, so that it means itself in a set of a regular expression.
BOUNDARY = '/_.-'


def fold(text):
    # The lower case of one letter, U+0130, has two characters in Python 3.
    return ''.join(character.lower()[:1] for character in text)


def clean(description):
    return ' '.join((description or '').split())[:100].strip()


def words(term):
    found = []
    for word in fold(term).split():
        if word not in found:
            found.append(word)
    return found


def answer(repositories, term):
    """Return all matches in order: a list of (name, description).

    :param repositories: mapping of name to description."""
    if not words(term):
        return [(name, clean(repositories[name])) for name in sorted(repositories, key=in_catalog)]
    found = []
    for name, description in repositories.items():
        ranks = [rank(word, name, clean(description)) for word in words(term)]
        if None not in ranks:
            found.append((max(ranks), name, clean(description)))
    return [(name, description) for _, name, description in sorted(found)]


def in_catalog(name):
    """Return the sort key of a name in a registry's catalog, where / comes first."""
    return name.replace('/', '\0')


def rank(word, name, description):
    name, word_re = fold(name), re.escape(word)
    if word not in name:
        return 3 if starts_word_of(description, word) else None
    start, end = '(^|[%s])' % BOUNDARY, '($|[%s])' % BOUNDARY
    # \Z, because a dollar also matches before a final line feed.
    end = end.replace('$', r'\Z')
    if name.endswith(word) or re.search(start + word_re + end, name):
        return 0
    if re.search(start + word_re, name):
        return 1
    return 2


def starts_word_of(description, word):
    description = fold(description)
    return any(
        description.startswith(word, place) and letter(description[place]) and
        (place == 0 or not letter(description[place - 1]))
        for place in range(len(description)))


def letter(character):
    return character > '\x7f' or character.isalnum()


def group(repositories, term, name):
    """Return the group of a match; a limit prefers group 0. The longest of several words counts."""
    word = max(words(term), key=len)
    folded = fold(name)
    start = '(^|[%s])' % BOUNDARY + re.escape(word)
    if re.search(start + r'(\Z|[%s])' % BOUNDARY, folded):
        return 0
    if re.search(start, folded):
        return 1
    return 2 if word in folded else 3


def check_limited(repositories, term, limit, got):
    """Assert that ``got`` is a correct answer with a limit."""
    whole = answer(repositories, term)
    assert len(got) == min(limit, len(whole)), (term, limit, got)
    kept = set(got)
    assert got == [result for result in whole if result in kept], (term, got)
    if not words(term):
        assert got == whole[:limit]
        return
    groups = {result: group(repositories, term, result[0]) for result in whole}
    last = max([groups[result] for result in got] or [0])
    missing = [result for result in whole if groups[result] < last and result not in kept]
    assert not missing, (term, limit, missing)
