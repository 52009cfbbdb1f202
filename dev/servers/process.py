"""Server, a local server as a child process on 127.0.0.1, with its log in a file.

Runs on Python 2.7 and 3; standard library only.
"""
from __future__ import absolute_import

import errno
import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

try:
    from http.client import HTTPConnection, HTTPException
except ImportError:  # Python 2.7
    from httplib import HTTPConnection, HTTPException

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOCAL = os.path.join(ROOT, '.local')
LOOPBACK = '127.0.0.1'
RUN_WITH_PARENT = os.path.join(ROOT, 'dev', 'servers', 'run_with_parent.py')

# Variables that could make a server or a test use an AWS account or another machine.
_FOREIGN = re.compile(r'AWS_|BOTO_|DYNAMODB_|REGISTRY_|GUNICORN_|DOCKER_REGISTRY|SETTINGS_FLAVOR$|'
                      r'SEARCH_BACKEND$|STORAGE_PATH$|(https?|all|no)_proxy$', re.I)
_HARMLESS = {
    'AWS_ACCESS_KEY_ID': 'local',
    'AWS_SECRET_ACCESS_KEY': 'local-secret',
    'AWS_DEFAULT_REGION': 'us-east-1',
    'AWS_EC2_METADATA_DISABLED': 'true',
    'AWS_CONFIG_FILE': os.devnull,
    'AWS_SHARED_CREDENTIALS_FILE': os.devnull,
    'BOTO_CONFIG': os.devnull,
    'BOTO_PATH': os.devnull,
}


class ServerError(Exception):
    """Raised if a local server cannot be started; the message has the reason and what to do."""


def installed(path, part):
    """Return the path if it exists. Otherwise raise ServerError, which names the part of
    dev/bootstrap that installs it."""
    if not os.path.exists(path):
        raise ServerError('%s is missing: run dev/bootstrap %s'
                          % (os.path.relpath(path, ROOT), part))
    return path


def local_environment(additions=None, environ=None):
    """Return the environment without AWS accounts and proxies, updated with `additions`."""
    source = os.environ if environ is None else environ
    kept = dict((name, value) for name, value in source.items() if not _FOREIGN.match(name))
    kept.update(_HARMLESS)
    kept.update(additions or {})
    return kept


def free_port():
    """Return a port of 127.0.0.1 that is free now."""
    probe = socket.socket()
    try:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]
    finally:
        probe.close()


def is_taken(port):
    """Return True if another program uses this port of 127.0.0.1."""
    probe = socket.socket()
    try:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free
        probe.bind((LOOPBACK, port))
    except socket.error as error:
        if error.errno == errno.EACCES:
            raise ServerError('only root may use port %d: choose a port above 1023' % port)
        return True
    finally:
        probe.close()
    return False


def http_status(port, path, timeout=2.0):
    """Return the status of GET `path` on 127.0.0.1, or None if no answer comes within `timeout`
    seconds."""
    connection = HTTPConnection(LOOPBACK, port, timeout=timeout)
    try:
        connection.request('GET', path)
        return connection.getresponse().status
    except (HTTPException, EnvironmentError):
        return None
    finally:
        connection.close()


