"""Whether it lives, whether it can answer, and what it has counted: also while DynamoDB is
unavailable, and when its tables are gone."""
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.servers.proxy import Proxy
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.scripted_server import late, page
from tests.helpers.waiting import wait_until

STORED = {'team/web': 'The front end', 'team/api': None}


@pytest.fixture(scope='module')
def proxy(dynamodb_local):
    made = Proxy(dynamodb_local.url)
    yield made
    made.close()


@pytest.fixture(scope='module')
def place(proxy):
    """A service that reaches DynamoDB through a proxy, and gives up soon."""
    with FakeRegistry(STORED) as registry, Beside(proxy.url, registry, DYNAMODB_ATTEMPTS='1',
                                                  DYNAMODB_CONNECT_TIMEOUT='1',
                                                  DYNAMODB_READ_TIMEOUT='1') as made:
        yield made
    assert 'Traceback' not in made.service.log_text()


def ready(place):
    return place.get('/readyz').status_code == 200


def test_a_running_service_is_live_and_ready(place):
    assert place.get('/healthz').json() == {'live': True}
    assert place.get('/readyz').json() == {'ready': True}
    before = place.dynamodb_requests('BatchGetItem')
    for _ in range(20):
        assert place.get('/healthz').status_code == place.get('/readyz').status_code == 200
    assert place.dynamodb_requests(
        'BatchGetItem') - before <= 2, 'an answer of DynamoDB counts for two seconds'


def test_while_it_loads_it_lives_and_is_not_ready(dynamodb_local):
    with FakeRegistry(STORED) as registry:
        tags = page({'tags': ['x']})
        registry.trouble = late(1.5, lambda handler: tags(handler) if 'tags' in handler.path
                                else page({'repositories': sorted(STORED)})(handler))
        place = Beside(dynamodb_local.url, registry)
        place.service.launch()
        try:
            place.service.ready_path = '/healthz'
            place.service.wait_until_ready()
            answer = place.get('/readyz')
            assert answer.status_code == 503 and answer.json() == {
                'error': 'the index is not ready: it is being loaded, or DynamoDB is unavailable'}
            assert place.counted('ready') == 0 and place.get('/v1/_ping').status_code == 200
            assert place.get('/v2/_catalog').json()['errors'][0][
                'code'] == 'UNAVAILABLE', 'a part is not shown as the whole'
            registry.trouble = None
            wait_until(lambda: ready(place))
            assert place.counted('ready') == 1
            assert place.get('/v2/_catalog').json() == {'repositories': sorted(STORED)}
            assert place.counted('load_repositories') == 2
            assert place.counted('load_repositories_total') == 2
        finally:
            place.__exit__()


def test_what_was_done_is_counted(place):
    def requests(route, status):
        return place.counted('http_requests_total', 'route="%s",status="%s"' % (route, status))

    wanted = [('/v1/search', '200', '/v1/search?q=web'), ('/v1/search', '400', '/v1/search?n=x'),
              ('/v2/_catalog', '200', '/v2/_catalog?n=1'),
              ('/v2/_catalog', '400', '/v2/_catalog?n=2000'),
              ('other', '404', '/no/such/address'), ('other', '404', '/v2/x'),
              ('/healthz', '200', '/healthz'), ('/v1/_ping', '200', '/v1/_ping')]
    for route, status, path in wanted:
        before, observed = requests(route, status), place.counted('http_request_seconds_count',
                                                                  'route="%s"' % route)
        answers = [place.get(path).status_code for _ in range(3)]
        assert answers == [int(status)] * 3 and requests(route, status) - before == 3, path
        assert place.counted('http_request_seconds_count', 'route="%s"' % route) - observed == 3
    before = requests('other', '405')
    assert place.session.post(place.url + '/v1/search').status_code == 405
    assert requests('other', '405') - before == 1
    labels = ''.join(having for _, having in place.metrics())
    assert 'no/such' not in labels and 'web' not in labels, (
        'what clients ask for makes no new series')


