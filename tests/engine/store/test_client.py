# -*- coding: utf-8 -*-
"""The connection to DynamoDB: every failure becomes a clear error, in bounded time."""

from __future__ import unicode_literals

import json
import logging
import os
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from dev.servers.process import ROOT
from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.store.client import Client, RetryingClient, request_timeout
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


def answer(status, body):
    return ('HTTP/1.1 %d Status\r\nContent-Type: application/x-amz-json-1.0'
            '\r\nContent-Length: %d\r\nConnection: close\r\n\r\n'
            % (status, len(body))).encode('ascii') + body


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


# Refusals

@pytest.mark.parametrize('status, code, retryable, throttled', [
    (400, 'ProvisionedThroughputExceededException', True, True),
    (400, 'ThrottlingException', True, True),
    (400, 'RequestLimitExceeded', True, True),
    (400, 'LimitExceededException', True, False),
    (400, 'TransactionInProgressException', True, False),
    (500, 'InternalServerError', True, False),
    (503, 'ServiceUnavailable', True, False),
    (502, 'Whatever', True, False),
    (400, 'ValidationException', False, False),
    (400, 'AccessDeniedException', False, False),
    (400, 'UnrecognizedClientException', False, False),
    (400, 'ExpiredTokenException', False, False),
    (400, 'ItemCollectionSizeLimitExceededException', False, False)])
def test_a_refusal_names_its_cause_and_the_way_out(
        client, no_pauses, status, code, retryable, throttled):
    error = get(client.answer(refusal(status, code)))
    assert type(error) is errors.RequestFailed
    assert (error.operation, error.tables, error.code) == ('get_item', ('db-repository',), code)
    assert (error.retryable, error.throttled) == (retryable, throttled)
    assert str(error).startswith('get_item on db-repository failed: ' + code)
    assert 'Because of it.' in str(error)
    assert str(error).endswith(LATER if retryable else CHECK)
    assert len(no_pauses) < Settings().attempts


@pytest.mark.parametrize('code, reason', [
    ('ConditionalCheckFailedException', 'ConditionalCheckFailed'),
    ('TransactionConflictException', 'TransactionConflict')])
def test_a_failed_condition_of_a_single_write_is_an_error_of_its_own(
        client, no_pauses, code, reason):
    with pytest.raises(errors.ConditionFailed) as refused:
        client.answer(refusal(400, code)).call(
            'update_item', TableName='db-version', Key={'version': {'N': '1'}})
    error = refused.value
    assert (error.operation, error.tables, error.code, error.reasons) == (
        'update_item', ('db-version',), code, [reason])
    assert error.retryable and not error.throttled and not error.invalid
    assert str(error).endswith(LATER)
    # botocore's own standard mode retries neither.
    assert no_pauses == []


def test_a_missing_table_is_an_error_of_its_own(client, no_pauses):
    with pytest.raises(errors.MissingTable) as refused:
        client.answer(refusal(400, 'ResourceNotFoundException')).call(
            'batch_get_item', RequestItems={
                name: {'Keys': [{'name': {'S': 'a'}}]} for name in ('b-x', 'a-x')})
    assert refused.value.tables == ('a-x', 'b-x')
    assert not refused.value.retryable and no_pauses == []


@pytest.mark.parametrize('codes, kind, throttled, invalid, retryable', [
    (['None', 'ConditionalCheckFailed'], errors.ConditionFailed, False, False, True),
    (['TransactionConflict', 'None'], errors.ConditionFailed, False, False, True),
    # The other write has to be read, whatever else was refused.
    (['ThrottlingError', 'ConditionalCheckFailed'], errors.ConditionFailed, False, False, True),
    (['None', 'ThrottlingError'], errors.RequestFailed, True, False, True),
    (['ProvisionedThroughputExceeded'], errors.RequestFailed, True, False, True),
    # An invalid action stays invalid.
    (['None', 'ValidationError'], errors.RequestFailed, False, True, False),
    (['ConditionalCheckFailed', 'ValidationError'], errors.RequestFailed, False, True, False),
    ([], errors.RequestFailed, False, False, True)], ids=lambda value: None)
def test_a_cancelled_transaction_reports_its_reasons(
        client, codes, kind, throttled, invalid, retryable):
    client.answer(refusal(400, 'TransactionCanceledException', 'Cancelled.',
                          CancellationReasons=[{'Code': code} for code in codes]))
    with pytest.raises(errors.RequestFailed) as refused:
        client.call('transact_write_items', TransactItems=[{'Delete': {
            'TableName': 'db-search', 'Key': {'gram': {'S': 'a'}, 'suffix': {'S': 'a'}}}}])
    error = refused.value
    assert type(error) is kind and error.code == 'TransactionCanceledException'
    assert error.reasons == [None if code == 'None' else code for code in codes]
    assert (error.throttled, error.invalid, error.retryable) == (throttled, invalid, retryable)
    assert error.tables == ('db-search',)
    assert str(error).endswith(LATER if retryable else CHECK)


