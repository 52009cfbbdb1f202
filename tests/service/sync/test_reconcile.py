"""What a change of a repository makes of the registry's answers."""
from unittest.mock import Mock

import pytest

from docker_registry_index.engine.errors import (
    ChangeConflict, InvalidName, MissingTable, RequestFailed)
from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.registry.connection import RegistryUnavailable
from docker_registry_index.service.sync.reconcile import (
    LIMIT, Change, NotificationPool, Reconciler, RetryLater)
from tests.helpers.engine import EngineIndex
from tests.helpers.index import THROTTLED, FakeIndex
from tests.helpers.registry import UNAVAILABLE, FakeRegistryClient, manifest
from tests.helpers.waiting import Hanging, wait_until

NAME = 'acme/web'


@pytest.fixture
def index():
    return FakeIndex()


@pytest.fixture
def registry():
    return FakeRegistryClient()


@pytest.fixture
def reconciler(index, registry, clock):
    return Reconciler(index, registry, clock, clock.sleep)


def change(tag='1', reference='sha256:1'):
    return Change(NAME, reference, tag)


def applications(count):
    return [Change('acme/app-%d' % number, None, None) for number in range(count)]


@pytest.mark.parametrize('pushed, reference', [
    (change(), 'sha256:1'), (change(None, None), '1'),
    (change('sha256-' + 'a' * 64 + '.sig'), '1')], ids=['tag', 'the last tag', 'no signature'])
def test_a_push_is_added_with_its_description(reconciler, index, registry, pushed, reference):
    registry.manifests = {reference: manifest('Words')}
    reconciler.reconcile(pushed, 1)
    assert index == {NAME: 'Words'} and index.noted == []
    assert len(registry.timeouts) == 3, 'tags, manifest, tags'


def test_a_repository_without_tags_is_removed(reconciler, index, registry):
    index[NAME], registry.answers = 'old', {NAME: []}
    reconciler.reconcile(change(None, None), 1)
    assert index == {} and index.noted == [] and len(registry.timeouts) == 2
    index[NAME] = 'old'
    assert reconciler.describe(NAME, 1) is False and index == {}


def test_a_late_tag_is_awaited(reconciler, index, registry, clock):
    registry.answers[NAME] = iter([[], [], ['1'], ['1']])
    reconciler.reconcile(change(), 1)
    assert index == {NAME: None} and index.noted == []
    assert len(clock.slept) == 2 and sum(clock.slept) < 0.2


def test_a_tag_that_is_missing_after_half_a_second_is_noted(reconciler, index, registry, clock):
    registry.answers, notes = {NAME: []}, []
    reconciler.on_note = notes.append
    reconciler.reconcile(change(), 10)
    assert index == {} and notes == [Note(NAME, '1', True)]
    assert 0.3 < sum(clock.slept) < 0.5 and len(registry.timeouts) <= 8


def test_a_registry_that_changes_meanwhile_is_asked_up_to_three_times(reconciler, index, registry):
    registry.answers[NAME] = iter([['1'], [], [], []])
    reconciler.reconcile(change(), 1)
    assert index == {} and index.noted == []
    registry.answers[NAME] = iter([['1'], []] * 3)
    reconciler.reconcile(change(), 1)
    assert index.noted == [NAME] and list(registry.answers[NAME]) == []


def test_what_the_registry_cannot_answer_is_left_for_later(reconciler, index, registry):
    registry.manifests = {'sha256:1': UNAVAILABLE}
    reconciler.reconcile(change(), 1)
    assert index == {NAME: None} and index.noted == [NAME]
    index[NAME], registry.answers = 'old', {NAME: UNAVAILABLE}
    reconciler.reconcile(change(), 1)
    assert index == {NAME: 'old'} and index.noted == [NAME] * 2
    with pytest.raises(RegistryUnavailable):
        reconciler.describe(NAME, 1)


def test_the_requests_of_a_push_end_before_its_caller_times_out(reconciler, registry, clock):
    registry.answers[NAME] = (clock.advance(0.2) or ['1'] for _ in range(2))
    reconciler.reconcile(change(), 1)
    # Until 3/4 of the time, the description until 3/5.
    assert [round(timeout, 2) for timeout in registry.timeouts] == [0.75, 0.4, 0.55]


def test_a_change_after_the_caller_has_timed_out_is_noted(reconciler, index, clock):
    index.before_change.side_effect = lambda: clock.advance(2)
    reconciler.reconcile(change(), 1)
    assert NAME in index and index.noted == [NAME]


@pytest.mark.parametrize('latest, text', [
    (manifest('the latest'), 'the latest'), (None, 'the last')])
def test_among_a_hundred_tags_latest_is_looked_up(reconciler, index, registry, latest, text):
    registry.answers[NAME] = ['v%03d' % number for number in range(100)]
    registry.manifests = {'latest': latest, 'v099': manifest('the last')}
    assert reconciler.describe(NAME, 1) is True and index == {NAME: text}


