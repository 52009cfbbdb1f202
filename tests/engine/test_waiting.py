"""Waiting for a storage that may hang."""

from __future__ import unicode_literals

import threading

import pytest

from docker_registry_index.engine.waiting import Silence, Watch, in_time


def test_what_a_function_returns_or_raises_comes_through():
    assert in_time(lambda: 5, lambda: None) == 5
    with pytest.raises(KeyError):
        in_time(lambda: {}['x'], lambda: None)


def test_silence_ends_the_wait_and_the_beat_goes_on_until_then():
    free, beats, now = threading.Event(), [], [100.0]

    def beat():
        beats.append(1)
        now[0] += 100

    try:
        with pytest.raises(Silence) as silence:
            in_time(lambda: free.wait(30), beat, 150, clock=lambda: now[0])
    finally:
        free.set()
    assert len(beats) == 2 and '150 seconds' in str(silence.value)


def test_a_beat_that_raises_ends_the_wait():
    free = threading.Event()

    def beat():
        raise ValueError('stop')

    try:
        with pytest.raises(ValueError):
            in_time(lambda: free.wait(30), beat)
    finally:
        free.set()


def test_a_watch_is_over_when_nothing_came_for_too_long():
    now = [0.0]
    watch = Watch(10, lambda: now[0])
    now[0] = 50
    assert not watch.is_over
    watch.start()
    now[0] = 60
    assert not watch.is_over
    now[0] = 61
    assert watch.is_over
    watch.start()
    assert not watch.is_over
    now[0] = 100
    watch.stop()
    assert not watch.is_over