def test_a_refused_signature_shows_neither_token_nor_key(client, caplog):
    caplog.set_level(logging.INFO)
    error = get(client.answer(refusal(
        400, 'InvalidSignatureException', 'The request signature we calculated does not match the '
        'signature you provided.\n\nThe Canonical String for this request should have been\n'
        "'POST\n/\n\nx-amz-security-token:TOKENTOKEN\n' " + SECRET)))
    for shown in (str(error), repr(error), caplog.text):
        assert 'TOKENTOKEN' not in shown and SECRET not in shown
        assert '\n' not in shown
    assert 'does not match' in str(error)


@pytest.mark.parametrize('message', ['Nicht möglich: 日本 \U0001f433', 'clear \x1b[2J it', 'x' * 5000,
                                     '', 'one\u2028two', 'one\x85two'], ids=lambda value: None)
def test_an_error_can_be_logged_whatever_dynamodb_returns(client, message, caplog):
    error = get(client.answer(refusal(400, 'ValidationException', message)))
    shown = str(error)
    assert len(shown) < 1200 and '\x1b' not in shown
    assert all(' ' <= character <= '~' for character in shown)
    logging.getLogger('any').warning('failed: %s', error)
    assert shown in caplog.text


@pytest.mark.parametrize('body', [
    b'<html>Not found</html>', b'', b'{', b'[]', b'null', b'{"__type": 3}',
    '<html>Verboten für Sie</html>'.encode('latin-1')], ids=lambda value: None)
@pytest.mark.parametrize('status', [200, 302, 403, 404, 503])
def test_a_web_server_that_is_no_dynamodb_is_an_error(client, status, body):
    error = get(client.answer(
        answer(status, body).replace(b'application/x-amz-json-1.0', b'text/html')))
    assert 'get_item on db-repository failed: ' in str(error)
    if status == 200:
        assert 'check endpoint_url and the proxies' in str(error)


# Failures of the network

def test_a_closed_port_is_retried(no_pauses):
    probe = socket.socket()
    probe.bind(('127.0.0.1', 0))
    port = probe.getsockname()[1]
    probe.close()
    error = get(client_of('http://127.0.0.1:%d' % port))
    assert error.code == 'EndpointConnectionError' and error.retryable
    assert 'db-repository' in str(error)
    assert len(no_pauses) == Settings().attempts - 1


def test_a_closed_connection_is_retried(client, no_pauses):
    assert get(client.answer(b'')).retryable
    assert len(no_pauses) == Settings().attempts - 1


def test_a_request_to_a_server_that_never_answers_times_out(no_pauses):
    with listening(None) as url:
        client = client_of(url, read_timeout=0.2, attempts=4)
        started = time.time()
        error = get(client)
    assert error.code == 'ReadTimeoutError' and error.retryable
    assert 0.8 <= time.time() - started < 5
    assert len(no_pauses) == 3


def test_the_time_outs_are_those_of_the_settings():
    config = client_of('http://127.0.0.1:1', connect_timeout=0.5,
                       read_timeout=7, attempts=2).dynamodb.meta.config
    assert (config.connect_timeout, config.read_timeout) == (0.5, 7)
    assert config.retries['total_max_attempts'] == 2
    assert config.retries['mode'] == 'standard'


def test_the_longest_time_of_a_request_counts_attempts_and_pauses():
    keys = {'access_key': 'AKIADUMMY', 'secret_access_key': 'dummy'}
    assert request_timeout(Settings(**keys)) == 3 * (1 + 3) + 1 + 2
    assert request_timeout(Settings(attempts=1, read_timeout=2, **keys)) == 3
    assert request_timeout(Settings(attempts=7, **keys)) == (7 * 4 + 1 + 2 + 4 + 8 + 16 + 20)
    # Credentials of a role need a request of their own.
    assert request_timeout(Settings(attempts=1)) == 2 * 4


def test_missing_credentials_are_an_error(monkeypatch):
    for name in ('AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'):
        monkeypatch.delenv(str(name), raising=False)
    error = get(client_of('http://127.0.0.1:1', access_key=None, secret_access_key=None))
    assert error.code == 'NoCredentialsError' and not error.retryable


