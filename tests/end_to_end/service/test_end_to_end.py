"""The real programs together: skopeo pushes through nginx to the registry, podman and docker
search through nginx at the service."""
import time

import pytest

from dev.servers.dockerd import Dockerd
from dev.servers.nginx import Nginx
from dev.storage import oci_images
from tests.docs import pages
from tests.end_to_end.service.clients import (
    Docker, Podman, skopeo_delete, write_credentials, write_htpasswd)
from tests.end_to_end.service.images import DOCKER, OCI, direct_session
from tests.end_to_end.service.place import Place, needs

pytestmark = needs('docker-registry', 'skopeo', 'podman', 'nginx')
USER, PASSWORD = 'reader', 'a colon: and a space'
LONG = 'Long words, ' + 'and more ' * 7 + 'to the end'
#: Names to descriptions.
WORDS = {'acme/word-%02d' % number: LONG if number % 10 == 7 else '' for number in range(30)}


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place with WORDS and other/words, for podman and docker to search."""
    with Place(dynamodb_local.url, tmp_path_factory.mktemp('words')) as made:
        for name, text in WORDS.items():
            made.images.push(name, text=text, layers=0)
        made.images.push('other/words')
        made.wait_until_found(dict(WORDS, **{'other/words': ''}), seconds=20)
        yield made


def push(place, name, tag='latest', text='', **more):
    oci_images.push(place.address, name, tag, files={'VERSION': '%s:%s' % (name, tag)},
                    labels={oci_images.DESCRIPTION: text}, **more)


def test_the_registry_names_its_api_as_the_readme_states(place):
    header = 'Docker-Distribution-Api-Version'
    answer = direct_session().get(place.registry.url + '/v2/')
    assert '`%s: %s`' % (header, answer.headers[header]) in pages.prose('README.md')


def test_a_push_is_found_within_a_second_by_its_name_and_description(place):
    push(place, 'found/at-once', text='As the label describes')
    ended = time.monotonic()
    for term in 'found/at-once', 'label':
        place.wait_until_found({'found/at-once': 'As the label describes'}, term)
    assert time.monotonic() - ended < 1


@pytest.mark.parametrize('kinds', [OCI, DOCKER], ids=['oci', 'docker'])
def test_an_index_is_found_with_its_description_or_that_of_its_image(place, kinds):
    described = {oci_images.DESCRIPTION: 'In the index'}
    for kind, annotations, text in (('a', {}, 'In a label'), ('b', described, 'In the index')):
        name = 'index/%s-%s' % (kind, 'oci' if kinds is OCI else 'docker')
        digest = place.images.push(name, None, 'In a label', kinds)
        place.images.push_index(name, '1', digest, annotations, kinds)
        place.wait_until_found({name: text}, name)


def test_the_newest_tag_describes_and_the_last_delete_removes(place):
    name, marker = 'second/tags', 'first/after'
    for tag in '1', '2':
        push(place, name, tag, 'Of tag ' + tag)
    place.images.tag(name, '2', 'same')
    place.wait_until_found({name: 'Of tag 2'}, name, 2)
    skopeo_delete(place.address, name, '2')
    assert place.ask('/v2/%s/tags/list' % name).json()['tags'] == ['1'], 'both tags of the image'
    # The registry sends notifications in order.
    place.images.push(marker)
    place.wait_until_found({marker: ''}, marker, 5)
    assert name in place.results(name) and name in place.catalog()
    skopeo_delete(place.address, name, '1')
    assert place.wait_until_found({}, name, 2) < 1
    listed = place.ask('/v2/_catalog?n=1000').json()['repositories']
    assert listed == place.catalog() and len(listed) > len(WORDS)


@pytest.fixture(scope='module')
def closed(dynamodb_local, tmp_path_factory):
    """Addresses of a registry that requires credentials, with True for the one of a service that
    anybody may read."""
    users = write_htpasswd(tmp_path_factory.mktemp('users'), USER, PASSWORD)
    of_registry = {'REGISTRY_AUTH': 'htpasswd', 'REGISTRY_AUTH_HTPASSWD_REALM': 'registry',
                   'REGISTRY_AUTH_HTPASSWD_PATH': users}
    with Place(dynamodb_local.url, tmp_path_factory.mktemp('closed'), None, of_registry,
               (USER, PASSWORD), REGISTRY_USERNAME=USER,
               REGISTRY_PASSWORD=PASSWORD) as made, made.copy(AUTH='none') as copy, Nginx(
                   made.registry.port, copy.port) as nginx:
        push(made, 'acme/secret-thing', text='Behind a password',
             credentials='%s:%s' % (USER, PASSWORD))
        made.wait_until_found({'acme/secret-thing': 'Behind a password'}, seconds=5)
        yield {made.address: False, '127.0.0.1:%d' % nginx.port: True}


@pytest.fixture(scope='module')
def podman(tmp_path_factory):
    return Podman(tmp_path_factory.mktemp('podman'))


@pytest.fixture(scope='module', params=['podman', 'docker'] + ["this machine's docker"] * bool(
    Dockerd.other_cli()))
def client(request, podman):
    if request.param == 'podman':
        return podman
    return Docker(request.getfixturevalue('dockerd'),
                  Dockerd.cli() if request.param == 'docker' else Dockerd.other_cli())


def test_a_search_finds_names_and_whole_descriptions(place, client):
    assert client.search(place.address, 'word-1') == list(WORDS.items())[10:20]
    assert client.search(place.address, 'nothing-of-this-name') == []
    found = client.search(place.address, '', '--limit', '100')
    assert {name for name, _ in found} == set(place.results()), 'no term finds everything'
    for value, count in (('is-official=false', 10), ('is-official=true', 0), ('stars=0', 10),
                         ('stars=1', 0)):
        assert len(client.search(place.address, 'word-1', '--filter', value)) == count


def test_a_limit_is_kept_and_the_default_is_25(place, client):
    for limit, count in (((), 25), (('--limit', '5'), 5), (('--limit', '100'), 31)):
        found = client.search(place.address, 'word', *limit)
        assert [name for name, _ in found] == [*WORDS, 'other/words'][:count]


def test_credentials_are_sent_and_without_them_a_search_needs_auth_none(
        closed, client, tmp_path):
    for address, is_open in closed.items():
        right = write_credentials(tmp_path / 'right', address, USER, PASSWORD)
        wrong = write_credentials(tmp_path / 'wrong', address, USER, 'wrong')
        # podman sends no credentials to /v1/search. If that is refused, it reads the catalog, which
        # has no descriptions.
        text = 'Behind a password' if is_open or isinstance(client, Docker) else ''
        assert client.search(address, 'secret', credentials=right) == [('acme/secret-thing', text)]
        assert len(client.search(address, '', credentials=right)) == 1
        for credentials, is_found in ((None, is_open), (wrong, is_open)):
            done = client.run('search', address + '/secret', credentials=credentials)
            assert (done.returncode == 0) is ('secret-thing' in done.stdout) is is_found
            assert is_found or '401' in done.stderr or 'unauthorized' in done.stderr


def test_podman_shows_short_descriptions_and_ignores_a_tag_in_the_term(place, podman):
    [line] = podman.run('search', place.address + '/word-07:latest').stdout.splitlines()[1:]
    assert line.startswith(place.address + '/acme/word-07 ') and line.endswith('...')


def test_without_the_service_podman_searches_the_catalog_of_the_registry(place, podman):
    """This test is the last one: the service stays stopped."""
    place.service.stop()
    assert podman.search(place.address, 'word-07') == [('acme/word-07', '')]
