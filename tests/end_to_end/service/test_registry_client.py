"""The client of the registry's own API, on the real Distribution."""
import threading

import bcrypt
import pytest

from dev.servers.registry_v2 import Distribution
from docker_registry_index.service.registry.connection import CredentialsRefused
from docker_registry_index.service.registry.image import description
from docker_registry_index.service.registry.client import RegistryClient
from tests.end_to_end.service.images import DESCRIPTION, DOCKER, OCI, TITLE, Images

SECRET = 'pass:w\xf6rd'
HEX = 'sha256:' + '0' * 64


@pytest.fixture(scope='module')
def client(distribution):
    return RegistryClient(distribution.url)


class TestOnTheRealRegistry:
    def test_tags_are_those_there_are_now(self, images, client):
        digest = images.push('tags/some', '1')
        images.tag('tags/some', '1', '2')
        assert sorted(client.tags('tags/some')) == ['1', '2'] and client.has('tags/some')
        images.delete('tags/some', digest)
        assert client.tags('tags/some') == [] and not client.has('tags/some')

    @pytest.mark.parametrize('name', ['tags/nobody', 'Upper/Case', '../../v2/tags/some', 'a?b', '',
                                      None, 'a' * 256, 'x\n'])
    def test_what_is_not_there_has_no_tags(self, client, name):
        assert client.tags(name) == [] and client.manifest(name, 'latest') is None
        assert client.config(name, HEX) is None

    @pytest.mark.parametrize('kinds', [OCI, DOCKER], ids=['oci', 'docker'])
    def test_manifests_indexes_and_configs(self, images, client, kinds):
        digest = images.push('manifests/some', '1', labels={'a': 'b'}, kinds=kinds)
        images.push_index('manifests/some', 'both', [(digest, 'linux/amd64')], kinds=kinds)
        manifest = client.manifest('manifests/some', '1')
        assert manifest['mediaType'] == kinds['manifest']
        assert client.manifest('manifests/some', digest) == manifest
        assert client.manifest('manifests/some', 'both')['mediaType'] == kinds['index']
        config = client.config('manifests/some', manifest['config']['digest'])
        assert config['config'] == {'Labels': {'a': 'b'}}
        layer = manifest['layers'][0]['digest']
        assert client.config('manifests/some', layer) is None, 'a layer is no JSON'

    @pytest.mark.parametrize('reference', ['nope', HEX, '../tags/list', 'a b', '', None])
    def test_unknown_references(self, images, client, reference):
        images.push('manifests/pushed')
        assert client.manifest('manifests/pushed', reference) is None
        assert client.config('manifests/pushed', reference) is None

    def test_the_catalog_is_read_to_its_end(self, distribution_is_installed, tmp_path):
        with Distribution(tmp_path, additions={'catalog': {'maxentries': 4}}) as small:
            assert list(RegistryClient(small.url).catalog()) == [[]]
            names = ['acme/app%02d' % number for number in range(10)]
            for name in names:
                Images(small.url).push(name, layers=0)
            pages = list(RegistryClient(small.url).catalog())
        assert sum(pages, []) == names
        assert len(pages) > 2, 'n=1000 was refused, and the pages were followed'

    def test_descriptions(self, images, client):
        images.push('of/label', labels={DESCRIPTION: 'in a label', TITLE: 'x'})
        images.push('of/annotation', labels={DESCRIPTION: 'no'},
                    annotations={DESCRIPTION: 'in an annotation'})
        images.push('of/title', labels={TITLE: 'no'}, annotations={TITLE: 'a title'})
        images.push('of/nothing')
        arm = images.push('of/index', None, labels={DESCRIPTION: 'arm'})
        amd = images.push('of/index', '1', labels={DESCRIPTION: 'amd'})
        images.push_index('of/index', 'child', [(arm, 'linux/arm64'), (amd, 'linux/amd64')],
                          annotations={TITLE: 'no'})
        images.push_index('of/index', 'self', [(arm, None)],
                          annotations={DESCRIPTION: 'in the index'})
        expected = {'label': 'in a label', 'annotation': 'in an annotation', 'title': 'a title',
                    'nothing': None, 'index:child': 'amd', 'index:self': 'in the index',
                    'nobody': None}
        for each, text in expected.items():
            name, _, tag = each.partition(':')
            assert description(client, 'of/' + name, tag or 'latest') == text, each

    def test_what_refers_to_an_image_does_not_describe_its_repository(self, images, client):
        digest = images.push('of/signed')
        images.push('of/signed', 'sbom', annotations={DESCRIPTION: 'SBOM'},
                    subject={'mediaType': OCI['manifest'], 'digest': digest, 'size': 1})
        assert description(client, 'of/signed', 'sbom') is None

    def test_users(self, distribution_is_installed, tmp_path):
        hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4))
        (tmp_path / 'users').write_bytes(b'reader:' + hashed + b'\n')
        with Distribution(tmp_path / 'images', htpasswd=tmp_path / 'users') as closed:
            Images(closed.url, ('reader'.encode(), SECRET.encode())).push('a/b')
            client = RegistryClient(closed.url, 'reader', SECRET)
            assert client.has('a/b') and client.manifest('a/b', 'latest')
            assert list(client.catalog()) == [['a/b']]
            for credentials in ((), ('reader', 'guess')):
                wrong = RegistryClient(closed.url, *credentials)
                for ask in (lambda: wrong.tags('a/b'), lambda: wrong.manifest('a/b', 'latest'),
                            lambda: wrong.config('a/b', HEX), lambda: list(wrong.catalog())):
                    with pytest.raises(CredentialsRefused,
                                       match='REGISTRY_USERNAME and REGISTRY_PASSWORD') as refused:
                        ask()
                    assert refused.value.status == 401 and 'guess' not in str(refused.value)

    def test_many_threads(self, images, client):
        for number in range(8):
            images.push('threads/app%d' % number, layers=0)
        wrong = []

        def ask(number):
            for _ in range(20):
                if client.tags('threads/app%d' % number) != ['latest']:
                    wrong.append(number)
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong
