"""What a change of a repository makes of the registry's answers."""
from unittest.mock import Mock

import pytest

from docker_registry_index.engine.errors import (
    ChangeConflict, InvalidName, MissingTable, RequestFailed)
from docker_registry_index.engine.sync.description_queue import Note
from docker_registry_index.service.registry.connection import (
    CredentialsRefused, RegistryUnavailable)
from docker_registry_index.service.sync.reconcile import (
    LIMIT, Change, NotificationPool, Reconciler, RetryLater)
from tests.helpers.engine import EngineIndex
from tests.helpers.index import THROTTLED, FakeIndex
from tests.helpers.registry import DIGEST, UNAVAILABLE, FakeRegistryClient, manifest
from tests.helpers.waiting import Hanging, wait_until

NAME = 'acme/web'
CONFIG = 'sha256:' + 'cd' * 32
REFUSAL = CredentialsRefused('http://127.0.0.1', 403, True)


@pytest.fixture
def index():
    return FakeIndex()


@pytest.fixture
def registry():
    """The client of a registry in which each repository has the tag 1, without a description."""
    return FakeRegistryClient(manifests={DIGEST: manifest(), '1': manifest()})


@pytest.fixture
def reconciler(index, registry, clock):
    return Reconciler(index, registry, clock)


def change(tag='1', reference=DIGEST):
    return Change(NAME, reference, tag)


def image_with_config():
    return dict(manifest(), config={
        'mediaType': 'application/vnd.oci.image.config.v1+json', 'digest': CONFIG})


def applications(count):
    return [Change('acme/app-%d' % number, None, None) for number in range(count)]


def test_a_push_with_a_tag_costs_a_head_of_the_tag_and_lists_no_tags(reconciler, index, registry):
    registry.manifests[DIGEST] = manifest('Words')
    reconciler.reconcile(change(), 1)
    assert index == {NAME: 'Words'} and index.kept == []
    assert registry.asked == [DIGEST, DIGEST, '1'], 'two manifests, and then a HEAD'


@pytest.mark.parametrize('pushed, text', [
    (change(None, None), 'best'), (change(None), None),
    (change('sha256-' + 'a' * 64 + '.sig'), None)], ids=['delete', 'digest', 'signature'])
def test_other_changes_keep_the_description_or_take_that_of_the_best_tag(
        reconciler, index, registry, pushed, text):
    registry.manifests = {DIGEST: manifest('pushed'), '1': manifest('best')}
    reconciler.reconcile(pushed, 1)
    assert index == {NAME: text} and index.kept == []


@pytest.mark.parametrize('pushed', [change(None, None), change(None), change()])
def test_a_repository_without_tags_is_removed(reconciler, index, registry, pushed):
    index[NAME], registry.answers, registry.manifests = 'old', {NAME: []}, {}
    reconciler.reconcile(pushed, 1)
    assert index == {} and index.kept == []
    index[NAME] = 'old'
    assert reconciler.describe(NAME, 1, removes=False) is False and index == {NAME: 'old'}
    assert reconciler.describe(NAME, 1) is False and index == {}


def test_a_repository_whose_tag_is_late_is_added_and_noted(reconciler, index, registry):
    registry.answers, registry.tagged, notes = {NAME: []}, {'1': False}, []
    reconciler.on_note = notes.append
    reconciler.reconcile(change(), 1)
    assert index == {NAME: None} and notes == index.kept == [Note(NAME, '1', True)]
    assert NAME not in registry.asked


def test_a_push_that_is_undone_meanwhile_is_undone_in_the_index(reconciler, index, registry):
    registry.answers, registry.tagged = {NAME: []}, {'1': False}
    registry.manifests[DIGEST] = iter([manifest(), manifest(), None])
    reconciler.reconcile(change(), 1)
    assert index == {} and index.kept == []


@pytest.mark.parametrize('problem', [UNAVAILABLE, REFUSAL], ids=['unavailable', 'refused'])
def test_a_push_is_added_and_noted_while_the_registry_cannot_be_read(
        reconciler, index, registry, problem):
    registry.answers, registry.tagged = {'*': problem}, {'1': problem}
    registry.manifests = dict.fromkeys([DIGEST, '1'], problem)
    reconciler.reconcile(change(), 1)
    assert index == {NAME: None} and index.kept == [Note(NAME, '1', True)]


