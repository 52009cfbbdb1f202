"""What DynamoDB does late, or answers late, changes nothing that came after it."""
import threading
import time

import pytest

from docker_registry_index.service.sync.reconcile import (
    Change, NotificationPool, NotNow, Reconciler)
from tests.helpers.engine import EngineIndex
from tests.end_to_end.service.images import DESCRIPTION

NAME, OLD, NEW = 'acme/web', 'sha256:' + '0' * 64, 'sha256:' + '1' * 64
WAIT = 0.3


class Registry:
    """A registry of one repository."""

    def __init__(self):
        self.listed = ['latest']
        self.described = {OLD: 'old words', NEW: 'new words', 'latest': 'new words'}

    def tags(self, name, timeout=None):
        return list(self.listed)

    def has(self, name, timeout=None):
        return bool(self.listed)

    def manifest(self, name, reference, timeout=None):
        return {'annotations': {DESCRIPTION: self.described[reference]}}

    def config(self, name, digest, timeout=None):
        return None


@pytest.fixture
def index(dynamodb_local):
    made = EngineIndex(dynamodb_local.url).ready()
    yield made
    made.delete_tables()


@pytest.fixture
def registry():
    return Registry()


@pytest.fixture
def notifications(index, registry):
    return NotificationPool(Reconciler(index.engine, registry), WAIT)


def interfere(index, operation, act):
    """Have the next request of a kind go through `act`, a function of what makes it."""
    call = index.engine.client.call

    def interfering(name, **arguments):
        if name != operation:
            return call(name, **arguments)
        index.engine.client.call = call
        return act(lambda: call(name, **arguments))
    index.engine.client.call = interfering


def change(reference=NEW):
    return [Change(NAME, reference, 'latest')]


def test_a_change_whose_answer_is_lost_brings_back_nothing_that_is_gone(index, registry):
    other = index.another()

    def twice(make):
        registry.listed[:] = []
        other.remove(NAME)
        make()
        # Its answer is lost, so that botocore makes it again: that is refused, for it is made.
        return make()

    interfere(index, 'transact_write_items', twice)
    NotificationPool(Reconciler(index.engine, registry), 10).follow(change())
    assert index.search('') == []


def hanging(index, operation):
    """Have the next request of a kind hang; return the event that lets it go on."""
    go_on = threading.Event()

    def hang(make):
        assert go_on.wait(20)
        return make()

    interfere(index, operation, hang)
    return go_on


def follow_soon(notifications, what):
    """Follow it as a registry does: again and again, until it is done."""
    deadline = time.monotonic() + 10
    while True:
        try:
            return notifications.follow(what)
        except NotNow:
            assert time.monotonic() < deadline


def test_of_one_repository_a_later_change_waits_for_an_earlier_one(index, notifications):
    go_on = hanging(index, 'get_item')
    with pytest.raises(NotNow):
        notifications.follow(change(OLD))
    for _ in range(3):
        started = time.monotonic()
        with pytest.raises(NotNow):
            notifications.follow(change(NEW))
        assert time.monotonic() - started < WAIT + 0.5
    follow_soon(notifications, [Change('another/one', NEW, 'latest')])
    go_on.set()
    follow_soon(notifications, change(NEW))
    assert dict(index.search('')) == {NAME: 'new words', 'another/one': 'new words'}
    assert notifications.under_way == 0


def test_what_is_made_after_its_caller_has_left_is_read_again(index, registry, notifications):
    other = index.another()
    go_on = hanging(index, 'get_item')
    with pytest.raises(NotNow):
        notifications.follow(change(OLD))
    # Another copy of the service is notified of what comes after.
    registry.listed[:] = []
    other.remove(NAME)
    go_on.set()
    deadline = time.monotonic() + 10
    while not index.engine.description_queue.notes(1) or index.search(''):
        assert time.monotonic() < deadline, 'nothing is noted, or nothing read again'
        time.sleep(0.01)
