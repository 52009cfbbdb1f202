"""podman, skopeo, crane and docker, run as a user would, without this machine's own settings."""
import base64
import json
import os
import subprocess

import bcrypt

from dev.servers.process import local_environment
from dev.servers.programs import program


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
        return _run('podman', '--root', os.path.join(self._folder, 'root'), '--runroot',
                    os.path.join(self._folder, 'run'), '--storage-driver', 'vfs', command,
                    '--tls-verify=false', *arguments, HOME=self._folder,
                    XDG_RUNTIME_DIR=self._folder, REGISTRY_AUTH_FILE=credentials or self._nobody)


class Docker(_Client):
    """A docker command, `cli`, against a Dockerd."""

    def __init__(self, daemon, cli):
        self._daemon, self._cli = daemon, cli

    def run(self, *arguments, credentials=None):
        """Run docker and return subprocess.CompletedProcess."""
        return self._daemon.docker(*arguments, cli=self._cli, configuration=credentials
                                   and os.path.dirname(credentials))


def crane_catalog(address, credentials=None):
    """Return the subprocess.CompletedProcess of crane, which lists the catalog."""
    return _run('crane', 'catalog', '--insecure', address,
                DOCKER_CONFIG=os.path.dirname(credentials or '/nowhere/config.json'))


def skopeo_tags(address, name, credentials=None):
    """Return the subprocess.CompletedProcess of skopeo, which lists the tags of a repository."""
    return _run('skopeo', 'list-tags', '--tls-verify=false', *(
        ['--authfile', credentials] if credentials else ['--no-creds']),
        'docker://%s/%s' % (address, name))


def basic(user, password):
    """Return the value of a header Authorization."""
    return 'Basic ' + base64.b64encode(('%s:%s' % (user, password)).encode()).decode()


def write_credentials(folder, address, user, password):
    """Write credentials of a registry as docker and podman keep them; return the path."""
    os.makedirs(str(folder), exist_ok=True)
    path = os.path.join(str(folder), 'config.json')
    with open(path, 'w') as target:
        json.dump({'auths': {address: {'auth': basic(user, password)[len('Basic '):]}}}, target)
    return path


def write_htpasswd(folder, user, password):
    """Write the file of users of a registry; return its path."""
    path = os.path.join(str(folder), 'htpasswd')
    with open(path, 'w') as target:
        target.write('%s:%s\n' % (user, bcrypt.hashpw(password.encode(),
                                                      bcrypt.gensalt(4)).decode()))
    return path


def skopeo_delete(address, name, tag):
    """Delete the image of a tag by its digest, as skopeo does."""
    done = _run('skopeo', '--insecure-policy', 'delete', '--tls-verify=false',
                'docker://%s/%s:%s' % (address, name, tag))
    assert done.returncode == 0, done.stdout + done.stderr


def _run(name, *arguments, **variables):
    return subprocess.run([program(name), *arguments], env=local_environment(variables),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
