"""POST /events: what is accepted, refused and ignored, from registries and from others."""
import json
import re

import pytest

from docker_registry_index.engine.lifecycle import maintenance
from docker_registry_index.service.sync.reconcile import Change
from docker_registry_index.service.web.notifications import changes_of
from tests.helpers.registry import DIGEST, deleted, pushed
from tests.helpers.scripted_server import error_page, page
from tests.helpers.service import SECRET, InProcessService
from tests.helpers.waiting import wait_until

BLOB = 'application/octet-stream'
INDEX = 'application/vnd.oci.image.index.v1+json'


def body_of(*events):
    return json.dumps({'events': list(events)}).encode()


def costs_nothing(service, action):
    """Do something, and check that no change asks the registry or DynamoDB."""
    def requests():
        return [path for path in service.registry.paths if path != '/v2/'] + [
            service.dynamodb_requests(each)
            for each in ('GetItem', 'TransactWriteItems', 'BatchWriteItem')]
    before = requests()
    action()
    assert requests() == before


@pytest.mark.parametrize('authorization', [
    None, '', 'Bearer', 'Bearer ', 'Bearer wrong', 'wrong', 'Basic d3Jvbmc6d3Jvbmc=', 'Bearer \xe9',
    SECRET + 'x', 'Bearer %s\t x' % SECRET, 'Bearer ' + SECRET[:16], 'Token ' + SECRET, SECRET[:16],
    'Bearer ' + SECRET.upper(), 'Basic ' + SECRET])
def test_without_the_secret_nothing_is_read_or_done(service, authorization):
    def send():
        answer = service.post([pushed('hostile/unasked')], Authorization=authorization)
        assert answer.status_code == 401 and answer.headers['WWW-Authenticate'] == 'Bearer'
        assert SECRET not in answer.text
    costs_nothing(service, send)


def test_the_secret_may_stand_alone_or_behind_bearer(service):
    for kind in ('Bearer ', 'bearer ', 'BEARER  ', ''):
        assert service.post([], Authorization=kind + SECRET).status_code == 200


@pytest.mark.usefixtures('no_garbage_collection')
@pytest.mark.parametrize('body', [
    b'', b'{', b'null', b'[]', b'"x"', b'1', b'{}', b'{"events":null}', b'{"events":{}}',
    b'{"events":"x"}', b'{"events":[1]}', b'{"events":[null]}', b'{"events":[[]]}', b'\xff\xfe',
    b'{"events":[{"action":"\xff"}]}', b'\xef\xbb\xbf{"events":[]}', b'[' * 100000,
    b'{"events":' * 100000, b'{"events":[' + b'[' * 500000, b'1' * 100000, b'{"events":[]}x',
    b'\0' * 1000, b'events=%5B%5D',
    b'--x\r\nContent-Disposition: form-data; name="events"\r\n\r\n[]\r\n--x--'],
    ids=lambda body: body[:20])
def test_a_body_that_is_no_notification_is_refused(service, body):
    for kind in ('application/json', 'application/x-www-form-urlencoded',
                 'multipart/form-data; boundary=x', ''):
        answer = service.post(body, **{'Content-Type': kind})
        assert answer.status_code == 400 and set(answer.json()) == {'error'}


IGNORED = [
    *(pushed('a/b', action=action) for action in (
        'pull', 'mount', 'PUSH', None, ['push'], {'push': 1})),
    *(pushed(name) for name in (None, '', 7, ['a/b'], {'a': 'b'}, True)),
    *({'action': 'push', 'target': target} for target in (None, [], 'a/b', {})),
    pushed('a/b', media_type=BLOB), {}, {'action': 'push'}, {'target': {'repository': 'a/b'}},
    {'action': 'delete', 'target': {'repository': None}}]
