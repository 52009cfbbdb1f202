"""The connection: keys are found, renewed and replaced, and no client is without them."""
from __future__ import unicode_literals

import collections
import threading

import pytest
from botocore.exceptions import CredentialRetrievalError, ProfileNotFound

from docker_registry_index.engine import Settings, errors
from docker_registry_index.engine.store.connection import Connection, NoCredentials
from tests.helpers.clock import Clock
from tests.helpers.waiting import Hanging, wait_until

Frozen = collections.namedtuple('Frozen', 'access_key secret_key token')


class Keys(object):
    """Credentials as botocore finds them, which end at a time of a clock; None for never."""

    method = 'iam-role'

    def __init__(self, key, clock, end=None):
        self._key, self._clock, self.end = key, clock, end

    def get_frozen_credentials(self):
        return Frozen(self._key, 'secret', 'token')

    def refresh_needed(self, seconds=900):
        return self.end is not None and self.end - self._clock() < seconds


class Machine(object):
    """What a machine has: keys, None, or an error.

    :ivar searches: the times when keys were looked for."""

    def __init__(self, clock):
        self._clock, self.has, self.searches = clock, None, []

    def find(self):
        self.searches.append(self._clock())
        if isinstance(self.has, Exception):
            raise self.has
        return self.has


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def machine(clock):
    return Machine(clock)


@pytest.fixture
def connection(machine, clock):
    return connected(machine.find, clock)


def connected(find, clock, **more):
    return Connection(Settings(region='us-east-1', endpoint_url='http://127.0.0.1:1',
                               connect_timeout=5, read_timeout=5, attempts=1,
                               **more), find, clock)


def key_of(client):
    """Return the access key ID that a client signs requests with, as its event hooks see it."""
    seen = []
    client.meta.events.register('before-send.dynamodb', lambda request, **_: seen.append(request))
    with pytest.raises(Exception):
        client.list_tables()
    return seen[0].headers['Authorization'].decode().partition('Credential=')[2].partition('/')[0]


@pytest.mark.parametrize('problem, code, way_out', [
    (None, 'NoCredentialsError', 'give the machine a role'),
    (CredentialRetrievalError(provider='container-role', error_msg='it is down'),
     'CredentialRetrievalError', 'it is down'),
    (ValueError("Unsupported host '169.254.170.23'."), 'ValueError', 'use another one'),
    ('expired', 'ExpiredCredentials', 'iam-role')], ids=lambda value: None)
def test_a_client_without_keys_is_never_kept_and_keys_are_looked_for_again(
        connection, machine, clock, problem, code, way_out):
    machine.has = Keys('AKIDOLD', clock, end=clock() - 1) if problem == 'expired' else problem
    connection.open()  # such a start is no error
    for _ in range(300):
        with pytest.raises(NoCredentials) as missing:
            connection.client()
        assert missing.value.code == code and way_out in missing.value.detail
        # The error does not advise a machine with a role to get one.
        assert ('give the machine a role if it has none' in missing.value.detail) == (not problem)
        clock.advance(1)
    pauses = [later - sooner for sooner, later in zip(machine.searches, machine.searches[1:])]
    assert pauses[0] <= 2 and pauses[:3] == sorted(pauses[:3]) and 21 <= max(pauses) <= 31
    machine.has = Keys('AKIDNEW', clock)
    clock.advance(31)
    assert key_of(connection.client()) == 'AKIDNEW'
    assert connection.client() is connection.client() and machine.searches[-1] == clock()


@pytest.mark.parametrize('is_expiring', [False, True])
def test_keys_are_renewed_in_the_background_and_used_until_they_expire(
        connection, machine, clock, is_expiring):
    machine.has = Keys('AKIDOLD', clock, end=clock() + 3600)
    old = connection.client()
    clock.advance(2600)
    assert connection.client() is old and len(machine.searches) == 1
    # From fifteen minutes before the end, keys are looked for every half a minute.
    machine.has = CredentialRetrievalError(provider='iam-role', error_msg='as ordered')
    for _ in range(999):
        clock.advance(1)
        assert connection.client() is old
        wait_until(lambda: not connection._search.is_running)
    assert 25 < len(machine.searches) < 33
    if is_expiring:
        clock.advance(2)
        with pytest.raises(NoCredentials):
            connection.client()
    machine.has = Keys('AKIDNEW', clock, end=clock() + 3600)
    clock.advance(31)
    wait_until(lambda: is_expiring or connection.client() is not old)
    assert key_of(connection.client()) == 'AKIDNEW'


