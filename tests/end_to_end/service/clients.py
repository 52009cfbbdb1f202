"""podman, skopeo and docker, run as a user would, without this machine's own settings."""
import base64
import contextlib
import json
import os
import subprocess

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.process import ServerError, local_environment
from dev.servers.programs import program

__all__ = ['Podman', 'credentials', 'dockerd_or_skip', 'skopeo_delete']


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


class Podman:
    """podman with folders of its own below `folder`, and without credentials."""

    def __init__(self, folder):
        self._folder = str(folder)
        self._nobody = os.path.join(self._folder, 'nobody.json')
        with open(self._nobody, 'w') as target:
            target.write('{}')

    def run(self, *arguments):
        """Run podman and return subprocess.CompletedProcess."""
        environment = local_environment({'HOME': self._folder, 'XDG_RUNTIME_DIR': self._folder,
                                         'REGISTRY_AUTH_FILE': self._nobody})
        return _run([program('podman'), '--root', os.path.join(self._folder, 'root'), '--runroot',
                     os.path.join(self._folder, 'run'), '--storage-driver', 'vfs', *arguments],
                    environment)

    def search(self, term, *options):
        """Return the results of a search: dictionaries of podman's own JSON."""
        done = self.run('search', '--tls-verify=false', '--format', 'json', *options, term)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else []


def credentials(folder, address, user, password):
    """Write credentials of a registry as docker and podman keep them; return the path of the file,
    config.json of a folder."""
    path = os.path.join(str(folder), 'config.json')
    auth = base64.b64encode(('%s:%s' % (user, password)).encode()).decode()
    with open(path, 'w') as target:
        json.dump({'auths': {address: {'auth': auth}}}, target)
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
