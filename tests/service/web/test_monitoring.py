"""Health, readiness and metrics, also without DynamoDB and after tables are deleted."""
from unittest.mock import Mock

import pytest
from prometheus_client import generate_latest

from docker_registry_index.service.web.app import MONITORING
from docker_registry_index.service.web.monitoring import Metrics, Readiness
from tests.helpers.index import THROTTLED
from tests.helpers.listing import REPOSITORIES, make_repositories
from tests.helpers.registry import pushed
from tests.helpers.scripted_server import page
from tests.helpers.service import SECRET
from tests.helpers.waiting import Hanging, wait_until

STORED = {'team/web': 'The front end', 'team/api': None}


def test_an_answer_of_dynamodb_is_valid_for_two_seconds_and_a_slow_one_is_not_awaited(clock):
    index = Mock(ready=True)
    readiness, without_wait = Readiness(index, clock, 20), Readiness(index, clock, 0)
    for seconds, asked in ((0, 1), (1.9, 1), (0.2, 2)):
        clock.advance(seconds)
        assert readiness.problem() is None and index.is_ready.call_count == asked
    index.is_ready.side_effect = THROTTLED
    clock.advance(2.1)
    assert readiness.problem() == 'DynamoDB is unavailable, or refuses requests'
    clock.advance(2.1)
    with Hanging(lambda: True) as index.is_ready.side_effect:
        assert without_wait.problem() == without_wait.problem() == 'DynamoDB does not answer'
        wait_until(lambda: index.is_ready.call_count > 3)
        assert index.is_ready.call_count == 4, 'there is one request at a time'
    wait_until(lambda: without_wait.problem() is readiness.problem() is None)
    index.ready = False
    assert 'the index is not ready' in readiness.problem()


@pytest.fixture(scope='module')
def place(start):
    with start(STORED) as made:
        yield made


def test_while_the_first_load_runs_the_service_is_live_and_not_ready(start):
    place = start()
    with Hanging(page({'repositories': sorted(STORED), 'tags': ['x']})) as place.registry.trouble:
        place.service.start(load_wait=1e-9)
        assert place.get('/healthz').json() == {'live': True}
        assert place.get('/v1/_ping').status_code == 200
        answer = place.get('/readyz')
        assert answer.status_code == 503 and answer.json() == {
            'error': 'the index is not ready: it is being loaded, or DynamoDB is unavailable'}
        assert place.counted('ready') == 0
        assert place.get('/v2/_catalog').json()['errors'][0]['code'] == 'UNAVAILABLE'
    wait_until(place.is_ready)
    assert place.get('/readyz').json() == {'ready': True}
    assert place.get('/v2/_catalog').json() == {'repositories': sorted(STORED)}
    assert [place.counted(name) for name in (
        'ready', 'load_repositories', 'load_repositories_total')] == [1, 2, 2]
    place.service.stop()


@pytest.mark.parametrize('path, route, status', [
    ('/v1/search?q=web', '/v1/search', 200), ('/v1/search?n=x', '/v1/search', 400),
    ('/v2/_catalog?n=2000', '/v2/_catalog', 400), ('/no/such/address', 'other', 404),
    ('/v2/x', 'other', 404), ('/healthz', '/healthz', 200), ('/events', 'other', 405)])
def test_each_request_is_counted_and_timed_by_route_and_status(place, path, route, status):
    def counts():
        labels = 'route="%s"' % route
        return [place.counted('http_requests_total', '%s,status="%s"' % (labels, status)),
                place.counted('http_request_seconds_count', labels)]
    before = counts()
    for _ in range(3):
        assert place.get(path).status_code == status
    assert counts() == [count + 3 for count in before]


def test_requests_to_dynamodb_are_counted_with_their_units_and_outcomes(place):
    def counts():
        return [place.counted(name, 'operation="Query"')
                for name in ('dynamodb_requests_total', 'dynamodb_units_total')]
    before = counts()
    assert place.found('web') == ['team/web']
    assert all(new > old for new, old in zip(counts(), before))
    assert place.counted('dynamodb_requests_total', 'outcome="ok"') > 0
    answer = place.get('/metrics')
    assert answer.headers['Content-Type'].startswith('text/plain; version=')
    assert 'process_cpu_seconds' in answer.text and SECRET not in answer.text


