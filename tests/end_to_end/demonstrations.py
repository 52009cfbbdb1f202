"""Processes of `make run` and `make run-service`, for their tests."""
import os
import socket
import subprocess

from dev.servers.process import LOCAL, LOOPBACK, ROOT


def begun(module, port, **variables):
    """Return the process of a demonstration, its output a pipe of text.

    module: dev.demo.run or dev.demo.run_service. variables: of its environment, besides PORT."""
    return subprocess.Popen([os.path.join(LOCAL, 'aws', 'bin', 'python'), '-m', module], cwd=ROOT,
                            env=dict(os.environ, PORT=str(port), **variables),
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            universal_newlines=True)


def until_ready(running):
    """Return what it prints until it has shown all."""
    lines = []
    for line in running.stdout:
        lines.append(line)
        if 'Ctrl-C stops everything' in line:
            break
    return ''.join(lines)


def error_of_a_taken_port(begin):
    """Return the one line that a demonstration ends with when its port is taken.

    begin: a function of a port that begins it."""
    with socket.socket() as holder:
        holder.bind((LOOPBACK, 0))
        holder.listen(1)
        port = holder.getsockname()[1]
        running = begin(port)
        shown, _ = running.communicate(timeout=30)
    assert running.returncode not in (0, None)
    assert 'port %d' % port in shown and len(shown.splitlines()) == 1
    return shown
