"""S3s other than Amazon's: their addresses and certificates, and lists that could hide names.

The stand-ins behave as reported of such programs, or worse."""
import itertools
import ssl
import subprocess
import threading

import botocore.exceptions
import pytest

from docker_registry_index.engine.errors import StorageUnreadable
from docker_registry_index.service.registry.layout import ListingError
from docker_registry_index.service.settings import settings_of
from docker_registry_index.service.sources.selection import source_of
from docker_registry_index.service.sources.storage import S3Source
from tests.helpers.listing import REPOSITORIES as V2
from tests.helpers.listing import Bucket, keys_of, listed
from tests.helpers.scripted_server import ScriptedServer, page

NAMES = sorted(['team%d/app%d' % (number % 3, number) for number in range(400)])
KEYS = [key for name in NAMES for key in keys_of(name, 3, 5, 3)]
#: Requests after which a load of KEYS counts as endless.
ENDLESS = 500


class Limited(Bucket):
    """A Bucket that ends a test whose load does not end."""

    def __init__(self, keys=KEYS, size=1000):
        super().__init__(keys, size)

    def page_after(self, place, prefix=''):
        if self.requests > ENDLESS:
            raise AssertionError('the load does not end')
        return super().page_after(place, prefix)


class OfOldMarkers(Limited):
    """versitygw before 0.13 (its issue 138), and S3s without the second version of the
    request, ignore start-after. They support marker, which is older."""

    # Seven of the eight threads find it out at the same time.
    together = None

    def list_objects_v2(self, Bucket, Prefix, StartAfter):
        page = super().list_objects_v2(Bucket, Prefix, Prefix)
        if self.together and StartAfter > Prefix:
            self.together.wait(10)
        return page

    def list_objects(self, Bucket, Prefix, Marker):
        return super().list_objects_v2(Bucket, Prefix, Marker)


class OfNoPlaces(OfOldMarkers):
    """It always returns the first page."""

    def list_objects(self, Bucket, Prefix, Marker):
        return self.list_objects_v2(Bucket, Prefix, Marker)


class Inclusive(Limited):
    """RustFS (its issue 1165) also returns the key after which the page should start."""

    def page_after(self, place, prefix=''):
        keys, is_more = super().page_after(place, prefix)
        return ([place] if place in self.keys and place.startswith(prefix) else []) + keys, is_more


class ByComponent(Limited):
    """versitygw before 0.13 also lists as a file system does: team/ before team-old/."""

    def page_after(self, place, prefix=''):
        keys, is_more = super().page_after(place, prefix)
        return sorted(keys, key=lambda key: key.split('/')), is_more


class Empty(Limited):
    """Its pages have no keys, and more follow."""

    def page_after(self, place, prefix=''):
        super().page_after(place, prefix)
        return [], True


class Folders(Limited):
    """Its list of folders has ever more pages."""

    def __init__(self, folders):
        super().__init__()
        self.folders_of = folders

    def paginate(self, Bucket, Prefix, Delimiter):
        for number in itertools.count():
            self.page_after('')
            yield {'IsTruncated': True, **self.folders_of(number)}


def source(s3):
    return S3Source('any', '', lambda: s3)


@pytest.mark.parametrize('names', [NAMES, ['one']])
def test_without_start_after_all_names_are_found_in_as_few_requests(names, caplog):
    keys = [key for name in names for key in keys_of(name, 3, 5, 3)]
    usual, s3 = Limited(keys), OfOldMarkers(keys)
    if names is NAMES:
        s3.together = threading.Barrier(7)
    assert listed(source(usual)) == listed(source(s3)) == (names, [])
    # Each of the eight threads may find it out by itself.
    assert s3.requests <= usual.requests + 8 and caplog.text.count('ignores start-after') <= 8


@pytest.mark.parametrize('kind', [Limited, OfOldMarkers, Inclusive])
def test_has_finds_the_first_whole_tag(kind):
    damaged = ['a/_manifests/tags/%04d/index/sha256/0/link' % number for number in range(30)]
    s3 = kind(['a/_manifests/tags/'] + damaged + ['b'], 10)
    assert not source(s3).has('a')
    s3.keys.insert(-1, 'a/_manifests/tags/latest/current/link')
    there = source(s3)
    assert there.has('a') and not there.has('b') and not there.has('a/_manifests')
    assert kind(['a/_manifests/tags/']).requests == 0
    assert not source(kind(['a/_manifests/tags/'])).has('a')


def test_the_key_at_which_a_page_starts_may_be_in_it():
    keys = sorted(KEYS + ['team1/', 'team1/app1', 'team2/app11/_manifests/tags/'])
    assert listed(source(Inclusive(keys, 7))) == (NAMES, [])


@pytest.mark.parametrize('kind, keys', [
    (OfNoPlaces, KEYS), (Empty, KEYS),
    (ByComponent, keys_of('team/app') + keys_of('team-old/app') + keys_of('team-old'))])
def test_a_list_that_may_hide_names_or_never_ends_is_an_error(kind, keys, caplog):
    s3 = kind(keys)
    try:
        assert listed(source(s3))[1], 'some parts cannot be read'
    except StorageUnreadable:  # no part can
        pass
    assert s3.requests < 40 and 'ListingError: S3 lists keys' in caplog.text
    if kind is not ByComponent:
        with pytest.raises(ListingError, match='S3 lists.*remove STORAGE'):
            # More tags than a page has, none of them whole.
            source(kind(['a/_manifests/tags/%d/index' % number for number in range(9)], 5)).has('a')


