"""Counts how often a search for several words is complete."""
import random
import re

from benchmarks.meter import index_settings
from benchmarks.searches import LIMIT
from docker_registry_index.engine import SearchIndex

__all__ = ['completeness']

_SEPARATORS = re.compile('[/._-]+')


def completeness(endpoint, database, names, count):
    """Return, for each kind of search, the shares of the searches that were complete, and that
    found the name from which the words come.

    names: of the index. count: the number of searches of each kind.
    """
    index = SearchIndex(index_settings(endpoint, database))
    found = {}
    for kind, make in KINDS.items():
        chance, complete, hits = random.Random(kind), 0, 0
        for _ in range(count):
            name, words = None, []
            while len(words) < 2:
                name = names[int(chance.random() * len(names))]
                words = make(chance, name, names)
            results = index.search(' '.join(words), LIMIT)
            complete += not results.is_incomplete
            hits += any(result.name == name for result in results)
        found[kind] = {'complete': complete / count, 'found': hits / count}
    return found


def words_of(text):
    """Return the words of a name, each once."""
    return sorted(set(_SEPARATORS.split(text)) - {''})


def _namespace_and_word(chance, name, names):
    namespace, _, last = name.partition('/')
    return [namespace, _one_of(chance, words_of(last))]


def _two_of(chance, name, names):
    return _drawn(chance, words_of(name), 2)


def _three_of(chance, name, names):
    return _drawn(chance, words_of(name), 3)


def _beginnings(chance, name, names):
    return [word[:3] for word in _drawn(chance, words_of(name), 2)]


def _of_two_names(chance, name, names):
    other = names[int(chance.random() * len(names))]
    return [_one_of(chance, words_of(each.partition('/')[2])) for each in (name, other)]


def _largest_and_word(chance, name, names):
    return ['acme', _one_of(chance, words_of(name.partition('/')[2]))]


#: Each takes a source of chance, a name and all names, and returns words.
KINDS = {
    'the namespace and a word of one name': _namespace_and_word,
    'two words of one name': _two_of,
    'three words of one name': _three_of,
    'the first three letters of two words of one name': _beginnings,
    'the largest namespace and a word of any name': _largest_and_word,
    'a word each of two names': _of_two_names}


def _one_of(chance, words):
    return words[int(chance.random() * len(words))]


def _drawn(chance, words, count):
    """Return so many different words; none if there are too few."""
    return chance.sample(words, count) if len(words) >= count else []
