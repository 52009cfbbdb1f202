"""The change queue, which makes changes in background threads and retries those that fail.

A change may be out of date when it is retried, so a retry asks the storage for the current state.

While DynamoDB is unavailable, one change at a time is tried. Any other failure concerns only the
change that failed: it has a time of its own for the next attempt, and delays no other change."""

from __future__ import unicode_literals

import collections
import functools
import logging
import threading

from .. import errors
from .._compat import monotonic, sleep, wait
from ..concurrency import Backoff, Loop

logger = logging.getLogger(__name__)

#: The most changes in a queue, one for each repository: a few megabytes.
LIMIT = 10000
#: The most changes that are made at the same time.
THREADS = 8
#: Seconds until a failed change is retried, at first and at most: one that DynamoDB throttles, one
#: that DynamoDB refuses until a person corrects the cause, and one that failed for another reason.
_THROTTLED, _REFUSED, _OTHER = (1, 30), (60, 900), (2, 60)
#: Seconds between two attempts while DynamoDB is unavailable, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1, 30
#: Seconds between two log lines on changes that fail, if DynamoDB does not refuse them.
_LOG_SECONDS = 60
#: The most names in a log line.
_SHOWN = 10


class QueuedChange(object):
    """The newest change of one repository.

    :ivar is_fresh: True while its caller waits: no later change can have happened.
    :ivar due: the time of the next attempt, on the queue's clock.
    :ivar pauses: the shortest and the longest pause after a failure of the last kind; None before
        the first failure.
    :ivar backoff: the Backoff of these pauses.
    :ivar ended: an Event, set when its caller can return; None without a caller."""

    __slots__ = ('name', 'is_there', 'is_fresh', 'is_made', 'due', 'pauses', 'backoff', 'ended')

    def __init__(self, name, is_there):
        self.name = name
        self.is_there = is_there
        self.is_fresh = True
        self.is_made = False
        self.due = 0
        self.pauses = self.backoff = self.ended = None


class QueuedChanges(object):
    """The changes in a queue, one for each repository. Those whose callers wait come first."""

    def __init__(self):
        self._fresh = collections.OrderedDict()
        self._late = collections.OrderedDict()

    def __len__(self):
        return len(self._fresh) + len(self._late)

    def names(self):
        """Return the names of the repositories, in the order of their changes."""
        return list(self._fresh) + list(self._late)

    def add(self, change):
        """Add a repository's newest change."""
        self._fresh[change.name] = change

    def drop(self, name):
        """Remove and return the change of a repository; return None if there is none."""
        return self._fresh.pop(name, None) or self._late.pop(name, None)

    def make_late(self, change):
        """Note that the caller has timed out, so the change may be out of date when it is made."""
        change.is_fresh = False
        if self._fresh.get(change.name) is change:
            self._late[change.name] = self._fresh.pop(change.name)

    def put_back(self, change):
        """Add a change again; return False if the queue has a newer one of the repository."""
        if change.name in self._fresh:
            return False
        changes = self._fresh if change.is_fresh else self._late
        return changes.setdefault(change.name, change) is change

    def take(self, now, other_than):
        """Remove and return the first change that is due; return None if there is none.

        :param now: the time on the clock of ``due``; None to take a change that is not due, too.
        :param other_than: names not to take."""
        for changes in self._fresh, self._late:
            # On Python 2.7, items() copies all changes.
            for name in changes:
                if name not in other_than and (now is None or changes[name].due <= now):
                    return changes.pop(name)
        return None


class CircuitBreaker(object):
    """A circuit breaker, open while DynamoDB is unavailable. It decides when to retry.

    :param clock: returns seconds that only go forward."""

    def __init__(self, clock):
        self._clock = clock
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        #: When to retry, on the clock.
        self.retry_at = 0

    @property
    def is_open(self):
        """True if the last change failed because DynamoDB is unavailable."""
        return self._backoff.has_begun

    def note_failure(self):
        """Note that DynamoDB was unavailable for a change."""
        now = self._clock()
        # Changes that were under way at the same time fail together and count once.
        if not self.is_open or now >= self.retry_at:
            self.retry_at = now + self._backoff.next()

    def note_answer(self):
        """Note that DynamoDB has answered the requests of a change."""
        self._backoff.reset()


