"""Maintenance: makes an index ready, checks it every minute and syncs it, in one thread."""

from __future__ import unicode_literals

import logging
import random
import threading
import time

from .. import errors
from .._compat import monotonic, sleep, wait
from ..concurrency import Backoff, Loop, TimedOut, call_with_timeout
from ..store.client import attempt_timeout, request_timeout
from ..write.writer import REST_SECONDS
from .loss_note import LossNote
from .start import RETRY, Startup

logger = logging.getLogger(__name__)

#: Seconds between two attempts while DynamoDB or the storage is unavailable; and the most seconds
#: between two first loads, because each may make a registry walk its whole storage.
_FIRST_PAUSE, _LONGEST_PAUSE, _LONGEST_LOAD_PAUSE = 1, 30, 300
#: Seconds between two checks while another process loads.
_CHECK_AGAIN = 5
#: Seconds between two checks of an index that is ready.
_CHECK_EVERY = 60
#: The seconds from the last request for a sync until the sync, so that one sync serves the requests
#: of all processes after an outage; the most seconds from the first request until the sync; and the
#: seconds between two requests of this process.
_REQUEST_REST, _LONGEST_REST, _REQUEST_EVERY = 60, 300, 15
#: The most seconds between two comparisons of the tables with those of the last load.
_COMPARE_EVERY = 600
#: The most seconds that a process waits for its last request.
_LAST_SECONDS = 2
_DAY = 86400

_NOT_READY = ('the search index is not ready; the registry works without it, and the start of the '
              'index is retried: %s')
_NOT_CHECKED = 'the search index cannot be checked; the check is retried: %s'
_NOT_LOADED = 'the first load of the search index cannot read the storage; it is retried: %s'
_NOT_SYNCED = 'the sync of the search index with the storage failed; the sync is retried: %s'


