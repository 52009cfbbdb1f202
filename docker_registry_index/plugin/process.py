"""Gives each process of docker-registry 0.9.1 its SearchIndex, also with gunicorn's --preload."""

from __future__ import unicode_literals

import atexit
import contextlib
import gc
import imp
import logging
import os
import sys
import threading

import flask

from ..engine import SearchIndex, errors
from .storage import drop_connections

logger = logging.getLogger(__name__)


class ProcessIndexes(object):
    """Keeps a SearchIndex for each process: a forked process needs its own threads and connections.

    The index of this process starts at once. With gunicorn's --preload, this process is the
    master, which answers no request; each worker starts its index at its first request.

    :param settings: a Settings.
    :param start: a function that returns a started SearchIndex. Its argument is the seconds to wait
        for a load, as of SearchIndex.start; None for the default.
    :raises SettingError, NewerDatabase, ForeignDatabase: the registry does not start; nothing was
        changed. A master makes one read to check that."""

    def __init__(self, settings, start):
        self._start = start
        # By process id. Locks are created after the fork, when gevent has patched the threads.
        self._locks, self._indexes = {}, {}
        if _is_preloading():
            _check_before_the_fork(settings)
            flask.request_started.connect(self._begin)
        else:
            with _import_lock_released():
                self._indexes[os.getpid()] = start(None)
        atexit.register(self._close)

    @contextlib.contextmanager
    def index(self):
        """Yield the SearchIndex of this process; in the block, other threads can import modules. In
        a forked process, the first call starts the index, and does not wait for a load."""
        with _import_lock_released():
            yield self._current()

    def _current(self):
        process = os.getpid()
        index = self._indexes.get(process)
        if index is None:
            with self._locks.setdefault(process, threading.Lock()):
                index = self._indexes.get(process)
                if index is None:
                    index = self._indexes[process] = self._start(0)
        return index

    def _begin(self, *_, **__):
        try:
            with self.index():
                pass
        except Exception:
            logger.exception('the search index could not be started; the next request retries it')

    def _close(self):
        index = self._indexes.get(os.getpid())
        if index is not None:
            index.close()


def _is_preloading():
    """Return True if this is gunicorn's master, which forks the workers later.

    Its method ``setup`` loads the application only with --preload; otherwise each worker does:
    https://github.com/benoitc/gunicorn/blob/19.10.0/gunicorn/arbiter.py#L119"""
    frame = sys._getframe()
    while frame is not None:
        if (frame.f_code.co_name == 'setup' and
                frame.f_globals.get('__name__') == 'gunicorn.arbiter'):
            return True
        frame = frame.f_back
    return False


def _check_before_the_fork(settings):
    """Raise an error of ProcessIndexes if no worker could use the index."""
    # The credentials of a role are requested in a thread, and no thread may start before a fork.
    if settings.access_key:
        try:
            SearchIndex(settings).is_ready()
        except errors.RequestFailed as error:
            logger.debug('the check before the fork failed; each worker checks again: %s', error)
    drop_connections()
    # Closes connections that the workers would share.
    gc.collect()


@contextlib.contextmanager
def _import_lock_released():
    """Release Python 2.7's global import lock in the block. docker-registry creates the index
    during an import, and a thread that the index waits for would hang at any import statement."""
    released = 0
    try:
        while imp.lock_held():
            imp.release_lock()
            released += 1
    except RuntimeError:
        # Another thread holds the lock, and does not wait for this one.
        pass
    try:
        yield
    finally:
        for _ in range(released):
            imp.acquire_lock()
