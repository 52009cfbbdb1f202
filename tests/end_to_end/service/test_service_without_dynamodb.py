"""DynamoDB is unavailable, or fails now and then: notifications are answered 503 in time and
retried, and in the end index and registry are equal."""
import concurrent.futures
import random
import re
import threading
import time

import pytest

from dev.servers.proxy import FAULTS, Proxy
from tests.end_to_end.service.place import Place, needs
from tests.end_to_end.service.test_service_under_faults import TIMEOUT
from tests.helpers.registry import pushed
from tests.helpers.waiting import lines_of, wait_until

pytestmark = needs('docker-registry', 'nginx')

#: Seconds for any answer to a notification: events_wait, 0.8, and what two busy processors need
#: beside. Most are within TIMEOUT.
LATEST = 1.3
STABLE = ['stable/application-%02d' % number for number in range(12)]


@pytest.fixture(scope='module')
def place(dynamodb_local, tmp_path_factory):
    """A place whose service reaches DynamoDB through a proxy, place.proxy."""
    with Proxy(dynamodb_local.url) as proxy, Place(
            dynamodb_local.url, tmp_path_factory.mktemp('registry'),
            DYNAMODB_ENDPOINT_URL=proxy.url) as made:
        made.proxy = proxy
        for name in STABLE:
            made.images.push(name)
        made.wait_until_found(dict.fromkeys(STABLE, ''))
        yield made


def wait_until_equal(place, seconds):
    """Wait until searches find what the registry has, then prove it."""
    wait_until(lambda: sorted(place.results()), 'index and registry differ', seconds,
               place.service, sorted(place.catalog()))
    place.assert_equal()


def answered(place, status):
    """The milliseconds of the notifications that were answered with a status, by the access log."""
    return [int(found) for found in re.findall(
        r'"POST /events HTTP/1.1" %d \S+ ([0-9]+)ms' % status, place.service.log_text())]


def status_of_a_search(place):
    """Search, and return the status. Each answer must be complete, or 503, or 429 if too many
    searches are under way."""
    answer = place.get('/v1/search?q=stable')
    if answer.status_code == 200:
        assert [each['name'] for each in answer.json()['results']] == STABLE
    else:
        assert (answer.status_code, answer.json()['error']) in (
            (503, 'search is not available now, try again later'),
            (429, 'too many requests are under way, try again later'))
    return answer.status_code


