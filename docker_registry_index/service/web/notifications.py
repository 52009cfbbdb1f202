"""Answers POST /events, a notification of the registry, when its changes are in the index.

A registry sends one notification after the other, and retries each until it gets 2xx in time. So
503 means "retry later", no notification of a registry is refused permanently, and this process
keeps no state that is not in DynamoDB."""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import Callable, Collection
from typing import Any

import flask

from ..registry import image
from ..registry.layout import is_name
from ..sync.reconcile import Change, NotificationPool, RetryLater
from .responses import Refusal

logger = logging.getLogger(__name__)

#: The most bytes of a body; the server refuses larger bodies. A registry cannot send more: Go
#: accepts a megabyte of headers, Distribution a manifest of 4 MB, and JSON makes a byte six.
LARGEST = 32 * 1024 * 1024
# https://distribution.github.io/distribution/about/notifications/
_TYPE = re.compile(r'application/vnd\.docker\.distribution\.events\.v\d+\+json\s*(;|\Z)')


class MalformedNotification(ValueError):
    """Raised if a body is not a notification."""


def add_routes(app: flask.Flask, pool: NotificationPool, secret: str, count: Callable[[str], None],
               sync_soon: Callable[[], None], counts_pulls: bool = False) -> None:
    """Add the notifications.

    :param secret: the secret that the registry sends, as ``Bearer SECRET``.
    :param count: called with the result of each notification.
    :param sync_soon: called when a notification of a registry is dropped.
    :param counts_pulls: True if a pull of a manifest is a change, because it adds a repository."""
    actions = ('push', 'delete', 'pull') if counts_pulls else ('push', 'delete')

    @app.route('/events', methods=['POST'])
    def events() -> flask.typing.ResponseReturnValue:
        if not _is_authorized(flask.request.headers.get('Authorization', ''), secret):
            count('refused')
            raise Refusal(401, 'the header Authorization must be "Bearer" and the value of the '
                               'setting events_secret', [('WWW-Authenticate', 'Bearer')])
        try:
            changes = changes_of(flask.request.get_data(cache=False), actions)
            pool.apply([change for change in changes if _has_valid_name(change)])
        except MalformedNotification as error:
            count('malformed')
            if not _TYPE.match(flask.request.headers.get('Content-Type', '')):
                raise Refusal(400, str(error)) from None
            logger.error('a notification of the registry is dropped; a sync follows and finds its '
                         'changes: %s', error)
            sync_soon()
            return {'error': str(error)}, 202
        except RetryLater as error:
            count('retry')
            logger.warning('a notification is answered with 503 and retried: %s', error)
            raise Refusal(503, 'not made yet, retry later') from None
        count('done' if changes else 'ignored')
        return {}


def _is_authorized(given: str, secret: str) -> bool:
    kind, _, rest = given.partition(' ')
    text = rest.strip() if kind.lower() == 'bearer' else given
    return hmac.compare_digest(text.encode('utf-8', 'replace'), secret.encode())


def _has_valid_name(change: Change) -> bool:
    if not is_name(change.name):
        # The registry would retry a refused notification.
        logger.warning('a notification about %.80r is ignored, because no repository can have '
                       'this name', change.name)
    return is_name(change.name)


def changes_of(body: bytes, actions: Collection[str] = ('push', 'delete')) -> list[Change]:
    """Return a Change for each repository in a notification: the push of the best tag, if any.

    Deletes of blobs and of manifests have the same form; pushes and pulls of blobs are not changes.

    :param actions: the actions of events that are changes.
    :raises MalformedNotification: the body is not a notification."""
    found: dict[str, Change] = {}
    for change in filter(None, (_change(event, actions) for event in _events(body))):
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
    name, digest, tag = (each if isinstance(each, str) and each else None for each in map(
        target.get, ('repository', 'digest', 'tag')))
    if name is None:
        return None
    if event['action'] == 'delete':
        return Change(name, None, None)
    # A manifest never has the media type of layers and configs.
    is_blob = target.get('mediaType') == 'application/octet-stream'
    return None if is_blob else Change(name, digest, tag)
