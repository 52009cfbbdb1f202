"""The order of Distribution's storage, and which keys a listing skips."""
import hypothesis
import pytest
from hypothesis import strategies

from docker_registry_index.service.registry import layout
from tests.helpers.listing import Bucket, keys_of


COMPONENTS = strategies.sampled_from(
    ['a', 'a0', 'a-b', 'a_b', 'a.b', 'a__b', '0', '0a', 'b', 'z', 'zz'])
NAMES = strategies.lists(COMPONENTS, min_size=1, max_size=4).map('/'.join)
#: Names to the numbers of tags, layers, revisions and uploads.
REPOSITORIES = strategies.dictionaries(NAMES, strategies.tuples(*[strategies.integers(0, 5)] * 4),
                                       max_size=25)
quick = hypothesis.settings(max_examples=25, deadline=None)


def stored(repositories):
    """Return the keys of REPOSITORIES, and the names that have a tag."""
    keys = [key for name, counts in repositories.items() for key in keys_of(name, *counts)]
    return keys, sorted(name for name, counts in repositories.items() if counts[0])


@quick
@hypothesis.given(REPOSITORIES, strategies.integers(1, 12), strategies.integers(1, 8),
                  strategies.booleans())
def test_a_walk_in_one_or_several_ranges_finds_each_name_with_a_tag_once(
        repositories, size, count, is_deep):
    keys, expected = stored(repositories)
    bucket = Bucket(keys, size)
    assert sorted(layout.walk(bucket.page_after)) == expected
    assert bucket.requests <= 1 + min(len(keys) // size, 3 * len(repositories))
    cuts = bucket.folders('')
    if is_deep:
        cuts = [inner for cut in cuts for inner in [cut, *(
            each for each in bucket.folders(cut) if not each[len(cut):].startswith('_'))]]
    assert cuts == sorted(cuts)
    parts = list(layout.key_ranges(cuts, count))
    assert len(parts) <= max(count, -(-len(cuts) // layout.RANGE_NAMES)) and all(map(str, parts))
    assert expected == sorted(name for part in parts for name
                              in layout.walk(bucket.page_after, part.after, part.before))


@quick
@hypothesis.given(
    strategies.lists(strategies.text('ab_/`.', max_size=12) |
                     NAMES.map(lambda name: name + '/_manifests/tags/x/current/link'), max_size=40),
    strategies.integers(1, 5))
def test_strange_keys_neither_stop_the_walk_nor_hide_others(keys, size):
    keys = sorted(set(keys))
    found = list(layout.walk(Bucket(keys, size).page_after))
    assert set(found) == {layout.tagged(key) for key in keys} - {None}


@pytest.mark.parametrize('counts, most', [
    ({'layers': 9000}, 2), ({'tags': 9000}, 1), ({'uploads': 9000}, 2),
    ({'layers': 3000, 'revisions': 3000, 'tags': 3000, 'uploads': 3000}, 2),
    ({'layers': 9000, 'tags': 0, 'uploads': 3000}, 2)])
def test_a_large_repository_costs_few_requests(counts, most):
    bucket = Bucket(keys_of('a', **counts) + keys_of('b'))
    found = list(layout.walk(bucket.page_after))
    assert found == (['a', 'b'] if counts.get('tags', 1) else ['b']) and bucket.requests <= most + 1


def test_the_folder_is_below_the_root_without_outer_slashes():
    for root, above in ('', ''), ('/', ''), ('a/b', 'a/b/'), ('/a/b/', 'a/b/'):
        assert layout.folder(root) == above + 'docker/registry/v2/repositories/'


def test_names_that_distribution_accepts_are_names_and_no_others():
    for name in 'a', 'a/b/c', 'a0', '0', 'a.b', 'a_b', 'a__b', 'a---b', 'a' * 255:
        assert layout.is_name(name) is True, name
    # The last three would take long in a careless regular expression.
    for name in ('a' * 256, '', 'A', 'a/', '/a', 'a//b', '..', 'a/../b', 'a..b', 'a___b', '_a',
                 'a-', '-a', 'a\n', '\xe9', None, 3, b'a', 'a-' * 127 + '!', 'a' * 254 + '!',
                 '-' * 255):
        assert layout.is_name(name) is False, name


@pytest.mark.parametrize('key, name', [
    ('a/b/_manifests/tags/1/current/link', 'a/b'), ('a/_manifests/tags/_/current/link', 'a'),
    ('a/_manifests/tags/1/index/sha256/0/link', None), ('a/_manifests/tags/current/link', None),
    ('a/_manifests/tags/', None), ('a/_manifests/revisions/sha256/0/link', None),
    ('a/_layers/_manifests/tags/1', None), ('_manifests/tags/1/current/link', None), ('a', None),
    ('', None)])
def test_the_key_of_a_tag_contains_the_name_of_its_repository(key, name):
    assert layout.tagged(key) == name
