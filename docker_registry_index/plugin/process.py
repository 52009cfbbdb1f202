"""The process that docker-registry 0.9.1 runs in: forks, gunicorn's --preload, the import lock."""

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

__all__ = ['ProcessIndexes']

logger = logging.getLogger(__name__)


class ProcessIndexes(object):
    """A SearchIndex for each process, because a forked one needs threads and connections of its
    own.

    The index of this process is started at once. With gunicorn's --preload, this process is the
    master, which answers no request: then the first request of each worker starts that worker's.

    :param settings: a Settings.
    :param start: a function that returns a started SearchIndex. Its argument is that of
        SearchIndex.start: the seconds to wait for a load; None for the default.
    :raises SettingError, NewerDatabase, ForeignDatabase: stops the start; nothing was changed. A
        master finds out only what one read shows."""

    def __init__(self, settings, start):
        self._start = start
        # By process id. A lock is made after the fork: gevent may patch threads only then.
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
        """Give the SearchIndex of this process, and let other threads import meanwhile. If this
        process was forked since, its index is started, without waiting for a load."""
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
            logger.exception('the search index could not be started; the next request retries')

    def _close(self):
        index = self._indexes.get(os.getpid())
        if index is not None:
            index.close()


def _is_preloading():
    """Return whether gunicorn's master makes the index, and forks workers later.

    Its method ``setup`` makes the application only with --preload; otherwise each worker does:
    https://github.com/benoitc/gunicorn/blob/19.10.0/gunicorn/arbiter.py#L119"""
    frame = sys._getframe()
    while frame is not None:
        if (frame.f_code.co_name == 'setup' and
                frame.f_globals.get('__name__') == 'gunicorn.arbiter'):
            return True
        frame = frame.f_back
    return False


def _check_before_the_fork(settings):
    """Stop the start if no worker could use the index.

    :raises: as ProcessIndexes."""
    # The credentials of a role are requested in a thread, and no thread may be started here.
    if settings.access_key:
        _check(settings)
    drop_connections()
    # Closes all connections that nothing refers to, which the workers would share.
    gc.collect()


def _check(settings):
    try:
        SearchIndex(settings).is_ready()
    except errors.RequestFailed as error:
        logger.debug('each worker checks for itself: %s', error)


@contextlib.contextmanager
def _import_lock_released():
    """Let other threads import meanwhile. Python 2.7 has one lock for all imports, and
    docker-registry makes the index while it is itself being imported. A thread that the index waits
    for would hang at any import statement."""
    released = 0
    try:
        while imp.lock_held():
            imp.release_lock()
            released += 1
    except RuntimeError:
        # Another thread holds it, and that one does not wait for this one.
        pass
    try:
        yield
    finally:
        for _ in range(released):
            imp.acquire_lock()
