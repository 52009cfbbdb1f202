"""The service does what docs/openapi.yml describes: schemathesis sends requests that the page
allows, and others."""
import base64
import os
from unittest.mock import Mock

import bcrypt
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance, response_headers_conformance, response_schema_conformance,
    status_code_conformance)

from dev.servers.process import ROOT
from docker_registry_index.service.registry.connection import USER_AGENT
from docker_registry_index.service.web import app
from docker_registry_index.service.web.auth import Busy
from tests.helpers.registry import pushed
from tests.helpers.service import NOTIFICATION, SECRET

#: Without the phase that lists all boundary cases: it takes a quarter of a minute.
DESCRIPTION = schemathesis.openapi.from_path(
    os.path.join(ROOT, 'docs', 'openapi.yml'), config=SchemathesisConfig.from_dict(
        {'phases': {'coverage': {'enabled': False}}}))
#: A status is described or wrong: so no 500.
CHECKS = [status_code_conformance, content_type_conformance, response_headers_conformance,
          response_schema_conformance]
USER = 'Basic ' + base64.b64encode(b'alice:right').decode()
CREDENTIALS = {'/v1/search': USER, '/v2/_catalog': USER, '/events': 'Bearer ' + SECRET}


@pytest.fixture(scope='module')
def guarded(start, tmp_path_factory):
    """A service with the user alice, beside version 2.8."""
    users = tmp_path_factory.mktemp('users') / 'htpasswd'
    users.write_bytes(b'alice:' + bcrypt.hashpw(b'right', bcrypt.gensalt(4)) + b'\n')
    with start({'team/web-%d' % number: None for number in range(3)}, AUTH='htpasswd',
               HTPASSWD=str(users)) as made:
        yield made


# schemathesis itself uses the module random, which hypothesis advises against.
@pytest.mark.filterwarnings('ignore::hypothesis.errors.HypothesisDeprecationWarning')
@DESCRIPTION.parametrize()
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_service_answers_as_described(case, guarded):
    headers = {'Authorization': CREDENTIALS[case.path]} if case.path in CREDENTIALS else None
    case.call_and_validate(headers=headers, checks=CHECKS, app=guarded.app)


def operations():
    return [result.ok() for result in DESCRIPTION.get_all_operations()]


def test_each_described_answer_is_given(guarded, monkeypatch):
    """This test is the last one: the service then admits no request."""
    def answered(path, status, query=None, credentials=CREDENTIALS, **body):
        """Check the status of an answer, and that it is as described; return both."""
        [operation] = [operation for operation in operations() if operation.path == path]
        headers = {'Authorization': credentials[path]} if path in credentials else {}
        answer = operation.Case(query=query or {}, **body).call_and_validate(
            headers=headers, checks=CHECKS, app=guarded.app)
        assert answer.status_code == status, answer.text
        return path, str(status)

    event = {'body': {'events': [pushed('team/web-0')]}, 'media_type': 'application/json'}
    paths = [operation.path for operation in operations()]
    seen = {answered(path, 200, **event if path == '/events' else {}) for path in paths}
    seen |= {answered(path, 401, credentials={}, **event if path == '/events' else {})
             for path in CREDENTIALS}
    seen |= {answered('/v1/search', 400, {'n': '0'}), answered('/v2/_catalog', 400, {'n': '1001'})}
    for body, media_type, status in ([], 'application/json', 400), ([], NOTIFICATION, 202):
        seen.add(answered('/events', status, body=body, media_type=media_type))
    own = {'headers': {'User-Agent': USER_AGENT}}
    for path in '/v1/search', '/v2/_catalog':
        seen.add(answered(path, 508, **own))
        with monkeypatch.context() as patched:
            patched.setattr(app, 'credentials_in', Mock(side_effect=Busy))
            seen.add(answered(path, 429))
    guarded.service.gate.close(0)
    seen |= {answered(path, 503, **event if path == '/events' else {}) for path in paths
             if path not in ('/healthz', '/metrics')}
    # The web server itself answers what is no HTTP: tests/end_to_end/service/test_connections.py.
    seen |= {(path, '400') for path in paths} | {('/events', '413')}
    assert seen == {(operation.path, status) for operation in operations()
                    for status in operation.responses.status_codes}