class Maintenance(object):
    """Maintains one index in one process, and logs each outage once.

    :param store: a Store.
    :param load: a function that takes a heartbeat function and the numbers of the slices to verify,
        loads, and returns a LoadReport.
    :param wall_clock: returns Unix seconds.
    :param startup: returns the Startup of the store and four functions."""

    def __init__(self, store, load, clock=monotonic, wall_clock=time.time, startup=Startup):
        settings = store.settings
        self._load = load
        self._startup = startup(store, self._load_while_running, self._sleep, clock, wall_clock)
        self._interval = settings.sync_interval
        self._load_seconds = settings.startup_wait
        # Long enough for a request to fail, so that its error can be raised.
        self._check_seconds = request_timeout(settings) + 1
        self._attempt_seconds = attempt_timeout(settings)
        self._wait_until = None
        self._clock = clock
        self._wall_clock = wall_clock
        self._loop = Loop(self.run_once, clock)
        self._loss_note = LossNote(settings)
        # True until this process has requested a sync, and the time from which on it may do that.
        self._is_requesting, self._request_at = self._loss_note.exists(), 0
        # At random, because a worker may live for a few seconds only.
        self._compare_at = clock() + random.uniform(0, _COMPARE_EVERY)
        # The last request of any process, the seconds from it until the sync, and the times when
        # this process first saw it, and the first request that the same sync will serve.
        self._request, self._rest, self._seen_at, self._seen_since = None, 0, 0, 0
        # The next sync after one that has failed, and the next first load.
        self._sync_at = self._load_at = self._now = 0
        self._backoffs = {message: Backoff(_FIRST_PAUSE, longest) for message, longest in (
            (_NOT_READY, _LONGEST_PAUSE), (_NOT_CHECKED, _LONGEST_PAUSE),
            (_NOT_LOADED, _LONGEST_LOAD_PAUSE), (_NOT_SYNCED, RETRY))}
        self._message = _NOT_READY
        self._checked = threading.Event()
        self._first_run = threading.Event()
        #: True if the index was ready at the last check.
        self.is_ready = False
        #: True if a load is needed or under way.
        self.is_loading = False
        #: The error because of which the index cannot be used now, or None.
        self.unusable = None

    @property
    def marker(self):
        """The ReadyMarker that was last read, or None."""
        return self._startup.marker

    @property
    def is_stopped(self):
        """True after stop(), and in a forked process."""
        return self._loop.is_stopped

    def start(self):
        """Start the thread unless it is running. Never waits."""
        if not self._loop.is_running and not self._loop.is_stopped and not self._loop.start():
            logger.error('no thread is left for the search index; each push and search retries; '
                         'raise the thread limit of this process')

    def start_and_wait(self, seconds):
        """Start the thread, and wait until the index is ready or the first attempt has failed.

        :param seconds: the longest wait for a load. With 0, the first searches wait instead, so
            that their results are complete.
        :returns: True if the index is ready.
        :raises NewerDatabase, ForeignDatabase: nothing was changed."""
        if not seconds:
            self._wait_until = self._clock() + self._load_seconds
        try:
            self.start()
            is_ready = self._wait(seconds, min(seconds, self._check_seconds))
        except Exception:
            self.stop(0)
            raise
        if seconds and self.is_loading:
            logger.warning('the search index is still being loaded after %d seconds; the load '
                           'continues, and searches find what is loaded so far', seconds)
        return is_ready

    def wait_until_usable(self):
        """Wait until a search may read the index.

        Waits for the first check of the index, as long as one attempt of a request may take. If
        the start did not wait for a load, waits for the load too.

        :raises NewerDatabase, ForeignDatabase: a result might be wrong."""
        self.start()
        seconds = 0
        if self._wait_until is not None:
            seconds = max(0, self._wait_until - self._clock())
        self._wait(seconds, self._attempt_seconds)

    def check_usable(self):
        """Raise the error because of which the index can be neither read nor written, if any."""
        if self.unusable is not None:
            # Otherwise the traceback would grow with each search.
            self.unusable.__traceback__ = None
            raise self.unusable

    def check_soon(self):
        """Check the index in the background now, because a table is missing."""
        self.is_ready = False
        self._loop.wake()

    def sync_soon(self):
        """Request a sync, because changes may be lost, perhaps those of processes that have ended.

        When no process has requested a sync for a minute, one of them makes it. Costs an UpdateItem
        and a BatchGetItem, at most every 15 seconds. While DynamoDB is unavailable, the request
        waits."""
        if not self._is_requesting:
            self._is_requesting = True
            self.note_loss()
            self._loop.wake()

    def note_loss(self):
        """Note on this host's disk that changes may be lost, because one is late or DynamoDB is
        unavailable. If this process ends before it can request a sync, the next one finds the note
        and requests the sync."""
        self._loss_note.write()

    def request_sync(self):
        """Request a sync at once, because this process ends and loses changes. Waits two seconds at
        most, and raises nothing. Costs an UpdateItem."""
        try:
            call_with_timeout(self._startup.request_sync, _LAST_SECONDS)
            self._loss_note.delete()
        except (errors.DynamoDBIndexError, TimedOut) as error:
            logger.warning('no sync could be requested for the lost changes: %s', error)

    def stop(self, seconds):
        """Stop the thread; a load under way releases its lease.

        :param seconds: the longest wait for the thread."""
        self._loop.stop(seconds)

    def run_once(self, now):
        """Do what is due at the time ``now``; return the seconds until the next call."""
        self._now = now
        if not self._checked.is_set():
            pause = self._try(self._check)
            self._checked.set()
            return pause
        pause = self._try(self._check_and_sync if self.is_ready else self._make_ready)
        self._first_run.set()
        return pause

    def _wait(self, seconds, for_check):
        """Wait until the index is ready or the first attempt has failed.

        :param seconds: the longest wait if a load is needed.
        :param for_check: the longest wait for the first check, in seconds.
        :returns: True if the index is ready.
        :raises NewerDatabase, ForeignDatabase, SettingError: the index cannot be used until the
            tables or the settings are corrected."""
        if self._loop.is_running:
            deadline = monotonic() + seconds
            wait(self._checked, for_check)
            if self.is_loading:
                wait(self._first_run, deadline - monotonic())
        self.check_usable()
        return self.is_ready

    def _load_while_running(self, heartbeat, slices, on_listed):
        def check_and_beat():
            self._check_running()
            heartbeat()

        return self._load(check_and_beat, slices, on_listed)

    def _sleep(self, seconds):
        self._check_running()
        sleep(seconds)

    def _check_running(self):
        if self._loop.is_stopped:
            raise errors.Stopped()

    def _try(self, act):
        """Call ``act`` and handle its errors; return the seconds until the next call."""
        try:
            pause = act()
        except errors.Stopped:
            return 0
        except (errors.NewerDatabase, errors.ForeignDatabase, errors.SettingError) as error:
            return self._note_unusable(error)
        except errors.LeaseLost as error:
            logger.warning('%s', error)
            return _CHECK_AGAIN
        except Exception as error:
            return self._note_failure(error)
        if self.is_ready:
            if self.unusable:
                logger.info('the search index can be used again')
            self.unusable = None
        self._backoffs[self._message].reset()
        return pause

    def _check(self):
        self._message = _NOT_CHECKED if self.is_ready else _NOT_READY
        self.is_ready = self._startup.is_ready()
        self.is_loading = not self.is_ready
        return self._seconds_until_check() if self.is_ready else 0

    def _make_ready(self):
        self._request_if_due()
        self._message = _NOT_READY
        # Meanwhile, another process may have loaded the index.
        if self._now < self._load_at and not self._startup.is_ready():
            return min(self._load_at - self._now, _CHECK_EVERY)
        self.is_ready = self._startup.ensure_ready()
        self.is_loading = not self.is_ready
        if self.is_loading:
            return _CHECK_AGAIN
        self._backoffs[_NOT_LOADED].reset()
        logger.info('the search index is ready')
        return self._seconds_until_check()

    def _check_and_sync(self):
        """Check that the index is still ready, and sync it if a sync is due."""
        self._request_if_due()
        self._check()
        if not self.is_ready:
            return 0
        if self._now >= self._compare_at:
            self._compare_at = self._now + _COMPARE_EVERY
            if self._startup.are_tables_restored():
                self.sync_soon()
                return 0
        if not self._is_sync_due(self.marker):
            return self._seconds_until_check()
        self._message = _NOT_SYNCED
        try:
            self._startup.sync(self._is_sync_due)
        except errors.LeaseTaken:
            return _CHECK_AGAIN + random.uniform(0, _LONGEST_PAUSE)
        # A request that was made during the load is a new one.
        self._request = None
        return self._seconds_until_check()

    def _request_if_due(self):
        """Request a sync if this process has to; if that fails, the next call retries it. The
        request precedes the check, which may be throttled for longer than this process lives."""
        if self._is_requesting and self._now >= self._request_at:
            try:
                self._startup.request_sync()
            except errors.RequestFailed:
                return
            # A change that is lost from now on needs another request.
            self._is_requesting, self._request_at = False, self._now + _REQUEST_EVERY
            self._loss_note.delete()

    def _seconds_until_check(self):
        """Return the seconds until the next check, at random, so that processes do not coincide."""
        left = min(self._seconds_until_sync(self.marker), _CHECK_EVERY,
                   self._compare_at - self._now)
        if self._is_requesting:
            left = min(left, self._request_at - self._now)
        return max(0, left) * random.uniform(1, 1.1)

    def _is_sync_due(self, marker):
        return self._seconds_until_sync(marker) <= 0

    def _seconds_until_sync(self, marker):
        """Return the seconds until the next sync. They depend on the wall clock, because a process
        rarely runs as long as the interval. A wrong clock only makes a sync early or late."""
        failed, requested = self._sync_at - self._now, self._seconds_until_requested()
        if marker is None:
            return failed
        planned = next_sync(marker, self._interval or _DAY) - self._wall_clock()
        if requested is None:
            return max(failed, planned) if self._interval else _CHECK_EVERY
        # After an incomplete load, the pauses get longer, also between requested syncs.
        due = max(requested, planned) if marker.failures else requested
        return max(failed, min(due, planned) if self._interval else due)

    def _seconds_until_requested(self):
        """Return the seconds until a requested sync is due; None if none is requested.

        The wall clocks decide, because a worker may live less than a minute. If a clock is wrong,
        the sync is early, or late by the time until this process has seen the request."""
        now, wall, request = self._now, self._wall_clock(), self._startup.request
        if request != self._request:
            if self._request is None:
                self._seen_since = now
            self._request, self._seen_at = request, now
            self._rest = _REQUEST_REST * random.uniform(1, 1.25)
        if request is None:
            return None
        return min(self._seen_at + self._rest - now, self._seen_since + _LONGEST_REST - now,
                   request.last + self._rest - wall, request.since + _LONGEST_REST - wall)

    def _note_unusable(self, error):
        """Keep an error that a person must correct; return the seconds until the next check."""
        if self.unusable is None:
            logger.error('the search index cannot be used until the cause is corrected: %s', error)
        self.unusable = error
        self.is_ready = self.is_loading = False
        return _CHECK_EVERY

    def _note_failure(self, error):
        """Log the first failure of an outage; return the seconds until the next attempt."""
        self.is_loading = False
        if self._message is _NOT_READY and isinstance(error, errors.StorageUnreadable):
            self._message = _NOT_LOADED
        backoff = self._backoffs[self._message]
        # The client logs an outage of DynamoDB.
        if not backoff.has_begun and not getattr(error, 'unavailable', False):
            log = logger.error if isinstance(error, errors.DynamoDBIndexError) else (
                logger.exception)
            log(self._message, error)
        pause = backoff.next()
        if self._message is _NOT_SYNCED:
            self._sync_at = self._clock() + pause
        if self._message is _NOT_LOADED:
            self._load_at = self._clock() + pause
        return min(pause, _CHECK_EVERY)


def next_sync(marker, interval):
    """Return when the next sync is due, in Unix seconds.

    The next sync is due ``interval`` seconds after a complete load, or an hour after one that kept
    recent repositories. If the load was not complete, or found rows of another release, the sync is
    due after RETRY seconds. Each further failure of any process doubles that time, up to the
    interval or a day."""
    if marker.tried is None:
        return 0
    if not marker.failures and not marker.resync:
        is_recent = marker.report and marker.report.get('recent')
        return marker.tried + (min(interval, REST_SECONDS) if is_recent else interval)
    pauses = Backoff(RETRY, min(interval, _DAY), least=1, taken=max(marker.failures - 1, 0))
    return marker.tried + pauses.next()
