"""GET /healthz and /readyz: whether it lives, and whether it can answer."""

from __future__ import unicode_literals

import concurrent.futures
import threading
import time

import flask

from ..engine import errors
from .answers import refusal

__all__ = ['routes']

#: Seconds for which an answer of DynamoDB counts, and to wait for one.
_REMEMBERED, _WAIT = 2, 2


def routes(index):
    """The Blueprint of these addresses.

    :param index: a SearchIndex.
    """
    made = flask.Blueprint('health', __name__)
    readiness = Readiness(index)

    @made.route('/healthz')
    def live():
        return flask.jsonify(live=True)

    @made.route('/readyz')
    def ready():
        problem = readiness.problem()
        if problem:
            return refusal(503, problem)
        return flask.jsonify(ready=True)

    return made


class Readiness(object):
    """Asks DynamoDB now and then, one request at a time, and never long."""

    def __init__(self, index, clock=time.monotonic):
        self._index = index
        self._clock = clock
        self._lock = threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._asked, self._asked_at = None, None

    def problem(self):
        """What keeps it from answering, as a sentence; None if nothing.

        Costs one BatchGetItem every two seconds at most.
        """
        if not self._index.ready:
            return 'the index is not ready: it is being loaded, or DynamoDB ' \
                'is away'
        with self._lock:
            now = self._clock()
            if self._asked is None or (
                    self._asked.done() and
                    now - self._asked_at > _REMEMBERED):
                self._asked = self._pool.submit(self._index.is_ready)
                self._asked_at = now
            asked = self._asked
        try:
            return None if asked.result(_WAIT) else 'the index is not ready'
        except concurrent.futures.TimeoutError:
            return 'DynamoDB does not answer'
        except errors.DynamoDBIndexError:
            return 'DynamoDB cannot be reached, or refuses'