class FailureLog(object):
    """Logs the changes that failed, but not each of many that fail for the same reason.

    The client of DynamoDB logs outages.

    :param clock: returns seconds that only go forward."""

    def __init__(self, clock):
        self._clock = clock
        self._late = 0
        self._is_full = False
        self._refusals = set()
        self._log_again_at = None
        self._unlogged = 0

    def note_failure(self, name, error):
        """Log that a change failed: a refusal once, all others once a minute."""
        if getattr(error, 'unavailable', False):
            return
        if isinstance(error, errors.ChangeConflict):
            logger.info('%s', error)
        elif getattr(error, 'invalid', False):
            # It is not retried, so it is always logged.
            self._log(name, error, 'dropped')
        elif getattr(error, 'refused', False):
            # The error names operation, table and right, but no repository.
            if str(error) not in self._refusals:
                self._refusals.add(str(error))
                self._log(name, error, 'retried, and so are others with this error')
        else:
            self._log_once_a_minute(name, error)

    def note_overflow(self, limit):
        """Log that a change was refused because the queue is full."""
        if not self._is_full:
            logger.error('the change queue of the search index is full (%d changes); further '
                         'changes are not queued; a sync makes them later', limit)
        self._is_full = True

    def note_success(self, is_late, is_last):
        """Note that a change was made; log how many were made late.

        :param is_late: True if the caller had timed out.
        :param is_last: True if the queue is empty now."""
        self._late += is_late
        if is_last and self._late:
            logger.info('the search index has caught up: %d changes were made late', self._late)
            self._late, self._is_full = 0, False
            self._refusals.clear()

    def _log_once_a_minute(self, name, error):
        now = self._clock()
        if self._log_again_at is not None and now < self._log_again_at:
            self._unlogged += 1
            return
        more = ', as did %d earlier changes' % self._unlogged if self._unlogged else ''
        self._log_again_at, self._unlogged = now + _LOG_SECONDS, 0
        self._log(name, error, 'retried', more)

    def _log(self, name, error, what, more=''):
        log = logger.error if isinstance(error, errors.DynamoDBIndexError) else logger.exception
        log('a change of %.80r in the search index failed%s; it is %s: %s', name, more, what, error)


