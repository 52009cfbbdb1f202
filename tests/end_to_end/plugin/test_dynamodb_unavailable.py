"""Without DynamoDB, the registry starts and accepts pushes, and a search returns status 503."""
import time

import pytest

from dev.servers.aws import Ministack
from dev.servers.process import free_port
from tests.end_to_end.plugin.registry_place import LOADED, Place, image
from tests.helpers.waiting import wait_until

START_SECONDS = 60
CHANGE_SECONDS = 6  # push_wait, and what the registry itself does
#: So many that each worker gets one of them.
NEXT = ['team/next-%02d' % number for number in range(24)]


@pytest.fixture(scope='module')
def alone(ministack):
    """A registry whose DynamoDB refuses connections: (place, client, seconds that its start
    took)."""
    place = Place(ministack.url, 'http://127.0.0.1:%d' % free_port())
    place.seed('acme/before')
    started = time.monotonic()
    # The log is written at its most detailed level while requests fail, and never has the secret.
    with place.running(LOGLEVEL='debug', DYNAMODB_ACCESS_KEY='AKIASECRETTEST',
                       DYNAMODB_SECRET_ACCESS_KEY='never/ShowThisKey+5') as client:
        yield place, client, time.monotonic() - started
        log = client.registry.log_text()
    assert ' DEBUG: ' in log
    assert 'never/ShowThis' not in log and 'never%2FShowThis' not in log


def test_the_registry_starts_in_a_bounded_time_and_logs_what_is_wrong(alone):
    _, client, seconds = alone
    assert seconds < START_SECONDS
    errors = [line for line in client.registry.log_text().splitlines()
              if ' ERROR: the search index is not ready' in line]
    assert len(errors) == client.registry.workers
    assert all('batchgetitem' in line.lower().replace('_', '') for line in errors)


def test_a_push_a_pull_and_a_delete_work_and_a_search_answers_503(alone):
    client = alone[1]
    started = time.monotonic()
    # two signals: when it begins, and at its end
    client.push('team/pushed', {'latest': image('pushed')})
    assert time.monotonic() - started < 2 * CHANGE_SECONDS
    # Once a worker has met the outage, no push waits. By now each worker has.
    for name in NEXT:
        client.begin_push(name)
    started = time.monotonic()
    client.begin_push('team/last')
    assert time.monotonic() - started < 1
    assert client.pull('team/pushed')[0] == image('pushed').layer
    assert client.pull('acme/before')[0] == image('acme/before').layer
    client.delete('team/pushed')
    assert client.request('GET', '/v1/repositories/team/pushed/tags').status_code == 404
    # One line for each worker, however many changes wait.
    outage = 'the search index cannot be written to'
    assert client.registry.log_text().count(outage) == client.registry.workers
    for query in 'q=pushed&n=25', 'q=':
        answer = client.request('GET', '/v1/search?' + query)
        assert (answer.status_code, answer.headers['Content-Type']) == (503, 'application/json')
        assert 'not available' in answer.json()['error']
    # No name contains this term, so DynamoDB is not asked.
    assert client.names('u' * 256) == []


def test_after_DynamoDB_recovers_the_index_is_loaded_with_all_pushes_and_deletes(alone):
    place, client, _ = alone
    with Ministack(int(place.dynamodb_url.rsplit(':', 1)[1])):
        wait_until(client.found, 'not all are found', 90, client.registry,
                   ['acme/before', 'team/last'] + NEXT)
        # What was pushed is found before the load that also finds it has ended.
        wait_until(lambda: client.registry.log_text().count(LOADED), 'no load ends', 90,
                   client.registry, 1)
