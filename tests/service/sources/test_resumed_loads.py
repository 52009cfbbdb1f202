"""A first load from a catalog resumes after the last page that it has written."""
import itertools
import time

import pytest

from docker_registry_index.engine.errors import StorageUnreadable
from docker_registry_index.engine.store.records import PLACE_KEY, READY_KEY
from docker_registry_index.engine.sync import loader
from docker_registry_index.service.registry.catalog import Page
from docker_registry_index.service.sources.catalog import CatalogSource
from tests.helpers.faults import KillAfter, Killed
from tests.helpers.registry import UNAVAILABLE, FakeRegistryClient
from tests.helpers.waiting import wait_until

NAMES = ['a/%03d' % number for number in range(100)]


class Registry(FakeRegistryClient):
    """A registry of NAMES on pages of ten, of which the page ``broken`` cannot be read.

    :param before_failure: called before such a page.
    :param before_page: called before each page, with its number.
    :ivar pages_read: the number of each page that was read."""

    def __init__(self, broken=None, before_failure=lambda: None, before_page=lambda number: None):
        super().__init__()
        self.broken, self.pages_read = broken, []
        self.before_failure, self.before_page = before_failure, before_page

    def catalog(self, place=None):
        for number in range(int(place or 0), 10):
            if number == self.broken:
                self.before_failure()
                raise UNAVAILABLE
            self.before_page(number)
            self.pages_read.append(number)
            yield Page(NAMES[10 * number:10 * number + 10], str(number + 1) if number < 9 else None)


@pytest.fixture(autouse=True)
def a_place_at_each_page(monkeypatch):
    monkeypatch.setattr(loader, '_PLACE_SECONDS', 0)


def stored_place(index):
    item = index.store.get(index.settings.search_table, PLACE_KEY)
    return item and item['place']['S']


def place_is(index, place):
    return lambda: wait_until(lambda: stored_place(index), expected=place)


def test_an_unreadable_repository_in_front_of_the_place_is_noted_and_only_once(index):
    registry = Registry(broken=6, before_failure=place_is(index, '6'))
    registry.answers = {'a/003': UNAVAILABLE}
    with pytest.raises(StorageUnreadable):
        index.ensure_ready(CatalogSource(registry))
    queue = index.engine.description_queue
    [note] = [note for note in queue.notes(100) if note.name == 'a/003']
    registry.broken = None
    index.ensure_ready(CatalogSource(registry))
    assert note in queue.notes(100) and 'a/003' not in index.names()


def test_a_load_that_a_page_has_ended_resumes_at_this_page(index):
    registry = Registry(broken=6, before_failure=place_is(index, '6'))
    for _ in range(2):
        with pytest.raises(StorageUnreadable):
            index.ensure_ready(CatalogSource(registry))
    assert registry.pages_read == [0, 1, 2, 3, 4, 5]
    assert index.names() == NAMES[:60] and stored_place(index) == '6'
    registry.broken = None
    assert index.ensure_ready(CatalogSource(registry))
    assert registry.pages_read == list(range(10)) and sorted(registry.asked) == NAMES
    assert index.names() == NAMES and stored_place(index) is None
    marker = index.engine.status().marker()
    assert marker.synced and marker.resync, 'a whole load follows soon'


def test_a_load_that_resumes_removes_nothing(index):
    registry = Registry(broken=5, before_failure=place_is(index, '5'))
    with pytest.raises(StorageUnreadable):
        index.ensure_ready(CatalogSource(registry))
    registry.broken, registry.answers = None, {NAMES[0]: []}
    registry.asked.clear()
    index.ensure_ready(CatalogSource(registry))
    assert index.names() == NAMES and NAMES[0] not in registry.asked
    index.change_item(index.settings.repository_table, {'name': {'S': NAMES[0]}},
                      touched={'N': '1'})
    assert index.load(CatalogSource(registry)).removed == 1


def test_no_kill_makes_a_load_skip_a_page_that_is_not_written(index):
    index.ready()
    places = set()
    for kill_after in itertools.count(0, 17):
        index.clear()
        index.store.call('delete_item', TableName=index.settings.search_table, Key=READY_KEY)
        killed = index.another()
        kill = KillAfter(killed.engine, kill_after)
        try:
            killed.ensure_ready(CatalogSource(Registry(before_page=lambda number: wait_until(
                lambda: not kill.left or number == int(stored_place(index) or 0)))))
        except Killed:
            pass
        registry = Registry()
        place = int(stored_place(index) or 0)
        places.add(place)
        assert set(NAMES[:10 * place]) <= set(index.names())
        if index.engine.is_ready():
            break
        assert index.take_over(CatalogSource(registry))
        assert registry.pages_read == list(range(place, 10))
        assert index.assert_whole() == NAMES
    assert len(places) > 3


def test_a_place_is_not_stored_while_a_chunk_in_front_of_it_is_unreadable(index):
    class Source(CatalogSource):
        def tagged(self, namespace):
            if NAMES[20] in namespace:
                raise UNAVAILABLE
            return super().tagged(namespace)
    registry = Registry(broken=6, before_failure=lambda: wait_until(
        lambda: len(index.names()), expected=50))
    with pytest.raises(StorageUnreadable):
        index.ensure_ready(Source(registry))
    assert stored_place(index) == '2' and len(index.names()) == 50


def test_a_later_load_reads_the_whole_catalog(index):
    registry = Registry()
    index.ensure_ready(CatalogSource(registry))
    index.store.call('put_item', TableName=index.settings.search_table,
                     Item=dict(PLACE_KEY, place={'S': '9'}))
    registry.pages_read.clear()
    index.load(CatalogSource(registry))
    assert registry.pages_read == list(range(10))


def test_a_place_is_stored_every_ten_seconds_at_most(index, monkeypatch):
    monkeypatch.setattr(loader, '_PLACE_SECONDS', 10)
    registry = Registry(broken=3, before_failure=lambda: wait_until(
        lambda: len(index.names()), expected=30))
    with pytest.raises(StorageUnreadable):
        index.ensure_ready(CatalogSource(registry))
    assert stored_place(index) is None


def test_a_place_is_stored_after_the_writes_of_all_threads(index):
    stored, other = [], index.another()

    def note_place(params, **_):
        if params['Item'].get('suffix') == PLACE_KEY['suffix']:
            stored.append((int(params['Item']['place']['S']), len(other.names())))

    def write_late(params, **_):
        time.sleep(0.3)
    for operation, hook in ('PutItem', note_place), ('TransactWriteItems', write_late):
        index.dynamodb.meta.events.register('provide-client-params.dynamodb.' + operation, hook)
    # The next page is listed while the repositories of a page are written.
    index.engine.sync(CatalogSource(Registry(before_page=lambda number: time.sleep(0.2))))
    assert stored and all(count >= 10 * place for place, count in stored), stored