#: Names that no registry has.
IMPOSSIBLE = ['A/b', 'a b', 'a\x1b[31m', 'a\0b', 'a\nb', '/a', 'a/', 'a//b', '../a', '..', '-a',
              '*', 'a:b', 'a@b', 'é', 'a\u202eb', 'a' * 256, 'a/' * 200 + 'a', '\ud800', '%2e%2e',
              'a#b', 'a?n=1', '_catalog', 'a%20b', '\U0001f433', 'a\\b', "a'b"]


def test_an_event_about_no_repository_costs_nothing(service, caplog):
    def send():
        assert [service.post([event]).status_code for event in IGNORED] == [200] * len(IGNORED)
        assert service.post(IGNORED * 20).status_code == 200
        for name in IMPOSSIBLE:
            assert service.post([pushed(name), deleted(name),
                                 pushed(name, media_type=INDEX)]).status_code == 200, name
    costs_nothing(service, send)
    assert not re.search('[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]', caplog.text)
    assert caplog.text.count('a notification about ') == len(IMPOSSIBLE)


@pytest.mark.parametrize('wrong', [None, 7, '', 'x', [], {}, True, '../../x', 'sha256:x',
                                   'latest?x=y', '\ud800', 'a' * 5000, ['latest']])
def test_a_wrong_digest_or_tag_still_reports_its_repository(service, wrong):
    service.push({'hostile/fields': None}, digest=wrong, tag=wrong, media_type=wrong)
    assert service.found('hostile/fields') == ['hostile/fields']
    service.delete('hostile/fields')
    assert service.post([deleted('hostile/fields', wrong)]).status_code == 200
    assert service.found('hostile/fields') == []
    assert not [path for path in service.registry.paths if '..' in path or '=y' in path]


def test_a_repository_that_the_registry_does_not_have_is_not_added(index):
    # Its background does not run: no other test sees that tags are awaited.
    service = InProcessService(index.ready())
    for event in (pushed('hostile/unknown', tag=None), deleted('hostile/unknown'),
                  pushed('hostile/unknown', tag=None, media_type=INDEX)):
        assert service.post([event]).status_code == 200
    assert service.found('hostile/unknown') == []
    # Answers that are not those of a registry: the repository is noted for later.
    for service.registry.trouble in (
            page('gone', 404), page({}, 404), page('<html>'), page({'tags': ['x']}, 500),
            page({'name': 'x'}), page({'tags': 'latest'}), page({'tags': [1]}), page('{'),
            page([]), error_page('UNAUTHORIZED', status=401),
            page('x', 302, Location='http://127.0.0.1:1/')):
        assert service.post([deleted('hostile/unknown')]).status_code == 200
        assert service.found('hostile/unknown') == []
        # The registry itself reports a push, so this counts.
        assert service.post([pushed('hostile/unknown')]).status_code == 200
        assert service.found('hostile/unknown') == ['hostile/unknown']
        service.index.remove('hostile/unknown')
    [note] = service.index.engine.description_queue.notes(9)
    assert note.name == 'hostile/unknown'


def test_all_names_of_one_body_are_followed(service):
    names = ['many/%d' % number for number in range(9)]
    service.registry.repositories.update(dict.fromkeys(names[::4]))
    assert service.post(IGNORED + [pushed('Many/Names')] + [
        pushed(name, tag=None) for name in names]).status_code == 200
    assert service.found('many') == names[::4]
    service.delete(*names[::4])
    assert service.found('many') == []


def test_each_notification_is_counted_by_its_result(service):
    def counts():
        return [service.counted('notifications_total', 'result="%s"' % result)
                for result in ('done', 'refused', 'malformed', 'ignored')]
    before = counts()
    service.post([deleted('hostile/counted')])
    service.post([pushed('a/b', media_type=BLOB)])
    service.post(b'{', **{'Content-Type': 'application/json'})
    service.post([], Authorization='Bearer wrong')
    assert counts() == [count + 1 for count in before]
    assert service.counted('notifications_under_way') == 0


MEGABYTE = 1024 * 1024


