"""The page of a repository beside the real registry, open and with a token server."""
import json
import re

import pytest

from tests.end_to_end.service.clients import basic, skopeo_tags, write_credentials
from tests.end_to_end.service.images import DOCKER, OCI, digest_of
from tests.end_to_end.service.place import Place, needs
from tests.end_to_end.service.token_server import TokenServer
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx', 'skopeo')
NAME, SECRET = 'acme/app', 'acme/secret-thing'
CATALOG, PASSWORD = 'registry:catalog:*', 'right'
LAYERS = [b'first layer', b'second, longer layer']


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A registry that everybody may read, with an image, an index of two images, and a chart."""
    with Place(dynamodb_local.url, tmp_path_factory.mktemp('storage')) as made:
        yield made


def page_of(place, name=NAME, query='', authorization=None, status=200):
    """Return the page of a repository."""
    headers, answers = {'Authorization': authorization} if authorization else {}, []

    def is_answered():
        answers.append(place.session.get('%s/-/r/%s%s' % (place.service.url, name, query),
                                         headers=headers, timeout=40))
        return answers[-1].status_code != 503
    # On a busy machine, the registry may need longer than a page waits.
    wait_until(is_answered)
    found = answers[-1]
    assert found.status_code == status, found.text
    return found.text


def push_image(place, name, tag, architecture, kinds=OCI):
    """Push an image for a platform and return its digest."""
    return place.images.push_manifest(name, tag, json.dumps({
        'architecture': architecture, 'os': 'linux', 'created': '2026-05-06T07:08:09.123456789Z',
        'config': {'Labels': {'maintainer': 'team@example.com'}}}).encode(), LAYERS, kinds)


@pytest.mark.parametrize('kinds', [OCI, DOCKER])
def test_the_page_shows_what_the_registry_has(place, kinds):
    name = 'acme/' + ('oci' if kinds is OCI else 'docker')
    digests = [push_image(place, name, tag, 'amd64', kinds) for tag in ('1.9', '1.10', None)]
    other = push_image(place, name, None, 'arm64', kinds)
    index = json.dumps({'schemaVersion': 2, 'mediaType': kinds['index'], 'manifests': [
        {'mediaType': kinds['manifest'], 'digest': digest, 'size': 500,
         'platform': {'os': 'linux', 'architecture': architecture}}
        for digest, architecture in ((other, 'arm64'), (digests[0], 'amd64'))]}).encode()
    place.images.put(name, 'latest', index, kinds['index'])
    text = page_of(place, name)
    assert re.findall('<li><a href="[^"]*"[^>]*>([^<]+)', text) == ['latest', '1.10', '1.9']
    assert digest_of(index) in text and kinds['index'] in text
    assert text.index('linux/arm64') < text.index('linux/amd64') and '2026-05-06 07:08' in text
    assert text.count('<td>%d Bytes</td>' % len(b''.join(LAYERS))) == 2
    assert 'maintainer' in text and 'team@example.com' in text
    text = page_of(place, name, '?tag=1.9')
    assert digests[0] in text and kinds['manifest'] in text and 'linux/amd64' in text
    assert other in page_of(place, name, '?tag=' + other)
    page_of(place, name, '?tag=none', status=404)
    page_of(place, 'acme/none', status=404)


def test_many_tags_are_listed_by_version(place):
    digest = push_image(place, 'acme/many', '1.0', 'amd64')
    manifest = place.images.get('acme/many', digest)
    for number in range(1, 120):
        place.images.put('acme/many', '1.%d' % number, manifest.content,
                         manifest.headers['Content-Type'])
    text = page_of(place, 'acme/many')
    assert '120 tags, page 1 of 3' in text and text.index('>1.119<') < text.index('>1.118<')
    assert '>1.7<' not in text and '>1.7<' in page_of(place, 'acme/many', '?filter=.7')
    through_nginx = place.ask('/-/r/acme/many').text
    assert 'docker pull %s/acme/many:1.119<' % place.address in through_nginx


class TestTokenServer:
    """alice may pull everything; bob may search, but pull only one of two repositories."""

    @pytest.fixture(scope='class')
    def closed(self, dynamodb_local, tmp_path_factory):
        folder = tmp_path_factory.mktemp('place')
        with TokenServer(folder, {
                'alice': (PASSWORD, {CATALOG, 'repository:*:pull', 'repository:*:pull,push'}),
                'bob': (PASSWORD, {CATALOG, 'repository:%s:pull' % NAME})}) as server, Place(
                    dynamodb_local.url, tmp_path_factory.mktemp('storage'),
                    registry_settings=server.settings, auth=('alice', PASSWORD),
                    REGISTRY_USERNAME='alice', REGISTRY_PASSWORD=PASSWORD) as place:
            token = server.token('alice', *('repository:%s:pull,push' % name
                                            for name in (NAME, SECRET)))
            place.images.session.auth = None
            place.images.session.headers['Authorization'] = 'Bearer ' + token
            place.session.auth = None
            for name in NAME, SECRET:
                push_image(place, name, '1.10', 'amd64')
            place.tokens, place.folder = server, folder
            yield place

    def test_a_visitor_sees_what_this_visitor_may_pull(self, closed):
        alice, bob = basic('alice', PASSWORD), basic('bob', PASSWORD)
        for name, authorization, status in (
                (NAME, alice, 200), (SECRET, alice, 200), (NAME, bob, 200), (SECRET, bob, 403),
                (NAME, None, 401), (NAME, basic('alice', 'wrong'), 401), (NAME, 'Bearer x', 401),
                (SECRET, 'Bearer ' + closed.tokens.token('bob', CATALOG), 403)):
            for query in '', '?tag=1.10', '?tag=' + 'sha256:' + 64 * '0':
                expected = 404 if status == 200 and query.endswith('0' * 64) else status
                text = page_of(closed, name, query, authorization, expected)
                assert ('team@example.com' in text) is (expected == 200)
                assert ('>1.10</a>' in text) is (status == 200), 'the tags'
        text = page_of(closed, 'acme/nothing-here', '', bob, 403)
        assert text.replace('acme/nothing-here', SECRET) == page_of(
            closed, SECRET, '', bob, 403), 'does not reveal what exists'

    def test_a_visitor_who_may_not_read_here_may_not_with_skopeo(self, closed):
        for name, user, is_right in (NAME, 'bob', True), (SECRET, 'bob', False):
            credentials = write_credentials(closed.folder / user, closed.address, user, PASSWORD)
            done = skopeo_tags(closed.address, name, credentials)
            assert (done.returncode == 0) is is_right, done.stderr

    def test_no_password_is_sent_to_the_registry(self, closed):
        page_of(closed, NAME, '?tag=1.10', basic('bob', PASSWORD))
        lines = [line for line in closed.registry.log_text().splitlines()
                 if 'docker-registry-index' in line and ' - - [' not in line]
        assert not [line for line in lines if ' - bob [' in line or ' - alice [' in line]
