"""The demonstration behind `make run`: what a new user sees first."""
import os
import signal
import socket
import subprocess

import pytest

from dev.process import LOCAL, LOOPBACK, ROOT, free_port, is_taken


def demonstration(port):
    environment = dict(os.environ, PORT=str(port))
    return subprocess.Popen([os.path.join(LOCAL, 'aws', 'bin', 'python'), '-m', 'dev.run'], cwd=ROOT, env=environment,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM], ids=['Ctrl-C', 'SIGTERM'])
def test_it_shows_the_load_and_a_search_and_stops_cleanly(number):
    port = free_port()
    running = demonstration(port)
    try:
        lines = []
        for line in running.stdout:
            lines.append(line)
            if 'Ctrl-C stops everything' in line:
                break
        running.send_signal(number)
        rest, _ = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    shown = ''.join(lines)
    assert 'loaded the search index in' in shown and '7 repositories in the storage: 7 added' in shown
    assert '\nacme/nginx-proxy\nlibrary/nginx\n' in shown
    assert 'Traceback' not in shown + rest
    assert running.returncode == 0, rest
    assert not is_taken(port)


def test_a_port_that_is_taken_is_one_clear_line():
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        running = demonstration(port)
        shown, _ = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert 'port %d' % port in shown and 'PORT=NUMBER' in shown
    assert len(shown.splitlines()) == 1
