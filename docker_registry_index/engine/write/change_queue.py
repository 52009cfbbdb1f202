"""Backlog: changes are made at once, or else later, and nobody waits long.

A change that cannot be made stays here and is tried again. What it says may
be out of date by then, so the storage is asked what is true.
"""

from __future__ import unicode_literals

import logging
import os
import threading

from .. import errors
from .._compat import monotonic, sleep
from .queue_entries import Entries, Entry
from .outage import Outage
from ..concurrency import start_thread

__all__ = ['Backlog', 'LIMIT']

logger = logging.getLogger(__name__)

#: Repositories whose change may wait: a few megabytes.
LIMIT = 10000
#: Changes that are made at once.
THREADS = 8
#: Seconds until a change that others were in the way of is tried again.
_SOON, _LATEST = 1, 60
#: Seconds of sleep at a time.
_NAP = 0.2
#: Names that a line of the log shows.
_SHOWN = 10


class Backlog(object):
    """The changes of one process.

    :param change: a function of a name and whether it is there, that has the
        index say so.
    :param settle: a function of a name that has the index say what the
        storage says.
    :param wait: seconds that a host waits at most.
    :param on_missing_table: called when a table is missing.
    :param on_overflow: called when DynamoDB is back and some changes had
        found no room.
    """

    def __init__(self, change, settle, wait, on_missing_table=lambda: None,
                 on_overflow=lambda: None, clock=monotonic, sleep=sleep):
        self._change = change
        self._settle = settle
        self._wait = wait
        self._on_missing_table = on_missing_table
        self._on_overflow = on_overflow
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._process = os.getpid()
        self._waiting = Entries()
        self._running = {}
        self._workers = 0
        self._has_sleeper = False
        self._is_closed = self._is_over = False
        self._outage = Outage(clock)

    def __len__(self):
        """How many changes are not made yet."""
        with self._lock:
            return self._count()

    def follow(self, name, is_there):
        """Have the index say that a repository is there, or is not.

        Returns when that is done, or after the wait, or at once while
        DynamoDB is known to be away. Raises nothing.

        :returns: whether it is done.
        """
        entry = Entry(name, is_there)
        with self._lock:
            if self._is_over:
                self._log_lost([name])
                return False
            if not self._put(entry):
                return False
            if self._outage.is_on or self._is_closed or not self._hire():
                self._waiting.make_late(entry)
                self._hire()
                return False
            entry.ended = threading.Event()
        entry.ended.wait(self._wait)
        with self._lock:
            self._waiting.make_late(entry)
            return entry.is_made

    def close(self, seconds):
        """Make what waits, in this thread, for so many seconds at most and
        one change more; what is left then is lost, and logged."""
        deadline, failures = self._clock() + seconds, 0
        with self._lock:
            self._is_closed = True
        while self._clock() < deadline and failures < 3:
            with self._lock:
                entry = self._take(None)
            if entry is not None:
                failures = 0 if self._try(entry) else failures + 1
            elif len(self):
                self._sleep(_NAP)
            else:
                break
        with self._lock:
            self._is_over = True
            left = self._waiting.names() + list(self._running)
            if left:
                self._log_lost(left)

    def _log_lost(self, names):
        logger.error(
            '%d changes of the search index are lost with this process; '
            'the next sync with the storage makes them: %s', len(names),
            ', '.join('%.80r' % name for name in names[:_SHOWN]))

    def _count(self):
        return len(self._waiting) + len(self._running)

    def _put(self, entry):
        """Add the newest change of a repository, if there is room."""
        older = self._waiting.drop(entry.name)
        if older is not None and older.ended is not None:
            # Its host need not wait for another's change.
            older.ended.set()
        if older is None and len(self._waiting) >= LIMIT:
            self._outage.note_overflow(LIMIT)
            return False
        self._waiting.add(entry)
        return True

    def _hire(self):
        """Have enough threads at work; while DynamoDB is away, one.

        :returns: whether there are any.
        """
        if not self._is_closed and not (
                self._outage.is_on and self._has_sleeper):
            wanted = 1 if self._outage.is_on else min(THREADS, self._count())
            while self._workers < wanted and start_thread(self._work):
                self._workers += 1
        return self._workers > 0 or self._has_sleeper

    def _work(self):
        # A greenlet lives on in a process that was forked, whose changes
        # these are not.
        while self._process == os.getpid() and not self._is_over:
            with self._lock:
                entry = self._next()
                if entry is None:
                    self._workers -= 1
                    if self._has_sleeper or not len(self._waiting):
                        return
                    self._has_sleeper = True
            if entry is not None:
                self._try(entry)
                continue
            self._sleep(_NAP)
            with self._lock:
                self._has_sleeper = False
                self._workers += 1

    def _next(self):
        """Take an entry whose time has come; None when there is none."""
        if self._is_closed or self._outage.is_on and (
                self._running or not self._outage.is_time_to_try()):
            return None
        return self._take(self._clock())

    def _take(self, now):
        entry = self._waiting.take(now, self._running)
        if entry is not None:
            self._running[entry.name] = entry
        return entry

    def _try(self, entry):
        """Make one change; whether it was made."""
        was_fresh = entry.is_fresh
        try:
            if was_fresh:
                self._change(entry.name, entry.is_there)
            else:
                self._settle(entry.name)
        except errors.Stopped:
            # In a process that was forked meanwhile.
            return False
        except Exception as error:
            self._fail(entry, error)
            return False
        with self._lock:
            del self._running[entry.name]
            if was_fresh and not entry.is_fresh:
                # Its host left: something else may have happened since.
                self._waiting.put_back(entry)
            else:
                entry.is_made = True
                self._end(entry, late=not was_fresh)
        return True

    def _end(self, entry, late):
        if entry.ended is not None:
            entry.ended.set()
        is_last = not self._count()
        if self._outage.note_success(late, is_last):
            self._on_overflow()
        self._hire()

    def _fail(self, entry, error):
        with self._lock:
            del self._running[entry.name]
            is_away = self._outage.note_failure(entry.name, error)
            if not is_away:
                entry.tries += 1
                entry.due = self._clock() + min(_SOON * 2 ** entry.tries,
                                                _LATEST)
            if not getattr(error, 'invalid', False):
                entry.is_fresh = False
                self._waiting.put_back(entry)
            if entry.ended is not None:
                entry.ended.set()
        if isinstance(error, errors.MissingTable):
            self._on_missing_table()
