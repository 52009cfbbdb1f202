"""The real programs together: skopeo pushes through nginx to the registry, podman and docker
search through nginx at the service."""
import json
import os
import time

import bcrypt
import pytest

from dev.servers.dockerd import Dockerd
from dev.storage import oci_images
from tests.end_to_end.service.clients import Podman, credentials, dockerd_or_skip, skopeo_delete
from tests.end_to_end.service.images import DESCRIPTION, TITLE
from tests.end_to_end.service.place import Bucket, Files, Place, wait_until
from tests.end_to_end.service.programs import needs

pytestmark = needs('docker-registry', 'skopeo', 'podman', 'nginx')
needs_dockerd = pytest.mark.skipif(bool(Dockerd.missing()) and not os.environ.get('CI'),
                                   reason=str(Dockerd.missing()))

USER, PASSWORD = 'reader', 'a colon: and a space'


WORDS = ['acme/word-%02d' % number for number in range(50)]


@pytest.fixture(scope='module')
def words(dynamodb_local, tmp_path_factory):
    """A place on the filesystem, with 51 repositories for podman and docker to search."""
    with Place(dynamodb_local.url, Files(tmp_path_factory.mktemp('words'))) as made:
        for name in WORDS:
            text = {DESCRIPTION: 'Long words of %s, %s' % (name, 'and more ' * 7)}
            made.images.push(name, layers=0, labels=text if name[-1] == '7' else None)
        made.images.push('other/thing', '1')
        made.images.push('other/thing', '2')
        made.wait_until_found('other/thing', *WORDS, seconds=20)
        yield made


@pytest.fixture(scope='module')
def place(dynamodb_local, ministack):
    """A place on S3; each test pushes names of its own."""
    with Place(dynamodb_local.url, Bucket(ministack.url)) as made:
        yield made


@pytest.fixture(scope='module')
def podman(tmp_path_factory):
    return Podman(tmp_path_factory.mktemp('podman'))


@pytest.fixture(scope='module')
def dockerd():
    with dockerd_or_skip() as daemon:
        yield daemon


def push(place, name, tag='latest', **image):
    """Push by skopeo; return the moment of its end."""
    oci_images.push(place.address, name, tag, files={'VERSION': '%s:%s' % (name, tag)}, **image)
    return time.monotonic()


class TestPushes:
    def test_a_push_is_found_by_the_next_search(self, place):
        seconds = []
        for number in range(2):
            name, label = 'found/at-once-%d' % number, 'The words of %d' % number
            ended = push(place, name, labels={DESCRIPTION: label})
            found = place.found(name)
            place.wait_until_found(name, term=name)
            seconds.append(time.monotonic() - ended)
            assert place.found(name) == {name: label}
            assert place.found('words of %d' % number) == {name: label}
        print('\nfound %.3f to %.3f s after the end of skopeo; the very first search found %s'
              % (min(seconds), max(seconds), bool(found)))
        assert max(seconds) < 1

    @pytest.mark.parametrize('labels, annotations, expected', [
        ({DESCRIPTION: 'label', TITLE: 'label title'}, {TITLE: 'annotation title'}, 'label'),
        ({TITLE: 'label title'}, {DESCRIPTION: 'annotation'}, 'annotation'), ({}, {}, '')])
    def test_the_description_is_that_of_annotations_or_labels(
            self, place, labels, annotations, expected):
        name = 'described/as-%s' % (expected or 'nothing')
        push(place, name, labels=labels, annotations=annotations)
        place.wait_until_found(name, term=name)
        assert place.found(name) == {name: expected}

    def test_an_index_of_several_platforms_is_found_with_its_description(self, place):
        name = 'several/platforms'
        children = [(place.images.push(name, None, labels={'platform': platform}), platform)
                    for platform in ('linux/amd64', 'linux/arm64')]
        place.images.push_index(name, '1', children, {DESCRIPTION: 'For two platforms'})
        wait_until(lambda: place.found('several'), 'the description of the index is not found', 2,
                   place.service, {name: 'For two platforms'})

    def test_the_newest_tag_describes_and_the_last_delete_removes(self, place):
        name = 'second/tags'
        push(place, name, '1', labels={DESCRIPTION: 'one'})
        push(place, name, '2', labels={DESCRIPTION: 'two'})
        wait_until(lambda: place.found(name), 'the second tag does not describe', 2, place.service,
                   {name: 'two'})
        skopeo_delete(place.address, name, '2')
        _events_are_over(place)
        assert name in place.found(name) and name in place.catalog()
        skopeo_delete(place.address, name, '1')
        gone = wait_until(lambda: place.found(name), 'its last tag is deleted, and it is found', 2,
                          place.service, {})
        assert name not in place.ask('/v2/_catalog?n=1000').json()['repositories']
        print('\ngone %.3f s after the end of skopeo' % gone)
        assert gone < 1

    def test_a_delete_of_one_image_removes_both_of_its_tags(self, place):
        name = 'same/image'
        digest = place.images.push(name, '1')
        place.images.tag(name, digest, '2')
        place.wait_until_found(name, term=name, seconds=2)
        skopeo_delete(place.address, name, '1')
        assert place.ask('/v2/%s/tags/list' % name).json().get('tags') in (None, [])
        wait_until(lambda: place.found(name), 'it has no tag any more, and is still found', 2,
                   place.service, {})

    def test_the_catalog_is_equal_to_that_of_the_registry(self, place):
        _events_are_over(place)
        ours, page = [], '/v2/_catalog?n=3'
        while page:
            answer = place.ask(page)
            ours += answer.json()['repositories']
            page = answer.links.get('next', {}).get('url')
        assert ours == place.catalog() and len(ours) > 6


