"""Answers GET /healthz, /readyz and /metrics: the health, readiness and metrics of a process.

https://prometheus.io/docs/practices/naming/"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import flask
import prometheus_client
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from ...engine import SearchIndex, errors
from ...engine.concurrency import SingleFlight
from .responses import Refusal

#: Seconds for which a response of DynamoDB is valid, and the most seconds to wait for one.
_REMEMBERED, _WAIT = 2, 2
_NAMESPACE = 'registry_index'
#: Seconds: from a search in one Query to the longest wait of a push.
_BUCKETS = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)


class Readiness:
    """Checks the index with one request at a time; waits at most ``seconds`` for the response."""

    def __init__(self, index: SearchIndex, clock: Callable[[], float] = time.monotonic,
                 seconds: float = _WAIT) -> None:
        self._index, self._clock, self._seconds = index, clock, seconds
        self._request, self._checked_at = SingleFlight(self._check), -math.inf
        self._problem: str | None = None

    def problem(self) -> str | None:
        """Return the reason why the index is not ready, or None. Costs a BatchGetItem every 2 s."""
        if not self._index.ready:
            return 'the index is not ready: it is being loaded, or DynamoDB is unavailable'
        is_valid = self._clock() - self._checked_at <= _REMEMBERED
        if not is_valid and not self._request.wait(self._seconds):
            return 'DynamoDB does not answer'
        return self._problem

    def _check(self) -> None:
        try:
            self._problem = None if self._index.is_ready() else 'the index is not ready'
        except errors.DynamoDBIndexError:
            self._problem = 'DynamoDB is unavailable, or refuses requests'
        self._checked_at = self._clock()


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        counter = functools.partial(Counter, namespace=_NAMESPACE, registry=self.registry)
        self._gauge = functools.partial(Gauge, namespace=_NAMESPACE, registry=self.registry)
        self._requests = counter('http_requests', 'Requests answered.', ['route', 'status'])
        self._seconds = Histogram(
            'http_request_seconds', 'Seconds until the answer.', ['route'], _NAMESPACE,
            buckets=_BUCKETS, registry=self.registry)
        self._notifications = counter(
            'notifications', 'Notifications of the registry, by their result.', ['result'])
        #: Counts a search whose answer may lack repositories.
        self.note_incomplete_search = counter(
            'incomplete_searches', 'Searches whose answers may lack repositories.').inc
        self._dynamodb = counter(
            'dynamodb_requests', 'Requests to DynamoDB, by last outcome.', ['operation', 'outcome'])
        self._retries = counter(
            'dynamodb_retries', 'Retries of requests to DynamoDB.', ['operation'])
        self._units = counter(
            'dynamodb_units', 'Read and write units that DynamoDB reports.', ['operation'])
        self._loaded = self._gauge(
            'load_repositories', 'Repositories that the last load of this process has compared.')
        self._to_load = self._gauge(
            'load_repositories_total', 'Repositories that this load has to compare.')

    def note_request(self, route: str, status: int, seconds: float) -> None:
        """Count and time a request that was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def watch_dynamodb(self, client: Any) -> None:
        """Count the requests of a boto3 client, and their read and write units."""
        events = client.meta.events
        events.register('provide-client-params.dynamodb', _request_units)
        events.register('after-call.dynamodb', self._note_answer)
        events.register('after-call-error.dynamodb', self._note_error)

    def add_gauge(self, name: str, meaning: str, value: Callable[[], float]) -> None:
        """Add a gauge, whose value the function ``value`` returns."""
        self._gauge(name, meaning).set_function(value)

    def watch_storage(self, unreadable: Callable[[], Iterable[str]]) -> None:
        """Add a gauge of the parts of the storage that the function ``unreadable`` returns."""
        self.registry.register(_UnreadableParts(unreadable))

    def note_load(self, done: int, total: int) -> None:
        """Note the progress of a load."""
        self._loaded.set(done)
        self._to_load.set(total)

    def note_notification(self, result: str) -> None:
        """Count a notification by its result."""
        self._notifications.labels(result).inc()

    def _note_answer(self, model: Any, parsed: dict[str, Any], **_: Any) -> None:
        code = parsed.get('Error', {}).get('Code')
        self._dynamodb.labels(model.name, code or 'ok').inc()
        self._retries.labels(model.name).inc(
            parsed.get('ResponseMetadata', {}).get('RetryAttempts', 0))
        consumed = parsed.get('ConsumedCapacity') or []
        for each in [consumed] if isinstance(consumed, dict) else consumed:
            self._units.labels(model.name).inc(each.get('CapacityUnits', 0))

    def _note_error(self, exception: Exception, event_name: str = '', **_: Any) -> None:
        operation = event_name.rpartition('.')[2]
        self._dynamodb.labels(operation, type(exception).__name__).inc()


@dataclass(frozen=True)
class _UnreadableParts(Collector):
    unreadable: Callable[[], Iterable[str]]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            _NAMESPACE + '_storage_unreadable', '1 for each part of the storage that the last '
            'load of any process could not read, at most 20.', labels=['part'])
        for part in sorted(set(self.unreadable())):
            family.add_metric([part], 1)
        return [family]


def add_routes(app: flask.Flask, index: SearchIndex, metrics: Metrics) -> None:
    """Add the health, the readiness and the metrics."""
    readiness = Readiness(index)

    @app.route('/healthz')
    def live() -> flask.Response:
        return flask.jsonify(live=True)

    @app.route('/readyz')
    def ready() -> flask.Response:
        problem = readiness.problem()
        if problem:
            raise Refusal(503, problem)
        return flask.jsonify(ready=True)

    @app.route('/metrics', endpoint='metrics')
    def show() -> flask.Response:
        return flask.Response(prometheus_client.generate_latest(metrics.registry),
                              content_type=prometheus_client.CONTENT_TYPE_LATEST)


def _request_units(params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
    if 'ReturnConsumedCapacity' in model.input_shape.members:
        return dict(params, ReturnConsumedCapacity='TOTAL')
    return params
