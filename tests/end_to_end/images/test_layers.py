"""What the layers of both images contain, and how large they are."""
import os
import re

import pytest

from tests.end_to_end.images.containers import FIGURES, PLUGIN, SERVICE
from tests.end_to_end.images.layers import SavedImage

BASES = {PLUGIN: 'debian:bullseye-slim', SERVICE: 'debian:trixie-slim'}
#: The largest sizes in millions of bytes above the base images.
LIMITS = {PLUGIN: 300, SERVICE: 120}
VARIABLES = {PLUGIN: {'PATH', 'DOCKER_REGISTRY_CONFIG', 'SEARCH_BACKEND', 'SETTINGS_FLAVOR',
                      'REGISTRY_HOST', 'REGISTRY_PORT'}, SERVICE: {'PATH', 'LISTEN'}}
#: Programs, and what apt, pip and this build leave behind.
UNWANTED = re.compile(
    r'/s?bin/([\w-]*-)?(cc|c\+\+|gcc|g\+\+|cpp|as|ld|make|swig|tcc|clang|gcc-\d+|cpp-\d+|'
    r'pip[\d.]*|easy_install[\d.-]*|virtualenv|wheel)$'
    r'|/(site|dist)-packages/(pip|wheel|virtualenv)([-.][^/]+)?/'
    r'|/ensurepip/_bundled/|\.deb$'
    r'|^/var/lib/apt/lists/.+Packages|^/build/|^/root/|/\.git/|/\.cache/'
    r'|/tests?/end_to_end/|/gevent/tests/')
SECRETS = re.compile(
    rb'-----BEGIN [A-Z ]*PRIVATE KEY-----\r?\n[A-Za-z0-9+/=]{40}'
    rb'|\bAKIA(?![0-9A-Z]*EXAMPLE)[0-9A-Z]{16}\b|never-show-this-secret')


@pytest.fixture(scope='module', params=sorted(BASES))
def tag(request):
    return request.param


@pytest.fixture(scope='module')
def saved(dockerd, tag, tmp_path_factory):
    """The image as docker save writes it, without the layer of its base image as `own`."""
    path = str(tmp_path_factory.mktemp('saved') / 'image.tar')
    dockerd.expect('save', '--output', path, tag, timeout=300)
    image = SavedImage(path)
    image.own = image.layers[1:]
    yield image
    os.remove(path)


def test_pip_refuses_a_package_whose_hash_is_not_in_the_lock_file(built, tag):
    # pip's last lines: what it expected, and what it got
    assert re.search(r'Expected .*01234567\w+\n +Got ', built.refusals[tag])


def size(dockerd, tag):
    return int(dockerd.expect('image', 'inspect', '--format', '{{.Size}}', tag))


def test_the_size_above_the_base_image_is_guarded(dockerd, tag):
    above = (size(dockerd, tag) - size(dockerd, BASES[tag])) / 1e6
    FIGURES.append('%s: %.1f MB above its base image' % (tag, above))
    assert above <= LIMITS[tag]


def test_no_layer_has_a_compiler_pip_or_a_secret(saved, tag):
    assert len(saved.own) >= 2
    paths = []
    for path, content in saved.files(saved.own):
        paths.append(path)
        assert not SECRETS.search(content), path
    assert [path for path in paths if UNWANTED.search(path)] == []
    assert any(path.endswith('/bin/docker-registry-index') for path in paths)
    # gunicorn and gevent of the plugin's image need it.
    assert any('/site-packages/setuptools/' in path for path in paths) == (tag == PLUGIN)


def test_the_base_image_has_no_compiler_either(saved):
    assert [path for path, _ in saved.files(saved.layers[:1]) if UNWANTED.search(path)
            and not path.startswith('/root/')] == []


def test_the_configuration_has_a_numeric_user_a_health_check_and_no_other_variable(saved, tag):
    config = saved.config['config']
    assert config['User'] == '10001'
    assert config['Healthcheck']['Test'][0] == 'CMD'
    assert {each.split('=')[0] for each in config['Env']} == VARIABLES[tag]
    assert len(config['ExposedPorts']) == 1 and not config.get('Volumes')


def test_every_file_can_be_read_by_any_user_and_written_by_root_only(containers, tag):
    container = containers.run('docker run -d --user 0 --entrypoint sleep %s 60' % tag)
    folders = 'cd / && find opt etc usr -xdev'
    assert container.execute('sh', '-c', folders + ' -type f -perm /022 | head') == ''
    assert container.execute('sh', '-c', 'find /opt -xdev ! -perm -004 | head') == ''
    assert container.execute('sh', '-c', 'find / -xdev -perm /6000 -newer /etc/hostname') == ''
