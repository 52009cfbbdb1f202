"""Which image of a repository describes it, beside a real registry: the best tag, whatever the
order of pushes and deletes."""
import itertools
import json

import pytest

from dev.servers.registry_v2 import Distribution
from dev.storage import oci_images
from tests.end_to_end.service.clients import Podman
from tests.end_to_end.service.images import OCI, Images
from tests.end_to_end.service.place import Place, QuickService, needs

pytestmark = needs('docker-registry', 'podman', 'skopeo', 'nginx')
CHART = dict(OCI, config='application/vnd.cncf.helm.config.v1+json',
             layer='application/vnd.cncf.helm.chart.content.v1.tar+gzip')
CACHE = dict(OCI, config='application/vnd.buildkit.cacheconfig.v0')
ATTESTATION = dict(OCI, layer='application/vnd.in-toto+json')
MARKERS = ('marker/after-%d' % number for number in itertools.count())


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place whose registry has pushed images before the service first starts."""
    folder = tmp_path_factory.mktemp('descriptions')
    with Distribution(folder) as registry:
        images = Images(registry.url)
        for tag in '1.9', '1.10', '1.10-alpine', '1.10-rc1', 'buildcache', 'main':
            images.push('old/versions', tag, 'Of ' + tag)
        images.push('old/latest', '3.0', 'Of 3.0')
        images.push('old/latest', 'latest')
        images.push_manifest('old/cache', 'main', b'{}', kinds=CACHE)
    with Place(dynamodb_local.url, folder, service_class=QuickService) as made:
        yield made


def assert_described(place, name, text):
    """Assert that a search returns this description once all notifications are handled."""
    # The registry sends notifications in order.
    marker = next(MARKERS)
    place.images.push(marker)
    place.wait_until_found({marker: ''}, marker)
    place.wait_until_found({name: text}, name)


def test_a_load_reads_the_description_of_the_best_tag_that_has_one(place):
    place.wait_until_found({'old/versions': 'Of 1.10', 'old/latest': 'Of 3.0', 'old/cache': ''},
                           'old/')


def test_only_a_push_of_the_best_tag_changes_the_description(place):
    name = 'order/pushes'
    for tag, described in (('2.0', '2.0'), ('1.9.1', '2.0'), ('2.0-alpine', '2.0'),
                           ('v2.1', 'v2.1'), ('main', 'v2.1'), ('buildcache', 'v2.1'),
                           ('latest', 'latest'), ('3.0', 'latest')):
        place.images.push(name, tag, 'Of ' + tag)
        assert_described(place, name, 'Of ' + described)
    place.images.push(name, 'latest', 'Of the next latest')
    assert_described(place, name, 'Of the next latest')
    place.images.push(name, 'latest')
    assert_described(place, name, 'Of the next latest')


def test_after_the_delete_of_the_best_tag_the_next_best_one_describes(place):
    name = 'order/deletes'
    digests = {tag: place.images.push(name, tag, 'Of ' + tag) for tag in ('1.0', '1.1', 'latest')}
    assert_described(place, name, 'Of latest')
    place.images.delete(name, digests['latest'])
    assert_described(place, name, 'Of 1.1')
    place.images.delete(name, digests['1.0'])
    assert_described(place, name, 'Of 1.1')
    place.images.push(name, '0.9')
    place.images.delete(name, digests['1.1'])
    assert_described(place, name, '')
    place.images.push(name, '0.8', 'Of 0.8')
    assert_described(place, name, 'Of 0.8')


def test_a_child_that_is_pushed_by_digest_does_not_change_the_description(place):
    name = 'order/children'
    child = place.images.push(name, None, 'Of a child')
    place.images.push_index(name, '1.0', child, {oci_images.DESCRIPTION: 'Of 1.0'})
    assert_described(place, name, 'Of 1.0')
    place.images.push(name, None, 'Of another child')
    assert_described(place, name, 'Of 1.0')


def test_a_chart_is_described_by_its_metadata_and_never_by_an_attestation_or_a_cache(place):
    name, chart = 'charts/web', {'name': 'web', 'version': '1.2.0', 'description': 'A Helm chart'}
    place.images.push_manifest(name, '1.2.0', json.dumps(chart).encode(), [b'chart'], CHART)
    assert_described(place, name, 'A Helm chart')
    for tag, kinds in ('1.3.0', ATTESTATION), ('1.4.0', CACHE):
        place.images.push_manifest(name, tag, b'{}', [b'{}'], kinds, {
            oci_images.DESCRIPTION: 'Not of a chart'})
        assert_described(place, name, 'A Helm chart')


def test_a_description_of_a_base_image_is_not_that_of_an_image_that_podman_builds(
        place, tmp_path_factory):
    # A long path would be too long for podman's sockets.
    tmp_path = tmp_path_factory.mktemp('podman')
    oci_images.push(place.address, 'base/os', '1', files={'etc/os': 'An operating system'},
                    labels={oci_images.DESCRIPTION: 'An operating system'})
    podman = Podman(tmp_path)
    (tmp_path / 'Dockerfile').write_text('FROM %s/base/os:1\nCOPY Dockerfile /\n' % place.address)
    for name, options, shown in (('apps/inherits', [], ''), (
            'apps/describes', ['--label', oci_images.DESCRIPTION + '=A program'], 'A program')):
        image = '%s/%s:1' % (place.address, name)
        for command in ('build', '-t', image, *options, str(tmp_path)), ('push', image):
            done = podman.run(*command)
            assert done.returncode == 0, done.stderr
        assert_described(place, name, shown)


def test_a_description_without_an_origin_is_that_of_the_best_tag_after_the_next_push(place):
    """Release 0.4.0 wrote rows without it."""
    name = 'old/row'
    place.images.push(name, '2.0', 'Of 2.0')
    assert_described(place, name, 'Of 2.0')
    place.index.engine.add(name, 'As 0.4.0 wrote it')
    place.images.push(name, '1.0', 'Of 1.0')
    assert_described(place, name, 'Of 2.0')
