"""The source and the registry client that the settings demand."""
import pytest

from docker_registry_index.engine.errors import SettingError, StorageUnreadable
from docker_registry_index.service.registry.client import CacheClient, RegistryClient
from docker_registry_index.service.sources.catalog import CatalogSource
from docker_registry_index.service.sources.selection import registry_of, source_of
from docker_registry_index.service.sources.storage import FilesSource, S3Source
from docker_registry_index.service.settings import settings_of
from tests.helpers.listing import listed
from tests.helpers.scripted_server import error_page, page
from tests.helpers.certificates import Authority

REGISTRY = 'http://127.0.0.1:5000'


def source(**environment):
    return source_of(settings_of(environment, {})[0])


def test_the_storage_precedes_the_catalog_and_one_of_them_is_required():
    assert type(source(REGISTRY_URL=REGISTRY)) is CatalogSource
    assert type(source(REGISTRY_URL=REGISTRY, STORAGE='/var/lib/registry')) is FilesSource
    assert type(source(STORAGE='s3://images/root', STORAGE_REGION='us-east-1')) is S3Source
    with pytest.raises(SettingError, match='set REGISTRY_URL; or set STORAGE to'):
        source()


def test_the_names_in_a_file_are_those_of_which_the_registry_has_tags(tmp_path, server):
    server.answers = {'/v2/%s/tags/list' % name: page({'name': name, 'tags': ['1']})
                      for name in ('a/b', 'c', 'later')}
    server.answers['*'] = error_page('NAME_UNKNOWN')
    path = tmp_path / 'names.txt'
    path.write_text('a/b\n\n  c  \nabsent\nNot/Valid\n')
    read = source(REGISTRY_URL=server.url, STORAGE=str(path))
    assert listed(read) == (['a/b', 'c'], [])
    # A repository that only the index has is removed if the registry does not have it, either.
    assert read.has('later') and not read.has('absent')
    path.write_text('later\n')
    assert listed(read) == (['later'], [])
    assert not [asked for asked in server.requests if 'catalog' in asked[0]]
    with pytest.raises(SettingError, match='set REGISTRY_URL'):
        source(STORAGE=str(path))
    path.write_bytes(b'a/b\nc\xff\n')
    with pytest.raises(StorageUnreadable, match='utf-8'):
        listed(read)


def test_the_descriptions_of_a_pull_through_cache_are_not_read_later():
    for more in {}, {'STORAGE': '/var/lib/registry'}:
        assert source(REGISTRY_URL=REGISTRY, **more).describes_later
        assert not source(REGISTRY_URL=REGISTRY, PULL_THROUGH_CACHE='true', **more).describes_later
    for value, kind in ('true', CacheClient), ('false', RegistryClient):
        settings = {'REGISTRY_URL': REGISTRY, 'PULL_THROUGH_CACHE': value}
        assert type(registry_of(settings_of(settings, {})[0])) is kind


@pytest.mark.parametrize('content, reason', [(None, 'No such file'), ('', 'no certificate'),
                                             ('garbage', 'no certificate')])
def test_a_file_without_certificates_is_an_error_of_its_setting(tmp_path, content, reason):
    path = tmp_path / 'ca.pem'
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingError, match='registry_ca.*%s' % reason):
        source(REGISTRY_CA=str(path), REGISTRY_URL=REGISTRY)


def test_a_certificate_and_a_key_that_do_not_belong_together_are_an_error(tmp_path):
    authority = Authority(tmp_path)
    (cert, key), (other, _) = authority.issue('one'), authority.issue('other')
    encrypted = authority.issue('encrypted', '-passout', 'pass:' + 20 * 'x')
    source(REGISTRY_CERT=cert, REGISTRY_KEY=key, REGISTRY_URL=REGISTRY)
    for pair, reason in (((other, key), 'key values mismatch.*must belong to its certificate'),
                         ((cert, '/nowhere.key'), 'No such file'), ((key, key), 'PEM'),
                         ((cert, cert), 'PEM'), (encrypted, 'have no passphrase')):
        with pytest.raises(SettingError, match='registry_cert names %s and %s.*%s' % (
                *pair, reason)):
            source(REGISTRY_CERT=pair[0], REGISTRY_KEY=pair[1], REGISTRY_URL=REGISTRY)
