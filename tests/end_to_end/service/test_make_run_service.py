"""The demonstration of `make run-service`: the first output that a user of a registry v2 sees."""
import re
import signal
import urllib.request

from dev.demo.run_service import PROGRAMS
from dev.servers.process import free_port
from tests.end_to_end.demonstrations import begun, error_of_a_taken_port, output_until_ended
from tests.end_to_end.service.place import needs

pytestmark = needs(*sorted(PROGRAMS))


def assert_catalog(port):
    url = 'http://127.0.0.1:%d/v2/_catalog?n=2' % port
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert b'"acme/billing-api","acme/nginx-proxy"' in answer.read()


def test_it_shows_that_pushes_are_found_and_stops_cleanly():
    """By SIGTERM; test_make_run.py stops `make run`, which has the same handler, by Ctrl-C."""
    shown = output_until_ended('dev.demo.run_service', signal.SIGTERM, assert_catalog)
    found = shown.partition('as docker search prints it:')[2]
    found = found.partition('(of 7 repositories')[0]
    assert [re.split(r'\s{2,}', line)[0] for line in found.split('\n') if line][1:] == [
        'library/nginx', 'acme/nginx-proxy', 'platform/ingress/nginx-ingress']
    assert 'The web server, with our modules' in found and 'TLS and rate limits' in found


def test_a_taken_port_and_a_missing_program_are_one_clear_line_each():
    assert 'make run-service PORT=NUMBER' in error_of_a_taken_port('dev.demo.run_service')
    running = begun('dev.demo.run_service', free_port(), PATH='/nowhere')
    shown, _ = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert re.match(r'make run-service: \S+ is not installed: .*apt-get install \S+\n\Z', shown)
