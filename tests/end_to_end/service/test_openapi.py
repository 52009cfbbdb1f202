"""docs/openapi.yml is what the service does: schemathesis asks the running one whatever the
description allows, and what it forbids."""
import base64
import os
import time

import bcrypt
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.specs.openapi.checks import (content_type_conformance,
                                               response_headers_conformance,
                                               response_schema_conformance, status_code_conformance)

from dev.servers.process import ROOT
from dev.servers.proxy import Proxy
from docker_registry_index.service.server import Service
from docker_registry_index.service.settings import settings_of
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import FakeRegistry, pushed

PATH = os.path.join(ROOT, 'docs', 'openapi.yml')
DESCRIPTION = schemathesis.openapi.from_path(PATH)
#: A status is described or wrong: so no 500.
CHECKS = [status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]
USER = 'Basic ' + base64.b64encode(b'alice:right').decode()
NAMES = {'team/web-%03d' % number: None for number in range(120)}


@pytest.fixture(scope='module')
def proxy(dynamodb_local):
    with_faults = Proxy(dynamodb_local.url)
    yield with_faults
    with_faults.close()


@pytest.fixture(scope='module')
def open_to_all(proxy):
    """A service where anybody may read."""
    with FakeRegistry(NAMES) as registry, Beside(proxy.url, registry) as place:
        yield place
    assert 'Traceback' not in place.service.log_text()


@pytest.fixture(scope='module')
def guarded(open_to_all, proxy, tmp_path_factory):
    """One with users, beside version 2.8: alice, whose password is right."""
    users = tmp_path_factory.mktemp('users') / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with FakeRegistry(NAMES, 'application/json; charset=utf-8') as registry, Beside(
            proxy.url, registry, open_to_all.database, HTPASSWD=str(users)) as place:
        yield place
    assert 'Traceback' not in place.service.log_text()


@pytest.fixture(scope='module', params=['anybody', 'a user', 'somebody'])
def caller(request, open_to_all, guarded):
    """A service, and a header Authorization for each path: none that is right; those that are;
    those that schemathesis makes up."""
    right = {'/v1/search': USER, '/v2/_catalog': USER}
    return {'anybody': (open_to_all, {'/events': 'Bearer ' + open_to_all.secret}),
            'a user': (guarded, dict(right, **{'/events': 'Bearer ' + guarded.secret})),
            'somebody': (guarded, {})}[request.param]


@DESCRIPTION.parametrize()
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_answers_as_described(case, caller):
    place, credentials = caller
    headers = {'Authorization': credentials[case.path]} if case.path in credentials else None
    case.call_and_validate(place.url, place.session, headers, CHECKS, timeout=30)


def answered(place, method, path, status, headers, **more):
    """The answer to a request, which has this status and is as described."""
    answer = place.session.request(method, place.url + path, headers=headers, timeout=60, **more)
    assert answer.status_code == status, answer.text
    operation = DESCRIPTION[path.partition('?')[0]][method]
    operation.Case().validate_response(answer, CHECKS)
    return method, operation.path, str(status)


def test_each_described_answer_is_given(open_to_all, guarded, proxy):
    secret = {'Authorization': 'Bearer ' + guarded.secret}
    user, body = {'Authorization': USER}, {'events': [pushed('team/web-000')]}
    seen = {answered(guarded, *asked[:4], json=asked[4] if asked[4:] else None) for asked in [
        ('GET', '/v1/_ping', 200, {}), ('GET', '/healthz', 200, {}), ('GET', '/readyz', 200, {}),
        ('GET', '/metrics', 200, {}),
        ('GET', '/v1/search?q=web&n=100', 200, user), ('GET', '/v1/search?n=0', 400, user),
        ('GET', '/v1/search', 401, {}),
        ('GET', '/v2/_catalog?n=1', 200, user), ('GET', '/v2/_catalog?n=1001', 400, user),
        ('GET', '/v2/_catalog', 401, {}),
        ('POST', '/events', 200, secret, body), ('POST', '/events', 400, secret, []),
        ('POST', '/events', 401, {}, body),
        ('POST', '/events', 413, secret, 'x' * 2 ** 20)]}
    kind = {'Content-Type': 'application/vnd.docker.distribution.events.v1+json'}
    seen.add(answered(guarded, 'POST', '/events', 202, dict(secret, **kind), data='[]'))
    # No HTTP: that is answered before anything of ours is asked.
    seen |= {answered(open_to_all, operation.method.upper(), operation.path, 400, {'X-Odd': 'a\0'})
             for operation in operations()}
    with proxy.refusing():
        seen |= {answered(open_to_all, 'GET', path, 503, {})
                 for path in ('/v1/search', '/v2/_catalog')}
        seen.add(answered(guarded, 'POST', '/events', 503, secret,
                          json={'events': [pushed('team/new')]}))
        time.sleep(2.1)  # an answer of before counts no more
        seen.add(answered(open_to_all, 'GET', '/readyz', 503, {}))
    assert seen == {(operation.method.upper(), operation.path, status) for operation in operations()
                    for status in operation.responses.status_codes}


def operations():
    """Those of the description."""
    return [result.ok() for result in DESCRIPTION.get_all_operations()]


def test_it_describes_the_routes_that_there_are_and_no_others(open_to_all, odd):
    given = settings_of({'REGISTRY_URL': odd.url, 'EVENTS_SECRET': open_to_all.secret}, {},
                        'nowhere')[0]
    app = Service(open_to_all.index.settings, given).app
    # Flask adds the last two itself. The catalog takes the others to refuse them.
    routes = {(method, rule.rule) for rule in app.url_map.iter_rules()
              for method in rule.methods - {'HEAD', 'OPTIONS'}
              if app.test_client().open(rule.rule, method=method).status_code != 405}
    assert routes == {(operation.method.upper(), operation.path) for operation in operations()}
