"""What a process does in the background: when it checks, loads, syncs, waits and gives up."""
from __future__ import unicode_literals

import errno
import logging
import os
import tempfile
import threading

import pytest

from docker_registry_index.engine import Settings, concurrency, errors
from docker_registry_index.engine._compat import PY2
from docker_registry_index.engine.lifecycle import maintenance as maintenance_module
from docker_registry_index.engine.lifecycle.maintenance import Maintenance
from docker_registry_index.engine.lifecycle.start import RETRY
from docker_registry_index.engine.store.records import ReadyMarker, SyncRequest
from docker_registry_index.engine.store.store import Store
from tests.helpers.waiting import Hanging, wait_until

UNAVAILABLE = errors.RequestFailed('GetItem', ['t'], 'ConnectTimeoutError', 'unavailable', True)
#: A failure that is no outage, so that the client does not log it.
THROTTLED = errors.RequestFailed('GetItem', ['t'], 'ThrottlingException', 'slow down', True)
NEWER = errors.NewerDatabase('t', 4, 3)
#: The time of the fixture `clock`.
NOW = 1500000000


def made_at(seconds, complete=True):
    return ReadyMarker.none()._replace(
        number='number', synced=seconds if complete else seconds - 999, tried=seconds, report={},
        failures=0 if complete else 1)


def requested_at(seconds, number='of another process'):
    return SyncRequest(int(seconds), int(seconds), number)


class Startup(object):
    """A Startup that returns what a test has set, and notes what it was asked. It replaces the
    class, too: called, it keeps the functions that it is given, and returns itself."""

    def __init__(self):
        self.load = self.sleep = self.wall_clock = self.marker = None
        self.ready = False
        #: The request for a sync that is in the table, and the number of those made.
        self.request, self.requests = None, 0
        self.is_restored = False
        #: Raised by whatever is asked, as long as it is set.
        self.failure = None
        #: Whether another process loads.
        self.is_taken = False
        #: Called in each load.
        self.meanwhile = lambda: None
        self.asked = []

    def __call__(self, store, load, sleep, clock, wall_clock):
        self.load, self.sleep, self.wall_clock = load, sleep, wall_clock
        return self

    def is_ready(self):
        self._ask('is_ready')
        return self.ready

    def ensure_ready(self):
        self._ask('ensure_ready')
        if not self.is_taken:
            self.meanwhile()
            self.ready, self.marker = True, made_at(NOW)
        return self.ready

    def sync(self, is_due):
        self._ask('sync')
        if self.is_taken:
            raise errors.LeaseTaken('t', 5)
        if is_due(self.marker):
            request = self.request
            self.meanwhile()
            self.marker = made_at(NOW)
            self.request = None if self.request == request else self.request
            self.asked.append('load')

    def request_sync(self):
        self._ask('request')
        self.requests += 1
        self.request = requested_at(self.wall_clock(), 'request %d' % self.requests)

    def are_tables_restored(self):
        self._ask('tables')
        return self.is_restored

    def _ask(self, what):
        self.asked.append(what)
        if self.failure:
            raise self.failure


@pytest.fixture
def start():
    return Startup()


@pytest.fixture
def ready(start):
    start.ready, start.marker = True, made_at(NOW)
    return start


@pytest.fixture
def goes_on(start):
    """Loads of `start` wait for this event."""
    event = threading.Event()
    start.meanwhile = lambda: event.wait(10)
    yield event
    event.set()


@pytest.fixture
def waits(waits_of):
    """The seconds of each wait for a check or a load, which are all over at once."""
    return waits_of(maintenance_module, real=60)


@pytest.fixture
def make(start, clock, disk):
    """A function that makes a Maintenance; all are stopped after the test."""
    made = []

    def make(interval=0, startup_wait=30, load=None, compares_tables=False, **more):
        settings = Settings(region='us-east-1', connect_timeout=0.2, read_timeout=0.2, attempts=1,
                            sync_interval=interval, startup_wait=startup_wait, **more)
        made.append(Maintenance(Store(settings, None), load, clock, clock, start))
        if not compares_tables:
            # The first comparison is at a random time.
            made[-1]._compare_at = clock() + 10 ** 9
        return made[-1]

    yield make
    for each in made:
        each.stop(5)
    if made:
        with pytest.raises(errors.Stopped):
            start.sleep(0)


