"""config/distribution.yml in Debian's registry: the notifications of pushes, and the environment
variables that its comments name."""
import json
import os
import re
import time
import urllib.request

import pytest
import yaml

from dev.servers.process import ROOT
from dev.servers.registry_v2 import ConfiguredRegistry, s3_variables
from dev.storage import oci_images
from dev.storage.s3 import Bucket
from tests.end_to_end.service.programs import needs
from tests.end_to_end.service.stand_in import StandIn
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'skopeo')

with open(os.path.join(ROOT, 'config', 'distribution.yml')) as _source:
    TEXT = _source.read()


@pytest.fixture
def service():
    server = StandIn('service')
    yield server
    server.close()


def events(service, wanted=1, seconds=10):
    """Wait for so many events, and a little longer for others; return all that have arrived."""
    wait_until(lambda: len(service.bodies) >= wanted, 'no event arrives', seconds)
    time.sleep(0.2)
    return [event for body in service.bodies for event in json.loads(body.decode())['events']]


def push(registry, name='acme/app', tag='1'):
    oci_images.push('127.0.0.1:%d' % registry.port, name, tag, files={'VERSION': tag})


def catalog(registry):
    with urllib.request.urlopen(registry.url + '/v2/_catalog', timeout=10) as answer:
        return json.loads(answer.read().decode())['repositories']


def test_each_push_is_one_event_with_the_secret_and_images_outlive_their_registry(
        service, tmp_path):
    for tag in '1', '2':
        with ConfiguredRegistry(service.port, 'sesame-sesame-sesame',
                                root=str(tmp_path)) as registry:
            push(registry, 'acme/app-' + tag, tag)
            assert [(event['action'], event['target']['repository'], event['target']['tag'])
                    for event in events(service)] == [('push', 'acme/app-' + tag, tag)]
            assert catalog(registry) == ['acme/app-1', 'acme/app-2'][:int(tag)]
        del service.bodies[:]
    assert {(request[0], request[1], request[2]['Authorization'])
            for request in service.seen} == {('POST', '/events', 'Bearer sesame-sesame-sesame')}


def test_endpoints_in_the_environment_replace_those_in_the_file(service):
    written, = re.findall(r"REGISTRY_NOTIFICATIONS_ENDPOINTS='(\[[^']*\])'", TEXT)
    value = re.sub(r'\n *# *', ' ', written)
    assert yaml.safe_load(value) == yaml.safe_load(TEXT)['notifications']['endpoints']
    value = value.replace('127.0.0.1:5080',
                          '127.0.0.1:%d' % service.port).replace('SECRET', 'of-the-environment')
    with ConfiguredRegistry(service.port, 'of-the-file',
                            {'REGISTRY_NOTIFICATIONS_ENDPOINTS': value}) as registry:
        push(registry)
        assert len(events(service)) == 1
    assert [request[2].get_all('Authorization')
            for request in service.seen] == [['Bearer of-the-environment']]


def test_the_environment_can_choose_a_bucket(service, ministack, tmp_path):
    bucket = Bucket(ministack.url)
    with ConfiguredRegistry(service.port, 'sesame',
                            s3_variables(ministack.url, bucket.name, '/some/where'),
                            root=str(tmp_path)) as registry:
        push(registry)
        assert catalog(registry) == ['acme/app']
    assert not os.listdir(str(tmp_path))
    repository = 'some/where/docker/registry/v2/repositories/acme/app/'
    assert repository + '_manifests/tags/1/current/link' in bucket.keys(repository)
