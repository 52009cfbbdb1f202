"""Complete repositories of a v1 registry, in the form in which docker-registry 0.9.1 stores them.

Runs on Python 2.7 and 3; standard library only.
"""
from __future__ import absolute_import

import hashlib
import io
import json
import tarfile

LAST_UPDATE = 1419984000  # 2014-12-31: images do not depend on the time of their creation


def layer_of(files):
    """Return a layer, an uncompressed tar archive, of files: a dictionary of path to text."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w') as tar:
        for path, text in sorted(files.items()):
            content = text.encode('utf-8')
            member = tarfile.TarInfo(path)
            member.size, member.mtime = len(content), LAST_UPDATE
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


class Image(object):
    """One v1 image: its id, json, layer, checksum and ancestry."""

    def __init__(self, files, command=None, parent=None):
        self.layer = layer_of(files)
        self.parent = parent
        self.id = hashlib.sha256(self.layer + (parent.id.encode() if parent else b'')).hexdigest()
        description = {'id': self.id, 'created': '2014-12-31T00:00:00Z', 'architecture': 'amd64',
                       'os': 'linux', 'docker_version': '1.4.1', 'config': {'Cmd': command},
                       'Size': sum(len(text) for text in files.values())}
        if parent:
            description['parent'] = parent.id
        self.json = json.dumps(description, sort_keys=True).encode('utf-8')

    @property
    def checksum(self):
        """The payload checksum, which a client sends as X-Docker-Checksum-Payload."""
        return 'sha256:' + hashlib.sha256(self.json + b'\n' + self.layer).hexdigest()

    @property
    def ancestry(self):
        """The ids of the images from this image to its first parent."""
        return [self.id] + (self.parent.ancestry if self.parent else [])

    def chain(self):
        """Return the images of the ancestry in the order of a push, the first parent first."""
        return (self.parent.chain() if self.parent else []) + [self]


def image_objects(image):
    """Yield (path, content) of all objects of one image in docker-registry's storage."""
    folder = 'images/%s/' % image.id
    yield folder + 'json', image.json
    yield folder + 'layer', image.layer
    yield folder + 'ancestry', json.dumps(image.ancestry).encode()
    yield folder + '_checksum', json.dumps([image.checksum]).encode()


def repository_objects(name, tags):
    """Yield (path, content) of a repository and its images; `tags` maps a tag to its Image."""
    folder = 'repositories/%s/' % (name if '/' in name else 'library/' + name)
    images = dict((image.id, image) for top in tags.values() for image in top.chain())
    for image in images.values():
        for path_and_content in image_objects(image):
            yield path_and_content
    yield folder + '_index_images', json.dumps([{'id': image.id, 'checksum': image.checksum}
                                                for image in images.values()]).encode()
    client = json.dumps({'last_update': LAST_UPDATE, 'docker_version': '1.4.1',
                         'docker_go_version': 'go1.3.3', 'arch': 'amd64', 'os': 'linux'}).encode()
    for tag, image in tags.items():
        yield folder + 'tag_' + tag, image.id.encode()
        yield folder + 'tag%s_json' % tag, client
        if tag == 'latest':
            yield folder + 'json', client


def put_repository(bucket, storage_path, name, tags):
    """Write a repository and its images into a Bucket, below the registry's `storage_path`."""
    for path, content in repository_objects(name, tags):
        bucket.put('%s/%s' % (storage_path.strip('/'), path), content)


def demonstration():
    """Return the repositories of `make run`: a dictionary of name to {tag: Image}."""
    base = Image({'etc/os-release': 'NAME="Base"\nVERSION="2014.12"\n', 'bin/sh': '#!shell\n'},
                 ['/bin/sh'])

    def release(name, *versions):
        images = [Image({'srv/%s/VERSION' % name: version + '\n'}, ['/srv/%s/start' % name], base)
                  for version in versions]
        return dict(zip(versions, images), latest=images[-1])

    return {
        'library/base': {'latest': base},
        'library/nginx': release('nginx', '1.6.2', '1.7.9'),
        'acme/nginx-proxy': release('nginx-proxy', '0.9'),
        'acme/webshop-frontend': release('webshop-frontend', '3.1', '3.2'),
        'acme/billing-api': release('billing-api', '12', '13'),
        'ops/postgres-backup': release('postgres-backup', '9.3'),
        'data/spark-notebook': release('spark-notebook', '1.2.0'),
    }
