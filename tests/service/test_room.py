"""Room for some at once: who comes waits while others leave, and not when nobody does."""
import threading
import time

from docker_registry_index.service.web.concurrency_limit import Room


def test_as_many_as_there_is_room_for():
    room = Room(2)
    assert room.enter() and room.enter()
    room.leave()
    assert room.enter()


def test_one_more_waits_while_others_come_and_go():
    room = Room(1)
    assert room.enter()
    threading.Timer(0.05, room.leave).start()
    assert room.enter()


def test_one_more_does_not_wait_long():
    room = Room(1)
    assert room.enter()
    assert not room.enter()


def test_nobody_waits_where_nobody_leaves():
    moments = [0]
    room = Room(1, clock=lambda: moments[0])
    assert room.enter()
    moments[0] = 10
    started = time.monotonic()
    assert not any(room.enter() for _ in range(10))
    assert time.monotonic() - started < 0.1
    room.leave()
    assert room.enter()
