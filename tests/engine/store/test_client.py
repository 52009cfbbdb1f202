# -*- coding: utf-8 -*-
"""The connection to DynamoDB: every failure becomes a clear error, in bounded time."""
from __future__ import unicode_literals

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from dev.servers.process import ROOT, free_port
from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store.client import (
    Availability, Client, request_timeout, settle_timeout)
from tests.helpers.clock import Clock
from tests.helpers.network import listening

SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'
LATER, CHECK = 'try again later', 'check the settings, the IAM rights and the tables'


def client_of(url, **changed):
    return Client(Settings(**dict(dict(region='us-east-1', access_key='AKIADUMMY',
                                       secret_access_key=SECRET, endpoint_url=url), **changed)))


def get(client):
    """Make a request that must fail, and return the error."""
    with pytest.raises(errors.RequestFailed) as failed:
        client.call('get_item', TableName='db-repository', Key={'name': {'S': 'a'}})
    return failed.value


def answer(status, body, kind='application/x-amz-json-1.0'):
    return ('HTTP/1.1 %d Status\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close'
            '\r\n\r\n' % (status, kind, len(body))).encode('ascii') + body


def refusal(status, code, message='Because of it.', **more):
    return answer(status, json.dumps(dict(more, __type='com.amazonaws.dynamodb.v20120810#' + code,
                                          message=message)).encode('utf-8'))


@pytest.fixture
def no_pauses(monkeypatch):
    """boto3 pauses between its attempts; record the pauses instead."""
    slept, ours, plain = [], threading.current_thread(), time.sleep

    def note(seconds):
        # Threads of other tests may still run.
        (slept.append if threading.current_thread() is ours else plain)(seconds)

    monkeypatch.setattr(time, 'sleep', note)
    return slept


@pytest.fixture(scope='module')
def server():
    """A client, and the list of the one answer that its server gives to every request."""
    answers = [b'']
    with listening(lambda: answers[0]) as url:
        yield client_of(url), answers


@pytest.fixture
def client(server, no_pauses):
    """A client whose server gives the answer that the test sets by client.answer."""
    client, answers = server

    def set_answer(content):
        answers[0] = content
        return client

    client.answer = set_answer
    return client


@pytest.mark.parametrize('code, status, retryable, throttled, kind', [
    ('ProvisionedThroughputExceededException', 400, True, True, errors.RequestFailed),
    ('ThrottlingException', 400, True, True, errors.RequestFailed),
    ('RequestLimitExceeded', 400, True, True, errors.RequestFailed),
    ('LimitExceededException', 400, True, False, errors.RequestFailed),
    ('TransactionInProgressException', 400, True, False, errors.RequestFailed),
    ('InternalServerError', 500, True, False, errors.RequestFailed),
    ('ServiceUnavailable', 503, True, False, errors.RequestFailed),
    ('Whatever', 502, True, False, errors.RequestFailed),
    ('ValidationException', 400, False, False, errors.RequestFailed),
    ('AccessDeniedException', 400, False, False, errors.RequestFailed),
    ('ExpiredTokenException', 400, True, False, errors.RequestFailed),
    ('UnrecognizedClientException', 400, True, False, errors.RequestFailed),
    ('ResourceNotFoundException', 400, False, False, errors.MissingTable),
    # botocore's own standard mode does not retry these either.
    ('ConditionalCheckFailedException', 400, True, False, errors.ConditionFailed),
    ('TransactionConflictException', 400, True, False, errors.ConditionFailed)])
def test_a_refusal_names_its_cause_and_the_way_out(
        client, no_pauses, status, code, retryable, throttled, kind):
    error = get(client.answer(refusal(status, code)))
    assert type(error) is kind
    assert (error.operation, error.tables, error.code) == ('get_item', ('db-repository',), code)
    assert (error.retryable, error.throttled) == (retryable, throttled)
    assert error.invalid == (code == 'ValidationException')
    assert error.refused == (code == 'AccessDeniedException')
    assert error.unavailable == (status >= 500 or code in (
        'ExpiredTokenException', 'UnrecognizedClientException'))
    is_condition = kind is errors.ConditionFailed
    assert list(error.reasons) == [code[:-len('Exception')]] * is_condition
    assert str(error).startswith('get_item on db-repository failed: ' + code)
    assert 'Because of it.' in str(error) and str(error).endswith(LATER if retryable else CHECK)
    assert len(no_pauses) <= (0 if is_condition or not retryable else 2)
    assert client.availability.is_outage is error.unavailable


