"""What the page of a repository shows of a tag, whatever its manifest and config contain."""
from datetime import datetime, timezone

import hypothesis
import pytest
from hypothesis import strategies

from docker_registry_index.service.registry import details
from docker_registry_index.service.registry.details import Platform, read_details
from tests.helpers.registry import DIGEST, MANIFEST, UNAVAILABLE, FakeRegistryClient
from tests.service.registry.test_image import ANYTHING, CHART, IMAGE, PREFIX

A, B, C = ('sha256:' + letter * 64 for letter in 'abc')


def image(*sizes, config='c', media_type=IMAGE, **more):
    return dict({'config': {'digest': config, 'mediaType': media_type},
                 'layers': [{'size': size} for size in sizes]}, **more)


def child(digest, *platform, **more):
    """Return an entry of an index for a platform: os, architecture, variant, version."""
    return {'digest': digest, 'platform': dict(
        zip(('os', 'architecture', 'variant', 'os.version'), platform)), **more}


def read(manifest=image(1), config=None, timeout=10, **manifests):
    """Return the Details of a tag t with this manifest and this config."""
    return read_details(FakeRegistryClient(manifests={'t': manifest, **manifests},
                                           configs={'c': config}), 'a/b', 't', timeout)


def test_an_image_has_a_size_a_platform_a_time_a_digest_and_labels():
    found = read(image(10, 200, annotations={'b': '2', 'a': '1', 'n': 3}), {
        'os': 'linux', 'architecture': 'arm64', 'variant': 'v8',
        'created': '2024-05-06T07:08:09.123456789Z',
        'config': {'Labels': {PREFIX + 'description': 'Own', 'maintainer': 'me'}}})
    assert found == details.Details(
        digest=DIGEST, media_type=MANIFEST, kind='image', size=210,
        platforms=[Platform('linux/arm64/v8', DIGEST, 210)], others=0,
        created=datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone.utc), description='Own',
        annotations=([('a', '1'), ('b', '2')], 0),
        labels=([('maintainer', 'me'), (PREFIX + 'description', 'Own')], 0), is_whole=True)


def test_a_tag_that_does_not_exist_has_no_details():
    assert read(None) is None


class TestIndexes:
    INDEX = {'annotations': {'x': 'of the index'}, 'manifests': [
        child(A, 'linux', 'arm', 'v7'), child(B, 'linux', 'amd64'),
        child(C, 'unknown', 'unknown'), child('x', 'linux', 's390x'), 'nothing', None]}

    def test_the_platforms_of_an_index_have_sizes_and_the_best_one_labels(self):
        client = FakeRegistryClient(manifests={
            't': self.INDEX, A: image(1), B: image(2, annotations={'x': 'of the image', 'y': 'z'})},
            configs={'c': {'config': {'Labels': {'l': 'm'}}}})
        found = read_details(client, 'a/b', 't', 10)
        assert client.asked == ['t', B, 'c', A], 'the best platform first, and no attestation'
        assert found.platforms == [
            Platform('linux/arm/v7', A, 1), Platform('linux/amd64', B, 2)]
        assert found.size == 2 and found.digest == DIGEST and found.kind == 'image'
        assert found.labels.shown == [('l', 'm')]
        assert found.annotations.shown == [('x', 'of the index'), ('y', 'z')]

    def test_few_of_many_platforms_are_read_and_not_all_are_listed(self):
        digests = ['sha256:%064d' % number for number in range(10000)]
        client = FakeRegistryClient(manifests=dict(
            {'t': {'manifests': [child(each, 'os', each[-5:]) for each in digests]}},
            **{each: image(7) for each in digests}))
        found = read_details(client, 'a/b', 't', 10)
        assert client.asked == ['t', digests[0], 'c', *digests[1:5]]
        assert [each.size for each in found.platforms] == [7] * 5 + [None] * 45
        assert found.others == 9950

    def test_a_platform_of_windows_has_its_version(self):
        [platform] = read({'manifests': [child(A, 'windows', 'amd64', 3, '10.0.20348')]}).platforms
        assert platform.name == 'windows/amd64 10.0.20348'

    @pytest.mark.parametrize('missing', [None, UNAVAILABLE])
    def test_a_child_that_cannot_be_read_has_no_size(self, missing):
        found = read(self.INDEX, **{A: missing, B: image(2)})
        assert [each.size for each in found.platforms] == [None, 2]
        assert found.is_whole is (missing is None)

    def test_what_is_not_read_in_time_is_missing(self, clock):
        def after_a_second(document):
            clock.advance(1)
            yield document
        client = FakeRegistryClient(manifests={
            't': after_a_second(self.INDEX), B: after_a_second(image(2)), A: UNAVAILABLE},
            configs={'c': after_a_second(None)})
        assert not read_details(client, 'a/b', 't', 3.5, clock).is_whole
        assert client.timeouts == [3.5, 2.5, 1.5, 0.5]
        client.manifests['t'] = UNAVAILABLE
        with pytest.raises(type(UNAVAILABLE)):
            read_details(client, 'a/b', 't', 3.5, clock)