@pytest.mark.parametrize('arguments, expected', [
    ({'TableName': 'db-rows', 'Key': {'name': {'S': 7}}},
     'wrong parameters: Invalid type for parameter Key.name.S;'),
    ({'TableName': 'db-rows', 'Key': {'name': {'S': SECRET}}, 'Keys': SECRET},
     'wrong parameters: Unknown parameter in input: "Keys", must be one of'),
    ({'Key': {}},
     'wrong parameters: Missing required parameter in input: "TableName"')])
def test_wrong_parameters_are_an_error_that_shows_no_values(server, arguments, expected):
    with pytest.raises(errors.RequestFailed) as refused:
        server[0].call('get_item', **arguments)
    assert refused.value.code == 'ParamValidationError' and not refused.value.retryable
    assert expected in str(refused.value) and SECRET not in str(refused.value)


def test_requests_go_to_the_endpoint_only(client, monkeypatch):
    hosts, plain = [], socket.getaddrinfo

    def recording(host, port, *arguments, **named):
        hosts.append('http://%s:%s' % (host, port))
        return plain(host, port, *arguments, **named)

    monkeypatch.setattr(socket, 'getaddrinfo', recording)
    get(client.answer(refusal(400, 'ResourceNotFoundException')))
    assert hosts and set(hosts) == {client.dynamodb.meta.endpoint_url}


# The client of a load

