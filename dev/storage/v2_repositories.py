"""Repositories of a registry v2 or v3 in an S3 bucket, as if CNCF Distribution had written them.

Each has one image of one layer. Runs on Python 3; standard library only.
"""
import concurrent.futures
import hashlib
import json

from dev.servers.registry_v2 import s3_storage
from dev.servers.service import s3_source
from dev.storage.s3 import Bucket

__all__ = ['ROOT', 'RegistryBucket', 'names']

ROOT = '/registry'
_V2 = ROOT.strip('/') + '/docker/registry/v2/'
_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
_AT_ONCE = 4


def names(count):
    """Return `count` names in three namespaces, in the order of a registry's catalog."""
    return sorted(('team%d/app%d' % (number % 3, number) for number in range(count)),
                  key=lambda name: name.replace('/', '\0'))


class RegistryBucket(Bucket):
    """A new bucket of the S3 at `url`, which fill() fills with repositories.

    All repositories have the same image. A repository with one tag has 5 objects, and 2 more for
    each further tag. The bucket itself has 3 objects.
    """

    def __init__(self, url, tags=1):
        super().__init__(url)
        self.tags = ['latest'] + ['v%d' % number for number in range(1, tags)]
        self._layer = self._blob(b'a layer')
        self._config = self._blob(json.dumps({'architecture': 'amd64', 'os': 'linux',
                                              'config': {}}).encode())
        self._manifest = self._blob(json.dumps({
            'schemaVersion': 2, 'mediaType': _MANIFEST,
            'config': dict(self._config, mediaType='application/vnd.oci.image.config.v1+json'),
            'layers': [dict(self._layer,
                            mediaType='application/vnd.oci.image.layer.v1.tar')]}).encode())

    def fill(self, repositories):
        """Write these repositories, and return the bucket."""
        with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
            for _ in pool.map(self._push, repositories):
                pass
        return self

    def storage(self, url):
        """Return the registry's storage settings for the bucket, through the S3 at `url`."""
        # Without the walk over all uploads that a registry begins within its first hour.
        return dict(s3_storage(url, self.name, ROOT),
                    maintenance={'uploadpurging': {'enabled': False}})

    def source(self, url):
        """Return the service's variables for the bucket, through the S3 at `url`."""
        return s3_source(url, self.name, ROOT)

    def _push(self, name):
        folder, digest = '%srepositories/%s/' % (_V2, name), self._manifest['digest']
        links = [('_layers/%s' % _digest_path(blob), blob['digest'])
                 for blob in (self._config, self._layer)]
        links += [('_manifests/revisions/' + _digest_path(self._manifest), digest)]
        for tag in self.tags:
            links += [('_manifests/tags/%s/%s' % (tag, last), digest)
                      for last in ('current', 'index/' + _digest_path(self._manifest))]
        for path, text in links:
            self.put('%s%s/link' % (folder, path), text.encode())

    def _blob(self, content):
        """Write a blob, and return its descriptor without the media type."""
        number = hashlib.sha256(content).hexdigest()
        self.put('%sblobs/sha256/%s/%s/data' % (_V2, number[:2], number), content)
        return {'digest': 'sha256:' + number, 'size': len(content)}


def _digest_path(blob):
    return blob['digest'].replace(':', '/')
