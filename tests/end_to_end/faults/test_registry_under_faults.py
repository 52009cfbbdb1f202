"""The real registry with a DynamoDB that fails: pushes succeed within their time, searches are
complete or return 503, and the index recovers by itself."""
import random
import threading
import time

import pytest

from dev.servers.proxy import FAULTS
from tests.helpers.engine import EngineIndex
from tests.end_to_end.plugin.registry_place import Place, image, wait_for_workers
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.waiting import wait_until

#: Seconds that the index may add to a push: push_wait (5), and one.
CHANGE_SECONDS = 6
START_SECONDS = 60
#: That a search waits for the first of its requests, at the worst, and one.
SEARCH_SECONDS = 16
SETTLE_SECONDS = 120
STABLE = sorted('stable/application-%02d' % number for number in range(20))


@pytest.fixture
def place(ministack, proxy):
    made = Place(ministack.url, proxy.url)
    made.seed(*STABLE)
    return made


def in_storage(client, names):
    """Those of these names that the registry has."""
    return sorted(name for name in names
                  if client.request('GET', '/v1/repositories/%s/images' % name).status_code == 200)


def settled(place, proxy, dynamodb_url, client, names):
    """Wait until the registry finds exactly what it has; then assert that rows and postings
    agree."""
    expected = sorted(STABLE + in_storage(client, names))
    wait_until(client.found, 'it does not settle on %s' % expected, SETTLE_SECONDS, client.registry,
               expected)
    index = EngineIndex(dynamodb_url, place.name)
    index.assert_whole()
    assert list(index.engine.checker(lambda: [(name, None) for name in expected]).check()) == []


class User(threading.Thread):
    """Pushes, deletes and searches, and notes the answers."""

    def __init__(self, url, number, count):
        super().__init__()
        self.client = V1Client(url)
        self.number, self.count = number, count
        self.names = ['user-%d/thing-%d' % (number, each) for each in range(6)]
        self.pushes, self.searches, self.wrong = [], [], []

    def run(self):
        try:
            self._use()
        except Exception as error:
            self.wrong.append(('ended', repr(error)))

    def _use(self):
        chance = random.Random(self.number)
        there = set()
        for _ in range(self.count):
            name = chance.choice(self.names)
            kind = chance.choice(('push', 'push', 'delete', 'search', 'search'))
            started = time.monotonic()
            if kind == 'search':
                answer = self.client.request('GET', '/v1/search?q=application')
                if answer.status_code == 200:
                    found = [result['name'] for result in answer.json()['results']]
                    if found != STABLE:
                        self.wrong.append(('not whole', found))
                elif answer.status_code != 503 or 'not available' not in answer.json()['error']:
                    self.wrong.append(('not honest', answer.status_code, answer.text))
                self.searches.append(answer.status_code)
                continue
            if kind == 'push':
                answer = self.client.request('PUT', '/v1/repositories/%s/' % name, json=[],
                                             headers={'X-Docker-Token': 'true'})
                there.add(name)
                allowed = (200,)
            else:
                answer = self.client.request('DELETE', '/v1/repositories/%s/' % name)
                allowed = (200,) if name in there else (200, 404)
                there.discard(name)
            self.pushes.append(time.monotonic() - started)
            if answer.status_code not in allowed:
                self.wrong.append((kind, name, answer.status_code, answer.text[:200]))


def test_the_registry_works_while_a_fifth_of_all_requests_fails(
        place, proxy, dynamodb_local, is_long):
    # A worker that is rebuilt answers first what is under way, as by default; the tests' five
    # seconds are less than a push may take here.
    with place.running(GUNICORN_GRACEFUL_TIMEOUT='60') as client:
        assert client.names() == STABLE
        with proxy.faults(0.2):
            users = [User(client.url, number, 250 if is_long else 12) for number in range(8)]
            for user in users:
                user.start()
            for user in users:
                user.join()
        assert [each for user in users for each in user.wrong] == []
        pushes = [seconds for user in users for seconds in user.pushes]
        searches = [status for user in users for status in user.searches]
        # A share of them all, so that it was tried indeed.
        assert set(FAULTS) <= set(proxy.outcomes) and sum(
            proxy.outcomes[fault] for fault in FAULTS) > 0.1 * sum(proxy.outcomes.values())
        print('%d pushes and deletes, the longest %.2f s; %d searches, %d of them 503; %s' % (
            len(pushes), max(pushes), len(searches), searches.count(503), dict(proxy.outcomes)))
        # Most of them meet no fault that outlasts their attempts.
        assert searches.count(200) > 0.5 * len(searches) > 5
        # Eight at once wait for each other in the registry, too.
        assert max(pushes) < CHANGE_SECONDS + 4
        settled(place, proxy, dynamodb_local.url, client,
                [name for user in users for name in user.names])
        assert 'Traceback' not in client.registry.log_text()


@pytest.mark.parametrize('kind', ['black_hole', 'refusing'])
def test_unavailable_at_the_start_in_a_load_and_during_pushes(place, proxy, dynamodb_local, kind):
    unavailable = getattr(proxy, kind)
    names = ['team/at-start', 'team/later', 'team/gone', 'team/between']
    healthy = []
    hindered = []

    def push(client, name):
        started = time.monotonic()
        client.begin_push(name)
        return time.monotonic() - started

    started = time.monotonic()
    with unavailable():
        registry = place.registry()
        registry.launch()
        registry.wait_until_ready()
        wait_for_workers(registry, START_SECONDS)
        start = time.monotonic() - started
        client = V1Client(registry.url)
        client.registry = registry
        hindered.append(push(client, 'team/at-start'))
    try:
        # The load begins now; unavailable again in its midst.
        time.sleep(1.5)
        with unavailable():
            time.sleep(3)
        settled(place, proxy, dynamodb_local.url, client, names)
        # What the registry itself needs, here and now.
        healthy += [push(client, 'team/gone') for _ in range(6)]
        with unavailable():
            for name in names[1:3]:
                hindered.append(push(client, name))
            client.delete('team/gone')
            asked = time.monotonic()
            assert client.request('GET', '/v1/search?q=application').status_code == 503
            assert time.monotonic() - asked < SEARCH_SECONDS
            client.push('team/between', {'latest': image('between')})
            assert client.pull('team/between')[0] == image('between').layer
        settled(place, proxy, dynamodb_local.url, client, names)
        log = registry.log_text()
    finally:
        registry.stop()
    print('start %.1f s, the longest push %.2f s, without faults %.2f s'
          % (start, max(hindered), max(healthy)))
    assert start < START_SECONDS and max(hindered) < CHANGE_SECONDS + max(healthy)
    assert 'Traceback' not in log
    assert log.count('loaded the search index in') == 1
