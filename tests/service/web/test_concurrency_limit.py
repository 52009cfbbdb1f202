"""The limit of requests at once: one more waits while others leave, and not if nobody does."""
import threading
import time

from docker_registry_index.service.web.app import ConcurrencyLimit, Gate


def test_as_many_as_the_limit_allows():
    limit = ConcurrencyLimit(2)
    assert limit.enter() and limit.enter()
    limit.leave()
    assert limit.enter()


def test_one_more_waits_while_others_come_and_go():
    limit = ConcurrencyLimit(1)
    assert limit.enter()
    threading.Timer(0.05, limit.leave).start()
    assert limit.enter()


def test_one_more_does_not_wait_long():
    limit = ConcurrencyLimit(1)
    assert limit.enter()
    assert not limit.enter()


def test_nobody_waits_where_nobody_leaves():
    moments = [0]
    limit = ConcurrencyLimit(1, clock=lambda: moments[0])
    assert limit.enter()
    moments[0] = 10
    started = time.monotonic()
    assert not any(limit.enter() for _ in range(10))
    assert time.monotonic() - started < 0.1
    limit.leave()
    assert limit.enter()


def test_a_gate_that_is_closed_lets_nobody_in_and_waits_for_those_who_are():
    gate = Gate()
    assert gate.enter() and gate.enter()
    gate.leave()
    threading.Timer(0.05, gate.leave).start()
    started = time.monotonic()
    assert gate.close(10) and time.monotonic() - started < 5
    assert not gate.enter()


def test_a_gate_waits_no_longer_than_asked():
    gate = Gate()
    assert gate.enter()
    assert not gate.close(0.05)
    gate.leave()
    assert gate.close(0)
