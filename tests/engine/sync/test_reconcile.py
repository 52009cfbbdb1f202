"""One repository is made equal to the storage, which may hang or change meanwhile."""
from __future__ import unicode_literals

import itertools

import pytest

from docker_registry_index.engine import errors
from docker_registry_index.engine.sync.reconcile import TimedSource, reconcile
from tests.helpers.clock import Clock
from tests.helpers.storage import FakeStorage
from tests.helpers.waiting import in_threads, wait_until


@pytest.fixture
def hanging():
    """A storage that answers questions for a, b and c only when the test lets it."""
    storage = FakeStorage(['a', 'there'], hanging='abc')
    yield storage
    storage.release()


def timed(storage, unanswered=1):
    """Return a TimedSource whose call times out as soon as the storage hangs."""
    clock, asked = Clock(), itertools.count(len(storage.asked) + 1)

    def heartbeat():
        number = next(asked)
        wait_until(lambda: len(storage.asked) == number)
        clock.advance(10 if storage.asked[-1] in storage.hanging else 0)

    return TimedSource(storage, 10, unanswered, heartbeat, clock)


def asked(source, name):
    """Return the answer, or the error in words."""
    try:
        return source.has(name)
    except errors.StorageUnreadable as error:
        return '%s' % error


def test_an_error_counts_as_an_answer_so_the_next_question_is_asked():
    storage = FakeStorage(['there'])
    source = timed(storage)
    assert (source.has('there'), source.has('gone')) == (True, False)
    storage.problem = IOError('no rights')
    assert ['no rights' in asked(source, 'team/web') for _ in range(3)] == [True] * 3
    assert len(storage.asked) == 5


def test_after_too_many_unanswered_questions_no_more_are_asked_until_one_is_answered(hanging):
    source = timed(hanging, unanswered=2)
    found = asked(source, 'a')
    assert 'the storage of the registry failed to report whether it has' in found
    assert 'no answer for' in found
    # One of two: others are still asked.
    assert source.has('there') is True
    assert 'no answer for' in asked(source, 'b')
    count = len(hanging.asked)
    for _ in range(20):
        assert 'no answer for' in asked(source, 'there')
    assert len(hanging.asked) == count
    hanging.release('a')
    wait_until(lambda: asked(source, 'there') is True)
    # Again one of two; the second is asked, and after it no more.
    for name in 'c', 'there':
        assert 'no answer for' in asked(source, name)
    assert hanging.asked[count:] == ['there', 'c']
    # A late answer that is an error counts as one, too.
    hanging.problem = IOError('no rights')
    hanging.release()
    wait_until(lambda: 'no rights' in asked(source, 'there'))
    hanging.problem = None
    assert source.has('there') is True


def test_a_question_that_has_not_timed_out_keeps_no_other_back(hanging):
    source = TimedSource(hanging, 30)
    first = in_threads([lambda: source.has('a')])
    wait_until(lambda: hanging.asked)
    assert source.has('there') is True
    hanging.release('a')
    assert first() == [True]


def test_a_heartbeat_can_end_the_wait(hanging):
    def heartbeat():
        raise errors.Stopped()

    with pytest.raises(errors.Stopped):
        TimedSource(hanging, 30, heartbeat=heartbeat).has('a')


def reconciled(storage, then=lambda: None, name='team/web'):
    """Make one repository equal to the storage; return what is written.

    :param then: called after each write."""
    class Writer(object):
        def set(self, name, is_there):
            written.append((name, is_there))
            then()

    written = []
    reconcile(name, timed(storage), Writer())
    return written


def test_the_index_is_made_equal_to_the_storage():
    for storage, is_there in (FakeStorage(['team/web']), True), (FakeStorage(), False):
        assert reconciled(storage) == [('team/web', is_there)]
        assert storage.asked == ['team/web'] * 2


def test_a_storage_that_changes_meanwhile_is_followed_three_times():
    storage = FakeStorage(['team/web'])
    assert reconciled(storage, lambda: storage.found.discard('team/web')) == [
        ('team/web', True), ('team/web', False)]
    # Another repository changes: no further write.
    assert reconciled(storage, lambda: storage.found.add('other')) == [('team/web', False)]
    # Changes again and again: a later change has its own announcement.
    assert reconciled(storage, lambda: storage.found.symmetric_difference_update(['team/web'])) == [
        ('team/web', is_there) for is_there in (False, True, False)]


def test_nothing_is_written_if_the_storage_does_not_answer(hanging):
    def fail():
        raise AssertionError('it was written')

    with pytest.raises(errors.StorageUnreadable):
        reconciled(hanging, fail, 'a')
    hanging.problem = IOError('no rights')
    with pytest.raises(errors.StorageUnreadable):
        reconciled(hanging, fail, 'there')
