"""podman, skopeo and docker, run as a user would, without this machine's own settings."""
import base64
import contextlib
import json
import os
import subprocess

import bcrypt
import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.process import ServerError, local_environment
from dev.servers.programs import program

__all__ = ['Docker', 'Podman', 'basic', 'dockerd_or_skip', 'skopeo_delete', 'write_credentials',
           'write_htpasswd']


@contextlib.contextmanager
def dockerd_or_skip():
    """A Docker daemon. If none can start, as in a container whose root may not mount, the test is
    skipped; in CI, it fails."""
    with contextlib.ExitStack() as running:
        try:
            daemon = running.enter_context(Dockerd())
        except ServerError as error:
            if os.environ.get('CI'):
                raise
            pytest.skip('a Docker daemon cannot start here: %s'
                        % str(error).splitlines()[0].rstrip(':'))
        yield daemon


class _Client:
    def search(self, address, term, *options, credentials=None):
        """Return (name, whole description) of each result of a search.

        :param credentials: the path of a file of write_credentials(); None for nobody."""
        done = self.run('search', '--no-trunc', '--format', '{{.Name}}|{{.Description}}', *options,
                        '%s/%s' % (address, term), credentials=credentials)
        assert done.returncode == 0, done.stderr
        # podman puts the address before the names.
        return [tuple(line.replace(address + '/', '', 1).split('|'))
                for line in done.stdout.splitlines()]


class Podman(_Client):
    """podman with folders of its own below `folder`, and without credentials."""

    def __init__(self, folder):
        self._folder = str(folder)
        self._nobody = os.path.join(self._folder, 'nobody.json')
        with open(self._nobody, 'w') as target:
            target.write('{}')

    def run(self, command, *arguments, credentials=None):
        """Run podman and return subprocess.CompletedProcess."""
        environment = local_environment({'HOME': self._folder, 'XDG_RUNTIME_DIR': self._folder,
                                         'REGISTRY_AUTH_FILE': credentials or self._nobody})
        return _run([program('podman'), '--root', os.path.join(self._folder, 'root'), '--runroot',
                     os.path.join(self._folder, 'run'), '--storage-driver', 'vfs', command,
                     '--tls-verify=false', *arguments], environment)


class Docker(_Client):
    """A docker command against a Dockerd.

    :param cli: the path of another command than the daemon's own."""

    def __init__(self, daemon, cli=None):
        self._daemon, self._cli = daemon, cli

    def run(self, *arguments, credentials=None):
        """Run docker and return subprocess.CompletedProcess."""
        return self._daemon.docker(*arguments, cli=self._cli, configuration=credentials
                                   and os.path.dirname(credentials))


def basic(user, password):
    """Return the value of a header Authorization."""
    return 'Basic ' + base64.b64encode(('%s:%s' % (user, password)).encode()).decode()


def write_credentials(folder, address, user, password):
    """Write credentials of a registry as docker and podman keep them; return the path of the file,
    config.json of a folder."""
    os.makedirs(str(folder), exist_ok=True)
    path = os.path.join(str(folder), 'config.json')
    with open(path, 'w') as target:
        json.dump({'auths': {address: {'auth': basic(user, password)[len('Basic '):]}}}, target)
    return path


def write_htpasswd(folder, user, password):
    """Write the file of users of a registry; return its path."""
    path = os.path.join(str(folder), 'htpasswd')
    with open(path, 'wb') as target:
        target.write(b'%b:%b\n' % (user.encode(), bcrypt.hashpw(password.encode(),
                                                                bcrypt.gensalt(5))))
    return path


def skopeo_delete(address, name, tag):
    """Delete the image of a tag by its digest, as skopeo does."""
    done = _run([program('skopeo'), '--insecure-policy', 'delete', '--tls-verify=false',
                 'docker://%s/%s:%s' % (address, name, tag)], local_environment())
    assert done.returncode == 0, done.stdout + done.stderr


def _run(command, environment):
    return subprocess.run(command, env=environment, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True, timeout=60)