class ChangeQueue(object):
    """Makes the changes of one process.

    :param write: called with a name and True if the repository exists; writes that to the index.
    :param reconcile: called with a name; makes the index agree with the storage.
    :param wait: the most seconds that a caller waits.
    :param on_late: called when a change has failed twice or does not fit into the queue, because
        it is lost if this process is killed.
    :param poll_seconds: seconds between two checks of the queue while no change is due."""

    def __init__(self, write, reconcile, wait, on_late=lambda: None, clock=monotonic,
                 sleep=sleep, poll_seconds=0.2):
        self._write = write
        self._reconcile = reconcile
        self._wait = wait
        self._on_late = on_late
        self._clock = clock
        self._sleep = sleep
        self._poll_seconds = poll_seconds
        self._lock = threading.RLock()
        self._queued = QueuedChanges()
        self._running = {}
        self._is_closed = self._is_over = False
        self._breaker, self._log = CircuitBreaker(clock), FailureLog(clock)
        # The number of the thread that polls the queue while no change is due, or None.
        self._poller = None
        self._threads = [Loop(functools.partial(self.run_once, number), clock)
                         for number in range(THREADS)]

    def __len__(self):
        """Return the number of changes that are not made yet."""
        with self._lock:
            return len(self._queued) + len(self._running)

    def apply_change(self, name, is_there):
        """Add or remove a repository in the index; return True if that is done. Returns when it is
        done, or after the wait, or at once if the circuit breaker is open. Raises nothing."""
        change = QueuedChange(name, is_there)
        with self._lock:
            if self._is_over:
                self._log_lost([name])
                return False
            if not self._put(change):
                return False
            if self._breaker.is_open or self._is_closed or not self._start_threads():
                self._queued.make_late(change)
                self._start_threads()
                return False
            change.ended = threading.Event()
        wait(change.ended, self._wait, longest_pause=0.01)
        with self._lock:
            self._queued.make_late(change)
            return change.is_made

    def note_recovery(self):
        """Note that DynamoDB is available again: changes no longer wait for the next attempt."""
        with self._lock:
            self._breaker.note_answer()
            if len(self._queued):
                self._start_threads()

    def run_once(self, thread, now):
        """Make one change that is due.

        :param thread: the number of the calling thread.
        :returns: the seconds until the thread's next call; None if the queue is empty, or if
            another thread polls it."""
        with self._lock:
            if self._poller == thread:
                self._poller = None
            change = self._next(now)
            if change is None:
                if self._poller is not None or not len(self._queued):
                    return None
                self._poller = thread
                return self._poll_seconds
        self._try(change)
        return 0

    def close(self, seconds):
        """Make the queued changes in this thread; start none after so many seconds. Changes that
        remain are lost, and logged.

        :returns: True if no change remains."""
        deadline, failures, failed = self._clock() + seconds, 0, set()
        with self._lock:
            self._is_closed = True
        while self._clock() < deadline and failures < 3:
            with self._lock:
                change = self._take(None, failed)
            if change is None:
                if not self._running:
                    break
                self._sleep(self._poll_seconds)
            elif self._try(change):
                failures = 0
            else:
                failed.add(change.name)
                # A change that failed by itself does not show that others will fail.
                failures += self._breaker.is_open
        with self._lock:
            self._is_over = True
            for thread in self._threads:
                thread.stop()
            left = self._queued.names() + list(self._running)
            if left:
                self._log_lost(left)
            return not left

    def _log_lost(self, names):
        logger.error('%d changes of the search index are lost because this process ends; a sync '
                     'with the storage makes them: %s', len(names),
                     ', '.join('%.80r' % name for name in names[:_SHOWN]))

    def _put(self, change):
        """Add the newest change of a repository; return False if the queue is full."""
        older = self._queued.drop(change.name)
        if older is not None and older.ended is not None:
            # A newer change replaces it, so its caller need not wait.
            older.ended.set()
        if older is None and len(self._queued) >= LIMIT:
            self._log.note_overflow(LIMIT)
            self._on_late()
            return False
        self._queued.add(change)
        return True

    def _start_threads(self):
        """Start a thread for each change; only one while the circuit breaker is open.

        :returns: True if a thread is running."""
        if self._is_closed:
            return False
        if self._breaker.is_open and self._poller is not None:
            return True
        wanted = 1 if self._breaker.is_open else min(THREADS, len(self))
        return any([thread.start() for thread in self._threads[:wanted]])

    def _next(self, now):
        """Remove and return a change that may be made now; return None if there is none."""
        breaker = self._breaker
        if self._is_closed or breaker.is_open and (self._running or now < breaker.retry_at):
            return None
        return self._take(now)

    def _take(self, now, other_than=()):
        change = self._queued.take(now, set(self._running).union(other_than))
        if change is not None:
            self._running[change.name] = change
        return change

    def _try(self, change):
        """Make one change; return True if it was made."""
        was_fresh = change.is_fresh
        try:
            if was_fresh:
                self._write(change.name, change.is_there)
            else:
                self._reconcile(change.name)
        except errors.Stopped:
            # The process was forked meanwhile.
            return False
        except Exception as error:
            self._fail(change, error)
            return False
        with self._lock:
            del self._running[change.name]
            if was_fresh and not change.is_fresh:
                # The caller has timed out: a later change may have happened since.
                self._queued.put_back(change)
            else:
                change.is_made = True
                self._end(change, late=not was_fresh)
        return True

    def _end(self, change, late):
        if change.ended is not None:
            change.ended.set()
        self._breaker.note_answer()
        self._log.note_success(late, not len(self))
        self._start_threads()

    def _fail(self, change, error):
        with self._lock:
            del self._running[change.name]
            self._log.note_failure(change.name, error)
            if getattr(error, 'unavailable', False):
                self._breaker.note_failure()
            else:
                if isinstance(error, errors.RequestFailed):
                    self._breaker.note_answer()
                self._postpone(change, error)
            is_throttled = getattr(error, 'throttled', False)
            # If its caller still waits, nothing can have changed, and the storage is not asked.
            change.is_fresh = change.is_fresh and is_throttled
            is_queued = not getattr(error, 'invalid', False) and self._queued.put_back(change)
            if change.ended is not None and not (is_queued and change.is_fresh):
                change.ended.set()

    def _postpone(self, change, error):
        """Set the time of the next attempt of a change that failed by itself."""
        if change.pauses is not None:
            self._on_late()
        throttled, refused = (getattr(error, kind, False) for kind in ('throttled', 'refused'))
        pauses = _THROTTLED if throttled else _REFUSED if refused else _OTHER
        if change.pauses != pauses:
            change.pauses, change.backoff = pauses, Backoff(*pauses)
        change.due = self._clock() + change.backoff.next()
