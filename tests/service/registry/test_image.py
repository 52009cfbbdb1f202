"""The description in an image, whatever its manifest contains."""
import hypothesis
import pytest
from hypothesis import strategies

from docker_registry_index.service.registry import image
from docker_registry_index.service.registry.connection import CredentialsRefused
from docker_registry_index.service.registry.image import description
from tests.helpers.registry import DIGEST, FakeRegistryClient

PREFIX = 'org.opencontainers.image.'
IMAGE = 'application/vnd.oci.image.config.v1+json'
CHART = 'application/vnd.cncf.helm.config.v1+json'
SIGNATURE = DIGEST.replace(':', '-')
KEYS = ['annotations', 'config', 'Labels', 'manifests', 'platform', 'os', 'architecture', 'digest',
        'mediaType', 'subject', 'layers', 'artifactType', 'description', PREFIX + 'description',
        PREFIX + 'title', PREFIX + 'base.name', PREFIX + 'base.digest']
ANYTHING = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() |
    strategies.text(max_size=5) | strategies.sampled_from(
        ['linux', 'amd64', 'unknown', IMAGE, CHART]),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(
        strategies.sampled_from(KEYS), inner, max_size=6), max_leaves=12)


def labels(**texts):
    return {'config': {'Labels': {PREFIX + key: text for key, text in texts.items()}}}


def manifest(config=None, config_type=IMAGE, **texts):
    return {'annotations': labels(**texts)['config']['Labels'],
            'config': {'digest': config, 'mediaType': config_type}}


def entry(digest, system=None, architecture=None):
    return {'digest': digest, 'platform': {'os': system, 'architecture': architecture}}


def described(config=None, manifest=manifest('c'), **more):
    """Return the description of an image of a/b with this manifest and this config."""
    return description(FakeRegistryClient(manifests={'t': manifest, **more}, configs={'c': config}),
                       'a/b', 't')


@pytest.mark.parametrize('value', [None, 3, ['x'], {'x': 'y'}, '', ' \n', True])
def test_a_value_that_is_no_text_is_ignored(value):
    assert described(manifest=manifest(description=value, title=value)) is None
    assert described(labels(description=value, title=value)) is None
    assert described({'config': {'Labels': value}}, {
        'annotations': value, 'config': manifest('c')['config']}) is None
    assert described({'description': value}, manifest('c', CHART)) is None


@pytest.mark.parametrize('found, text', [
    ({'description': 'Red Hat', 'summary': 'short', 'org.label-schema.description': 'old',
      PREFIX + 'description': 'own', PREFIX + 'title': 'title'}, 'own'),
    ({'description': 'Red Hat', 'org.label-schema.description': 'old', PREFIX + 'title': 't'},
     'old'),
    ({'io.k8s.description': 'k8s', 'summary': 'short', 'description': 'Red Hat'}, 'Red Hat'),
    ({'io.k8s.description': 'k8s', 'summary': 'short'}, 'k8s'),
    ({'summary': 'short', PREFIX + 'title': 'title'}, 'short'),
    ({'name': 'ubi8', 'io.k8s.display-name': 'UBI', PREFIX + 'title': 'title'}, 'title'),
    ({'name': 'ubi8', 'org.label-schema.name': 'n'}, None)])
def test_the_texts_of_older_tools_are_read_after_those_of_oci(found, text):
    assert described({'config': {'Labels': found}}) == text
    assert described(manifest={'annotations': found}) == text


@pytest.mark.parametrize('config_type, text', [
    (CHART, 'A chart'), ('application/vnd.docker.plugin.v1+json', 'A chart'), (IMAGE, 'A chart'),
    ('application/vnd.cncf.flux.config.v1+json', None), ('application/json', None),
    ('application/vnd.wasm.config.v0+json', None), ('application/vnd.oci.empty.v1+json', None),
    ('application/vnd.unknown.config.v1+json', None), (None, None), (3, None), (['x'], None)])