class Refusing(object):
    """A client whose requests fail with these errors, one after the other, and then succeed."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.calls = 0

    def call(self, operation, **arguments):
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return operation, arguments


def failed(code, retryable=True, kind=errors.RequestFailed, reasons=()):
    return kind('put_item', ['db-search'], code, 'not now', retryable, reasons)


def retrying(client, heartbeat=lambda: None):
    clock = Clock()
    return RetryingClient(client, heartbeat, clock.sleep, clock), clock.slept


THROTTLED = failed('ThrottlingException')


def test_a_throttled_load_goes_on_and_logs_it_once(caplog):
    client, pauses = retrying(Refusing(*[THROTTLED] * 5))
    assert client.call('put_item', TableName='db-search') == (
        'put_item', {'TableName': 'db-search'})
    # Shortened at random, so that not all loads retry at once.
    assert len(pauses) == 5
    assert all(0.7 * longest <= pause <= longest
               for pause, longest in zip(pauses, [0.5, 1, 2, 4, 4])), pauses
    (record,) = caplog.records
    assert 'DynamoDB throttles put_item on db-search; the load continues' in record.getMessage()


@pytest.mark.parametrize('error, seconds', [
    (THROTTLED, 600),
    (failed('TransactionCanceledException', reasons=[None, 'ThrottlingError']), 600),
    (failed('InternalServerError'), 20),
    (failed('EndpointConnectionError'), 20)], ids=lambda value: None)
def test_a_load_that_is_refused_for_too_long_fails(error, seconds):
    client, pauses = retrying(Refusing(*[error] * 1000))
    with pytest.raises(errors.RequestFailed) as raised:
        client.call('put_item')
    assert raised.value is error
    assert seconds < sum(pauses) <= seconds + 4


@pytest.mark.parametrize('error', [
    failed('AccessDeniedException', retryable=False),
    failed('ResourceNotFoundException', False, errors.MissingTable),
    failed('ConditionalCheckFailedException', kind=errors.ConditionFailed),
    failed('TransactionCanceledException', True, errors.ConditionFailed,
           ['ThrottlingError', 'ConditionalCheckFailed'])], ids=lambda value: None)
def test_an_error_that_a_retry_cannot_change_is_raised_at_once(error):
    refusing = Refusing(error)
    client, pauses = retrying(refusing)
    with pytest.raises(type(error)):
        client.call('put_item')
    assert refusing.calls == 1 and pauses == []


def test_a_heartbeat_is_made_before_each_attempt_and_can_end_them():
    beats = []

    def heartbeat():
        beats.append(1)
        if len(beats) == 3:
            raise errors.LeaseLost('db-version')

    refusing = Refusing(*[THROTTLED] * 10)
    client, _ = retrying(refusing, heartbeat)
    with pytest.raises(errors.LeaseLost):
        client.call('put_item')
    assert refusing.calls == 2


# The machine, and other programs' threads

def run(program, *arguments):
    """Run a program in a Python of its own; return its output."""
    process = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(program)] + list(arguments),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, PYTHONPATH=ROOT))
    # A deadlock would never end.
    guard = threading.Timer(60, process.kill)
    guard.start()
    try:
        return process.communicate()[0].decode('utf-8', 'replace').strip()
    finally:
        guard.cancel()


def test_searches_work_while_a_module_is_being_imported(real_dynamodb_endpoint, tmp_path):
    # During an import, Python 2.7 holds a lock that imports of other threads wait for.
    (tmp_path / 'host.py').write_text(textwrap.dedent('''
        from tests.helpers.engine import EngineIndex
        import sys
        index = EngineIndex(sys.argv[1])
        index.ready([('team/web', None), ('team/other', 'a webshop')])
        found = index.search('eb') + index.search('webs')
        index.delete_tables()
    '''))
    assert run('''
        import sys
        sys.path.insert(0, sys.argv[2])
        import host
        print([str(name) for name, _ in host.found])
    ''', real_dynamodb_endpoint, str(tmp_path)) == "['team/web', 'team/other']"


if PY2:  # The environment of Python 3 has no gevent, and no program needs it there.
    def test_searches_work_under_gevent(dynamodb_endpoint):
        assert run('''
            from gevent import monkey
            monkey.patch_all()
            import gevent, sys, threading
            from docker_registry_index.engine.concurrency import run_side_by_side
            from tests.helpers.engine import EngineIndex
            index = EngineIndex(sys.argv[1])
            index.ready([('team/web', None), ('team/other', 'a webshop')])
            # While a search waits, other greenlets of the worker go on.
            searches = [gevent.spawn(index.search, 'eb', 25)
                        for _ in range(20)]
            gevent.joinall(searches, timeout=30)
            print(set(str(result[0]) for search in searches
                      for result in search.value))
            print(run_side_by_side([gevent.getcurrent] * 2)[1]
                  is not gevent.getcurrent())
            index.delete_tables()
        ''', dynamodb_endpoint) == "set(['team/web'])\nTrue"


@pytest.mark.parametrize('variables', [
    {'AWS_PROFILE': 'not-there'},
    {'AWS_ACCESS_KEY_ID': 'AKIAEXAMPLE', 'AWS_SECRET_ACCESS_KEY': None}],
    ids=['profile', 'half a pair'])
def test_an_unusable_aws_configuration_of_the_machine_is_one_sentence(monkeypatch, variables):
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(str(name), raising=False)
        else:
            monkeypatch.setenv(str(name), str(value))
    with pytest.raises(errors.SettingError) as refused:
        Client(Settings(region='us-east-1', endpoint_url='http://127.0.0.1:1'))
    assert 'access_key' in str(refused.value) and '\n' not in str(refused.value)


ROLE = '''
    import logging, os, sys, time
    if sys.argv[2] == 'gevent':
        from gevent import monkey
        monkey.patch_all()
    logging.basicConfig(stream=sys.stdout, format='%(message)s')
    logging.getLogger('botocore').setLevel(logging.CRITICAL)
    from docker_registry_index.engine import SearchIndex, Settings, errors
    index = SearchIndex(Settings(
        database='test-role', region='us-east-1', read_timeout=0.5,
        connect_timeout=0.5, attempts=1))
    began = time.time()
    assert index.start(lambda: []) is False
    for _ in range(2):
        try:
            index.search('a')
        except errors.RequestFailed as error:
            assert 'no credentials within 1 seconds' in str(error), error
    assert index.apply_change('a/b', True) is False
    seconds = time.time() - began
    print('%s %.1f' % ('fine' if seconds < 10 + 5 else 'late', seconds))
    sys.stdout.flush()
    os._exit(0)
'''


@pytest.mark.parametrize('threads', ['plain'] + ['gevent'] * PY2)
def test_a_role_whose_service_never_answers_stops_nothing(tmp_path, monkeypatch, threads):
    token = tmp_path / 'token'
    token.write_text('x' * 20)
    monkeypatch.delenv(str('AWS_ACCESS_KEY_ID'), raising=False)
    with listening(None) as url:
        for name, value in {
                'HTTPS_PROXY': url, 'AWS_EC2_METADATA_DISABLED': 'true',
                'AWS_ROLE_ARN': 'arn:aws:iam::123456789012:role/x',
                'AWS_WEB_IDENTITY_TOKEN_FILE': token,
                'AWS_CONFIG_FILE': '/dev/null', 'BOTO_CONFIG': '/dev/null',
                'AWS_SHARED_CREDENTIALS_FILE': '/dev/null'}.items():
            monkeypatch.setenv(str(name), str(value))
        printed = run(ROLE, url, threads)
    assert printed.splitlines()[-1].startswith('fine'), printed
    # The start and the push together log it once.
    assert printed.count('not ready') == 1, printed
