"""What comes to /events from somebody else than a registry, and what a registry sends that is of no
use."""
import json
import re
import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from docker_registry_index.service.sync.reconcile import Change
from docker_registry_index.service.web.notifications import LARGEST, Malformed, changes_of
from tests.helpers.registry import DIGEST, deleted, pushed
from tests.end_to_end.service.images import DOCKER, OCI
from tests.helpers.scripted_server import error_page, page

BLOB = 'application/octet-stream'


def body_of(*events):
    return json.dumps({'events': list(events)}).encode()


def raw(beside, head, body=b'', timeout=5):
    """Send bytes as they are; return the answer, up to its end or the timeout."""
    with socket.create_connection(('127.0.0.1', beside.service.port),
                                  timeout=timeout) as connection:
        connection.sendall(head.replace('\n', '\r\n').encode('latin-1') + b'\r\n\r\n' + body)
        answer = b''
        try:
            while True:
                part = connection.recv(65536)
                answer += part
                if not part or b'}\n' in answer:
                    return answer
        except socket.timeout:
            return answer
        except ConnectionError:
            return answer


def untouched(beside, action):
    """Do something that must not ask the registry nor DynamoDB; a Query every ten seconds is its
    own."""
    asked, before = len(beside.registry.paths), beside.dynamodb_requests()
    action()
    assert [path for path in beside.registry.paths[asked:] if path != '/v2/'] == []
    assert beside.dynamodb_requests() - before <= 1


@pytest.mark.parametrize('authorization', [None, '', 'Bearer', 'Bearer ', 'Bearer wrong',
                                           'Basic d3Jvbmc6d3Jvbmc=', 'wrong', 'Bearer \xe9',
                                           '{secret}x', 'Bearer {secret}\t x', 'Bearer {half}',
                                           'Bearer {upper}', 'Token {secret}', 'Basic {secret}',
                                           '{half}'])
def test_without_the_secret_nothing_is_read_or_done(beside, authorization):
    given = (authorization and authorization.format(secret=beside.secret, half=beside.secret[:16],
                                                    upper=beside.secret.upper()
                                                    + 'A').encode('latin-1'))
    beside.registry.repositories['hostile/unasked'] = None

    def send():
        for _ in range(5):
            answer = beside.post([pushed('hostile/unasked')], Authorization=given)
            assert answer.status_code == 401 and answer.headers['WWW-Authenticate'] == 'Bearer'
            assert beside.secret not in answer.text
    untouched(beside, send)
    assert beside.found('hostile/unasked') == []
    del beside.registry.repositories['hostile/unasked']


def test_the_secret_may_stand_alone_or_behind_bearer(beside):
    for kind in ('Bearer ', 'bearer ', 'BEARER  ', ''):
        assert beside.post([], Authorization=kind + beside.secret).status_code == 200


@pytest.mark.parametrize('secret', ['', 'wrong', None])
@pytest.mark.parametrize('path', ['/events', '/v1/search', '/nowhere'])
@pytest.mark.parametrize('size', [LARGEST + 1, 99999999999999])
def test_a_body_that_no_registry_sends_is_refused_before_it_is_read(beside, secret, path, size):
    began = time.monotonic()
    answer = raw(beside, 'POST %s HTTP/1.1\nHost: x\nAuthorization: Bearer %s\nContent-Length: %d'
                 % (path, beside.secret if secret is None else secret, size))
    assert answer.startswith(b'HTTP/1.1 413 ') and b'Connection: close' in answer
    assert time.monotonic() - began < 3


def test_a_large_body_of_no_registry_is_refused_and_kept_out_of_memory(beside):
    def send():
        for size, count in ((1024 * 1024 + 1, 1), (LARGEST, 8)):
            for _ in range(count):
                assert beside.post(b' ' * size,
                                   **{'Content-Type': 'application/json'}).status_code == 413
    before = memory(beside)
    untouched(beside, send)
    assert memory(beside) - before < LARGEST


def memory(beside):
    return beside.metrics()['process_resident_memory_bytes', '']


def chunked(*parts):
    return b''.join(b'%x\r\n%b\r\n' % (len(part), part) for part in parts) + b'0\r\n\r\n'


def test_a_chunked_body_is_read_and_measured(beside):
    head = ('POST /events HTTP/1.1\nHost: x\nAuthorization: Bearer %s\n'
            'Transfer-Encoding: chunked' % beside.secret)
    beside.registry.repositories['hostile/chunked'] = None
    body = body_of(pushed('hostile/chunked'))
    assert raw(beside, head, chunked(body[:7], body[7:100], body[100:]),
               30).startswith(b'HTTP/1.1 200 ')
    assert beside.found('hostile/chunked') == ['hostile/chunked']
    assert raw(beside, head, chunked(*[b' ' * 65536] * 17), 30).startswith(b'HTTP/1.1 413 ')
    assert raw(beside, head, b'zz\r\n', 1).startswith(b'HTTP/1.1 400 ')
    assert beside.get('/healthz').status_code == 200


