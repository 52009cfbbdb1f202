"""What hides the differences between Python 2.7 and 3."""
import threading

from docker_registry_index.engine import _compat
from docker_registry_index.engine._compat import PY2, sleep, wait
from tests.helpers.clock import Clock


def test_sleep_is_the_function_that_gevent_may_have_patched_since(monkeypatch):
    clock = Clock()
    monkeypatch.setattr('time.sleep', clock.sleep)
    sleep(5)
    assert clock.slept == [5]


if PY2:
    def test_a_wait_does_not_measure_with_the_time_of_day_as_event_wait_does(monkeypatch):
        event, clock = threading.Event(), Clock()
        event.wait = None
        monkeypatch.setattr(_compat, 'monotonic', clock)
        monkeypatch.setattr(_compat, 'sleep', clock.sleep)
        assert wait(event, 0.5) is False and round(sum(clock.slept), 3) == 0.5