def test_the_config_of_a_chart_describes_it_and_that_of_an_unknown_artifact_is_not_read(
        config_type, text):
    registry = FakeRegistryClient(manifests={'t': manifest('c', config_type)}, configs={
        'c': {'name': 'web', 'version': '1.2.0', 'description': 'A chart'}})
    assert description(registry, 'a/b', 't') == text
    assert registry.asked == (['t', 'c'] if text else ['t'])


BASE = {PREFIX + 'base.name': 'registry.example.com:5000/team/base:1', PREFIX + 'base.digest': 'b'}
CHILD = {'annotations': BASE, 'config': {'digest': 'c', 'mediaType': IMAGE}}


@pytest.mark.parametrize('base', [
    {'b': manifest('d')}, {'b': {'manifests': [entry('m', 'linux', 'amd64')]}, 'm': manifest('d')}])
def test_a_label_that_the_image_inherits_from_its_base_does_not_describe_it(base):
    asked = []

    class Registry(FakeRegistryClient):
        def manifest(self, name, reference, timeout=None):
            asked.append((name, reference))
            return super().manifest(name, reference, timeout)

    def text(own, inherited):
        return description(Registry(manifests={'t': CHILD, **base}, configs={
            'c': labels(**own), 'd': labels(**inherited)}), 'a/b', 't')
    assert text({'description': 'x', 'title': 'own'}, {'description': 'x'}) == 'own'
    assert asked[:2] == [('a/b', 't'), ('team/base', 'b')]
    assert text({'description': 'x', 'title': 't'}, {'description': 'x', 'title': 't'}) is None
    assert text({'description': 'x'}, {'description': 'y'}) == 'x'
    asked.clear()
    assert text({}, {'description': 'x'}) is None and asked == [('a/b', 't')]


@pytest.mark.parametrize('answer', [None, CredentialsRefused('http://r', 401, True)])
def test_a_label_counts_if_the_base_image_cannot_be_found_or_may_not_be_read(answer):
    assert described(labels(description='x'), CHILD, b=answer) == 'x'


def test_a_label_of_a_base_does_not_hide_what_the_base_of_that_shares_with_it():
    assert described(labels(description='x'), CHILD, b=CHILD) is None


@pytest.mark.parametrize('base_name, base_digest, base', [
    ('alpine:3.19', 'd', ('alpine', 'd')),
    ('docker.io/library/alpine', 'd', ('library/alpine', 'd')),
    ('localhost/base:latest', 'd', ('base', 'd')), ('r:5000/a/b@sha256:00', 'd', ('a/b', 'd')),
    ('team/base:1', 'd', ('team/base', 'd')), ('', 'd', None), (None, 'd', None), ('a', '', None),
    (['a'], 'd', None), (':1', 'd', None)])
def test_annotations_name_the_base_image(base_name, base_digest, base):
    assert image.base_of({'annotations': {
        PREFIX + 'base.name': base_name, PREFIX + 'base.digest': base_digest}}) == base


@pytest.mark.parametrize('children, digest', [
    ([], None),
    ([entry('a', 'linux', 'arm64'), entry('b', 'linux', 'amd64')], 'b'),
    ([entry('a', 'unknown', 'unknown'), entry('b', 'windows', 'amd64')], 'b'),
    ([{'digest': 'a'}, entry('b', 'linux', 's390x')], 'b'),
    ([entry('a', 'unknown', 'unknown'), {'digest': 'b'}], 'a'),
    ([3, {'platform': 4}, {'digest': 5}, {'digest': 'a', 'platform': []}], 'a')])
def test_an_index_is_described_by_its_image_for_linux_on_amd64_if_there_is_one(children, digest):
    assert image.child_of({'manifests': children}) == digest


@pytest.mark.parametrize('tag, is_secondary', [
    (SIGNATURE + '.sig', True), (SIGNATURE + '.att', True), (SIGNATURE + '.sbom', True),
    (SIGNATURE, True), ('buildcache', True), ('cache', True), ('build-cache', True),
    ('main-cache', True), ('1.0-buildcache', True), ('buildcache-amd64', True),
    ('cache-main', True), ('pr-7_cache', True),
    ('latest', False), (None, False), ('sha256-abc', False), (SIGNATURE + '.sig.old', False),
    (3, False), ('memcached', False), ('cached', False), ('cachet-2', False), ('1.0', False),
    ('mycache', False)])