@pytest.mark.parametrize('body', [b'', b'{', b'null', b'[]', b'"x"', b'1', b'{}',
                                  b'{"events":null}', b'{"events":{}}', b'{"events":"x"}',
                                  b'{"events":[1]}', b'{"events":[null]}', b'{"events":[[]]}',
                                  b'\xff\xfe', b'{"events":[{"action":"\xff"}]}',
                                  b'\xef\xbb\xbf{"events":[]}', b'[' * 100000,
                                  b'{"events":' * 100000, b'{"events":[' + b'[' * 500000,
                                  b'1' * 100000, b'{"events":[]}x',
                                  b'\0' * 1000, b'--x\r\nContent-Disposition: form-data; '
                                  b'name="events"\r\n\r\n[]\r\n--x--', b'events=%5B%5D'])
def test_a_body_that_is_no_notification_is_refused(beside, body):
    for kind in ('application/json', 'application/x-www-form-urlencoded',
                 'multipart/form-data; boundary=x', ''):
        answer = beside.post(body, **{'Content-Type': kind})
        assert answer.status_code == 400 and set(answer.json()) == {'error'}


@pytest.mark.parametrize('method', ['GET', 'PUT', 'HEAD', 'DELETE', 'PATCH', 'OPTIONS', 'FOO'])
def test_other_methods_are_refused(beside, method):
    answer = beside.session.request(method, beside.url + '/events', data=body_of(pushed('x/y')),
                                    headers={'Authorization': 'Bearer ' + beside.secret})
    assert answer.status_code == (200 if method == 'OPTIONS' else 405)
    assert 'POST' in answer.headers['Allow']


USELESS = [pushed('a/b', media_type=BLOB), pushed('a/b', action='pull'),
           pushed('a/b', action='mount'), pushed('a/b', action='mount', fromRepository='a/c'),
           pushed('a/b', action='PUSH'), pushed('a/b', action=None), pushed('a/b', action=['push']),
           pushed('a/b', action={'push': 1}), pushed(None), pushed(''), pushed(7), pushed(['a/b']),
           pushed({'a': 'b'}), pushed(True), {}, {'action': 'push'},
           {'action': 'push', 'target': None}, {'action': 'push', 'target': []},
           {'action': 'push', 'target': 'a/b'}, {'action': 'push', 'target': {}},
           {'action': 'delete', 'target': {'repository': None}}, {'target': {'repository': 'a/b'}}]
IMPOSSIBLE = ['A/b', 'a/B', 'a b', 'a\x1b[31m', 'a\0b', 'a\nb', '/a', 'a/', 'a//b', '../a', '..',
              '.', '-a', 'a-', 'a:b', 'a@b', 'é', 'a\u202eb', 'a' * 256, 'a/' * 200 + 'a', '\ud800',
              '%2e%2e', 'a?n=1', 'a#b', 'a/_catalog/b', '_catalog', 'a%20b', '\U0001f433', 'a\\b',
              "a'b", '*']


def test_what_is_of_no_use_costs_nothing(beside):
    def send():
        for event in USELESS:
            assert beside.post([event]).status_code == 200, event
        assert beside.post([event for event in USELESS] * 20).status_code == 200
        for name in IMPOSSIBLE:
            for event in (pushed(name), deleted(name), pushed(name, media_type=OCI['index'])):
                assert beside.post([event]).status_code == 200, name
    untouched(beside, send)
    assert beside.get('/v1/search?q=').status_code == 200
    log = beside.service.log_text()
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]',
                         log), 'what steers a terminal is in the log'
    assert 'a notification about' in log


@pytest.mark.parametrize('wrong', [None, 7, '', 'x', [], {}, True, '../../x', 'sha256:x',
                                   'latest?x=y', '\ud800', 'a' * 5000, ['latest']])
def test_a_wrong_digest_or_tag_still_reports_its_repository(beside, wrong):
    beside.registry.repositories['hostile/fields'] = None
    assert beside.post([pushed('hostile/fields', digest=wrong, tag=wrong, media_type=wrong
                               if wrong != BLOB else None)]).status_code == 200
    assert beside.found('hostile/fields') == ['hostile/fields']
    del beside.registry.repositories['hostile/fields']
    assert beside.post([deleted('hostile/fields', wrong)]).status_code == 200
    assert beside.found('hostile/fields') == []
    assert not [path for path in beside.registry.paths if '..' in path or '=y' in path]


