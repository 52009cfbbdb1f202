"""The change queue, which makes changes in background threads and retries those that fail.

A change may be out of date when it is retried, so a retry asks the storage for the current
state."""

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
#: Seconds until a failed change is retried if the circuit breaker is closed, at first and at most.
_FIRST_RETRY, _LAST_RETRY = 2, 60
#: Seconds between two attempts while the circuit breaker is open, at first and at most.
_FIRST_PAUSE, _LONGEST_PAUSE = 1, 30
#: Seconds between two log lines on changes that fail although the circuit breaker is closed.
_LOG_SECONDS = 60
#: The most names in a log line.
_SHOWN = 10


class QueuedChange(object):
    """The newest change of one repository.

    :ivar is_fresh: True while its caller waits: no later change can have happened.
    :ivar due: the time of the next attempt, on the queue's clock.
    :ivar ended: an Event, set when its caller can return; None without a caller."""

    __slots__ = ('name', 'is_there', 'is_fresh', 'is_made', 'due', 'backoff', 'ended')

    def __init__(self, name, is_there):
        self.name = name
        self.is_there = is_there
        self.is_fresh = True
        self.is_made = False
        self.due = 0
        self.backoff = self.ended = None


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
        """Add a change again, unless the queue has a newer one of the repository."""
        if change.name not in self._fresh:
            self._late.setdefault(change.name, change)

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
    """A circuit breaker, open while writes to DynamoDB fail. It decides when to retry.

    Logs one line when an outage begins and one when it is over, however many changes wait.

    :param clock: returns seconds that only go forward."""

    def __init__(self, clock):
        self._clock = clock
        self._backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE)
        #: When to retry, on the clock.
        self.retry_at = 0
        self._late = self._overflow = 0
        self._log_again_at = None
        self._unlogged = 0

    @property
    def is_open(self):
        """True if the last change failed, and DynamoDB was the cause."""
        return self._backoff.has_begun

    def note_failure(self, name, error):
        """Note that a change failed; return True if DynamoDB was the cause."""
        if not isinstance(error, errors.RequestFailed) or (
                error.invalid or isinstance(error, errors.ConditionFailed)):
            self._log_other(name, error)
            return False
        if not self.is_open:
            logger.error('the search index cannot be written to; changes are queued and retried: '
                         '%s', error)
        now = self._clock()
        # Changes that were under way at the same time fail together and count once.
        if not self.is_open or now >= self.retry_at:
            self.retry_at = now + self._backoff.next()
        return True

    def note_overflow(self, limit):
        """Note that a change was refused because the queue is full."""
        if not self._overflow:
            logger.error('the change queue of the search index is full (%d changes); further '
                         'changes are not queued; a sync after the outage makes them', limit)
        self._overflow += 1

    def note_success(self, is_late, is_last):
        """Note that a change was made.

        :param is_late: True if the caller had timed out.
        :param is_last: True if the queue is empty now.
        :returns: True if a sync must make changes that did not fit into the queue."""
        self._backoff.reset()
        self._late += is_late
        if not is_last or not self._late:
            return False
        logger.info('the search index has caught up: %d changes were made late', self._late)
        has_overflowed, self._late, self._overflow = self._overflow > 0, 0, 0
        return has_overflowed

    def _log_other(self, name, error):
        if isinstance(error, errors.ChangeConflict):
            logger.info('%s', error)
            return
        # A change that is not retried is always logged.
        is_final = getattr(error, 'invalid', False)
        now = self._clock()
        if not is_final:
            if self._log_again_at is not None and now < self._log_again_at:
                self._unlogged += 1
                return
            self._log_again_at = now + _LOG_SECONDS
        more = 0 if is_final else self._unlogged
        self._unlogged -= more
        log = logger.error if isinstance(error, errors.DynamoDBIndexError) else logger.exception
        log('a change of %.80r in the search index failed%s; it is %s: %s', name,
            more and ', as did %d earlier changes' % more or '',
            'dropped' if is_final else 'retried', error)


class ChangeQueue(object):
    """Makes the changes of one process.

    :param write: called with a name and True if the repository exists; writes that to the index.
    :param reconcile: called with a name; makes the index agree with the storage.
    :param wait: the most seconds that a caller waits.
    :param on_overflow: called when DynamoDB has recovered, if the queue had refused changes.
    :param poll_seconds: seconds between two checks of the queue while no change is due."""

    def __init__(self, write, reconcile, wait, on_overflow=lambda: None, clock=monotonic,
                 sleep=sleep, poll_seconds=0.2):
        self._write = write
        self._reconcile = reconcile
        self._wait = wait
        self._on_overflow = on_overflow
        self._clock = clock
        self._sleep = sleep
        self._poll_seconds = poll_seconds
        self._lock = threading.RLock()
        self._queued = QueuedChanges()
        self._running = {}
        self._is_closed = self._is_over = False
        self._breaker = CircuitBreaker(clock)
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
        remain are lost, and logged."""
        deadline, failures = self._clock() + seconds, 0
        with self._lock:
            self._is_closed = True
        while self._clock() < deadline and failures < 3:
            with self._lock:
                change = self._take(None)
            if change is not None:
                failures = 0 if self._try(change) else failures + 1
            elif len(self):
                self._sleep(self._poll_seconds)
            else:
                break
        with self._lock:
            self._is_over = True
            for thread in self._threads:
                thread.stop()
            left = self._queued.names() + list(self._running)
            if left:
                self._log_lost(left)

    def _log_lost(self, names):
        logger.error('%d changes of the search index are lost because this process ends; the next '
                     'sync with the storage makes them: %s', len(names),
                     ', '.join('%.80r' % name for name in names[:_SHOWN]))

    def _put(self, change):
        """Add the newest change of a repository; return False if the queue is full."""
        older = self._queued.drop(change.name)
        if older is not None and older.ended is not None:
            # A newer change replaces it, so its caller need not wait.
            older.ended.set()
        if older is None and len(self._queued) >= LIMIT:
            self._breaker.note_overflow(LIMIT)
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

    def _take(self, now):
        change = self._queued.take(now, self._running)
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
        if self._breaker.note_success(late, not len(self)):
            self._on_overflow()
        self._start_threads()

    def _fail(self, change, error):
        with self._lock:
            del self._running[change.name]
            if not self._breaker.note_failure(change.name, error):
                change.backoff = change.backoff or Backoff(_FIRST_RETRY, _LAST_RETRY)
                change.due = self._clock() + change.backoff.next()
            if not getattr(error, 'invalid', False):
                change.is_fresh = False
                self._queued.put_back(change)
            if change.ended is not None:
                change.ended.set()
