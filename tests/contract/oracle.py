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
        word = word.strip('*')
        if word and word not in found:
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
        return 5 if starts_word_of(description, word) else None
    if name == word:
        return 0
    if name.endswith('/' + word):
        return 1
    start, end = '(^|[%s])' % BOUNDARY, r'(\Z|[%s])' % BOUNDARY
    if re.search(start + word_re + end, name):
        return 2
    return 3 if re.search(start + word_re, name) else 4


def starts_word_of(description, word):
    description = fold(description)
    return any(
        description.startswith(word, place) and letter(description[place]) and
        (place == 0 or not letter(description[place - 1]))
        for place in range(len(description)))


def letter(character):
    return character > '\x7f' or character.isalnum()


def group(word, name):
    """Return the group of a name that matches a word; a limit prefers the lower ones."""
    if rank(word, name, '') in (0, 1):
        return rank(word, name, '')
    return 2 if re.search(r'[%s]%s\Z' % (BOUNDARY, re.escape(word)), fold(name)) else 3


def check_limited(repositories, term, limit, got):
    """Assert that ``got`` is a correct answer with a limit."""
    whole = answer(repositories, term)
    if not words(term):
        assert got == whole[:limit]
        return
    kept = set(got)
    assert got == [result for result in whole if result in kept], (term, got)
    assert len(got) == min(limit, len(whole)) or got.is_incomplete and len(got) < limit
    if len(words(term)) == 1:
        groups = [(group(words(term)[0], result[0]), result in kept) for result in whole]
        worst = max([number for number, is_kept in groups if is_kept] or [0])
        assert all(is_kept for number, is_kept in groups if number < worst), (term, limit, got)
