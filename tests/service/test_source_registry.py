"""The repositories of the real registry, asked from itself; and of one that fails in places."""
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.servers_v2 import Distribution
from docker_registry_index.engine.lister import Lister
from docker_registry_index.service.errors import RegistryUnavailable
from docker_registry_index.service.registry import RegistryClient
from docker_registry_index.service.source_registry import CHUNK, RegistrySource
from tests.service.images import Images


class Registry:
    """A client: names to whether they have tags, or the error that asking for these raises."""

    def __init__(self, pages, tagged=None):
        self.pages, self.tagged, self.asked = pages, tagged or {}, []

    def catalog(self):
        return iter(self.pages)

    def has(self, name):
        self.asked.append(name)
        answer = self.tagged.get(name, True)
        if isinstance(answer, Exception):
            raise answer
        return answer


def failure():
    return RegistryUnavailable('http://127.0.0.1', 'is tired')


@pytest.fixture(scope='module')
def three_hundred(distribution_is_installed, tmp_path_factory):
    """A registry with 300 repositories with a tag, and one whose last was deleted."""
    with Distribution(tmp_path_factory.mktemp('three_hundred')) as server:
        images = Images(server.url)
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: images.push('team%d/app%03d' % (number % 3, number), layers=0), range(300)))
        images.delete('team0/gone', images.push('team0/gone', layers=0))
        yield server


def listed(source):
    lister = Lister(source)
    return sorted(pair for batch in lister.batches(lambda: None) for pair in batch), lister.unreadable


def test_what_has_a_tag_is_listed(three_hundred):
    source = RegistrySource(RegistryClient(three_hundred.url))
    before = three_hundred.counts('"GET /v2/.*python-requests')
    assert listed(source) == (sorted(('team%d/app%03d' % (number % 3, number), None) for number in range(300)), [])
    assert three_hundred.counts('"GET /v2/.*python-requests') - before == 302, 'a page of the catalog, and one request for each name'
    assert source.has('team1/app001') and not source.has('team0/gone') and not source.has('team0/never') and not source.has('../team1')


def test_chunks_are_of_fifty_names_whatever_the_pages_are():
    names = ['a%03d' % number for number in range(120)]
    source = RegistrySource(Registry([names[:7], [], names[7:100], names[100:]]))
    chunks = list(source.namespaces())
    assert [len(chunk.names) for chunk in chunks] == [CHUNK, CHUNK, 20]
    assert [str(chunk) for chunk in chunks] == ['a000 to a049', 'a050 to a099', 'a100 to a119']
    assert list(RegistrySource(Registry([[]])).namespaces()) == []


def test_one_that_cannot_be_read_keeps_no_other_out():
    registry = Registry([list('abcd')], {'b': failure()})
    names, unreadable = listed(RegistrySource(Registry([list('abcd'), ['x%02d' % number for number in range(60)]], registry.tagged)))
    assert len(names) == 63 and unreadable == ['a to x45']


def test_a_registry_that_is_away_is_left_alone():
    registry = Registry([['a%02d' % number for number in range(50)]], {'a%02d' % number: failure() for number in range(50)})
    source = RegistrySource(registry)
    with pytest.raises(RegistryUnavailable):
        list(source.repositories(next(iter(source.namespaces()))))
    assert len(registry.asked) == 3


def test_names_that_are_none_are_left_out_with_one_warning(caplog):
    registry = Registry([['a', 'B', '../c', 'd']])
    source = RegistrySource(registry)
    with caplog.at_level(logging.WARNING):
        assert [name for chunk in source.namespaces() for name, _ in source.repositories(chunk)] == ['a', 'd']
    assert [record.getMessage() for record in caplog.records] == [
        "left out of the search index: 2 in 'a to d' of the storage, such as 'B': a registry takes no such name"]
    assert registry.asked == ['a', 'd']