def test_an_error_names_every_table_of_a_batch_and_no_other_host_is_asked(client, monkeypatch):
    hosts, plain = [], socket.getaddrinfo
    monkeypatch.setattr(socket, 'getaddrinfo', lambda host, *more, **named: (
        hosts.append(host) or plain(host, *more, **named)))
    with pytest.raises(errors.MissingTable) as refused:
        client.answer(refusal(400, 'ResourceNotFoundException')).call(
            'batch_get_item', RequestItems={
                name: {'Keys': [{'name': {'S': 'a'}}]} for name in ('b-x', 'a-x')})
    assert refused.value.tables == ('a-x', 'b-x') and set(hosts) == {'127.0.0.1'}


@pytest.mark.parametrize('codes, kind, throttled, invalid', [
    (['None', 'ConditionalCheckFailed'], errors.ConditionFailed, False, False),
    (['TransactionConflict', 'None'], errors.ConditionFailed, False, False),
    # The other write has to be read, whatever else was refused.
    (['ThrottlingError', 'ConditionalCheckFailed'], errors.ConditionFailed, False, False),
    (['None', 'ThrottlingError'], errors.RequestFailed, True, False),
    (['ProvisionedThroughputExceeded'], errors.RequestFailed, True, False),
    # An invalid action stays invalid.
    (['None', 'ValidationError'], errors.RequestFailed, False, True),
    (['ConditionalCheckFailed', 'ValidationError'], errors.RequestFailed, False, True),
    ([], errors.RequestFailed, False, False)], ids=lambda value: None)
def test_a_cancelled_transaction_reports_its_reasons(client, codes, kind, throttled, invalid):
    client.answer(refusal(400, 'TransactionCanceledException', 'Cancelled.',
                          CancellationReasons=[{'Code': code} for code in codes]))
    with pytest.raises(errors.RequestFailed) as refused:
        client.call('transact_write_items', TransactItems=[{'Delete': {
            'TableName': 'db-search', 'Key': {'gram': {'S': 'a'}, 'suffix': {'S': 'a'}}}}])
    error = refused.value
    assert type(error) is kind and error.code == 'TransactionCanceledException'
    assert error.reasons == [None if code == 'None' else code for code in codes]
    assert (error.throttled, error.invalid, error.retryable) == (throttled, invalid, not invalid)
    assert error.tables == ('db-search',) and str(error).endswith(CHECK if invalid else LATER)


@pytest.mark.parametrize('message, begins', [
    ('Nicht möglich: 日本 \U0001f433', 'Nicht m'), ('clear \x1b[2J it', 'clear '), ('', ''),
    ('x' * 5000, 'x' * 200), ('one\u2028two', 'one'), ('one\x85two', 'one'),
    ('The request signature does not match.\n\nThe Canonical String for this request should have '
     "been\n'POST\n/\n\nx-amz-security-token:TOKENTOKEN\n' " + SECRET, 'The request signature')],
    ids=lambda value: None)
def test_an_error_shows_one_line_of_ascii_and_no_key_whatever_dynamodb_returns(
        client, message, begins, caplog):
    caplog.set_level(logging.INFO)
    error = get(client.answer(refusal(400, 'InvalidSignatureException', message)))
    assert ': ' + begins in str(error) and len(str(error)) < 1200
    assert all(' ' <= character <= '~' for character in str(error))
    logging.getLogger('any').warning('failed: %s', error)
    assert str(error) in caplog.text
    for shown in repr(error), caplog.text:
        assert 'TOKENTOKEN' not in shown and SECRET not in shown


@pytest.mark.parametrize('status, body', [
    (302, b''), (403, b'null'), (404, b'[]'), (503, b'{'), (200, b'<html>Not found</html>'),
    (200, b''), (200, b'{'), (200, b'[]'), (200, b'null'), (200, b'{"__type": 3}'),
    (200, '<html>Verboten für Sie</html>'.encode('latin-1'))], ids=lambda value: None)
