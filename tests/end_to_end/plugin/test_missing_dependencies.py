"""A Python module that is not installed: the error names it and how to get it."""
import os
import subprocess

import pytest

from dev.servers.process import ROOT, ServerError, local_environment
from dev.servers.registry_v1 import PY27_BIN

OURS, THEIRS = 'pip install docker-registry-index-dynamodb', 'requirements/registry-py27.txt'


@pytest.fixture
def hiding(tmp_path):
    """A function that returns the environment in which a package is not installed."""
    def hide(package):
        # Python 2.7 imports this module before any other.
        (tmp_path / 'sitecustomize.py').write_text('import sys; sys.modules[%r] = None' % package)
        return {'PYTHONPATH': str(tmp_path), 'PYTHONDONTWRITEBYTECODE': '1'}
    return hide


def test_the_registry_does_not_start_without_boto3_and_the_error_names_the_way_out(place, hiding):
    registry = place.registry(**hiding('boto3'))
    with pytest.raises(ServerError, match='ended with status [1-9]'):
        registry.start()
    log = registry.log_text()
    sentences = [line for line in log.splitlines() if 'MissingDependency: ' in line]
    assert sentences and all('boto3' in line and OURS in line for line in sentences), log
    assert 'Unknown index type' not in log


@pytest.mark.parametrize('package,way_out', [
    ('botocore', OURS), ('flask', THEIRS), ('docker_registry', THEIRS), ('yaml', 'pip install')])
def test_importing_the_plugin_names_the_missing_package_and_the_way_out(hiding, package, way_out):
    done = subprocess.run(
        [os.path.join(PY27_BIN, 'python'), '-c', 'import docker_registry_index.dynamodb'],
        env=local_environment(hiding(package)), cwd=ROOT, timeout=60, stderr=subprocess.PIPE,
        text=True)
    assert done.returncode == 1
    shown = done.stderr.strip().splitlines()[-1]
    assert 'MissingDependency' in shown and package in shown and way_out in shown
