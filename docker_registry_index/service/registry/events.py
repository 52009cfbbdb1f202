"""What a notification of the registry says. Pure.

https://distribution.github.io/distribution/about/notifications/
"""

from __future__ import unicode_literals

import collections
import json

__all__ = ['Change', 'Malformed', 'changes_of']

#: Layers and configurations come with it; a manifest never does.
_BLOB = 'application/octet-stream'


class Malformed(ValueError):
    """A body that no registry sends; its text says what is wrong."""


class Change(collections.namedtuple('Change', 'name reference tag')):
    """A repository that is to be looked at.

    :param name: of the repository.
    :param reference: digest of the manifest pushed last; None where none
        was.
    :param tag: that it was pushed with; None without one.
    """

    __slots__ = ()


def changes_of(body):
    """The repositories that a notification is about: a list of Change, each
    name once.

    Pushes of manifests and all deletes count: that of a blob looks like
    that of a manifest. What else there is, costs nothing.

    :param body: bytes.
    :raises Malformed: it is no notification.
    """
    found = collections.OrderedDict()
    for event in _events(body):
        change = _change(event)
        if change is None:
            continue
        before = found.pop(change.name, None)
        if before is not None and change.reference is None:
            change = before
        found[change.name] = change
    return list(found.values())


def _events(body):
    try:
        document = json.loads(body.decode('utf-8'))
    except (ValueError, RecursionError):
        raise Malformed('the body is no JSON')
    events = document.get('events') if isinstance(document, dict) else None
    if not isinstance(events, list) or not all(
            isinstance(event, dict) for event in events):
        raise Malformed('the body has no list "events" of objects')
    return events


def _change(event):
    target = event.get('target')
    if event.get('action') not in ('push', 'delete') or not isinstance(
            target, dict):
        return None
    name = _text(target, 'repository')
    if not name:
        return None
    if event['action'] == 'delete':
        return Change(name, None, None)
    if _text(target, 'mediaType') == _BLOB:
        return None
    return Change(name, _text(target, 'digest'), _text(target, 'tag'))


def _text(mapping, key):
    found = mapping.get(key)
    return found if isinstance(found, str) and found else None
