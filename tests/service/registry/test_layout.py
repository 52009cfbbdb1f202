"""The order of Distribution's storage, and what may be skipped in it."""
import bisect

import hypothesis
import pytest
from hypothesis import strategies

from docker_registry_index.service.registry import layout

HEX = 'f' * 64


def keys_of(name, tags=1, layers=1, revisions=1, uploads=0):
    """The keys that Distribution keeps for a repository."""
    return (['%s/_layers/sha256/%064x/link' % (name, place) for place in range(layers)] +
            ['%s/_manifests/revisions/sha256/%064x/link' % (name, place)
             for place in range(revisions)] +
            ['%s/_manifests/tags/v%d/%s' % (name, place, rest) for place in range(tags)
             for rest in ('current/link', 'index/sha256/%s/link' % HEX)] +
            ['%s/_uploads/%036x/startedat' % (name, place) for place in range(uploads)])


class Bucket:
    """Keys in order, as S3 lists them, in pages; counts the requests."""

    def __init__(self, keys, size=1000):
        self.keys, self.size, self.requests = sorted(keys), size, 0

    def page_after(self, place):
        self.requests += 1
        start = bisect.bisect_right(self.keys, place)
        return self.keys[start:start + self.size], start + self.size < len(self.keys)

    def folders(self, inside):
        return sorted({inside + key[len(inside):].partition('/')[0] + '/' for key in self.keys
                       if key.startswith(inside) and '/' in key[len(inside):]})


COMPONENTS = strategies.sampled_from(
    ['a', 'a0', 'a-b', 'a_b', 'a.b', 'a__b', '0', '0a', 'b', 'z', 'zz'])
NAMES = strategies.lists(COMPONENTS, min_size=1, max_size=4).map('/'.join)
REPOSITORIES = strategies.dictionaries(NAMES, strategies.tuples(*[strategies.integers(0, 5)] * 4),
                                       max_size=25)


def stored(repositories):
    keys = [key for name, counts in repositories.items() for key in keys_of(name, *counts)]
    return keys, sorted(name for name, counts in repositories.items() if counts[0])


@hypothesis.given(REPOSITORIES, strategies.integers(1, 12))
def test_the_walk_finds_what_has_a_tag_once(repositories, size):
    keys, expected = stored(repositories)
    bucket = Bucket(keys, size)
    found = list(layout.walk(bucket.page_after))
    assert sorted(found) == expected
    assert bucket.requests <= 1 + len(keys) // size
    assert bucket.requests <= 1 + 3 * len(repositories)


@hypothesis.given(REPOSITORIES, strategies.integers(1, 12), strategies.integers(1, 8),
                  strategies.booleans())
def test_the_parts_together_are_the_whole(repositories, size, count, is_deep):
    keys, expected = stored(repositories)
    bucket = Bucket(keys, size)
    cuts = bucket.folders('')
    if is_deep:
        cuts = [inner for cut in cuts for inner in layout.cuts_below(cut, bucket.folders(cut))]
    assert cuts == sorted(cuts)
    parts = list(layout.key_ranges(cuts, count))
    assert len(parts) <= max(count, -(-len(cuts) // layout.RANGE_NAMES)) and all(map(str, parts))
    found = [name for part in parts
             for name in layout.walk(bucket.page_after, part.after, part.before)]
    assert sorted(found) == expected


@hypothesis.given(
    strategies.lists(strategies.text('ab_/`.', max_size=12) |
                     NAMES.map(lambda name: name + '/_manifests/tags/x'), max_size=40),
    strategies.integers(1, 5))
def test_strange_keys_neither_stop_the_walk_nor_hide_others(keys, size):
    keys = sorted(set(keys))
    found = list(layout.walk(Bucket(keys, size).page_after))
    assert set(found) == {layout.tagged(key) for key in keys} - {None}


@pytest.mark.parametrize('counts, most',
                         [({'layers': 50000}, 2), ({'tags': 50000}, 1), ({'uploads': 50000}, 2),
                          ({'layers': 5000, 'revisions': 5000, 'tags': 5000, 'uploads': 5000}, 2),
                          ({'layers': 50000, 'tags': 0, 'uploads': 5000}, 2)])
def test_a_large_repository_costs_few_requests(counts, most):
    bucket = Bucket(keys_of('a', **counts) + keys_of('b'))
    found = list(layout.walk(bucket.page_after))
    assert found == (['a', 'b'] if counts.get('tags', 1) else ['b']) and bucket.requests <= most + 1


@pytest.mark.parametrize('root, folder', [('', 'docker/registry/v2/repositories/'),
                                          ('/', 'docker/registry/v2/repositories/'),
                                          ('a/b', 'a/b/docker/registry/v2/repositories/'),
                                          ('/a/b/', 'a/b/docker/registry/v2/repositories/')])
def test_the_folder(root, folder):
    assert layout.folder(root) == folder


@pytest.mark.parametrize('name, is_one', [('a', True), ('a/b/c', True), ('a0', True), ('0', True),
                                          ('a.b', True), ('a_b', True), ('a__b', True),
                                          ('a---b', True), ('a' * 255, True), ('a' * 256, False),
                                          ('', False), ('A', False), ('a/', False), ('/a', False),
                                          ('a//b', False), ('..', False), ('a/../b', False),
                                          ('a..b', False), ('a___b', False), ('_a', False),
                                          ('a-', False), ('-a', False), ('a\n', False),
                                          ('\xe9', False), (None, False), (3, False),
                                          (b'a', False)])
def test_names(name, is_one):
    assert layout.is_name(name) is is_one


def test_a_long_name_is_refused_quickly():
    for name in ('a-' * 127 + '!', 'a' * 254 + '!', '-' * 255):
        assert not layout.is_name(name)


@pytest.mark.parametrize('key, name', [('a/b/_manifests/tags/1/current/link', 'a/b'),
                                       ('a/_manifests/tags/1/index/sha256/0/link', 'a'),
                                       ('a/_manifests/tags/', None),
                                       ('a/_manifests/revisions/sha256/0/link', None),
                                       ('a/_layers/_manifests/tags/1', None),
                                       ('_manifests/tags/1/current/link', None), ('a', None),
                                       ('', None)])
def test_keys(key, name):
    assert layout.tagged(key) == name