def logged(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_index_is_made_ready_at_once_and_then_checked_once_a_minute(make, start, clock):
    maintenance = make()
    assert maintenance.run_once(clock()) == 0
    assert maintenance.is_loading and not maintenance.is_ready
    for _ in range(3):
        assert 60 <= maintenance.run_once(clock()) <= 66
        assert maintenance.is_ready and not maintenance.is_loading
    assert start.asked == ['is_ready', 'ensure_ready', 'is_ready', 'is_ready']


@pytest.mark.parametrize('failure', [UNAVAILABLE, THROTTLED])
def test_a_start_that_fails_is_retried_and_logged_once(make, start, caplog, clock, failure):
    start.failure = failure
    maintenance = make()
    for longest in [1, 2, 4, 8, 16, 30, 30]:
        assert 0.7 * longest <= maintenance.run_once(clock()) <= longest
        assert not maintenance.is_ready and not maintenance.is_loading
    start.failure = None
    maintenance.run_once(clock())
    assert maintenance.is_ready
    # The client logs an outage.
    assert ['not ready' in line and 'slow down' in line for line in logged(caplog)] == (
        [True] if failure is THROTTLED else [])
    caplog.clear()
    # The next outage is another one. An error that is no DynamoDBIndexError has its traceback.
    maintenance.check_soon()
    start.failure = KeyError('ours')
    assert maintenance.run_once(clock()) <= 1
    assert len(logged(caplog)) == 1 and 'Traceback' in caplog.text and "'ours'" in caplog.text


def test_first_loads_that_cannot_read_the_storage_are_five_minutes_apart_at_last(
        make, start, caplog, clock):
    begun = []

    def fail():
        begun.append(clock())
        raise errors.StorageUnreadable('its repositories', KeyError('registry'))
    start.ensure_ready = fail
    maintenance = make()
    while len(begun) < 12:
        pause = maintenance.run_once(clock())
        assert pause <= 60, 'another process may load'
        clock.advance(pause + 0.01)
    pauses = [after - before for before, after in zip(begun, begun[1:])]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]):
        assert 0.7 * longest <= pause <= longest + 1
    assert len([line for line in logged(caplog) if 'cannot read the storage' in line]) == 1
    start.ready = True
    del start.ensure_ready
    maintenance.run_once(clock())
    assert maintenance.is_ready


def test_checks_that_fail_leave_the_index_ready_and_are_logged_once(make, ready, caplog, clock):
    maintenance = make()
    maintenance.run_once(clock())
    ready.failure = THROTTLED
    for _ in range(10):
        assert 0 < maintenance.run_once(clock()) <= 60
        assert maintenance.is_ready
    assert caplog.text.count('cannot be checked') == 1
    ready.failure = None
    assert 60 <= maintenance.run_once(clock()) <= 66


def test_an_index_that_another_process_loads_is_checked_again_until_it_is_ready(
        make, start, caplog, clock):
    maintenance = make()
    maintenance.run_once(clock())
    # First, the other process takes over the load of this one.
    start.failure, start.is_taken = errors.LeaseLost('t'), True
    for _ in range(3):
        assert maintenance.run_once(clock()) == 5
        assert maintenance.is_loading and not maintenance.is_ready
        start.failure = None
    assert 'took over the lease' in caplog.text and logged(caplog) == []
    start.is_taken = False
    maintenance.run_once(clock())
    assert maintenance.is_ready


def test_a_start_waits_until_the_index_is_ready_and_a_missing_table_is_made_at_once(make, start):
    maintenance = make()
    assert maintenance.start_and_wait(5) is True and maintenance.is_ready
    assert start.asked == ['is_ready', 'ensure_ready']
    start.ready = False
    maintenance.check_soon()
    wait_until(lambda: maintenance.is_ready)
    assert start.asked == ['is_ready', 'ensure_ready', 'ensure_ready']


def test_a_start_waits_for_a_load_no_longer_than_it_may(make, goes_on, caplog, waits):
    maintenance = make(startup_wait=30)
    maintenance.start()
    wait_until(lambda: maintenance.is_loading)
    assert maintenance.start_and_wait(20) is False
    assert maintenance.is_loading and 'still being loaded after 20 seconds' in caplog.text
    # A search does not wait again.
    maintenance.wait_until_usable()
    assert [round(seconds, 1) for seconds in waits] == [1.8, 20, 0.4, 0]


