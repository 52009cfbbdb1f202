"""A notification that a registry would send for ever, and all others after it: one that is large,
or that nobody understands."""
import json
import time

import pytest

from tests.end_to_end.service.beside import Beside
from tests.helpers.registry import pushed
from tests.end_to_end.service.images import Images
from tests.end_to_end.service.place import Files, Place, wait_until
from tests.end_to_end.service.test_events_hostile import raw

REGISTRY = {'Content-Type': 'application/vnd.docker.distribution.events.v1+json'}
MEGABYTE = 1024 * 1024


@pytest.fixture(scope='module')
def own(dynamodb_local):
    """A service of whose requests to DynamoDB, and syncs, no other test knows."""
    with Beside(dynamodb_local.url) as made:
        yield made


def large(name, size):
    """The body of a push, of so many bytes."""
    event = pushed(name)
    event['request']['useragent'] = ''
    event['request']['useragent'] = 'x' * (size - len(json.dumps({'events': [event]})))
    return json.dumps({'events': [event]}).encode()


def syncs(beside):
    return beside.service.log_text().count('loaded the search index in')


def test_one_of_a_registry_may_have_32_megabytes(own):
    for size in (MEGABYTE + 1, 32 * MEGABYTE):
        name = 'large/of-%d' % size
        own.registry.repositories[name] = None
        body = large(name, size)
        assert len(body) == size
        started = time.monotonic()
        assert own.post(body).status_code == 200
        print('%d bytes took %.2f s' % (size, time.monotonic() - started))
        assert own.found(name) == [name]
        answer = own.post(body, **{'Content-Type': 'application/json'})
        assert answer.status_code == 413, 'something else than a registry is refused'


def parts(body):
    for first in range(0, len(body), MEGABYTE):
        yield body[first:first + MEGABYTE]


@pytest.mark.parametrize('name, body, how', [
    ('large', large('large/large', 32 * MEGABYTE)[:-1], bytes),
    ('parts', large('large/parts', 31 * MEGABYTE)[:-1], parts),
    ('cut', large('large/cut', 2000)[:-1], bytes), ('deep', b'[' * 100000, bytes),
    ('binary', b'\xff\xfe', bytes), ('other', b'{"happenings":[]}', bytes)], ids=lambda value: value
                         if isinstance(value, str) else '')
def test_one_that_is_never_understood_is_left_out_and_a_sync_finds_it(own, name, body, how):
    before = syncs(own)
    own.registry.repositories['large/' + name] = None
    answer = own.session.post(own.url + '/events', data=how(body), timeout=60,
                              headers=dict(REGISTRY, Authorization='Bearer ' + own.secret))
    assert answer.status_code == 202 and set(answer.json()) == {'error'}
    assert 'a notification of the registry is left out: the body' in own.service.log_text()
    wait_until(lambda: own.found('large/' + name), 'no sync finds it', 20, own.service,
               ['large/' + name])
    wait_until(lambda: syncs(own) > before, 'the sync does not end', 10, own.service)
    assert own.get('/healthz').status_code == 200


def test_more_than_any_registry_can_send_is_refused_before_it_is_read(own):
    answer = raw(own, 'POST /events HTTP/1.1\nHost: x\nAuthorization: Bearer %s\nContent-Type: '
                 '%s\nContent-Length: %d' % (own.secret, REGISTRY['Content-Type'],
                                             32 * MEGABYTE + 1))
    assert answer.startswith(b'HTTP/1.1 413 ')


def test_a_pusher_with_a_long_name_keeps_no_other_waiting(dynamodb_local, distribution_is_installed,
                                                          tmp_path):
    with Place(dynamodb_local.url, Files(tmp_path)) as place:
        # Each of these has six bytes in JSON, as Go writes it.
        pusher = Images(place.registry.url)
        pusher.session.headers['User-Agent'] = '<' * 200000
        pusher.push('long/one')
        place.images.push('short/one')
        place.wait_until_found('long/one', 'short/one', seconds=5)
        assert '/events' in place.service.log_text()
