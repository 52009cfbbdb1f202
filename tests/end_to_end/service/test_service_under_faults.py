"""The registry, the service or the network between them fails: no change is lost, and searches
continue. Failures of DynamoDB are in test_service_without_dynamodb.py."""
import concurrent.futures
import json
import random
import re

import pytest
import yaml

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import ConfiguredRegistry
from docker_registry_index.service.sources.storage import FilesSource
from tests.docs import pages
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import Place, QuickService, ServiceProcess, kill, needs
from tests.helpers.registry import deleted, pushed
from tests.helpers.scripted_server import ScriptedServer, page
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx')

#: Seconds that a registry waits for the answer to a notification: `timeout` in
#: config/distribution.yml.
TIMEOUT = 1
STABLE = {'stable/thing': 'Always there'}


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place in which each test pushes names of its own, and leaves everything running."""
    # With AUTH=registry, searches answer 503 while the registry is down.
    with Place(dynamodb_local.url, tmp_path_factory.mktemp('registry'), AUTH='none') as made:
        for name, text in STABLE.items():
            made.images.push(name, text=text)
        made.wait_until_found(STABLE)
        yield made


def test_while_the_registry_is_down_searches_continue_and_nothing_is_removed(place):
    kill(place.registry)
    try:
        assert place.results('stable') == STABLE
        assert 'stable/thing' in place.ask('/v2/_catalog').json()['repositories']
        assert place.is_ready()
        answer = place.post([deleted('stable/thing')])
        # The repository is noted in DynamoDB, to be read later.
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < TIMEOUT
        assert place.results('stable') == STABLE
    finally:
        place.registry.start()
    assert place.post([deleted('stable/thing')]).status_code == 200
    assert place.results('stable') == STABLE
    place.images.push('after/registry-down')
    place.wait_until_found({'after/registry-down': ''}, 'after')


def test_pushes_while_the_service_is_down_are_notified_again(place):
    expected = {'missed/push-%02d' % number: 'Words of %d' % number for number in range(20)}
    place.service.stop()
    for name, text in expected.items():
        place.images.push(name, text=text)
    place.service.start()
    place.wait_until_found(expected, 'missed', 40)
    assert 'loading the search index' not in place.service.log_text(), (
        'the registry should have notified it')


def test_notifications_that_a_killed_registry_has_not_sent_are_replaced_by_a_sync(place):
    digests = {name: place.images.push(name) for name in ('unsent/gone', 'unsent/old')}
    place.wait_until_found(dict.fromkeys(digests, ''), 'unsent')
    place.service.stop()
    place.images.push('unsent/new')
    place.images.delete('unsent/gone', digests['unsent/gone'])
    kill(place.registry)
    place.registry.start()
    place.service.start()
    # A sync leaves what was pushed within the last hour to the next one.
    assert sorted(place.results('unsent')) == sorted(digests)
    place.age('unsent/gone')
    place.index.engine.sync(FilesSource(place.storage))
    assert place.results('unsent') == {'unsent/new': '', 'unsent/old': ''}
    place.assert_equal()


def notifications_of_changes(place):
    """Push and delete in a registry on the same storage that notifies a stand-in; return the
    bodies of the notifications. The registry has the endpoint from the environment variable that
    config/distribution.yml describes."""
    text = pages.read('config/distribution.yml')
    [endpoints] = re.findall(r"REGISTRY_NOTIFICATIONS_ENDPOINTS='(\[[^']*\])'", text)
    endpoints = re.sub(r'\n *# *', ' ', endpoints)
    assert yaml.safe_load(endpoints) == yaml.safe_load(text)['notifications']['endpoints']
    with ScriptedServer({'/events': page('')}) as listener, ConfiguredRegistry(
            listener.port, 'of-the-file', {'REGISTRY_NOTIFICATIONS_ENDPOINTS': endpoints.replace(
                ':5080', ':%d' % listener.port)}, place.storage) as registry:
        images = Images(registry.url)
        for number, gone in enumerate([0, 1, 0, 2]):
            name = 'shuffled/thing-%d' % number
            for digest in [images.push(name, tag, tag) for tag in ('one', 'two')][:gone]:
                images.delete(name, digest)
        images.push('shuffled/thing-0', 'last')
        wait_until(lambda: any(b'"last"' in body for _, body in listener.bodies), seconds=10)
    actions = [each['action'] for _, body in listener.bodies for each in json.loads(body)['events']]
    # A push is one event; a delete is one of the digest, and one of each tag.
    assert actions.count('push') == 9 and actions.count('delete') >= 6
    assert {headers['Authorization'] for _, headers in listener.requests} == {'Bearer SECRET'}
    return [body for _, body in listener.bodies]


def deliver(service, notification):
    """Send a notification as a registry does: again and again until it is answered with 200."""
    wait_until(lambda: service.post(notification).status_code, 'a notification is not accepted', 20,
               service.service, 200)


def test_duplicated_and_reordered_notifications_of_two_copies_leave_the_index_equal_to_the_registry(
        place, dynamodb_local):
    bodies, chance = notifications_of_changes(place) * 2, random.Random(3)
    expected = ['shuffled/thing-%d' % number for number in range(3)]
    with ServiceProcess(dynamodb_local.url, place.registry, place.database) as other, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            chance.shuffle(bodies)
            list(pool.map(deliver, [place, other] * len(bodies), bodies))
            assert other.found('shuffled') == sorted(place.results('shuffled')) == expected
    place.assert_equal()
    for name in expected:
        place.index.engine.remove(name)
    # One notification may have several events.
    deliver(place, [each for body in bodies for each in json.loads(body)['events']])
    assert sorted(place.results('shuffled')) == expected


def test_while_the_registry_is_slow_or_hangs_notifications_are_answered_in_time_and_noted(
        dynamodb_local, tmp_path):
    place = Place(dynamodb_local.url, tmp_path, service_class=QuickService)
    with Proxy(place.registry.url) as slow:
        place.service = place.copy(place.service.port, REGISTRY_URL=slow.url)
        with place:
            for name, delayed in ('slow/thing', '/manifests/'), ('hanging/thing', ''):
                slow.delay(30, only=delayed)
                digest = place.images.push(name, text='Read later')
                answers = [place.post([pushed(name, digest)]) for _ in range(3)]
                assert [answer.status_code for answer in answers] == [200] * 3
                assert sorted(answer.elapsed.total_seconds() for answer in answers)[1] < TIMEOUT
                assert place.results(name) == {name: ''}
                slow.delay(0)
                place.wait_until_found({name: 'Read later'}, name, 15)
            assert '"POST /events HTTP/1.1" 503' not in place.service.log_text()