def test_a_change_whose_answer_is_lost_does_not_restore_a_repository(
        in_process_dynamodb, registry):
    index = EngineIndex(in_process_dynamodb.url).ready()
    other, call = index.another(), index.engine.client.call

    def send_twice(operation, **arguments):
        if operation == 'transact_write_items':
            index.engine.client.call, registry.answers = call, {NAME: []}
            other.remove(NAME)
            call(operation, **arguments)
            # The answer is lost, so botocore retries the request, and DynamoDB refuses it.
        return call(operation, **arguments)
    index.engine.client.call = send_twice
    Reconciler(index.engine, registry).reconcile(change(), 20)
    assert index.engine.client.call == call and index.search('') == []


class TestPool:
    def test_it_returns_when_all_changes_are_made(self, reconciler, index):
        pool = NotificationPool(reconciler, 5)
        pool.apply(applications(2 * LIMIT))
        assert len(index) == 2 * LIMIT and pool.under_way == 0

    def test_a_change_that_takes_longer_goes_on_and_is_noted(self, reconciler, index):
        pool = NotificationPool(reconciler, 0.5)
        with Hanging(lambda: None) as index.before_change.side_effect:
            pool.apply([change()])
            assert index.noted == [NAME] and index == {} and pool.under_way == 1
            # So does the next one of the same repository, which waits for the first one.
            pool.apply([change()])
            assert index.noted == [NAME] * 2

    def test_a_change_that_takes_longer_and_cannot_be_noted_is_retried_later(
            self, reconciler, index):
        pool = NotificationPool(reconciler, 0)
        index.note = Mock(side_effect=THROTTLED)
        with Hanging(lambda: None) as index.before_change.side_effect:
            with pytest.raises(RetryLater, match='change takes longer than 0 seconds'):
                pool.apply([change()])
            wait_until(lambda: index.before_change.called)
            assert index == {} and pool.under_way == 1
            with Hanging(lambda *_: []) as note, pytest.raises(RetryLater):
                index.note = lambda names, is_expected: note(names)
                NotificationPool(reconciler, 0.1).apply([change()])
            with pytest.raises(RetryLater, match="change of 'acme/web' is still being made"):
                reconciler.reconcile(change(), 0)
        NotificationPool(reconciler, 5).apply([change()])
        assert index == {NAME: None}

    def test_changes_beyond_the_limit_are_retried_later(self, reconciler, index):
        with Hanging(lambda: None) as index.before_change.side_effect, pytest.raises(
                RetryLater, match='%d other changes' % LIMIT):
            NotificationPool(reconciler, 0).apply(applications(LIMIT + 1))

    def test_a_failure_of_dynamodb_is_retried_and_an_invalid_name_is_logged(
            self, reconciler, index, caplog):
        pool = NotificationPool(reconciler, 5)
        index.before_change.side_effect = RequestFailed('query', ['t'], 'Throttled', 'slow', True)
        with pytest.raises(RetryLater):
            pool.apply([change()])
        index.before_change.side_effect = InvalidName(NAME, 'is not valid')
        pool.apply([change()])
        assert 'left out of the search index' in caplog.text

    @pytest.mark.parametrize('error', [
        THROTTLED, ChangeConflict(NAME, 8), RequestFailed(
            'transact_write_items', ['t'], 'AccessDeniedException', 'dynamodb:DeleteItem', False)],
        ids=lambda error: type(error).__name__)
    def test_a_change_that_fails_by_itself_is_noted_and_delays_no_other(
            self, reconciler, index, error, caplog):
        pool = NotificationPool(reconciler, 5)
        index.before_change.side_effect = error
        for _ in range(3):
            pool.apply([change()])
        assert index.noted == [NAME] * 3 and index == {}
        refusals = caplog.text.count('dynamodb:DeleteItem')
        assert refusals == (1 if getattr(error, 'refused', False) else 0)
        # If DynamoDB does not accept the note either, a sync finds the change.
        index.kept, index.note = [], Mock(side_effect=error)
        if not isinstance(error, ChangeConflict):
            pool.apply([change()])
            index.sync_soon.assert_called_once_with()
            # If DynamoDB is unavailable for the note, the registry keeps the notification.
            index.note.side_effect = RequestFailed('put_item', ['t'], 'Internal', 'no', True)
            with pytest.raises(RetryLater):
                pool.apply([change()])
            index.sync_soon.assert_called_once_with()

    def test_values_that_dynamodb_never_accepts_are_dropped_and_logged(
            self, reconciler, index, caplog):
        index.before_change.side_effect = RequestFailed(
            'transact_write_items', ['t'], 'ValidationException', 'too long', False)
        NotificationPool(reconciler, 5).apply([change()])
        assert 'acme/web' in caplog.text and 'dropped' in caplog.text and index.kept == []

    @pytest.mark.parametrize('error', [
        RequestFailed('get_item', ['t'], 'InternalServerError', 'no', True),
        MissingTable('get_item', ['t'], 'ResourceNotFoundException', 'no', False)],
        ids=lambda error: error.code)
    def test_the_registry_keeps_its_notifications_while_dynamodb_is_unavailable(
            self, reconciler, index, error):
        index.before_change.side_effect = error
        with pytest.raises(RetryLater):
            NotificationPool(reconciler, 5).apply([change()])
        assert index.kept == []
