"""POST /events: the registry's notifications, made true before they are
answered, or sent again.

The registry sends one after the other, and again whatever is not answered
with 2xx in time: so "not now" is an answer, "never" is none, and nothing is
kept here that is not in DynamoDB.
"""

from __future__ import unicode_literals

import concurrent.futures
import logging
import threading
import time

import flask
from werkzeug.exceptions import ClientDisconnected

from ...engine import errors
from .responses import refusal
from .auth import same_secret
from .bodies import BODY_BYTES, Busy, TooLarge, body_of, is_of_registry
from ..registry.errors import ChangeUnderWay
from ..registry.events import Malformed, changes_of
from ..registry.layout import is_name

__all__ = ['BODY_BYTES', 'Notifications', 'routes']

logger = logging.getLogger(__name__)

#: Changes under way at once; more are sent again.
LIMIT = 32
#: What keeps a change from being made, and passes.
_PASSING = (ChangeUnderWay, errors.RequestFailed, errors.ChangeConflict,
            errors.Stopped)


class NotNow(Exception):
    """A change is not made; the registry should send it again."""


class Notifications(object):
    """Follows changes, each within a time.

    :param reconciler: a Reconciler.
    :param wait: seconds after which a caller gets his answer.
    """

    def __init__(self, reconciler, wait):
        self._reconciler = reconciler
        self._wait = wait
        self._pool = concurrent.futures.ThreadPoolExecutor(LIMIT)
        self._room = threading.BoundedSemaphore(LIMIT)
        self.under_way = 0
        self._lock = threading.Lock()

    def follow(self, changes):
        """Return when all these changes are in the index.

        :raises NotNow: some are not, or not yet.
        """
        end = time.monotonic() + self._wait
        futures = [self._begin(change, end) for change in changes]
        _, late = concurrent.futures.wait(
            futures, max(0, end - time.monotonic()))
        if late:
            raise NotNow('it takes longer than %g seconds' % self._wait)
        for future in futures:
            try:
                future.result()
            except _PASSING as error:
                raise NotNow('%s' % error)

    def _begin(self, change, end):
        # One body may tell of more than there is room for at once.
        if not self._room.acquire(timeout=max(0, end - time.monotonic())):
            raise NotNow('%d others are under way' % LIMIT)
        return self._pool.submit(self._run, change)

    def _run(self, change):
        with self._lock:
            self.under_way += 1
        try:
            self._reconciler.reconcile(change, self._wait)
        except errors.InvalidName as error:
            # It would be as wrong the next time.
            logger.warning('not in the search index: %s', error)
        finally:
            with self._lock:
                self.under_way -= 1
            self._room.release()


def routes(notifications, secret, count, sync_soon):
    """The Blueprint of this address.

    :param notifications: a Notifications.
    :param secret: that the registry sends, as ``Bearer SECRET``.
    :param count: told what became of each notification.
    :param sync_soon: called where one had to be left out.
    """
    made = flask.Blueprint('events', __name__)

    @made.route('/events', methods=['POST'])
    def events():
        if not _is_authorized(flask.request.headers, secret):
            count('refused')
            return refusal(401, 'the header Authorization must be "Bearer" '
                                'and the secret of the settings',
                           [('WWW-Authenticate', 'Bearer')])
        try:
            changes = body_of(flask.request, changes_of)
        except (Malformed, TooLarge) as error:
            return _left_out(error)
        except ClientDisconnected:
            count('malformed')
            return refusal(400, 'the body did not come whole and in time')
        except Busy as error:
            return _later(error)
        try:
            notifications.follow(_named_well(changes))
        except NotNow as error:
            return _later(error)
        count('done' if changes else 'of no use')
        return flask.jsonify({})

    def _later(error):
        count('sent again')
        logger.warning('a notification has to be sent again: %s', error)
        return refusal(503, 'not now, send it again')

    def _left_out(error):
        count('too large' if isinstance(error, TooLarge) else 'malformed')
        if not is_of_registry(flask.request):
            return refusal(400, '%s' % error)
        logger.error('a notification of the registry is left out: %s; the '
                     'sync that is made now finds what it told of', error)
        sync_soon()
        return refusal(202, '%s' % error)

    return made


def _is_authorized(headers, secret):
    given = headers.get('Authorization', '')
    kind, _, rest = given.partition(' ')
    return same_secret(rest.strip() if kind.lower() == 'bearer' else given,
                       secret)


def _named_well(changes):
    """Those that a registry could have; the others will never be better."""
    for change in changes:
        if not is_name(change.name):
            logger.warning('a notification about %.80r is of no repository',
                           change.name)
    return [change for change in changes if is_name(change.name)]
