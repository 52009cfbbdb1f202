"""The demonstration behind `make run`: what a new user sees first."""
from tests.end_to_end.demonstrations import error_of_a_taken_port, output_until_ended


def test_it_shows_the_load_and_a_search_and_stops_cleanly_at_ctrl_c():
    shown = output_until_ended('dev.demo.run')
    assert 'loaded the search index in' in shown
    assert '7 repositories in the storage: 7 added' in shown
    assert '\nlibrary/nginx\nacme/nginx-proxy\n' in shown


def test_a_port_that_is_taken_is_one_clear_line():
    assert 'make run PORT=NUMBER' in error_of_a_taken_port('dev.demo.run')
