"""config/distribution.yml in Debian's registry: the notifications of pushes, and the environment
variables that its comments name."""
import json
import os
import re
import time

import pytest
import yaml

from dev.servers.registry_v2 import ConfiguredRegistry, s3_variables
from dev.storage.s3 import Bucket
from tests.docs import pages
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.programs import needs
from tests.helpers.scripted_server import ScriptedServer, page
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry')


@pytest.fixture
def service():
    with ScriptedServer({'/events': page('')}) as server:
        yield server


def reported(service):
    """Wait for one event, and a little longer for others; return (action, name, tag) of each, and
    forget them."""
    wait_until(lambda: service.bodies, 'no event arrives', 10)
    time.sleep(0.2)
    events = [event for method, body in service.bodies for event in json.loads(body)['events']]
    del service.bodies[:]
    return [(event['action'], event['target']['repository'], event['target']['tag'])
            for event in events]


def secrets(service):
    return {tuple(headers.get_all('Authorization')) for _, headers in service.requests}


def test_each_push_is_one_event_with_the_secret_and_images_outlive_their_registry(
        service, tmp_path):
    for tag in '1', '2':
        with ConfiguredRegistry(service.port, 'sesame', root=str(tmp_path)) as registry:
            images = Images(registry.url)
            images.push('acme/app-' + tag, tag)
            assert reported(service) == [('push', 'acme/app-' + tag, tag)]
            assert images.get('acme/app-1', '1').status_code == 200
    assert secrets(service) == {('Bearer sesame',)}


def test_the_environment_can_replace_the_endpoints_and_choose_a_bucket(
        service, ministack, tmp_path):
    text, bucket = pages.read('config/distribution.yml'), Bucket(ministack.url)
    [written] = re.findall(r"REGISTRY_NOTIFICATIONS_ENDPOINTS='(\[[^']*\])'", text)
    value = re.sub(r'\n *# *', ' ', written)
    assert yaml.safe_load(value) == yaml.safe_load(text)['notifications']['endpoints']
    value = value.replace(':5080', ':%d' % service.port).replace('SECRET', 'of-the-environment')
    with ConfiguredRegistry(service.port, 'of-the-file', dict(
            s3_variables(ministack.url, bucket.name, '/some/where'),
            REGISTRY_NOTIFICATIONS_ENDPOINTS=value), root=str(tmp_path)) as registry:
        Images(registry.url).push('acme/app', '1')
        assert reported(service) == [('push', 'acme/app', '1')]
    assert secrets(service) == {('Bearer of-the-environment',)} and not os.listdir(str(tmp_path))
    repository = 'some/where/docker/registry/v2/repositories/acme/app/'
    assert repository + '_manifests/tags/1/current/link' in bucket.keys(repository)
