"""The description in an image, whatever its manifest contains."""
import hypothesis
import pytest
from hypothesis import strategies

from docker_registry_index.service.registry import image
from docker_registry_index.service.registry.image import Texts, description
from tests.helpers.registry import DIGEST, FakeRegistryClient

PREFIX = 'org.opencontainers.image.'
KEYS = ['annotations', 'config', 'Labels', 'manifests', 'platform', 'os', 'architecture', 'digest',
        'mediaType', 'subject', PREFIX + 'description', PREFIX + 'title']
ANYTHING = strategies.recursive(
    strategies.none() | strategies.booleans() | strategies.integers() |
    strategies.text(max_size=5) | strategies.sampled_from(['linux', 'amd64', 'unknown']),
    lambda inner: strategies.lists(inner, max_size=4) | strategies.dictionaries(
        strategies.sampled_from(KEYS), inner, max_size=6), max_leaves=12)


def labels(**texts):
    return {'config': {'Labels': {PREFIX + key: text for key, text in texts.items()}}}


def manifest(config=None, **texts):
    return {'annotations': labels(**texts)['config']['Labels'], 'config': {'digest': config}}


def entry(digest, system=None, architecture=None):
    return {'digest': digest, 'platform': {'os': system, 'architecture': architecture}}


@pytest.mark.parametrize('value', [None, 3, ['x'], {'x': 'y'}, '', ' \n', True])
def test_a_value_that_is_no_text_is_ignored(value):
    assert image.of_manifest(manifest(description=value, title=value)) == Texts()
    assert image.of_config(labels(description=value, title=value)) == Texts()
    assert image.of_manifest({'annotations': value}) == image.of_config(
        {'config': {'Labels': value}}) == Texts()


@pytest.mark.parametrize('children, digest', [
    ([], None),
    ([entry('a', 'linux', 'arm64'), entry('b', 'linux', 'amd64')], 'b'),
    ([entry('a', 'unknown', 'unknown'), entry('b', 'windows', 'amd64')], 'b'),
    ([{'digest': 'a'}, entry('b', 'linux', 's390x')], 'b'),
    ([entry('a', 'unknown', 'unknown'), {'digest': 'b'}], 'a'),
    ([3, {'platform': 4}, {'digest': 5}, {'digest': 'a', 'platform': []}], 'a')])
def test_an_index_is_described_by_its_image_for_linux_on_amd64_if_there_is_one(children, digest):
    assert image.child_of({'manifests': children}) == digest


def test_signatures_are_recognized_by_their_tag():
    for end in '.sig', '.att', '.sbom', '':
        assert image.is_secondary(DIGEST.replace(':', '-') + end)
    for tag in 'latest', None, 'sha256-abc', DIGEST.replace(':', '-') + '.sig.old', 3:
        assert not image.is_secondary(tag)


def test_an_image_with_a_subject_does_not_describe_its_repository():
    assert image.is_secondary('latest', {'subject': {'digest': 'a'}})
    assert not image.is_secondary('latest', {'subject': None}) and not image.is_secondary(None, [])
    sbom = dict(manifest(description='SBOM'), subject={'digest': 'a'})
    assert description(FakeRegistryClient(manifests={'sbom': sbom}), 'a/b', 'sbom') is None


@pytest.mark.parametrize('tags, tag', [
    (['1', 'latest', '2'], 'latest'), (['1.0', '2.0'], '2.0'), ([], None),
    (['sha256-' + 'a' * 64 + '.sig', '1'], '1'), (['sha256-' + 'a' * 64 + '.sig'], None)])
def test_a_repository_is_described_by_latest_or_else_by_its_last_tag(tags, tag):
    assert image.best_tag(tags) == tag


@hypothesis.settings(max_examples=15, deadline=None)
@hypothesis.given(ANYTHING)
def test_no_pushed_document_raises(document):
    for read in (image.of_manifest, image.of_config):
        assert all(text is None or text.strip() for text in read(document))
    for read in (image.child_of, image.config_of):
        digest = read(document)
        assert digest is None or isinstance(digest, str)
    assert image.is_secondary('latest', document) in (True, False)
    assert image.is_index(document) in (True, False)
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
    ({'t': dict(manifest('c', title='x'), config={
        'digest': 'c', 'mediaType': 'application/vnd.oci.empty.v1+json'})}, {}, 'x', ['t']),
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