def _events_are_over(place):
    """Wait for a push that comes after all others: the registry sends them in order."""
    name = 'marks/the-end-%d' % time.monotonic_ns()
    place.images.push(name)
    place.wait_until_found(name, term=name, seconds=5)


def htpasswd(folder):
    path = os.path.join(str(folder), 'htpasswd')
    with open(path, 'wb') as target:
        target.write(USER.encode() + b':' + bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(5))
                     + b'\n')
    return path


@pytest.fixture(scope='module', params=['users only', 'anonymous read'])
def closed(request, dynamodb_local, tmp_path_factory):
    """A place whose registry requires credentials."""
    users = htpasswd(tmp_path_factory.mktemp('users'))
    with Place(dynamodb_local.url,
               Files(tmp_path_factory.mktemp('closed')),
               {'REGISTRY_AUTH': 'htpasswd', 'REGISTRY_AUTH_HTPASSWD_REALM': 'registry',
                'REGISTRY_AUTH_HTPASSWD_PATH': users}, (USER, PASSWORD), HTPASSWD=users,
               REGISTRY_USERNAME=USER, REGISTRY_PASSWORD=PASSWORD, ANONYMOUS_READ='true'
               if request.param == 'anonymous read' else None) as made:
        made.is_open = request.param == 'anonymous read'
        oci_images.push(made.address, 'acme/secret-thing', files={'VERSION': '1'},
                        labels={DESCRIPTION: 'Behind a password'},
                        credentials='%s:%s' % (USER, PASSWORD))
        made.images.push('acme/other')
        made.wait_until_found('acme/secret-thing', 'acme/other', seconds=5)
        yield made


class TestPodman:
    def test_a_search_finds_names_and_descriptions(self, words, podman):
        found = podman.search(words.address + '/word-1')
        assert [each['Name'] for each in found] == [
            '%s/%s' % (words.address, name) for name in WORDS[10:20]]
        assert found[7]['Description'].startswith('Long words of acme/word-17, and more')
        assert found[0]['Description'] == ''

    @pytest.mark.parametrize('limit, count', [((), 25), (('--limit', '5'), 5),
                                              (('--limit', '100'), 50)])
    def test_a_limit_is_kept_and_the_default_is_25(self, words, podman, limit, count):
        assert [each['Name'].partition('/')[2] for each in podman.search(
            words.address + '/word', *limit)] == WORDS[:count]

    def test_the_table_has_whole_descriptions_only_without_truncation(self, words, podman):
        done = podman.run('search', '--tls-verify=false', words.address + '/word-07')
        assert done.returncode == 0 and done.stdout.splitlines()[1].endswith('...')
        done = podman.run('search', '--tls-verify=false', '--no-trunc', words.address + '/word-07')
        assert 'Long words of acme/word-07, ' + ('and more ' * 7).strip() in done.stdout

    def test_an_empty_term_finds_everything(self, words, podman):
        found = podman.search(words.address + '/', '--limit', '100')
        assert sorted(each['Name'] for each in found) == [
            '%s/%s' % (words.address, name) for name in WORDS + ['other/thing']]

    def test_tags_are_listed_by_the_registry(self, words, podman):
        listed, = podman.search(words.address + '/other/thing', '--list-tags')
        assert (listed['Name'], sorted(listed['Tags'])) == (
            words.address + '/other/thing', ['1', '2'])

    def test_a_tag_in_the_term_is_ignored_and_an_unknown_term_finds_nothing(self, words, podman):
        assert [each['Name'] for each in podman.search(words.address + '/word-07:latest')] == [
            words.address + '/acme/word-07']
        assert podman.search(words.address + '/nothing-of-this-name') == []

    def test_with_credentials_podman_reads_the_catalog(self, closed, podman, tmp_path):
        path = credentials(tmp_path, closed.address, USER, PASSWORD)
        found = podman.search(closed.address + '/secret', '--authfile', path)
        assert [each['Name'] for each in found] == [closed.address + '/acme/secret-thing']
        # It sends no credentials to /v1/search, and a catalog has no descriptions.
        assert found[0]['Description'] == ('Behind a password' if closed.is_open else '')

    def test_tags_require_credentials_of_the_registry(self, closed, podman, tmp_path):
        path = credentials(tmp_path, closed.address, USER, PASSWORD)
        listed, = podman.search(closed.address + '/acme/secret-thing', '--list-tags', '--authfile',
                                path)
        assert (listed['Name'], listed['Tags']) == (closed.address + '/acme/secret-thing',
                                                    ['latest'])
        # The registry lists tags, and accepts only its users, whatever the service accepts.
        done = podman.run('search', '--tls-verify=false', '--list-tags',
                          closed.address + '/acme/secret-thing')
        assert done.returncode != 0 and 'latest' not in done.stdout
        done = podman.run('search', '--tls-verify=false', '--list-tags', '--authfile',
                          credentials(tmp_path, closed.address, USER, 'wrong'),
                          closed.address + '/acme/secret-thing')
        assert done.returncode != 0 and 'latest' not in done.stdout

    def test_after_podman_login_searches_find_everything(self, closed, podman, tmp_path):
        path = str(tmp_path / 'auth.json')
        done = podman.run('login', '--tls-verify=false', '--authfile', path, '-u', USER, '-p',
                          PASSWORD, closed.address)
        assert done.returncode == 0, done.stderr
        assert len(podman.search(closed.address + '/acme', '--authfile', path)) == 2
        assert len(podman.search(closed.address + '/', '--authfile', path)) == 2

    def test_without_credentials_a_search_needs_anonymous_read(self, closed, podman):
        done = podman.run('search', '--tls-verify=false', '--format', 'json',
                          closed.address + '/secret')
        if closed.is_open:
            assert json.loads(done.stdout)[0]['Description'] == 'Behind a password'
        else:
            assert done.returncode != 0 and 'unauthorized' in done.stderr
            assert 'secret-thing' not in done.stdout


