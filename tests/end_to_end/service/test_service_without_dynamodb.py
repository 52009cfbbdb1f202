"""DynamoDB is unavailable, or fails now and then: notifications are answered 503 in time
and retried, and all comes right by itself."""
import concurrent.futures
import os
import random
import re
import threading
import time

import pytest

from dev.servers.programs import is_missing
from dev.servers.proxy import FAULTS, Proxy
from tests.end_to_end.service.images import DESCRIPTION, Images
from tests.end_to_end.service.place import Files, Place, lines_of, wait_until
from tests.end_to_end.service.test_service_under_faults import TIMEOUT, pushed, timed

MISSING = [name for name in ('docker-registry', 'nginx') if is_missing(name)]
pytestmark = pytest.mark.skipif(bool(MISSING) and not os.environ.get('CI'),
                                reason='not installed: %s: dev/bootstrap clients'
                                % ', '.join(MISSING))

#: Seconds for any answer to a notification: events_wait, 0.8, and what two busy processors need
#: beside. Most are within TIMEOUT.
LATEST = 1.3

STABLE = sorted('stable/application-%02d' % number for number in range(12))


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place behind a proxy, place.proxy; place.direct is the address of DynamoDB itself."""
    proxy = Proxy(dynamodb_local.url)
    made = Place(proxy.url, Files(tmp_path_factory.mktemp('registry')))
    made.proxy, made.direct = proxy, dynamodb_local.url
    with made:
        for name in STABLE:
            made.images.push(name)
        made.wait_until_found(*STABLE)
        yield made
    proxy.close()


def settled(place, seconds):
    """Wait until searches find what the registry has, then prove it; return the seconds."""
    expected = place.catalog()
    took = wait_until(lambda: sorted(place.found()),
                      'the index does not become what the registry has', seconds, place.service,
                      expected)
    place.assert_equal(place.direct)
    return took


def refusals(place):
    """The milliseconds of the notifications that were answered with 503, by the access log."""
    return [int(found) for found in re.findall(r'"POST /events HTTP/1.1" 503 \S+ ([0-9]+)ms',
                                               place.service.log_text())]


def answered(place):
    """How many notifications were answered with 200."""
    return place.service.log_text().count('"POST /events HTTP/1.1" 200')


def test_a_pusher_with_a_long_name_delays_no_other_notification(place):
    # In JSON, Go writes each of these characters as six bytes.
    pusher = Images(place.registry.url)
    pusher.session.headers['User-Agent'] = '<' * 200000
    pusher.push('long/one')
    place.images.push('short/one')
    place.wait_until_found('long/one', 'short/one', seconds=5)


@pytest.mark.parametrize('kind', ['refusing', 'black_hole'])
def test_unavailable_during_pushes(place, kind):
    names = ['%s/outage-%02d' % (kind.replace('_', '-'), number) for number in range(8)]
    place.images.push(kind + '/before')
    gone = place.images.push(kind + '/gone')
    place.wait_until_found(kind + '/before', kind + '/gone', term=kind)
    before, took = len(refusals(place)), []
    with getattr(place.proxy, kind)():
        for name in names:
            digest = place.images.push(name, labels={DESCRIPTION: 'Words of ' + name})
        place.images.delete(kind + '/gone', gone)
        for _ in range(7):
            answer, seconds = timed(place.post, [pushed(names[-1], digest)])
            took.append(seconds)
            assert answer.status_code == 503
        assert place.ask('/healthz', place.service.url).status_code == 200
        if kind == 'refusing':
            answer = place.ask('/v1/search?q=outage')
            assert (answer.status_code,
                    answer.json()['error']) == (503, 'search is not available now, try again later')
            # nginx then asks the registry.
            assert names[0] in place.ask('/v2/_catalog?n=1000').json()['repositories']
        wait_until(lambda: len(refusals(place)) > before + 4, 'the registry does not send it again',
                   15, place.service)
    seconds = settled(place, 60)
    refused = sorted(refusals(place)[before:])
    median = refused[len(refused) // 2]
    print('\n%s: %d notifications answered 503 after %.2f s (the median; at the most %.2f); ours '
          'after %.2f; all right %.1f s after it recovered' % (
              kind, len(refused), median / 1000, refused[-1] / 1000, max(took), seconds))
    assert median < 1000 * TIMEOUT and refused[-1] < 1000 * LATEST
    assert sorted(took)[-2] < TIMEOUT and max(took) < LATEST, took
    assert place.found(names[3]) == {names[3]: 'Words of ' + names[3]}


def test_searches_that_hang_keep_nothing_else_from_being_answered(place):
    with place.proxy.black_hole(), concurrent.futures.ThreadPoolExecutor(60) as pool:
        # Twice as many as the service has threads, a few each moment.
        searches = []
        for number in range(32):
            searches.append(pool.submit(place.ask, '/v1/search?q=stable', place.service.url))
            time.sleep(0.1)
        took = []
        for _ in range(3):
            answer, seconds = timed(place.post,
                                    [pushed('stable/application-01', 'sha256:' + '0' * 64)])
            assert answer.status_code == 503
            took.append(seconds)
            answer, seconds = timed(place.ask, '/healthz', place.service.url)
            assert answer.status_code == 200
            took.append(seconds)
    statuses = [search.result().status_code for search in searches]
    print('\nanswered after %s s at the most while %d searches hang' % (max(took), len(searches)))
    # Some had their answer just before.
    assert set(statuses) <= {200, 503}
    assert max(took) < TIMEOUT + 1
    assert sorted(took)[len(took) // 2] < TIMEOUT
    wait_until(lambda: sorted(place.found('stable')), 'it does not come to itself', 10,
               place.service, STABLE)


class Searching(threading.Thread):
    """Searches all the time, and notes what was neither whole nor an honest 503."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.statuses, self.wrong, self.over = place, [], [], threading.Event()

    def run(self):
        while not self.over.wait(0.02):
            answer = self.place.ask('/v1/search?q=stable')
            self.statuses.append(answer.status_code)
            if answer.status_code == 200:
                found = [each['name'] for each in answer.json()['results']]
                if found != STABLE:
                    self.wrong.append(found)
            elif answer.status_code != 503 or 'not available' not in answer.text:
                self.wrong.append((answer.status_code, answer.text[:200]))

    def end(self):
        self.over.set()
        self.join(60)
        assert not self.is_alive(), 'a search hangs'