@pytest.mark.parametrize('folders', [
    lambda number: {}, lambda number: {'Contents': [{'Key': V2 + 'README'}]},
    lambda number: {'CommonPrefixes': [{'Prefix': V2 + 'a/'}, {'Prefix': V2 + 'b/'}]},
    lambda number: {'CommonPrefixes': [{'Prefix': V2 + '%d/' % (99 - number)}]}])
def test_a_list_of_folders_that_never_ends_is_an_error(folders):
    s3 = Folders(folders)
    with pytest.raises(StorageUnreadable, match='ListingError: S3 lists keys'):
        listed(source(s3))
    assert s3.requests < 5


def test_an_answer_of_another_kind_is_no_empty_list():
    """The list of all buckets, for example, if the S3 does not support buckets in host names."""
    class Other(Limited):
        def paginate(self, Bucket, Prefix, Delimiter):
            yield {'ResponseMetadata': {}}

        def list_objects_v2(self, Bucket, Prefix, StartAfter):
            return {'ResponseMetadata': {}}
    for read in (lambda: list(source(Other()).namespaces())), lambda: source(Other()).has('a'):
        with pytest.raises(ListingError, match='no list of keys; check.*STORAGE_ADDRESSING'):
            read()


class Stop(Exception):
    """Raised instead of sending a request."""


def settings_source(**environ):
    settings, _ = settings_of(dict({'STORAGE': 's3://images', 'STORAGE_ACCESS_KEY': 'local',
                                    'STORAGE_SECRET_KEY': 'secret'}, **environ), {})
    return source_of(settings)


def address(**environ):
    """Return the address of a request of these settings, which is not sent."""
    client = settings_source(**environ)._connect()
    sent = []

    def stop(request, **_):
        sent.append(request.url.partition('?')[0])
        raise Stop
    client.meta.events.register('before-send.s3', stop)
    with pytest.raises(Stop):
        client.list_objects_v2(Bucket=environ.get('STORAGE', 's3://images')[5:])
    return sent[-1]


@pytest.mark.parametrize('addressing, endpoint, found', [
    ('', 'https://s3.example.com', 'https://s3.example.com/images'),
    ('path', 'https://s3.example.com', 'https://s3.example.com/images'),
    ('virtual', 'https://s3.example.com:9000', 'https://images.s3.example.com:9000/'),
    ('auto', '', 'https://images.s3.eu-west-1.amazonaws.com/'),
    ('path', '', 'https://s3.eu-west-1.amazonaws.com/images'),
    ('virtual', '', 'https://images.s3.eu-west-1.amazonaws.com/')])
def test_the_bucket_is_in_the_path_or_in_the_host_name(addressing, endpoint, found):
    assert address(STORAGE_ADDRESSING=addressing, STORAGE_ENDPOINT_URL=endpoint,
                   STORAGE_REGION='eu-west-1') == found


@pytest.mark.parametrize('bucket', ['My_Bucket', 'UPPER.and_lower', 'b' * 255, 'a_b'])
@pytest.mark.parametrize('addressing', ['auto', 'virtual'])
def test_an_old_name_of_a_bucket_is_in_the_path(bucket, addressing):
    assert address(STORAGE='s3://' + bucket, STORAGE_REGION='us-east-1',
                   STORAGE_ADDRESSING=addressing).endswith('amazonaws.com/' + bucket)


@pytest.mark.parametrize('environ, region', [
    ({'DYNAMODB_REGION': 'eu-west-1'}, 'eu-west-1'),
    ({'AWS_REGION': 'eu-west-2'}, 'eu-west-2'),
    ({'DYNAMODB_REGION': 'eu-west-1', 'AWS_REGION': 'eu-west-2'}, 'eu-west-1'),
    ({'STORAGE_REGION': 'eu-west-3', 'DYNAMODB_REGION': 'eu-west-1'}, 'eu-west-3')])
def test_the_bucket_is_in_the_region_of_the_tables_unless_a_setting_names_another(environ, region):
    assert address(**environ) == 'https://images.s3.%s.amazonaws.com/' % region


def test_a_certificate_of_the_given_file_is_trusted(tmp_path, monkeypatch):
    subprocess.run(
        ['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256',
         '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-addext',
         'subjectAltName=IP:127.0.0.1', '-keyout', 'key.pem', '-out', 'cert.pem'],
        cwd=tmp_path, check=True, stderr=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(tmp_path / 'cert.pem'), str(tmp_path / 'key.pem'))
    found = ('<ListBucketResult><IsTruncated>false</IsTruncated>%s'
             '</ListBucketResult>')
    with ScriptedServer({
            '/images': lambda handler: page(found % (
                '<CommonPrefixes><Prefix>%sa/</Prefix></CommonPrefixes>' % V2
                if 'delimiter' in handler.path else
                '<Contents><Key>%sa/_manifests/tags/1/current/link</Key></Contents>' % V2
            ))(handler)}, context) as server:
        environ = {'STORAGE_ENDPOINT_URL': server.url, 'STORAGE_REGION': 'us-east-1'}
        assert listed(settings_source(STORAGE_CA=str(tmp_path / 'cert.pem'), **environ)) == (
            ['a'], [])
        assert server.requests
        server.requests.clear()
        monkeypatch.setattr('botocore.endpoint.time.sleep', lambda seconds: None)
        with pytest.raises(botocore.exceptions.SSLError):
            settings_source(**environ).has('a')
        assert not server.requests