def test_what_dynamodb_bills_is_counted(place):
    def units():
        return place.counted('dynamodb_units_total', 'operation="Query"'), place.counted(
            'dynamodb_requests_total', 'operation="Query",outcome="ok"')
    before = units()
    for _ in range(10):
        place.get('/v2/_catalog')
    assert place.dynamodb_requests('Query') >= 10
    spent, made = [after - first for after, first in zip(units(), before)]
    assert 10 <= made <= 11 and spent == made / 2
    before = place.counted('dynamodb_units_total', 'operation="TransactWriteItems"')
    place.registry.repositories['team/billed'] = None
    assert place.post([pushed('team/billed')]).status_code == 200
    assert place.counted('dynamodb_units_total', 'operation="TransactWriteItems"') > before
    assert place.counted('notifications_total', 'result="done"') >= 1


def test_the_metrics_are_such_as_prometheus_reads(place):
    answer = place.get('/metrics')
    assert answer.headers['Content-Type'].startswith('text/plain; version=')
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    wanted = {'http_requests': 'counter', 'http_request_seconds': 'histogram',
              'notifications': 'counter', 'dynamodb_requests': 'counter',
              'dynamodb_units': 'counter', 'ready': 'gauge',
              'load_repositories': 'gauge', 'load_repositories_total': 'gauge',
              'notifications_under_way': 'gauge', 'descriptions_read': 'gauge'}
    for name, kind in wanted.items():
        family = families['registry_index_' + name]
        assert family.type == kind and family.documentation.endswith('.'), name
    assert 'process_cpu_seconds' in families
    assert families['registry_index_ready'].samples[0].value == 1
    assert place.secret not in answer.text


def check_unavailable(place):
    """What everything answers while DynamoDB is unavailable."""
    for path in '/healthz', '/metrics', '/v1/_ping':
        assert place.get(path).status_code == 200, path
    answer = place.get('/readyz')
    assert answer.status_code == 503 and 'DynamoDB' in answer.json()['error'], answer.text
    answer = place.get('/v1/search?q=web')
    assert answer.status_code == 503
    assert answer.json() == {'error': 'search is not available now, try again later'}
    answer = place.get('/v2/_catalog')
    assert answer.status_code == 503
    assert answer.headers['Docker-Distribution-Api-Version'] == 'registry/2.0'
    assert answer.text == (
        '{"errors":[{"code":"UNAVAILABLE","message":"service unavailable","detail":null}]}\n')
    answer = place.post([pushed('team/web')])
    assert answer.status_code == 503 and answer.json() == {'error': 'not now, retry later'}


def back(place):
    wait_until(lambda: ready(place), seconds=10)
    assert 'team/web' in place.found('web')
    assert 'team/web' in place.get('/v2/_catalog').json()['repositories']
    assert place.post([pushed('team/web')]).status_code == 200


def test_dynamodb_that_refuses_connections_and_recovers(place, proxy):
    failures = place.dynamodb_requests() - place.counted('dynamodb_requests_total', 'outcome="ok"')
    with proxy.refusing():
        wait_until(lambda: not ready(place), seconds=10)
        check_unavailable(place)
    back(place)
    assert place.dynamodb_requests() - place.counted('dynamodb_requests_total',
                                                     'outcome="ok"') >= failures + 4
    assert place.counted('notifications_total', 'result="retry"') >= 1


def test_dynamodb_that_does_not_answer_and_recovers(place, proxy):
    with proxy.black_hole():
        wait_until(lambda: not ready(place), seconds=10)
        began = time.monotonic()
        check_unavailable(place)
        assert time.monotonic() - began < 15
        began = time.monotonic()
        assert place.get('/healthz').status_code == 200 and time.monotonic() - began < 1
    back(place)


def test_tables_that_are_deleted_are_found_out_made_and_loaded_again(place):
    # The first request finds it out, and the background makes them at once.
    for ask in (lambda: place.get('/v1/search?q=web'), lambda: place.get('/v2/_catalog'),
                lambda: place.post([pushed('team/web')])):
        place.index.delete_tables()
        assert ask().status_code == 503
        back(place)
    assert place.found('', n=100) == sorted(place.registry.repositories)
    place.index.assert_whole()
    wait_until(lambda: place.search('web')['results'][0]['description'] == 'The front end')


def test_a_search_table_that_is_deleted_is_noticed_by_readiness_alone(place):
    place.index.engine.client.call('delete_table', TableName=place.index.settings.search_table)
    wait_until(lambda: not ready(place), seconds=10)
    wait_until(lambda: place.get('/v1/search?q=web').status_code == 200, seconds=20)
    back(place)
    assert place.found('', n=100) == sorted(place.registry.repositories)
