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
        self._requests = self._counter(
            'http_requests', 'Requests answered.', 'route', 'status')
        self._seconds = Histogram(
            _PREFIX + 'http_request_seconds', 'Seconds until the answer.',
            ['route'], buckets=_BUCKETS, registry=registry)
        self._notifications = self._counter(
            'notifications',
            'Notifications of the registry, by what became of them.',
            'result')
        self._dynamodb = self._counter(
            'dynamodb_requests', 'Requests to DynamoDB, by their last '
            'outcome.', 'operation', 'outcome')
        self._repeated = self._counter(
            'dynamodb_retries', 'Attempts at these that failed and were made '
            'again.', 'operation')
        self._units = self._counter(
            'dynamodb_units', 'Read and write units that DynamoDB says it '
            'has billed.', 'operation')
        self._loaded = self._gauge(
            'load_repositories', 'Repositories that the last load of this '
            'process has looked at.')
        self._to_load = self._gauge(
            'load_repositories_total', 'Repositories that it had to look at.')

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
        for name, meaning, value in (
                ('ready', 'Whether the index is ready.',
                 lambda: index.ready),
                ('notifications_under_way', 'Notifications that are being '
                 'followed.', lambda: notifications.under_way),
                ('descriptions_waiting', 'Repositories that were noted to be '
                 'looked at later, as of the last look; 100 means 100 or '
                 'more.', lambda: describer.waiting),
                ('descriptions_read', 'Of these, those that this process has '
                 'done.', lambda: describer.done)):
            self._gauge(name, meaning).set_function(value)

    def note_load(self, done, total):
        """Note how far a load is."""
        self._loaded.set(done)
        self._to_load.set(total)

    def note_notification(self, result):
        """Note what became of a notification."""
        self._notifications.labels(result).inc()

    def _counter(self, name, meaning, *labels):
        return Counter(_PREFIX + name + '_total', meaning, labels,
                       registry=self.registry)

    def _gauge(self, name, meaning):
        return Gauge(_PREFIX + name, meaning, registry=self.registry)

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