def test_searches_wait_for_a_load_if_the_start_did_not(make, goes_on, clock, waits):
    maintenance = make(startup_wait=30)
    assert maintenance.start_and_wait(0) is False
    wait_until(lambda: maintenance.is_loading)
    del waits[:]
    for _ in range(3):
        maintenance.wait_until_usable()
        clock.advance(20)
    # For the check and for the load. All searches together wait no longer than a start does.
    assert [round(seconds, 1) for seconds in waits] == [0.4, 30, 0.4, 10, 0.4, 0]


def test_a_caller_waits_for_a_check_no_longer_than_a_request_may_take(make, start, waits):
    answers = threading.Event()
    start.is_ready = lambda: answers.wait(10)
    maintenance = make()
    for seconds in 0, 0.5, 30:
        assert maintenance.start_and_wait(seconds) is False
    maintenance.wait_until_usable()
    # A start waits until the credentials and the request have timed out, and a second more, so that
    # it logs the reason.
    assert waits == [0, 0.5, 2 * 0.4 + 1, 0.4] and not maintenance.is_loading
    answers.set()
    wait_until(lambda: maintenance.is_ready)
    maintenance.wait_until_usable()


def test_the_next_call_begins_the_maintenance_if_no_thread_could_be_started(
        make, start, monkeypatch, caplog):
    with monkeypatch.context() as patched:
        patched.setattr(concurrency, 'start_thread', lambda *_: None)
        maintenance = make()
        assert maintenance.start_and_wait(30) is False
        assert 'no thread is left' in caplog.text and start.asked == []
    maintenance.start()
    wait_until(lambda: maintenance.is_ready)
    maintenance.start()
    maintenance.wait_until_usable()
    assert start.asked == ['is_ready', 'ensure_ready']


def test_an_index_of_a_newer_release_stops_the_start(make, start):
    start.failure, maintenance = NEWER, make()
    with pytest.raises(errors.NewerDatabase):
        maintenance.start_and_wait(5)
    assert maintenance.is_stopped


@pytest.mark.parametrize('failure', [
    NEWER, errors.ForeignDatabase('t', 'has the keys id (HASH, S)'),
    errors.SettingError('access_key', None, 'cannot be used', 'correct it')])
def test_an_index_that_becomes_unusable_is_noticed_and_works_again_once_corrected(
        make, ready, caplog, failure, clock, no_threads):
    caplog.set_level(logging.INFO)
    maintenance, tracebacks = make(), set()
    maintenance.run_once(clock())
    maintenance.wait_until_usable()
    ready.failure = failure
    for _ in range(3):
        assert maintenance.run_once(clock()) == 60
        with pytest.raises(type(failure)) as raised:
            maintenance.wait_until_usable()
        tracebacks.add(len(raised.traceback))
        assert not maintenance.is_ready and not maintenance.is_loading
    assert caplog.text.count('cannot be used until') == 1
    # The traceback of an error that is raised again and again does not grow.
    assert len(tracebacks) == 1
    ready.failure = None
    maintenance.run_once(clock())
    maintenance.wait_until_usable()
    assert maintenance.is_ready and caplog.text.count('can be used again') == 1


@pytest.mark.parametrize('interval, marker, loads', [
    (3600, made_at(NOW - 3600), True), (3600, made_at(NOW - 3500), False),
    (0, made_at(NOW - 10 ** 6), False),
    # One that was not complete is made again after ten minutes.
    (3600, made_at(NOW - 600, False), True), (3600, made_at(NOW - 500, False), False),
    # And so is the first one that found rows of other releases.
    (3600, made_at(NOW - 600)._replace(resync=True), True),
    (3600, made_at(NOW - 500)._replace(resync=True), False)])
def test_a_sync_is_made_when_it_is_due(make, ready, interval, marker, loads, clock):
    ready.marker = marker
    maintenance = make(interval)
    assert (maintenance.run_once(clock()) == 0) is loads
    maintenance.run_once(clock())
    assert ready.asked.count('load') == loads


def test_the_next_check_is_no_later_than_the_next_sync(make, ready, clock):
    ready.marker = made_at(NOW - 3590)
    maintenance = make(3600)
    assert 10 <= maintenance.run_once(clock()) <= 11
    clock.advance(11)
    maintenance.run_once(clock())
    assert ready.asked.count('load') == 1


