"""The repositories in a registry's own catalog, some of which cannot be read."""
import threading
import time

import pytest

from docker_registry_index.engine.errors import StorageUnreadable
from docker_registry_index.engine.sync.listing import Listing
from docker_registry_index.service.registry.catalog import Page
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import (
    CredentialsRefused, RegistryUnavailable)
from docker_registry_index.service.sources import catalog
from docker_registry_index.service.sources.catalog import CHUNK, REQUESTS, CatalogSource
from tests.helpers.listing import listed
from tests.helpers.registry import UNAVAILABLE, FakeRegistryClient
from tests.helpers.scripted_server import page

REFUSAL = CredentialsRefused('http://127.0.0.1', 403, True)
FIFTY = ['a%02d' % number for number in range(50)]


def read_first_chunk(source):
    return [name for name, _ in source.repositories(next(iter(source.namespaces())))]


def test_chunks_have_fifty_names_of_one_page_at_most():
    names = ['a%03d' % number for number in range(120)]
    client = FakeRegistryClient([names[:7], [], names[7:99], names[99:]])
    chunks = list(CatalogSource(client).namespaces())
    assert [len(chunk) for chunk in chunks] == [7, CHUNK, 42, 21]
    assert [str(chunk) for chunk in chunks] == [
        'a000 to a006', 'a007 to a056', 'a057 to a098', 'a099 to a119']
    assert list(CatalogSource(FakeRegistryClient([[]])).namespaces()) == []


def test_a_place_is_behind_the_names_of_its_page():
    client = FakeRegistryClient()
    client.catalog = lambda place: iter([Page(['a', 'b']), Page([], place), Page(['c'])])
    source = CatalogSource(client)
    source.resume_at('/1')
    chunks = [(list(chunk), chunk.place) for chunk in source.namespaces()]
    assert chunks == [(['a', 'b'], None), ([], '/1'), (['c'], None)]
    assert [chunk.place for chunk in source.namespaces()] == [None, None], 'only once'


def test_a_name_may_only_be_in_the_chunk_of_the_catalog_that_lists_it():
    source = CatalogSource(FakeRegistryClient([FIFTY + ['z']]))
    first, last = source.namespaces()
    assert source.may_contain(first, 'a49') and not source.may_contain(last, 'a49')
    # The catalog does not list it, although it has names before and after it.
    assert not source.may_contain(first, 'a010')


def test_names_with_a_tag_are_listed_at_one_request_each():
    registry = FakeRegistryClient([list('abc'), FIFTY], {'b': []})
    source = CatalogSource(registry)
    assert listed(source) == (['a'] + FIFTY + ['c'], [])
    assert sorted(registry.asked) == ['a'] + FIFTY + ['b', 'c']
    assert source.has('a') and not source.has('b')


@pytest.mark.parametrize('broken, error', [('abcj', REFUSAL)] + [
    (broken, error) for error in (UNAVAILABLE, REFUSAL)
    for broken in ('a', 'd', 'abc', 'abde', 'bcdefg', 'acegh', 'defghi')])
def test_unreadable_names_are_doubtful_and_all_others_are_listed(broken, error):
    client = FakeRegistryClient([list('abcdefghij')], dict.fromkeys(broken, error))
    source = CatalogSource(client)
    assert listed(source) == ([name for name in 'abcdefghij' if name not in broken], [])
    assert source.doubtful() == set(broken)
    client.answers = {}
    assert len(listed(source)[0]) == 10 and source.doubtful() == set()


def test_names_that_fail_before_another_one_is_answered_do_not_end_the_listing():
    class SlowClient(FakeRegistryClient):
        def has(self, name, timeout=None):
            if name == 'a' and timeout:
                is_asked_again.wait(20)
            elif name == 'a':
                is_asked_again.set()
            return super().has(name, timeout)

    is_asked_again = threading.Event()
    source = CatalogSource(SlowClient([list('abc')], dict.fromkeys('bc', UNAVAILABLE)))
    assert listed(source) == (['a'], []) and source.doubtful() == {'b', 'c'}


def test_a_registry_that_refuses_everything_is_not_taken_as_empty():
    source = CatalogSource(FakeRegistryClient([list('abc')], dict.fromkeys('abc', REFUSAL)))
    with pytest.raises(StorageUnreadable, match='refuses'):
        listed(source)
    assert source.doubtful() == set()


