"""The registry client and the sources of a load, on the real Distribution."""
import bcrypt
import pytest

from dev.servers.registry_v2 import Distribution, s3_storage
from dev.storage.s3 import Bucket
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import CredentialsRefused
from docker_registry_index.service.registry.image import description
from docker_registry_index.service.sources.catalog import CatalogSource
from docker_registry_index.service.sources.storage import FilesSource, S3Source, s3_client
from tests.end_to_end.service.images import DESCRIPTION, DOCKER, OCI, TITLE, Images
from tests.helpers.listing import listed

SECRET = 'pass:w\xf6rd'
HEX = 'sha256:' + '0' * 64


@pytest.fixture(scope='module')
def client(distribution):
    return RegistryClient(distribution.url)


def test_tags_are_those_there_are_now(images, client):
    digest = images.push('tags/some', '1')
    images.tag('tags/some', '1', '2')
    assert sorted(client.tags('tags/some')) == ['1', '2'] and client.has('tags/some')
    images.delete('tags/some', digest)
    assert client.tags('tags/some') == [] and not client.has('tags/some')
    assert client.tags('tags/nobody') == [] and client.manifest('tags/nobody', 'latest') is None
    assert client.config('tags/nobody', HEX) is None


@pytest.mark.parametrize('kinds', [OCI, DOCKER], ids=['oci', 'docker'])
def test_manifests_indexes_and_configs_are_read(images, client, kinds):
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
    for unknown in 'nope', HEX:
        assert client.manifest('manifests/some', unknown) is None
        assert client.config('manifests/some', unknown) is None


def test_the_description_is_read_from_annotations_labels_and_indexes(images, client):
    images.push('of/label', labels={DESCRIPTION: 'in a label', TITLE: 'x'})
    images.push('of/annotation', labels={DESCRIPTION: 'no'},
                annotations={DESCRIPTION: 'in an annotation'})
    images.push('of/title', labels={TITLE: 'no'}, annotations={TITLE: 'a title'})
    plain = images.push('of/nothing')
    images.push('of/nothing', 'sbom', annotations={DESCRIPTION: 'SBOM'},
                subject={'mediaType': OCI['manifest'], 'digest': plain, 'size': 1})
    arm = images.push('of/index', None, labels={DESCRIPTION: 'arm'})
    amd = images.push('of/index', '1', labels={DESCRIPTION: 'amd'})
    images.push_index('of/index', 'child', [(arm, 'linux/arm64'), (amd, 'linux/amd64')],
                      annotations={TITLE: 'no'})
    images.push_index('of/index', 'self', [(arm, None)], annotations={DESCRIPTION: 'in the index'})
    expected = {'label': 'in a label', 'annotation': 'in an annotation', 'title': 'a title',
                'nothing': None, 'nothing:sbom': None, 'index:child': 'amd',
                'index:self': 'in the index', 'nobody': None}
    for each, text in expected.items():
        name, _, tag = each.partition(':')
        assert description(client, 'of/' + name, tag or 'latest') == text, each


def test_a_catalog_with_users_and_small_pages_is_read_to_its_end(
        distribution_is_installed, tmp_path):
    hashed = bcrypt.hashpw(SECRET.encode(), bcrypt.gensalt(4))
    (tmp_path / 'users').write_bytes(b'reader:' + hashed + b'\n')
    with Distribution(tmp_path / 'images', htpasswd=tmp_path / 'users',
                      additions={'catalog': {'maxentries': 4}}) as closed:
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert list(client.catalog()) == [[]]
        names = ['acme/app%02d' % number for number in range(10)]
        for name in names:
            Images(closed.url, ('reader'.encode(), SECRET.encode())).push(name, layers=0)
        pages = list(client.catalog())
        assert sum(pages, []) == names
        assert len(pages) > 2, 'n=1000 was refused, and the pages were followed'
        assert client.has(names[0]) and client.manifest(names[0], 'latest')
        for credentials in ((), ('reader', 'guess')):
            wrong = RegistryClient(closed.url, *credentials)
            for ask in (lambda: wrong.tags('a/b'), lambda: wrong.manifest('a/b', 'latest'),
                        lambda: wrong.config('a/b', HEX), lambda: list(wrong.catalog())):
                with pytest.raises(CredentialsRefused) as refused:
                    ask()
                assert refused.value.status == 401


@pytest.mark.parametrize('root', [None, '', '/some/prefix/'],
                         ids=['folder', 'bucket', 'bucket with a prefix'])
def test_sources_list_what_the_registry_has_stored(
        distribution_is_installed, request, tmp_path, root):
    storage, source = tmp_path, FilesSource(str(tmp_path))
    if root is not None:
        url = request.getfixturevalue('ministack').url
        name = Bucket(url).name
        storage = s3_storage(url, name, root)
        source = S3Source(name, root, s3_client(url, 'us-east-1', 'local', 'local-secret'))
    assert listed(source) == ([], []), 'a new registry is empty'
    with Distribution(storage) as server:
        expected = Images(server.url).push_some()
        for each in source, CatalogSource(RegistryClient(server.url)):
            assert listed(each) == (expected, [])
            names = ('a', 'a/b', 'z/y', 'z', 'z/gone', 'z/untagged', 'never')
            assert [each.has(name) for name in names] == [True] * 3 + [False] * 4
