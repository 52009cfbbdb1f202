"""Small images for a registry v2, which are written as OCI layouts and pushed with skopeo.

https://github.com/opencontainers/image-spec/blob/main/image-layout.md
Runs on Python 3; standard library only.
"""
import gzip
import hashlib
import json
import os
import subprocess
import tempfile

from dev.servers.process import local_environment
from dev.servers.programs import program
from dev.storage.v1_images import layer_of

__all__ = ['DESCRIPTION', 'PushError', 'demonstration', 'push', 'write_layout']

DESCRIPTION = 'org.opencontainers.image.description'
_OCI = 'application/vnd.oci.image.%s+json'
_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip'


class PushError(Exception):
    """Raised if skopeo cannot push; the message contains that of skopeo."""


def write_layout(folder, files, labels=None, annotations=None):
    """Write an image as an OCI layout into `folder`, which is created.

    files: a dictionary of path to text. labels: those of its configuration, as LABEL in a
    Dockerfile. annotations: those of its manifest.
    """
    layer = layer_of(files)
    packed = gzip.compress(layer, mtime=0)
    config = {'architecture': 'amd64', 'os': 'linux', 'config': {'Labels': labels or {}},
              'rootfs': {'type': 'layers', 'diff_ids': [_digest(layer)]},
              'history': [{'created_by': 'COPY'}]}
    manifest = {'schemaVersion': 2, 'mediaType': _OCI % 'manifest.v1', 'annotations': annotations
                or {}, 'config': _blob(folder, _json(config), _OCI % 'config.v1'),
                'layers': [_blob(folder, packed, _LAYER)]}
    index = {'schemaVersion': 2,
             'manifests': [_blob(folder, _json(manifest), _OCI % 'manifest.v1')]}
    _write(folder, 'index.json', _json(index))
    _write(folder, 'oci-layout', _json({'imageLayoutVersion': '1.0.0'}))


def _digest(content):
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def _json(value):
    return json.dumps(value, sort_keys=True).encode()


def _blob(folder, content, media_type):
    """Write a blob and return its descriptor."""
    _write(os.path.join(folder, 'blobs', 'sha256'), hashlib.sha256(content).hexdigest(), content)
    return {'mediaType': media_type, 'digest': _digest(content), 'size': len(content)}


def _write(folder, name, content):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as target:
        target.write(content)


def push(address, name, tag='latest', **image):
    """Push an image with skopeo to `name`:`tag` of the registry at `address`; raise PushError if
    skopeo fails.

    address: host:port, plain HTTP. image: the arguments of write_layout(), and credentials:
    'user:password'.
    """
    credentials = image.pop('credentials', None)
    with tempfile.TemporaryDirectory() as folder:
        layout = os.path.join(folder, 'layout')
        write_layout(layout, **image)
        # --insecure-policy: the signature policy of the machine does not matter here. An empty file
        # of credentials: those of the user are not sent.
        _write(folder, 'auth.json', b'{}')
        command = [program('skopeo'), '--insecure-policy', 'copy', '--quiet',
                   '--dest-tls-verify=false', '--dest-authfile', os.path.join(folder, 'auth.json')]
        _run(command + (['--dest-creds', credentials] if credentials else [])
             + ['oci:' + layout, 'docker://%s/%s:%s' % (address, name, tag)])


def _run(command):
    done = subprocess.run(command, env=local_environment(), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True,
                          timeout=120)
    if done.returncode:
        raise PushError('skopeo cannot push to %s: %s' % (command[-1], done.stdout.strip()))


def demonstration():
    """Return two lists of images for `make run-service`: those to push before the start of the
    service, and those to push after it. Each image is a dictionary of push()'s arguments."""
    def image(name, tag, description=None):
        files = {'srv/%s/VERSION' % name.split('/')[-1]: tag + '\n'}
        return {'name': name, 'tag': tag, 'files': files, 'labels': {DESCRIPTION: description}
                if description else None}

    before = [
        image('library/nginx', '1.27', 'The web server, with our modules'),
        image('acme/webshop', '3.2', 'The web shop: everything behind the buy button'),
        image('acme/billing-api', '13'),
        image('ops/postgres-backup', '16.4', 'Nightly dumps to S3'),
    ]
    after = [
        image('acme/nginx-proxy', '0.9', 'TLS and rate limits in front of the web shop'),
        image('data/spark-notebook', '3.5', 'Notebooks on the cluster'),
        image('platform/ingress/nginx-ingress', '1.11'),
    ]
    return before, after
