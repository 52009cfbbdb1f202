"""The real registry while a fifth of all requests to DynamoDB fails: pushes succeed within their
time, searches are complete or return 503, and the index recovers by itself."""
import functools
import random
import time

from dev.servers.proxy import FAULTS
from tests.end_to_end.faults.conftest import assert_right
from tests.end_to_end.plugin.registry_place import Place
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import in_threads, wait_until

#: Seconds that the index may add to a push: push_wait (5), and one.
CHANGE_SECONDS = 6
STABLE = sorted('stable/application-%02d' % number for number in range(20))


class User(object):
    """Pushes, deletes and searches, and notes the answers."""

    def __init__(self, url, number):
        self._client, self._chance = V1Client(url), random.Random(number)
        self.names = ['user-%d/thing-%d' % (number, each) for each in range(6)]
        self.seconds, self.searches, self.wrong, self._pushed = [], [], [], set()

    def use(self, count):
        for _ in range(count):
            name = self._chance.choice(self.names)
            kind = self._chance.choice(('push', 'push', 'delete', 'search', 'search'))
            if kind == 'search':
                self._search()
            else:
                self._change(name, kind == 'push')

    def _search(self):
        answer = self._client.request('GET', '/v1/search?q=application')
        self.searches.append(answer.status_code)
        if answer.status_code == 200:
            found = [result['name'] for result in answer.json()['results']]
            if found != STABLE:
                self.wrong.append(('incomplete', found))
        elif answer.status_code != 503 or 'not available' not in answer.json()['error']:
            self.wrong.append(('neither 200 nor 503', answer.status_code, answer.text))

    def _change(self, name, is_push):
        started, path = time.monotonic(), '/v1/repositories/%s/' % name
        if is_push:
            answer = self._client.request('PUT', path, json=[], headers={'X-Docker-Token': 'true'})
        else:
            answer = self._client.request('DELETE', path)
        self.seconds.append(time.monotonic() - started)
        if answer.status_code not in ([200] if is_push or name in self._pushed else [200, 404]):
            self.wrong.append((name, is_push, answer.status_code, answer.text[:200]))
        (self._pushed.add if is_push else self._pushed.discard)(name)


def test_the_registry_works_and_recovers(ministack, proxy, dynamodb_local, is_long):
    place = Place(ministack.url, proxy.url)
    place.put(*STABLE)
    # A worker that is rebuilt answers first what is under way, as by default; the tests' five
    # seconds are less than a push may take here.
    with place.running(GUNICORN_GRACEFUL_TIMEOUT='60') as client:
        assert client.names() == STABLE
        users = [User(client.url, number) for number in range(8)]
        proxy.clear()
        with proxy.faults(0.2):
            rounds = 0
            # A short run may need more rounds until there were faults of each kind.
            while rounds < (42 if is_long else 2) or not set(FAULTS) <= set(proxy.outcomes):
                in_threads([functools.partial(user.use, 6) for user in users])()
                rounds += 1
                assert rounds < 60, proxy.outcomes
            outcomes = proxy.outcomes
        assert [each for user in users for each in user.wrong] == []
        seconds = [each for user in users for each in user.seconds]
        searches = [status for user in users for status in user.searches]
        assert sum(outcomes[fault] for fault in FAULTS) > 0.1 * sum(outcomes.values())
        print('%d pushes and deletes, the longest %.2f s; %d searches, %d of them 503; %s' % (
            len(seconds), max(seconds), len(searches), searches.count(503), dict(outcomes)))
        # Most of them meet no fault that outlasts their attempts.
        assert searches.count(200) > 0.5 * len(searches) > 5
        # Eight at once wait for each other in the registry, too.
        assert max(seconds) < CHANGE_SECONDS + 4
        # In the end, the registry finds exactly what it has.
        stored = [name for user in users for name in user.names if client.request(
            'GET', '/v1/repositories/%s/images' % name).status_code == 200]
        wait_until(client.found, 'something is not found', 120, client.registry,
                   sorted(STABLE + stored))
        assert_right(EngineIndex(dynamodb_local.url, place.name),
                     [(name, None) for name in STABLE + stored])
