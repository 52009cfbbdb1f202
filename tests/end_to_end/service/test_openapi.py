"""The service does what docs/openapi.yml says: schemathesis sends requests that the description
allows, and others."""
import base64
import os
import time

import bcrypt
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (content_type_conformance,
                                               response_headers_conformance,
                                               response_schema_conformance, status_code_conformance)

from dev.servers.process import ROOT
from dev.servers.proxy import Proxy
from docker_registry_index.service.server import Service
from docker_registry_index.service.settings import settings_of
from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import FakeRegistry, pushed
from tests.helpers.service import NOTIFICATION, SECRET

PATH = os.path.join(ROOT, 'docs', 'openapi.yml')
#: Without the phase that lists all boundary cases: it takes a quarter of a minute.
DESCRIPTION = schemathesis.openapi.from_path(PATH, config=SchemathesisConfig.from_dict(
    {'phases': {'coverage': {'enabled': False}}}))
#: A status is described or wrong: so no 500.
CHECKS = [status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]
USER = 'Basic ' + base64.b64encode(b'alice:right').decode()
NAMES = {'team/web-%03d' % number: None for number in range(12)}


@pytest.fixture(scope='module')
def proxy(dynamodb_local):
    with_faults = Proxy(dynamodb_local.url)
    yield with_faults
    with_faults.close()


@pytest.fixture(scope='module')
def guarded(proxy, tmp_path_factory):
    """A service with the user alice, beside version 2.8."""
    users = tmp_path_factory.mktemp('users') / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with FakeRegistry(NAMES) as registry, Beside(proxy.url, registry,
                                                 HTPASSWD=str(users)) as place:
        yield place
    assert 'Traceback' not in place.service.log_text()


@pytest.fixture(params=['a user', 'somebody'])
def credentials(request):
    """A header Authorization for each path: the right ones; or those that schemathesis makes up."""
    return {'/v1/search': USER, '/v2/_catalog': USER,
            '/events': 'Bearer ' + SECRET} if request.param == 'a user' else {}


@DESCRIPTION.parametrize()
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_answers_as_described(case, guarded, credentials):
    headers = {'Authorization': credentials[case.path]} if case.path in credentials else None
    case.call_and_validate(guarded.url, guarded.session, headers, CHECKS, timeout=30)


def answered(place, method, path, status, headers, **more):
    """Check the status of an answer, and that it is as described; return what was described."""
    answer = place.session.request(method, place.url + path, headers=headers, timeout=60, **more)
    assert answer.status_code == status, answer.text
    operation = DESCRIPTION[path.partition('?')[0]][method]
    operation.Case().validate_response(answer, CHECKS)
    return method, operation.path, str(status)


def test_each_described_answer_is_given(guarded, proxy):
    secret = {'Authorization': 'Bearer ' + SECRET}
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
    as_registry = dict(secret, **{'Content-Type': NOTIFICATION})
    seen.add(answered(guarded, 'POST', '/events', 202, as_registry, data='[]'))
    # The server itself answers what is not HTTP.
    seen |= {answered(guarded, operation.method.upper(), operation.path, 400, {'X-Odd': 'a\0'})
             for operation in operations()}
    with proxy.refusing():
        seen |= {answered(guarded, 'GET', path, 503, user)
                 for path in ('/v1/search', '/v2/_catalog')}
        seen.add(answered(guarded, 'POST', '/events', 503, secret,
                          json={'events': [pushed('team/new')]}))
        time.sleep(2.1)  # an earlier answer is no longer valid
        seen.add(answered(guarded, 'GET', '/readyz', 503, {}))
    assert seen == {(operation.method.upper(), operation.path, status) for operation in operations()
                    for status in operation.responses.status_codes}


def operations():
    """Return the operations that the description has."""
    return [result.ok() for result in DESCRIPTION.get_all_operations()]


def test_all_routes_are_described_and_no_others(guarded):
    given = settings_of({'REGISTRY_URL': 'http://x', 'EVENTS_SECRET': SECRET}, {})[0]
    app = Service(guarded.index.settings, given).app
    # Flask adds the last two itself. The catalog takes the others to refuse them.
    routes = {(method, rule.rule) for rule in app.url_map.iter_rules()
              for method in rule.methods - {'HEAD', 'OPTIONS'}
              if app.test_client().open(rule.rule, method=method).status_code != 405}
    assert routes == {(operation.method.upper(), operation.path) for operation in operations()}
