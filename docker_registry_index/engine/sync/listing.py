"""Lists the repositories of a storage, several namespaces at the same time.

A namespace that cannot be read, or does not answer, is left out and logged."""

from __future__ import unicode_literals

import collections
import logging

from .. import errors
from .._compat import monotonic, queue, sleep, text_type
from ..concurrency import Stopwatch, TimedOut, start_thread

logger = logging.getLogger(__name__)

#: The most namespaces that are listed at the same time.
THREADS = 8
#: Seconds without an answer after which a storage counts as unreadable.
STORAGE_SECONDS = 600
#: Seconds between two log lines on the progress.
_LOG_SECONDS = 10

#: The most repositories that a worker lists before the caller takes them.
_BATCH = 500
#: Seconds between two checks of what the workers have found.
_POLL_SECONDS = 0.05
_UNREADABLE, _FAILED, _COMPLETE, _ENDED = range(4)


class Listing(object):
    """One listing of a storage.

    :param source: a Source. Its methods are called in other threads, so that the caller's heartbeat
        continues while a storage hangs.
    :param seconds: a namespace that yields nothing for so long counts as unreadable.
    :param clock: returns seconds that only go forward."""

    def __init__(self, source, seconds=STORAGE_SECONDS, clock=monotonic):
        self._source = source
        self._namespaces = queue.Queue(4 * THREADS)
        self._found = queue.Queue(4 * THREADS)
        self._stopwatch = Stopwatch(seconds, clock)
        self._seconds = seconds
        self._clock = clock
        self._is_stopped = False
        self._first_error = None
        self._count = 0
        self._working = set()
        self._timed_out = []
        #: The namespaces that could not be read, as the source returned them.
        self.unreadable = []
        #: The place where a later listing can resume if this one ends early; None for the start.
        self.place = None
        # The number of namespaces in front of each further place; of those that were all listed;
        # and the numbers of others that were listed.
        self._places, self._complete, self._completed = collections.deque(), 0, set()

    def batches(self, heartbeat, meanwhile=lambda: False):
        """Yield lists of (name, description or None).

        :param heartbeat: called at least once a second; raises to stop.
        :param meanwhile: called between two lists; returns True if it did any work, and is then
            called again at once.
        :raises StorageUnreadable: the namespaces could not be listed, or none of them could be
            read.
        :raises: what the heartbeat and meanwhile raise."""
        self._is_stopped = start_thread(self._list_namespaces) is None
        try:
            for _ in range(THREADS):
                self._start_worker()
            for batch in self._received(heartbeat, meanwhile):
                yield batch
        finally:
            self._is_stopped = True
        if self.unreadable and len(self.unreadable) == self._count:
            raise errors.StorageUnreadable('its repositories', self._first_error)

    def _received(self, heartbeat, meanwhile):
        while self._working:
            heartbeat()
            was_busy = meanwhile()
            self._check_timeouts()
            try:
                worker, kind, value = self._found.get_nowait()
            except queue.Empty:
                # Also from workers that wait for an answer, so that it delays no other repository.
                batch = [pair for worker in self._working for pair in worker.taken()]
                if batch:
                    yield batch
                else:
                    # In Python 2.7, get() with a timeout depends on the time of day.
                    sleep(0 if was_busy else _POLL_SECONDS)
                continue
            if kind == _FAILED:
                raise errors.StorageUnreadable('its namespaces', value)
            if worker not in self._working:
                # The worker answered after it had timed out.
                continue
            batch = worker.taken()
            if batch:
                yield batch
            if kind == _UNREADABLE:
                self._note_unreadable(*value)
            elif kind == _COMPLETE:
                self._note_complete(value)
            else:
                self._working.discard(worker)

    def _note_complete(self, number):
        """Note that the caller has received all repositories of a namespace."""
        self._completed.add(number)
        while self._complete + 1 in self._completed:
            self._complete += 1
            self._completed.remove(self._complete)
        while self._places and self._places[0][0] <= self._complete:
            self.place = self._places.popleft()[1]

    def _check_timeouts(self):
        error = TimedOut(self._seconds)
        if self._stopwatch.has_expired:
            raise errors.StorageUnreadable('its namespaces', error)
        for worker in [each for each in self._working if each.has_expired]:
            self._working.discard(worker)
            worker.has_timed_out = True
            self._timed_out.append(worker)
            self._note_unreadable(worker.namespace, error)
            hanging = [each for each in self._timed_out if each.has_expired]
            if len(hanging) > THREADS:
                # The whole storage seems to hang, and threads that timed out still run.
                raise errors.StorageUnreadable('its repositories', error)
            self._start_worker()

    def _note_unreadable(self, namespace, error):
        self.unreadable.append(namespace)
        self._first_error = self._first_error or error
        logger.error('part %.80r of the storage cannot be read; its repositories stay unchanged in '
                     'the search index: %s', text_type(namespace), errors.summary(error))

    def _start_worker(self):
        worker = _Worker(self._seconds, self._clock)
        if not self._is_stopped and start_thread(self._run_worker, worker) is not None:
            self._working.add(worker)
        elif not self._working:
            raise errors.StorageUnreadable('its repositories', RuntimeError(
                'no thread is left; raise the thread limit of the process'))

    def _list_namespaces(self):
        """Put a list of each namespace into the queue of the workers, and None after the last."""
        try:
            self._stopwatch.start()
            for namespace in self._source.namespaces():
                self._stopwatch.stop()
                self._count += 1
                place = getattr(namespace, 'place', None)
                if place is not None:
                    self._places.append((self._count, place))
                if not self._put(self._namespaces, [(self._count, namespace)]):
                    return
                self._stopwatch.start()
        except Exception as error:
            self._put(self._found, (None, _FAILED, error))
        self._stopwatch.stop()
        self._put(self._namespaces, None)

    def _run_worker(self, worker):
        while not self._is_stopped:
            try:
                found = self._namespaces.get(timeout=1)
            except queue.Empty:
                continue
            if found is None:
                # For the next worker.
                self._put(self._namespaces, None)
                break
            [(worker.number, worker.namespace)] = found
            try:
                self._list_namespace(worker)
            finally:
                worker.stop()
            if worker.has_timed_out:
                return
        self._put(self._found, (worker, _ENDED, None))

    def _list_namespace(self, worker):
        end = worker, _COMPLETE, worker.number
        worker.start()
        try:
            for pair in self._source.repositories(worker.namespace):
                worker.stop()
                worker.found.append(pair)
                while len(worker.found) >= _BATCH and not self._is_stopped:
                    sleep(_POLL_SECONDS)
                if self._is_stopped or worker.has_timed_out:
                    return
                worker.start()
        except Exception as error:
            end = worker, _UNREADABLE, (worker.namespace, error)
        worker.stop()
        self._put(self._found, end)

    def _put(self, where, what):
        """Put an item into a queue; return False if the listing is over."""
        while not self._is_stopped:
            try:
                where.put(what, timeout=1)
                return True
            except queue.Full:
                continue
        return False


