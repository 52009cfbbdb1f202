"""The environment variables that the comments of config/distribution.yml name, in a real registry;
the other tests prove that the file itself works."""
import json
import os
import re

import yaml

from dev.servers.registry_v2 import ConfiguredRegistry, s3_variables
from dev.storage.s3 import Bucket
from tests.docs import pages
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.programs import needs
from tests.helpers.scripted_server import ScriptedServer, page
from tests.helpers.waiting import wait_until


@needs('docker-registry')
def test_the_environment_can_replace_the_endpoints_and_choose_a_bucket(ministack, tmp_path):
    text, bucket = pages.read('config/distribution.yml'), Bucket(ministack.url)
    [written] = re.findall(r"REGISTRY_NOTIFICATIONS_ENDPOINTS='(\[[^']*\])'", text)
    value = re.sub(r'\n *# *', ' ', written)
    assert yaml.safe_load(value) == yaml.safe_load(text)['notifications']['endpoints']
    with ScriptedServer({'/events': page('')}) as service, ConfiguredRegistry(
            service.port, 'of-the-file', dict(
                s3_variables(ministack.url, bucket.name, '/some/where'),
                REGISTRY_NOTIFICATIONS_ENDPOINTS=value.replace(':5080', ':%d' % service.port)
                .replace('SECRET', 'of-the-environment')), root=str(tmp_path)) as registry:
        Images(registry.url).push('acme/app', '1')
        wait_until(lambda: service.bodies, 'no event arrives', 10)
    [(_, headers)], [(_, body)] = service.requests, service.bodies
    assert headers.get_all('Authorization') == ['Bearer of-the-environment']
    [event] = json.loads(body)['events']
    assert (event['action'], event['target']['repository']) == ('push', 'acme/app')
    assert not os.listdir(str(tmp_path))
    repository = 'some/where/docker/registry/v2/repositories/acme/app/'
    assert repository + '_manifests/tags/1/current/link' in bucket.keys(repository)