def test_a_sync_that_another_process_has_just_made_is_not_made_again(
        make, ready, clock, monkeypatch):
    ready.marker = made_at(NOW - 7200)
    maintenance, sync = make(3600), ready.sync
    assert maintenance.run_once(clock()) == 0

    def sync_late(is_due):
        ready.marker = made_at(NOW)
        sync(is_due)

    monkeypatch.setattr(ready, 'sync', sync_late)
    assert maintenance.run_once(clock()) >= 60
    assert ready.asked == ['is_ready', 'is_ready', 'sync']


def seconds_until_load(maintenance, start, clock):
    """Run a Maintenance until it loads; return the seconds."""
    began, loads = clock(), start.asked.count('load')
    pause = maintenance.run_once(clock())
    while start.asked.count('load') == loads:
        clock.advance(max(0.01, pause))
        assert clock() < began + 5000
        pause = maintenance.run_once(clock())
    return clock() - began


def test_a_requested_sync_is_made_a_minute_after_the_last_request(make, ready, clock):
    maintenance = make()
    maintenance.run_once(clock())
    maintenance.sync_soon()
    maintenance.run_once(clock())
    assert (ready.requests, ready.asked.count('load')) == (1, 0)
    clock.advance(50)
    # Another process requests one, too; its request takes the place of this one.
    ready.request = requested_at(clock())
    maintenance.run_once(clock())
    assert 60 <= seconds_until_load(maintenance, ready, clock) <= 90
    # One sync serves both, and no other follows.
    for _ in range(100):
        clock.advance(maintenance.run_once(clock()))
    assert (ready.requests, ready.asked.count('load')) == (1, 1)


def test_a_request_of_a_process_that_was_killed_is_served_by_another(make, ready, clock):
    maintenance = make()
    maintenance.run_once(clock())
    ready.request = requested_at(clock())
    # It reads the request within a minute, and waits for further ones.
    assert 60 <= seconds_until_load(maintenance, ready, clock) <= 75 + 7
    assert ready.requests == 0


@pytest.mark.parametrize('pauses', [(), range(10, 1000, 40)], ids=['one request', 'many requests'])
def test_a_requested_sync_is_made_by_processes_that_live_less_than_a_minute(
        make, ready, clock, pauses):
    began = clock()
    ready.request = requested_at(began)
    while 'load' not in ready.asked:
        maintenance, end = make(), clock() + 20
        while clock() < end and 'load' not in ready.asked:
            if int(clock() - began) in pauses:
                ready.request = SyncRequest(int(began), int(clock()), 'at %s' % clock())
            maintenance.run_once(clock())
            clock.advance(1)
        assert clock() < began + 400
    assert (300 if pauses else 60) <= clock() - began <= (320 if pauses else 95)


@pytest.mark.parametrize('wrong', [3600, -3600, -86400])
def test_a_request_by_a_wrong_clock_is_served_within_the_same_time(make, ready, clock, wrong):
    maintenance = make()
    maintenance.run_once(clock())
    ready.request = requested_at(clock() + wrong)
    assert seconds_until_load(maintenance, ready, clock) <= 75 + 7


def test_a_process_requests_a_sync_every_15_seconds_at_most(make, ready, clock):
    maintenance = make()
    maintenance.run_once(clock())
    for _ in range(119):
        maintenance.sync_soon()
        maintenance.run_once(clock())
        clock.advance(1)
    assert ready.requests == 8 and ready.asked.count('load') == 0


def test_requests_that_go_on_delay_a_sync_for_five_minutes_at_most(make, ready, clock):
    maintenance = make()
    maintenance.run_once(clock())
    began = clock()
    while 'load' not in ready.asked:
        ready.request = SyncRequest(int(began), int(clock()), 'request at %s' % clock())
        maintenance.run_once(clock())
        clock.advance(10)
    assert 300 <= clock() - began <= 320


def test_a_request_that_fails_is_made_when_dynamodb_is_available_again(make, ready, clock, caplog):
    maintenance = make()
    maintenance.run_once(clock())
    ready.failure = UNAVAILABLE
    maintenance.sync_soon()
    for _ in range(5):
        clock.advance(maintenance.run_once(clock()))
    assert ready.requests == 0 and ready.request is None
    ready.failure = None
    clock.advance(60)
    maintenance.run_once(clock())
    assert ready.requests == 1
    # The client logs the outage.
    assert logged(caplog) == []


