"""The demonstration behind `make run`: what a new user sees first."""
import functools
import signal

from dev.servers.process import free_port, is_taken
from tests.end_to_end.demonstrations import begun, error_of_a_taken_port, until_ready

demonstration = functools.partial(begun, 'dev.demo.run')


def test_it_shows_the_load_and_a_search_and_stops_cleanly_at_ctrl_c():
    port = free_port()
    running = demonstration(port)
    try:
        shown = until_ready(running)
        running.send_signal(signal.SIGINT)
        rest, _ = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    assert 'loaded the search index in' in shown
    assert '7 repositories in the storage: 7 added' in shown
    assert '\nacme/nginx-proxy\nlibrary/nginx\n' in shown
    assert 'Traceback' not in shown + rest
    assert running.returncode == 0, rest
    assert not is_taken(port)


def test_a_port_that_is_taken_is_one_clear_line():
    assert 'make run PORT=NUMBER' in error_of_a_taken_port(demonstration)
