"""Answers POST /events, a notification of the registry, when its changes are in the index.

A registry sends one notification after the other, and retries each until it gets 2xx in time. So
503 means "retry later", no notification of a registry is refused permanently, and this process
keeps no state that is not in DynamoDB."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Collection
from typing import Any

import flask
from werkzeug.datastructures import Headers

from ..registry import image
from ..registry.layout import is_name
from ..sync.reconcile import Change, NotificationPool, RetryLater
from .auth import same_secret
from .responses import refusal

logger = logging.getLogger(__name__)

#: The most bytes of a body; the server refuses larger bodies. A registry cannot send more: Go
#: accepts a megabyte of headers, Distribution a manifest of 4 MB, and JSON writes a byte as six.
LARGEST = 32 * 1024 * 1024
# https://distribution.github.io/distribution/about/notifications/
_TYPE = re.compile(r'application/vnd\.docker\.distribution\.events\.v\d+\+json\s*(;|\Z)')

#: The media type of layers and configs; a manifest never has it.
_BLOB = 'application/octet-stream'


class MalformedNotification(ValueError):
    """Raised if a body is not a notification."""


def routes(pool: NotificationPool, secret: str, count: Callable[[str], None],
           sync_soon: Callable[[], None], counts_pulls: bool = False) -> flask.Blueprint:
    """Return the Blueprint of the notifications.

    :param secret: the secret that the registry sends, as ``Bearer SECRET``.
    :param count: called with the result of each notification.
    :param sync_soon: called when a notification of a registry is dropped.
    :param counts_pulls: True if a pull of a manifest is a change, because it adds a repository."""
    actions = ('push', 'delete', 'pull') if counts_pulls else ('push', 'delete')
    made = flask.Blueprint('events', __name__)

    @made.route('/events', methods=['POST'])
    def events() -> flask.Response:
        if not _is_authorized(flask.request.headers, secret):
            count('refused')
            return refusal(401, 'the header Authorization must be "Bearer" and the value of the '
                                'setting events_secret', [('WWW-Authenticate', 'Bearer')])
        try:
            changes = changes_of(flask.request.get_data(cache=False), actions)
            pool.apply(_with_valid_names(changes))
        except MalformedNotification as error:
            return _drop(error)
        except RetryLater as error:
            count('retry')
            logger.warning('a notification is answered with 503 and retried: %s', error)
            return refusal(503, 'not made yet, retry later')
        count('done' if changes else 'ignored')
        return flask.jsonify({})

    def _drop(error: MalformedNotification) -> flask.Response:
        count('malformed')
        if not _is_of_registry(flask.request):
            return refusal(400, str(error))
        logger.error('a notification of the registry is dropped; a sync follows and finds its '
                     'changes: %s', error)
        sync_soon()
        return refusal(202, str(error))

    return made


def _is_authorized(headers: Headers, secret: str) -> bool:
    given = headers.get('Authorization', '')
    kind, _, rest = given.partition(' ')
    return same_secret(rest.strip() if kind.lower() == 'bearer' else given, secret)


def _is_of_registry(request: flask.Request) -> bool:
    return bool(_TYPE.match(request.headers.get('Content-Type', '')))


def _with_valid_names(changes: list[Change]) -> list[Change]:
    """Return the changes with valid names. The others are ignored: a retry would not help."""
    for change in changes:
        if not is_name(change.name):
            logger.warning('a notification about %.80r is ignored, because no repository can have '
                           'this name', change.name)
    return [change for change in changes if is_name(change.name)]


def changes_of(body: bytes, actions: Collection[str] = ('push', 'delete')) -> list[Change]:
    """Return a Change for each repository in a notification: the push of the best tag, if any.

    Deletes of blobs and of manifests have the same form; pushes and pulls of blobs are no changes.

    :param actions: those of the events that are changes.
    :raises MalformedNotification: the body is not a notification."""
    found: dict[str, Change] = {}
    for event in _events(body):
        change = _change(event, actions)
        if change is None:
            continue
        found[change.name] = max(change, found.pop(change.name, change), key=_rank)
    return list(found.values())


def _rank(change: Change) -> tuple[Any, ...]:
    is_secondary = not change.tag or image.is_secondary(change.tag)
    return change.reference is not None, not is_secondary, image.rank(change.tag or '')


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body.decode('utf-8'))
    except (ValueError, RecursionError):
        raise MalformedNotification('the body is not JSON') from None
    events = document.get('events') if isinstance(document, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise MalformedNotification('the body has no list "events" of objects')
    return events


def _change(event: dict[str, Any], actions: Collection[str]) -> Change | None:
    target = event.get('target')
    if event.get('action') not in actions or not isinstance(target, dict):
        return None
    name = _text(target, 'repository')
    if not name:
        return None
    if event['action'] == 'delete':
        return Change(name, None, None)
    if _text(target, 'mediaType') == _BLOB:
        return None
    return Change(name, _text(target, 'digest'), _text(target, 'tag'))


def _text(mapping: dict[str, Any], key: str) -> str | None:
    found = mapping.get(key)
    return found if isinstance(found, str) and found else None
