"""Threads, time limits, background loops and back-off."""
from __future__ import unicode_literals

import itertools
import logging
import threading

import pytest

from docker_registry_index.engine import concurrency
from docker_registry_index.engine._compat import queue
from docker_registry_index.engine.concurrency import (
    Backoff, Loop, Precedence, SingleFlight, Stopwatch, TimedOut, Workers, call_with_timeout)
from tests.helpers.clock import Clock
from tests.helpers.faults import Killed
from tests.helpers.waiting import in_threads, more_threads, wait_until


@pytest.fixture
def waits(waits_of):
    """The seconds of each wait of the module; those of less than five are over at once."""
    return waits_of(concurrency, real=5)


@pytest.fixture
def free():
    """What ends the threads of a test."""
    event = threading.Event()
    yield event
    event.set()


def test_what_the_function_or_the_heartbeat_returns_or_raises_comes_through(free):
    assert call_with_timeout(lambda: 5, 600) == 5
    with pytest.raises(KeyError):
        call_with_timeout(lambda: {}['x'], 600)
    with pytest.raises(IndexError):
        call_with_timeout(lambda: free.wait(30), 600, heartbeat=lambda: [][0])


def test_a_call_without_an_answer_times_out_and_the_heartbeat_goes_on_until_then(free, waits):
    clock = Clock()
    with pytest.raises(TimedOut) as timed_out:
        call_with_timeout(lambda: free.wait(30), 150, lambda: clock.sleep(100), clock)
    assert len(clock.slept) == 2 and '%s' % timed_out.value == 'no answer for 150 seconds'
    assert waits == [1, 0]


def test_a_call_is_made_in_the_thread_of_the_caller_if_no_other_can_be_started(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, 'start', refuse)
    assert call_with_timeout(threading.current_thread, 600) is threading.current_thread()
    with pytest.raises(KeyError):
        call_with_timeout(lambda: {}['x'], 600)


def test_calls_give_way_while_one_with_precedence_is_under_way_but_not_forever(waits):
    short, long = Precedence(0.5), Precedence(5)
    short.give_way()
    with short:
        with short:
            short.give_way()
        short.give_way()
    assert waits == [0.5, 0.5]
    with pytest.raises(KeyError):
        with short:
            {}['x']
    short.give_way()
    with long:
        waiting = in_threads([long.give_way] * 2)
        wait_until(lambda: waits[2:] == [5, 5])
    waiting()
    long.give_way()
    assert len(waits) == 4


def test_a_stopwatch_has_expired_when_the_wait_is_too_long():
    clock = Clock()
    stopwatch = Stopwatch(10, clock)
    clock.advance(50)
    assert not stopwatch.has_expired
    for _ in range(2):
        stopwatch.start()
        clock.advance(10)
        assert not stopwatch.has_expired
        clock.advance(1)
        assert stopwatch.has_expired
    stopwatch.stop()
    assert not stopwatch.has_expired


class WorkerCalls(object):
    """Calls of workers: each ends when it is released.

    :ivar results: the argument, the result and the thread of each that was noted."""

    def __init__(self, count, heartbeat=lambda: None):
        self.begun, self.results, self.released = [], [], threading.Event()
        self.workers = Workers(self._call, self._note, count, heartbeat)

    def _call(self, argument):
        self.begun.append(argument)
        assert self.released.wait(20)
        if isinstance(argument, BaseException):
            raise argument
        return argument * 2

    def _note(self, argument, result):
        self.results.append((argument, result, threading.current_thread()))


@pytest.mark.parametrize('count, startable', [(0, 0), (1, 1), (3, 3), (3, 1), (3, 0)])
def test_workers_call_with_each_argument_and_note_results_in_the_callers_thread(
        monkeypatch, count, startable):
    """Threads that cannot be started are left out."""
    start, started = concurrency.start_thread, []

    def start_some(*arguments):
        started.append(1)
        return start(*arguments) if len(started) <= startable else None

    monkeypatch.setattr(concurrency, 'start_thread', start_some)
    calls = WorkerCalls(count)
    calls.released.set()
    for number in range(7):
        calls.workers.submit(number)
    calls.workers.join()
    calls.workers.close()
    assert len(started) == count and calls.workers.has_threads == bool(startable)
    assert not calls.workers.are_busy()
    assert sorted(calls.results, key=repr) == [
        (number, number * 2, threading.current_thread()) for number in range(7)]