def test_a_name_that_the_registry_does_not_know_is_not_let_in(beside):
    for event in (pushed('hostile/unknown'),
                  pushed('hostile/unknown', media_type=DOCKER['manifest']),
                  pushed('hostile/unknown', media_type=OCI['index']), deleted('hostile/unknown')):
        assert beside.post([event]).status_code == 200
    assert beside.found('hostile/unknown') == []
    for trouble in (page('gone', 404), page({}, 404), page('<html>', 200),
                    page({'tags': ['x']}, 500), page({'name': 'x'}), page({'tags': 'latest'}),
                    page({'tags': [1]}), page('{', 200), page([], 200),
                    error_page('UNAUTHORIZED', status=401),
                    page('x', 302, Location='http://127.0.0.1:1/')):
        beside.registry.trouble = trouble
        try:
            assert beside.post([pushed('hostile/unknown')]).status_code == 200, (
                'the answer is not that of a registry: the repository is noted for later')
            assert beside.found('hostile/unknown') == []
        finally:
            beside.registry.trouble = None
    # Somebody has announced a tag, so it is asked for some minutes more; and is not let in.
    deadline, asked = time.monotonic() + 30, len(beside.registry.paths)
    while len([path for path in beside.registry.paths[asked:]
               if '/hostile/unknown/tags/' in path]) < 6:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert beside.found('hostile/unknown') == []
    for note in beside.index.engine.description_queue.notes(100):
        beside.index.engine.description_queue.done(note)


def test_many_names_in_one_body_are_all_followed(beside):
    names = ['hostile/many-%02d' % number for number in range(70)]
    beside.registry.repositories.update(dict.fromkeys(names[::2]))
    answer = beside.post([pushed(name) for name in names] + [pushed('Hostile/Many')] + USELESS)
    assert answer.status_code == 200, beside.service.log_text()[-500:]
    assert beside.found('hostile/many', n=100) == names[::2]
    for name in names:
        beside.registry.repositories.pop(name, None)
    assert beside.post([deleted(name) for name in names]).status_code == 200
    assert beside.found('hostile/many') == []


def test_what_became_of_notifications_is_counted(beside):
    before = {result: beside.counted('notifications_total', 'result="%s"' % result)
              for result in ('done', 'refused', 'malformed', 'ignored')}
    beside.registry.repositories['hostile/counted'] = None
    beside.post([pushed('hostile/counted')])
    beside.post([pushed('a/b', media_type=BLOB)])
    beside.post(b'{', **{'Content-Type': 'application/json'})
    beside.post([], Authorization='Bearer wrong')
    for result, count in before.items():
        assert beside.counted('notifications_total', 'result="%s"' % result) - count == 1, result
    assert beside.counted('notifications_under_way') == 0


JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
                    lambda inner: st.lists(inner,
                                           max_size=4)
                    | st.dictionaries(st.sampled_from(['action', 'target', 'repository', 'digest',
                                                       'tag', 'mediaType', 'events'])
                                      | st.text(max_size=3), inner, max_size=5), max_leaves=12)
SOMETIMES = st.sampled_from(['push', 'delete', 'pull', 'a/b', 'a/c', DIGEST, BLOB,
                             OCI['manifest']]) | JSON
EVENT = st.fixed_dictionaries({}, optional={'action': SOMETIMES,
                                            'target': JSON | st.fixed_dictionaries(
                                                {}, optional={'repository': SOMETIMES,
                                                              'digest': SOMETIMES, 'tag': SOMETIMES,
                                                              'mediaType': SOMETIMES})})


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()) | st.lists(
    EVENT | JSON, max_size=5).map(lambda events: json.dumps({'events': events}).encode()))
def test_any_body_is_malformed_or_a_list_of_changes(body):
    try:
        changes = changes_of(body)
    except Malformed as error:
        assert re.match('the body (is not|has no) .*', str(error))
        return
    assert isinstance(changes, list) and all(isinstance(change, Change) for change in changes)
    for name, reference, tag in changes:
        assert isinstance(name, str) and name and all(value is None
                                                      or (isinstance(value, str) and value)
                                                      for value in (reference, tag))
    assert len(set(change.name for change in changes)) == len(changes)


def test_the_newest_manifest_of_a_name_counts():
    other = 'sha256:' + 'cd' * 32
    assert changes_of(body_of(pushed('a/b'), pushed('c/d'), pushed('a/b', other, 'v2'))) == [
        Change('c/d', DIGEST, 'latest'), Change('a/b', other, 'v2')]
    assert changes_of(body_of(pushed('a/b'), deleted('a/b'))) == [Change('a/b', DIGEST, 'latest')]
    assert changes_of(body_of(deleted('a/b'), pushed('a/b'))) == [Change('a/b', DIGEST, 'latest')]
    assert changes_of(body_of(pushed('a/b', media_type=BLOB), deleted('a/b'))) == [
        Change('a/b', None, None)]
    assert changes_of(body_of(pushed('a/b', digest=None, tag=None, media_type=None))) == [
        Change('a/b', None, None)]
