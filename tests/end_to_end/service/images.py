"""Pushes and deletes of images as docker makes them, by plain HTTP, in milliseconds."""
import hashlib
import json
from urllib.parse import urljoin

import requests

from dev.storage.oci_images import DESCRIPTION

__all__ = ['DESCRIPTION', 'DOCKER', 'OCI', 'TITLE', 'Images', 'digest_of']

OCI = {'manifest': 'application/vnd.oci.image.manifest.v1+json',
       'config': 'application/vnd.oci.image.config.v1+json',
       'layer': 'application/vnd.oci.image.layer.v1.tar',
       'index': 'application/vnd.oci.image.index.v1+json'}
DOCKER = {'manifest': 'application/vnd.docker.distribution.manifest.v2+json',
          'config': 'application/vnd.docker.container.image.v1+json',
          'layer': 'application/vnd.docker.image.rootfs.diff.tar',
          'index': 'application/vnd.docker.distribution.manifest.list.v2+json'}
TITLE = 'org.opencontainers.image.title'


def digest_of(content):
    """Return the digest of bytes."""
    return 'sha256:' + hashlib.sha256(content).hexdigest()


class Images:
    """The images of the registry at `url`, as the user `auth`: a (name, password) pair or None."""

    def __init__(self, url, auth=None):
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.auth = auth

    def push(self, name, tag='latest', labels=None, annotations=None, kinds=OCI, layers=1, **more):
        """Push an image and return its digest. Each tag of a name is another image.

        :param tag: None to push by digest only.
        :param more: further members of the manifest."""
        config = json.dumps({
            'architecture': 'amd64', 'os': 'linux', 'rootfs': {'type': 'layers', 'diff_ids': []},
            'history': [{'comment': '%s:%s:%s' % (name, tag, labels)}],
            'config': {'Labels': labels} if labels is not None else {}}).encode()
        manifest = {'schemaVersion': 2, 'mediaType': kinds['manifest'],
                    'config': dict(self.blob(name, config), mediaType=kinds['config']),
                    'layers': [dict(self.blob(name, b'layer %d of all' % place),
                                    mediaType=kinds['layer']) for place in range(layers)]}
        if annotations is not None:
            manifest['annotations'] = annotations
        return self.put(name, tag, dict(manifest, **more), kinds['manifest'])

    def push_some(self):
        """Push images, one of them deleted and one without a tag; return the names with a tag."""
        names = ['a', 'a-b', 'a/b', 'a/b/c', 'a0', 'z/y']
        for name in names:
            self.push(name)
        self.delete('z/gone', self.push('z/gone'))
        self.push('z/untagged', None)
        return names

    def push_index(self, name, tag, children, annotations=None, kinds=OCI):
        """Push an index of manifests and return its digest.

        :param children: pairs of a digest in `name` and its platform, 'os/architecture' or None."""
        listed = []
        for digest, platform in children:
            body = self.get(name, digest)
            entry = {'mediaType': body.headers['Content-Type'], 'digest': digest,
                     'size': len(body.content)}
            if platform:
                entry['platform'] = dict(zip(('os', 'architecture'), platform.split('/')))
            listed.append(entry)
        index = {'schemaVersion': 2, 'mediaType': kinds['index'], 'manifests': listed}
        if annotations is not None:
            index['annotations'] = annotations
        return self.put(name, tag, index, kinds['index'])

    def blob(self, name, content):
        """Push a blob and return the digest and size of its descriptor."""
        started = self._done(self.session.post('%s/v2/%s/blobs/uploads/' % (self.url, name)))
        place = urljoin(self.url, started.headers['Location'])
        place += '%sdigest=%s' % ('&' if '?' in place else '?', digest_of(content))
        self._done(self.session.put(place, data=content,
                                    headers={'Content-Type': 'application/octet-stream'}))
        return {'digest': digest_of(content), 'size': len(content)}

    def put(self, name, tag, manifest, media_type):
        """Push a manifest (a dict, or bytes) and return its digest."""
        content = manifest if isinstance(manifest, bytes) else json.dumps(manifest).encode()
        url = '%s/v2/%s/manifests/%s' % (self.url, name, tag or digest_of(content))
        self._done(self.session.put(url, data=content, headers={'Content-Type': media_type}))
        return digest_of(content)

    def get(self, name, reference):
        """Return the answer to a GET of a manifest."""
        accepted = ', '.join([OCI['manifest'], OCI['index'], DOCKER['manifest'], DOCKER['index']])
        return self._done(self.session.get('%s/v2/%s/manifests/%s' % (self.url, name, reference),
                                           headers={'Accept': accepted}))

    def tag(self, name, reference, tag):
        """Give an image one more tag."""
        there = self.get(name, reference)
        return self.put(name, tag, there.content, there.headers['Content-Type'])

    def delete(self, name, reference):
        """Delete an image by its digest. Version 3 can also delete a tag."""
        self._done(self.session.delete('%s/v2/%s/manifests/%s' % (self.url, name, reference)))

    def _done(self, answer):
        assert answer.status_code < 300, (answer.request.method, answer.url, answer.status_code,
                                          answer.text[:300])
        return answer