def test_pauses_between_searches_begin_anew_after_keys_were_found(connection, machine, clock):
    def fail(seconds):
        began, machine.has = clock(), None
        del machine.searches[:]
        while clock() < began + seconds:
            clock.advance(0.5)
            with pytest.raises(NoCredentials):
                connection.client()
        return [later - sooner for sooner, later in zip(machine.searches, machine.searches[1:])]

    assert max(fail(200)) > 20
    machine.has = Keys('AKIDOLD', clock, end=clock() + 1000)
    clock.advance(31)
    connection.client()
    clock.advance(1001)
    assert fail(5)[0] <= 1.5


def test_no_request_waits_while_valid_keys_are_renewed_and_none_waits_long_without(clock):
    first = Keys('AKIDOLD', clock, end=clock() + 600)
    answers = [first]
    connection = connected(lambda: answers[0], clock)
    old = connection.client()
    connection._find_credentials = hanging = Hanging(lambda: None)
    clock.advance(31)
    with hanging:
        for _ in range(3):
            assert connection.client() is old
        wait_until(lambda: len(hanging.calls) == 1)
        first.end = clock() - 1
        connection._seconds = 0.05
        for _ in range(2):
            with pytest.raises(NoCredentials) as missing:
                connection.client()
            assert missing.value.code == 'CredentialsTimeout'
        assert len(hanging.calls) == 1


def test_rejected_keys_are_read_again_every_half_a_minute_until_they_have_changed(
        connection, machine, clock):
    seen = []
    connection.watch(seen.append)
    machine.has = Keys('AKIDOLD', clock)
    old = connection.client()
    for _ in range(95):
        assert 'iam-role' in connection.note_rejected(old)
        assert connection.client() is old
        wait_until(lambda: not connection._search.is_running)
        clock.advance(1)
    assert machine.searches == [machine.searches[0] + 30 * number for number in range(4)]
    machine.has = Keys('AKIDNEW', clock)
    clock.advance(30)
    wait_until(lambda: connection.client() is not old)
    # Each client has the event hooks.
    assert seen == [old, connection.client()] and key_of(connection.client()) == 'AKIDNEW'
    # A late rejection of the old keys changes nothing.
    connection.note_rejected(old)
    clock.advance(3600)
    connection.client()
    assert len(machine.searches) == 5


def test_keys_of_the_settings_are_not_looked_for_and_their_rejection_names_the_settings(
        machine, clock):
    connection = connected(machine.find, clock, access_key='AKIDSET', secret_access_key='secret')
    seen = []
    connection.open()
    connection.watch(seen.append)
    client = connection.client()
    said = connection.note_rejected(client)
    assert 'settings access_key and secret_access_key' in said
    assert connection.client() is client and seen == [client] and machine.searches == []
    assert key_of(client) == 'AKIDSET'


def test_a_mistake_in_a_file_stops_a_start_but_not_a_running_process(connection, machine, clock):
    machine.has = ProfileNotFound(profile='not-there')
    with pytest.raises(errors.SettingError) as refused:
        connection.open()
    assert 'not-there' in str(refused.value)
    with pytest.raises(NoCredentials):
        connection.client()
    machine.has = Keys('AKIDNEW', clock)
    clock.advance(31)
    assert key_of(connection.client()) == 'AKIDNEW'


def test_many_threads_that_need_keys_wait_for_one_search(clock):
    found = Keys('AKIDNEW', clock)
    with Hanging(lambda: found) as find:
        connection, clients = connected(find, clock), []
        threads = [threading.Thread(target=lambda: clients.append(connection.client()))
                   for _ in range(5)]
        for thread in threads:
            thread.start()
        wait_until(lambda: find.calls)
        find.go_on.set()
        for thread in threads:
            thread.join(20)
    assert clients == [connection.client()] * 5 and len(find.calls) == 1
