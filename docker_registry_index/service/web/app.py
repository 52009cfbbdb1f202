"""The web application: its parts put together, and how errors are answered.
"""

from __future__ import unicode_literals

import logging

import flask

from ...engine.redaction import safe
from ...engine import errors
from . import catalog, health, metrics, notifications, search
from .responses import refusal
from .auth import Busy
from .basic_auth import basic_credentials
from .concurrency_limit import Room

__all__ = ['make_app']

logger = logging.getLogger(__name__)

_AWAY = 'search is not available now, try again later'
#: What anybody asks for.
_READING = ('search.search', 'catalog.catalog')


def make_app(settings, index, users, dialect, follow, measured):
    """The Flask application.

    :param settings: a ServiceSettings.
    :param index: a SearchIndex, started.
    :param users: an Anybody or a Users.
    :param dialect: a DialectProbe.
    :param follow: a Notifications.
    :param measured: a Metrics.
    """
    app = flask.Flask('docker-registry-index', static_folder=None)
    app.config['MAX_CONTENT_LENGTH'] = notifications.BODY_BYTES
    app.json.sort_keys = False
    measured.watch_app(app)
    _keep_room(app, max(1, settings.threads * 3 // 4), dialect)
    _ask_for_credentials(app, users, dialect)
    _answer_errors(app, dialect)
    for part in (search.routes(index),
                 catalog.routes(index, dialect, settings.catalog_limit),
                 notifications.routes(follow, settings.events_secret,
                                      measured.note_notification,
                                      index.sync_soon),
                 health.routes(index), metrics.routes(measured)):
        app.register_blueprint(part)
    return app


def _keep_room(app, size, dialect):
    """Let no more read at once, so that notifications and whoever asks
    after our health are answered when DynamoDB hangs."""
    room = Room(size)

    @app.before_request
    def enter():
        if flask.request.endpoint not in _READING:
            return None
        if room.enter():
            flask.g.leave_room = room.leave
            return None
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unavailable(dialect())
        return refusal(503, _AWAY)

    @app.teardown_request
    def leave(error):
        flask.g.pop('leave_room', lambda: None)()


def _ask_for_credentials(app, users, dialect):
    """Before searches and the catalog; the others are not for everybody's
    eyes, or have a secret of their own."""
    @app.before_request
    def check():
        if flask.request.endpoint not in _READING:
            return None
        given = flask.request.headers.get('Authorization', '')
        if users.may_read(*basic_credentials(given)):
            return None
        spoken = dialect()
        challenge = [('WWW-Authenticate', 'Basic realm="%s"' % spoken.realm)]
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unauthorized(spoken, challenge)
        return refusal(401, 'this registry wants a user name and a password',
                       challenge)


def _answer_errors(app, dialect):
    @app.errorhandler(errors.DynamoDBIndexError)
    def away(error):
        logger.error('%s failed: %s', flask.request.path, error)
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unavailable(dialect())
        return refusal(503, _AWAY)

    @app.errorhandler(Busy)
    def busy(error):
        if flask.request.endpoint == 'catalog.catalog':
            return catalog.unavailable(dialect())
        return refusal(503, 'too many log in at once, try again later',
                       [('Retry-After', '1')])

    @app.errorhandler(404)
    def unknown(error):
        return refusal(404, 'there is nothing here')

    @app.errorhandler(405)
    def unfit(error):
        if flask.request.path == catalog.PATH:
            return catalog.other_method(flask.request.method)
        return refusal(405, 'this address takes no %.20s' %
                       safe(flask.request.method),
                       [('Allow', ', '.join(sorted(error.valid_methods)))])

    @app.errorhandler(413)
    def too_large(error):
        return refusal(413, 'the body is too large')

    @app.errorhandler(500)
    def wrong(error):
        return refusal(500, 'something went wrong; the log says what')