def test_while_dynamodb_is_unavailable_every_answer_reports_it(start):
    def refuse(**_):
        raise ConnectionError('DynamoDB is unavailable')
    with start(STORED) as place:
        events = place.service.index.client.dynamodb.meta.events
        events.register('before-send.dynamodb', refuse)
        for path in '/healthz', '/metrics', '/v1/_ping':
            assert place.get(path).status_code == 200, path
        answer = place.get('/readyz')
        assert answer.status_code == 503 and 'DynamoDB' in answer.json()['error']
        answer = place.get('/v1/search?q=web')
        assert (answer.status_code, answer.json()) == (
            503, {'error': 'search is not available now, try again later'})
        answer = place.get('/v2/_catalog')
        assert answer.status_code == 503
        assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
        assert answer.text == (
            '{"errors":[{"code":"UNAVAILABLE","message":"service unavailable","detail":null}]}\n')
        answer = place.post([pushed('team/web')])
        assert (answer.status_code, answer.json()['error']) == (503, 'not made yet, retry later')
        events.unregister('before-send.dynamodb', refuse)
        assert place.found('web') == ['team/web'] and place.get('/v2/_catalog').status_code == 200
        assert place.post([pushed('team/web')]).status_code == 200
        assert place.dynamodb_requests() - place.counted(
            'dynamodb_requests_total', 'outcome="ok"') >= 4
        assert place.counted('notifications_total', 'result="retry"') == 1


def test_an_unreadable_part_of_the_storage_is_named_and_the_catalog_has_the_rest(start, tmp_path):
    make_repositories(tmp_path, 'team/web', 'nginx')
    (tmp_path / REPOSITORIES / 'other').symlink_to(tmp_path / 'unmounted')
    with start(dict.fromkeys(['team/web', 'nginx']), STORAGE=str(tmp_path)) as place:
        assert place.get('/v2/_catalog').json() == {'repositories': ['nginx', 'team/web']}
        assert {labels: value for (name, labels), value in place.metrics().items()
                if name == 'registry_index_storage_unreadable'} == {'part="other"': 1}


def test_the_metric_lists_the_parts_that_are_unreadable_now():
    parts, metrics = ['b', 'a', 'b'], Metrics()
    metrics.watch_storage(lambda: parts)

    def shown():
        return [line for line in generate_latest(metrics.registry).decode().splitlines()
                if line.startswith('registry_index_storage_unreadable')]

    assert shown() == ['registry_index_storage_unreadable{part="%s"} 1.0' % part for part in 'ab']
    del parts[:]
    assert shown() == []


def test_monitoring_may_have_an_address_of_its_own(start):
    with start(STORED, MONITORING_LISTEN='127.0.0.1:9100') as place:
        for path, statuses in (('/healthz', (200, 200)), ('/readyz', (404, 200)),
                               ('/metrics', (404, 200)), ('/v1/search', (200, 404)),
                               ('/v2/_catalog', (200, 404)), ('/events', (405, 404)),
                               ('/nowhere', (404, 404))):
            answers = place.get(path), place.request('GET', path, **{MONITORING: True})
            assert tuple(answer.status_code for answer in answers) == statuses, path
        assert place.post([pushed('team/web')]).status_code == 200
    place.service.gate.close(0)
    for path, status in ('/metrics', 200), ('/healthz', 200), ('/readyz', 503):
        assert place.request('GET', path, **{MONITORING: True}).status_code == status


def recovers(place):
    wait_until(lambda: place.get('/v2/_catalog').status_code == 200)
    assert place.found('', n=100) == sorted(STORED)


@pytest.mark.parametrize('ask', [lambda place: place.get('/v1/search?q=web'),
                                 lambda place: place.get('/v2/_catalog'),
                                 lambda place: place.post([pushed('team/web')])],
                         ids=['search', 'catalog', 'notification'])
def test_the_first_request_notices_that_tables_are_deleted_and_they_are_made_again(place, ask):
    place.index.delete_tables()
    assert ask(place).status_code == 503
    recovers(place)
    assert place.post([pushed('team/web')]).status_code == 200
    assert place.search('web')['results'][0]['description'] == 'The front end'
    place.index.assert_whole()


def test_readiness_alone_notices_that_the_search_table_is_deleted(start):
    with start(STORED) as place:
        place.index.engine.client.call('delete_table', TableName=place.index.settings.search_table)
        assert not place.is_ready()
        recovers(place)
