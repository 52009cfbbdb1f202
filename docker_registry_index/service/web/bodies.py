"""The body of a notification: read within bounds.

A registry sends a notification again until it is answered with 2xx, and all
later ones after it: so one of its own is never refused.
"""

from __future__ import unicode_literals

import re
import threading

import flask
from werkzeug.exceptions import ClientDisconnected

__all__ = ['BODY_BYTES', 'Busy', 'TooLarge', 'body_of', 'is_of_registry']

#: A notification has about a kilobyte; what is no registry's may be larger.
BODY_BYTES = 1024 * 1024
#: More than a registry's can have: Go takes a megabyte of headers and
#: Distribution a manifest of 4; of each byte JSON makes six at most.
LARGEST = 32 * 1024 * 1024
#: What is still read to its end, and thrown away: who is cut off while he
#: sends hears no answer.
_THROWN_AWAY = 256 * 1024 * 1024
_CHUNK = 64 * 1024
# https://github.com/distribution/distribution/blob/main/notifications/event.go
_TYPE = re.compile(r'application/vnd\.docker\.distribution\.events\.v\d+\+json'
                   r'\s*(;|\Z)')

# Large ones are taken one at a time, for the memory they take; and seconds
# that the next one waits.
_large = threading.Lock()
_WAIT = 0.5


class Busy(Exception):
    """Another large body is being read."""


class TooLarge(Exception):
    """A registry's body that has more than 32 MB; it was read to its end."""


def is_of_registry(request):
    """Whether a request says that it comes from a registry."""
    return bool(_TYPE.match(request.headers.get('Content-Type', '')))


def body_of(request, act):
    """What a function makes of a body.

    One from a registry has 32 MB at most, another one a megabyte; a large
    one is read while no other is.

    :param act: a function of bytes.
    :raises TooLarge: a registry's is larger.
    :raises Busy: it is large, and so is another that is being read.
    :raises ClientDisconnected: it did not come whole, or not in time.
    :raises RequestEntityTooLarge: another one is, or one that is larger than
        256 MB.
    """
    length = request.content_length
    if not is_of_registry(request):
        return act(request.get_data(cache=False))
    if length is not None and length > _THROWN_AWAY:
        flask.abort(413)
    if length is not None and length <= BODY_BYTES:
        return act(request.get_data(cache=False))
    if not _large.acquire(timeout=_WAIT):
        raise Busy('another large body is being read')
    try:
        return act(_read(request.environ['wsgi.input'], length))
    finally:
        _large.release()


def _read(stream, length):
    """Not by Flask, whose limit is one for all addresses."""
    body, size = bytearray(), 0
    while True:
        try:
            part = stream.read(_CHUNK)
        except OSError:
            raise ClientDisconnected()
        if not part:
            break
        size += len(part)
        if size > _THROWN_AWAY:
            flask.abort(413)
        if size > LARGEST:
            body = None
        else:
            body += part
    if length is not None and size < length:
        raise ClientDisconnected()
    if body is None:
        raise TooLarge('the body has %d bytes' % size)
    return bytes(body)