@pytest.mark.parametrize('is_ready', [True, False])
def test_a_sync_is_requested_while_checks_are_throttled(make, ready, clock, monkeypatch, is_ready):
    ready.ready = is_ready
    maintenance = make()
    maintenance.run_once(clock())

    def throttle(*_):
        raise THROTTLED

    monkeypatch.setattr(ready, 'is_ready', throttle)
    monkeypatch.setattr(ready, 'ensure_ready', throttle)
    maintenance.sync_soon()
    maintenance.run_once(clock())
    assert ready.requests == 1


def test_a_requested_sync_that_cannot_be_made_now_is_made_later(make, ready, clock):
    maintenance = make()
    maintenance.run_once(clock())
    maintenance.sync_soon()
    maintenance.run_once(clock())
    clock.advance(75)
    ready.is_taken = True
    assert 5 <= maintenance.run_once(clock()) <= 65
    ready.is_taken = False
    # It is requested again while it is being made.
    ready.meanwhile = lambda: setattr(ready, 'request', requested_at(clock()))
    maintenance.run_once(clock())
    assert ready.asked.count('load') == 1
    ready.meanwhile = lambda: None
    assert 60 <= seconds_until_load(maintenance, ready, clock) <= 75 + 7
    assert ready.asked.count('load') == 2


@pytest.mark.parametrize('interval', [0, 86400])
def test_requested_syncs_that_are_not_complete_are_repeated_after_ever_longer_pauses(
        make, ready, clock, interval):
    maintenance = make(interval)
    maintenance.run_once(clock())
    ready.marker = made_at(NOW, complete=False)._replace(failures=3)
    ready.request = requested_at(clock())
    assert 4 * RETRY <= seconds_until_load(maintenance, ready, clock) <= 4 * RETRY + 70


@pytest.mark.parametrize('end', ['outage', 'request'])
def test_a_sync_is_requested_by_the_next_process_of_the_host_if_a_process_ends_before_it_can(
        make, ready, clock, end):
    maintenance = make()
    maintenance.run_once(clock())
    if end == 'request':
        maintenance.sync_soon()
    else:
        maintenance.note_loss()
    ready.failure = UNAVAILABLE
    # Killed, and so was a process that was started meanwhile.
    make().run_once(clock())
    ready.failure = None
    other = make(database='other')
    for _ in range(2):
        other.run_once(clock())
    assert ready.requests == 0
    assert 60 <= seconds_until_load(make(), ready, clock) <= 80
    assert (ready.requests, ready.asked.count('load')) == (1, 1)
    for _ in range(2):
        maintenance = make()
        maintenance.run_once(clock())
        maintenance.run_once(clock())
    assert ready.requests == 1


@pytest.mark.parametrize('is_made', [True, False])
def test_a_process_that_ends_in_an_outage_leaves_its_request_to_the_next(make, ready, is_made):
    maintenance = make()
    maintenance.note_loss()
    ready.failure = None if is_made else UNAVAILABLE
    maintenance.request_sync()
    ready.failure = None
    started = make()
    for _ in range(2):
        started.run_once(0)
    assert ready.requests == 1


@pytest.mark.parametrize('fault', ['no folder', 'a folder', 'a link', 'of another user'])
def test_a_note_that_cannot_be_written_or_trusted_changes_nothing_else(
        make, ready, clock, disk, monkeypatch, fault):
    make().note_loss()
    [path] = disk.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600 and path.read_bytes() == b''
    if fault == 'of another user':
        monkeypatch.setattr(os, 'geteuid', lambda: 12345, raising=False)
    else:
        path.unlink()
    if fault == 'no folder':
        monkeypatch.setattr(tempfile, 'tempdir', str(disk / 'missing'))
    elif fault == 'a folder':
        path.mkdir()
    elif fault == 'a link':
        path.symlink_to(disk / 'target')
    maintenance = make()
    maintenance.note_loss()
    for _ in range(2):
        maintenance.run_once(clock())
    assert fault in ('a folder', 'a link') or ready.requests == 0
    clock.advance(20)
    maintenance.sync_soon()
    requests = ready.requests
    maintenance.run_once(clock())
    assert ready.requests == requests + 1 and not (disk / 'target').exists()


