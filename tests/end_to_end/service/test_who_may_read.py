"""Who may search and read the catalog: the real clients against a real registry that asks nobody,
one with an htpasswd file, one with a token server, and one behind an nginx that checks passwords.

docs/access.md has a table of what the clients show."""
import contextlib
import time

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.nginx import Nginx
from dev.servers.registry_v2 import Distribution
from tests.docs import pages
from tests.end_to_end.service.clients import (
    Docker, Podman, basic, crane_catalog, skopeo_tags, write_credentials, write_htpasswd)
from tests.end_to_end.service.images import Images, direct_session
from tests.end_to_end.service.nginx_recipe import PASSWORD, USER, ReadmeNginx
from tests.end_to_end.service.place import Place, needs
from tests.end_to_end.service.token_server import TokenServer

pytestmark = needs('docker-registry', 'skopeo', 'podman', 'nginx')
NAME, TEXT = 'acme/secret-thing', 'Behind a password'
CATALOG, PULL = 'registry:catalog:*', 'repository:*:pull'
KINDS = ['no authentication', 'htpasswd in the registry', 'token server', '`auth_basic` in nginx']
OPEN, HTPASSWD, TOKENS, NGINX = KINDS
CLOSED = KINDS[1:]


@pytest.fixture(scope='module')
def storage(tmp_path_factory):
    """The storage of a registry with one image, which all registries share."""
    folder = tmp_path_factory.mktemp('storage')
    with Distribution(folder) as registry:
        Images(registry.url).push(NAME, text=TEXT)
    return folder


@contextlib.contextmanager
def started(kind, dynamodb, storage, folder):
    """Start a place of a kind; its user is USER with PASSWORD."""
    with contextlib.ExitStack() as running:
        of_registry, nginx_class, settings = {}, Nginx, {}
        if kind == HTPASSWD:
            of_registry = {
                'REGISTRY_AUTH': 'htpasswd', 'REGISTRY_AUTH_HTPASSWD_REALM': 'its own',
                'REGISTRY_AUTH_HTPASSWD_PATH': write_htpasswd(folder, USER, PASSWORD)}
        elif kind == TOKENS:
            server = running.enter_context(TokenServer(folder, {
                USER: (PASSWORD, {CATALOG, PULL}), 'puller': (PASSWORD, {PULL})}))
            of_registry = server.settings
        elif kind == NGINX:
            nginx_class = ReadmeNginx
        if of_registry:
            settings = {'REGISTRY_USERNAME': USER, 'REGISTRY_PASSWORD': PASSWORD}
        place = running.enter_context(Place(
            dynamodb, storage, registry_settings=of_registry, auth=(USER, PASSWORD),
            nginx_class=nginx_class, **settings))
        place.kind, place.folder = kind, folder
        place.tokens = server if kind == TOKENS else None
        place.right = None if kind == OPEN else write_credentials(
            folder / 'right', place.address, USER, PASSWORD)
        place.wait_until_found({NAME: TEXT}, seconds=20)
        yield place


@pytest.fixture(scope='module')
def places(dynamodb_local, storage, tmp_path_factory):
    """Return a function of a kind, which starts its place once."""
    made = {}
    with contextlib.ExitStack() as running:
        def place_of(kind):
            if kind not in made:
                made[kind] = running.enter_context(started(
                    kind, dynamodb_local.url, storage, tmp_path_factory.mktemp('place')))
            return made[kind]
        yield place_of


@pytest.fixture(scope='module')
def podman(tmp_path_factory):
    return Podman(tmp_path_factory.mktemp('podman'))


@pytest.fixture(scope='module')
def docker(dockerd):
    return Docker(dockerd, Dockerd.cli())


def cell(client, kind):
    """Return what docs/access.md states that a client shows."""
    header = '| Client | %s |' % ' | '.join(KINDS)
    assert header in pages.read('docs/access.md')
    [row] = [row for row in pages.table('docs/access.md', 'Client') if row[0] == client]
    return row[1 + KINDS.index(kind)]


def wrong_credentials(place):
    """Return None, and the path of wrong credentials."""
    return [None, write_credentials(place.folder / 'wrong', place.address, USER, 'wrong')]


@pytest.mark.parametrize('kind', KINDS)
def test_docker_shows_names_and_descriptions_to_those_with_credentials(places, docker, kind):
    place = places(kind)
    assert cell('`docker search`', kind) == 'names, descriptions'
    assert docker.search(place.address, 'secret', credentials=place.right) == [(NAME, TEXT)]
    for credentials in wrong_credentials(place) if kind in CLOSED else ():
        done = docker.run('search', place.address + '/secret', credentials=credentials)
        assert done.returncode and '401' in done.stderr and 'secret-thing' not in done.stdout


