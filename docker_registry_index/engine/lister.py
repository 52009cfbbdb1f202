"""Listing a storage: its namespaces side by side, none waiting for another.

A namespace that cannot be read is left out, and said.
"""

from __future__ import unicode_literals

import logging
import threading

from . import errors
from ._compat import queue, text_type

__all__ = ['Lister']

logger = logging.getLogger(__name__)

#: Namespaces that are listed at once.
THREADS = 8

_BATCH = 500
_LISTED, _UNREADABLE, _FAILED, _ENDED = range(4)


class Lister(object):
    """One listing of a storage.

    :param source: a Source; its methods are called in other threads, so that
        a storage that hangs does not keep the caller from showing that it
        is alive.
    """

    def __init__(self, source):
        self._source = source
        self._namespaces = None
        self._lock = threading.Lock()
        self._found = queue.Queue(4 * THREADS)
        self._is_over = False
        self._first_error = None
        self._count = 0
        #: The namespaces that could not be read, as text.
        self.unreadable = []

    def batches(self, beat):
        """Yield lists of (name, description or None).

        :param beat: called at least once a second; raises to stop.
        :raises StorageUnreadable: its namespaces could not be listed, or
            none of them could be read.
        :raises: what the beat raises.
        """
        threads = [threading.Thread(target=self._work)
                   for _ in range(THREADS)]
        for thread in threads:
            thread.daemon = True
            thread.start()
        try:
            for batch in self._received(len(threads), beat):
                yield batch
        finally:
            self._is_over = True
        if self.unreadable and len(self.unreadable) == self._count:
            raise errors.StorageUnreadable('its repositories',
                                           self._first_error)

    def _received(self, working, beat):
        while working:
            beat()
            try:
                kind, value = self._found.get(timeout=1)
            except queue.Empty:
                continue
            if kind == _LISTED:
                yield value
            elif kind == _UNREADABLE:
                self._note_unreadable(*value)
            elif kind == _FAILED:
                raise errors.StorageUnreadable('its namespaces', value)
            else:
                working -= 1

    def _note_unreadable(self, namespace, error):
        self.unreadable.append(namespace)
        self._first_error = self._first_error or error
        logger.error('namespace %.80r of the storage cannot be read and is '
                     'left as it is in the search index: %.200r', namespace,
                     error)

    def _work(self):
        try:
            for namespace in iter(self._next, None):
                self._list(namespace)
        except Exception as error:
            self._put(_FAILED, error)
        self._put(_ENDED, None)

    def _next(self):
        """The next namespace; None when there are no more."""
        with self._lock:
            if self._namespaces is None:
                self._namespaces = iter(self._source.namespaces())
            # A generator that has raised once has ended.
            namespace = next(self._namespaces, None)
            self._count += namespace is not None
            return None if self._is_over else namespace

    def _list(self, namespace):
        batch = []
        try:
            for pair in self._source.repositories(namespace):
                batch.append(pair)
                if len(batch) == _BATCH:
                    self._put(_LISTED, batch)
                    batch = []
                if self._is_over:
                    return
        except Exception as error:
            self._put(_UNREADABLE, (text_type(namespace), error))
        self._put(_LISTED, batch)

    def _put(self, kind, value):
        while not self._is_over:
            try:
                return self._found.put((kind, value), timeout=1)
            except queue.Full:
                continue
