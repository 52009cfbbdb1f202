"""The command docker-registry-index with the settings of one index, called like a function, or as
a process."""
import io
import json
import os
import signal
import subprocess
import sys
from unittest import mock

from dev.servers.process import LOCAL, ROOT, local_environment
from docker_registry_index.cli import output
from docker_registry_index.cli.commands import main

SECRET = 'never/ShowThisKey+5'
PYTHONS = {'3': sys.executable, '2.7': os.path.join(LOCAL, 'py27', 'bin', 'python')}


class CommandLine(object):
    """The command, run in the test process.

    :param index: an EngineIndex, whose database the command uses.
    :param capture: pytest's fixture capsys.
    :param variables: further environment variables."""

    def __init__(self, index, capture=None, **variables):
        self._capture = capture
        self.variables = dict({'DYNAMODB_DATABASE': index.settings.database,
                               'DYNAMODB_ENDPOINT_URL': index.settings.endpoint_url,
                               'DYNAMODB_REGION': index.settings.region,
                               'DYNAMODB_ACCESS_KEY': 'AKIADUMMY',
                               'DYNAMODB_SECRET_ACCESS_KEY': SECRET}, **variables)

    def __call__(self, *arguments, given=b'', **more):
        """Return the exit status, the standard output and the standard error of a run. None of them
        ever contains a secret or a traceback.

        :param given: the standard input, text or bytes."""
        given = given if isinstance(given, bytes) else given.encode()
        status, out, err = self.run(arguments, given, **more)
        assert SECRET not in out + err and 'Traceback' not in err, err
        return status, out, err

    def run(self, arguments, given):
        """Run it, whatever it prints."""
        environment = local_environment(self.variables)
        previous = signal.getsignal(signal.SIGTERM)
        with mock.patch.dict(os.environ, environment, clear=True), mock.patch.object(
                sys, 'stdin', io.TextIOWrapper(io.BytesIO(given))), mock.patch.object(
                output, 'THREADS_END', 0):  # the threads of other tests go on
            try:
                main(list(arguments), prog_name='docker-registry-index')
            except SystemExit as end:
                return (end.code, *self._capture.readouterr())
            finally:
                signal.signal(signal.SIGTERM, previous)

    def json(self, *arguments, **more):
        """Run it with --json; return the exit status and the document."""
        status, out, _ = self(*arguments + ('--json',), **more)
        return status, json.loads(out)

    def fails(self, *arguments, **more):
        """Run it with --json; return the exit status and the error, which is the one document and
        also the last line of the standard error."""
        status, out, err = self(*arguments + ('--json',), **more)
        shown = json.loads(out)
        assert list(shown) == ['error'] and shown['error'] in err and err.endswith('\n')
        return status, shown['error']


class CommandProcess(CommandLine):
    """The command on one Python, as a process."""

    def __init__(self, python, index, **variables):
        super().__init__(index, LC_ALL='C.UTF-8', **variables)
        self._python = PYTHONS[python]

    def launch(self, *arguments, **pipes):
        """Start it, and return the process."""
        # A shell that runs the tests in the background has them ignore SIGINT, and so would this.
        pipes = dict(dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)), **pipes)
        return subprocess.Popen([self._python, '-B', '-m', 'docker_registry_index', *arguments],
                                cwd=ROOT, env=local_environment(self.variables), **pipes)

    def run(self, arguments, given, **pipes):
        process = self.launch(*arguments, **pipes)
        out, err = process.communicate(given, timeout=90)
        return process.returncode, (out or b'').decode(), err.decode()
