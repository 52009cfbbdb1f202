"""Processes of `make run` and `make run-service`, for their tests."""
import os
import re
import signal
import socket
import subprocess

from dev.servers.process import LOCAL, LOOPBACK, ROOT, free_port, is_taken


def begun(module, port, **variables):
    """Return the process of a demonstration, its output a pipe of text.

    module: dev.demo.run or dev.demo.run_service. variables: of its environment, besides PORT."""
    return subprocess.Popen([os.path.join(LOCAL, 'aws', 'bin', 'python'), '-m', module], cwd=ROOT,
                            env=dict(os.environ, PORT=str(port), **variables),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True)


def output_until_ended(module, number=signal.SIGINT, meanwhile=lambda port: None):
    """Run a demonstration, end it by a signal when it has shown all, and return what it printed.

    meanwhile: called with its port before the signal."""
    port, lines = free_port(), []
    running = begun(module, port)
    try:
        for line in running.stdout:
            lines.append(line)
            if 'Ctrl-C stops everything' in line:
                break
        meanwhile(port)
        running.send_signal(number)
        rest, _ = running.communicate(timeout=30)
    finally:
        running.kill()
        running.wait()
    shown = ''.join(lines)
    assert 'Traceback' not in shown + rest and running.returncode == 0, rest
    ports = {str(port), *re.findall(r'127\.0\.0\.1:([0-9]+)', shown)}
    assert not any(is_taken(int(each)) for each in ports)
    return shown


def error_of_a_taken_port(module):
    """Return the one line that a demonstration ends with when its port is taken."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        running = begun(module, port)
        shown, _ = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert 'port %d' % port in shown and len(shown.splitlines()) == 1
    return shown