def test_a_registry_that_becomes_unavailable_ends_the_listing():
    client = FakeRegistryClient([FIFTY])
    source = CatalogSource(client)
    assert read_first_chunk(source)
    client.answers, client.asked = dict.fromkeys(FIFTY, UNAVAILABLE), []
    with pytest.raises(RegistryUnavailable):
        read_first_chunk(source)
    assert source.doubtful() == set() and len(client.asked) <= REQUESTS + 3


def test_a_registry_that_is_unavailable_gets_few_more_requests_than_are_sent_at_a_time():
    registry = FakeRegistryClient([FIFTY], dict.fromkeys(FIFTY, UNAVAILABLE))
    with pytest.raises(RegistryUnavailable):
        read_first_chunk(CatalogSource(registry))
    assert len(registry.asked) <= REQUESTS + 2


def test_a_doubtful_repository_stays_as_it_is_and_is_read_later(index, caplog):
    index.ready()
    for name in 'indexed', 'gone':
        index.add(name, '')
        index.change_item(index.settings.repository_table, {'name': {'S': name}},
                          touched={'N': '1'})
    client = FakeRegistryClient([['fine', 'indexed', 'new']], {
        'indexed': UNAVAILABLE, 'new': UNAVAILABLE, 'gone': []})
    report = index.engine.sync(CatalogSource(client))
    assert report.complete and report.removed == 1 and report.unreadable == ()
    assert index.names() == ['fine', 'indexed']
    assert [note.name for note in index.engine.description_queue.notes(9)] == [
        'fine', 'indexed', 'new']
    assert list(index.engine.checker(CatalogSource(client)).check()) == []
    assert "the tags of 'indexed' cannot be read" in caplog.text
    assert str(UNAVAILABLE) in caplog.text
    del client.answers['indexed'], client.answers['new']
    assert index.engine.sync(CatalogSource(client)).added == 1


@pytest.mark.parametrize('count, shown', [(9, 9), (12, 10)])
def test_the_log_names_ten_doubtful_repositories(caplog, count, shown):
    listed(CatalogSource(FakeRegistryClient([FIFTY], dict.fromkeys(FIFTY[:count], UNAVAILABLE))))
    assert len(caplog.records) == shown
    assert caplog.text.count('further ones are not logged') == (shown == 10)


def test_invalid_names_are_left_out_with_one_warning_and_no_request(caplog):
    registry = FakeRegistryClient([['a', 'B', '../c', 'd']])
    assert read_first_chunk(CatalogSource(registry)) == ['a', 'd']
    assert [record.getMessage() for record in caplog.records] == [
        "2 repositories in 'a to d' of the storage are left out of the search index, for example "
        "'B'; their names are not valid"]
    assert registry.asked == ['a', 'd']


@pytest.mark.parametrize('slow', [
    ['a005'], ['a000', 'a049', 'a050', 'a051', 'a052', 'a053', 'a199']])
def test_a_list_of_tags_that_takes_30_seconds_delays_no_other_repository(
        slow, server, monkeypatch):
    names = ['a%03d' % number for number in range(200)]
    monkeypatch.setattr(catalog, 'SECONDS', 4)
    is_over = threading.Event()

    def answer(handler):
        name = handler.path.split('/')[2]
        if name.startswith('_catalog'):
            return page({'repositories': names})(handler)
        if name in slow:
            is_over.wait(30)
        page({'name': name, 'tags': ['1']})(handler)

    server.answers['*'], source = answer, CatalogSource(RegistryClient(server.url))
    started, found = time.monotonic(), {}
    for batch in Listing(source).batches(lambda: None):
        found.update((name, time.monotonic() - started) for name, _ in batch)
    is_over.set()
    assert sorted(found) == [name for name in names if name not in slow]
    assert source.doubtful() == set(slow) and max(found.values()) < 3


def test_tags_are_read_with_a_short_limit_and_whether_a_registry_answers_with_a_long_one():
    client = FakeRegistryClient([list('abc')], dict.fromkeys('ab', UNAVAILABLE))
    assert listed(CatalogSource(client)) == (['c'], [])
    assert sorted(zip(client.asked, map(str, client.timeouts))) == [
        ('a', '5'), ('b', '5'), ('c', '5'), ('c', 'None')]


def test_the_names_of_a_pull_through_cache_count_without_a_request(monkeypatch):
    monkeypatch.setattr(FakeRegistryClient, 'is_cache', True)
    client = FakeRegistryClient([FIFTY + ['z']], {'*': []})
    assert listed(CatalogSource(client)) == (FIFTY + ['z'], []) and client.asked == []
