"""Without DynamoDB, the registry starts and accepts pushes, and a search returns status 503; when
DynamoDB recovers, the index catches up."""
import time

import pytest

from tests.end_to_end.plugin.registry_place import (
    CHANGE_SECONDS, LISTED, LOADED, image, wait_for_workers)
from tests.helpers.waiting import wait_until

START_SECONDS = 60
SEARCH_SECONDS = 16  # the first of its requests, at the worst
#: So many that each worker gets one of them.
NEXT = ['team/next-%02d' % number for number in range(24)]
# The log is written at its most detailed level while requests fail, and never has the secret.
SETTINGS = {'LOGLEVEL': 'debug', 'DYNAMODB_ACCESS_KEY': 'AKIASECRETTEST',
            'DYNAMODB_SECRET_ACCESS_KEY': 'never/ShowThisKey+5'}


def seconds_of(function, *arguments):
    started = time.monotonic()
    function(*arguments)
    return time.monotonic() - started


def assert_serves(client):
    """Assert that pushes, pulls and deletes work, and that searches answer 503."""
    # A push waits when it begins, and at its end.
    seconds = [seconds_of(client.begin_push, name) for name in NEXT]
    # Once a worker has met the outage, no push waits. By now each worker has.
    assert seconds_of(client.begin_push, 'team/last') < 1 and max(seconds) < CHANGE_SECONDS
    assert seconds_of(client.push, 'team/pushed', {'latest': image('pushed')}) < CHANGE_SECONDS
    assert client.pull('team/pushed')[0] == image('pushed').layer
    assert client.pull('acme/before')[0] == image('acme/before').layer
    client.delete('team/pushed')
    assert client.request('GET', '/v1/repositories/team/pushed/tags').status_code == 404
    started = time.monotonic()
    answer = client.request('GET', '/v1/search?q=pushed&n=25')
    assert time.monotonic() - started < SEARCH_SECONDS
    assert (answer.status_code, answer.headers['Content-Type']) == (503, 'application/json')
    assert 'not available' in answer.json()['error']
    # No name contains this term, so DynamoDB is not asked.
    assert client.names('u' * 256) == []


@pytest.mark.parametrize('kind', ['refusing', 'black_hole'])
def test_the_registry_starts_and_serves_without_dynamodb_and_catches_up(behind, proxy, kind):
    behind.seed('acme/before')
    proxy.delay(0.3, only='Write')
    with behind.launched(**SETTINGS) as client:
        registry, log = client.registry, client.registry.log_text
        with getattr(proxy, kind)():
            assert seconds_of(registry.wait_until_ready) < START_SECONDS
            wait_for_workers(registry, START_SECONDS)
            assert_serves(client)
            # One line for each worker, however many requests fail and changes wait.
            errors = [line for line in log().splitlines()
                      if ' ERROR: ' in line and 'a search is answered' not in line]
            assert len(errors) == registry.workers, errors
            assert all('DynamoDB is unavailable' in line for line in errors), errors
        wait_until(lambda: LISTED.partition('%')[0] in log(), 'no load begins', 90, registry)
        with getattr(proxy, kind)():
            time.sleep(3)
        wait_until(client.found, 'not all are found', 120, registry,
                   ['acme/before', 'team/last'] + NEXT)
        # What was pushed is found before the load that also finds it has ended.
        wait_until(lambda: log().count(LOADED), 'no load ends', 90, registry, 1)
        assert ' DEBUG: ' in log()
        assert 'never/ShowThis' not in log() and 'never%2FShowThis' not in log()