def large(name, size):
    """Return the body of a push, of so many bytes."""
    event = pushed(name, padding='')
    event['target']['padding'] = 'x' * (size - len(body_of(event)))
    return body_of(event)


def test_a_large_body_is_read_whatever_its_type(service):
    for content_type in {}, {'Content-Type': 'application/json'}:
        service.registry.repositories['large/body'] = None
        assert service.post(large('large/body', 2 * MEGABYTE), **content_type).status_code == 200
        assert service.found('large/body') == ['large/body']
        service.delete('large/body')


@pytest.mark.usefixtures('no_garbage_collection')
def test_a_malformed_notification_is_dropped_and_a_sync_finds_its_change(
        service, caplog, monkeypatch):
    monkeypatch.setattr(maintenance, '_REQUEST_REST', 0.1)
    service.registry.repositories['large/found'] = None
    for body in (large('large/large', 2 * MEGABYTE)[:-1], large('large/cut', 2000)[:-1],
                 b'[' * 100000, b'\xff\xfe', b'{"happenings":[]}'):
        answer = service.post(body)
        assert answer.status_code == 202 and set(answer.json()) == {'error'}
    assert caplog.text.count('a notification of the registry is dropped; a sync follows') == 5
    wait_until(lambda: service.found('large/found') and 'loaded the search index in' in caplog.text)
    service.delete('large/found')
    for note in service.index.engine.description_queue.notes(9):
        service.index.engine.description_queue.done(note)


def test_a_pull_of_a_manifest_is_a_change_only_if_the_registry_is_a_cache(index):
    body = body_of(pushed('a/b', action='pull'), pushed('c/d', action='pull', media_type=BLOB))
    assert changes_of(body) == []
    assert changes_of(body, ('push', 'delete', 'pull')) == [Change('a/b', DIGEST, 'latest')]
    service = InProcessService(index.ready(), {'hub/app': 'Words'}, PULL_THROUGH_CACHE='true')
    for _ in range(2):
        assert service.post([pushed('hub/app', action='pull')]).status_code == 200
        assert service.search('hub')['results'][0]['description'] == 'Words'
    # The other two ask who may search, and no upstream.
    assert [line for line in service.registry.lines if line not in (
        'GET /v2/', 'GET /v2/_catalog?n=0')] == ['GET /v2/hub/app/manifests/' + DIGEST]


@pytest.mark.parametrize('events, changes', [
    ([pushed('a/b', tag='v1'), pushed('c/d'), pushed('a/b', BLOB, 'v2')],
     [Change('c/d', DIGEST, 'latest'), Change('a/b', BLOB, 'v2')]),
    ([pushed('a/b'), pushed('a/b', BLOB)], [Change('a/b', BLOB, 'latest')]),
    ([pushed('a/b', tag='1.10'), pushed('a/b', BLOB, '1.9')], [Change('a/b', DIGEST, '1.10')]),
    ([pushed('a/b', tag='1'), pushed('a/b', BLOB, None)], [Change('a/b', DIGEST, '1')]),
    ([pushed('a/b', tag='app'), pushed('a/b', BLOB, 'cache')], [Change('a/b', DIGEST, 'app')]),
    ([pushed('a/b', tag='cache'), pushed('a/b', BLOB, 'app')], [Change('a/b', BLOB, 'app')]),
    ([pushed('a/b'), deleted('a/b')], [Change('a/b', DIGEST, 'latest')]),
    ([deleted('a/b'), pushed('a/b')], [Change('a/b', DIGEST, 'latest')]),
    ([pushed('a/b', media_type=BLOB), deleted('a/b')], [Change('a/b', None, None)]),
    ([pushed('a/b', digest=[None], tag='', media_type=1)], [Change('a/b', None, None)])])
def test_the_newest_manifest_of_the_best_tag_of_a_name_counts(events, changes):
    assert changes_of(body_of(*events)) == changes
