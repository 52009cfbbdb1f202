"""The registry, the service or the network between them fails: no change is lost, and searches
continue. Failures of DynamoDB are in test_service_without_dynamodb.py."""
import concurrent.futures
import json
import random
import time

import pytest

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import ConfiguredRegistry
from docker_registry_index.service.sources.storage import FilesSource
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import Files, Place, QuickService, kill
from tests.end_to_end.service.programs import needs
from tests.helpers.registry import deleted, pushed
from tests.helpers.scripted_server import ScriptedServer, page
from tests.helpers.service import SECRET
from tests.helpers.waiting import wait_until

pytestmark = needs('docker-registry', 'nginx')

#: Seconds that a registry waits for the answer to a notification: `timeout` in
#: config/distribution.yml.
TIMEOUT = 1
STABLE = {'stable/thing': 'Always there'}


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place in which each test pushes names of its own, and leaves everything running."""
    with Place(dynamodb_local.url, Files(tmp_path_factory.mktemp('registry'))) as made:
        for name, text in STABLE.items():
            made.images.push(name, text=text)
        made.wait_until_found(STABLE)
        yield made


def timed(act, *arguments):
    """Call a function; return its value and the seconds that it takes."""
    started = time.monotonic()
    return act(*arguments), time.monotonic() - started


def test_while_the_registry_is_down_searches_continue_and_nothing_is_removed(place):
    kill(place.registry)
    try:
        assert place.found('stable') == STABLE
        assert 'stable/thing' in place.ask('/v2/_catalog').json()['repositories']
        assert place.ask('/readyz', place.service.url).status_code == 200
        answer, seconds = timed(place.post, [deleted('stable/thing')])
        # The repository is noted in DynamoDB, to be read later.
        assert answer.status_code == 200 and seconds < TIMEOUT
        assert place.found('stable') == STABLE
    finally:
        place.registry.start()
    assert place.post([deleted('stable/thing')]).status_code == 200
    assert place.found('stable') == STABLE
    place.images.push('after/registry-down')
    place.wait_until_found({'after/registry-down': ''}, 'after')


def test_pushes_while_the_service_is_down_are_notified_again(place):
    expected = {'missed/by-the-service-%02d' % number: 'Words of %d' % number
                for number in range(20)}
    place.service.stop()
    for name, text in expected.items():
        place.images.push(name, text=text)
    place.service.start()
    seconds = place.wait_until_found(expected, 'missed', 40)
    print('\nall 20 found %.1f s after the service was back' % seconds)
    assert 'loading the search index' not in place.service.log_text(), (
        'the registry should have notified it')


def test_notifications_that_a_killed_registry_has_not_sent_are_replaced_by_a_sync(place):
    digests = {name: place.images.push(name) for name in ('unsent/gone', 'unsent/old')}
    place.wait_until_found(dict.fromkeys(digests, ''), 'unsent')
    place.service.stop()
    place.images.push('unsent/new', text='The service was not notified')
    place.images.delete('unsent/gone', digests['unsent/gone'])
    kill(place.registry)
    place.registry.start()
    place.service.start()
    # A sync leaves what was pushed within the last hour to the next one.
    assert sorted(place.found('unsent')) == sorted(digests)
    place.age('unsent/gone')
    place.index.engine.sync(FilesSource(place.storage.root))
    place.wait_until_found({'unsent/new': 'The service was not notified', 'unsent/old': ''},
                           'unsent', 15)
    place.assert_equal()


def notifications_of_changes(place):
    """Push and delete in a registry on the same storage that notifies a stand-in; return the
    bodies of the notifications."""
    with ScriptedServer({'/events': page('')}) as listener, ConfiguredRegistry(
            listener.port, SECRET, root=place.storage.root) as registry:
        images = Images(registry.url)
        for number, gone in enumerate([0, 1, 0, 2]):
            name = 'shuffled/thing-%d' % number
            for digest in [images.push(name, tag, tag) for tag in ('one', 'two')][:gone]:
                images.delete(name, digest)
        # A delete is two notifications: of the digest, and of the tag.
        wait_until(lambda: len(listener.bodies) >= 8 + 2 * 3,
                   'the registry sends too few notifications', 10)
    return [body for _, body in listener.bodies]


def test_duplicated_and_reordered_notifications_of_two_copies_leave_the_index_equal_to_the_registry(
        place):
    bodies, chance = notifications_of_changes(place) * 2, random.Random(3)
    expected = ['shuffled/thing-%d' % number for number in range(3)]
    with place.copy() as other, concurrent.futures.ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            chance.shuffle(bodies)
            list(pool.map(place.deliver, bodies, [other.url, place.service.url] * len(bodies)))
            for url in other.url, place.service.url:
                assert sorted(place.found('shuffled', url)) == expected
    place.assert_equal()
    for name in expected:
        place.index.engine.remove(name)
    # One notification may have several events.
    place.deliver([each for body in bodies for each in json.loads(body)['events']])
    assert sorted(place.found('shuffled')) == expected


def test_while_the_registry_is_slow_or_hangs_notifications_are_answered_in_time_and_noted(
        dynamodb_local, tmp_path):
    place = Place(dynamodb_local.url, Files(tmp_path))
    with Proxy(place.registry.url) as slow:
        place.service = QuickService(dict(place.settings, REGISTRY_URL=slow.url),
                                     place.service.port)
        with place:
            for name, delayed, found in (('slow/thing', '/manifests/', {'slow/thing': ''}),
                                         ('hanging/thing', '', {})):
                slow.delay(30, only=delayed)
                digest = place.images.push(name, text='Read later')
                took = []
                for _ in range(3):
                    answer, seconds = timed(place.post, [pushed(name, digest)])
                    assert answer.status_code == 200
                    took.append(seconds)
                assert place.found(name) == found
                print('\nanswered 200 after %s s' % ', '.join('%.2f' % each for each in took))
                assert sorted(took)[1] < TIMEOUT
                slow.delay(0)
                place.wait_until_found({name: 'Read later'}, name, 15)
            assert '"POST /events HTTP/1.1" 503' not in place.service.log_text()