@pytest.mark.parametrize('manifest, kind', [
    (image(1), 'image'), (image(1, media_type=CHART), 'Helm chart'),
    (image(1, media_type='application/vnd.docker.plugin.v1+json'), 'Docker plugin'),
    (image(1, media_type='application/vnd.wasm.config.v0+json'), 'artifact'),
    (image(1, subject={'digest': A}), 'signature, attestation or build cache'),
    ({'artifactType': 'application/vnd.cyclonedx+json', 'layers': []},
     'signature, attestation or build cache'),
    ({'layers': []}, 'artifact'), ({'schemaVersion': 1, 'fsLayers': []}, 'image'),
    ({'manifests': []}, 'image')])
def test_the_kind_is_that_of_the_config(manifest, kind):
    assert read(manifest).kind == kind


@pytest.mark.parametrize('size', [None, -1, True, '1', 1.5, 2 ** 63, [1]])
def test_an_impossible_size_is_unknown(size):
    assert read(image(1, size)).size is None
    assert read(image()).size == 0 and read(image(2 ** 62)).size == 2 ** 62


@pytest.mark.parametrize('text, expected', [
    ('2024-05-06T07:08:09Z', (2024, 5, 6, 7, 8, 9)),
    ('2024-05-06T07:08:09.5+02:00', (2024, 5, 6, 5, 8, 9)), ('2024-05-06T07:08:09', None),
    ('1970-01-01T00:00:00Z', None), ('0001-01-01T00:00:00Z', None), ('yesterday', None),
    ('0001-01-01T00:00:00+23:59', None), ('2024-13-06T07:08:09Z', None), (3, None), ({}, None)])
def test_a_time_is_that_of_the_config_or_else_of_the_annotation(text, expected):
    when = expected and datetime(*expected, tzinfo=timezone.utc)
    assert read(image(1), {'created': text}).created == when
    assert read(image(1, annotations={PREFIX + 'created': text}), {
        'created': '1970-01-01T00:00:00Z'}).created == when


def test_no_text_is_long_or_lacks_an_encoding():
    """JSON may contain half of a surrogate pair, which no page can contain."""
    texts = {PREFIX + 'description': 'x' * 10 ** 6, 'a\ud800': '\udfff'}
    found = read(image(1, annotations=texts), {'os': '\ud800', 'config': {'Labels': texts}})
    assert len(repr(found)) < 10_000
    str(found).encode()
    assert found.labels.shown[0] == ('a\ufffd', '\ufffd')


def test_labels_are_few_short_lines_without_control_characters():
    many = {'l%05d' % number: 'x' for number in range(10000)}
    found = read(image(1, annotations={'a': 'one\n two\x1b[31m \u202eeert', 'b': 'x' * 1001}),
                 {'config': {'Labels': many}})
    assert len(found.labels.shown) == 100 and found.labels.others == 9900
    assert found.annotations.shown == [('a', 'one two?[31m ?eert'), ('b', 'x' * 1000 + '…')]


@hypothesis.settings(max_examples=30, deadline=None)
@hypothesis.given(ANYTHING, strategies.none() | ANYTHING)
def test_no_pushed_document_raises(document, config):
    document = document if isinstance(document, dict) else {'manifests': document}
    config = config if isinstance(config, dict) else None
    client = FakeRegistryClient(manifests={'t': document, 'linux': document},
                                configs={'linux': config})
    found = read_details(client, 'a/b', 't', 10)
    assert found is None or len(found.platforms) <= 50
