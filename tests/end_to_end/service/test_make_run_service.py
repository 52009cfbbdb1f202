"""The demonstration of `make run-service`: the first output that a user of a registry v2 sees."""
import functools
import re
import signal
import urllib.request

from dev.demo.run_service import PROGRAMS
from dev.servers.process import free_port, is_taken
from tests.end_to_end.demonstrations import begun, error_of_a_taken_port, until_ready
from tests.end_to_end.service.place import needs

pytestmark = needs(*sorted(PROGRAMS))
demonstration = functools.partial(begun, 'dev.demo.run_service')


def test_it_shows_that_pushes_are_found_and_stops_cleanly():
    """By SIGTERM; test_make_run.py stops `make run`, which has the same handler, by Ctrl-C."""
    port = free_port()
    running = demonstration(port)
    try:
        shown = until_ready(running)
        with urllib.request.urlopen('http://127.0.0.1:%d/v2/_catalog?n=2' % port,
                                    timeout=10) as answer:
            assert b'"acme/billing-api","acme/nginx-proxy"' in answer.read()
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    found = shown.partition('as docker search prints it:')[2]
    found = found.partition('(of 7 repositories')[0]
    assert sorted(re.split(r'\s{2,}', line)[0] for line in found.split('\n') if line)[1:] == [
        'acme/nginx-proxy', 'library/nginx', 'platform/ingress/nginx-ingress']
    assert 'The web server, with our modules' in found and 'TLS and rate limits' in found
    assert 'Traceback' not in shown + rest and running.returncode == 0, rest
    assert not any(is_taken(int(taken))
                   for taken in set(re.findall(r'127\.0\.0\.1:([0-9]+)', shown)))


def test_a_taken_port_and_a_missing_program_are_one_clear_line_each():
    assert 'make run-service PORT=NUMBER' in error_of_a_taken_port(demonstration)
    running = demonstration(free_port(), PATH='/nowhere')
    shown, _ = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert re.match(r'make run-service: \S+ is not installed: .*apt-get install \S+\n\Z', shown)
