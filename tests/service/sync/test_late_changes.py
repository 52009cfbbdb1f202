"""A change that DynamoDB makes late, or answers late, undoes no later one."""
import threading
import time

import pytest

from docker_registry_index.service.sync.reconcile import (
    Change, NotificationPool, Reconciler, RetryLater)
from tests.helpers.engine import EngineIndex
from tests.helpers.tagged_repository import NAME, NEW, OLD, TaggedRepository
from tests.helpers.waiting import wait_until

#: Seconds after which a notification is answered.
WAIT = 0.2


@pytest.fixture
def index(in_process_dynamodb):
    return EngineIndex(in_process_dynamodb.url).ready()


@pytest.fixture
def registry():
    return TaggedRepository('latest')


@pytest.fixture
def notifications(index, registry):
    return NotificationPool(Reconciler(index.engine, registry), WAIT)


def interfere(index, operation, act):
    """Have the next request of a kind go through `act`, a function of the request."""
    call = index.engine.client.call

    def interfering(name, **arguments):
        if name != operation:
            return call(name, **arguments)
        index.engine.client.call = call
        return act(lambda: call(name, **arguments))
    index.engine.client.call = interfering


def hanging(index, operation):
    """Have the next request of a kind hang; return the event that lets it go on."""
    go_on = threading.Event()
    interfere(index, operation, lambda make: go_on.wait(20) and make())
    return go_on


def change(reference=NEW):
    return [Change(NAME, reference, 'latest')]


def follow_soon(notifications, changes):
    """Retry a notification, as a registry does, until it is done."""
    def is_done():
        try:
            return notifications.apply(changes) or True
        except RetryLater:
            return False
    wait_until(is_done)


def test_a_change_whose_answer_is_lost_does_not_bring_a_repository_back(index, registry):
    other = index.another()

    def twice(make):
        registry.listed[:] = []
        other.remove(NAME)
        make()
        # The answer is lost, so botocore sends the request again: DynamoDB refuses it.
        return make()

    interfere(index, 'transact_write_items', twice)
    NotificationPool(Reconciler(index.engine, registry), 20).apply(change())
    assert index.search('') == []


def test_a_later_change_of_a_repository_waits_for_an_earlier_one(index, notifications):
    go_on = hanging(index, 'get_item')
    with pytest.raises(RetryLater):
        notifications.apply(change(OLD))
    started = time.monotonic()
    with pytest.raises(RetryLater):
        notifications.apply(change(NEW))
    assert time.monotonic() - started < WAIT + 2
    follow_soon(notifications, [Change('another/one', NEW, 'latest')])
    go_on.set()
    follow_soon(notifications, change(NEW))
    assert dict(index.search('')) == {NAME: 'new words', 'another/one': 'new words'}
    wait_until(lambda: notifications.under_way == 0)


def test_a_change_that_ends_after_its_caller_timed_out_is_noted(index, registry, notifications):
    go_on = hanging(index, 'get_item')
    with pytest.raises(RetryLater):
        notifications.apply(change(OLD))
    # Another copy of the service is notified of a later change.
    registry.listed[:] = []
    index.another().remove(NAME)
    go_on.set()
    wait_until(lambda: index.engine.description_queue.notes(1) and index.search('') == [])