@pytest.mark.parametrize('kind', ['refusing', 'black_hole'])
def test_while_dynamodb_is_unavailable_notifications_are_refused_in_time_and_retried(place, kind):
    names = ['%s/outage-%02d' % (kind, number) for number in range(8)]
    gone = place.images.push(kind + '/gone')
    place.wait_until_found({kind + '/gone': ''}, kind)
    before, took = len(answered(place, 503)), []
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        with getattr(place.proxy, kind)():
            # Twice as many as the service has threads.
            searches = [pool.submit(status_of_a_search, place) for _ in range(32)]
            for name in names:
                digest = place.images.push(name, text='Words of ' + name)
            place.images.delete(kind + '/gone', gone)
            for _ in range(7):
                answer = place.post([pushed(names[-1], digest)])
                took.append(answer.elapsed.total_seconds())
                assert answer.status_code == 503
            answer = place.get('/healthz')
            assert answer.status_code == 200 and answer.elapsed.total_seconds() < TIMEOUT
            # nginx then asks the registry, unless too many searches are under way (429).
            wait_until(lambda: names[0] in place.ask('/v2/_catalog?n=1000').json().get(
                'repositories', ()), 'nginx does not ask the registry', 15, place.service)
            wait_until(lambda: len(answered(place, 503)) > before + 7 + 4,
                       'the registry does not retry', 15, place.service)
        statuses = [search.result() for search in searches]
        refused = statuses.count(503) + statuses.count(429)
        assert refused > 16 and (kind == 'black_hole' or 200 not in statuses), statuses
    wait_until_equal(place, 60)
    refused = sorted(answered(place, 503)[before:])
    assert refused[len(refused) // 2] < 1000 * TIMEOUT and refused[-1] < 1000 * LATEST, refused
    assert sorted(took)[-2] < TIMEOUT and max(took) < LATEST, took
    assert place.results(names[3]) == {names[3]: 'Words of ' + names[3]}


def test_a_change_that_dynamodb_refuses_delays_no_notification_after_it(place):
    names = ['refused/gone-%d' % number for number in range(3)]
    digests = [place.images.push(name) for name in names]
    place.wait_until_found(dict.fromkeys(names, ''), 'refused')
    log, failed = place.service.log_text, len(answered(place, 503))
    with place.proxy.denying('DeleteItem'):
        before = len(log())
        for name, digest in zip(names, digests):
            place.images.delete(name, digest)
        # The registry sends one notification after the other.
        for number in range(20):
            name = 'refused/pushed-%02d' % number
            place.images.push(name)
            place.wait_until_found({name: ''}, name, 3)
        assert sorted(place.results('gone')) == names
        assert len(answered(place, 503)) == failed
        [line] = [line for line in log()[before:].splitlines() if 'a change of' in line]
        assert 'dynamodb:DeleteItem' in line and place.index.settings.search_table in line
        assert 'DynamoDB is unavailable' not in log()[before:]
    # The right is granted: the description worker reads the noted repositories again.
    wait_until_equal(place, 60)


@pytest.mark.parametrize('table', ['repository', 'search'])
def test_a_change_that_dynamodb_throttles_delays_no_notification_after_it(place, table):
    # The row fails at its read; the witness fails in the transaction of the change.
    name = table + '/throttled'
    key = {'name': {'S': name}} if table == 'repository' else {
        'suffix': {'S': name.replace('/', '\1')}}
    failed = len(answered(place, 503))
    with place.proxy.throttling(getattr(place.index.settings, table + '_table'), key):
        place.images.push(name)
        for number in range(3):
            other = '%s/pushed-%02d' % (table, number)
            place.images.push(other)
            place.wait_until_found({other: ''}, other, 5)
        assert name not in place.results(table)
        # Without a note, each retry takes as long as the first attempt.
        assert len(answered(place, 503)) <= failed + 2
    wait_until_equal(place, 60)


def search_until(place, over):
    """Search again and again; return the statuses."""
    return [status_of_a_search(place) for _ in iter(lambda: over.wait(0.02), True)]


def change(place, count):
    """Push and delete at random; names that were deleted come again."""
    chance, there = random.Random(11), {}
    for number in range(count):
        name = 'changing/thing-%02d' % chance.randrange(20)
        if name in there and chance.random() < 0.5:
            place.images.delete(name, there.pop(name))
        else:
            there[name] = place.images.push(name, 'only', 'Words of change %d' % number)


def test_while_a_fifth_of_all_answers_fails_searches_are_complete_and_no_change_is_lost(
        place, request):
    count = 1000 if request.config.getoption('--long', False) else 60
    place.proxy.clear()
    done, over, started = len(answered(place, 200)), threading.Event(), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        searches = [pool.submit(search_until, place, over) for _ in range(2)]
        try:
            with place.proxy.faults(0.2):
                change(place, count)
                # The registry sends one notification after the other, and waits for each answer.
                wait_until(lambda: len(answered(place, 200)) - done >= count // 2
                           or time.monotonic() > started + 5 + count / 10, seconds=30 + count / 10)
            wait_until_equal(place, 90 + count / 10)
        finally:
            over.set()
        statuses = sum((search.result(60) for search in searches), [])
    outcomes = place.proxy.outcomes
    assert set(FAULTS) <= set(outcomes) and sum(outcomes[fault] for fault in FAULTS) > 10
    print('\n%d changes; %d searches, %d of them 503; %s' % (
        count, len(statuses), statuses.count(503), dict(outcomes)))
    assert 'Traceback' not in place.service.log_text(), lines_of(place.service)