def test_a_web_server_that_is_no_dynamodb_is_an_error(client, status, body):
    shown = str(get(client.answer(answer(status, body, 'text/html'))))
    assert 'get_item on db-repository failed: ' in shown
    assert status != 200 or 'check endpoint_url and the proxies' in shown


@pytest.mark.parametrize('first, is_uncertain', [
    (answer(200, b'{}'), True),  # not from DynamoDB, which adds a request ID
    (answer(200, b'<html>Hello</html>'), True), (b'', True),
    (refusal(503, 'ServiceUnavailable'), True), (refusal(500, 'InternalServerError'), True),
    (refusal(400, 'ThrottlingException'), False),
    (refusal(400, 'ConditionalCheckFailedException'), False)], ids=lambda value: None)
def test_a_request_that_dynamodb_may_make_later_is_uncertain_even_if_a_retry_is_refused(
        no_pauses, first, is_uncertain):
    answers = [first]
    with listening(lambda: answers.pop() if answers else refusal(400, 'Whatever')) as url:
        client = client_of(url)
        client.thread.is_uncertain = False
        get(client)
    assert not answers and client.thread.is_uncertain is is_uncertain


def test_a_closed_port_and_a_closed_connection_are_retried(client, no_pauses):
    for refused, codes in [
            (client_of('http://127.0.0.1:%d' % free_port()), ['EndpointConnectionError']),
            (client.answer(b''), ['ConnectionClosedError', 'ConnectionError'])]:
        error = get(refused)
        assert error.code in codes and error.retryable and 'db-repository' in str(error)
        assert len(no_pauses) == Settings().attempts - 1
        del no_pauses[:]


def test_a_request_to_a_server_that_never_answers_times_out(no_pauses):
    with listening(None) as url:
        client = client_of(url, connect_timeout=0.5, read_timeout=0.1, attempts=2)
        started = time.time()
        error = get(client)
    assert error.code == 'ReadTimeoutError' and error.retryable
    assert 0.2 <= time.time() - started < 5 and len(no_pauses) == 1
    config = client.dynamodb.meta.config
    assert config.connect_timeout == 0.5 and config.retries['mode'] == 'standard'


def test_the_longest_time_of_a_request_counts_attempts_and_pauses():
    keys = {'access_key': 'AKIADUMMY', 'secret_access_key': 'dummy'}
    assert request_timeout(Settings(**keys)) == 3 * (1 + 3) + 1 + 2
    assert request_timeout(Settings(attempts=1, read_timeout=2, **keys)) == 3
    assert request_timeout(Settings(attempts=7, **keys)) == 7 * 4 + 1 + 2 + 4 + 8 + 16 + 20
    assert settle_timeout(Settings(**keys)) == 45
    # Credentials of a role need a request of their own.
    assert request_timeout(Settings(attempts=1)) == 2 * 4


def test_missing_credentials_are_an_error(monkeypatch):
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.delenv(str(name), raising=False)
    error = get(client_of('http://127.0.0.1:1', access_key=None, secret_access_key=None))
    assert error.code == 'NoCredentialsError' and error.unavailable
    assert 'set access_key and secret_access_key' in str(error)


@pytest.mark.parametrize('code', ['UnrecognizedClientException', 'InvalidSignatureException'])
def test_an_error_names_the_settings_whose_keys_are_rejected(client, code):
    error = get(client.answer(refusal(400, code, 'The security token is invalid.')))
    assert 'settings access_key and secret_access_key; correct them' in str(error)
    # A signature is also invalid if its time is wrong.
    assert 'or correct the clock' in str(error)
    assert error.unavailable and client.availability.is_outage


def failed(code):
    return errors.RequestFailed('put_item', ['db-search'], code, 'not now', True)