@pytest.mark.parametrize('kind', KINDS)
def test_podman_falls_back_to_the_catalog_with_its_credentials(places, podman, kind):
    place = places(kind)
    expected = [(NAME, TEXT)] if kind == OPEN else [(NAME, '')]
    assert cell('`podman search`', kind) == (
        'names, descriptions' if kind == OPEN else 'names')
    assert podman.search(place.address, 'secret', credentials=place.right) == expected
    for credentials in wrong_credentials(place) if kind in CLOSED else ():
        done = podman.run('search', place.address + '/secret', credentials=credentials)
        assert done.returncode and 'secret-thing' not in done.stdout


@needs('crane')
@pytest.mark.parametrize('kind', KINDS)
def test_crane_lists_the_catalog(places, kind):
    place = places(kind)
    done = crane_catalog(place.address, place.right)
    assert (done.returncode, done.stdout) == (0, NAME + '\n'), done.stderr
    assert cell('`crane catalog`', kind) == 'names'
    for credentials in wrong_credentials(place) if kind in CLOSED else ():
        done = crane_catalog(place.address, credentials)
        assert done.returncode and 'secret-thing' not in done.stdout


@pytest.mark.parametrize('kind', KINDS)
def test_skopeo_lists_tags_and_does_not_reach_the_service(places, kind):
    place = places(kind)
    before = place.service.log_text().count('HTTP/1.1"')
    done = skopeo_tags(place.address, NAME, place.right)
    assert done.returncode == 0 and '"latest"' in done.stdout, done.stderr
    assert cell('`skopeo`', kind) == 'tags'
    for credentials in wrong_credentials(place) if kind in CLOSED else ():
        assert skopeo_tags(place.address, NAME, credentials).returncode
    assert place.service.log_text().count('HTTP/1.1"') == before


def ask(place, path, authorization, url=None):
    """Return the answer to a GET with this header Authorization, or without any."""
    headers = {'Authorization': authorization} if authorization else {}
    return direct_session().get((url or place.nginx.url) + path, headers=headers, timeout=40)


@pytest.mark.parametrize('kind', CLOSED)
def test_without_credentials_no_name_is_shown(places, kind):
    place = places(kind)
    for path in '/v1/search?q=', '/v1/search?q=secret', '/v2/_catalog', '/v2/_catalog?n=1':
        for authorization in None, basic(USER, 'wrong'), basic('', ''), 'Bearer x', 'Basic !':
            answer = ask(place, path, authorization)
            assert answer.status_code == 401 and 'secret-thing' not in answer.text, path


class TestTokenServer:
    """A user who may pull, but has no right to the catalog."""

    def test_podman_shows_nothing(self, places, podman):
        place = places(TOKENS)
        puller = write_credentials(place.folder / 'puller', place.address, 'puller', PASSWORD)
        done = podman.run('search', place.address + '/secret', credentials=puller)
        assert done.returncode and 'secret-thing' not in done.stdout

    def test_the_service_refuses_the_catalog_as_the_registry_does(self, places):
        place = places(TOKENS)
        for authorization in None, 'Bearer ' + place.tokens.token('puller', CATALOG), 'Bearer x':
            ours, its = [ask(place, '/v2/_catalog', authorization, url)
                         for url in (place.service.url, place.registry.url)]
            assert ours.status_code == its.status_code == 401 and ours.content == its.content
            assert ours.headers['WWW-Authenticate'] == its.headers['WWW-Authenticate']
        assert ask(place, '/v1/search?q=secret', basic('puller', PASSWORD)).status_code == 401

    def test_a_scope_of_a_repository_lets_those_search_who_may_pull_it(self, places):
        place, scope = places(TOKENS), 'repository:%s:pull' % NAME
        with place.copy(AUTH_SCOPE=scope) as copy:
            for authorization, status in (
                    (basic('puller', PASSWORD), 200), (basic('puller', 'wrong'), 401),
                    ('Bearer ' + place.tokens.token('puller', scope), 200),
                    ('Bearer ' + place.tokens.token('puller', 'repository:other:pull'), 401),
                    ('Bearer ' + place.tokens.token('puller'), 401)):
                answer = ask(place, '/v1/search?q=secret', authorization, copy.url)
                assert answer.status_code == status, authorization

    def test_a_service_that_asks_itself_notices_it_at_once(self, places):
        place = places(TOKENS)
        # On tables of its own: these belong to the registry at its other address.
        with place.copy(REGISTRY_URL=place.nginx.url, DYNAMODB_DATABASE='itself') as copy:
            began = time.monotonic()
            answer = ask(place, '/v1/search?q=secret', basic(USER, PASSWORD), copy.url)
            assert answer.status_code == 503 and time.monotonic() - began < 4
            assert 'is the address of this service itself' in copy.log_text()
            assert 'that REGISTRY_URL is its address' in copy.log_text()

    def test_no_password_is_sent_to_the_registry(self, places):
        place = places(TOKENS)
        assert 'secret-thing' in place.ask('/v1/search?q=secret').text
        # In this form, the registry logs the user of Basic credentials, or else a hyphen.
        lines = [line for line in place.registry.log_text().splitlines()
                 if ' - - [' in line or ' - %s [' % USER in line]
        ours = [line for line in lines if 'docker-registry-index' in line]
        assert ours and not any(USER in line for line in ours)
