"""A client that throttling slows down, and a fault does not stop at once.

For loads: tables of release 0.1.0 have five read and five write units, and
a large registry has more repositories than a burst of these lasts for.
"""

from __future__ import unicode_literals

import logging

from .. import errors
from .._compat import monotonic, sleep
from .client import batch_get, pages

__all__ = ['PatientClient']

logger = logging.getLogger(__name__)

#: Seconds of nothing but throttling after which a load gives up.
LIMIT = 600
#: Seconds of other faults, such as lost connections: a lease is lost then.
FAULT_LIMIT = 20
#: Seconds between two tries, at most: well below the time of a lease.
_LONGEST_PAUSE = 4


class PatientClient(object):
    """A Client for background work.

    :param client: a Client.
    :param beat: called before each try; raises to stop.
    """

    def __init__(self, client, beat, sleep=sleep, clock=monotonic):
        self._client = client
        self._beat = beat
        self._sleep = sleep
        self._clock = clock
        self._warned = set()

    def call(self, operation, **arguments):
        """As Client.call, but throttled requests are repeated for up to ten
        minutes, and those that met another fault for up to 20 s."""
        began, pause = self._clock(), 0.5
        while True:
            self._beat()
            try:
                return self._client.call(operation, **arguments)
            except errors.RequestFailed as error:
                if self._clock() > began + _limit(error):
                    raise
                if error.throttled:
                    self._warn(error)
            self._sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def pages(self, operation, **arguments):
        """As Client.pages."""
        return pages(self.call, operation, arguments)

    def batch_get(self, wanted):
        """As Client.batch_get."""
        return batch_get(self.call, wanted)

    def _warn(self, error):
        """Say once for each operation what would help."""
        if error.operation not in self._warned:
            self._warned.add(error.operation)
            logger.warning(
                'DynamoDB throttles %s on %s: the load goes on, slowly; '
                'on-demand billing of these tables would help',
                error.operation, ', '.join(error.tables))


def _limit(error):
    """For how many seconds to repeat what met this error."""
    if error.throttled:
        return LIMIT
    lost_race = getattr(error, 'lost_race', False)
    return FAULT_LIMIT if error.retryable and not lost_race else -1