def test_signatures_and_build_caches_are_recognized_by_their_tag(tag, is_secondary):
    assert image.is_secondary(tag) == is_secondary


@pytest.mark.parametrize('found', [
    {'subject': {'digest': 'a'}},
    {'config': {'mediaType': 'application/vnd.buildkit.cacheconfig.v0'}},
    # What buildx writes with image-manifest=false.
    {'manifests': [{'mediaType': 'application/vnd.oci.image.layer.v1.tar+gzip', 'digest': 'l'},
                   {'mediaType': 'application/vnd.buildkit.cacheconfig.v0', 'digest': 'k'}]},
    {'layers': [{'mediaType': 'application/vnd.in-toto+json'}]},
    {'layers': [{'mediaType': 'application/vnd.dsse.envelope.v1+json'}]},
    {'layers': [{'mediaType': 'application/vnd.dev.cosign.simplesigning.v1+json'}]},
    {'layers': [{'mediaType': 'application/spdx+json'}]},
    {'artifactType': 'application/vnd.cncf.notary.signature'},
    {'artifactType': 'application/vnd.dev.sigstore.bundle.v0.3+json'},
    {'artifactType': 'application/vnd.cyclonedx+json'}])
def test_caches_signatures_and_attestations_are_recognized_by_their_manifest(found):
    assert image.is_secondary('latest', found)
    assert described(manifest=dict(manifest(description='of a cache'), **found)) is None


def test_an_index_with_attestations_of_its_images_is_that_of_an_image():
    found = {'manifests': [entry('m', 'linux', 'amd64'), dict(
        entry('n', 'unknown', 'unknown'), artifactType='application/vnd.in-toto+json')]}
    assert not image.is_secondary('latest', found)
    assert described(labels(description='x'), found, m=manifest('c')) == 'x'
    assert not image.is_secondary('latest', {'subject': None}) and not image.is_secondary(None, [])


@pytest.mark.parametrize('tags', [
    ['latest', '2.0', '1.0'],
    ['1.10', '1.9', '1.9-alpine', '1.8'],
    ['v1.10.0', 'v1.9.3', 'v0.99'],
    ['V2', 'v1.5', '1.4'],
    ['2.0.0', '2.0.0-rc.10', '2.0.0-rc.9', '2.0.0-beta.2', '2.0.0-alpha', '1.9.9'],
    ['3.13.0', '3.13.0rc2', '3.13.0b1', '3.13.0a6', '3.12.7'],
    ['3.12', '3.12-slim', '3.12-rc-slim', '3.11'],
    ['1.10', '1.10-alpine3.19', '1.10-alpine3.9', '1.10-rc1-alpine', '1.9'],
    ['1.10.1', '1.10.0', '1.9', '1'],
    ['17.0.2_8', '17.0.1_12', '17.0.1_9', '11-jdk', '11-ea-jdk'],
    ['6.4.4.Final', '6.4.4.CR1', '6.4.4.Beta1', '6.4.3.Final'],
    ['2.7.18-debian-12-r10', '2.7.18-debian-12-r9', '2.7.17'],
    ['1.2.3-4-g0a1b2c3', '1.2.2'],
    ['24.04', '22.04', 'noble', 'jammy'],
    ['2024.1', '2023.11.2', '2023.9'],
    ['version-1.10', 'release-1.9', 'v1.8'],
    ['1.0', '20240115', '20231231', 'main'],
    ['2024-01-15', '2024-01-09', '2023-12-31', 'stable'],
    ['20240115.2', '20240115.1', '20240114-abc1234'],
    ['RELEASE.2024-01-15T00-00-00Z', 'RELEASE.2023-12-31T23-59-59Z'],
    ['1.0', '1234', '1233', 'main'],
    ['ltsc2022', 'ltsc2019'], ['2022', '2019', 'windowsservercore'],
    ['1.1', '0123abc', '12a3456', '1e10abc'],
    ['build-10', 'build-9', 'a1b2c3d'],
    ['1.10.x', '1.9.x'], ['1.0', '1.0-SNAPSHOT', '0.9'],
    ['9' * 18 + '.1', '1' * 128], ['stable', 'main', 'edge', 'dev']])