@pytest.mark.parametrize('fault', ['no folder can be written', 'a name that is not ASCII'])
def test_a_process_starts_whatever_its_folder_for_temporary_files_is(
        make, ready, clock, disk, monkeypatch, fault):
    """As in a container whose file system is read-only, or on a full disk."""
    if fault == 'no folder can be written':
        def fail():
            raise IOError(errno.ENOENT, 'No usable temporary directory found')

        monkeypatch.setattr(tempfile, 'gettempdir', fail)
    else:
        folder = os.path.join(str(disk), str(u'f\xfcr'.encode('utf-8') if PY2 else u'f\xfcr'))
        os.mkdir(folder)
        monkeypatch.setattr(tempfile, 'tempdir', folder)
    maintenance = make()
    maintenance.note_loss()
    assert bool(list(disk.rglob('docker*'))) == (fault == 'a name that is not ASCII')
    maintenance.run_once(clock())
    maintenance.sync_soon()
    maintenance.run_once(clock())
    assert ready.requests == 1 and not list(disk.rglob('docker*'))


def test_tables_are_compared_with_those_of_the_last_load_every_ten_minutes(make, ready, clock):
    maintenance, began = make(compares_tables=True), clock()
    for _ in range(60):
        clock.advance(maintenance.run_once(clock()))
    # Each comparison is with a check, which may be a tenth of a minute late.
    seconds = clock() - began
    assert seconds / 670 - 1 <= ready.asked.count('tables') <= seconds / 600 + 1
    assert ready.requests == 0
    ready.is_restored = True
    ready.meanwhile = lambda: setattr(ready, 'is_restored', False)
    assert 60 <= seconds_until_load(maintenance, ready, clock) <= 600 + 80
    for _ in range(100):
        clock.advance(maintenance.run_once(clock()))
    assert (ready.requests, ready.asked.count('load')) == (1, 1)


def test_processes_that_live_for_seconds_compare_the_tables_too(make, ready, clock):
    ready.is_restored, processes = True, 0
    while not ready.requests:
        processes += 1
        maintenance, end = make(compares_tables=True), clock() + 20
        while clock() < end:
            clock.advance(min(maintenance.run_once(clock()), end - clock()) or 1)
        assert processes < 1000


def test_a_process_that_ends_requests_a_sync_and_waits_for_it_two_seconds_at_most(
        make, ready, monkeypatch, caplog):
    maintenance = make()
    maintenance.request_sync()
    assert ready.requests == 1
    ready.failure = UNAVAILABLE
    maintenance.request_sync()
    assert 'no sync could be requested' in caplog.text
    monkeypatch.setattr(maintenance_module, '_LAST_SECONDS', 0.05)
    with Hanging(ready.request_sync) as hanging:
        ready.request_sync = hanging
        maintenance.request_sync()
        assert len(hanging.calls) == 1
    assert 'no answer' in caplog.text


@pytest.mark.parametrize('is_asked_for', [True, False])
def test_a_failed_sync_leaves_the_index_ready_and_is_retried_after_ever_longer_pauses(
        make, ready, clock, caplog, monkeypatch, is_asked_for):
    ready.marker = made_at(NOW if is_asked_for else NOW - 7200)

    def fail(is_due):
        attempts.append(clock.now)
        raise THROTTLED

    maintenance, attempts = make(3600), []
    with monkeypatch.context() as patched:
        patched.setattr(ready, 'sync', fail)
        maintenance.run_once(clock())
        if is_asked_for:
            ready.request = requested_at(clock())
        while len(attempts) < 13:
            clock.advance(max(0.01, maintenance.run_once(clock())))
            assert maintenance.is_ready
    pauses = [after - before for before, after in zip(attempts, attempts[1:])]
    for pause, longest in zip(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, RETRY, RETRY]):
        # It checks once a minute at least, and never later than the sync by a tenth.
        assert 0.7 * longest <= pause <= 1.1 * longest + 0.1, pauses
    [line] = logged(caplog)
    assert 'sync' in line and 'slow down' in line
    while 'load' not in ready.asked:
        clock.advance(max(0.01, maintenance.run_once(clock())))
    assert 0.7 * RETRY <= clock.now - attempts[-1] <= 1.2 * RETRY


def test_a_load_under_way_is_stopped_and_waited_for(make, start):
    ended, began = [], threading.Event()

    def load(heartbeat, slices, on_listed):
        began.set()
        try:
            # Until it raises.
            wait_until(heartbeat)
        finally:
            ended.append(True)

    maintenance = make(load=load)
    start.meanwhile = lambda: start.load(lambda: None, (), None)
    maintenance.start()
    assert began.wait(10)
    maintenance.stop(5)
    assert ended == [True] and not maintenance.is_ready
    maintenance.start()
    assert start.asked == ['is_ready', 'ensure_ready']
