"""The repositories of the real registry, asked from itself; and of one that fails in places."""
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.servers.registry_v2 import Distribution
from docker_registry_index.engine.errors import StorageUnreadable
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.service.registry.connection import (
    CredentialsRefused, RegistryUnavailable)
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.sources.catalog import CHUNK, CatalogSource
from tests.helpers.engine import EngineIndex
from tests.end_to_end.service.beside import Beside
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import wait_until

THREE_HUNDRED = ['team%d/app%03d' % (number % 3, number) for number in range(300)]


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
            list(pool.map(lambda name: images.push(name, layers=0), THREE_HUNDRED))
        images.delete('team0/gone', images.push('team0/gone', layers=0))
        yield server


def listed(source):
    lister = Listing(source)
    pairs = sorted(pair for batch in lister.batches(lambda: None) for pair in batch)
    return pairs, lister.unreadable


def test_what_has_a_tag_is_listed(three_hundred):
    source = CatalogSource(RegistryClient(three_hundred.url))
    before = three_hundred.counts('"GET /v2/.*python-requests')
    assert listed(source) == (sorted((name, None) for name in THREE_HUNDRED), [])
    # A page of the catalog, and one request for each name.
    assert three_hundred.counts('"GET /v2/.*python-requests') - before == 302
    assert source.has('team1/app001') and not source.has('team0/gone')
    assert not source.has('team0/never') and not source.has('../team1')


def test_chunks_are_of_fifty_names_whatever_the_pages_are():
    names = ['a%03d' % number for number in range(120)]
    source = CatalogSource(Registry([names[:7], [], names[7:100], names[100:]]))
    chunks = list(source.namespaces())
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 20]
    assert [str(chunk) for chunk in chunks] == ['a000 to a049', 'a050 to a099', 'a100 to a119']
    assert list(CatalogSource(Registry([[]])).namespaces()) == []


def test_one_that_cannot_be_read_keeps_no_other_out():
    registry = Registry([list('abcd')], {'b': failure()})
    sixty = ['x%02d' % number for number in range(60)]
    source = CatalogSource(Registry([list('abcd'), sixty], registry.tagged))
    names, unreadable = listed(source)
    assert len(names) == 63 and unreadable == [] and source.doubtful() == {'b'}


def refused():
    return CredentialsRefused('http://127.0.0.1', 403, True)


@pytest.mark.parametrize('broken', ['a', 'd', 'ad', 'abc', 'abde', 'bcdefg', 'acegh', 'defghi'],
                         ids=lambda value: value)
@pytest.mark.parametrize('trouble', [failure, refused], ids=['failing', 'refused'])
def test_whichever_cannot_be_read_the_others_are_listed(broken, trouble):
    client = Registry([list('abcdefghij')], dict((name, trouble()) for name in broken))
    source = CatalogSource(client)
    assert listed(source) == ([(name, None) for name in 'abcdefghij' if name not in broken], [])
    assert source.doubtful() == set(broken)
    client.tagged = {}
    assert len(listed(source)[0]) == 10 and source.doubtful() == set()


def test_a_registry_that_refuses_everything_is_not_one_without_repositories():
    source = CatalogSource(Registry([list('abc')], dict((name, refused()) for name in 'abc')))
    with pytest.raises(StorageUnreadable, match='refuses'):
        listed(source)
    assert source.doubtful() == set()


def test_a_registry_that_dies_in_the_midst_is_not_one_that_lacks_a_few():
    names = ['a%02d' % number for number in range(50)]
    client = Registry([names])
    source = CatalogSource(client)
    for name in source.repositories(next(iter(source.namespaces()))):
        if name[0] == 'a20':
            break
    client.tagged = dict.fromkeys(names, failure())
    with pytest.raises(RegistryUnavailable):
        list(source.repositories(next(iter(source.namespaces()))))
    assert source.doubtful() == set() and len(client.asked) == 21 + 4


def test_what_is_doubtful_stays_as_it_is_and_is_read_later(dynamodb_local, caplog):
    index = EngineIndex(dynamodb_local.url).ready()
    try:
        index.add('indexed', '')
        index.add('gone', '')
        for name in 'indexed', 'gone':
            index.engine.client.call('update_item', TableName=index.settings.repository_table,
                                     Key={'name': {'S': name}},
                                     UpdateExpression='SET touched = :long_ago',
                                     ExpressionAttributeValues={':long_ago': {'N': '1'}})
        client = Registry([['fine', 'indexed', 'new']],
                          {'indexed': failure(), 'new': failure(), 'gone': False})
        report = index.engine.sync(CatalogSource(client))
        assert report.complete and report.removed == 1 and report.unreadable == ()
        assert sorted(name for name, _ in index.search('')) == ['fine', 'indexed']
        notes = index.engine.description_queue.notes(9)
        assert [note.name for note in notes] == ['fine', 'indexed', 'new']
        assert list(index.engine.checker(CatalogSource(client)).check()) == []
        assert "the tags of 'indexed' cannot be read, and it stays as it is" in caplog.text
        assert 'is tired' in caplog.text
        client.tagged['indexed'] = client.tagged['new'] = True
        assert index.engine.sync(CatalogSource(client)).added == 1
    finally:
        index.delete_tables()


@pytest.mark.parametrize('more', [0, 120])
def test_a_broken_repository_of_the_real_registry_keeps_the_service_from_nothing(
        dynamodb_local, distribution_is_installed, tmp_path, more):
    with Distribution(tmp_path) as server:
        images = Images(server.url)
        names = ['a/ok', 'a/web', 'b/broken', 'c/last']
        names += ['z/app-%03d' % number for number in range(more)]
        for name in names:
            images.push(name, layers=0)
        tags = tmp_path / 'docker/registry/v2/repositories/b/broken/_manifests/tags'
        shutil.move(tags, tmp_path / 'moved')
        tags.write_text('a file')
        assert images.session.get(server.url + '/v2/b/broken/tags/list').status_code == 500
        with Beside(dynamodb_local.url, server) as place:
            wait_until(lambda: place.get('/v2/_catalog').status_code, 'the load is not complete',
                       30, place.service, 200)
            assert place.get('/readyz').status_code == 200
            assert place.get('/v2/_catalog?n=1000').json()['repositories'] == [
                name for name in names if name != 'b/broken']
            assert "the tags of 'b/broken' cannot be read" in place.service.log_text()
            tags.unlink()
            shutil.move(tmp_path / 'moved', tags)
            wait_until(lambda: place.found('broken'), 'what can be read again is not found', 45,
                       place.service, ['b/broken'])


def test_a_registry_that_is_unavailable_is_left_alone():
    names = ['a%02d' % number for number in range(50)]
    registry = Registry([names], dict.fromkeys(names, failure()))
    source = CatalogSource(registry)
    with pytest.raises(RegistryUnavailable):
        list(source.repositories(next(iter(source.namespaces()))))
    assert len(registry.asked) == 3


def test_names_that_are_none_are_left_out_with_one_warning(caplog):
    registry = Registry([['a', 'B', '../c', 'd']])
    source = CatalogSource(registry)
    with caplog.at_level(logging.WARNING):
        assert [name for chunk in source.namespaces()
                for name, _ in source.repositories(chunk)] == ['a', 'd']
    assert [record.getMessage() for record in caplog.records] == [
        "left out of the search index: 2 in 'a to d' of the storage, such as 'B': "
        "the name is not valid in a registry"]
    assert registry.asked == ['a', 'd']