def test_the_best_tag_is_latest_or_else_the_highest_version(tags):
    for shuffled in tags[::-1], tags[1:] + tags[:1]:
        assert image.best_tags(shuffled, len(tags)) == tags


def test_a_version_with_zeros_at_its_end_is_equal():
    assert image.rank('1.10')[:-1] == image.rank('1.10.0')[:-1] == image.rank('v1.10.0.0')[:-1]
    assert image.rank('1.10') != image.rank('1.10.0')


def test_the_best_tags_are_few_and_never_those_of_signatures_and_caches():
    assert image.best_tags([SIGNATURE + '.sig', '1', 'buildcache', '2', '3'], 2) == ['3', '2']
    assert image.best_tags([SIGNATURE], 2) == image.best_tags([], 2) == []


@hypothesis.given(strategies.lists(strategies.text(max_size=30) | strategies.from_regex(
    r'v?[0-9]+(\.[0-9]+)*([-_.](rc|a|alpine)[0-9]*)?', fullmatch=True)))
def test_all_tags_can_be_compared(tags):
    assert image.best_tags(tags, len(tags)) == image.best_tags(tags[::-1], len(tags))


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(ANYTHING)
def test_no_pushed_document_raises(document):
    for read in (image.child_of, image.config_of):
        digest = read(document)
        assert digest is None or isinstance(digest, str)
    assert image.is_secondary('latest', document) in (True, False)
    image.base_of(document)
    text = description(FakeRegistryClient(
        manifests={'latest': document, 'linux': document}, configs={'linux': document}),
        'a/b', 'latest')
    assert text is None or text.strip()


@pytest.mark.parametrize('manifests, configs, text, asked', [
    ({'t': manifest('c', description='x')}, {}, 'x', ['t']),
    ({'t': manifest('c', title='x')}, {'c': labels(description='y')}, 'y', ['t', 'c']),
    ({'t': manifest('c')}, {}, None, ['t', 'c']),
    ({'t': manifest('c')}, {'c': labels(title='y')}, 'y', ['t', 'c']),
    ({'t': manifest(None, title='x')}, {}, 'x', ['t']),
    ({'t': dict(manifest(description='x'), manifests=[entry('m')])}, {}, 'x', ['t']),
    ({'t': dict(manifest(title='x'), manifests=[entry('m')]), 'm': manifest('c', title='y')},
     {'c': labels(title='z')}, 'x', ['t', 'm', 'c']),
    ({'t': {'manifests': [entry('m')]}, 'm': {'manifests': [entry('n')]}, 'n': manifest('c')},
     {'c': labels(description='z')}, 'z', ['t', 'm', 'n', 'c']),
    ({'t': {'manifests': [entry('gone')]}}, {}, None, ['t', 'gone']),
    ({'t': dict(manifest(title='round'), manifests=[entry('t')])}, {}, 'round', ['t'] * 3),
    ({}, {}, None, ['t'])])
def test_only_the_needed_documents_are_read(manifests, configs, text, asked):
    registry = FakeRegistryClient(manifests=manifests, configs=configs)
    assert description(registry, 'a/b', 't') == text and registry.asked == asked


def test_the_timeout_is_for_all_requests_together(clock):
    def after_a_second(document):
        clock.advance(1)
        yield document
    registry = FakeRegistryClient(
        manifests={'t': after_a_second({'manifests': [entry('m')]}),
                   'm': after_a_second(manifest('c'))}, configs={'c': after_a_second(None)})
    description(registry, 'a/b', 't', 2.5, clock)
    assert registry.timeouts == [2.5, 1.5, 0.5]
