"""A Docker client of 2014: pushes, pulls, deletes and searches by the v1 protocol, in the order and
with the headers that docker sends.

https://docs.docker.com/v1.6/reference/api/registry_api/ and
https://docs.docker.com/v1.6/reference/api/docker-io_api/"""
import gzip
import hashlib
from urllib.parse import quote

import requests


class V1Client(object):
    """A client of the registry at `url`.

    Each request has its own connection, so that each of gunicorn's workers gets some, and no worker
    waits for an idle connection when it stops.

    :ivar registry: the server, or None."""

    def __init__(self, url, registry=None):
        self.url, self.registry = url, registry

    def request(self, method, path, headers=None, **arguments):
        """Send a request and return the answer, whatever its status."""
        return requests.request(method, self.url + path,
                                headers=dict(headers or {}, Connection='close'), timeout=60,
                                **arguments)

    def expect(self, statuses, method, path, **arguments):
        """Send a request and return the answer, which has one of these statuses."""
        answer = self.request(method, path, **arguments)
        assert answer.status_code in statuses, '%s %s answered %d: %.300s' % (
            method, path, answer.status_code, answer.text)
        return answer

    def begin_push(self, name, images=()):
        """Announce a push, which is when the registry reports that the repository is created or
        updated; return the headers for what follows."""
        listed = [dict({'id': image.id}, **({'Tag': tag} if tag else {})) for image, tag in images]
        answer = self.expect([200], 'PUT', '/v1/repositories/%s/' % quote(name), json=listed,
                             headers={'X-Docker-Token': 'true'})
        return {'Authorization': 'Token ' + answer.headers['X-Docker-Token']}

    def push(self, name, tags):
        """Push a repository: `tags` maps a tag to its v1_images.Image."""
        images = {image.id: image for top in tags.values() for image in top.chain()}
        tag_of = {image.id: tag for tag, image in tags.items()}
        token = self.begin_push(name, [(image, tag_of.get(image.id)) for image in images.values()])
        checksums = [{'id': image.id, 'checksum': self._push_image(image, token)}
                     for image in images.values()]
        for tag, image in tags.items():
            self.expect([200], 'PUT', '/v1/repositories/%s/tags/%s' % (quote(name), quote(tag)),
                        json=image.id, headers=token)
        self.expect([204], 'PUT', '/v1/repositories/%s/images' % quote(name), json=checksums,
                    headers=dict(token, **{'X-Docker-Endpoints': self.url.split('//')[1]}))

    def _push_image(self, image, token):
        """Push one image unless the registry has it; return its checksum."""
        path = '/v1/images/%s/' % image.id
        layer = gzip.compress(image.layer, mtime=0)
        checksum = 'sha256:' + hashlib.sha256(image.json + b'\n' + layer).hexdigest()
        there = self.expect([200, 404], 'GET', path + 'json', headers=token)
        if there.status_code == 200:
            return checksum
        self.expect([200], 'PUT', path + 'json', data=image.json,
                    headers=dict(token, **{'Content-Type': 'application/json'}))
        # A generator makes requests send chunks, as docker does: it compresses while it sends.
        pieces = (layer[start:start + 100] for start in range(0, len(layer), 100))
        self.expect([200], 'PUT', path + 'layer', data=pieces, headers=token)
        self.expect([200], 'PUT', path + 'checksum',
                    headers=dict(token, **{'X-Docker-Checksum-Payload': checksum}))
        return checksum

    def pull(self, name, tag='latest'):
        """Pull an image; return its layers uncompressed, its own first and those of its parents
        after it."""
        answer = self.expect([200], 'GET', '/v1/repositories/%s/images' % quote(name),
                             headers={'X-Docker-Token': 'true'})
        token = {'Authorization': 'Token ' + answer.headers['X-Docker-Token']}
        tags = self.expect([200], 'GET', '/v1/repositories/%s/tags' % quote(name),
                           headers=token).json()
        ancestry = self.expect([200], 'GET', '/v1/images/%s/ancestry' % tags[tag],
                               headers=token).json()
        return [self._pull_layer(image, token) for image in ancestry]

    def _pull_layer(self, image, token):
        description = self.expect([200], 'GET', '/v1/images/%s/json' % image, headers=token)
        layer = self.expect([200], 'GET', '/v1/images/%s/layer' % image, headers=token).content
        checksum = 'sha256:' + hashlib.sha256(description.content + b'\n' + layer).hexdigest()
        assert checksum in description.headers['X-Docker-Checksum-Payload'], image
        return gzip.decompress(layer) if layer[:2] == b'\x1f\x8b' else layer

    def delete(self, name):
        """Delete a repository."""
        self.expect([200], 'DELETE', '/v1/repositories/%s/' % quote(name))

    def search(self, term, limit=None):
        """Return the results of a search, as the registry orders them: a list of dictionaries."""
        parameters = {'q': term} if limit is None else {'q': term, 'n': str(limit)}
        answer = self.expect([200], 'GET', '/v1/search', params=parameters)
        found = answer.json()
        assert (found['num_results'], found['query']) == (len(found['results']), term), found
        return found['results']

    def names(self, term='', limit=None):
        """Return the names that a search finds; those of all repositories without a term."""
        return [result['name'] for result in self.search(term, limit)]

    def found(self, term=''):
        """Return the names that a search finds, or its status where that is not 200."""
        answer = self.request('GET', '/v1/search', params={'q': term})
        if answer.status_code != 200:
            return answer.status_code
        return [result['name'] for result in answer.json()['results']]
