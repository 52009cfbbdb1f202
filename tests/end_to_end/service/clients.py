"""podman and skopeo, run as a user would, without anything of this machine's own settings:
credentials, registries, policies."""
import base64
import contextlib
import hashlib
import json
import os
import subprocess

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.process import ServerError, local_environment
from dev.servers.programs import program
from dev.storage import oci_images

__all__ = ['Podman', 'credentials', 'dockerd_or_skip', 'push_index', 'skopeo_delete']

_INDEX = 'application/vnd.oci.image.index.v1+json'


@contextlib.contextmanager
def dockerd_or_skip():
    """A Docker daemon; a skip where none can start, as in a container whose root may not mount; a
    failure in CI, where one must."""
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
    """podman with folders of its own below `folder`."""

    def __init__(self, folder):
        self._folder = str(folder)
        self.nobody = os.path.join(self._folder, 'nobody.json')
        with open(self.nobody, 'w') as target:
            target.write('{}')

    def run(self, *arguments):
        """Run podman and return subprocess.CompletedProcess."""
        environment = local_environment({'HOME': self._folder, 'XDG_RUNTIME_DIR': self._folder,
                                         'REGISTRY_AUTH_FILE': self.nobody})
        command = [program('podman'), '--root', os.path.join(self._folder, 'root'), '--runroot',
                   os.path.join(self._folder, 'run'), '--storage-driver', 'vfs']
        return subprocess.run(command + list(arguments), env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              universal_newlines=True, timeout=60)

    def search(self, term, *options):
        """Return the results of a search: dictionaries of podman's own JSON."""
        done = self.run('search', '--tls-verify=false', '--format', 'json', *(options + (term,)))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout.strip() else []


def credentials(folder, address, user, password):
    """Write the credentials of a registry as docker and podman keep them; return the path of the
    file, config.json of a folder."""
    path = os.path.join(str(folder), 'config.json')
    with open(path, 'w') as target:
        json.dump(
            {'auths': {address: {
                'auth': base64.b64encode(('%s:%s' % (user, password)).encode()).decode()}}}, target)
    return path


def push_index(address, name, tag, folder, annotations, platforms=('amd64', 'arm64')):
    """Push an OCI index of an image for each platform, with annotations, by skopeo."""
    layout, listed = os.path.join(str(folder), 'layout'), []
    for platform in platforms:
        oci_images.write_layout(layout, {'VERSION': platform})
        with open(os.path.join(layout, 'index.json')) as source:
            listed.append(dict(json.load(source)['manifests'][0],
                               platform={'os': 'linux', 'architecture': platform}))
    content = json.dumps({'schemaVersion': 2, 'mediaType': _INDEX, 'manifests': listed,
                          'annotations': annotations}).encode()
    digest = hashlib.sha256(content).hexdigest()
    for path, written in ((os.path.join('blobs', 'sha256', digest), content),
                          ('index.json',
                           json.dumps({'schemaVersion': 2,
                                       'manifests': [{'mediaType': _INDEX, 'digest': 'sha256:'
                                                      + digest, 'size': len(content)}]}).encode())):
        with open(os.path.join(layout, path), 'wb') as target:
            target.write(written)
    _skopeo('copy', '--all', '--dest-tls-verify=false', 'oci:' + layout,
            'docker://%s/%s:%s' % (address, name, tag))


def skopeo_delete(address, name, tag):
    """Delete what a tag leads to, by its digest, as skopeo does it."""
    _skopeo('delete', '--tls-verify=false', 'docker://%s/%s:%s' % (address, name, tag))


def _skopeo(command, *arguments):
    done = subprocess.run([program('skopeo'), '--insecure-policy', command] + list(arguments),
                          env=local_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, universal_newlines=True, timeout=60)
    assert done.returncode == 0, done.stdout