class Server(object):
    """A server on a port of 127.0.0.1, and a context manager that starts and stops it.

    Subclasses define `name`, `port_variable`, `ready_path`, `command()` and `environment()`.
    port: a number, or None for a free port. log: path of the file to which its output is added
    (.local/logs/NAME-PORT.log). Launch it from a thread that lives as long as the server should: on
    Linux, the kernel ends the server together with that thread.
    """

    name = None
    port_variable = 'PORT'
    ready_path = '/'
    ready_status = (200,)
    ready_seconds = 60.0
    stop_seconds = 10.0

    def __init__(self, port=None, log=None):
        self.port = port or free_port()
        self.log_path = log or os.path.join(LOCAL, 'logs', '%s-%d.log' % (self.name, self.port))
        self._log_start = 0
        self._process = None

    def command(self):
        """Return the command line as a list; raise ServerError if a program is not installed."""
        raise NotImplementedError

    def environment(self):
        """Return the variables that the command needs in addition to local_environment()."""
        return {}

    @property
    def url(self):
        """The address of the server, http://127.0.0.1:PORT."""
        return 'http://%s:%d' % (LOOPBACK, self.port)

    @property
    def pid(self):
        """The id of the process and of its process group; None if it was not launched."""
        return self._process and self._process.pid

    @property
    def running(self):
        """True while the process is running."""
        return self._process is not None and self._process.poll() is None

    @property
    def status(self):
        """Exit status of the process, or None while it runs or before it was launched."""
        return self._process and self._process.poll()

    def log_text(self):
        """Return the output of the server since its launch."""
        if not os.path.exists(self.log_path):
            return u''
        with io.open(self.log_path, 'rb') as log:
            log.seek(self._log_start)
            return log.read().decode('utf-8', 'replace')

    def start(self):
        """Launch the server, wait until it answers, and return it."""
        self.launch()
        try:
            return self.wait_until_ready()
        except BaseException:  # also a signal that became an exception
            self.stop()
            raise

    def launch(self):
        """Start the process without waiting for it; raise ServerError if the port is taken."""
        if self.running:
            raise ServerError('%s is already running on port %d' % (self.name, self.port))
        if is_taken(self.port):
            raise ServerError('another program uses port %d of %s, where %s should listen: stop it '
                              'or choose another port with %s=NUMBER'
                              % (self.port, LOOPBACK, self.name, self.port_variable))
        command = [sys.executable, '-E', RUN_WITH_PARENT, str(os.getpid())] + self.command()
        if not os.path.isdir(os.path.dirname(self.log_path)):
            os.makedirs(os.path.dirname(self.log_path))
        with io.open(self.log_path, 'ab') as log:
            self._log_start = log.seek(0, os.SEEK_END)
            # Only this process has the other end of its standard input: a server may end with it.
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log,
                                             stderr=subprocess.STDOUT, close_fds=True, cwd=ROOT,
                                             env=local_environment(self.environment()))
        return self

    def wait_until_ready(self, seconds=None):
        """Wait until the server answers, at most `seconds` (`ready_seconds`). If it does not, raise
        ServerError with the end of its log."""
        seconds = self.ready_seconds if seconds is None else seconds
        deadline = time.time() + seconds
        while http_status(self.port, self.ready_path) not in self.ready_status:
            if not self.running:
                problem = 'ended with status %s' % self._process.poll()
            elif time.time() > deadline:
                problem = 'does not answer at %s%s after %g seconds' % (self.url, self.ready_path,
                                                                        seconds)
            else:
                time.sleep(0.1)
                continue
            raise ServerError('%s %s; the end of its log %s:\n%s'
                              % (self.name, problem, self.log_path, self._log_tail()))
        return self

    def stop(self):
        """End the server and everything it started: SIGTERM, then SIGKILL after `stop_seconds`."""
        if self._process is None:
            return
        self._process.stdin.close()
        self._signal(signal.SIGTERM)
        deadline = time.time() + self.stop_seconds
        while self._is_group_alive() and time.time() < deadline:
            time.sleep(0.05)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def __enter__(self):
        return self.start()

    def __exit__(self, *failure):
        self.stop()

    def _signal(self, number):
        try:
            os.killpg(self._process.pid, number)
        # no such group: it has ended, or was launched so recently that its group does not exist yet
        except OSError:
            if self.running:
                self._process.send_signal(number)

    def _is_group_alive(self):
        self._process.poll()  # reads the leader's exit status: a zombie would count as alive
        try:
            os.killpg(self._process.pid, 0)
        except OSError:
            return False
        return True

    def _log_tail(self, lines=25):
        return (u'\n'.join(u'    ' + line for line in self.log_text().splitlines()[-lines:])
                or u'    (empty)')


class ServerWithFolder(Server):
    """A server with its own folder outside of the checkout, which is removed when it stops."""

    folder = None

    def launch(self):
        if self.running:
            return super(ServerWithFolder, self).launch()  # raises ServerError
        self.folder = tempfile.mkdtemp(prefix=self.name + '-')
        try:
            return super(ServerWithFolder, self).launch()
        except BaseException:
            self._remove_folder()
            raise

    def stop(self):
        super(ServerWithFolder, self).stop()
        self._remove_folder()

    def path(self, name):
        """Return the path of a file in the folder."""
        return os.path.join(self.folder, name)

    def write(self, name, text):
        """Write a file in the folder and return its path."""
        with open(self.path(name), 'w') as target:
            target.write(text)
        return self.path(name)

    def _remove_folder(self):
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder = None