def test_an_outage_is_logged_once_at_its_beginning_and_once_at_its_end(caplog):
    caplog.set_level(logging.INFO)
    clock, outages, recoveries = Clock(), [], []
    availability = Availability(clock)
    availability.on_outage = lambda: outages.append(clock())
    availability.on_recovery = lambda: recoveries.append(clock())
    availability.note_success()
    for _ in range(5):
        availability.note_failure(failed('EndpointConnectionError'))
    assert availability.is_outage and outages == [clock()] and recoveries == []
    for _ in range(5):
        availability.note_success()
    assert [record.levelname for record in caplog.records] == ['ERROR', 'INFO']
    assert 'EndpointConnectionError' in caplog.text and recoveries == [clock()]
    # If only some requests fail, one outage a minute is logged.
    for _ in range(59):
        clock.advance(1)
        availability.note_failure(failed('InternalServerError'))
        availability.note_success()
    assert len(caplog.records) == 2 and len(recoveries) == 60
    clock.advance(1)
    availability.note_failure(failed('InternalServerError'))
    availability.note_success()
    assert len(caplog.records) == 4


@pytest.mark.parametrize('arguments, expected', [
    ({'TableName': 'db-rows', 'Key': {'name': {'S': 7}}}, 'Invalid type for parameter Key.name.S;'),
    ({'TableName': 'db-rows', 'Key': {'name': {'S': SECRET}}, 'Keys': SECRET},
     'Unknown parameter in input: "Keys", must be one of'),
    ({'Key': {}}, 'Missing required parameter in input: "TableName"')])
def test_wrong_parameters_are_an_error_that_shows_no_values(server, arguments, expected):
    with pytest.raises(errors.RequestFailed) as refused:
        server[0].call('get_item', **arguments)
    assert refused.value.code == 'ParamValidationError' and not refused.value.retryable
    assert 'wrong parameters: ' + expected in str(refused.value)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize('variables', [
    {'AWS_PROFILE': 'not-there'}, {'AWS_ACCESS_KEY_ID': 'AKIAEXAMPLE'}],
    ids=['profile', 'half a pair'])
def test_an_unusable_aws_configuration_of_the_machine_is_one_sentence(monkeypatch, variables):
    monkeypatch.delenv(str('AWS_SECRET_ACCESS_KEY'), raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(str(name), str(value))
    with pytest.raises(errors.SettingError) as refused:
        Client(Settings(region='us-east-1', endpoint_url='http://127.0.0.1:1'))
    assert 'access_key' in str(refused.value) and '\n' not in str(refused.value)


ROLE = '''
import logging, os, sys, time
if sys.argv[1] == 'gevent':
    from gevent import monkey
    monkey.patch_all()
logging.basicConfig(stream=sys.stdout, format='%(message)s')
logging.getLogger('botocore').setLevel(logging.CRITICAL)
from docker_registry_index.engine import SearchIndex, Settings, errors
index = SearchIndex(Settings(database='test-role', region='us-east-1', read_timeout=0.1,
                             connect_timeout=0.1, attempts=1))
began = time.time()
assert index.start(lambda: []) is False
for _ in range(2):
    try:
        index.search('a')
    except errors.RequestFailed as error:
        assert 'no credentials within 0.2 seconds' in str(error), error
assert index.apply_change('a/b', True) is False
# botocore itself would try for a minute.
print('in time' if time.time() - began < 10 else 'late')
sys.stdout.flush()
os._exit(0)
'''


@pytest.mark.parametrize('threads', ['plain'] + ['gevent'] * PY2)
def test_a_role_whose_service_never_answers_delays_no_caller(tmp_path, threads):
    token = tmp_path / 'token'
    token.write_text('x' * 20)
    environment = dict(os.environ, PYTHONPATH=ROOT, **{
        'AWS_EC2_METADATA_DISABLED': 'true', 'AWS_ROLE_ARN': 'arn:aws:iam::123456789012:role/x',
        'AWS_WEB_IDENTITY_TOKEN_FILE': str(token), 'AWS_CONFIG_FILE': '/dev/null',
        'BOTO_CONFIG': '/dev/null', 'AWS_SHARED_CREDENTIALS_FILE': '/dev/null'})
    environment.pop('AWS_ACCESS_KEY_ID', None)
    with listening(None) as url:
        process = subprocess.Popen([sys.executable, '-c', ROLE, threads], stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=dict(environment, HTTPS_PROXY=url))
        # A deadlock would never end.
        guard = threading.Timer(60, process.kill)
        guard.start()
        printed = process.communicate()[0].decode('utf-8', 'replace')
        guard.cancel()
    assert printed.splitlines()[-1] == 'in time', printed
    # The start, the searches and the push together log it once.
    assert printed.count('is unavailable') == 1, printed
