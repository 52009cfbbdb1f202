"""A registry in the test process, and the notifications that registries send."""
import uuid
from urllib.parse import unquote

from dev.storage.oci_images import DESCRIPTION
from tests.helpers.scripted_server import ScriptedServer, error_page, page

DIGEST = 'sha256:' + 'ab' * 32
MANIFEST = 'application/vnd.oci.image.manifest.v1+json'


class FakeRegistry(ScriptedServer):
    """A registry whose repositories all have the tag latest.

    :ivar repositories: name to description, or None.
    :param content_type: of its JSON: versions 2 and 3 differ in it.
    :ivar trouble: the answer of scripted_server to all requests except /v2/, or None."""

    def __init__(self, repositories=(), content_type='application/json; charset=utf-8'):
        super().__init__()
        self.answers['*'] = self._answer
        self.repositories = dict(repositories)
        self.content_type = content_type
        self.trouble = None

    def _answer(self, handler):
        path = unquote(handler.path.partition('?')[0])
        if path == '/v2/':
            return page('{}', Content_Type=self.content_type)(handler)
        if self.trouble:
            return self.trouble(handler)
        if path == '/v2/_catalog':
            return page({'repositories': sorted(self.repositories)})(handler)
        folder = '/tags/' if path.endswith('/tags/list') else '/manifests/'
        name, _, what = path[len('/v2/'):].rpartition(folder)
        if name not in self.repositories:
            return error_page('NAME_UNKNOWN')(handler)
        if what == 'list':
            return page({'name': name, 'tags': ['latest']})(handler)
        text = self.repositories[name]
        return page({'schemaVersion': 2, 'mediaType': MANIFEST,
                     'annotations': {DESCRIPTION: text} if text else {}},
                    Content_Type=MANIFEST)(handler)


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
