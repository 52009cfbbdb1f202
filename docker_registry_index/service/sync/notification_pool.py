"""NotificationPool: follows the changes of notifications, each within a time."""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Sequence

from ...engine import errors
from ..registry.errors import ChangeUnderWay
from ..registry.events import Change
from .reconcile import Reconciler

__all__ = ['NotificationPool', 'NotNow']

logger = logging.getLogger(__name__)

#: Changes under way at once; for more, the registry retries.
LIMIT = 32
#: What keeps a change from being made, and passes.
_PASSING = (ChangeUnderWay, errors.RequestFailed, errors.ChangeConflict, errors.Stopped)


class NotNow(Exception):
    """A change is not made; the registry should retry its notification."""


class NotificationPool:
    """Follows changes side by side, each within a time.

    :param reconciler: a Reconciler.
    :param seconds: after which a caller gets an answer. What takes longer goes on in the
        background.
    :ivar under_way: how many changes are being followed.
    """

    def __init__(self, reconciler: Reconciler, seconds: float) -> None:
        self._reconciler = reconciler
        self._seconds = seconds
        self._pool = ThreadPoolExecutor(LIMIT)
        self._free = threading.BoundedSemaphore(LIMIT)
        self._lock = threading.Lock()
        self.under_way = 0

    def follow(self, changes: Sequence[Change]) -> None:
        """Return when all these changes are in the index.

        :raises NotNow: some are not, or not yet.
        """
        end = time.monotonic() + self._seconds
        futures = [self._begin(change, end) for change in changes]
        _, late = wait(futures, max(0, end - time.monotonic()))
        if late:
            raise NotNow(f'it takes longer than {self._seconds:g} seconds')
        for future in futures:
            try:
                future.result()
            except _PASSING as error:
                raise NotNow(str(error))

    def _begin(self, change: Change, end: float) -> Future[None]:
        # One body may have more changes than may be under way at once.
        if not self._free.acquire(timeout=max(0, end - time.monotonic())):
            raise NotNow(f'{LIMIT} others are under way')
        return self._pool.submit(self._run, change)

    def _run(self, change: Change) -> None:
        with self._lock:
            self.under_way += 1
        try:
            self._reconciler.reconcile(change, self._seconds)
        except errors.InvalidName as error:
            # It would be as wrong the next time.
            logger.warning('not in the search index: %s', error)
        finally:
            with self._lock:
                self.under_way -= 1
            self._free.release()
