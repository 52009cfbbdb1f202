"""The real registry with a DynamoDB that fails: pushes succeed within their time, searches are
complete or return 503, and the index recovers by itself."""
import functools
import random
import time

import pytest

from dev.servers.proxy import FAULTS
from tests.end_to_end.faults.processes import assert_right
from tests.end_to_end.plugin.registry_place import LOADED, Place, image, wait_for_workers
from tests.end_to_end.plugin.v1_client import V1Client
from tests.helpers.engine import EngineIndex
from tests.helpers.waiting import in_threads, wait_until

#: Seconds that the index may add to a push: push_wait (5), and one.
CHANGE_SECONDS = 6
START_SECONDS = 60
#: That a search waits for the first of its requests, at the worst, and one.
SEARCH_SECONDS = 16
STABLE = sorted('stable/application-%02d' % number for number in range(20))


@pytest.fixture
def place(ministack, proxy):
    made = Place(ministack.url, proxy.url)
    made.put(*STABLE)
    return made


def assert_recovers(place, dynamodb_url, client, names):
    """Wait until the registry finds exactly what it has; then assert that rows and postings
    agree."""
    stored = [name for name in names if client.request(
        'GET', '/v1/repositories/%s/images' % name).status_code == 200]
    expected = sorted(STABLE + stored)
    wait_until(client.found, 'not exactly these are found: %s' % expected, 120, client.registry,
               expected)
    assert_right(EngineIndex(dynamodb_url, place.name), [(name, None) for name in expected])


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
            self.wrong.append(('no honest error', answer.status_code, answer.text))

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


def test_the_registry_works_while_a_fifth_of_all_requests_fails(
        place, proxy, dynamodb_local, is_long):
    # A worker that is rebuilt answers first what is under way, as by default; the tests' five
    # seconds are less than a push may take here.
    with place.running(GUNICORN_GRACEFUL_TIMEOUT='60') as client:
        assert client.names() == STABLE
        users = [User(client.url, number) for number in range(8)]
        with proxy.faults(0.2):
            for _ in range(42 if is_long else 2):
                in_threads([functools.partial(user.use, 6) for user in users])()
        assert [each for user in users for each in user.wrong] == []
        seconds = [each for user in users for each in user.seconds]
        searches = [status for user in users for status in user.searches]
        # A share of them all, so that it was tried indeed.
        assert set(FAULTS) <= set(proxy.outcomes) and sum(
            proxy.outcomes[fault] for fault in FAULTS) > 0.1 * sum(proxy.outcomes.values())
        print('%d pushes and deletes, the longest %.2f s; %d searches, %d of them 503; %s' % (
            len(seconds), max(seconds), len(searches), searches.count(503), dict(proxy.outcomes)))
        # Most of them meet no fault that outlasts their attempts.
        assert searches.count(200) > 0.5 * len(searches) > 5
        # Eight at once wait for each other in the registry, too.
        assert max(seconds) < CHANGE_SECONDS + 4
        assert_recovers(place, dynamodb_local.url, client,
                        [name for user in users for name in user.names])


def test_dynamodb_is_unavailable_at_the_start_in_a_load_and_during_pushes(
        place, proxy, dynamodb_local):
    """A black hole; in the load it refuses connections. test_dynamodb_unavailable.py has the
    others."""
    names = ['team/at-start', 'team/later', 'team/gone', 'team/between']

    def push(name):
        started = time.monotonic()
        client.begin_push(name)
        return time.monotonic() - started

    started = time.monotonic()
    with place.launched() as client:
        with proxy.black_hole():
            client.registry.wait_until_ready()
            wait_for_workers(client.registry, START_SECONDS)
            assert time.monotonic() - started < START_SECONDS
            slow = [push('team/at-start')]
        # The load begins now, and is interrupted.
        time.sleep(1.5)
        with proxy.refusing():
            time.sleep(3)
        assert_recovers(place, dynamodb_local.url, client, names)
        # What the registry itself needs, here and now.
        usual = [push('team/gone') for _ in range(6)]
        with proxy.black_hole():
            slow += [push(name) for name in names[1:3]]
            client.delete('team/gone')
            asked = time.monotonic()
            assert client.found('application') == 503
            assert time.monotonic() - asked < SEARCH_SECONDS
            client.push('team/between', {'latest': image('between')})
            assert client.pull('team/between')[0] == image('between').layer
        assert_recovers(place, dynamodb_local.url, client, names)
        assert client.registry.log_text().count(LOADED) == 1
    print('the longest push %.2f s, without faults %.2f s' % (max(slow), max(usual)))
    assert max(slow) < CHANGE_SECONDS + max(usual)
