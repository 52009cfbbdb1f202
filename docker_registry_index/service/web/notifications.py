"""POST /events: the registry's notifications, made true before they are answered, or retried.

A registry sends one notification after the other, and retries until one is answered with 2xx in
time. So 503 means "not now", nothing of a registry is refused for good, and nothing is kept here
that is not in DynamoDB.
"""

import logging
import re
import threading
from typing import Callable, List

import flask
from werkzeug.datastructures import Headers

from ..registry.events import Change, Malformed, changes_of
from ..registry.layout import is_name
from ..sync.notification_pool import NotificationPool, NotNow
from .auth import same_secret
from .responses import refusal

__all__ = ['LARGEST', 'routes']

logger = logging.getLogger(__name__)

#: Bytes of a body that is no registry's. A notification has about a kilobyte.
BODY_BYTES = 1024 * 1024
#: Bytes of any body; the server refuses larger ones. A registry cannot send more: Go takes a
#: megabyte of headers, Distribution a manifest of 4 MB, and JSON makes six bytes of one at most.
LARGEST = 32 * 1024 * 1024
# https://github.com/distribution/distribution/blob/main/notifications/event.go
_TYPE = re.compile(r'application/vnd\.docker\.distribution\.events\.v\d+\+json\s*(;|\Z)')

#: Large bodies are read one at a time, because of the memory they need; and seconds that the next
#: one waits.
_large = threading.Lock()
_WAIT = 0.5


def routes(pool: NotificationPool, secret: str, count: Callable[[str], None],
           sync_soon: Callable[[], None]) -> flask.Blueprint:
    """Return the Blueprint of this address.

    :param secret: that the registry sends, as ``Bearer SECRET``.
    :param count: called with what became of each notification.
    :param sync_soon: called if one had to be left out.
    """
    made = flask.Blueprint('events', __name__)

    @made.route('/events', methods=['POST'])
    def events() -> flask.Response:
        if not _is_authorized(flask.request.headers, secret):
            count('refused')
            return refusal(401, 'the header Authorization must be "Bearer" and the secret of the '
                                'settings', [('WWW-Authenticate', 'Bearer')])
        try:
            changes = _changes(flask.request)
            pool.follow(_named_well(changes))
        except Malformed as error:
            return _left_out(error)
        except NotNow as error:
            count('retry')
            logger.warning('the registry has to retry a notification: %s', error)
            return refusal(503, 'not now, retry later')
        count('done' if changes else 'ignored')
        return flask.jsonify({})

    def _left_out(error: Malformed) -> flask.Response:
        count('malformed')
        if not _is_of_registry(flask.request):
            return refusal(400, str(error))
        logger.error('a notification of the registry is left out: %s; the sync that begins now '
                     'finds what it was about', error)
        sync_soon()
        return refusal(202, str(error))

    return made


def _is_authorized(headers: Headers, secret: str) -> bool:
    given = headers.get('Authorization', '')
    kind, _, rest = given.partition(' ')
    return same_secret(rest.strip() if kind.lower() == 'bearer' else given, secret)


def _is_of_registry(request: flask.Request) -> bool:
    return bool(_TYPE.match(request.headers.get('Content-Type', '')))


def _changes(request: flask.Request) -> List[Change]:
    """Return the changes in a body.

    :raises Malformed: it has none.
    :raises NotNow: it is large, and so is another that is being read.
    :raises RequestEntityTooLarge: it is large, and no registry's.
    """
    if (request.content_length or 0) <= BODY_BYTES:
        return _parsed(request)
    if not _is_of_registry(request):
        flask.abort(413)
    if not _large.acquire(timeout=_WAIT):
        raise NotNow('another large body is being read')
    try:
        return _parsed(request)
    finally:
        _large.release()


def _parsed(request: flask.Request) -> List[Change]:
    changes: List[Change] = changes_of(request.get_data(cache=False))
    return changes


def _named_well(changes: List[Change]) -> List[Change]:
    """Return those that a registry could have; the others never will be better."""
    for change in changes:
        if not is_name(change.name):
            logger.warning('a notification about %.80r is of no repository', change.name)
    return [change for change in changes if is_name(change.name)]
