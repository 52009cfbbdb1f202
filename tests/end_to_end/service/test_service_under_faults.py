"""The registry, the service or the network between them fails: no change is lost, and searches
continue. Failures of DynamoDB are in test_service_without_dynamodb.py."""
import concurrent.futures
import contextlib
import json
import random
import time

import pytest

from dev.servers.proxy import Proxy
from dev.servers.registry_v2 import ConfiguredRegistry, Distribution
from docker_registry_index.service.sources.storage import FilesSource
from tests.end_to_end.service.images import DESCRIPTION, Images
from tests.end_to_end.service.place import SECRET, Files, Place, QuickService, kill, wait_until
from tests.end_to_end.service.programs import needs
from tests.end_to_end.service.stand_in import StandIn

pytestmark = needs('docker-registry', 'nginx')

#: Seconds that a registry waits for the answer to a notification: `timeout` in
#: config/distribution.yml.
TIMEOUT = 1


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place in which each test pushes names of its own, and leaves everything running."""
    with Place(dynamodb_local.url, Files(tmp_path_factory.mktemp('registry'))) as made:
        made.images.push('stable/thing', labels={DESCRIPTION: 'Always there'})
        made.wait_until_found('stable/thing')
        yield made


def event(name, action='push', **target):
    return {'id': '%x' % random.getrandbits(64), 'action': action,
            'target': dict(repository=name, **target)}


def pushed(name, digest, tag='latest'):
    return event(name, digest=digest, tag=tag,
                 mediaType='application/vnd.oci.image.manifest.v1+json')


def timed(act, *arguments, **more):
    """Call a function; return its value and the seconds that it takes."""
    started = time.monotonic()
    return act(*arguments, **more), time.monotonic() - started


def test_while_the_registry_is_down_searches_continue_and_nothing_is_removed(place):
    kill(place.registry)
    try:
        assert place.found('stable') == {'stable/thing': 'Always there'}
        assert 'stable/thing' in place.ask('/v2/_catalog').json()['repositories']
        assert place.ask('/readyz', place.service.url).status_code == 200
        answer, seconds = timed(place.post, [event('stable/thing', 'delete', tag='latest')])
        # The repository is noted in DynamoDB, to be read later.
        assert answer.status_code == 200 and seconds < TIMEOUT
        assert place.found('stable') == {'stable/thing': 'Always there'}
        assert place.post([event('stable/thing', 'pull')]).status_code == 200
    finally:
        place.registry.start()
    assert place.post([event('stable/thing', 'delete', tag='latest')]).status_code == 200
    assert place.found('stable') == {'stable/thing': 'Always there'}
    place.images.push('after/registry-down')
    place.wait_until_found('after/registry-down', term='after')


def test_pushes_while_the_service_is_down_are_notified_again(place):
    expected = {'missed/by-the-service-%02d' % number: 'Words of %d' % number
                for number in range(20)}
    place.service.stop()
    for name, text in expected.items():
        place.images.push(name, labels={DESCRIPTION: text})
    place.service.start()
    seconds = wait_until(lambda: place.found('missed'), 'not all pushes are found', 40,
                         place.service, expected)
    print('\nall 20 found %.1f s after the service was back' % seconds)
    assert 'loading the search index' not in place.service.log_text(), (
        'the registry should have notified it')


def test_notifications_that_a_killed_registry_has_not_sent_are_replaced_by_a_sync(place):
    old = ['unsent/old-%d' % number for number in range(3)]
    digests = [place.images.push(name) for name in old]
    place.wait_until_found(*old, term='unsent')
    place.service.stop()
    place.images.push('unsent/new', labels={DESCRIPTION: 'Nobody was notified'})
    place.images.delete(old[0], digests[0])
    place.images.delete(old[1], digests[1])
    kill(place.registry)
    place.registry.start()
    place.service.start()
    assert sorted(place.found('unsent')) == old
    for removed in old[:2]:
        # A sync leaves what was pushed within the last hour to the next one.
        assert removed in place.found('unsent')
        place.age(removed)
        place.index.engine.sync(FilesSource(place.storage.root))
        assert removed not in place.found('unsent')
    wait_until(lambda: place.found('unsent'), 'the sync did not repair it', 15, place.service,
               {'unsent/new': 'Nobody was notified', old[2]: ''})
    place.assert_equal(place.dynamodb_url)


def recorded(place):
    """Push and delete in a registry on the same storage that notifies a stand-in; return the
    notifications as they were sent."""
    listener = StandIn('listener')
    with contextlib.closing(listener), ConfiguredRegistry(
            listener.port, SECRET, root=place.storage.root) as registry:
        images = Images(registry.url)
        for number in range(4):
            name = 'shuffled/thing-%d' % number
            digests = [images.push(name, tag, labels={DESCRIPTION: '%s of %d' % (tag, number)})
                       for tag in ('one', 'two')]
            for digest in digests[:[0, 1, 0, 2][number]]:
                images.delete(name, digest)
        # A delete is two notifications: of the digest, and of the tag.
        wait_until(lambda: len(listener.bodies) >= 8 + 2 * 3,
                   'the registry sends too few notifications', 10)
    return listener.bodies


def test_duplicated_and_reordered_notifications_leave_the_index_equal_to_the_registry(place):
    bodies, chance = recorded(place) * 2, random.Random(3)
    print('\n%d notifications, half of them duplicates, shuffled' % len(bodies))
    expected = ['shuffled/thing-%d' % number for number in range(3)]
    for _ in range(2):
        chance.shuffle(bodies)
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            list(pool.map(place.deliver, bodies))
        assert sorted(place.found('shuffled')) == expected
    place.assert_equal(place.dynamodb_url)
    for name in expected:
        place.index.engine.remove(name)
    # One notification may have several events.
    place.deliver([each for body in bodies for each in json.loads(body.decode())['events']])
    assert sorted(place.found('shuffled')) == expected


def test_two_copies_may_be_notified_of_one_repository_at_once(place):
    chance, answers = random.Random(5), []
    with Distribution(place.storage.root) as registry, place.copy() as other, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        images, copies = Images(registry.url), [place.service, other]
        for number in range(6):
            there = number % 2 == 0
            if there:
                digest = images.push('both/sent', 'tag-%d' % number,
                                     labels={DESCRIPTION: 'Words of %d' % number})
            else:
                images.delete('both/sent', digest)
            sent = [pushed('both/sent', digest), event('both/sent', 'delete', digest=digest)]
            posts = [(copy, each) for copy in copies for each in sent for _ in range(2)]
            chance.shuffle(posts)
            statuses = list(pool.map(lambda post: place.post([post[1]], post[0].url).status_code,
                                     posts))
            assert set(statuses) <= {200, 503}
            answers += statuses
            # The registry would retry a notification that is answered with 503.
            if 503 in statuses:
                place.deliver([sent[0]], copies[0].url)
            assert place.found('both', copies[chance.randrange(2)].url) == (
                {'both/sent': 'Words of %d' % number} if there else {})
    print('\n%d notifications, %d of them 503' % (len(answers), answers.count(503)))
    place.assert_equal(place.dynamodb_url)


@pytest.fixture(scope='module')
def slow(dynamodb_local, tmp_path_factory):
    """A place whose service reads its registry through a proxy, as place.slow."""
    made = Place(dynamodb_local.url, Files(tmp_path_factory.mktemp('slow')))
    with Proxy(made.registry.url) as proxy:
        made.service = QuickService(dict(made.settings, REGISTRY_URL=proxy.url), made.service.port)
        made.slow = proxy
        with made:
            yield made


def test_a_slow_description_is_read_later(slow):
    slow.slow.delay(3, only='/manifests/')
    digest = slow.images.push('slow/thing', labels={DESCRIPTION: 'Read later'})
    slow.wait_until_found('slow/thing', term='thing', seconds=2 * TIMEOUT)
    assert slow.found('thing') == {'slow/thing': ''}
    answer, seconds = timed(slow.post, [pushed('slow/thing', digest)])
    print('\nanswered %d after %.2f s, while a description takes more than 3'
          % (answer.status_code, seconds))
    assert answer.status_code == 200 and seconds < TIMEOUT
    slow.slow.delay(0)
    later = wait_until(lambda: slow.found('thing'), 'the description is not read later', 15,
                       slow.service, {'slow/thing': 'Read later'})
    print('described %.1f s after the registry was fast again' % later)
    assert ' 503 ' not in '\n'.join(line for line in slow.service.log_text().splitlines()
                                    if '/events' in line)


def test_while_the_registry_hangs_notifications_are_answered_in_time_and_noted(slow):
    slow.slow.delay(30)
    took = []
    digest = slow.images.push('hanging/thing')
    for _ in range(3):
        answer, seconds = timed(slow.post, [pushed('hanging/thing', digest)])
        assert answer.status_code == 200
        took.append(seconds)
    assert slow.found('hanging') == {}
    print('\nanswered 200 after %s s' % ', '.join('%.2f' % seconds for seconds in took))
    assert sorted(took)[1] < TIMEOUT
    slow.slow.delay(0)
    slow.wait_until_found('hanging/thing', term='hanging', seconds=15)