def test_as_many_calls_as_workers_are_under_way_and_the_caller_sends_heartbeats_while_he_waits():
    def heartbeat():
        beats.append(len(calls.begun))
        if len(beats) == 5:
            calls.released.set()

    beats, calls = [], WorkerCalls(2, heartbeat)
    for number in range(3):
        assert calls.workers.are_busy() == (number == 2)
        # The third waits for one of the others.
        calls.workers.submit(number)
    assert len(beats) >= 5 and beats[4] == 2
    # Without a submit or join, too, the results are noted.
    wait_until(lambda: not calls.workers.are_busy() and len(calls.results) == 3)
    calls.workers.join()
    calls.workers.close()
    assert sorted(argument for argument, _, _ in calls.results) == [0, 1, 2]


def test_heartbeats_do_not_depend_on_the_time_of_day(monkeypatch):
    # An hour back at each look at the clock, as Python 2.7 does in Queue.get.
    times, beats = itertools.count(10 ** 9, -3600), []
    monkeypatch.setattr(queue, '_time', lambda: next(times), raising=False)

    def heartbeat():
        beats.append(1)
        if len(beats) == 3:
            calls.released.set()

    calls = WorkerCalls(1, heartbeat)
    calls.workers.submit(1)
    calls.workers.join()
    calls.workers.close()
    assert len(beats) >= 3 and len(calls.results) == 1


@pytest.mark.parametrize('count', [0, 2])
@pytest.mark.parametrize('error', [ValueError('no'), Killed()], ids=['error', 'kill'])
def test_an_error_or_a_kill_of_a_worker_reaches_the_caller(count, error):
    calls = WorkerCalls(count)
    calls.released.set()
    with pytest.raises(type(error)) as raised:
        calls.workers.submit(error)
        calls.workers.join()
    assert raised.value is error and calls.results == []
    calls.workers.close()


def test_a_heartbeat_that_fails_ends_the_wait_and_close_waits_for_the_calls_under_way():
    def fail():
        raise ValueError('the lease is lost')

    more, calls = more_threads(), WorkerCalls(2, fail)
    calls.workers.submit(1)
    wait_until(lambda: calls.begun)
    with pytest.raises(ValueError):
        calls.workers.join()
    assert not calls.workers.is_closing
    closing = in_threads([calls.workers.close])
    wait_until(lambda: calls.workers.is_closing)
    # The one that is busy, and the one that closes.
    wait_until(more, expected=2)
    calls.released.set()
    closing()
    # A second time, nothing is left to close.
    calls.workers.close()
    assert more() == 0 and calls.results == []


def test_threads_that_ask_at_the_same_time_share_one_call_and_its_error(free, waits):
    calls, error = [], ValueError('first')

    def call():
        calls.append(1)
        free.wait(30)
        if len(calls) == 1:
            raise error

    def ask():
        with pytest.raises(ValueError) as raised:
            flight.wait(30)
        return raised.value

    flight = SingleFlight(call)
    assert not flight.is_running
    answers = in_threads([ask] * 4)
    wait_until(lambda: waits == [30] * 4)
    assert flight.is_running and flight.wait(1) is False
    free.set()
    assert answers() == [error] * 4 and len(calls) == 1
    # The next call is a new one.
    assert flight.wait(30) is True and len(calls) == 2 and not flight.is_running


def test_if_no_thread_can_be_started_the_last_result_is_kept(monkeypatch):
    calls, seen = [], []
    flight = SingleFlight(lambda: calls.append(1))
    for ended in 0, 1:
        with monkeypatch.context() as patched:
            # Others ask meanwhile, without the lock.
            patched.setattr(concurrency, 'start_thread', lambda *_: seen.append(flight.is_running))
            assert flight.wait(30) is False and not flight.is_running
        assert len(calls) == ended
        assert flight.wait(30) is True
    assert seen == [False, False]


def test_pauses_double_up_to_the_longest_and_are_shortened_at_random():
    backoff = Backoff(1, 10)
    assert not backoff.has_begun
    for longest in 1, 2, 4, 8, 10, 10:
        assert 0.7 * longest <= backoff.next() <= longest
        assert backoff.has_begun
    pauses = set(backoff.next() for _ in range(20))
    assert len(pauses) > 1
    backoff.reset()
    assert not backoff.has_begun
    assert 0.7 <= backoff.next() <= 1


class Calls(object):
    """The calls of a Loop: notes each, and returns what it is given; then 60."""

    def __init__(self, *pauses):
        self._pauses = list(pauses)
        self.at = []

    def __call__(self, now):
        self.at.append(now)
        pause = self._pauses.pop(0) if self._pauses else 60
        if isinstance(pause, Exception):
            raise pause
        return pause


@pytest.fixture
def loop_of():
    """A function that makes a Loop; all are stopped after the test."""
    made = []

    def make(*arguments):
        made.append(Loop(*arguments))
        return made[-1]

    yield make
    for loop in made:
        loop.stop(10)


