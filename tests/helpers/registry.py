"""A registry in the test process, a client of one, and the notifications that registries send."""
import collections.abc
import uuid
from urllib.parse import unquote

from dev.storage.oci_images import DESCRIPTION
from docker_registry_index.service.registry.catalog import Page
from docker_registry_index.service.registry.client import Manifest, RegistryClient, Tags
from docker_registry_index.service.registry.connection import RegistryUnavailable
from tests.helpers.scripted_server import ScriptedServer, error_page, page

DIGEST = 'sha256:' + 'ab' * 32
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
#: A header of each answer of a registry.
API_VERSION = {'Docker-Distribution-Api-Version': 'registry/2.0'}
UNAVAILABLE = RegistryUnavailable('http://127.0.0.1:5000', 'does not answer')


class FakeRegistry(ScriptedServer):
    """A registry whose repositories all have the tag latest.

    :ivar repositories: name to description, or None.
    :ivar late: the names whose tags are not written yet.
    :param content_type: of its JSON: versions 2 and 3 differ in it.
    :ivar trouble: the answer of scripted_server to all requests except /v2/, or None."""

    def __init__(self, repositories=(), content_type='application/json; charset=utf-8'):
        super().__init__()
        self.answers['*'] = self._answer
        # A registry does not read its storage for this.
        self.answers['/v2/_catalog?n=0'] = page({'repositories': []}, **API_VERSION)
        self.repositories, self.late = dict(repositories), set()
        self.content_type = content_type
        self.trouble = None

    def _answer(self, handler):
        path = unquote(handler.path.partition('?')[0])
        if path == '/v2/':
            return page('{}', Content_Type=self.content_type, **API_VERSION)(handler)
        if self.trouble:
            return self.trouble(handler)
        if path == '/v2/_catalog':
            return page({'repositories': sorted(self.repositories)})(handler)
        folder = '/tags/' if path.endswith('/tags/list') else '/manifests/'
        name, _, what = path[len('/v2/'):].rpartition(folder)
        if name not in self.repositories:
            return error_page('NAME_UNKNOWN')(handler)
        if what == 'list':
            return page({'name': name, 'tags': None if name in self.late else ['latest']})(handler)
        if name in self.late and what != DIGEST:
            return error_page('MANIFEST_UNKNOWN')(handler)
        return page(manifest(self.repositories[name]), Content_Type=MANIFEST,
                    Docker_Content_Digest=DIGEST)(handler)


class FakeRegistryClient(RegistryClient):
    """A client of a registry in memory. An answer that is an error is raised.

    :param pages: of the catalog: lists of names.
    :param answers: name, else '*', to its tags, or to an iterator of the answers to the requests
        for them; by default, each repository has the tag 1.
    :param manifests, configs: reference to a document, for all repositories.
    :ivar tagged: tag to whether it exists, which is the default, or to an iterator of that.
    :ivar asked: the name of each request for tags, and the reference of each other request.
    :ivar timeouts: of these requests."""

    def __init__(self, pages=(), answers=(), manifests=(), configs=()):
        self.pages, self.answers = pages, dict(answers)
        self.manifests, self.configs, self.tagged = dict(manifests), dict(configs), {}
        self.asked, self.timeouts = [], []

    def tags(self, name, timeout=None):
        return Tags(self._answer(
            name, self.answers.get(name, self.answers.get('*', ['1'])), timeout))

    def has(self, name, timeout=None):
        return bool(self.tags(name, timeout))

    def has_manifest(self, name, reference, timeout=None):
        return self._answer(reference, self.tagged.get(reference, True), timeout)

    def manifest(self, name, reference, timeout=None):
        return self._answer(reference, self.manifests.get(reference), timeout)

    def whole_manifest(self, name, reference, timeout=None):
        content = self.manifest(name, reference, timeout)
        return None if content is None else Manifest(DIGEST, MANIFEST, content)

    def config(self, name, digest, timeout=None):
        return self._answer(digest, self.configs.get(digest), timeout)

    def catalog(self, place=None):
        return iter([Page(names) for names in self.pages])

    def _answer(self, asked, answer, timeout):
        self.asked.append(asked)
        self.timeouts.append(timeout)
        if isinstance(answer, collections.abc.Iterator):
            answer = next(answer)
        if isinstance(answer, Exception):
            raise answer
        return answer


def manifest(description=None):
    """Return the manifest of an image with this description, or without any."""
    return {'schemaVersion': 2, 'mediaType': MANIFEST,
            'annotations': {DESCRIPTION: description} if description else {}}


def pushed(name, digest=DIGEST, tag='latest', media_type=MANIFEST, action='push', **more):
    """Return the event that Distribution sends after a push."""
    return {'id': str(uuid.uuid4()), 'timestamp': '2026-01-01T00:00:00Z', 'action': action,
            'request': {'method': 'PUT'}, 'actor': {}, 'source': {}, 'target': dict(
                {'mediaType': media_type, 'digest': digest, 'repository': name, 'tag': tag,
                 'url': 'http://registry/'}, **more)}


def deleted(name, digest=DIGEST):
    """Return the event that Distribution sends after a manifest or a blob is deleted."""
    return {'id': str(uuid.uuid4()), 'action': 'delete',
            'target': {'digest': digest, 'repository': name}}
