"""What a notification of the registry reports. Pure.

https://distribution.github.io/distribution/about/notifications/
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

__all__ = ['Change', 'Malformed', 'changes_of']

#: The media type of layers and configs; a manifest never has it.
_BLOB = 'application/octet-stream'


class Malformed(ValueError):
    """A body that no registry sends; its text says what is wrong."""


class Change(NamedTuple):
    """A repository that may have changed.

    :param name: of the repository.
    :param reference: digest of the manifest that was pushed last; None for a delete.
    :param tag: the tag it was pushed with; None without one.
    """

    name: str
    reference: str | None
    tag: str | None


def changes_of(body: bytes) -> list[Change]:
    """The repositories that a notification is about, each name once.

    Pushes of manifests and all deletes count, as that of a blob looks like that of a manifest. All
    other events are ignored.

    :raises Malformed: it is no notification.
    """
    found: dict[str, Change] = {}
    for event in _events(body):
        change = _change(event)
        if change is None:
            continue
        before = found.pop(change.name, None)
        if before is not None and change.reference is None:
            change = before
        found[change.name] = change
    return list(found.values())


def _events(body: bytes) -> list[dict[str, Any]]:
    try:
        document = json.loads(body.decode('utf-8'))
    except (ValueError, RecursionError):
        raise Malformed('the body is no JSON') from None
    events = document.get('events') if isinstance(document, dict) else None
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        raise Malformed('the body has no list "events" of objects')
    return events


def _change(event: dict[str, Any]) -> Change | None:
    target = event.get('target')
    if event.get('action') not in ('push', 'delete') or not isinstance(target, dict):
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
