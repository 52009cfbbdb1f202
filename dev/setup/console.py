"""Prints progress with the time since the start, and runs commands with their output in a log file.

Python 3 and the standard library only, like everything that bootstrap runs.
"""
import os
import subprocess
import time

from dev.servers.process import LOCAL, ROOT

_STARTED = time.monotonic()


class SetupError(Exception):
    """Raised if a component cannot be set up; the message has the cause and what to do."""


def echo(text):
    """Print a progress line."""
    print('[%5.1f s] %s' % (time.monotonic() - _STARTED, text), flush=True)


def run(command, log, **environment):
    """Run a command, and add its output to .local/logs/LOG. If it fails, raise SetupError with the
    end of the output.

    The user's configuration of pip, Maven and apt applies. Variables that point Python to other
    folders are removed.
    """
    path = os.path.join(LOCAL, 'logs', log)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    variables = {name: value for name, value in os.environ.items()
                 if name not in ('PYTHONPATH', 'PYTHONHOME', '__PYVENV_LAUNCHER__')}
    variables.update(environment)
    with open(path, 'ab') as output:
        output.write(('$ %s\n' % ' '.join(command)).encode())
        output.flush()
        start = output.tell()
        status = subprocess.call(command, stdin=subprocess.DEVNULL, stdout=output,
                                 stderr=subprocess.STDOUT, cwd=ROOT, env=variables)
    if status:
        raise SetupError('%s failed with status %d. The end of %s:\n%s' % (
            ' '.join(command[:4]), status, os.path.relpath(path, ROOT), _tail(path, start)))


def _tail(path, start, lines=25):
    with open(path, 'rb') as log:
        log.seek(start)
        return '\n'.join('    ' + line
                         for line in log.read().decode('utf-8', 'replace').splitlines()[-lines:])
