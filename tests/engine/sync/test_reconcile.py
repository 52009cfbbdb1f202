"""One repository is made equal to the storage, which may hang or change meanwhile."""

from __future__ import unicode_literals

import threading
import time

import pytest

from docker_registry_index.engine import Source, errors
from docker_registry_index.engine.sync.reconcile import StorageReconciler, TimedSource
from tests.helpers.waiting import wait_until


class Storage(Source):
    """Some names; a question that is held back is not answered before it is released.

    :param hanging: names whose questions are held back.
    """

    def __init__(self, *names, **more):
        self.names = set(names)
        self.asked = []
        self.hanging = {name: threading.Event() for name in more.pop('hanging', ())}
        self.problem = None

    def has(self, name):
        self.asked.append(name)
        if self.problem:
            raise self.problem
        if name in self.hanging:
            self.hanging[name].wait(30)
        return name in self.names

    def release(self, *names):
        for name in names or self.hanging:
            self.hanging[name].set()


@pytest.fixture
def hanging():
    """A storage that answers questions for a, b and c only when the test lets it."""
    storage = Storage('a', 'there', hanging='abc')
    yield storage
    storage.release()


def asked(source, name):
    """Return the answer, or the error in words."""
    try:
        return source.has(name)
    except errors.StorageUnreadable as error:
        return '%s' % error


# Questions that get no answer

def test_the_answer_of_the_storage_comes_through():
    source = TimedSource(Storage('there'), 10)
    assert (source.has('there'), source.has('gone')) == (True, False)


def test_an_error_of_the_storage_is_that_it_is_unreadable():
    storage = Storage()
    storage.problem = IOError('no rights')
    source = TimedSource(storage, 10)
    for _ in range(3):
        # An answer, too: the next question is asked.
        assert "'team/web'" in asked(source, 'team/web').replace("u'", "'")
        assert 'no rights' in asked(source, 'team/web')
    assert len(storage.asked) == 6


def test_a_question_without_an_answer_times_out(hanging):
    began = time.time()
    found = asked(TimedSource(hanging, 0.2), 'a')
    assert 'the storage of the registry does not report whether it has' in found
    assert 'no answer for' in found and time.time() - began < 10


def test_after_too_many_unanswered_questions_no_more_are_asked_until_one_is_answered(hanging):
    source = TimedSource(hanging, 0.2, unanswered=2)
    assert 'no answer for' in asked(source, 'a')
    # One of two: others are still asked.
    assert source.has('there') is True
    assert 'no answer for' in asked(source, 'b')
    count, began = len(hanging.asked), time.time()
    for _ in range(20):
        assert 'no answer for' in asked(source, 'there')
    assert len(hanging.asked) == count and time.time() - began < 3
    hanging.release('a')
    wait_until(lambda: asked(source, 'there') is True)
    assert len(hanging.asked) == count + 1
    # Again one of two; the second is asked, and after it no more.
    assert 'no answer for' in asked(source, 'c')
    assert 'no answer for' in asked(source, 'there')
    assert hanging.asked[count:] == ['there', 'c']
    hanging.release()
    wait_until(lambda: asked(source, 'there') is True)


def test_a_question_that_is_still_in_time_keeps_no_other_back(hanging):
    source, answers = TimedSource(hanging, 30), []
    first = threading.Thread(target=lambda: answers.append(source.has('a')))
    first.start()
    wait_until(lambda: hanging.asked)
    assert source.has('there') is True
    hanging.release('a')
    first.join()
    assert answers == [True]


def test_an_answer_that_comes_late_counts_as_one(hanging):
    source = TimedSource(hanging, 0.2)
    assert 'no answer for' in asked(source, 'a')
    hanging.problem = IOError('no rights')
    hanging.release('a')
    # Also one that is an error.
    wait_until(lambda: 'no rights' in asked(source, 'there'))
    hanging.problem = None
    assert source.has('there') is True


def test_the_heartbeat_goes_on_meanwhile_and_can_end_the_wait(hanging):
    def heartbeat():
        raise errors.Stopped()

    with pytest.raises(errors.Stopped):
        TimedSource(hanging, 30, heartbeat=heartbeat).has('a')


# One repository

class Writer(object):
    """Notes what is written, and has the storage change after some of it.

    :param then: for each write, what happens after it: a function; None for nothing.
    """

    def __init__(self, *then):
        self.written = []
        self._then = list(then)

    def set(self, name, is_there):
        self.written.append((name, is_there))
        then = self._then.pop(0) if self._then else None
        if then:
            then()


@pytest.mark.parametrize('names', [['team/web'], []])
def test_the_index_records_what_the_storage_returns(names):
    storage, writer = Storage(*names), Writer()
    StorageReconciler(TimedSource(storage, 10), writer).reconcile('team/web')
    assert writer.written == [('team/web', bool(names))]
    assert storage.asked == ['team/web'] * 2


def test_a_storage_that_changes_meanwhile_is_followed():
    storage = Storage('team/web')
    writer = Writer(lambda: storage.names.discard('team/web'))
    StorageReconciler(TimedSource(storage, 10), writer).reconcile('team/web')
    assert writer.written == [('team/web', True), ('team/web', False)]
    # A delete and a push between two questions are none.
    writer = Writer(lambda: storage.names.update(['other']))
    StorageReconciler(TimedSource(storage, 10), writer).reconcile('team/web')
    assert writer.written == [('team/web', False)]


def test_a_storage_that_changes_again_and_again_is_followed_three_times():
    storage = Storage('team/web')

    def change():
        storage.names ^= {'team/web'}

    writer = Writer(*[change] * 10)
    # Who changes it later, announces it later.
    StorageReconciler(TimedSource(storage, 10), writer).reconcile('team/web')
    assert writer.written == [('team/web', is_there) for is_there in (True, False, True)]


def test_where_the_storage_does_not_answer_nothing_is_written(hanging):
    writer = Writer()
    with pytest.raises(errors.StorageUnreadable):
        StorageReconciler(TimedSource(hanging, 0.2), writer).reconcile('a')
    hanging.problem = IOError('no rights')
    with pytest.raises(errors.StorageUnreadable):
        StorageReconciler(TimedSource(hanging, 10), writer).reconcile('there')
    assert writer.written == []


def test_an_error_of_the_writer_comes_through():
    def fail():
        raise errors.ChangeConflict('team/web', 8)

    with pytest.raises(errors.ChangeConflict):
        StorageReconciler(TimedSource(Storage(), 10), Writer(fail)).reconcile('team/web')