class _Worker(Stopwatch):
    """The state of a thread that lists one namespace after another, and the time it waits."""

    number = namespace = None
    has_timed_out = False

    def __init__(self, seconds, clock):
        super(_Worker, self).__init__(seconds, clock)
        self.found = collections.deque()

    def taken(self):
        """Remove what the thread has listed so far, and return it as a list."""
        return [self.found.popleft() for _ in range(len(self.found))]


class Progress(object):
    """Logs the progress of a listing or a load, every ten seconds.

    :param clock: returns seconds that only go forward.
    :param total: the number of repositories that the load compares.
    :param before: the number of those that were compared during the listing.
    :param report: also called with (done, total), or None."""

    def __init__(self, clock, total=0, before=0, report=None):
        self._clock = clock
        self._total = total
        self._before = before
        self._report = report
        self._began = clock()
        self._next = self._began + _LOG_SECONDS

    def note_listed(self, listed, done):
        """Note the numbers of repositories that were listed and loaded so far."""
        rate = self._rate(listed)
        if rate is not None:
            logger.info('listing the storage for the search index: %d repositories so far, '
                        '%.0f per second; %d of them done', listed, rate, done)

    def note_loaded(self, done):
        """Note the number of repositories that were compared after the listing."""
        if self._report:
            self._report(self._before + done, self._total)
        rate = self._rate(done)
        if rate is not None:
            left = self._total - self._before - done
            logger.info('loading the search index: %d of %d done, %.0f per second, about %d s left',
                        self._before + done, self._total, rate, left / max(rate, 0.001))

    def _rate(self, done):
        """Return the number of repositories per second if a log line is due, otherwise None."""
        now = self._clock()
        if now < self._next:
            return None
        self._next = now + _LOG_SECONDS
        return done / max(now - self._began, 0.001)
