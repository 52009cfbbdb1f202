"""The registry client and the sources of a load, on the real Distribution."""
import pytest

from dev.servers.registry_v2 import Distribution, s3_storage
from dev.storage.s3 import Bucket
from docker_registry_index.service.registry.client import RegistryClient
from docker_registry_index.service.registry.connection import CredentialsRefused
from docker_registry_index.service.registry.image import description
from docker_registry_index.service.sources.catalog import CatalogSource
from docker_registry_index.service.sources.storage import FilesSource, S3Source, s3_client
from tests.end_to_end.service.clients import write_htpasswd
from tests.end_to_end.service.images import DESCRIPTION, DOCKER, OCI, Images
from tests.end_to_end.service.programs import needs
from tests.helpers.listing import listed

pytestmark = needs('docker-registry')
SECRET = 'pass:w\xf6rd'
HEX = 'sha256:' + '0' * 64


@pytest.mark.parametrize('kinds', [OCI, DOCKER], ids=['oci', 'docker'])
def test_tags_images_and_indexes_are_read(tmp_path, kinds):
    with Distribution(tmp_path) as registry:
        client, images, name = RegistryClient(registry.url), Images(registry.url), 'some/name'
        digest = images.push(name, '1', 'In a label', kinds)
        images.tag(name, '1', '2')
        images.push_index(name, 'index', [digest], {}, kinds)
        images.push_index(name, 'described', [digest], {DESCRIPTION: 'In the index'}, kinds)
        assert sorted(client.tags(name)) == ['1', '2', 'described', 'index'] and client.has(name)
        manifest = client.manifest(name, '1')
        assert manifest['mediaType'] == kinds['manifest'] and manifest == client.manifest(
            name, digest)
        assert client.manifest(name, 'index')['mediaType'] == kinds['index']
        config = client.config(name, manifest['config']['digest'])
        assert config['config'] == {'Labels': {DESCRIPTION: 'In a label'}}
        assert client.config(name, manifest['layers'][0]['digest']) is None, 'a layer is no JSON'
        for tag, text in (('2', 'In a label'), ('index', 'In a label'), ('3', None),
                          ('described', 'In the index')):
            assert description(client, name, tag) == text
        for other, unknown in ((name, 'nope'), (name, HEX), ('some/other', HEX)):
            assert client.manifest(other, unknown) is client.config(other, unknown) is None
        images.delete(name, digest)
        assert sorted(client.tags(name)) == ['described', 'index']
        assert client.tags('some/other') == [] and not client.has('some/other')


def test_a_catalog_with_users_and_small_pages_is_read_to_its_end(tmp_path):
    with Distribution(tmp_path / 'images', write_htpasswd(tmp_path, 'reader', SECRET),
                      {'catalog': {'maxentries': 4}}) as closed:
        client = RegistryClient(closed.url, 'reader', SECRET)
        assert list(client.catalog()) == [[]]
        names = ['acme/app%02d' % number for number in range(10)]
        for name in names:
            Images(closed.url, (b'reader', SECRET.encode())).push(name, layers=0)
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
def test_sources_list_what_the_registry_has_stored(request, tmp_path, root):
    storage, source = tmp_path, FilesSource(str(tmp_path))
    if root is not None:
        url = request.getfixturevalue('ministack').url
        name = Bucket(url).name
        storage = s3_storage(url, name, root)
        source = S3Source(name, root, s3_client(url, 'us-east-1', 'local', 'local-secret'))
    assert listed(source) == ([], []), 'a new registry is empty'
    with Distribution(storage) as server:
        images, names = Images(server.url), ['a', 'a-b', 'a/b', 'a/b/c', 'a0', 'z/y']
        for name in names:
            images.push(name)
        images.delete('z/gone', images.push('z/gone'))
        images.push('z/untagged', None)
        for each in source, CatalogSource(RegistryClient(server.url)):
            assert listed(each) == (names, [])
            assert [each.has(name) for name in ('a', 'a/b', 'z/y', 'z', 'z/gone', 'z/untagged',
                                                'never')] == [True] * 3 + [False] * 4
