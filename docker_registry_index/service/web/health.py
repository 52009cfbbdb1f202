"""GET /healthz and /readyz: whether it lives, and whether it can answer."""

from __future__ import unicode_literals

import time

import flask

from ...engine import errors
from ...engine.concurrency import SingleFlight
from .responses import refusal

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
        self._request = SingleFlight(self._ask)
        self._problem, self._asked_at = None, None

    def problem(self):
        """What keeps it from answering, as a sentence; None if nothing.

        Costs one BatchGetItem every two seconds at most.
        """
        if not self._index.ready:
            return ('the index is not ready: it is being loaded, or DynamoDB '
                    'is away')
        if self._asked_at is None or (
                self._clock() - self._asked_at > _REMEMBERED):
            if not self._request.wait(_WAIT):
                return 'DynamoDB does not answer'
        return self._problem

    def _ask(self):
        try:
            self._problem = None if self._index.is_ready() else (
                'the index is not ready')
        except errors.DynamoDBIndexError:
            self._problem = 'DynamoDB cannot be reached, or refuses'
        self._asked_at = self._clock()
