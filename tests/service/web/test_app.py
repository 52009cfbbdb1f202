"""What all addresses have in common: limits, answers to errors, unknown addresses."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from docker_registry_index.service.web import app
from docker_registry_index.service.web.app import Gate
from docker_registry_index.service.web.responses import Refusal
from tests.helpers.registry import pushed
from tests.helpers.waiting import Hanging, in_threads, wait_until

ROUTES = [b'/v1/search', b'/v2/_catalog', b'/v1/_ping', b'/events', b'/healthz', b'/readyz',
          b'/metrics']


def test_a_search_waits_briefly_while_all_places_are_taken(start, monkeypatch):
    monkeypatch.setattr(app, '_WAIT', 20)
    with start({'team/web': None}, THREADS='2') as service:
        with Hanging(service.service.index.search) as search:
            service.service.index.search = search
            both = in_threads([lambda: service.get('/v1/search')] * 2)
            wait_until(lambda: search.calls)
        assert [answer.status_code for answer in both()] == [200, 200]


def test_a_closed_gate_admits_no_request_and_waits_a_while_for_those_under_way():
    gate = Gate()
    with gate:
        with gate:
            assert not gate.close(0)
            with pytest.raises(Refusal), gate:
                pass
        closed = in_threads([lambda: gate.close(20)])
    assert closed() == [True] and gate.close(0)


def test_searches_that_hang_leave_threads_for_all_other_requests(start):
    with start({'team/web': None}, THREADS='2') as service:
        with Hanging(service.service.index.search) as search:
            service.service.index.search = search
            first = in_threads([lambda: service.get('/v1/search')])
            wait_until(lambda: search.calls)
            answer = service.get('/v1/search')
            assert answer.status_code == 429 and answer.headers['Retry-After'] == '1'
            assert answer.json() == {'error': 'too many requests are under way, try again later'}
            answer = service.get('/v2/_catalog')
            assert answer.status_code == 429 and answer.headers['Retry-After'] == '1'
            assert answer.json()['errors'][0]['code'] == 'TOOMANYREQUESTS'
            assert service.post([pushed('team/web')]).status_code == 200
            assert service.get('/readyz').status_code == 200
        assert first()[0].status_code == 200 and service.found('web') == ['team/web']
        assert service.service.gate.close(0), 'each request has left the gate'
        for path in '/v1/search', '/v1/_ping', '/readyz', '/nowhere':
            answer = service.get(path)
            assert answer.status_code == 503 and 'the service is stopping' in answer.text, path
        assert service.get('/v2/_catalog').json()['errors'][0]['code'] == 'UNAVAILABLE'
        assert service.post([]).status_code == 503
        assert service.get('/healthz').status_code == service.get('/metrics').status_code == 200


@pytest.mark.parametrize('method, path, status', [
    ('HEAD', '/v1/search', 200), ('POST', '/v1/search', 405), ('A\x1bB', '/v1/_ping', 405),
    ('GET', '/events', 405), ('PUT', '/events', 405), ('HEAD', '/events', 405),
    *(('GET', path, 404) for path in ('/v1/search/', '/v1/', '/v2/', '/static/x', '/-/'))])
def test_other_methods_and_addresses_are_refused_as_json(service, method, path, status):
    answer = service.request(method, path)
    assert answer.status_code == status and answer.headers['Content-Type'] == 'application/json'
    if method != 'HEAD':
        assert set(answer.json()) == {'error'} and answer.json()['error'].isprintable()
    if status == 405:
        assert ('POST' if path == '/events' else 'GET') in answer.headers['Allow']


def test_an_unexpected_error_is_answered_500_and_logged(start, caplog):
    service = start()
    service.service.index.search = lambda *arguments: 1 / 0
    answer = service.get('/v1/search')
    assert answer.status_code == 500
    assert answer.json() == {'error': 'the service failed; its log contains the error'}
    assert 'ZeroDivisionError' in caplog.text
    caplog.clear()


def without(bad):
    """Return a strategy of any bytes except these."""
    return st.lists(st.sampled_from(sorted(set(range(256)) - set(bad))), max_size=25).map(bytes)


TARGETS = (st.sampled_from(ROUTES) | st.tuples(st.sampled_from([
    b'/v1/search?', b'/v1/search?q=', b'/v2/_catalog?', b'/v2/_catalog?last=', b'//', b'/v1//',
    b'/v2/', b'/%', b'/\xff', b'/..', b'/']), without(b' #\r\n\0')).map(b''.join))
HEADERS = st.tuples(st.sampled_from([
    b'Host', b'Accept', b'Accept-Encoding', b'Cookie', b'Range', b'If-None-Match', b'User-Agent',
    b'If-Modified-Since', b'Origin', b'X-Forwarded-Host', b'Authorization', b'Date', b'Referer',
    b'X-HTTP-Method-Override']), without(b'\r\n\0')).map(b': '.join)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(method=st.sampled_from('GET POST HEAD OPTIONS PUT DELETE PATCH TRACE FOO'.split()),
       target=TARGETS, lines=st.lists(HEADERS, max_size=4))
def test_no_request_is_an_error_of_the_service(service, method, target, lines):
    assert service.request_bytes(method, target, *lines).status_code < 500