@needs_dockerd
class TestDocker:
    def search(self, dockerd, *arguments, **options):
        done = dockerd.docker('search', '--no-trunc', '--format',
                              '{{.Name}}|{{.Description}}|{{.IsOfficial}}', *arguments, **options)
        assert done.returncode == 0, done.stderr
        return [tuple(line.split('|')) for line in done.stdout.splitlines()]

    def test_a_search_finds_names_and_descriptions(self, words, dockerd):
        found = self.search(dockerd, words.address + '/word-1')
        assert [name for name, _, _ in found] == WORDS[10:20]
        assert found[7][1].startswith('Long words of acme/word-17')
        assert {official for _, _, official in found} <= {'', 'false'}

    @pytest.mark.parametrize('limit, count', [((), 25), (('--limit', '5'), 5),
                                              (('--limit', '100'), 50)])
    def test_a_limit_is_kept_and_the_default_is_25(self, words, dockerd, limit, count):
        found = self.search(dockerd, *limit, words.address + '/word')
        assert [name for name, _, _ in found] == WORDS[:count]

    def test_an_empty_term_finds_everything_and_an_unknown_term_nothing(self, words, dockerd):
        assert len(self.search(dockerd, '--limit', '100', words.address + '/')) == 51
        assert self.search(dockerd, words.address + '/nothing-of-this-name') == []

    @pytest.mark.parametrize('filters, count', [('is-official=false', 10), ('is-official=true', 0),
                                                ('stars=0', 10), ('stars=1', 0)])
    def test_filters_of_docker_apply(self, words, dockerd, filters, count):
        assert len(self.search(dockerd, '--filter', filters, words.address + '/word-1')) == count

    def test_stored_credentials_are_sent(self, closed, dockerd, tmp_path):
        path = credentials(tmp_path, closed.address, USER, PASSWORD)
        (name, description, _), = self.search(dockerd, closed.address + '/secret',
                                              configuration=os.path.dirname(path))
        assert (name, description) == ('acme/secret-thing', 'Behind a password')

    def test_wrong_credentials_are_refused_and_none_need_anonymous_read(
            self, closed, dockerd, tmp_path):
        path = credentials(tmp_path, closed.address, USER, 'wrong')
        wrong = dockerd.docker('search', closed.address + '/secret',
                               configuration=os.path.dirname(path))
        nobody = dockerd.docker('search', closed.address + '/secret')
        assert wrong.returncode != 0 and '401' in wrong.stderr
        assert (nobody.returncode == 0 and 'secret-thing' in nobody.stdout) if closed.is_open else (
            nobody.returncode != 0 and '401' in nobody.stderr)

    def test_the_machine_s_own_command_searches(self, words, dockerd):
        if not Dockerd.other_cli():
            pytest.skip('this machine has no docker command of its own')
        assert len(self.search(dockerd, words.address + '/word-1', cli=Dockerd.other_cli())) == 10


def test_without_the_service_podman_searches_the_catalog_of_the_registry(words, podman):
    """This test is the last one: the service stays stopped."""
    words.service.stop()
    assert [each['Name'] for each in podman.search(words.address + '/word-07')] == [
        words.address + '/acme/word-07']