def test_a_loop_does_nothing_until_it_is_started_and_its_calls_get_the_time(loop_of):
    clock, calls = Clock(100), Calls(0, 0, 0)
    loop = loop_of(lambda now: [calls(now), clock.advance(1)][0], clock)
    assert calls.at == [] and not loop.is_running
    assert loop.start() is True and loop.is_running
    wait_until(lambda: len(calls.at) == 4)
    assert calls.at == [100, 101, 102, 103]


def test_a_pause_is_waited_for_and_a_wake_ends_it(loop_of, waits):
    calls = Calls(0.1, 0)
    loop = loop_of(calls)
    loop.start()
    for count, wake in (3, loop.wake), (4, loop.start), (5, lambda: loop.stop(10)):
        wait_until(lambda: waits == [0.1] + [60] * (count - 2))
        assert len(calls.at) == count
        wake()
    assert len(calls.at) == 5


@pytest.mark.parametrize('method, pause', [('wake', 60), ('start', None)])
def test_a_wake_or_a_start_during_a_call_makes_another_call(loop_of, method, pause):
    calls = []

    def run_once(now):
        calls.append(now)
        if len(calls) == 1:
            getattr(loop, method)()
        return pause

    loop = loop_of(run_once)
    loop.start()
    wait_until(lambda: len(calls) == 2 and loop.is_running is (pause is not None))
    loop.stop(10)
    assert len(calls) == 2


def test_no_start_is_lost_between_the_last_call_and_the_end_of_the_thread(loop_of):
    # As a queue is used: put, then start; a call takes one item, and ends if there is none.
    lock, waiting, taken = threading.Lock(), [], []

    def run_once(now):
        with lock:
            if not waiting:
                return None
            taken.append(waiting.pop())
        return 0

    loop = loop_of(run_once)
    for number in range(60):
        with lock:
            waiting.append(number)
        assert loop.start()
        # The next start often comes just when the thread is about to end.
        wait_until(lambda: len(taken) == number + 1)
    wait_until(lambda: not loop.is_running)
    assert loop.start() is True and not loop.is_stopped


def test_stop_waits_for_the_call_under_way_and_no_other_follows(loop_of, free, waits):
    calls, ended, threads = [], [], more_threads()

    def run_once(now):
        calls.append(now)
        free.wait(30)
        ended.append(now)
        return 0

    loop = loop_of(run_once)
    loop.start()
    wait_until(lambda: calls)
    loop.stop(1)
    assert loop.is_stopped
    stop = in_threads([lambda: loop.stop(20)])
    wait_until(lambda: waits == [1, 20])
    assert not ended
    free.set()
    stop()
    assert len(ended) == 1
    wait_until(lambda: threads() == 0)
    assert len(calls) == 1


def test_stop_waits_for_the_thread_of_a_loop_that_rests_and_for_no_other(loop_of, waits):
    calls, threads = Calls(), more_threads()
    loop = loop_of(calls)
    loop.start()
    wait_until(lambda: calls.at)
    never = loop_of(calls)
    # If one of them waited longer, it would time out.
    loop.stop(20)
    never.stop(20)
    # A thread that is left when Python 2.7 ends prints an error.
    assert not loop.is_running
    assert never.start() is False and not never.is_running
    wait_until(lambda: threads() == 0)
    assert len(calls.at) == 1


def test_a_call_that_raises_is_logged_and_made_again_after_a_second(loop_of, caplog, waits):
    calls = Calls(ValueError('a slip'))
    loop = loop_of(calls)
    loop.start()
    wait_until(lambda: len(calls.at) == 2)
    assert waits[0] == 1 and loop.is_running
    [record] = caplog.records
    assert record.levelno == logging.ERROR and record.exc_info
    assert record.getMessage() == 'a background task of the search index failed; it is retried'


def test_a_loop_without_a_thread_is_not_running_and_can_be_started_later(loop_of, monkeypatch):
    calls = Calls()
    loop = loop_of(calls)
    with monkeypatch.context() as patch:
        patch.setattr(concurrency, 'start_thread', lambda *_: None)
        assert loop.start() is False and not loop.is_running
    assert loop.start() is True
    wait_until(lambda: calls.at)


def test_a_loop_is_stopped_in_a_forked_process(loop_of, fork, waits):
    calls, threads = Calls(), more_threads()
    running, unused = loop_of(calls), loop_of(calls)
    running.start()
    wait_until(lambda: calls.at)
    fork()
    for loop in running, unused:
        loop.wake()
        assert loop.is_stopped and loop.start() is False
        # Its thread does not exist there.
        loop.stop(20)
    assert 20 not in waits
    wait_until(lambda: threads() == 0)
    assert len(calls.at) == 1 and not unused.is_running
