"""The queue of descriptions that are still to be read: none is lost, none is done twice."""

from __future__ import unicode_literals

import pytest

from docker_registry_index.engine import ListSource, Settings, errors
from docker_registry_index.engine.store.store import Store
from docker_registry_index.engine.sync.description_queue import DescriptionQueue
from tests.helpers.faults import KillAfter, Killed
from tests.helpers.hooks import taken_back
from tests.helpers.engine import EngineIndex


@pytest.fixture
def index(dynamodb_endpoint):
    made = EngineIndex(dynamodb_endpoint).ready()
    yield made
    made.delete_tables()


def noted(index):
    return [note.name for note in index.engine.description_queue.notes(1000)]


class Later(ListSource):
    describes_later = True


def test_notes_come_in_order_in_pages_and_go_one_by_one(index):
    names = ['team/app-%02d' % number for number in range(60)]
    index.engine.description_queue.note(names + names[:5])
    assert noted(index) == names
    first = index.engine.description_queue.notes(25)
    assert [note.name for note in first] == names[:25]
    second = index.engine.description_queue.notes(25, first[-1].name)
    assert [note.name for note in second] == names[25:50]
    index.engine.description_queue.done(first[0])
    index.engine.description_queue.done(first[0])
    assert noted(index) == names[1:]


def test_an_announced_repository_is_marked_as_expected(index):
    [noted] = index.engine.description_queue.note(['team/app'], is_expected=True)
    assert index.engine.description_queue.notes(9) == [noted] and noted.is_expected
    [noted] = index.engine.description_queue.note(['team/app'])
    assert index.engine.description_queue.notes(9) == [noted] and not noted.is_expected


def test_one_that_was_written_anew_meanwhile_stays(index):
    index.engine.description_queue.note(['team/app'])
    [note] = index.engine.description_queue.notes(1)
    index.engine.description_queue.note(['team/app'])
    index.engine.description_queue.done(note)
    assert noted(index) == ['team/app']


def test_a_load_notes_what_it_adds_and_nothing_else(index):
    index.engine.add('team/there')
    stored = [('team/new', None), ('team/there', None), ('team/' + 'x' * 200, None)]
    index.engine.sync(Later(lambda: stored))
    assert noted(index) == ['team/new', 'team/' + 'x' * 200]
    index.assert_whole()
    for note in index.engine.description_queue.notes(9):
        index.engine.description_queue.done(note)
    index.engine.sync(Later(lambda: stored))
    assert noted(index) == []
    index.engine.sync(lambda: stored + [('team/other', None)])
    assert noted(index) == []


def test_killed_at_any_request_of_a_load_nothing_that_is_added_lacks_its_note(index):
    stored = [('team/app-%d' % number, None) for number in range(9)]
    for count in range(1000):
        other = index.another()
        with taken_back(other.engine):
            KillAfter(other.engine, count)
            try:
                other.load(Later(lambda: stored))
            except Killed:
                pass
            else:
                break
        assert set(index.rows()) <= set(noted(index))
    assert set(noted(index)) == set(name for name, _ in stored)


def test_notes_are_neither_found_nor_in_the_way_of_a_check(index):
    index.engine.description_queue.note(['team/app'])
    assert index.search('team') == [] and index.names() == [] and index.engine.catalog() == []
    assert list(index.engine.checker().check()) == []


class LeftOut(object):
    """A client whose BatchWriteItem leaves items out."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.requests = []

    def call(self, operation, **arguments):
        self.requests.append(arguments['RequestItems'])
        self.rounds -= 1
        return {'UnprocessedItems': arguments['RequestItems'] if self.rounds >= 0 else {}}


def test_notes_that_dynamodb_leaves_out_are_written_again_with_pauses():
    client, pauses = LeftOut(3), []
    DescriptionQueue(Store(Settings(), client, pauses.append)).note(['team/app'])
    assert len(client.requests) == 4 and pauses == sorted(pauses) and len(pauses) == 3


def test_notes_that_are_left_out_again_and_again_are_an_error():
    client = LeftOut(100)
    with pytest.raises(errors.RequestFailed) as caught:
        DescriptionQueue(Store(Settings(), client, lambda seconds: None)).note(['team/app'])
    assert caught.value.throttled and len(client.requests) < 20


def test_another_kind_of_lease_is_another_lease(index):
    first, second = index.engine.lease('describing'), index.another().engine.lease('describing')
    assert first.acquire() and not second.acquire()
    loading = index.another().engine
    loading.sync(lambda: [('team/app', None)])
    first.renew()
    assert not second.acquire()
    first.release()
    assert second.acquire()
    second.release()
    [row] = index.items(index.settings.version_table)
    assert set(row) == {'version', 'format'}