def test_other_changes_are_noted_while_the_registry_cannot_be_read(reconciler, index, registry):
    index[NAME], registry.answers = 'old', {NAME: UNAVAILABLE}
    for pushed in change(None), change(None, None):
        reconciler.reconcile(pushed, 1)
    assert index == {NAME: 'old'} and index.kept == [Note(NAME, '1', False)] * 2
    with pytest.raises(RegistryUnavailable):
        reconciler.describe(NAME, 1)


def test_an_unreadable_description_never_keeps_a_repository_out(reconciler, index, registry):
    registry.manifests = dict.fromkeys([DIGEST, '1'], image_with_config())
    for unreadable in None, UNAVAILABLE:
        registry.configs = {CONFIG: unreadable}
        reconciler.reconcile(change(), 1)
        assert index.pop(NAME, 'absent') is None
        # Without a config, a retry would not help.
        assert len(index.kept) == (1 if unreadable else 0)
        reconciler.reconcile(change(None, None), 1)
        assert index.pop(NAME, 'absent') is None
    with pytest.raises(RegistryUnavailable):
        reconciler.describe(NAME, 1)
    assert index == {NAME: None}


def test_a_registry_that_changes_meanwhile_is_asked_up_to_three_times(reconciler, index, registry):
    deleted = change(None, None)
    registry.answers[NAME] = iter([['1'], ['1'], [], [], []])
    reconciler.reconcile(deleted, 1)
    assert index == {} and index.noted == []
    registry.answers[NAME] = iter([['1'], ['1'], []] * 3)
    reconciler.reconcile(deleted, 1)
    assert index.noted == [NAME] and list(registry.answers[NAME]) == []


def test_the_requests_of_a_push_end_before_its_caller_times_out(reconciler, registry, clock):
    registry.manifests[DIGEST] = (clock.advance(0.2) or manifest() for _ in range(2))
    reconciler.reconcile(change(), 1)
    # The description until 3/5 of the time, everything until 3/4.
    assert [round(timeout, 2) for timeout in registry.timeouts] == [0.6, 0.4, 0.35]


def test_a_change_after_the_caller_has_timed_out_is_noted(reconciler, index, clock):
    index.before_change.side_effect = lambda: clock.advance(2)
    reconciler.reconcile(change(), 1)
    assert NAME in index and index.noted == [NAME]


class TestPullThroughCache:
    @pytest.fixture(autouse=True)
    def cache(self, registry, monkeypatch):
        monkeypatch.setattr(FakeRegistryClient, 'is_cache', True)
        registry.manifests = {DIGEST: dict(manifest('Words'), config=image_with_config()['config'])}

    def test_a_pull_adds_an_unknown_repository_at_one_request(self, reconciler, index, registry):
        for _ in range(2):
            reconciler.reconcile(change(), 1)
        assert index == {NAME: 'Words'} and index.kept == [] and registry.asked == [DIGEST]
        assert index.before_change.call_count == 1, 'a known one is not written'

    @pytest.mark.parametrize('answer', [None, UNAVAILABLE])
    def test_a_pull_adds_the_repository_even_if_its_manifest_cannot_be_read(
            self, reconciler, index, registry, answer):
        registry.manifests = {DIGEST: answer}
        reconciler.reconcile(change(), 1)
        assert index == {NAME: None} and index.kept == []

    def test_other_changes_and_notes_ask_only_for_presence(self, reconciler, index, registry):
        reconciler.reconcile(change(None, None), 1)
        assert reconciler.describe(NAME, 1) and index == {NAME: None}
        registry.answers = {NAME: []}
        assert not reconciler.describe(NAME, 1) and index == {}
        assert set(registry.asked) == {NAME}


def test_a_change_whose_answer_is_lost_does_not_restore_a_repository(
        in_process_dynamodb, registry):
    index = EngineIndex(in_process_dynamodb.url).ready()
    other, call = index.another(), index.engine.client.call

    def send_twice(operation, **arguments):
        if operation == 'transact_write_items':
            index.engine.client.call, registry.answers = call, {NAME: []}
            registry.tagged, registry.manifests = {'1': False}, {}
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
