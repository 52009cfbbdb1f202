"""Pushes and deletes of images as docker makes them, by plain HTTP, in milliseconds."""
import hashlib
import json
from urllib.parse import urljoin

import requests

from dev.storage.oci_images import DESCRIPTION

OCI = {'manifest': 'application/vnd.oci.image.manifest.v1+json',
       'config': 'application/vnd.oci.image.config.v1+json',
       'layer': 'application/vnd.oci.image.layer.v1.tar',
       'index': 'application/vnd.oci.image.index.v1+json'}
DOCKER = {'manifest': 'application/vnd.docker.distribution.manifest.v2+json',
          'config': 'application/vnd.docker.container.image.v1+json',
          'layer': 'application/vnd.docker.image.rootfs.diff.tar',
          'index': 'application/vnd.docker.distribution.manifest.list.v2+json'}


def digest_of(content):
    """Return the digest of bytes."""
    return 'sha256:' + hashlib.sha256(content).hexdigest()


def direct_session(auth=None):
    """Return a session of requests that uses no proxy and no .netrc of this machine."""
    session = requests.Session()
    session.trust_env, session.auth = False, auth
    return session


class Images:
    """The images of the registry at `url`, as the user `auth`: a (name, password) pair or None."""

    def __init__(self, url, auth=None):
        self.url, self.session = url, direct_session(auth)

    def push(self, name, tag='latest', text=None, kinds=OCI, layers=1, annotations=None):
        """Push an image and return its digest. Each tag of a name is another image.

        :param tag: None to push by digest only.
        :param text: its description, in a label; or None.
        :param annotations: of its manifest."""
        config = json.dumps({
            'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': []},
            'history': [{'comment': '%s:%s:%s' % (name, tag, text)}],
            'config': {'Labels': {DESCRIPTION: text}} if text else {}}).encode()
        return self.push_manifest(name, tag, config, [
            b'layer %d of all' % place for place in range(layers)], kinds, annotations)

    def push_manifest(self, name, tag, config, layers=(), kinds=OCI, annotations=None):
        """Push an image or another artifact; config and layers are bytes."""
        manifest = {'schemaVersion': 2, 'mediaType': kinds['manifest'],
                    'config': dict(self.blob(name, config), mediaType=kinds['config']),
                    'layers': [dict(self.blob(name, layer), mediaType=kinds['layer'])
                               for layer in layers]}
        if annotations:
            manifest['annotations'] = annotations
        return self.put(name, tag, json.dumps(manifest).encode(), kinds['manifest'])

    def push_index(self, name, tag, digest, annotations, kinds=OCI):
        """Push an index of one image."""
        index = {'schemaVersion': 2, 'mediaType': kinds['index'], 'annotations': annotations,
                 'manifests': [{'mediaType': kinds['manifest'], 'digest': digest,
                                'size': len(self.get(name, digest).content),
                                'platform': {'os': 'linux', 'architecture': 'amd64'}}]}
        self.put(name, tag, json.dumps(index).encode(), kinds['index'])

    def blob(self, name, content):
        """Push a blob and return the digest and size of its descriptor."""
        started = self._done('POST', name, 'blobs/uploads/')
        place = urljoin(self.url, started.headers['Location'])
        place += '%sdigest=%s' % ('&' if '?' in place else '?', digest_of(content))
        self._done('PUT', name, place, data=content,
                   headers={'Content-Type': 'application/octet-stream'})
        return {'digest': digest_of(content), 'size': len(content)}

    def put(self, name, tag, manifest, media_type):
        """Push a manifest (bytes) and return its digest."""
        self._done('PUT', name, 'manifests/%s' % (tag or digest_of(manifest)), data=manifest,
                   headers={'Content-Type': media_type})
        return digest_of(manifest)

    def get(self, name, reference):
        """Return the answer to a GET of a manifest."""
        accepted = [kinds[kind] for kinds in (OCI, DOCKER) for kind in ('manifest', 'index')]
        return self._done('GET', name, 'manifests/' + reference,
                          headers={'Accept': ', '.join(accepted)})

    def tag(self, name, reference, tag):
        """Give an image one more tag."""
        there = self.get(name, reference)
        self.put(name, tag, there.content, there.headers['Content-Type'])

    def delete(self, name, reference):
        """Delete an image by its digest."""
        self._done('DELETE', name, 'manifests/' + reference)

    def _done(self, method, name, path, **more):
        url = path if path.startswith('http') else '%s/v2/%s/%s' % (self.url, name, path)
        answer = self.session.request(method, url, **more)
        assert answer.status_code < 300, (method, url, answer.status_code, answer.text[:300])
        return answer