def change(place, count):
    """Push and delete at random; names that were deleted come again."""
    chance, there = random.Random(11), {}
    names = ['changing/thing-%02d' % number for number in range(20)]
    for number in range(count):
        name = chance.choice(names)
        if name in there and chance.random() < 0.5:
            place.images.delete(name, there.pop(name))
        else:
            there[name] = place.images.push(name, 'only',
                                            labels={DESCRIPTION: 'Words of change %d' % number})


def test_a_fifth_of_all_answers_is_a_fault(place, request):
    count = 1000 if request.config.getoption('--long', False) else 100
    place.proxy.clear()
    done = answered(place)
    searches, before, started = [Searching(place)
                                 for _ in range(2)], len(refusals(place)), time.monotonic()
    for each in searches:
        each.start()
    with place.proxy.faults(0.2):
        change(place, count)
        passed = time.monotonic() - started
        # The registry sends one notification after the other, and waits for each answer.
        wait_until(lambda: answered(place) - done >= count // 2 or time.monotonic() > started + 12
                   + count / 10, 'no end', 30 + count / 10)
        done = answered(place) - done
    seconds = settled(place, 90 + count / 10)
    for each in searches:
        each.end()
    assert [each.wrong for each in searches] == [[], []]
    assert set(FAULTS) <= set(place.proxy.outcomes)
    assert sum(place.proxy.outcomes[fault] for fault in FAULTS) > 10
    statuses = [status for each in searches for status in each.statuses]
    print('\n%d changes in %.1f s, %d notifications answered 503, %d answered 200 among the '
          'faults, all right %.1f s after them' % (count, passed, len(refusals(place)) - before,
                                                   done, seconds))
    print('%d searches, %d of them 503; %s' % (len(statuses), statuses.count(503),
                                               dict(place.proxy.outcomes)))
    assert 'Traceback' not in place.service.log_text(), lines_of(place.service)
