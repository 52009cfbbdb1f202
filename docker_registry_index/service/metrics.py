"""GET /metrics: what Prometheus may know.

https://prometheus.io/docs/practices/naming/
"""

from __future__ import unicode_literals

import time

import flask
import prometheus_client
from prometheus_client import Counter, Gauge, Histogram

__all__ = ['Metrics', 'routes']

_PREFIX = 'registry_index_'
#: Seconds: from a search in one Query to the longest wait of a push.
_BUCKETS = (.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10)
#: Of addresses that are none of ours.
_OTHER = 'other'


class Metrics(object):
    """The metrics of one process."""

    def __init__(self):
        self.registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self._requests = Counter(
            _PREFIX + 'http_requests_total', 'Requests answered.',
            ['route', 'status'], registry=registry)
        self._seconds = Histogram(
            _PREFIX + 'http_request_seconds', 'Seconds until the answer.',
            ['route'], buckets=_BUCKETS, registry=registry)
        self._notifications = Counter(
            _PREFIX + 'notifications_total',
            'Notifications of the registry, by what became of them.',
            ['result'], registry=registry)
        self._dynamodb = Counter(
            _PREFIX + 'dynamodb_requests_total',
            'Requests to DynamoDB, by their last outcome.',
            ['operation', 'outcome'], registry=registry)
        self._repeated = Counter(
            _PREFIX + 'dynamodb_retries_total',
            'Attempts at these that failed and were made again.',
            ['operation'], registry=registry)
        self._units = Counter(
            _PREFIX + 'dynamodb_units_total',
            'Read and write units that DynamoDB says it has billed.',
            ['operation'], registry=registry)
        self._loaded = Gauge(
            _PREFIX + 'load_repositories',
            'Repositories that the last load of this process has looked at.',
            registry=registry)
        self._to_load = Gauge(
            _PREFIX + 'load_repositories_total',
            'Repositories that it had to look at.', registry=registry)

    def watch_app(self, app):
        """Count and time all requests of a Flask application."""
        @app.before_request
        def begin():
            flask.g.began = time.monotonic()

        @app.after_request
        def end(answer):
            rule = flask.request.url_rule
            route = rule.rule if rule else _OTHER
            self._requests.labels(route, str(answer.status_code)).inc()
            self._seconds.labels(route).observe(
                time.monotonic() - flask.g.began)
            return answer

    def watch_dynamodb(self, client):
        """Count the requests of a boto3 client, and what they cost.

        https://boto3.amazonaws.com/v1/documentation/api/latest/guide/events.html
        """
        events = client.meta.events
        events.register('provide-client-params.dynamodb', _ask_for_units)
        events.register('after-call.dynamodb', self._note_answer)
        events.register('after-call-error.dynamodb', self._note_error)

    def watch_index(self, index, notifications, describer):
        """Show what goes on in the background."""
        self._gauge('ready', 'Whether the index is ready.',
                    lambda: index.ready)
        self._gauge('notifications_under_way',
                    'Notifications that are being followed.',
                    lambda: notifications.under_way)
        self._gauge('descriptions_waiting',
                    'Repositories that were noted to be looked at later, as '
                    'of the last look; 100 means 100 or more.',
                    lambda: describer.waiting)
        self._gauge('descriptions_read',
                    'Of these, those that this process has done.',
                    lambda: describer.done)

    def note_load(self, done, total):
        """Note how far a load is."""
        self._loaded.set(done)
        self._to_load.set(total)

    def note_notification(self, result):
        """Note what became of a notification."""
        self._notifications.labels(result).inc()

    def _gauge(self, name, meaning, value):
        Gauge(_PREFIX + name, meaning,
              registry=self.registry).set_function(lambda: float(value()))

    def _note_answer(self, model, http_response, parsed, **_):
        code = parsed.get('Error', {}).get('Code')
        self._dynamodb.labels(model.name, code or 'ok').inc()
        self._repeated.labels(model.name).inc(
            parsed.get('ResponseMetadata', {}).get('RetryAttempts', 0))
        consumed = parsed.get('ConsumedCapacity') or []
        for each in [consumed] if isinstance(consumed, dict) else consumed:
            self._units.labels(model.name).inc(each.get('CapacityUnits', 0))

    def _note_error(self, exception, event_name=None, **_):
        operation = (event_name or '').rpartition('.')[2]
        self._dynamodb.labels(operation, type(exception).__name__).inc()


def routes(metrics):
    """The Blueprint of this address.

    :param metrics: a Metrics.
    """
    made = flask.Blueprint('metrics', __name__)

    @made.route('/metrics')
    def show():
        return flask.Response(
            prometheus_client.generate_latest(metrics.registry),
            content_type=prometheus_client.CONTENT_TYPE_LATEST)

    return made


def _ask_for_units(params, model, **_):
    if 'ReturnConsumedCapacity' in model.input_shape.members:
        return dict(params, ReturnConsumedCapacity='TOTAL')
    return params
